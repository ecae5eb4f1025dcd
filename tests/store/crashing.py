"""Run an operation on a store again and again, each time killed at another call that writes.

    python crashing.py OPERATION FOLDER            killed in Python, at the calls of `os` that the storage makes
    python crashing.py OPERATION FOLDER --strace   run under strace, which kills at system calls

FOLDER holds `1`, `2`, … with equal stores, each of which is for one child, forked so that Python starts once. Prints
the numbers of those whose child was killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from store_making import NEW, NEXT, OLD, a_signature, begin, documents, start

from trimtab.bundles.store import local, publishing
from trimtab.bundles.store.acknowledged import Acknowledgment, acknowledge
from trimtab.bundles.store.local import LocalStorage
from trimtab.bundles.store.pointers import Pointer, Stage, Tier
from trimtab.bundles.store.publishing import publish
from trimtab.bundles.store.store import Store

WRITING = ("open", "write", "fsync", "link", "replace", "unlink", "mkdir")


def init(folder: Path) -> None:
    Store.create(LocalStorage(folder / "made" / "store"))


def publish_one(folder: Path) -> None:
    named = documents(a_signature("a", "b"))
    publish(_store(folder), NEW, named.get)


def append(folder: Path) -> None:
    store = _store(folder)
    head = store.head("ads")
    assert head is not None
    if head.number == 1:
        assert store.append(start(head, NEXT.digest))


def acknowledge_one(folder: Path) -> None:
    said = Acknowledgment(entry=1, in_force=Pointer(OLD.digest))
    acknowledge(_store(folder), "ads", Tier.ROOT, Stage.CANARY, instance="root-1", said=said)


def replace(folder: Path) -> None:
    said = Acknowledgment(entry=1, in_force=Pointer(OLD.digest))
    acknowledge(_store(folder), "ads", Tier.LEAF, Stage.CANARY, instance="leaf-1", said=said)


OPERATIONS: dict[str, Callable[[Path], None]] = {
    "init": init,
    "publish": publish_one,
    "append": append,
    "acknowledge": acknowledge_one,
    "replace": replace,
}


def prepare(folder: Path) -> None:
    """The store before any of the operations: a bundle in force, another one published, and one instance's word."""
    store = Store.create(LocalStorage(folder / "store"))
    publish(store, OLD, documents(a_signature("a")).get)
    store.put_bundle(NEXT)
    assert store.append(begin())
    said = Acknowledgment(entry=1, in_force=Pointer(None))
    acknowledge(store, "ads", Tier.LEAF, Stage.CANARY, instance="leaf-1", said=said)


def _store(folder: Path) -> Store:
    return Store(LocalStorage(folder / "store"))


class CountedCalls:
    """The module `os` for the storage. `at` is called instead of the `number`-th call that writes, with that call."""

    def __init__(self, number: int, at: Callable[[str, Callable[[], Any]], Any]) -> None:
        self.number = number
        self.at = at
        self.made: list[str] = []
        self.lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return self._counted(name, real) if name in WRITING else real

    def _counted(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if name == "open" and not arguments[1] & os.O_CREAT:
                return real(*arguments, **named)
            with self.lock:
                self.made.append(name)
                here = len(self.made) == self.number
            if not here:
                if name == "write":
                    return real(arguments[0], arguments[1][:100])  # a short write, as the system is free to make
                return real(*arguments, **named)

            def half() -> Any:
                return real(arguments[0], arguments[1][:7]) if name == "write" else None

            return self.at(name, half)

        return call


def kill_in_python(operation: str, folder: Path) -> list[int]:
    """Kill at the calls that the storage makes, one after the other; the numbers of the kills."""
    for number in range(1, MOST):
        if not _killed(operation, folder / str(number), lambda number=number: _patch(number)):
            return [*range(1, number)]
    raise AssertionError(f"more than {MOST} calls")


def kill_by_strace(operation: str, folder: Path) -> list[int]:
    """Let strace kill at the system calls, kind by kind; the numbers of the kills.

    strace kills each process at its call number LAST of any kind. So a child first makes calls of one kind on nothing.
    """
    publishing.at_once = _one_by_one  # strace counts the calls of each thread
    numbers, killed = iter(range(1, MOST)), []
    for kind in NOTHING:
        for before in reversed(range(LAST)):
            number = next(numbers)
            if not _killed(operation, folder / str(number), lambda kind=kind, before=before: _make(kind, before)):
                break
            killed.append(number)
    return killed


MOST = 50
LAST = 20
KILLED = 9


def _killed(operation: str, folder: Path, prepared: Callable[[], None]) -> bool:
    """Whether a child was killed before it was done. What else ends it ends this."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert status in (0, signal.SIGKILL, KILLED << 8)
        return status != 0
    end = 1
    try:
        prepared()
        OPERATIONS[operation](folder)
        end = 0
    finally:
        os._exit(end)


def _patch(number: int) -> None:
    def die(name: str, half: Callable[[], Any]) -> None:
        half()
        os._exit(KILLED)

    local.os = CountedCalls(number, die)  # type: ignore[assignment]  # stands for the module


def _one_by_one(items: Iterable[Any], do: Callable[[Any], Any]) -> Iterator[tuple[Any, Any]]:
    return ((each, do(each)) for each in items)


_ROOT = os.open("/", os.O_RDONLY)
_NO_FILE = 1 << 19

NOTHING: dict[str, Callable[[], Any]] = {
    "write": lambda: os.write(_NO_FILE, b""),
    "fsync": lambda: os.fsync(_NO_FILE),
    "link": lambda: os.link("", "", src_dir_fd=_ROOT, dst_dir_fd=_ROOT, follow_symlinks=False),
    "rename": lambda: os.replace("", "", src_dir_fd=_ROOT, dst_dir_fd=_ROOT),
    "unlink": lambda: os.unlink("", dir_fd=_ROOT),
    "mkdir": lambda: os.mkdir(""),
    "mkdir in a folder": lambda: os.mkdir("", dir_fd=_ROOT),
}
"""For each kind of system call that the storage makes: one that does nothing."""


def _make(kind: str, calls: int) -> None:
    for _ in range(calls):
        with contextlib.suppress(OSError):
            NOTHING[kind]()


def main() -> None:
    operation, folder = sys.argv[1], Path(sys.argv[2])
    killed = (kill_by_strace if "--strace" in sys.argv else kill_in_python)(operation, folder)
    sys.stdout.write(" ".join(map(str, killed)))  # in one call: this process is traced, too


if __name__ == "__main__":
    main()
