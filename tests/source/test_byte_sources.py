"""Byte sources give exactly the bytes asked for, touch little of the file, and leak no descriptor."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.errors import ArtifactError
from trimtab.source.bytes import LocalFile, MemorySource

CONTENT = bytes(i * 7 % 251 for i in range(300_000))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("bytes") / "file"
    made.write_bytes(CONTENT)
    return made


@given(
    ranges=st.lists(
        st.tuples(st.integers(0, len(CONTENT)), st.integers(0, 100_000)).map(
            lambda it: (it[0], min(it[1], len(CONTENT) - it[0]))
        ),
        max_size=20,
    )
)
def test_any_reads_give_the_files_bytes(path: Path, ranges: list[tuple[int, int]]) -> None:
    with LocalFile(path) as source:
        for offset, length in ranges:
            assert source.read(offset, length) == CONTENT[offset : offset + length]


@pytest.mark.parametrize(("offset", "length"), [(0, len(CONTENT) + 1), (len(CONTENT), 1), (-1, 1), (0, -1)])
def test_ranges_outside_are_refused(path: Path, offset: int, length: int) -> None:
    with LocalFile(path) as local:
        for source in (local, MemorySource(CONTENT)):
            with pytest.raises(ArtifactError):
                source.read(offset, length)


def test_small_reads_far_apart_fetch_little(path: Path) -> None:
    with LocalFile(path) as source:
        for offset in range(0, 300_000, 60_000):
            source.read(offset, 20)
        assert source.reads == 5
        assert source.bytes_read == 5 * 4096


def test_reading_straight_on_takes_larger_steps(path: Path) -> None:
    with LocalFile(path) as source:
        for offset in range(0, 299_980, 20):
            source.read(offset, 20)
        assert source.reads < 12


def test_a_file_that_shrinks_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "shrinking"
    path.write_bytes(CONTENT)
    with LocalFile(path) as source:
        os.truncate(path, 10)
        with pytest.raises(ArtifactError, match="shrank"):
            source.read(100_000, 100_000)


def test_descriptors_are_given_back(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with pytest.raises(ArtifactError):
            LocalFile(tmp_path)
        LocalFile(__file__)  # dropped without closing
        with LocalFile(__file__):
            pass
    assert len(os.listdir("/proc/self/fd")) == before
