"""Atomic writes: whatever call fails, and wherever the process dies, a reader finds the old file or the new one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trimtab.bundles import atomic
from trimtab.bundles.atomic import write_atomically
from trimtab.errors import BundleError

CALLS = ("open", "write", "fsync", "close", "replace")


class Disk:
    """The calls of `os`, of which the `failing`-th fails; with `dead`, all later ones too, as after a crash."""

    def __init__(self, failing: int, *, dead: bool) -> None:
        self.failing = failing
        self.dead = dead
        self.made: list[str] = []

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return self._wrapped(name, real) if name in (*CALLS, "unlink") else real

    def _wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self.made.append(name)
            if len(self.made) == self.failing or (self.dead and len(self.made) > self.failing):
                if name == "close":
                    real(*arguments)
                raise OSError(28, "No space left on device")
            if name == "write":
                return real(arguments[0], arguments[1][:7])  # a short write, as the system is free to make
            return real(*arguments)

        return call


def attempt(path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> BundleError | None:
    with monkeypatch.context() as patched:
        patched.setattr(atomic, "os", disk)
        try:
            write_atomically(path, b"the new content")
        except BundleError as failure:
            return failure
    return None


@pytest.mark.parametrize("dead", [False, True], ids=["one call fails", "the process dies"])
@pytest.mark.parametrize("before", [b"the old content", None], ids=["replacing", "creating"])
def test_every_call_may_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bytes | None, dead: bool) -> None:
    path = tmp_path / "ads.json"
    failed = []
    for failing in range(1, 100):
        if before is not None:
            path.write_bytes(before)
        else:
            path.unlink(missing_ok=True)
        disk = Disk(failing, dead=dead)
        failure = attempt(path, disk, monkeypatch)
        content = path.read_bytes() if path.exists() else None
        if failure is None:
            assert content == b"the new content"
            break
        failed.append(disk.made[failing - 1])
        renamed = "replace" in disk.made[: failing - 1]
        assert content == (b"the new content" if renamed else before)
        assert failure.where == str(path)
        assert "No space left on device" in str(failure)
        if not dead:
            assert [each.name for each in tmp_path.iterdir()] in ([], ["ads.json"])
        assert all(each.name.startswith(".") for each in tmp_path.iterdir() if each != path)
    assert set(failed) == set(CALLS)


def test_success_leaves_the_file_alone_readable_by_others(tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        write_atomically(tmp_path / "ads.json", b"content")
    finally:
        os.umask(mask)
    assert [each.name for each in tmp_path.iterdir()] == ["ads.json"]
    assert (tmp_path / "ads.json").stat().st_mode & 0o777 == 0o644


def test_a_missing_folder_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be written: got No such file or directory"):
        write_atomically(tmp_path / "nowhere" / "ads.json", b"content")
