"""Read new versions and those that they follow, in several processes, and compare them: thousands at a time.

One that cannot be read never stops the others. Of a chain of versions each is read once, the last one of a batch twice.
"""

from __future__ import annotations

from itertools import groupby
from time import perf_counter
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from trimtab.artifacts.processes import processors, worked_together
from trimtab.bundles.comparing.equal_files import FILE_FORMATS, equal_files
from trimtab.bundles.comparing.versions import InArtifact, Opened, Source
from trimtab.errors import ArtifactError, ContradictionError, RefusedArtifactError, TrimtabError
from trimtab.stability.gate import Candidate, changes_of, contradicted, without_signature
from trimtab.stability.order import READ_BY_POSITION

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Iterator, Sequence

    from trimtab.bundles.comparing.succession import Succession, Successor
    from trimtab.bundles.comparing.versions import Version
    from trimtab.signature.model import Signature
    from trimtab.stability.category import Category
    from trimtab.stability.change import Change, Seen
    from trimtab.stability.configuration import Configuration


class Held(Struct, frozen=True):
    """A new version that was held against the one that it follows.

    changes: what the category counts, weighed by the configuration; waivers are not asked. digest: of its signature,
    where there are changes. error: why it could not be compared.
    """

    successor: Successor
    changes: list[Change]
    digest: str = ""
    error: TrimtabError | None = None


def hold(
    succession: Succession,
    configuration: Configuration,
    today: datetime.date,
    *,
    category: Category | None = None,
    jobs: int | None = None,
    advance: Callable[[], None] = lambda: None,
) -> list[Held]:
    """Compare each new version with the one that it follows, and name for each change the command of its fork.

    One that is refused, or cannot be read, is not what the next is held against: so what is refused is what must go,
    and nothing else.

    category: instead of the one that the configuration gives each model. jobs: how many processes; by default as many
    as there are processors, or none but this one for few versions. advance: called after each version.
    Never raises for what cannot be read: the error is in the result. Where the old signature is not to be had, an
    equal digest is enough.
    """
    new = {each.new.name for each in succession.successors}
    tasks = [
        _task(each, category or configuration.category_of(each.model), old_is_new=_old_name(each) in new)
        for each in succession.successors
    ]
    held = []
    for successor, result in zip(succession.successors, _results(tasks, jobs), strict=True):
        advance()
        held.append(_weighed(successor, result, configuration))
    held = list(_held_again(held, configuration, today, category))
    return list(_with_forks(held, succession.taken))


def _weighed(successor: Successor, result: _Result, configuration: Configuration) -> Held:
    if isinstance(result, TrimtabError):
        return Held(successor, [], error=result)
    changes, digest = result
    return Held(successor, [configuration.weighed(change) for change in changes], digest)


def _held_again(
    held: Sequence[Held], configuration: Configuration, today: datetime.date, category: Category | None
) -> Iterator[Held]:
    """Hold what follows a version that is not accepted against what that one was held against, instead."""
    for model, of_model in groupby(held, lambda it: it.successor.model):
        before_rejected: dict[str, Version | None] = {}
        with Opened() as opened:
            reader = _Reader(opened)
            for each in of_model:
                again = each
                if _old_name(each.successor) in before_rejected:
                    successor = replace(each.successor, old=before_rejected[_old_name(each.successor)])
                    task = _task(successor, category or configuration.category_of(model), old_is_new=False)
                    again = _weighed(successor, _compare(task, reader), configuration)
                if again.error is not None or configuration.refuses(again.changes, today):
                    before_rejected[again.successor.new.name] = again.successor.old
                yield again


def _old_name(successor: Successor) -> str:
    return "" if successor.old is None else successor.old.name


class _Task(Struct, frozen=True, kw_only=True):
    """A pair to compare.

    old_is_new: whether the old one is also compared as a new one. old_digest: of the old one, where its place states
    it. same: whether there is nothing to read, because both places say enough.
    """

    model: str
    new: Source
    old: Source | None
    old_is_new: bool
    old_digest: str
    same: bool
    category: Category


def _task(successor: Successor, category: Category, *, old_is_new: bool) -> _Task:
    old = successor.old
    return _Task(
        model=successor.model,
        new=successor.new.source,
        old=old.source if old is not None else None,
        old_is_new=old_is_new,
        old_digest=old.digest if old is not None else "",
        same=_same(successor),
        category=category,
    )


_Result: TypeAlias = "tuple[list[Change], str] | TrimtabError"
"""The changes, and the new signature's digest where there are any; or why there is nothing to compare."""

_NOTHING: tuple[list[Change], str] = ([], "")


def _same(successor: Successor) -> bool:
    """Whether both sides state one digest, and nothing that the digest leaves out can differ."""
    new, old = successor.new, successor.old
    if old is None or not old.digest or old.digest != new.digest:
        return False
    return old.source.key == new.source.key or new.format not in READ_BY_POSITION


_WORTH_PROCESSES_S = 0.5
"""Processes are started where the rest would take this one longer; to start them takes a third of it."""

_BATCH = 32


def _results(tasks: Sequence[_Task], jobs: int | None) -> Iterator[_Result]:
    """The result of each task, in order. How long a task takes is seen from the first ones."""
    batches = [tasks[start : start + _BATCH] for start in range(0, len(tasks), _BATCH)]
    most = min(processors() if jobs is None else jobs, len(batches))
    began = perf_counter()
    for done, batch in enumerate(batches):
        ahead_s = (perf_counter() - began) / done * (len(batches) - done) if done else 0.0
        if most > 1 and (jobs is not None or ahead_s > _WORTH_PROCESSES_S):
            yield from _in_processes(batches[done:], most)
            return
        yield from _compare_batch(batch)


def _in_processes(batches: Sequence[Sequence[_Task]], jobs: int) -> Iterator[_Result]:
    from concurrent.futures.process import BrokenProcessPool

    try:
        for results in worked_together(_compare_batch, batches, jobs, preload=__name__):
            yield from results
    except (BrokenProcessPool, OSError) as failure:
        raise TrimtabError(
            "a process that reads artifacts ended, or could not be started",
            got=str(failure),
            hint="Was it killed for its memory? Try --jobs 1.",
        ) from None


def _compare_batch(batch: Sequence[_Task]) -> list[_Result]:
    """Compare neighbors, and read what two of them share once."""
    with Opened() as opened:
        reader = _Reader(opened)
        return [_compare(task, reader) for task in batch]


def _compare(task: _Task, reader: _Reader) -> _Result:
    if task.same:
        return _NOTHING
    new = reader.read(task.new)
    if isinstance(new, TrimtabError):
        wrong = _as_seen(new)
        return (changes_of(Candidate(task.model, None, wrong), task.category), "") if wrong is not None else new
    stated_alike = bool(task.old_digest) and task.old_digest == new.digest
    if task.old is None or (stated_alike and new.provenance.format not in READ_BY_POSITION):
        return _NOTHING
    if _one_file_twice(task.old, task.new, new.provenance.format):
        return _NOTHING
    old = reader.read(task.old)
    if isinstance(old, TrimtabError):
        return _NOTHING if task.old_is_new or stated_alike else old
    if _written_alike(old, new):
        return _NOTHING
    changes = changes_of(Candidate(task.model, old, new), task.category)
    return (changes, new.digest) if changes else _NOTHING


def _one_file_twice(old: Source, new: Source, format_: str) -> bool:
    """Whether both are files of equal bytes, of a format whose signatures follow from these alone."""
    if not isinstance(old, InArtifact) or not isinstance(new, InArtifact):
        return False
    return format_ in FILE_FORMATS and equal_files(old.path, new.path)


def _written_alike(old: Signature, new: Signature) -> bool:
    """Whether all that two signatures say of the calls is equal in every byte, so that there is nothing to compare.

    Ten times as quick as their digests, which tell what remains.
    """
    try:
        one, other = (msgspec.msgpack.encode((it.default_entry_point, it.entry_points)) for it in (old, new))
    except (OverflowError, UnicodeEncodeError):  # an integer of more than 64 bits, or half a character
        return False
    return one == other


class _Reader:
    """Signatures, each read once."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._read: dict[tuple[str, str], Signature] = {}
        self._failed: dict[Source, TrimtabError] = {}

    def read(self, source: Source) -> Signature | TrimtabError:
        """The signature, or why it cannot be read."""
        if (signature := self._read.get(source.key)) is not None:
            return signature
        if source not in self._failed:
            try:
                return self._read.setdefault(source.key, source.read(self._opened))
            except TrimtabError as failure:
                self._failed[source] = failure
            except Exception as failure:  # noqa: BLE001  # a fault of ours or of a plug-in must not stop the others
                self._failed[source] = _fault(source, failure)
        return self._failed[source]


def _fault(source: Source, failure: Exception) -> ArtifactError:
    return ArtifactError(
        "reading it failed in a way that was not foreseen",
        where=source.key[0],
        got=f"{type(failure).__name__}: {failure}",
        hint="This is a fault of trimtab or of a format plug-in. Please report it, with the file if you can.",
    )


def _as_seen(failure: TrimtabError) -> Seen | None:
    """What is wrong with a signature, as a rule sees it; None for what is no matter of signatures."""
    if isinstance(failure, ContradictionError):
        return contradicted(failure.got, failure.expected)
    if isinstance(failure, RefusedArtifactError):
        return without_signature(failure.problem)
    return None


def _with_forks(held: Sequence[Held], taken: frozenset[str]) -> Iterator[Held]:
    """Name the command that forks each version that changed, together with those of its model that are like it."""
    alike: dict[tuple[str, str], list[Version]] = {}
    for each in held:
        if each.successor.new.repository and any(change.declaration.forks for change in each.changes):
            alike.setdefault((each.successor.model, each.digest), []).append(each.successor.new)
    if not alike:
        yield from held
        return
    from trimtab.bundles.forking.fork import fork_command, fork_name, names_in  # mostly there is nothing to fork

    repositories = {versions[0].repository for versions in alike.values()}
    names = set(taken).union(*map(names_in, repositories))
    commands: dict[tuple[str, str], str] = {}
    for (model, digest), versions in alike.items():
        name = fork_name(model, names)
        names.add(name)
        numbers = [each.number for each in versions[:_MOST_VERSIONS]]
        commands[model, digest] = fork_command(versions[0].repository, model, name, *numbers)
    for each in held:
        command = commands.get((each.successor.model, each.digest), "")
        changes = [replace(change, fork=command if change.declaration.forks else "") for change in each.changes]
        yield replace(each, changes=changes) if changes else each


_MOST_VERSIONS = 20
"""That one command names; the rest shows when the gate is asked again."""
