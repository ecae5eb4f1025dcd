"""Rules about signature documents: that one is there, is of this artifact, can be read, and agrees with the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.artifacts.path_index import PathIndex
from trimtab.findings import Level, Problem, rule
from trimtab.signature.model import Presence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.artifacts.verifying.facts import Facts
    from trimtab.errors import ArtifactError


@rule("SIGNATURE_CONTRADICTED")
def signature_contradicted(facts: Facts) -> Iterator[Problem]:
    """What an artifact declares of its inputs and outputs is what its own graph says.

    Every name, place, dtype, rank and fixed size that both sides state is compared, and each difference is a finding.
    What either side leaves open contradicts nothing; sizes seen in example inputs bind nobody.
    Who breaks: everybody who trusts the document: roots send what the model refuses, or do not send what it needs.
    Instead: correct the document, or embed what the graph says: `trimtab embed FILE --derive`.
    """
    for each in facts.contradictions:
        yield _as_problem(each)


@rule("DOCUMENT_UNREADABLE")
def document_unreadable(facts: Facts) -> Iterator[Problem]:
    """The signature document of an artifact is strict JSON of a known version, and agrees with itself.

    Its digests and its lists of names repeat what its entry points say, so that a change by hand shows.
    Who breaks: every reader refuses the artifact, and so does every bundle and leaf.
    Instead: embed the document again: `trimtab embed FILE --signature S`, or `--derive`.
    """
    if facts.document.unreadable is not None:
        yield _as_problem(facts.document.unreadable)


@rule("DOCUMENT_STALE")
def document_stale(facts: Facts) -> Iterator[Problem]:
    """A signature document beside a file is of that very file: the digest and size that it states are the file's.

    Who breaks: every reader refuses the pair, since the model was saved again after the document was written, or either
    was copied without the other.
    Instead: write the document anew: `trimtab embed FILE --signature S`.
    """
    if facts.document.stale is not None:
        yield _as_problem(facts.document.stale)


@rule("DOCUMENT_SHADOWED", level=Level.WARNING)
def document_shadowed(facts: Facts) -> Iterator[Problem]:
    """An artifact has one signature document: inside, or beside it where the format has no room.

    Who breaks: people who edit the document beside the file: the one inside counts, and theirs is never read.
    Instead: embed what should count, and delete the file beside.
    """
    if facts.shadowed:
        yield Problem(facts.shadowed, "a document beside an artifact that has one inside, which counts")


@rule("DOCUMENT_FOREIGN", level=Level.WARNING)
def document_foreign(facts: Facts) -> Iterator[Problem]:
    """A file under the name of the signature document is one: a JSON object with `input_names` and `output_names`.

    Who breaks: whoever put it there and expects it to be read: it is ignored.
    Instead: give it both keys, or another name.
    """
    if facts.document.foreign:
        yield Problem(facts.document.place, "ignored", "the keys input_names and output_names", "another object")


@rule("INPUT_OPTIONAL", level=Level.WARNING)
def input_optional(facts: Facts) -> Iterator[Problem]:
    """An input that the graph requires is not declared optional, unless the document gives a default for it.

    Who breaks: callers that leave it out, as the document allows: the model refuses their requests.
    Instead: declare it required, or state the default that is to stand for it.
    """
    if facts.derived is None or facts.signature is None:
        return
    graph = {each.name: each for each in facts.derived.entry_points}
    for entry_point in facts.signature.entry_points:
        if entry_point.name not in graph:
            continue
        needed = [
            PathIndex((it.call_path, it) for it in overload.inputs if it.presence is Presence.REQUIRED)
            for overload in graph[entry_point.name].overloads[:1]
        ]
        for value in entry_point.overloads[0].inputs:
            if value.presence is Presence.OPTIONAL and value.default is None and needed[0].at(value.call_path):
                where = f"{facts.place}: {entry_point.name}: input {value.name!r}"
                yield Problem(where, "declared optional without a default", "required, as in the graph", "optional")


@rule("DOCUMENT_MISSING", level=Level.NOTE)
def document_missing(facts: Facts) -> Iterator[Problem]:
    """An artifact carries its signature document, so that what it declares is the exporter's word.

    Without one, the signature is what the graph says: often without names for outputs, ranges, categories and defaults,
    and read anew by every version of the reader.
    Who breaks: nobody. Reading a large or remote artifact takes longer.
    Instead: `trimtab embed FILE --derive`, or export with `trimtab.torch.save`, `trimtab.onnx.save` and their like.
    """
    if not facts.document.place and facts.format != "document":
        yield Problem(facts.place, "no signature document inside or beside")


def _as_problem(error: ArtifactError) -> Problem:
    return Problem(error.where, error.problem, error.expected, error.got)
