"""Replace a file's content in one step: a reader sees the old file or the new one, never a part."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from trimtab.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Iterator

_STEP = 1 << 30


@contextmanager
def replacing(path: str) -> Iterator[str]:
    """Write the file anew: the block creates the file whose path it is given.

    That file has the same name, in a folder of its own beside the old one: some writers put the name into the content.
    When the block ends, it takes the old one's place and permissions; when the block raises, the old file stays and
    the new one goes. A symbolic link stays one: what it points at is replaced.
    """
    import tempfile  # 4 ms that modules which may write something need not take when they only read

    target = os.path.realpath(path)
    parent, name = os.path.split(target)
    try:
        folder = tempfile.mkdtemp(prefix=f".{name}.", dir=parent)
    except OSError as failure:
        raise ArtifactError(where=parent, expected="a folder to write into", got=str(failure.strerror)) from None
    temporary = os.path.join(folder, name)
    try:
        yield temporary
        os.chmod(temporary, _permissions(target))
        _sync(temporary, os.O_RDWR)
        os.replace(temporary, target)
        _sync(parent, os.O_RDONLY)
    finally:
        with suppress(OSError):
            os.unlink(temporary)
        with suppress(OSError):
            os.rmdir(folder)


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
