"""Read new versions and those that they follow, in several processes, and compare them: thousands at a time.

One that cannot be read never stops the others. Of a chain of versions each is read once.
"""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from trimtab.bundles.forking import fork_command, fork_name
from trimtab.bundles.versions import Opened, Source
from trimtab.errors import ArtifactError, ContradictionError, RefusedArtifactError, TrimtabError
from trimtab.stability.gate import Candidate, changes_of, contradicted, without_signature
from trimtab.stability.order import READ_BY_POSITION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future, ProcessPoolExecutor

    from trimtab.bundles.succession import Succession, Successor
    from trimtab.signature.model import Signature
    from trimtab.stability.category import Category
    from trimtab.stability.change import Change, Seen


class Held(Struct, frozen=True):
    """A new version that was held against the one that it follows.

    changes: what the category counts, at the rules' own levels. error: why it could not be compared.
    """

    successor: Successor
    changes: list[Change]
    error: TrimtabError | None = None


def hold(
    succession: Succession,
    category_of: Callable[[str], Category],
    *,
    jobs: int | None = None,
    advance: Callable[[], None] = lambda: None,
) -> list[Held]:
    """Compare each new version with the one that it follows, and name for each change the command of its fork.

    category_of: what each model is held to. jobs: how many processes; by default as many as there are processors, or
    none but this one for few versions. advance: called after each version.
    Never raises for what cannot be read: the error is in the result. A version that follows one which is itself new
    and cannot be read is not compared, and has no error of its own. Where the old signature is not to be had, an equal
    digest is enough.
    """
    successors = succession.successors
    new = {each.new.name for each in successors}
    tasks = [
        _Task(
            model=each.model,
            new=each.new.source,
            old=each.old.source if each.old is not None else None,
            old_is_new=each.old is not None and each.old.name in new,
            old_digest=each.old.digest if each.old is not None else "",
            same=_same(each),
            category=category_of(each.model),
        )
        for each in successors
    ]
    held = []
    for successor, result in zip(successors, _results(tasks, jobs), strict=True):
        advance()
        error = result if isinstance(result, TrimtabError) else None
        held.append(Held(successor, [] if isinstance(result, TrimtabError) else result, error))
    return list(_with_forks(held, succession.taken))


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


_Result: TypeAlias = "list[Change] | TrimtabError"


def _same(successor: Successor) -> bool:
    """Whether both sides state one digest, and nothing that the digest leaves out can differ."""
    new, old = successor.new, successor.old
    if old is None or not old.digest or old.digest != new.digest:
        return False
    return old.source.key == new.source.key or new.format not in READ_BY_POSITION


_WORTH_PROCESSES = 1500
"""Starting processes takes as long as comparing so many small artifacts."""

_BATCH = 64


def _results(tasks: Sequence[_Task], jobs: int | None) -> Iterator[_Result]:
    """The result of each task, in order."""
    if jobs is None:
        jobs = _processors() if len(tasks) >= _WORTH_PROCESSES else 1
    jobs = min(jobs, -(-len(tasks) // _BATCH))
    batches = [tasks[start : start + _BATCH] for start in range(0, len(tasks), _BATCH)]
    if jobs <= 1:
        for batch in batches:
            yield from _compare_batch(batch)
    else:
        yield from _in_processes(batches, jobs)


def _in_processes(batches: Sequence[Sequence[_Task]], jobs: int) -> Iterator[_Result]:
    from concurrent.futures.process import BrokenProcessPool

    waiting = deque(batches)
    running: deque[Future[list[_Result]]] = deque()
    pool = _pool(jobs)
    try:
        while waiting or running:
            while waiting and len(running) < 4 * jobs:
                running.append(pool.submit(_compare_batch, waiting.popleft()))
            yield from running.popleft().result()
    except (BrokenProcessPool, OSError) as failure:
        raise TrimtabError(
            "a process that reads artifacts ended, or could not be started",
            got=str(failure),
            hint="Was it killed for its memory? Try --jobs 1.",
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _pool(jobs: int) -> ProcessPoolExecutor:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    context.set_forkserver_preload([__name__])
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=_leave_interrupts)


def _leave_interrupts() -> None:
    """Ctrl-C reaches every process of the terminal: the one that was typed to ends the others."""
    import gc
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.set_threshold(50_000)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _compare_batch(batch: Sequence[_Task]) -> list[_Result]:
    """Compare neighbors, and read what two of them share once."""
    with Opened() as opened:
        reader = _Reader(opened)
        return [_compare(task, reader) for task in batch]


def _compare(task: _Task, reader: _Reader) -> _Result:
    if task.same:
        return []
    new = reader.read(task.new)
    if isinstance(new, TrimtabError):
        wrong = _as_seen(new)
        return changes_of(Candidate(task.model, None, wrong), task.category) if wrong is not None else new
    if task.old is None or (task.old_digest == new.digest and new.provenance.format not in READ_BY_POSITION):
        return []
    old = reader.read(task.old)
    if isinstance(old, TrimtabError):
        known = task.old_is_new or task.old_digest == new.digest
        return [] if known else old
    if _written_alike(old, new):
        return []
    return changes_of(Candidate(task.model, old, new), task.category)


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
    """Name the command that forks each version that changed, and with it those that follow it unchanged."""
    names = set(taken)
    for position, each in enumerate(held):
        if not each.successor.new.repository or not any(change.declaration.forks for change in each.changes):
            yield each
            continue
        versions = [each.successor.new.number, *_unchanged_after(held, position)]
        name = fork_name(each.successor.model, names)
        names.add(name)
        command = fork_command(each.successor.new.repository, each.successor.model, name, *versions)
        changes = [replace(change, fork=command) if change.declaration.forks else change for change in each.changes]
        yield replace(each, changes=changes)


_MOST_VERSIONS = 20
"""That one command names; the rest shows when the gate is asked again."""


def _unchanged_after(held: Sequence[Held], position: int) -> Iterator[int]:
    before = held[position].successor.new
    for each in held[position + 1 : position + _MOST_VERSIONS]:
        if each.changes or each.error is not None or each.successor.old != before:
            return
        before = each.successor.new
        yield before.number
