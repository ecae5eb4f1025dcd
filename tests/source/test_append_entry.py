"""Appending to a zip archive: whatever moment it is cut at, readers find the old archive or the new one."""

from __future__ import annotations

import io
import os
import random
import stat
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from trimtab.errors import ArtifactError
from trimtab.source import append
from trimtab.source.append import ALIGNMENT, append_entry
from trimtab.source.bytes import LocalFile, MemorySource
from trimtab.source.zip import ZipDirectory

NAME = "m/extra/module_info.json"
OLD = {"m/data.pkl": b"weights" * 9, "m/extra/module_info.json": b'{"old": 1}', "m/version": b"3\n"}
DOCUMENT = b'{"input_names": []}'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "model.pt"
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in OLD.items():
            archive.writestr(name, data)
    return made


def contents(data: bytes) -> dict[str, bytes]:
    directory = ZipDirectory.open(MemorySource(data))
    return {name: directory.read(name, limit=1 << 20) for name in directory.entries}


def pythons(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_entry_is_replaced_and_nothing_else_changes(path: Path) -> None:
    before = path.read_bytes()
    append_entry(str(path), NAME, DOCUMENT)
    after = path.read_bytes()
    assert after.startswith(before)
    assert contents(after) == pythons(after) == {**OLD, NAME: DOCUMENT}
    subprocess.run(["unzip", "-tq", path], check=True, stdout=subprocess.DEVNULL)


def test_data_is_aligned_as_torch_aligns_it(path: Path) -> None:
    append_entry(str(path), NAME, DOCUMENT)
    assert path.read_bytes().rindex(DOCUMENT) % ALIGNMENT == 0


def test_appending_the_same_again_gives_equal_directories(path: Path) -> None:
    sizes = []
    for _ in range(3):
        append_entry(str(path), NAME, DOCUMENT)
        sizes.append(path.stat().st_size)
        assert contents(path.read_bytes()) == {**OLD, NAME: DOCUMENT}
    assert sizes[2] - sizes[1] == pytest.approx(sizes[1] - sizes[0], abs=ALIGNMENT)


class Disk:
    """Records what is written and synced, so that every state that a crash can leave can be rebuilt."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[tuple[int, bytes] | None] = []
        write, sync = os.pwrite, os.fsync

        def pwrite(descriptor: int, data: bytes, offset: int) -> int:
            self.steps.append((offset, bytes(data)))
            return write(descriptor, data, offset)

        def fsync(descriptor: int) -> None:
            self.steps.append(None)
            sync(descriptor)

        monkeypatch.setattr(os, "pwrite", pwrite)
        monkeypatch.setattr(os, "fsync", fsync)


def test_a_crash_at_any_byte_leaves_the_old_archive_or_the_new_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = path.read_bytes()
    disk = Disk(monkeypatch)
    append_entry(str(path), NAME, DOCUMENT)
    new = path.read_bytes()
    body, synced, commit, last = disk.steps
    assert synced is None
    assert last is None
    assert body is not None
    assert commit is not None
    states = [old + body[1][:cut] for cut in range(len(body[1]) + 1)]
    states += [old + bytes(cut) for cut in range(1, len(body[1]) + 1)]  # extended, but the data never arrived
    whole = old + body[1]
    states += [whole[: commit[0]] + commit[1][:cut] + whole[commit[0] + cut :] for cut in range(1, 4)]
    for state in states:
        assert contents(state) == pythons(state) == OLD
    assert contents(new) == {**OLD, NAME: DOCUMENT}


def test_a_file_cut_at_any_byte_later_is_still_the_old_archive(path: Path) -> None:
    old = path.read_bytes()
    append_entry(str(path), NAME, DOCUMENT)
    new = path.read_bytes()
    for cut in range(len(old), len(new)):
        assert contents(new[:cut]) == OLD
        if cut < len(new) - 18:  # zipfile stops at the signature of an unfinished end record; no crash leaves one
            assert pythons(new[:cut]) == OLD


@pytest.mark.parametrize("failing", ["pwrite", "fsync", "check"])
@pytest.mark.parametrize("call", [1, 2])
def test_a_failed_write_is_taken_back(path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, call: int) -> None:
    old = path.read_bytes()
    calls = 0

    def fails(real: Any) -> Any:
        def wrapped(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls >= call:
                raise OSError(28, "No space left on device")
            return real(*arguments)

        return wrapped

    if failing == "check":
        real = os.pread
        monkeypatch.setattr(os, "pread", lambda fd, n, at: real(fd, n, at)[::-1] if at >= len(old) else real(fd, n, at))
    else:
        monkeypatch.setattr(os, failing, fails(getattr(os, failing)))
    with pytest.raises(ArtifactError):
        append_entry(str(path), NAME, DOCUMENT)
    monkeypatch.undo()
    assert path.read_bytes() == old


def test_short_writes_are_continued(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: write(fd, data[: random.randint(1, 9)], offset))
    append_entry(str(path), NAME, DOCUMENT)
    monkeypatch.undo()
    assert contents(path.read_bytes()) == {**OLD, NAME: DOCUMENT}


def test_hard_links_keep_the_old_content(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "cache"
    os.link(path, link)
    os.chmod(path, 0o640)
    append_entry(str(path), NAME, DOCUMENT)
    assert contents(link.read_bytes()) == OLD
    assert contents(path.read_bytes()) == {**OLD, NAME: DOCUMENT}
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert sorted(os.listdir(tmp_path)) == ["cache", "model.pt"]


def test_symbolic_links_stay_links(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "latest"
    link.symlink_to(path.name)
    os.link(path, tmp_path / "second")  # so that the file is replaced, not appended to
    append_entry(str(link), NAME, DOCUMENT)
    assert link.is_symlink()
    assert contents(path.read_bytes()) == {**OLD, NAME: DOCUMENT}


def test_a_long_document_goes_in_by_replacement(path: Path) -> None:
    inode = path.stat().st_ino
    append_entry(str(path), NAME, DOCUMENT)
    assert path.stat().st_ino == inode
    append_entry(str(path), NAME, b" " * 70_000)
    assert path.stat().st_ino != inode
    assert contents(path.read_bytes())[NAME] == b" " * 70_000


def test_a_failed_replacement_leaves_no_trace(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = path.read_bytes()
    monkeypatch.setattr(append, "_append", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(ArtifactError, match="No space left"):
        append_entry(str(path), NAME, b" " * 70_000)
    assert path.read_bytes() == old
    assert os.listdir(path.parent) == ["model.pt"]


def test_a_second_writer_is_refused(path: Path) -> None:
    import fcntl

    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ArtifactError, match="file that can be written"):
            append_entry(str(path), NAME, DOCUMENT)
    assert contents(path.read_bytes()) == OLD


def test_archives_above_four_gibibytes_get_wide_offsets(tmp_path: Path) -> None:
    path = tmp_path / "big.pt"
    path.write_bytes(b"")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/version", b"3\n")
    small = path.read_bytes()
    with path.open("r+b") as file:
        file.write(small[: small.index(b"PK\x01\x02")])
        file.seek(5 << 30)
        at = file.tell()
        record = small[small.index(b"PK\x01\x02") : small.index(b"PK\x05\x06")]
        file.write(record + append._end(at, len(record), 1))
    started = path.stat().st_blocks
    append_entry(str(path), NAME, DOCUMENT)
    with zipfile.ZipFile(path) as archive:
        assert archive.read(NAME) == DOCUMENT
        assert archive.read("m/version") == b"3\n"
    with LocalFile(path) as source:
        assert ZipDirectory.open(source).read(NAME, limit=100) == DOCUMENT
    assert path.stat().st_blocks - started < 100  # the hole was neither read nor copied
