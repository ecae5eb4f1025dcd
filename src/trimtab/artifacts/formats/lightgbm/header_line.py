"""Write one line into the header of a LightGBM model, and leave every other byte of the file as it is."""

from __future__ import annotations

import os

from trimtab.artifacts.formats.lightgbm.model_text import read_header
from trimtab.errors import ArtifactError
from trimtab.source.bytes import LocalFile
from trimtab.source.replace import copy_range, replacing


def write_line(path: str, key: str, value: bytes) -> None:
    """Make `key=value` the header's last line, in place of the line with that key, if any.

    Trees are found by their sizes, which do not change. The file is copied and replaced in one step.
    ArtifactError, and the old file as it was, when it cannot be read or written.
    """
    with LocalFile(path) as source:
        header = read_header(source)
        size = source.size
    start, stop = header.lines.get(key, (header.end, header.end))
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with replacing(path) as temporary, open(temporary, "xb", buffering=0) as target:
                copy_range(descriptor, target.fileno(), 0, start)
                copy_range(descriptor, target.fileno(), stop, header.end)
                _write(target.fileno(), key.encode() + b"=" + value + b"\n")
                copy_range(descriptor, target.fileno(), header.end, size)
        finally:
            os.close(descriptor)
    except OSError as failure:
        raise ArtifactError(where=path, expected="a file that can be written", got=str(failure)) from failure


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
