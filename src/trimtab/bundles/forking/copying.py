"""Copy a folder so that it is on the disk when the call returns, and is what the folder held at one moment.

Links are followed: the copy holds bytes of its own, and nothing done to it later reaches what it was copied from.
"""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

from trimtab.bundles.atomic import sync_folder
from trimtab.bundles.identity import FileIdentity
from trimtab.errors import BundleError
from trimtab.source.replace import copy_range

if TYPE_CHECKING:
    from pathlib import Path

DEEPEST = 16
"""Folders inside of one another; links in a circle end here."""


def copy_folder(source: Path, target: Path, depth: int = 0) -> None:
    """Copy a folder with all that is in it into a new one, and flush it to the disk.

    BundleError for what is neither file nor folder, and for a file that changes while it is copied; OSError else.
    """
    if depth > DEEPEST:
        raise BundleError(where=str(source), expected=f"folders at most {DEEPEST} deep", got="more")
    os.mkdir(target)
    for name in sorted(os.listdir(source)):
        if (source / name).is_dir():
            copy_folder(source / name, target / name, depth + 1)
        else:
            copy_file(source / name, target / name)
    shutil.copystat(source, target)
    sync_folder(target)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file into a new one, and flush it to the disk. Errors as of `copy_folder`."""
    kind = os.stat(source).st_mode
    if not stat.S_ISREG(kind):
        raise BundleError(where=str(source), expected="a file or a folder", got=stat.filemode(kind))
    reading = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        before = os.fstat(reading)
        writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            copy_range(reading, writing, 0, before.st_size)
            os.fchmod(writing, stat.S_IMODE(before.st_mode))
            os.utime(writing, ns=(before.st_atime_ns, before.st_mtime_ns))
            os.fsync(writing)
        finally:
            os.close(writing)
        changed = FileIdentity.of(os.fstat(reading)) != FileIdentity.of(before)
    finally:
        os.close(reading)
    if changed:
        raise BundleError("the file changed while it was copied", where=str(source), hint="Is it still being written?")
