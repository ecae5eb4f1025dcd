"""Write a signature into the artifact that it describes, and read it back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from msgspec.structs import replace

from trimtab.artifacts.compare import reconcile
from trimtab.artifacts.limits import check_document
from trimtab.artifacts.read import as_artifact_error
from trimtab.artifacts.registry import open_artifact
from trimtab.artifacts.sidecar import write_sidecar
from trimtab.errors import ArtifactError, RefusedArtifactError, SignatureError
from trimtab.signature.document import decode_document, encode_document
from trimtab.signature.model import Learned

if TYPE_CHECKING:
    from trimtab.artifacts.format import Format
    from trimtab.signature.model import Signature
    from trimtab.source.bytes import ByteSource


def embed_signature(path: str | os.PathLike[str], signature: Signature, *, beside: bool = False) -> str:
    """Make `signature` the one that the artifact declares, in place of the one before, and give the document's place.

    beside: write the document beside the file (`NAME.signature.json`, bound to the file's digest) though the format has
    room for it. Where it has none, that is what happens anyway. Refused where a document is inside already, which
    counts before any beside it.

    A signature that contradicts the artifact's graph, or that could not be read back, is refused before anything is
    written (ContradictionError, ArtifactError). What is written is read back and compared. The cost does not grow with
    the weights, but for a document beside the file, and in formats whose weights must move to make room (safetensors,
    GGUF). However the write ends, the file is the old artifact or the new one, or (ONNX and CoreML above 64 MiB, killed
    in mid-write) says how to restore the old one.

    Raises ArtifactError when the file cannot be read or written.
    """
    name = os.fspath(path)
    if "://" in name and not os.path.exists(name):
        from trimtab.source.object_url import public_name

        raise ArtifactError(
            "a signature is embedded into a file of this machine, not into an object of a store",
            where=public_name(name),
            hint="Fetch the object, embed the signature, and put the file in its place.",
        )
    format_, source = open_artifact(name)
    with source:
        if beside and format_.declared(source) is not None:
            raise ArtifactError(
                "the artifact holds a signature document, which counts before one beside it",
                where=name,
                hint=f"Replace the one inside: trimtab embed {name} without --beside",
            )
        signature = _declared(_completed(signature, format_, source))
    document = encode_document(signature)
    place = f"{name}: the signature to embed"
    check_document(document, place)
    try:
        decode_document(document, place, just_encoded=True)
    except SignatureError as failure:
        raise as_artifact_error(failure, place) from None
    if not beside and _written_inside(name, format_, document):
        return name
    if os.path.isdir(name):
        raise ArtifactError(
            where=name, expected="a model file", got="a folder, beside which no document can be bound to its content"
        )
    return write_sidecar(name, signature)


def _written_inside(name: str, format_: Format, document: bytes) -> bool:
    """Embed the document and read it back. False, and nothing done, where there is no room for it."""
    embed = getattr(format_, "embed", None)
    if embed is None:
        return False
    try:
        embed(name, document)
    except RefusedArtifactError:
        return False  # a format that has room in some files only
    format_, source = open_artifact(name)
    with source:
        written = format_.declared(source)
    if written != document:
        raise ArtifactError(
            "the signature read back is not the one written",
            where=name,
            expected=f"{len(document)} bytes",
            got="none" if written is None else f"{len(written)} other bytes",
            hint="Did another process write to the file? Embed again.",
        )
    return True


def _declared(signature: Signature) -> Signature:
    """The signature as a declaration: wherever it was learned, the artifact now states it."""
    return replace(signature, provenance=replace(signature.provenance, learned=Learned.DECLARED))


def _completed(signature: Signature, format_: Format, source: ByteSource) -> Signature:
    """The signature, checked against the artifact's graph and completed from it."""
    try:
        derived = format_.derive(source)
    except RefusedArtifactError:
        return signature  # the artifact says nothing itself
    if signature == derived:
        return signature
    return reconcile(signature, derived, source.name)
