"""Tell that two artifacts are one file twice, which most of a repository is that is held against a copy of itself.

What a reader says of a file follows from the file's bytes, and from a document beside it. So there is nothing to
compare where the bytes are equal and no document is there.
"""

from __future__ import annotations

import os
import stat

from trimtab.artifacts.kinds import KINDS
from trimtab.artifacts.sidecar import sidecar_path
from trimtab.bundles.repository import FOLDER_MARKS

MOST_BYTES = 64 << 10
"""Of larger files, the signature is read in less time than all of the bytes."""

FILE_FORMATS = frozenset(kind.module for kind in KINDS if kind.folder is None)
"""Those whose artifacts are one file each; what is in a folder depends on other files."""


def equal_files(one: str, other: str) -> bool:
    """Whether two paths are small files of equal bytes without a document beside them, and no part of a folder's model.

    False as well where it cannot be told: whoever reads them says why.
    """
    if os.path.basename(one) in FOLDER_MARKS or os.path.basename(other) in FOLDER_MARKS:
        return False
    try:
        first, second = os.stat(one), os.stat(other)
        if first.st_size != second.st_size or first.st_size > MOST_BYTES:
            return False
        if not (stat.S_ISREG(first.st_mode) and stat.S_ISREG(second.st_mode)):
            return False
        content = _content(one)
        equal = len(content) == first.st_size and content == _content(other)
    except (OSError, ValueError):
        return False
    return equal and not any(os.path.lexists(sidecar_path(each)) for each in (one, other))


def _content(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return os.pread(descriptor, MOST_BYTES + 1, 0)
    finally:
        os.close(descriptor)
