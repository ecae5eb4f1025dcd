"""Replace a file in one step, so that no reader ever sees half of it, and a crash leaves the old or the new one."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from pathlib import Path

from trimtab.errors import BundleError

LEFT_OVER_S = 3600.0
"""The age from which a temporary file of ours is taken for a crash's."""


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path`: into a temporary file beside it, to the disk, renamed into place, the folder to the disk.

    Where `path` is a link, the file that it leads to is replaced, and the link stays.
    Raises BundleError, and leaves what was there, when any step before the rename fails, and for what is no file: a
    device that was replaced would be gone for everybody. When only the last step fails the new file is in place but may
    not survive a power cut, and the error says so.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(_temporary_name(target))
    try:
        _check_is_file(target)
        _write_through(temporary, data)
        os.replace(temporary, target)
    except OSError as failure:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise BundleError("cannot be written", where=str(path), got=failure.strerror or str(failure)) from failure
    try:
        _sweep(target)
        sync_folder(target.parent)
    except OSError as failure:
        raise BundleError(
            "written, but the folder could not be flushed to the disk",
            where=str(path),
            got=failure.strerror or str(failure),
            hint="The new file is in place; after a power cut the old one may be back. Write it again.",
        ) from failure


def _temporary_name(target: Path) -> str:
    """A hidden name that nobody has. A long name is cut: with ours around it, it would be too long for a file's."""
    return f".{os.fsdecode(os.fsencode(target.name)[:_LONGEST])}.{secrets.token_hex(8)}.trimtab"


_LONGEST = 200
_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{16}\.trimtab", re.DOTALL)


def _check_is_file(target: Path) -> None:
    """OSError where something lies there that is no file."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(os.stat(target).st_mode):
            raise OSError(f"something that is no file lies there: {target}")


def _write_through(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(written: Path) -> None:
    """Remove what crashes left beside a file that was written just now."""
    with contextlib.suppress(OSError):
        now = os.stat(written).st_mtime
        for name in os.listdir(written.parent):
            if _TEMPORARY.fullmatch(name):
                left = written.with_name(name)
                with contextlib.suppress(OSError):
                    if now - os.stat(left, follow_symlinks=False).st_mtime > LEFT_OVER_S:
                        os.unlink(left)


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of names to the disk. OSError where that fails."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
