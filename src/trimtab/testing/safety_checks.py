"""Checks of what a format does with hostile files, and besides reading."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from trimtab.findings import Problem, rule
from trimtab.signature.document import encode_document
from trimtab.source.bytes import MemorySource
from trimtab.testing.damage import damaged
from trimtab.testing.subject import Cost, attempt, copied, measured
from trimtab.testing.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.source.bytes import ByteSource
    from trimtab.testing.subject import Subject

MAX_REPORTED = 5
"""How many damaged copies of one sample are reported."""


@rule("EXECUTES_NOTHING")
def executes_nothing(subject: Subject) -> Iterator[Problem]:
    """Reading runs no code of the file, starts no process, opens no connection, writes nothing, imports no framework.

    Who breaks: whoever inspects a file from a stranger; and everybody waits for the framework.
    Instead: parse bytes. Pickles are walked symbolically (`trimtab.source.pickle`), XML without DTD, YAML with the safe
    loader; zip archives by `trimtab.source.zip`.
    """
    for path in subject.every:
        seen: dict[str, None] = {}
        for watch in (Watch(code=False), Watch()):  # the first time, modules of the reader may still be imported
            with subject.opened(path) as source, watch:
                attempt(subject.format_.match, source)
                attempt(subject.read, source)
            seen.update(dict.fromkeys(watch.seen))
        for each in list(seen)[:MAX_REPORTED]:
            yield Problem(path, "reading does more than reading", "nothing", each)


@rule("SURVIVES_DAMAGE")
def survives_damage(subject: Subject) -> Iterator[Problem]:
    """A damaged file is read or refused with ArtifactError, soon and in little memory, and nothing of it is run.

    Files are cut everywhere, changed at random, and, where they are zip archives, changed inside of sound ones.
    Who breaks: commands over many files end at the first damaged one; servers can be stopped by one file.
    Instead: check every offset, count and size before it is used, and catch what parsers of others raise.
    """
    for path in subject.every:
        reported = 0
        for words, tried, cost, seen in _tries(subject, path):
            if problem := _against(subject, tried, cost, seen):
                yield Problem(path, f"{words}: {problem[0]}", problem[1], problem[2])
                reported += 1
            if reported == MAX_REPORTED:
                break


def _against(subject: Subject, foreign: str, cost: Cost, seen: list[str]) -> tuple[str, str, str] | None:
    if foreign:
        return "an exception of another family", "ArtifactError", foreign
    if cost.seconds > subject.seconds:
        return "it takes long", f"at most {subject.seconds} s of the processor's time", f"{cost.seconds:.1f} s"
    if cost.mebibytes > subject.mebibytes:
        return "it takes much memory", f"at most {subject.mebibytes} MiB", f"{cost.mebibytes} MiB"
    if seen:
        return "reading does more than reading", "nothing", seen[0]
    return None


def _tries(subject: Subject, path: str) -> Iterator[tuple[str, str, Cost, list[str]]]:
    """Every damaged copy: what was done to it, the foreign exception if any, what it cost, and what else it did."""
    if not os.path.isdir(path):
        with open(path, "rb") as file:
            data = file.read()
        for words, copy in damaged(data, subject.damages, subject.seed):
            yield words, *_tried(subject, MemorySource(copy, "damaged"))
        return
    with copied(path) as folder:
        with subject.opened(folder) as source:
            name, data = source.name, source.read(0, source.size)
        if not os.path.isfile(name):
            return
        for words, copy in damaged(data, subject.damages, subject.seed):
            with open(name, "wb") as file:
                file.write(copy)
            opened = attempt(getattr(subject.format_, "open_folder"), folder, seconds=subject.seconds)  # noqa: B009
            if opened.value is not None:
                with opened.value as source:
                    yield words, *_tried(subject, source)
            elif opened.foreign:
                yield words, opened.foreign, Cost(0, 0), []


def _tried(subject: Subject, source: ByteSource) -> tuple[str, Cost, list[str]]:
    costs: list[Cost] = []
    with measured(costs):
        watch = Watch(code=False)
        with watch:
            tried = attempt(_read, subject, source, seconds=subject.seconds)
    return tried.foreign, costs[0], watch.seen


def _read(subject: Subject, source: ByteSource) -> None:
    """Read as trimtab would, and write down what was read."""
    if subject.format_.match(source):
        subject.format_.declared(source)
        signature = subject.format_.derive(source)
        encode_document(signature)
        str(signature)
