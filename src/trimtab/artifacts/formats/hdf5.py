"""Recognize HDF5, in which older Keras saves models and weights, and say what to do instead.

The model's configuration lies in an attribute somewhere in a tree of chunks and heaps that only an HDF5 library reads
safely, so a signature comes from the document beside the file or not at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.errors import RefusedArtifactError

if TYPE_CHECKING:
    from trimtab.signature.model import Signature
    from trimtab.source.bytes import ByteSource

name = "hdf5"

_MAGIC = b"\x89HDF\r\n\x1a\n"


def match(source: ByteSource) -> bool:
    """Whether this is an HDF5 file."""
    return source.head(len(_MAGIC)) == _MAGIC


def derive(source: ByteSource) -> Signature:
    """Refused, always."""
    raise RefusedArtifactError(
        "this is an HDF5 file (a Keras .h5 model, or weights alone), which is not read",
        where=source.name,
        hint="Save the model in Keras' own format (model.save('model.keras')) or export it; or put a signature beside "
        f"it: trimtab embed {source.name} --signature FILE",
    )


def declared(source: ByteSource) -> bytes | None:  # noqa: ARG001  # a reader is given its source; this kind has no room
    """None: HDF5 has no place for a document that a reader without its library finds."""
    return None
