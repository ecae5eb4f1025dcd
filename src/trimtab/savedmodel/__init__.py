"""The SavedModel tour: read, explain, dispatch against, edit and verify TensorFlow's five signature protos."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from trimtab.savedmodel.model import MetaGraph, SavedModel, load

if TYPE_CHECKING:
    from trimtab.savedmodel.editing import Editor, edit
    from trimtab.savedmodel.verifying import verify

__all__ = ["Editor", "MetaGraph", "SavedModel", "edit", "load", "verify"]

_HOMES = {"Editor": "editing", "edit": "editing", "verify": "verifying"}


def __getattr__(name: str) -> Any:
    """Editing and verifying are imported when first used: reading is what most callers want, and quickly."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
