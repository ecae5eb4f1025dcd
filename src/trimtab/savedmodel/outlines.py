"""What a node of the object graph shows without being decoded: its kind, its children, and the traces it lists.

A model has thousands of nodes, and most are never looked at. Nodes in the form in which protobuf writes them are read
by a walk of their own, in a fifth of the time that decoding takes; of any other form, the walk over their fields tells.
"""

from __future__ import annotations

from typing import NamedTuple

from trimtab.errors import ArtifactError
from trimtab.savedmodel.message import BYTES, VARINT, fields, int32, text
from trimtab.savedmodel.object_protos import KINDS
from trimtab.savedmodel.schema import SCHEMA

MAX_TRACES = 10_000
"""How many traces the functions of a graph list in all."""

_KIND_OF = {field.number: field.name for field in SCHEMA.messages["SavedObject"] if field.name in KINDS}
_FUNCTION = next(number for number, kind in _KIND_OF.items() if kind == "function")

_FIRST_TEXT, _SECOND_TEXT, _FIRST_NUMBER = 1 << 3 | BYTES, 2 << 3 | BYTES, 1 << 3 | VARINT
_KIND_OF_TAG = {number << 3 | BYTES: kind for number, kind in _KIND_OF.items()}
_FUNCTION_TAG = _FUNCTION << 3 | BYTES


class Outline(NamedTuple):
    """The kind of a node, its children's ids by name, and the traces in trial order when it is a SavedFunction."""

    kind: str
    children: dict[str, int]
    traces: tuple[str, ...]


def outline(data: bytes, start: int, end: int, where: str) -> Outline:
    """The outline of the SavedObject in `start` to `end`. ArtifactError, at `where`, when it is malformed."""
    try:
        found = _as_written(data, start, end)
    except (IndexError, UnicodeDecodeError):
        found = None
    return found if found is not None else _walked(data, start, end, where)


def _as_written(data: bytes, start: int, end: int) -> Outline | None:
    """The outline of a node whose tags are single bytes and whose lengths are of one or two; None of any other."""
    kind = ""
    children: dict[str, int] = {}
    traces: tuple[str, ...] = ()
    while start < end:
        tag, length, begin = data[start], data[start + 1], start + 2
        if length >= 0x80:
            length, begin = length & 0x7F | data[begin] << 7, begin + 1
            if data[begin - 1] >= 0x80:
                return None
        start = begin + length
        if start > end or tag & 7 != BYTES or tag >= 0x80 or tag < 8:
            return None
        if tag == _FIRST_TEXT:
            child = 0
            if data[begin] == _FIRST_NUMBER:
                child, begin = data[begin + 1], begin + 2
                if child >= 0x80:
                    child, begin = child & 0x7F | data[begin] << 7, begin + 1
                    if data[begin - 1] >= 0x80:
                        return None
            if data[begin] != _SECOND_TEXT or data[begin + 1] != start - begin - 2 or data[begin + 1] >= 0x80:
                return None
            children[data[begin + 2 : start].decode()] = child
        elif tag in _KIND_OF_TAG:
            kind = _KIND_OF_TAG[tag]
            if tag == _FUNCTION_TAG:
                listed = _traces_as_written(data, begin, start)
                if listed is None or traces:
                    return None
                traces = listed
    return Outline(kind, children, traces)


def _traces_as_written(data: bytes, start: int, end: int) -> tuple[str, ...] | None:
    """The names in field 1 of a SavedFunction when nothing but one function_spec follows them."""
    traces: list[str] = []
    while start < end and data[start] == _FIRST_TEXT and data[start + 1] < 0x80:
        stop = start + 2 + data[start + 1]
        if stop > end or len(traces) > MAX_TRACES:
            return None
        traces.append(data[start + 2 : stop].decode())
        start = stop
    if start < end:
        length, begin = data[start + 1], start + 2
        if length >= 0x80:
            length, begin = length & 0x7F | data[begin] << 7, begin + 1
            if data[begin - 1] >= 0x80:
                return None
        if data[start] != _SECOND_TEXT or begin + length != end:
            return None
    return tuple(traces)


def _walked(data: bytes, start: int, end: int, where: str) -> Outline:
    """The outline of a node in any form that protobuf reads."""
    kind, children, traces = "", {}, []
    for number, wire_type, begin, stop in fields(data, start, end, where):
        if number == 1 and wire_type == BYTES:
            child, name = 0, ""
            for inner, inner_type, at, until in fields(data, begin, stop, where):
                if inner == 1 and inner_type == VARINT:
                    child = int32(at)
                elif inner == 2 and inner_type == BYTES:
                    name = text(data, at, until, where)
            children[name] = child
            continue
        kind = _KIND_OF.get(number, kind)
        if number == _FUNCTION and wire_type == BYTES:
            for inner, inner_type, at, until in fields(data, begin, stop, where):
                if inner == 1 and inner_type == BYTES:
                    traces.append(text(data, at, until, where))
                    if len(traces) > MAX_TRACES:
                        raise ArtifactError(where=where, expected=f"at most {MAX_TRACES} traces", got="more")
    return Outline(kind, children, tuple(traces))
