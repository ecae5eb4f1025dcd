"""After a power cut a disk holds what was flushed to it, and of the rest whatever it likes.

The calls of an operation are recorded, and played to a model of a disk: a file's content is safe once the file was
flushed, a name once its folder was. The cut comes anywhere; of what is not safe the model keeps any part. What is then
left is the old state or the new one, and after the operation has returned it is the new one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import crashing
import pytest
from crashing import OPERATIONS
from hypothesis import given, settings
from hypothesis import strategies as st
from test_store_crashes import check, state

from trimtab.bundles.store import local, publishing

Keep = Callable[[int], int]
"""Of so many things that are not safe, how many a disk kept."""


class Event(NamedTuple):
    """A call: `create`, `write`, `flush`, `link`, `rename`, `unlink` or `mkdir`, with paths below the folder."""

    call: str
    path: str
    target: str = ""
    data: bytes = b""


class Recorder:
    """The module `os` for the storage, which writes down what is done below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events: list[Event] = []
        self.open_files: dict[int, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        descriptor = os.open(path, flags, mode, dir_fd=dir_fd)
        self.open_files[descriptor] = self._below(path, dir_fd)
        if flags & os.O_CREAT:
            self.events.append(Event("create", self.open_files[descriptor]))
        return descriptor

    def write(self, descriptor: int, data: Any) -> int:
        written = os.write(descriptor, data)
        self.events.append(Event("write", self.open_files[descriptor], data=bytes(data[:written])))
        return written

    def fsync(self, descriptor: int) -> None:
        os.fsync(descriptor)
        self.events.append(Event("flush", self.open_files[descriptor]))

    def link(self, source: Any, target: Any, *, src_dir_fd: int, dst_dir_fd: int, follow_symlinks: bool) -> None:
        os.link(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd, follow_symlinks=follow_symlinks)
        self.events.append(Event("link", self._below(source, src_dir_fd), self._below(target, dst_dir_fd)))

    def replace(self, source: Any, target: Any, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        os.replace(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        self.events.append(Event("rename", self._below(source, src_dir_fd), self._below(target, dst_dir_fd)))

    def unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        os.unlink(path, dir_fd=dir_fd)
        self.events.append(Event("unlink", self._below(path, dir_fd)))

    def mkdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        os.mkdir(path, dir_fd=dir_fd)
        self.events.append(Event("mkdir", self._below(path, dir_fd)))

    def _below(self, path: Any, folder: int | None) -> str:
        if folder is not None:
            return f"{self.open_files[folder]}/{path}".removeprefix("./")
        return os.path.relpath(path, self.folder)


class File:
    """A file on the disk, by whatever names."""

    def __init__(self) -> None:
        self.content = b""
        self.safe = 0


FOLDER = "a folder"


class Disk:
    """What is safe, and what is not yet."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self.names: dict[str, File | str | None] = {}
        self.pending: dict[str, list[tuple[str, File | str | None]]] = {}

    def play(self, event: Event) -> None:
        match event.call:
            case "create":
                self.files[event.path] = File()
                self._enter(event.path, self.files[event.path])
            case "write":
                self.files[event.path].content += event.data
            case "flush" if event.path in self.files:
                self.files[event.path].safe = len(self.files[event.path].content)
            case "flush":
                self.names.update(self.pending.pop(event.path, []))
            case "link" | "rename":
                self.files[event.target] = self.files[event.path]
                self._enter(event.target, self.files[event.path])
                if event.call == "rename":
                    self._enter(event.path, None)
            case "unlink":
                self._enter(event.path, None)
            case "mkdir":
                self._enter(event.path, FOLDER)

    def _enter(self, path: str, what: File | str | None) -> None:
        self.pending.setdefault(os.path.dirname(path) or ".", []).append((path, what))

    def after_a_cut(self, keep: Keep, folder: Path) -> None:
        """Bring a folder, which is as it was before, to what the disk holds after a cut."""
        names = dict(self.names)
        for pending in self.pending.values():
            names.update(each for each in pending if keep(1))
        for path, what in sorted(names.items()):
            place = folder / path
            if not place.parent.is_dir():
                continue  # its folder's name was lost
            if what == FOLDER:
                place.mkdir(exist_ok=True)
            elif isinstance(what, File):
                place.unlink(missing_ok=True)
                place.write_bytes(what.content[: what.safe + keep(len(what.content) - what.safe)])
            else:
                place.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    crashing.prepare(folder)
    return folder


def recorded(operation: str, prepared: Path, folder: Path) -> list[Event]:
    """The calls that an operation makes."""
    shutil.copytree(prepared, folder)
    recorder = Recorder(folder)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(local, "os", recorder)
        patched.setattr(publishing, "at_once", lambda items, do: ((each, do(each)) for each in items))
        OPERATIONS[operation](folder)
    return recorder.events


@pytest.mark.parametrize("operation", OPERATIONS)
def test_after_a_power_cut_there_is_the_old_or_the_new(
    operation: str, prepared: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    events = recorded(operation, prepared, tmp_path_factory.mktemp("recorded") / "run")
    assert {"create", "flush"} < {each.call for each in events}

    @settings(max_examples=40)
    @given(st.data())
    def cut(data: st.DataObject) -> None:
        at = data.draw(st.integers(0, len(events)))
        folder = tmp_path_factory.mktemp("cut") / "run"
        shutil.copytree(prepared, folder)
        disk = Disk()
        for event in events[:at]:
            disk.play(event)
        disk.after_a_cut(lambda most: data.draw(st.integers(0, most)), folder)
        left = check(folder, operation)
        assert at < len(events) or left == "new"

    cut()


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("kept", ["nothing", "everything"])
def test_the_worst_disks_at_every_call(operation: str, kept: str, prepared: Path, tmp_path: Path) -> None:
    events = recorded(operation, prepared, tmp_path / "recorded")
    for at in range(len(events) + 1):
        folder = tmp_path / str(at)
        shutil.copytree(prepared, folder)
        disk = Disk()
        for event in events[:at]:
            disk.play(event)
        if kept == "nothing":
            disk.after_a_cut(lambda _: 0, folder)
        else:  # every name, and no content
            disk.after_a_cut(lambda most: int(most == 1), folder)
        assert state(folder, operation) in (["new"] if at == len(events) else ["old", "new"])
        shutil.rmtree(folder)


def test_no_name_is_given_to_a_file_that_is_not_on_the_disk(prepared: Path, tmp_path: Path) -> None:
    for operation in OPERATIONS:
        flushed: set[str] = set()
        for event in recorded(operation, prepared, tmp_path / operation):
            if event.call == "flush":
                flushed.add(event.path)
            elif event.call == "write":
                flushed.discard(event.path)
            elif event.call in ("link", "rename"):
                assert event.path in flushed
