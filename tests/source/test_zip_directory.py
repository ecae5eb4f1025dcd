"""The zip reader agrees with Python's zipfile on honest archives and refuses what readers disagree on."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.errors import ArtifactError
from trimtab.source.bytes import LocalFile, MemorySource
from trimtab.source.zip import ZipDirectory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LIMIT = 1 << 20

names = st.text(st.characters(codec="utf-8", exclude_characters="\0\\/:."), min_size=1, max_size=12).map("m/".__add__)
contents = st.dictionaries(
    names, st.tuples(st.binary(max_size=300), st.booleans(), st.integers(1, 40)), min_size=1, max_size=6
)


def make(entries: dict[str, tuple[bytes, bool, int]], comment: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.comment = comment
        for name, (data, deflated, repeat) in entries.items():
            kind = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
            archive.writestr(zipfile.ZipInfo(name), data * repeat, kind)
    return buffer.getvalue()


@given(contents, st.binary(max_size=40).filter(lambda it: b"PK" not in it))
def test_agrees_with_zipfile(entries: dict[str, tuple[bytes, bool, int]], comment: bytes) -> None:
    data = make(entries, comment)
    directory = ZipDirectory.open(MemorySource(data))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert list(directory.entries) == archive.namelist()
        for name in entries:
            whole = archive.read(name)
            assert directory.read(name, limit=LIMIT) == whole
            assert directory.read_prefix(name, 7) == whole[:7]
    assert directory.root == "m"


@given(contents, st.data())
@settings(max_examples=300)
def test_damage_is_found_or_changes_nothing(entries: dict[str, tuple[bytes, bool, int]], data: st.DataObject) -> None:
    original = make(entries)
    mutated = bytearray(original)
    for _ in range(data.draw(st.integers(1, 4))):
        mutated[data.draw(st.integers(0, len(original) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.just(len(mutated)), st.integers(0, len(mutated))))
    source = MemorySource(bytes(mutated[:cut]))
    with suppress(ArtifactError):
        directory = ZipDirectory.open(source)
        for name in directory.entries:
            read = directory.read(name, limit=LIMIT)
            if name in entries and zlib.crc32(read) == zlib.crc32(entries[name][0] * entries[name][2]):
                assert read == entries[name][0] * entries[name][2]


def test_streamed_archives_with_data_descriptors_are_read() -> None:
    class Unseekable(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise io.UnsupportedOperation

        def tell(self) -> int:
            raise io.UnsupportedOperation

    buffer = Unseekable()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/a", b"abc" * 100)
    assert ZipDirectory.open(MemorySource(buffer.getvalue())).read("m/a", limit=LIMIT) == b"abc" * 100


def test_offsets_above_four_gibibytes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "big.zip"
    far = 5 << 30
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 33, zlib.crc32(b"far"), 3, 3, 3, 0) + b"m/b"
    record = (
        struct.pack(
            "<4s6H3I5H2I", b"PK\1\2", 45, 45, 0, 0, 0, 33, zlib.crc32(b"far"), 3, 3, 3, 12, 0, 0, 0, 0, 0xFFFFFFFF
        )
        + b"m/b"
        + struct.pack("<2HQ", 1, 8, far)
    )
    at = far + len(local) + 3
    end = (
        struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, len(record), at)
        + struct.pack("<4sIQI", b"PK\6\7", 0, at + len(record), 1)
        + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(record), 0xFFFFFFFF, 0)
    )
    with path.open("wb") as file:
        file.write(b"PK\3\4")
        file.seek(far)
        file.write(local + b"far" + record + end)
    with zipfile.ZipFile(path) as archive:
        assert archive.read("m/b") == b"far"
    with LocalFile(path) as source:
        assert ZipDirectory.open(source).read("m/b", limit=10) == b"far"
        assert source.bytes_read < 200_000


def local_size(data: bytes, size: int) -> bytes:
    return data[:22] + struct.pack("<I", size) + data[26:]


def directory_field(data: bytes, offset: int, kind: str, value: int) -> bytes:
    at = data.index(b"PK\x01\x02") + offset
    return data[:at] + struct.pack(kind, value) + data[at + struct.calcsize(kind) :]


def renamed(data: bytes, old: bytes, new: bytes) -> bytes:
    assert len(old) == len(new)
    return data.replace(old, new)


PLAIN = make({"m/first": (b"content", False, 1), "m/other": (b"x" * 50, True, 9)})

TRICKS: dict[str, Callable[[], bytes]] = {
    "bytes before": lambda: b"#!/bin/sh\n" + PLAIN,
    "bytes before, offsets adjusted": lambda: b"junk" + PLAIN[:0] + make({"m/a": (b"", False, 1)}),
    "duplicate names": lambda: renamed(PLAIN, b"m/other", b"m/first"),
    "an end record in the comment": lambda: make({"m/a": (b"", False, 1)}, comment=b"PK\x05\x06" + bytes(18)),
    "an absolute name": lambda: renamed(PLAIN, b"m/other", b"/mother"),
    "a name that climbs": lambda: renamed(PLAIN, b"m/other", b"m/../er"),
    "a drive letter": lambda: renamed(PLAIN, b"m/other", b"c:other"),
    "a backslash that climbs": lambda: renamed(PLAIN, b"m/other", rb"m\..\er"),
    "an encrypted entry": lambda: directory_field(PLAIN, 8, "<H", 1),
    "an unknown compression": lambda: directory_field(directory_field(PLAIN, 10, "<H", 99), 10, "<H", 99),
    "a size that lies": lambda: directory_field(PLAIN, 24, "<I", 6),
    "a wrong checksum": lambda: directory_field(PLAIN, 16, "<I", 7),
    "an overlap": lambda: directory_field(PLAIN, 20, "<I", 70),
    "another disk": lambda: directory_field(PLAIN, 34, "<H", 3),
    "a local size that differs": lambda: local_size(PLAIN, 8),
    "no end record": lambda: PLAIN[:-1],
    "an empty archive": lambda: b"PK\x05\x06" + bytes(18),
    "nothing": lambda: b"",
}


def read_all(source: MemorySource) -> dict[str, bytes]:
    directory = ZipDirectory.open(source)
    return {name: directory.read(name, limit=LIMIT) for name in directory.entries}


@pytest.mark.parametrize("trick", TRICKS)
def test_what_readers_disagree_on_is_refused(trick: str) -> None:
    source = MemorySource(TRICKS[trick](), "model.pt")
    with pytest.raises(ArtifactError) as error:
        read_all(source)
    assert error.value.where.startswith("model.pt")


def test_bytes_after_the_archive_are_ignored_as_by_all_readers() -> None:
    directory = ZipDirectory.open(MemorySource(PLAIN + b"garbage" * 100))
    assert directory.read("m/first", limit=LIMIT) == b"content"


def test_an_entry_above_the_limit_is_refused_before_it_is_read() -> None:
    source = MemorySource(make({"m/bomb": (bytes(1000), True, 1000)}))
    directory = ZipDirectory.open(source)
    before = source.bytes_read
    with pytest.raises(ArtifactError, match="at most 10 bytes"):
        directory.read("m/bomb", limit=10)
    assert source.bytes_read == before
    assert directory.read_prefix("m/bomb", 10) == bytes(10)


@pytest.mark.parametrize(
    ("folders", "root"), [(["a", "a"], "a"), (["a", "b"], None), (["", "a"], None), (["", ""], None)]
)
def test_the_root_is_the_one_folder_of_all_entries(folders: list[str], root: str | None) -> None:
    entries = {f"{folder}/{i}".removeprefix("/"): (b"", False, 1) for i, folder in enumerate(folders)}
    assert ZipDirectory.open(MemorySource(make(entries))).root == root
