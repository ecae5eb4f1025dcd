"""What formats have in common that hold weights alone, and may carry a signature document in their metadata."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from trimtab.errors import ArtifactError, RefusedArtifactError
from trimtab.signature.document import FILE_NAME, MAX_DOCUMENT_BYTES

if TYPE_CHECKING:
    from trimtab.source.bytes import ByteSource

KEYS = (FILE_NAME, FILE_NAME.removesuffix(".json"))
"""What the document is called in formats whose metadata is a map of texts."""


def no_signature(source: ByteSource, kind: str) -> RefusedArtifactError:
    """The error for a file (`kind`, in words) that holds weights and no document."""
    return RefusedArtifactError(
        f"this is {kind}: it holds weights, no inputs and outputs",
        where=source.name,
        hint=f"Embed the signature of the model that the weights are of: trimtab embed {source.name} --signature FILE",
    )


def completed(document: bytes | None) -> bytes | None:
    """The document, if any, as it is; one that lists inputs alone, with an empty list of outputs.

    In formats that state nothing themselves, a list of inputs is all there is to know, and worth reading.
    """
    if document is None:
        return None
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        names = msgspec.json.decode(document, type=_InputsAlone)
        return msgspec.json.encode({"input_names": names.input_names, "output_names": []})
    return document


class _InputsAlone(msgspec.Struct, forbid_unknown_fields=True):
    input_names: list[str]


def only_one(found: list[bytes], place: str) -> bytes | None:
    """The one document among the values under our keys, or None. ArtifactError for several, or one out of bounds."""
    if len(found) > 1:
        raise ArtifactError(
            where=place,
            expected="one signature document",
            got=f"{len(found)}, under {' and '.join(KEYS)}",
            hint="Which one counts cannot be told. Embed one again, and it is the only one.",
        )
    if found and len(found[0]) > MAX_DOCUMENT_BYTES:
        raise ArtifactError(where=place, expected=f"at most {MAX_DOCUMENT_BYTES} bytes", got=str(len(found[0])))
    return found[0] if found else None
