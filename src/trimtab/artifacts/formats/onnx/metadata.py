"""Write the signature document into an ONNX model's metadata.

A protobuf message can be extended by appending a field, but a cut inside of that field makes the whole file
unreadable to onnx. So models of up to 64 MiB, which with external weights are nearly all of them, are copied with the
field and replaced in one step. A larger file is appended to in place: the cost stays independent of the weights, a
failed write is taken back, and a file cut by a crash is reported by the reader with the size to truncate it to.

A document that such a file holds already is put out of force by one byte of its tag, which makes it a field that ONNX
does not have. The new one is appended out of force, made durable, put in force, and only then the old one put out: at
no moment is there none. A crash in between leaves both, which the reader refuses until the document is embedded again.
"""

from __future__ import annotations

import fcntl
import os

from trimtab.artifacts.formats.onnx.model import document_fields, metadata_entry
from trimtab.errors import ArtifactError
from trimtab.source.bytes import LocalFile
from trimtab.source.replace import copy_range, replacing
from trimtab.source.wire import BYTES

COPY_BELOW = 64 << 20
"""Files up to this size are copied and replaced, larger ones appended to."""

_IN_FORCE = metadata_entry(b"")[:1]
_OUT_OF_FORCE = bytes([15 << 3 | BYTES])
"""The tag of a field that ModelProto does not have: every reader skips it."""

MAX_PROTOBUF = (1 << 31) - 1
"""Protobuf, and so onnx and onnxruntime, read no larger message."""


def write_document(path: str, document: bytes) -> None:
    """Make `document` the value of `module_info.json` in the metadata, exactly once and as the last field.

    ArtifactError, and the old file as it was, when it cannot be read or written or would pass protobuf's 2 GiB.
    """
    with LocalFile(path) as source:
        old = document_fields(source)
        swappable = all(source.read(each.at, 1) == _IN_FORCE for each in old)
    entry = metadata_entry(document)
    if source.size + len(entry) > MAX_PROTOBUF:
        raise ArtifactError(
            where=path,
            expected="a model of at most 2 GiB with its signature",
            got=f"{source.size + len(entry)} bytes",
            hint="Save the model with external data: onnx.save(model, path, save_as_external_data=True).",
        )
    try:
        if source.size <= COPY_BELOW or not swappable or os.stat(path).st_nlink > 1:
            kept = [0, *(edge for each in old for edge in (each.at, each.end)), source.size]
            with replacing(path) as temporary:
                _copy(path, temporary, kept, entry)
                _check(temporary, document)
        else:
            _append(path, source.size, entry, [each.at for each in old], document)
    except OSError as failure:
        raise ArtifactError(where=path, expected="a file that can be written", got=str(failure)) from failure


def _check(path: str, document: bytes) -> None:
    """Read the document back. ArtifactError when it is not there exactly once, as written."""
    with LocalFile(path) as source:
        if [it.read(source) for it in document_fields(source)[:2]] != [document]:
            raise ArtifactError(where=path, expected="the signature document as written", got="another one, or none")


def _copy(path: str, temporary: str, kept: list[int], entry: bytes) -> None:
    """`kept`: the edges of the ranges of the old file to keep, in order."""
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with open(temporary, "wb", buffering=0) as target:
            for start, end in zip(kept[::2], kept[1::2], strict=True):
                copy_range(source, target.fileno(), start, end)
            _write(target.fileno(), entry)
    finally:
        os.close(source)


def _append(path: str, size: int, entry: bytes, old: list[int], document: bytes) -> None:
    """Append to a file of that size in place of the documents whose tags lie at `old`, or leave the file as it was."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            os.lseek(descriptor, size, os.SEEK_SET)
            _write(descriptor, _OUT_OF_FORCE + entry[1:] if old else entry)
            os.fsync(descriptor)
            if old:
                _set_tags(descriptor, [size], _IN_FORCE)
                _set_tags(descriptor, old, _OUT_OF_FORCE)
            _check(path, document)
        except BaseException:
            for at in old:
                os.pwrite(descriptor, _IN_FORCE, at)
            os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)


def _set_tags(descriptor: int, places: list[int], tag: bytes) -> None:
    for at in places:
        os.pwrite(descriptor, tag, at)
    os.fsync(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
