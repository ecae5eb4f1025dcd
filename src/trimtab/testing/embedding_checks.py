"""Checks of a format that has room for a signature document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.errors import RefusedArtifactError
from trimtab.findings import Problem, rule
from trimtab.testing.subject import attempt, copied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trimtab.source.bytes import ByteSource
    from trimtab.testing.subject import Attempt, Subject

_NAMES = rb'["user_age", "gr\u00f6\u00dfe", "a \"b\" <c> & d\\e", "' + 'größe"]'.encode()
_DOCUMENT = b'{"input_names": ' + _NAMES + b', "output_names": ["score"], "n": %d}'
DOCUMENTS = (_DOCUMENT % 1, _DOCUMENT % 2, b'{"input_names": [], "output_names": [], "doc": "%s"}' % (b"x" * 70_000))
"""Documents to embed, one after the other: with what formats must escape, and longer than most windows and headers."""


@rule("EMBEDS_DOCUMENT")
def embeds_document(subject: Subject) -> Iterator[Problem]:
    """What `embed` writes is what `declared` reads, byte for byte; a second document takes the place of the first.

    A format that has room in some files only raises RefusedArtifactError for the others, and leaves them as they are.
    Who breaks: `trimtab embed`, which reads back what it wrote and refuses what is not the same.
    Instead: leave `embed` out where the format has no room: the document then lies beside the file.
    """
    embed = _embed(subject)
    if embed is None:
        return
    for path in subject.every:
        with copied(path) as copy:
            before = attempt(_read, subject, copy, _all_of)
            for document in (*DOCUMENTS, DOCUMENTS[0], DOCUMENTS[0]):
                written = attempt(embed, copy, document)
                if isinstance(written.error, RefusedArtifactError):
                    if attempt(_read, subject, copy, _all_of).value != before.value:
                        yield Problem(path, "changed by an embedding that it refuses", "the file as it was", "another")
                    break
                read = attempt(_read, subject, copy, subject.format_.declared)
                if written.error is not None or read.value != document:
                    yield Problem(path, "not the document that was embedded", _short(document), _got(written, read))
                    break


@rule("EMBEDDING_KEEPS_MODEL")
def embedding_keeps_model(subject: Subject) -> Iterator[Problem]:
    """A file with a document inside is still of the format, and its own graph says the same as before.

    Who breaks: the framework may not load what was embedded into. Test that with the framework itself.
    Instead: write where the format leaves room, and let nothing else move.
    """
    embed = _embed(subject)
    if embed is None:
        return
    for path in subject.every:
        with copied(path) as copy:
            before = attempt(_read, subject, copy, _contract(subject))
            if attempt(embed, copy, DOCUMENTS[0]).error is not None:
                continue  # told by EMBEDS_DOCUMENT
            matched = attempt(_read, subject, copy, subject.format_.match)
            after = attempt(_read, subject, copy, _contract(subject))
        if matched.value is not True:
            yield Problem(path, "not recognized with a document inside", "match to be True", _got(matched, matched))
        elif before.value != after.value or type(before.error) is not type(after.error):
            yield Problem(path, "another signature with a document inside", str(before.value), _got(after, after))


def _embed(subject: Subject) -> Callable[[str, bytes], None] | None:
    embed: Callable[[str, bytes], None] | None = getattr(subject.format_, "embed", None)
    return embed


def _contract(subject: Subject) -> Callable[..., str]:
    return lambda source: subject.format_.derive(source).digest


def _read(subject: Subject, path: str, read: Callable[..., object]) -> object:
    with subject.opened(path) as source:
        return read(source)


def _all_of(source: ByteSource) -> bytes:
    return source.read(0, source.size)


def _short(document: bytes) -> str:
    return f"{len(document)} bytes: {document[:60]!r}"


def _got(first: Attempt, second: Attempt) -> str:
    error = first.error or second.error
    if error is not None:
        return f"{type(error).__name__}: {str(error)[:300]}"
    return _short(second.value) if isinstance(second.value, bytes) else repr(second.value)[:200]
