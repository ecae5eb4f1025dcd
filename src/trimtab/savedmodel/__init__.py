"""The SavedModel tour: read, explain, dispatch against, edit and verify TensorFlow's five signature protos."""

from trimtab.savedmodel.model import MetaGraph, SavedModel, load

__all__ = ["MetaGraph", "SavedModel", "load"]
