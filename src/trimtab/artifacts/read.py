"""Read the signature of an artifact: what it declares and what its graph says, compared and joined."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec.structs import replace

from trimtab.artifacts.limits import check_document
from trimtab.artifacts.registry import find_format, open_artifact
from trimtab.artifacts.sidecar import read_sidecar
from trimtab.errors import ArtifactError, RefusedArtifactError, SignatureError
from trimtab.signature.document import FILE_NAME, decode_if_document
from trimtab.source.bytes import ByteSource, LocalFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.artifacts.format import Format
    from trimtab.signature.model import Signature


def read_signature(artifact: str | os.PathLike[str] | ByteSource, *, compare: bool | None = None) -> Signature:
    """The signature of a model file, folder or object under a URL, read without its framework.

    artifact: a path, a URL (s3://, gs://, az://, https://, http://; needs the extra `remote`), or a byte source. The
    content decides what it is, never the name; a SavedModel is a folder.
    compare: whether an embedded signature is compared with the artifact's graph. By default it is, but not under a URL,
    where the graph costs more requests; a note in the provenance then says so.

    An embedded signature document, or one beside the file (`NAME.signature.json`), is the answer when there is one,
    once the artifact's own graph does not contradict it; what only the graph knows is added to it. Otherwise the answer
    is what the graph says, and `signature.provenance.learned` says so.

    Raises RefusedArtifactError for kinds that are not read on purpose (pickles, for example), ContradictionError where
    document and graph disagree, and ArtifactError for everything damaged, hostile or unknown.
    Cost: the bytes of the signature, not of the weights. Nothing is executed or unpickled; no framework is imported.
    """
    with opened(artifact) as (format_, source):
        return read_from(format_, source, compare=compare)


def derive_signature(artifact: str | os.PathLike[str] | ByteSource) -> Signature:
    """What a model's own graph says, whatever document is embedded in it. Errors as of `read_signature`."""
    with opened(artifact) as (format_, source):
        return format_.derive(source)


@contextmanager
def opened(
    artifact: str | os.PathLike[str] | ByteSource, *, anonymous: bool = False
) -> Iterator[tuple[Format, ByteSource]]:
    """The format and the open source of an artifact, closed afterwards unless it was given as a source.

    anonymous: of a URL, look for no credentials. A SignatureError within becomes an ArtifactError of this artifact.
    """
    if isinstance(artifact, ByteSource):
        with _as_artifact_errors(artifact.name):
            yield find_format(artifact), artifact
        return
    path = os.fspath(artifact)
    with _as_artifact_errors(public_path(path)):
        format_, source = open_artifact(path, anonymous=anonymous)
        with source:
            yield format_, source


def public_path(path: str) -> str:
    """A path as it is, and a URL without password and query."""
    if "://" not in path:
        return path
    from trimtab.source.object_url import public_name

    return public_name(path)


@contextmanager
def _as_artifact_errors(place: str) -> Iterator[None]:
    try:
        yield
    except SignatureError as failure:
        raise as_artifact_error(failure, place) from None


def read_from(format_: Format, source: ByteSource, *, compare: bool | None = None) -> Signature:
    """`read_signature` for a source whose format is known."""
    document, note = _declared(format_, source)
    if document is None:
        return _noted(format_.derive(source), note)
    if not (not source.remote if compare is None else compare):
        return _noted(_of_format(document, format_), _NOT_COMPARED.format(source.name))
    try:
        derived = format_.derive(source)
    except RefusedArtifactError:
        # The artifact says nothing itself: its document is all there is.
        return _of_format(document, format_)
    from trimtab.artifacts.compare import reconcile  # only for artifacts with a document

    return reconcile(document, derived, source.name)


_NOT_COMPARED = "the embedded signature was not compared with the model's graph; this does: trimtab verify {}"


def _of_format(document: Signature, format_: Format) -> Signature:
    return replace(document, provenance=replace(document.provenance, format=format_.name))


def as_artifact_error(failure: SignatureError, place: str) -> ArtifactError:
    """A signature error met inside an artifact, as the error of the artifact."""
    where = failure.where if failure.where.startswith(place) else f"{place}: {failure.where}".removesuffix(": ")
    return ArtifactError(failure.problem, where=where, expected=failure.expected, got=failure.got, hint=failure.hint)


def _declared(format_: Format, source: ByteSource) -> tuple[Signature | None, str]:
    """The embedded signature, or None; and a note where a file of that name is something else."""
    data = format_.declared(source)
    if data is None and isinstance(source, LocalFile):
        data = read_sidecar(source.name)
    if data is None:
        return None, ""
    where = f"{source.name}: {FILE_NAME}"
    check_document(data, where)
    try:
        document = decode_if_document(data, where)
    except SignatureError as failure:
        raise as_artifact_error(failure, where) from None
    if document is None:
        return None, f"the embedded {FILE_NAME} lacks input_names or output_names and is ignored"
    return document, ""


def _noted(signature: Signature, note: str) -> Signature:
    if not note:
        return signature
    provenance = replace(signature.provenance, notes=(*signature.provenance.notes, note))
    return replace(signature, provenance=provenance)
