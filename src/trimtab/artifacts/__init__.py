"""Model artifacts: one reader per format, embedding, and the registry of formats.

    from trimtab.artifacts import embed_signature, read_signature

    signature = read_signature("model.pt")
    embed_signature("model.pt", signature)

Readers never execute, never unpickle, never import a framework and never read weights.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trimtab.artifacts.embed import embed_signature
    from trimtab.artifacts.read import derive_signature, read_signature
    from trimtab.artifacts.registry import known_formats
    from trimtab.artifacts.verifying import Verification, verify_artifact

__all__ = [
    "Verification",
    "derive_signature",
    "embed_signature",
    "known_formats",
    "read_signature",
    "verify_artifact",
]

_HOMES = {
    "Verification": "verifying",
    "derive_signature": "read",
    "embed_signature": "embed",
    "known_formats": "registry",
    "read_signature": "read",
    "verify_artifact": "verifying",
}


def __getattr__(name: str) -> Any:
    """Each name is imported when first used: who reads need not wait for what writes."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
