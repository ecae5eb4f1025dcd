"""Edit the signatures of a SavedModel without TensorFlow: draft the change in all five places, show it, write it."""

from trimtab.savedmodel.editing.editor import Editor, edit

__all__ = ["Editor", "edit"]
