"""A zip archive behind a file of another format, and documents in it.

Formats whose loaders stop reading where their own content ends leave room behind it. A zip archive is found there from
its end, whatever lies before, and ordinary zip tools open it. TensorFlow Lite keeps its "associated files" so.

Such an archive's offsets count either from the start of the whole file (Python's zipfile) or from the archive's own
(minizip); both are read. A new entry is appended at a cost that does not grow with the file, and what the archive holds
already stays in it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from trimtab.errors import ArtifactError
from trimtab.source.bytes import ByteSource, LocalFile
from trimtab.source.zip import MAX_TRAILING_BYTES, ZipDirectory

if TYPE_CHECKING:
    from trimtab.source.zip import ZipEntry


def read_appended(source: ByteSource, name: str, *, limit: int) -> bytes | None:
    """The entry `name` of the archive behind the file; None where there is no such archive or entry.

    ArtifactError when the archive is damaged or ambiguous, or the entry larger than `limit` bytes.
    """
    directory = find_appended(source)
    return directory.read(name, limit=limit) if directory is not None and name in directory.entries else None


def append_document(path: str, name: str, data: bytes) -> None:
    """Make `data` the entry `name` of the archive behind the file at `path`, which is begun where there is none.

    However the write ends, the file's own content is untouched, and the archive is the old one or the new one.
    """
    from trimtab.source.append import append_entry  # reading does not need it

    with LocalFile(path) as source:
        directory = find_appended(source) or ZipDirectory(source, {}, b"", source.size, source.size)
    append_entry(path, name, data, directory, prefixed=True)


def find_appended(source: ByteSource) -> ZipDirectory | None:
    """The directory of the archive behind the file, its offsets counted from the file's start; None without archive.

    Four bytes that look like the end of an archive may be anything in a file of weights: they count only where a
    directory lies before them. ArtifactError for an archive that is damaged or ambiguous.
    """
    if _MEMO not in source.memo:
        source.memo[_MEMO] = _find(source)
    found: ZipDirectory | None = source.memo[_MEMO]
    return found


_MEMO = "appended"


def _find(source: ByteSource) -> ZipDirectory | None:
    start = max(0, source.size - MAX_TRAILING_BYTES - _END.size)
    tail = source.read(start, source.size - start)
    at = tail.rfind(_END_MAGIC)
    while at >= 0:
        shift = _shift(source, tail, start, at)
        if shift == 0:
            return ZipDirectory.open(source, prefixed=True)
        if shift is not None:
            return _rebased(ZipDirectory.open(_From(source, shift)), source, shift)
        at = tail.rfind(_END_MAGIC, 0, at)
    return None


_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR_64 = struct.Struct("<4sIQI")
_END_MAGIC = b"PK\x05\x06"
_RECORD_MAGIC = b"PK\x01\x02"
_RECORD_OFFSET = 42
_FULL_32 = 0xFFFFFFFF


def _shift(source: ByteSource, tail: bytes, start: int, at: int) -> int | None:
    """How far the archive that ends at `at` of the tail counts its offsets from behind the file's start.

    None when there is no directory before that place, so that no archive ends there.
    """
    if at + _END.size > len(tail):
        return None
    size, offset = _END.unpack_from(tail, at)[5:7]
    end = start + at
    wide = end - _LOCATOR_64.size - _END_64.size
    if wide >= 0 and source.read(end - _LOCATOR_64.size, 4) == b"PK\x06\x07" and source.read(wide, 4) == b"PK\x06\x06":
        size, offset = _END_64.unpack(source.read(wide, _END_64.size))[8:10]
        end = wide
    directory = end - size
    shift = int(directory - offset)
    if size < len(_RECORD_MAGIC) or directory < 0 or shift < 0 or source.read(directory, 4) != _RECORD_MAGIC:
        return None
    return shift


class _From(ByteSource):
    """A source from some byte on."""

    def __init__(self, source: ByteSource, start: int) -> None:
        super().__init__(source.name, source.size - start)
        self._source = source
        self._start = start

    def _read(self, offset: int, length: int) -> bytes:
        return self._source.read(self._start + offset, length)


def _rebased(directory: ZipDirectory, source: ByteSource, shift: int) -> ZipDirectory:
    """The same directory, counted from the start of the file."""
    raw = bytearray(directory.raw)
    entries: dict[str, ZipEntry] = {}
    for name, entry in directory.entries.items():
        if entry.offset + shift >= _FULL_32:
            raise ArtifactError(
                where=f"{source.name}: {name}",
                expected="an entry in the first 4 GiB of the file",
                got="one behind them",
            )
        entries[name] = entry._replace(offset=entry.offset + shift, limit=entry.limit + shift)
        struct.pack_into("<I", raw, entry.record.start + _RECORD_OFFSET, entry.offset + shift)
    return ZipDirectory(source, entries, bytes(raw), directory.offset + shift, directory.end + shift)
