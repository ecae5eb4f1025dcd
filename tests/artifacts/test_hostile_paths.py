"""What can be wrong with a path: links, pipes, devices, folders; and files that change while they are read."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trimtab.artifacts import embed_signature, read_signature
from trimtab.artifacts.registry import find_format
from trimtab.artifacts.verifying import verify_artifact
from trimtab.errors import ArtifactError
from trimtab.signature.document import decode_document
from trimtab.source.bytes import LocalFile

if TYPE_CHECKING:
    from collections.abc import Callable

SIGNATURE = decode_document(b'{"input_names": ["x"], "output_names": []}')

FOLDER_FILES = ("saved_model.pb", "saved_model.pbtxt", "MLmodel", "config.pbtxt", "Manifest.json")
"""The files by which folders are recognized."""


def is_refused(path: Path | str, says: str = ".") -> None:
    with pytest.raises(ArtifactError, match=says):
        read_signature(path)
    with pytest.raises(ArtifactError, match=says):
        verify_artifact(path)


def a_loop(path: Path) -> None:
    path.symlink_to(path)


def a_broken_link(path: Path) -> None:
    path.symlink_to(path.with_name("nothing"))


def a_link_to_zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the path of a socket is at most 108 characters long
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


def a_folder(path: Path) -> None:
    path.mkdir()


HAZARDS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a link to itself": (a_loop, "symbolic links"),
    "a broken link": (a_broken_link, "no such file"),
    "a link to a device": (a_link_to_zeros, "regular file"),
    "a pipe": (a_pipe, "regular file"),
    "a socket": (a_socket, "."),
}


@pytest.mark.parametrize(("make", "says"), HAZARDS.values(), ids=list(HAZARDS))
def test_what_is_no_file_is_refused(tmp_path: Path, make: Callable[[Path], None], says: str) -> None:
    make(tmp_path / "model.onnx")
    is_refused(tmp_path / "model.onnx", says)
    with pytest.raises(ArtifactError, match=says):
        embed_signature(tmp_path / "model.onnx", SIGNATURE)


@pytest.mark.parametrize("name", FOLDER_FILES)
@pytest.mark.parametrize("make", [*(make for make, _ in HAZARDS.values()), a_folder], ids=[*HAZARDS, "a folder"])
def test_a_folder_whose_model_is_no_file_is_refused(tmp_path: Path, make: Callable[[Path], None], name: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    make(folder / name)
    is_refused(folder)


@pytest.mark.parametrize(("make", "says"), HAZARDS.values(), ids=list(HAZARDS))
def test_a_document_beside_that_is_no_file_is_refused(
    corpus: Path, tmp_path: Path, make: Callable[[Path], None], says: str
) -> None:
    path = tmp_path / "model.pt2"
    shutil.copyfile(corpus / "formats" / "pt2_dynamic.pt2", path)
    make(tmp_path / "model.pt2.signature.json")
    with pytest.raises(ArtifactError, match=says):
        read_signature(path)
    assert [each.rule for each in verify_artifact(path).findings] == ["DOCUMENT_STALE"]


def test_a_document_beside_that_is_too_long(corpus: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    shutil.copyfile(corpus / "formats" / "pt2_dynamic.pt2", path)
    with (tmp_path / "model.pt2.signature.json").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ArtifactError, match="at most"):
        read_signature(path)


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 5_000, "no/such/folder/model.pt", "model\n.pt"])
def test_paths_that_name_nothing(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    is_refused(name)


def test_a_sparse_file_of_a_terabyte(tmp_path: Path) -> None:
    for head in (
        b"",
        b"PK\x03\x04",
        b"\x08\x08\x3a",
        b"tree\n",
        b"{",
        b"<",
        b"GGUF\3\0\0\0",
        b"CBM1",
        b"\0\0\0\0TFL3",
        b"\x80\x04",
    ):
        path = tmp_path / "model"
        with path.open("wb") as file:
            file.write(head)
            file.truncate(1 << 40)
        is_refused(path)


class Changing(LocalFile):
    """A file that changes when it is read for the `after`-th time: it is cut, or other bytes take its place."""

    def __init__(self, path: Path, after: int, *, cut: bool) -> None:
        super().__init__(path)
        self._after = after
        self._cut = cut

    def _fetch(self, offset: int, length: int) -> bytes:
        if self._after == 0:
            size = os.path.getsize(self.name)
            with open(self.name, "r+b") as file:
                if self._cut:
                    file.truncate(size // 3)
                else:
                    file.seek(size // 3)
                    file.write(bytes(size - size // 3))
        self._after -= 1
        return super()._fetch(offset, length)


def samples(corpus: Path) -> list[Path]:
    found = [path for path in sorted((corpus / "formats").iterdir()) if path.is_file()]
    return [path for path in found if not path.name.endswith(".oracle.json")]


@pytest.mark.parametrize("cut", [True, False], ids=["cut", "overwritten"])
def test_files_that_change_while_they_are_read(corpus: Path, tmp_path: Path, cut: bool) -> None:
    copy = tmp_path / "model"
    for path in samples(corpus):
        for after in range(40):
            shutil.copyfile(path, copy)
            with Changing(copy, after, cut=cut) as source:
                try:
                    read_signature(source)
                except ArtifactError as error:
                    assert str(copy) in error.where, (path, after)  # noqa: PT017  # it may be read as well
                changed = source.reads >= after
            if not changed:
                break


def test_a_source_that_was_closed_is_an_error(corpus: Path) -> None:
    with LocalFile(corpus / "formats" / "pt2_dynamic.pt2") as source:
        assert find_format(source)
    with pytest.raises(ArtifactError):
        source.read(source.size // 2, 9_000)
