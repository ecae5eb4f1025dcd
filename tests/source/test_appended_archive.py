"""An archive behind another file: found from its end, extended without a change to what lies before."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.errors import ArtifactError
from trimtab.source.appended import append_document, find_appended, read_appended
from trimtab.source.bytes import LocalFile, MemorySource

MODEL = bytes(range(256)) * 5
NAME = "module_info.json"


def counted_from_the_file(before: bytes, files: dict[str, bytes]) -> bytes:
    """As Python's zipfile appends."""
    buffer = io.BytesIO(before)
    buffer.seek(0, 2)
    with zipfile.ZipFile(buffer, "a") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def counted_from_the_archive(before: bytes, files: dict[str, bytes]) -> bytes:
    """As minizip appends, and `cat model archive.zip`."""
    return before + counted_from_the_file(b"", files)


Write = Callable[[bytes, dict[str, bytes]], bytes]
WRITERS: list[Write] = [counted_from_the_file, counted_from_the_archive]
FILES = {"labels.txt": b"cat\ndog\n", "vocab/words.txt": b"a b" * 100}


def read(data: bytes, name: str = NAME) -> bytes | None:
    return read_appended(MemorySource(data), name, limit=1 << 20)


@pytest.mark.parametrize("write", WRITERS)
def test_entries_of_either_kind_of_archive_are_read(write: Write) -> None:
    data = write(MODEL, FILES)
    for name, content in FILES.items():
        assert read(data, name) == content
    assert read(data) is None


@pytest.mark.parametrize("write", WRITERS)
def test_documents_go_in_beside_what_is_there(write: Write, tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(write(MODEL, FILES))
    for document in (b"first", b"second", b"third" * 1000):
        append_document(str(path), NAME, document)
        assert path.read_bytes().startswith(MODEL)
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            assert {it: archive.read(it) for it in archive.namelist()} == {**FILES, NAME: document}
        assert read(path.read_bytes()) == document


@given(st.binary(max_size=300), st.binary(max_size=300), st.binary(max_size=50))
def test_any_file_takes_a_document(before: bytes, document: bytes, behind: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model")
        content = before + b"PK\x05\x06" + behind
        Path(path).write_bytes(content)
        assert read(content) is None
        append_document(path, NAME, document)
        written = Path(path).read_bytes()
        assert written.startswith(content)
        assert read(written) == document


def test_a_cut_at_any_byte_leaves_the_document_before(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(MODEL)
    before: bytes | None = None
    for document in (b"first", b"second"):
        old = path.stat().st_size
        append_document(str(path), NAME, document)
        data = path.read_bytes()
        for cut in range(old, len(data)):
            assert read(data[:cut]) == before
            if cut <= len(data) - 22:  # the end record's first bytes are written when all else is on the disk
                assert read(data[:cut] + bytes(len(data) - cut)) == before
        before = document


def test_a_cut_is_mended_by_the_next_document(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(MODEL)
    append_document(str(path), NAME, b"first")
    os.truncate(path, path.stat().st_size - 30)
    append_document(str(path), NAME, b"second")
    assert read(path.read_bytes()) == b"second"
    with zipfile.ZipFile(path) as archive:
        assert archive.read(NAME) == b"second"


def test_a_long_document_is_appended_too(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(MODEL)
    inode = path.stat().st_ino
    append_document(str(path), NAME, b"x" * 100_000)
    assert path.stat().st_ino == inode  # nothing is lost when it is cut, so no copy is needed
    append_document(str(path), NAME, b"y" * 100_000)
    assert read(path.read_bytes()) == b"y" * 100_000


def test_hard_links_keep_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(MODEL)
    os.link(path, tmp_path / "cached")
    append_document(str(path), NAME, b"document")
    assert (tmp_path / "cached").read_bytes() == MODEL
    assert read(path.read_bytes()) == b"document"


def test_what_readers_differ_on_is_refused() -> None:
    once = counted_from_the_file(MODEL, {NAME: b"1"})
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = counted_from_the_file(once, {NAME: b"2"})
    with pytest.raises(ArtifactError, match="two entries"):
        read(twice)


@pytest.mark.parametrize("write", WRITERS)
def test_damage_is_seen(write: Write) -> None:
    data = write(MODEL, {NAME: b"the document"})
    with pytest.raises(ArtifactError, match="CRC-32"):
        read(data.replace(b"the document", b"THE document"))
    with pytest.raises(ArtifactError, match=r"local header|begins with"):
        read(data.replace(b"PK\x03\x04", b"PK\x03\x05", 1))


def test_only_the_end_of_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(bytes(32 << 20))
    append_document(str(path), NAME, b"document")
    with LocalFile(path) as source:
        assert find_appended(source) is not None
        assert read_appended(source, NAME, limit=100) == b"document"
        assert source.bytes_read < 192 << 10
