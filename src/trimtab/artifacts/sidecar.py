"""Signature documents beside files that have no room for one: `MODEL.signature.json`, bound to the file's digest.

A document inside its artifact cannot be separated from it; one beside it can. So it states the SHA-256 of the file that
it was written for, and counts for no other. Checking that reads the whole file once, about a second per gigabyte: a
format that can hold the document itself is read without.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from trimtab.errors import ArtifactError
from trimtab.signature.document import MAX_DOCUMENT_BYTES, ArtifactBinding, binding_of, encode_document
from trimtab.source.bytes import LocalFile

if TYPE_CHECKING:
    from trimtab.signature.model import Signature

SUFFIX = ".signature.json"

_CHUNK = 1 << 20


def sidecar_path(path: str) -> str:
    """Where the document of the file at `path` lies."""
    return path + SUFFIX


def read_sidecar(path: str) -> bytes | None:
    """The document beside the file at `path`, or None where there is none.

    ArtifactError when the document states no digest, or another file's: the model was changed after it was written.
    """
    beside = sidecar_path(path)
    if not os.path.lexists(beside):
        return None
    with LocalFile(beside) as source:
        if source.size > MAX_DOCUMENT_BYTES:
            raise ArtifactError(where=beside, expected=f"at most {MAX_DOCUMENT_BYTES} bytes", got=str(source.size))
        document = source.read(0, source.size)
    stated = binding_of(document, beside)
    if stated is None:
        raise _not_of_this_file(path, "a document that names no artifact")
    size = _size(path)
    if stated.size != size:  # told without reading the file
        raise _not_of_this_file(path, f"a document of a file of {stated.size} bytes", f"{size} bytes")
    actual = bind(path)
    if stated != actual:
        raise _not_of_this_file(path, f"a document of {stated.digest}", actual.digest)
    return document


def _not_of_this_file(path: str, got: str, actual: str = "") -> ArtifactError:
    return ArtifactError(
        "the signature document beside the model is not of this file",
        where=sidecar_path(path),
        expected=f"one that states the SHA-256 and the size of {path}" + (f" ({actual})" if actual else ""),
        got=got,
        hint=f"Was the model saved again? Write its document anew: trimtab embed {path} --signature FILE",
    )


def _size(path: str) -> int:
    with LocalFile(path) as source:
        return source.size


def write_sidecar(path: str, signature: Signature) -> str:
    """Write the document of the file at `path` beside it, in one step, and give its path."""
    from trimtab.source.replace import replacing  # reading does not need it

    beside = sidecar_path(path)
    document = encode_document(signature, artifact=bind(path), indent=2)
    try:
        with replacing(beside) as temporary, open(temporary, "xb") as file:
            file.write(document)
    except OSError as failure:
        raise ArtifactError(where=beside, expected="a file that can be written", got=str(failure.strerror)) from None
    with LocalFile(beside) as source:
        if source.read(0, source.size) != document:
            raise ArtifactError(where=beside, expected="the document as written", got="other bytes")
    return beside


def bind(path: str) -> ArtifactBinding:
    """What a document says of the file at `path`. Reads all of it."""
    import hashlib  # 6 ms that a model without a document beside it need not wait for

    digest = hashlib.sha256()
    with LocalFile(path) as source:
        for start in range(0, source.size, _CHUNK):
            digest.update(source.read(start, min(_CHUNK, source.size - start)))
        return ArtifactBinding(digest=f"sha256:{digest.hexdigest()}", size=source.size)
