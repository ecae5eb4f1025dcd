"""Replace a file in one step, so that no reader ever sees half of it, and a crash leaves the old or the new one."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING

from trimtab.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path`: into a temporary file beside it, to the disk, renamed into place, the folder to the disk.

    Raises BundleError, and leaves what was there, when any step before the rename fails. When only the last step
    fails the new file is in place but may not survive a power cut, and the error says so.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        _write_through(temporary, data)
        os.replace(temporary, path)
    except OSError as failure:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise BundleError("cannot be written", where=str(path), got=failure.strerror or str(failure)) from failure
    try:
        sync_folder(path.parent)
    except OSError as failure:
        raise BundleError(
            "written, but the folder could not be flushed to the disk",
            where=str(path),
            got=failure.strerror or str(failure),
            hint="The new file is in place; after a power cut the old one may be back. Write it again.",
        ) from failure


def _write_through(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of names to the disk. OSError where that fails."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
