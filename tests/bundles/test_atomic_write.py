"""Atomic writes: whatever call fails, and wherever the process dies, a reader finds the old file or the new one."""

from __future__ import annotations

import os
import time
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


def test_what_a_link_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "ads.json").symlink_to("shared/ads.json")
    for content in (b"first", b"second"):
        write_atomically(tmp_path / "ads.json", content)
        assert (tmp_path / "shared" / "ads.json").read_bytes() == content
        assert (tmp_path / "ads.json").is_symlink()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["a pipe", "a folder"])
def test_what_is_no_file_is_not_replaced(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "ads.json")
    kind = (tmp_path / "ads.json").stat().st_mode
    with pytest.raises(BundleError, match="no file"):
        write_atomically(tmp_path / "ads.json", b"content")
    assert (tmp_path / "ads.json").stat().st_mode == kind
    assert [each.name for each in tmp_path.iterdir()] == ["ads.json"]


def test_a_name_may_be_as_long_as_a_files(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 125 + ".json")
    write_atomically(path, b"content")
    assert path.read_bytes() == b"content"


def test_what_crashes_left_is_swept_after_an_hour(tmp_path: Path) -> None:
    left, young, theirs = (
        tmp_path / name
        for name in (f".old.json.{'0' * 16}.trimtab", f".ads.json.{'1' * 16}.trimtab", ".ads.json.trimtab")
    )
    for each in (left, young, theirs):
        each.write_bytes(b"half")
    ages = {left: 3700, young: 3500, theirs: 99999}
    now = time.time()
    for each, age in ages.items():
        os.utime(each, (now - age, now - age))
    write_atomically(tmp_path / "ads.json", b"content")
    assert [each.exists() for each in ages] == [False, True, True]
