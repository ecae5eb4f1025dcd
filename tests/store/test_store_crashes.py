"""Whatever call fails, and wherever the process dies, a store is as it was before or as it is to be, and goes on."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import crashing
import pytest
from crashing import MOST, OPERATIONS, CountedCalls
from store_making import NEW, OLD

from trimtab.bundles.store import local
from trimtab.bundles.store.acknowledged import acknowledged
from trimtab.bundles.store.local import LEFT_OVER_S, LocalStorage
from trimtab.bundles.store.pointers import Stage, Tier
from trimtab.bundles.store.store import MARK, Store
from trimtab.bundles.store.verifying import verify_store
from trimtab.errors import StoreError

DRIVER = Path(crashing.__file__)
SYSTEM_CALLS = {"write", "fsync", "link", "linkat", "rename", "renameat", "renameat2", "unlink", "unlinkat"}
SYSTEM_CALLS |= {"mkdir", "mkdirat"}
OTHER_CALLS = {"pwrite64", "writev", "pwritev", "symlink", "symlinkat", "rmdir", "truncate", "ftruncate", "fallocate"}
OTHER_CALLS |= {"sendfile", "copy_file_range", "fdatasync", "sync_file_range", "mknod", "mknodat", "creat"}
FEWEST = {"init": 10, "publish": 15, "append": 6, "acknowledge": 6, "replace": 6}
"""Fewer kills than so many would mean that the counting misses calls."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    crashing.prepare(folder)
    return folder


def copies(prepared: Path, folder: Path) -> None:
    for number in range(1, MOST):
        shutil.copytree(prepared, folder / str(number))


def state(folder: Path, operation: str) -> str:
    """`old`, `new`, or what is wrong: as everybody who reads the store sees it."""
    if operation == "init":
        path = folder / "made" / "store"
        if not (path / MARK).exists():
            return "old"
        return "new" if verify_store(Store(LocalStorage(path))).sound else "not sound"
    store = Store(LocalStorage(folder / "store"))
    verified = verify_store(store)
    if not verified.sound:
        return str(verified.flaws)
    head = store.head("ads")
    assert head is not None
    list(store.entries("ads"))
    if operation == "publish":
        return "new" if store.has_bundle(NEW.digest) and store.bundle(NEW.digest) == NEW else "old"
    if operation == "append":
        return {1: "old", 2: "new"}[head.number]
    if operation == "acknowledge":
        return "new" if acknowledged(store, "ads", Tier.ROOT, Stage.CANARY) else "old"
    (word,) = acknowledged(store, "ads", Tier.LEAF, Stage.CANARY)
    return {None: "old", OLD.digest: "new"}[word.said.in_force.current]


def check(folder: Path, operation: str) -> str:
    """The state, after which the same operation succeeds."""
    left = state(folder, operation)
    assert left in ("old", "new")
    if operation == "publish":
        signatures = {version.digest for version in NEW.models["ctr"].versions.values()}
        assert left == "old" or signatures <= set(Store(LocalStorage(folder / "store")).signatures())
    OPERATIONS[operation](folder)
    assert state(folder, operation) == "new"
    return left


def driven(command: list[str], operation: str, folder: Path) -> list[Path]:
    """What those left that were killed, in the order of the kills."""
    source = Path(local.__file__).resolve().parents[3]
    done = subprocess.run(
        [*command, sys.executable, "-B", str(DRIVER), operation, str(folder), *(["--strace"] if command else [])],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(source), str(DRIVER.parent)])},
        check=True,
        capture_output=True,
        text=True,
        timeout=200,
    )
    return [folder / number for number in done.stdout.split()]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_kill_at_any_call_leaves_the_old_or_the_new(operation: str, prepared: Path, tmp_path: Path) -> None:
    copies(prepared, tmp_path)
    killed = driven([], operation, tmp_path)
    assert len(killed) >= FEWEST[operation]
    left = [check(folder, operation) for folder in killed]
    assert left == sorted(left, reverse=True)  # first the old ones
    assert {"old", "new"} == set(left)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed; see the test above")
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_kill_at_any_system_call_leaves_the_old_or_the_new(operation: str, prepared: Path, tmp_path: Path) -> None:
    copies(prepared, tmp_path)
    trace = tmp_path / "trace"
    inject = f"inject=?{',?'.join(sorted(SYSTEM_CALLS))}:signal=SIGKILL:when={crashing.LAST}"
    traced = f"trace=?{',?'.join(sorted(SYSTEM_CALLS | OTHER_CALLS))}"
    killed = driven(["strace", "-f", "-qq", "-o", str(trace), "-e", traced, "-e", inject], operation, tmp_path)
    assert len(killed) >= FEWEST[operation] - 2
    assert trace.read_text().count("+++ killed by SIGKILL") == len(killed)
    assert not [call for call in OTHER_CALLS if f" {call}(" in trace.read_text()]  # whose kills would be missing
    assert {"old", "new"} == {check(folder, operation) for folder in killed}


@pytest.mark.parametrize(
    ("code", "dead"), [(errno.ENOSPC, False), (errno.EIO, True)], ids=["one call fails", "all later calls fail"]
)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_any_call_may_fail(
    operation: str, code: int, dead: bool, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str, half: Callable[[], Any]) -> None:
        half()
        if dead:
            calls.number += 1
        raise OSError(code, os.strerror(code))

    for number in range(1, MOST):
        folder = tmp_path / str(number)
        shutil.copytree(prepared, folder)
        calls = CountedCalls(number, fail)
        failure = None
        with monkeypatch.context() as patched:
            patched.setattr(local, "os", calls)
            try:
                OPERATIONS[operation](folder)
            except StoreError as raised:
                failure = raised
        if len(calls.made) < number:
            break
        left = check(folder, operation)
        assert failure is not None or left == "new"
        if failure is not None:
            assert os.strerror(code) in str(failure)
            assert ("undone" in str(failure)) == (calls.made[number - 1] == "fsync" and left == "new") or left == "old"
    assert number > FEWEST[operation]


def test_what_crashes_left_is_swept_after_an_hour(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.create("a", b"")
    old, new = tmp_path / ".partial" / "old", tmp_path / ".partial" / "new"
    for path in (old, new):
        path.write_bytes(b"unfinished")
    os.utime(old, (0, old.stat().st_mtime - LEFT_OVER_S - 10))
    assert storage.leftovers() == 2
    assert storage.create("b", b"")
    assert not old.exists()
    assert new.exists()
    assert storage.keys("") == ["a", "b"]
