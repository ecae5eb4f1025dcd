"""Replace a file's content in one step: a reader sees the old file or the new one, never a part."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from trimtab.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Iterator

_STEP = 1 << 30


@contextmanager
def replacing(path: str) -> Iterator[str]:
    """Write the file anew: the block fills the temporary file beside it whose path it is given.

    When the block ends, that file takes the old one's place and permissions; when the block raises, the old file stays
    and the temporary one goes. A symbolic link stays one: what it points at is replaced.
    """
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(target)}.", dir=folder)
        os.close(descriptor)
    except OSError as failure:
        raise ArtifactError(where=folder, expected="a folder to write into", got=str(failure.strerror)) from None
    try:
        yield temporary
        os.chmod(temporary, _permissions(target))
        _sync(temporary, os.O_RDWR)
        os.replace(temporary, target)
        _sync(folder, os.O_RDONLY)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def copy_range(source: int, target: int, start: int, end: int) -> None:
    """Copy bytes `start` to `end` of one open file to the current position of another.

    The kernel does the copying, and shares the blocks instead where the file system can.
    """
    while start < end:
        try:
            copied = os.copy_file_range(source, target, min(end - start, _STEP), start)
        except OSError:
            copied = 0  # other file system, or an old kernel
        if not copied:
            data = os.pread(source, min(end - start, 1 << 20), start)
            if not data:
                raise ArtifactError(where="copy", expected=f"{end - start} more bytes", got="the end of the file")
            copied = os.write(target, data)
        start += copied


def _permissions(target: str) -> int:
    try:
        return os.stat(target).st_mode & 0o7777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def _sync(path: str, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
