"""The SavedModel tour: read, explain, dispatch against, edit and verify TensorFlow's five signature protos.

    from trimtab import savedmodel

    with savedmodel.load("model/") as model:
        model.signatures, model.functions                  # the five places, linked
        print(model.tour())                                # the story of each entry point
        model.function("predict").dispatch(training=True)  # what TensorFlow would run, or refuse
    savedmodel.verify("model/")                            # where the places disagree
    savedmodel.edit("model/").add_signature("score", "predict").save("edited/")

None of it needs TensorFlow, or runs anything of the model.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from trimtab.savedmodel.model import MetaGraph, SavedModel, load

if TYPE_CHECKING:
    from trimtab.savedmodel.editing import Editor, edit
    from trimtab.savedmodel.signature import signature_of
    from trimtab.savedmodel.structure import RaggedTensorSpec, SparseTensorSpec, TensorSpec
    from trimtab.savedmodel.verifying import verify

__all__ = [
    "Editor",
    "MetaGraph",
    "RaggedTensorSpec",
    "SavedModel",
    "SparseTensorSpec",
    "TensorSpec",
    "edit",
    "load",
    "signature_of",
    "verify",
]

_HOMES = {
    "Editor": "editing",
    "RaggedTensorSpec": "structure",
    "SparseTensorSpec": "structure",
    "TensorSpec": "structure",
    "edit": "editing",
    "signature_of": "signature",
    "verify": "verifying",
}


def __getattr__(name: str) -> Any:
    """Editing and verifying are imported when first used: reading is what most callers want, and quickly."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
