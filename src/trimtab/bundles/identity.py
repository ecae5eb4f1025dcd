"""When is a file the same file as before? What a poller compares, at the price of one `stat`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import os


class FileIdentity(NamedTuple):
    """Changes when a file is replaced, rewritten or grows. Only saves reading: what is read is verified."""

    mtime_ns: int
    inode: int
    size: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileIdentity:
        """The identity that a `stat` tells."""
        return cls(status.st_mtime_ns, status.st_ino, status.st_size)
