"""What the rules look at: an artifact's graph, its signature document, and the two compared, worked out once."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from trimtab.artifacts.compare import contradictions, reconcile
from trimtab.artifacts.limits import check_document
from trimtab.artifacts.read import as_artifact_error
from trimtab.artifacts.sidecar import read_sidecar, sidecar_path
from trimtab.errors import ArtifactError, ContradictionError, RefusedArtifactError, SignatureError
from trimtab.signature.document import FILE_NAME, decode_if_document
from trimtab.source.bytes import LocalFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.artifacts.format import Format
    from trimtab.signature.model import Input, Overload, Signature
    from trimtab.source.bytes import ByteSource


class Document(NamedTuple):
    """A signature document: where it lies, what it states, and why it cannot be read or does not count.

    place: empty where there is none. signature: None where there is none to be had. foreign: it is a file of the name
    that lacks the keys of a document, and is ignored.
    """

    place: str = ""
    signature: Signature | None = None
    unreadable: ArtifactError | None = None
    stale: ArtifactError | None = None
    foreign: bool = False


class Facts(NamedTuple):
    """An artifact under verification.

    derived: what its own graph says; None where the format says nothing of inputs and outputs. signature: what the
    rules about names and values look at: the declared one where there is one, completed from the graph.
    """

    place: str
    format: str
    derived: Signature | None
    document: Document
    shadowed: str
    contradictions: tuple[ContradictionError, ...]
    signature: Signature | None

    @property
    def followed(self) -> Signature | None:
        """The signature that has what following the graph gave: the graph's own where the document contradicts it."""
        return self.derived if self.contradictions and self.derived is not None else self.signature

    def overloads(self, signature: Signature | None = None) -> Iterator[tuple[str, Overload]]:
        """Every way to call the model, or that of another signature of it, each with its place."""
        signature = signature or self.signature
        for entry_point in signature.entry_points if signature else ():
            several = len(entry_point.overloads) > 1
            for number, overload in enumerate(entry_point.overloads):
                place = f"{self.place}: {entry_point.name}"
                yield f"{place}, overload {overload.name or number}" if several else place, overload

    def inputs(self, signature: Signature | None = None) -> Iterator[tuple[str, Input]]:
        """Every input of every overload, each with its place."""
        for place, overload in self.overloads(signature):
            for value in overload.inputs:
                yield f"{place}: input {value.name!r}", value


def gather(format_: Format, source: ByteSource) -> Facts:
    """The facts of an artifact.

    ArtifactError where it cannot be read at all: damaged, or of a kind that is refused and without a document.
    """
    document, shadowed = _document(format_, source)
    derived: Signature | None = None
    found: tuple[ContradictionError, ...] = ()
    try:
        derived = format_.derive(source)
    except ContradictionError as contradiction:  # two places of the artifact itself disagree
        found = (contradiction, *contradiction.others)
    except RefusedArtifactError:
        if not document.place:
            raise
    except SignatureError as failure:
        raise as_artifact_error(failure, source.name) from None
    signature = document.signature or derived
    if document.signature is not None and derived is not None:
        found = contradictions(document.signature, derived, source.name)
        with suppress(ContradictionError):
            signature = reconcile(document.signature, derived, source.name)
    return Facts(source.name, format_.name, derived, document, shadowed, found, signature)


def _document(format_: Format, source: ByteSource) -> tuple[Document, str]:
    """The document that counts, and the place of one beside the file that does not."""
    data = format_.declared(source)
    beside = sidecar_path(source.name) if isinstance(source, LocalFile) else ""
    if not os.path.lexists(beside):
        beside = ""
    if data is not None:
        return _decoded(data, f"{source.name}: {FILE_NAME}"), beside
    if not beside:
        return Document(), ""
    try:
        data = read_sidecar(source.name)
    except ArtifactError as failure:
        return Document(beside, stale=failure), ""
    except SignatureError as failure:
        return Document(beside, unreadable=as_artifact_error(failure, beside)), ""
    return _decoded(data or b"", beside), ""


def _decoded(data: bytes, place: str) -> Document:
    try:
        check_document(data, place)
        signature = decode_if_document(data, place)
    except SignatureError as failure:
        return Document(place, unreadable=as_artifact_error(failure, place))
    except ArtifactError as failure:
        return Document(place, unreadable=failure)
    return Document(place, signature, foreign=signature is None)
