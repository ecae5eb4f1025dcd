"""Add an entry to a zip archive, at a cost that does not grow with the archive, so that no cut can destroy it.

The new entry, a whole new directory and new end records go after the old end of the file; no old byte is touched.
Readers look for the end record from the back, so until the last four bytes are written, the signature of the new end
record, every reader still finds the old one behind the unfinished rest. An entry of the same name is left out of the
new directory; its bytes stay behind, dead.

Two cases get a copy with the entry in it instead, which then replaces the file: hard links, whose other names may
belong to a cache that trusts its content; and an appendix too long for readers to find the old end record behind it.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trimtab.errors import ArtifactError
from trimtab.source.bytes import LocalFile
from trimtab.source.replace import copy_range, replacing
from trimtab.source.zip import LOCAL_MAGIC, MAX_NAME_BYTES, MAX_TRAILING_BYTES, ZipDirectory

if TYPE_CHECKING:
    from collections.abc import Iterator

ALIGNMENT = 64
"""Entries' data begin at multiples of this, as in archives that torch writes."""

_END_MAGIC = b"PK\x05\x06"


def append_entry(
    path: str, name: str, data: bytes, directory: ZipDirectory | None = None, *, prefixed: bool = False
) -> None:
    """Add the stored entry `name` to the archive at `path`, or replace the one of that name.

    directory: the archive's, if it has been read already. prefixed: as of `ZipDirectory.open`.
    ArtifactError, and the old archive as it was, when it cannot be read or written.
    """
    if directory is None:
        with LocalFile(path) as source:
            directory = ZipDirectory.open(source, prefixed=prefixed)
    size = directory.source.size
    appendix = _appendix(directory, name, data)
    try:
        behind_old_end = size - directory.end + len(appendix)
        too_far_behind = behind_old_end > MAX_TRAILING_BYTES and bool(directory.entries)
        if os.stat(path).st_nlink > 1 or too_far_behind:
            with replacing(path) as temporary:
                _copy(path, temporary, size)
                _append(temporary, size, appendix)
        else:
            _append(path, size, appendix)
    except OSError as failure:
        raise ArtifactError(where=path, expected="a file that can be written", got=str(failure)) from failure


def _append(path: str, size: int, appendix: bytes) -> None:
    """Write the appendix so that the old archive is in force until its very last step."""
    with _opened_alone(path) as descriptor:
        if os.fstat(descriptor).st_size != size:
            raise ArtifactError(
                "another process wrote to the file",
                where=path,
                expected=f"{size} bytes",
                got=f"{os.fstat(descriptor).st_size}",
                hint="Run this again when the other writer is done.",
            )
        try:
            commit = len(appendix) - _END.size
            after = commit + len(_END_MAGIC)
            _write(descriptor, appendix[:commit] + bytes(len(_END_MAGIC)) + appendix[after:], size)
            os.fsync(descriptor)
            _write(descriptor, _END_MAGIC, size + commit)
            os.fsync(descriptor)
            _check(descriptor, appendix, size, path)
        except BaseException:
            os.ftruncate(descriptor, size)
            raise


def _check(descriptor: int, appendix: bytes, size: int, path: str) -> None:
    """Read the appendix back. ArtifactError when it is not what was written, and the last that the file has."""
    read = b""
    while len(read) <= len(appendix) and (part := os.pread(descriptor, len(appendix) + 1, size + len(read))):
        read += part
    if read != appendix:
        raise ArtifactError(where=path, expected=f"{len(appendix)} bytes as written", got=f"{len(read)} other bytes")


@contextmanager
def _opened_alone(path: str) -> Iterator[int]:
    """The file, open for writing and locked against other writers that take the lock too."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield descriptor
    finally:
        os.close(descriptor)


def _write(descriptor: int, data: bytes, offset: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, offset)
        data = data[written:]
        offset += written


def _copy(path: str, temporary: str, size: int) -> None:
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        target = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            copy_range(source, target, 0, size)
        finally:
            os.close(target)
    finally:
        os.close(source)


def _appendix(directory: ZipDirectory, name: str, data: bytes) -> bytes:
    """The new entry, the new directory and the end records, for the place behind the archive's last byte."""
    encoded = name.encode("utf-8")
    if not encoded or len(encoded) > MAX_NAME_BYTES or len(data) >= _FULL_32:
        raise ArtifactError(where=name[:80], expected="an entry of less than 4 GiB under a short name", got="another")
    offset = directory.source.size
    crc = zlib.crc32(data)
    stamp = _dos_time()
    local = _LOCAL.pack(LOCAL_MAGIC, 20, _UTF8, 0, *stamp, crc, len(data), len(data), len(encoded), 0) + encoded
    padding = -(offset + len(local) + _EXTRA.size) % ALIGNMENT
    extra = _EXTRA.pack(b"FB", padding) + b"Z" * padding
    local = local[: _LOCAL.size - 2] + struct.pack("<H", len(extra)) + encoded + extra
    kept = [directory.raw[entry.record] for entry in directory.entries.values() if entry.name != name]
    records = b"".join((*kept, _record(encoded, data, crc, offset, stamp)))
    return local + data + records + _end(offset + len(local) + len(data), len(records), len(kept) + 1)


_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_EXTRA = struct.Struct("<2sH")
_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR_64 = struct.Struct("<4sIQI")
_UTF8 = 0x800
_FULL_16 = 0xFFFF
_FULL_32 = 0xFFFFFFFF


def _record(encoded: bytes, data: bytes, crc: int, offset: int, stamp: tuple[int, int]) -> bytes:
    wide = struct.pack("<2HQ", 1, 8, offset) if offset >= _FULL_32 else b""
    version = 45 if wide else 20
    return (
        _CENTRAL.pack(
            b"PK\x01\x02",
            version,
            version,
            _UTF8,
            0,
            *stamp,
            crc,
            len(data),
            len(data),
            len(encoded),
            len(wide),
            0,
            0,
            0,
            0,
            min(offset, _FULL_32),
        )
        + encoded
        + wide
    )


def _end(offset: int, size: int, entries: int) -> bytes:
    """The zip64 end record, its locator and the end record: torch always writes all three, and so do we."""
    return (
        _END_64.pack(b"PK\x06\x06", _END_64.size - 12, 45, 45, 0, 0, entries, entries, size, offset)
        + _LOCATOR_64.pack(b"PK\x06\x07", 0, offset + size, 1)
        + _END.pack(
            _END_MAGIC,
            0,
            0,
            min(entries, _FULL_16),
            min(entries, _FULL_16),
            min(size, _FULL_32),
            min(offset, _FULL_32),
            0,
        )
    )


def _dos_time() -> tuple[int, int]:
    """Time and date as zip has them: fixed, so that the same document gives the same bytes."""
    year, month, day, hour, minute, second = time.gmtime(0)[:6]
    return hour << 11 | minute << 5 | second // 2, max(year - 1980, 0) << 9 | month << 5 | day
