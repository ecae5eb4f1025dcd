"""Byte sources: exact reads at an offset, whatever holds the bytes.

Model files are large and their signatures small, so a source reads small windows with `pread` where it is asked to. It
never maps memory: page-ahead makes a mapped walk over a 1 GB file read a quarter of it. A remote object that answers
range requests fits behind the same four members.
"""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

from trimtab.errors import ArtifactError

if TYPE_CHECKING:
    from types import TracebackType


class ByteSource(ABC):
    """Random access to an immutable run of bytes.

    name: what errors call it. size: its length in bytes.
    reads, bytes_read: what has been fetched from the medium so far.
    memo: what parsers have worked out about these bytes, so that the next one need not.
    remote: whether a read is a request over a network, so that whoever can do without one should.
    """

    remote = False

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self.reads = 0
        self.bytes_read = 0
        self.memo: dict[str, Any] = {}

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`. ArtifactError when they are not all inside the source."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise ArtifactError(
                where=f"{self.name} at offset {offset}",
                expected=f"{length} bytes",
                got=f"the end at {self.size}",
                hint="Is the file complete? Compare its size with the original.",
            )
        return self._read(offset, length)

    def window(self, offset: int, length: int) -> tuple[int, bytes]:
        """Where a run of bytes begins, and the bytes: `length` from `offset`, and around them what is at hand."""
        return offset, self.read(offset, length)

    def head(self, length: int) -> bytes:
        """The first `length` bytes, or all where there are fewer."""
        return self.read(0, min(length, self.size))

    @abstractmethod
    def _read(self, offset: int, length: int) -> bytes:
        """Read a range that is known to lie inside."""

    def close(self) -> None:  # noqa: B027  # most sources hold nothing to give back
        """Give back what the source holds. Reading a closed source is an error."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class MemorySource(ByteSource):
    """Bytes that are in memory already."""

    def __init__(self, data: bytes, name: str = "<memory>") -> None:
        super().__init__(name, len(data))
        self._data = data

    def _read(self, offset: int, length: int) -> bytes:
        self.reads += 1
        self.bytes_read += length
        return self._data[offset : offset + length]

    def window(self, offset: int, length: int) -> tuple[int, bytes]:
        """All of the bytes."""
        if offset < 0 or offset + length > self.size:
            self.read(offset, length)  # says what is wrong
        return 0, self._data


_SMALLEST_WINDOW = 4 << 10
_LARGEST_WINDOW = 64 << 10
_KEPT_WINDOWS = 4
_BIG_FILE = 8 << 20


class LocalFile(ByteSource):
    """A regular file, read in windows of 4 KiB that grow to 64 KiB while the reading goes straight on.

    ArtifactError when the path is missing, unreadable or not a regular file. The descriptor stays open until `close`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        name = os.fspath(path)
        try:
            # O_NONBLOCK: opening a named pipe must not wait for a writer.
            descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError) as failure:
            reason = (failure.strerror or "") if isinstance(failure, OSError) else str(failure)
            raise ArtifactError(where=name, expected="a readable file", got=reason.lower()) from None
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "a device, pipe or socket"
            raise ArtifactError(where=name, expected="a regular file", got=kind)
        super().__init__(name, status.st_size)
        self._descriptor = descriptor
        self._windows: list[tuple[int, bytes]] = []
        self._window_length = _SMALLEST_WINDOW
        self._next_offset = -1
        if self.size > _BIG_FILE and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)

    def _read(self, offset: int, length: int) -> bytes:
        start, data = self._around(offset, length)
        return data if len(data) == length else data[offset - start : offset - start + length]

    def window(self, offset: int, length: int) -> tuple[int, bytes]:
        """The window of the file that holds these bytes."""
        if offset < 0 or offset + length > self.size:
            self.read(offset, length)  # says what is wrong
        return self._around(offset, length)

    def _around(self, offset: int, length: int) -> tuple[int, bytes]:
        """Where a run of bytes begins and the bytes, a window that holds the range or, of a long range, itself."""
        for start, data in self._windows:
            if start <= offset and offset + length <= start + len(data):
                return start, data
        start, data = self._windows[0] if self._windows else (self.size + 1, b"")
        straight_on = offset == self._next_offset or start <= offset <= start + len(data)
        self._window_length = min(self._window_length * 2, _LARGEST_WINDOW) if straight_on else _SMALLEST_WINDOW
        self._next_offset = offset + length
        if length >= self._window_length:
            return offset, self._fetch(offset, length)
        data = self._fetch(offset, min(self._window_length, self.size - offset))
        self._windows = [(offset, data), *self._windows[: _KEPT_WINDOWS - 1]]
        return offset, data

    def _fetch(self, offset: int, length: int) -> bytes:
        parts = []
        while length:
            try:
                part = os.pread(self._descriptor, length, offset)
            except OSError as failure:
                raise ArtifactError(
                    where=f"{self.name} at offset {offset}", expected="readable bytes", got=str(failure.strerror)
                ) from None
            self.reads += 1
            self.bytes_read += len(part)
            if not part:
                raise ArtifactError(
                    "the file shrank while it was read",
                    where=f"{self.name} at offset {offset}",
                    hint="Read it again when its writer is done.",
                )
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            self.close()
