"""Model artifacts: one reader per format, embedding, and the registry of formats.

    from trimtab.artifacts import embed_signature, read_signature

    signature = read_signature("model.pt")
    embed_signature("model.pt", signature)

Readers never execute, never unpickle, never import a framework and never read weights.
"""

from __future__ import annotations

from trimtab.artifacts.embed import embed_signature
from trimtab.artifacts.read import derive_signature, read_signature
from trimtab.artifacts.registry import formats

__all__ = ["derive_signature", "embed_signature", "formats", "read_signature"]
