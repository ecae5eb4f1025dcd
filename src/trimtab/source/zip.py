"""Read zip archives strictly: what other readers would disagree on is refused, not chosen.

Layout: APPNOTE.TXT 6.3.10 of PKWARE. Of it, this reads single-disk archives with stored and deflated entries, zip64 and
data descriptors, which is what model archives are. The directory at the end is authoritative; an entry's local header
is checked against it when the entry is read. Python's `zipfile` is not used: it lets foreign exceptions out on damaged
archives, accepts duplicate names, and costs 12 ms to import.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from trimtab.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.source.bytes import ByteSource

MAX_ENTRIES = 200_000
MAX_DIRECTORY_BYTES = 32 << 20
MAX_NAME_BYTES = 4096
MAX_TRAILING_BYTES = (1 << 16) - 1
"""How far before the end of the file readers look for the end record (beyond its own 22 bytes)."""

STORED = 0
DEFLATED = 8

LOCAL_MAGIC = b"PK\x03\x04"


class ZipEntry(NamedTuple):
    """One entry as the directory states it.

    record: where its record lies in `ZipDirectory.raw`. limit: where the next entry, or the directory, begins.
    """

    name: str
    flags: int
    method: int
    crc: int
    compressed_size: int
    size: int
    offset: int
    record: slice
    limit: int


class ZipDirectory:
    """The directory of a zip archive.

    entries: by name, in the directory's order. raw: the directory's bytes. offset, end: where they begin, and where the
    end records stop (the file may go on after that with a comment or with bytes that all readers ignore).
    """

    def __init__(self, source: ByteSource, entries: dict[str, ZipEntry], raw: bytes, offset: int, end: int) -> None:
        self.source = source
        self.entries = entries
        self.raw = raw
        self.offset = offset
        self.end = end

    @classmethod
    def open(cls, source: ByteSource, *, prefixed: bool = False) -> ZipDirectory:
        """Read and check the directory. ArtifactError for anything damaged, oversized or ambiguous.

        prefixed: the archive lies behind a file of another format, whose bytes its offsets count (`appended`).
        """
        known = source.memo.get("zip")
        if isinstance(known, ZipDirectory):
            return known
        if not prefixed and source.head(4) != LOCAL_MAGIC:
            raise ArtifactError(
                where=f"{source.name} at offset 0",
                expected="a zip archive that begins with its first entry (PK\\3\\4)",
                got=repr(source.head(4)),
                hint="Archives with bytes before them are read differently by different readers. Save the model again.",
            )
        end = _find_end(source)
        directory = cls(source, *_read_entries(source, end), offset=end.directory_offset, end=end.end)
        source.memo["zip"] = directory
        return directory

    @cached_property
    def root(self) -> str | None:
        """The one folder that all entries lie under, or None."""
        roots = {name.partition("/")[0] if "/" in name else None for name in self.entries}
        return roots.pop() if len(roots) == 1 else None

    def read(self, name: str, *, limit: int) -> bytes:
        """The whole content of an entry, checked against its CRC-32.

        ArtifactError when it is absent, larger than `limit` bytes, damaged, or at odds with its local header.
        """
        entry = self._entry(name)
        if entry.size > limit:
            raise ArtifactError(where=self._place(entry), expected=f"at most {limit} bytes", got=f"{entry.size}")
        data = b"".join(self._chunks(entry, entry.size))
        if zlib.crc32(data) != entry.crc:
            raise ArtifactError(
                where=self._place(entry),
                expected=f"CRC-32 {entry.crc:08x}",
                got=f"{zlib.crc32(data):08x}",
                hint="The entry is damaged. Copy the file again from its origin.",
            )
        return data

    def read_prefix(self, name: str, length: int) -> bytes:
        """The first `length` bytes of an entry, or all where it has fewer. Not checked against the CRC-32."""
        entry = self._entry(name)
        return b"".join(self._chunks(entry, min(length, entry.size)))

    def _entry(self, name: str) -> ZipEntry:
        entry = self.entries.get(name)
        if entry is None:
            raise ArtifactError(where=self.source.name, expected=f"an entry {name!r}", got="none")
        return entry

    def _chunks(self, entry: ZipEntry, length: int) -> Iterator[bytes]:
        start = self._data_start(entry)
        if entry.method == STORED:
            if entry.compressed_size != entry.size:
                raise ArtifactError(
                    where=self._place(entry), expected=f"{entry.size} stored bytes", got=f"{entry.compressed_size}"
                )
            yield self.source.read(start, length)
        elif entry.method == DEFLATED:
            yield from self._inflate(entry, start, length)
        else:
            raise ArtifactError(
                where=self._place(entry), expected="a stored or deflated entry", got=f"compression {entry.method}"
            )

    def _inflate(self, entry: ZipEntry, start: int, length: int) -> Iterator[bytes]:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        position, end, made = start, start + entry.compressed_size, 0
        pending = b""
        # One byte more than is wanted tells an honest size from a lying one, and bounds what is ever held.
        while made <= length and not inflater.eof:
            if not pending:
                if position == end:
                    break
                pending = self.source.read(position, min(_INFLATE_STEP, end - position))
                position += len(pending)
            try:
                data = inflater.decompress(pending, length + 1 - made)
            except zlib.error as failure:
                raise ArtifactError(where=self._place(entry), expected="deflated data", got=str(failure)) from None
            pending = inflater.unconsumed_tail
            made += len(data)
            yield data[: len(data) - max(0, made - length)]
        if length < entry.size:
            return
        if made != entry.size or not inflater.eof or inflater.unused_data or position != end:
            raise ArtifactError(
                "the deflated data does not fit the sizes that the directory states",
                where=self._place(entry),
                expected=f"{entry.size} bytes out of {entry.compressed_size}",
                got=f"more than {length}" if made > length else f"{made}",
            )

    def _data_start(self, entry: ZipEntry) -> int:
        """Where an entry's data begins, once its local header agrees with the directory."""
        header = self.source.read(entry.offset, _LOCAL.size)
        magic, _, flags, method, _, _, crc, compressed, size, name_length, extra_length = _LOCAL.unpack(header)
        if magic != LOCAL_MAGIC:
            raise self._disagreement(entry, "a local header", repr(magic))
        name = self.source.read(entry.offset + _LOCAL.size, name_length)
        if name != entry.name.encode():
            raise self._disagreement(entry, f"the name {entry.name!r}", repr(name.decode(errors="replace")))
        if method != entry.method or (flags ^ entry.flags) & ~_FLAGS_THAT_MAY_DIFFER:
            raise self._disagreement(
                entry, f"compression {entry.method}, flags {entry.flags:#x}", f"{method}, {flags:#x}"
            )
        for stated, local in ((entry.crc, crc), (entry.compressed_size, compressed), (entry.size, size)):
            deferred = flags & _DATA_DESCRIPTOR and local == 0
            if local not in (stated, _FULL_32) and not deferred:
                raise self._disagreement(entry, f"size or CRC-32 {stated}", str(local))
        start = entry.offset + _LOCAL.size + name_length + extra_length
        if start + entry.compressed_size > entry.limit:
            raise self._disagreement(entry, f"data that ends before offset {entry.limit}", "an overlap")
        return int(start)

    def _disagreement(self, entry: ZipEntry, expected: str, got: str) -> ArtifactError:
        return ArtifactError(
            "the entry's local header and the directory disagree",
            where=self._place(entry),
            expected=expected,
            got=got,
            hint="Readers differ on which of the two counts, so the archive is refused. Save the model again.",
        )

    def _place(self, entry: ZipEntry) -> str:
        return f"{self.source.name}: {entry.name}"


_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR_64 = struct.Struct("<4sIQI")
_FULL_16 = 0xFFFF
_FULL_32 = 0xFFFFFFFF
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_DATA_DESCRIPTOR = 0x8
_UTF8 = 0x800
_FLAGS_THAT_MAY_DIFFER = 0x6 | _DATA_DESCRIPTOR  # the deflater's effort, and where the sizes are
_INFLATE_STEP = 64 << 10


@dataclass(frozen=True, slots=True)
class _End:
    """What the end records say."""

    entries: int
    directory_size: int
    directory_offset: int
    end: int


def _find_end(source: ByteSource) -> _End:
    """Find the end record: the last one, provided that no earlier one claims it as a part of its comment."""
    tail_start = max(0, source.size - MAX_TRAILING_BYTES - _END.size)
    tail = source.read(tail_start, source.size - tail_start)
    found = None
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0:
        if at + _END.size <= len(tail):
            fields = _END.unpack_from(tail, at)
            if found is None:
                found = (tail_start + at, fields)
            elif tail_start + at + _END.size + fields[7] > found[0] and _ends_a_directory(tail, at, fields, tail_start):
                raise ArtifactError(
                    "two end records: the comment of one holds the other",
                    where=f"{source.name} at offset {tail_start + at}",
                    hint="Readers differ on which one counts, so the archive is refused.",
                )
        at = tail.rfind(b"PK\x05\x06", 0, at)
    if found is None:
        raise ArtifactError(
            where=source.name,
            expected="a zip archive's end record in the last 64 KiB",
            got="none",
            hint="The archive is cut short. Copy it again from its origin.",
        )
    return _check_end(source, *found)


def _ends_a_directory(tail: bytes, at: int, fields: tuple[int, ...], tail_start: int) -> bool:
    """Whether what looks like an end record is one, and not four bytes of some entry's data."""
    size, offset = fields[5:7]
    return offset + size == tail_start + at or tail[max(0, at - _LOCATOR_64.size) : at].startswith(b"PK\x06\x07")


def _check_end(source: ByteSource, at: int, fields: tuple[int, ...]) -> _End:
    _, disk, directory_disk, on_disk, entries, size, offset, comment = fields
    where = f"{source.name} at offset {at}"
    if at + _END.size + comment > source.size:
        raise ArtifactError(where=where, expected=f"a comment of {comment} bytes", got="the end of the file")
    if disk not in (0, _FULL_16) or directory_disk not in (0, _FULL_16) or on_disk != entries:
        raise ArtifactError(where=where, expected="an archive on one disk", got="a part of several")
    records_start = at
    if at >= _LOCATOR_64.size:
        locator = source.read(at - _LOCATOR_64.size, _LOCATOR_64.size)
        if locator[:4] == b"PK\x06\x07":
            records_start = _LOCATOR_64.unpack(locator)[2]
            entries, size, offset = _check_end_64(source, records_start, at - _LOCATOR_64.size, (entries, size, offset))
    if offset + size != records_start:
        raise ArtifactError(
            "bytes before the archive, or between its directory and its end record",
            where=where,
            expected=f"a directory of {size} bytes at offset {records_start - size}",
            got=f"offset {offset}",
            hint="Readers differ on such archives. Save the model again.",
        )
    if entries > MAX_ENTRIES or size > MAX_DIRECTORY_BYTES:
        raise ArtifactError(
            where=where,
            expected=f"at most {MAX_ENTRIES} entries in {MAX_DIRECTORY_BYTES} bytes of directory",
            got=f"{entries} in {size}",
        )
    return _End(entries, size, offset, at + _END.size + comment)


def _check_end_64(source: ByteSource, at: int, limit: int, narrow: tuple[int, int, int]) -> tuple[int, int, int]:
    """Entries, size and offset of the directory from the zip64 record, which the narrow fields must not contradict."""
    where = f"{source.name} at offset {at}"
    if at + _END_64.size != limit:
        raise ArtifactError(where=where, expected=f"the zip64 end record at offset {limit - _END_64.size}", got=str(at))
    magic, length, _, _, disk, directory_disk, on_disk, entries, size, offset = _END_64.unpack(
        source.read(at, _END_64.size)
    )
    if magic != b"PK\x06\x06" or length != _END_64.size - 12 or disk or directory_disk or on_disk != entries:
        raise ArtifactError(where=where, expected="a zip64 end record of one disk", got=repr(magic))
    for value, short, full in zip((entries, size, offset), narrow, (_FULL_16, _FULL_32, _FULL_32), strict=True):
        if short not in (value, full):
            raise ArtifactError(
                "the two end records disagree", where=where, expected=f"{value} in both", got=str(short)
            )
    return entries, size, offset


def _read_entries(source: ByteSource, end: _End) -> tuple[dict[str, ZipEntry], bytes]:
    raw = source.read(end.directory_offset, end.directory_size)
    records: dict[str, _Record] = {}
    position = 0
    for _ in range(end.entries):
        record = _read_record(source, raw, position)
        name = record[0]
        if name in records:
            raise ArtifactError(
                f"two entries have the name {name!r}",
                where=source.name,
                hint="torch reads the first, Python's zipfile the last, so the archive is refused. Save it again.",
            )
        records[name] = record
        position = record[-1].stop
    if position != len(raw):
        raise ArtifactError(
            where=f"{source.name}: directory",
            expected=f"{end.entries} entries in {len(raw)} bytes",
            got=f"{len(raw) - position} bytes more",
        )
    return _with_limits(source, records, end.directory_offset), raw


_Record = tuple[str, int, int, int, int, int, int, slice]
"""A ZipEntry but for its limit, which depends on the other entries."""


def _read_record(source: ByteSource, raw: bytes, position: int) -> _Record:
    if position + _CENTRAL.size > len(raw):
        raise ArtifactError(where=f"{source.name}: directory", expected="another entry", got="its end")
    (
        magic,
        _,
        _,
        flags,
        method,
        _,
        _,
        crc,
        compressed,
        size,
        name_length,
        extra_length,
        comment_length,
        disk,
        _,
        _,
        offset,
    ) = _CENTRAL.unpack_from(raw, position)
    name_start = position + _CENTRAL.size
    extra_start = name_start + name_length
    stop = extra_start + extra_length + comment_length
    if magic != b"PK\x01\x02" or stop > len(raw):
        where = f"{source.name}: directory at byte {position}"
        raise ArtifactError(where=where, expected="an entry's record", got=repr(magic))
    encoded = raw[name_start:extra_start]
    if name_length <= MAX_NAME_BYTES and _PLAIN_NAME.fullmatch(encoded):
        name = encoded.decode("ascii")
    else:
        name = _check_name(encoded, flags, f"{source.name}: directory at byte {position}")
    if flags & _ENCRYPTED:
        raise ArtifactError(where=f"{source.name}: {name}", expected="plain data", got="an encrypted entry")
    if extra_length or _FULL_32 in (size, compressed, offset):
        wide = _extra_64(raw[extra_start : extra_start + extra_length], f"{source.name}: {name}")
        size, compressed, offset = _widen((size, compressed, offset), wide, f"{source.name}: {name}")
    if disk not in (0, _FULL_16):
        raise ArtifactError(where=f"{source.name}: {name}", expected="an entry on this disk", got=f"disk {disk}")
    return name, flags, method, crc, compressed, size, offset, slice(position, stop)


def _check_name(name: bytes, flags: int, where: str) -> str:
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError:
        raise ArtifactError(where=where, expected="an entry's name in UTF-8", got=repr(name[:80])) from None
    if not text.isascii() and not flags & _UTF8:
        raise ArtifactError(where=where, expected="a name in ASCII, or flagged as UTF-8", got=repr(text[:80]))
    parts = text.split("/")
    if (
        not text
        or len(name) > MAX_NAME_BYTES
        or "\0" in text
        or text.startswith(("/", "\\"))
        or text[1:2] == ":"
        or ".." in parts
        or ".." in text.split("\\")
    ):
        raise ArtifactError(
            where=where,
            expected="a relative name that stays inside the archive",
            got=repr(text[:80]),
            hint="Such names write outside of the folder that an archive is unpacked into.",
        )
    return text


_PLAIN_NAME = re.compile(rb"\w[\w-]+(?:[/.][\w-]+)*")
"""Most names, all of them ASCII: there is nothing in them to ask about."""


def _extra_64(extra: bytes, where: str) -> bytes:
    """The zip64 field of an extra area (id 1), or nothing."""
    position = 0
    wide = b""
    while position + 4 <= len(extra):
        identifier, length = struct.unpack_from("<2H", extra, position)
        field = extra[position + 4 : position + 4 + length]
        if len(field) != length:
            break  # padding that is not a field; other readers ignore it too
        if identifier == 0x7075:
            raise ArtifactError(
                where=where, expected="one name", got="a second one in an extra field, which some readers prefer"
            )
        if identifier == 1:
            if wide:
                raise ArtifactError(where=where, expected="one zip64 field", got="two")
            wide = field
        position += 4 + length
    return wide


def _widen(narrow: tuple[int, int, int], wide: bytes, where: str) -> tuple[int, ...]:
    """Size, compressed size and offset, each taken from the zip64 field where the narrow one is all ones."""
    values = []
    position = 0
    for value in narrow:
        if value != _FULL_32:
            values.append(value)
            continue
        if position + 8 > len(wide):
            raise ArtifactError(where=where, expected="a 64-bit size or offset", got="none")
        values.append(struct.unpack_from("<Q", wide, position)[0])
        position += 8
    return tuple(values)


def _with_limits(source: ByteSource, records: dict[str, _Record], directory_offset: int) -> dict[str, ZipEntry]:
    """Give every entry the offset that its data must not reach: overlapping entries are how zip bombs are made."""
    limit = directory_offset
    limits = {}
    for record in sorted(records.values(), key=_OFFSET, reverse=True):
        name, offset, compressed_size = record[0], record[6], record[4]
        if offset + _LOCAL.size + len(name) + compressed_size > limit:
            raise ArtifactError(
                where=f"{source.name}: {name}",
                expected=f"data that ends before offset {limit}",
                got=f"{compressed_size} bytes at offset {offset}, which overlap what follows",
            )
        limits[name] = limit
        limit = offset
    return {name: ZipEntry(*record, limits[name]) for name, record in records.items()}


_OFFSET = itemgetter(6)
