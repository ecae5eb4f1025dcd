"""Write a file anew out of parts of the old one and new bytes, in one step."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from trimtab.errors import ArtifactError
from trimtab.source.replace import copy_range, replacing

if TYPE_CHECKING:
    from collections.abc import Iterable


def rewrite(path: str, parts: Iterable[bytes | tuple[int, int]]) -> None:
    """Replace the file by the parts in their order: bytes as they are, or from where to where of the old file.

    A reader sees the old file or the new one, whatever happens. ArtifactError, and the old file as it was, when it
    cannot be read or written.
    """
    try:
        source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with replacing(path) as temporary, open(temporary, "xb", buffering=0) as target:
                for part in parts:
                    if isinstance(part, bytes):
                        _write(target.fileno(), part)
                    else:
                        copy_range(source, target.fileno(), *part)
        finally:
            os.close(source)
    except OSError as failure:
        raise ArtifactError(where=path, expected="a file that can be written", got=str(failure)) from failure


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
