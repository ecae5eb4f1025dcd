"""Write one attribute of an XGBoost model, and leave every other byte of the file as it is."""

from __future__ import annotations

import re
import struct

from trimtab.artifacts.formats.rewriting import rewrite
from trimtab.artifacts.formats.xgboost.binary import attribute_places
from trimtab.artifacts.formats.xgboost.model_file import UBJSON_START
from trimtab.artifacts.formats.xgboost.text import ATTRIBUTES, outline_of
from trimtab.errors import ArtifactError
from trimtab.source.bytes import ByteSource, LocalFile


def write_attribute(path: str, key: str, value: bytes) -> None:
    """Make `value` (UTF-8) the attribute `key`, in place of the one before, if any.

    The file is copied with its attributes made anew, and replaced in one step: XGBoost has no room at a file's end.
    ArtifactError, and the old file as it was, when it cannot be read or written.
    """
    with LocalFile(path) as source:
        binary = source.head(len(UBJSON_START)) == UBJSON_START
        start, end, attributes = (_binary if binary else _text)(source, key, value)
        size = source.size
    rewrite(path, [(0, start), attributes, (end, size)])


def _binary(source: ByteSource, key: str, value: bytes) -> tuple[int, int, bytes]:
    """Where the attributes lie, and what is to stand there."""
    places = attribute_places(source)
    _, start, end = next(places)
    kept = [source.read(at, stop - at) for name, at, stop in places if name != key]
    return start, end, b"".join((b"{", *kept, _sized(key.encode()), b"S", _sized(value), b"}"))


def _sized(text: bytes) -> bytes:
    return b"L" + struct.pack(">q", len(text)) + text


_MEMBER = re.compile(rb'\s*("[^"\\]*+(?:\\.[^"\\]*+)*+")\s*:\s*("[^"\\]*+(?:\\.[^"\\]*+)*+")\s*,?', re.DOTALL)


def _text(source: ByteSource, key: str, value: bytes) -> tuple[int, int, bytes]:
    """Where the attributes lie, and what is to stand there."""
    span = outline_of(source).spans.get(ATTRIBUTES)
    if span is None:
        raise ArtifactError(where=source.name, expected="the attributes of the learner before its trees", got="none")
    start, end = span
    name = _quoted(key.encode())
    members = _MEMBER.findall(source.read(start + 1, end - start - 2))
    kept = [b":".join(member) for member in members if member[0] != name]
    return start, end, b"{" + b",".join((*kept, name + b":" + _quoted(value))) + b"}"


_ESCAPES = {b"\\": rb"\\", b'"': rb"\"", b"\n": rb"\n", b"\r": rb"\r", b"\t": rb"\t"}
"""The escapes that XGBoost's parser knows."""


def _quoted(text: bytes) -> bytes:
    return b'"' + re.sub(rb'[\\"\n\r\t]', lambda match: _ESCAPES[match[0]], text) + b'"'
