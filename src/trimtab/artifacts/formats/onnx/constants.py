"""Read the name of an ONNX tensor, and the values of a small one: the default of the input that it initializes.

A TensorProto holds its elements as raw little-endian bytes or in one of six typed fields, by its data type. Anything
that is not plainly one of these, and everything that is long or lies in another file, stays unread.
"""

from __future__ import annotations

from math import prod
from struct import calcsize, iter_unpack, unpack
from typing import TYPE_CHECKING, Any

from trimtab.artifacts.formats.onnx.model import MAX_TEXT, message
from trimtab.signature.types import Literal
from trimtab.source.wire import BYTES, FIXED32, FIXED64, VARINT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.artifacts.formats.onnx.model import Span
    from trimtab.source.wire import Wire, WireField

MAX_ELEMENTS = 64
"""A tensor of more elements is a table of weights, not a default that a person would want to see."""

_HEAD = 128
_MAX_RANK = 16
_MAX_STRING = 1 << 12
_MAX_CONTENT = 16 * MAX_ELEMENTS

# TensorProto
_DIMS, _DATA_TYPE, _SEGMENT, _FLOATS, _INT32S, _STRINGS, _INT64S, _NAME, _RAW = 1, 2, 3, 4, 5, 6, 7, 8, 9
_DOUBLES, _UINT64S, _LOCATION = 10, 11, 14

_STRING, _BOOL, _BFLOAT16 = 8, 9, 16
_RAW_ELEMENTS = {
    1: "<f",
    2: "<B",
    3: "<b",
    4: "<H",
    5: "<h",
    6: "<i",
    7: "<q",
    9: "<?",
    10: "<e",
    11: "<d",
    12: "<I",
    13: "<Q",
    14: "<2f",
    15: "<2d",
    16: "<H",
}
"""One element of each data type as raw bytes; bfloat16 as its bits. Packed and 8-bit floating types are not read."""

_FIELD_ELEMENTS = {_FLOATS: "<f", _DOUBLES: "<d"}
_FIELD_OF = {
    1: _FLOATS,
    14: _FLOATS,
    11: _DOUBLES,
    15: _DOUBLES,
    7: _INT64S,
    12: _UINT64S,
    13: _UINT64S,
    **dict.fromkeys((2, 3, 4, 5, 6, 9, 10, 16), _INT32S),
}
"""Which typed field holds the elements of a data type."""


def tensor_name(wire: Wire, span: Span) -> str:
    """The name of the TensorProto that lies at `span`."""
    start, end = span
    base, window = wire.source.window(start, min(_HEAD, end - start))
    try:
        return _name_as_written(window, start - base, end - base)
    except (IndexError, ValueError):
        return _name_anywhere(wire, span)


def _name_as_written(data: bytes, at: int, end: int) -> str:
    """The name in a tensor of raw data, as protobuf writes it; IndexError or ValueError for any other form."""
    while data[at] == _DIMS << 3 | VARINT:
        at += 1
        while data[at] >= 0x80:
            at += 1
        at += 1
    if data[at] == _DATA_TYPE << 3 | VARINT:
        at += 2
    if data[at] != _NAME << 3 | BYTES or data[at - 1] >= 0x80 or data[at + 1] >= 0x80:
        raise ValueError
    begin = at + 2
    at = begin + data[at + 1]
    name = data[begin:at]
    if at > len(data):
        raise IndexError
    if at < end and data[at] == _RAW << 3 | BYTES:
        length = shift = 0
        while True:
            at += 1
            length |= (data[at] & 0x7F) << shift
            shift += 7
            if data[at] < 0x80:
                break
        at += 1 + length
    if at != end:
        raise ValueError
    return name.decode()


def _name_anywhere(wire: Wire, span: Span) -> str:
    name = ""
    for field in wire.fields(*span):
        if field.number == _NAME:
            name = wire.text(field, limit=MAX_TEXT)
    return name


def is_small(wire: Wire, span: Span) -> bool:
    """Whether the TensorProto at `span` has at most `MAX_ELEMENTS`."""
    dims: list[int] = []
    for field in wire.fields(*span):
        if field.number == _DIMS:
            dims.extend(_integers(wire, field))
            if len(dims) > _MAX_RANK:
                return False
    return prod(dims) <= MAX_ELEMENTS


def small_tensor(wire: Wire, span: Span) -> Literal | None:
    """The values of the TensorProto at `span`, nested as its dimensions are; None where they are not read.

    Not read: more than `MAX_ELEMENTS`, external data, segments, packed and 8-bit floating types, damaged values.
    """
    dims: list[int] = []
    code = 0
    content: dict[int, list[WireField]] = {}
    for field in wire.fields(*span):
        if field.number == _DIMS:
            dims.extend(_integers(wire, field))
            if len(dims) > _MAX_RANK:
                return None
        elif field.number == _DATA_TYPE and field.wire_type == VARINT:
            code = field.value
        elif field.number == _SEGMENT or (field.number == _LOCATION and field.value):
            return None
        elif field.number in (_FLOATS, _INT32S, _STRINGS, _INT64S, _RAW, _DOUBLES, _UINT64S):
            content.setdefault(field.number, []).append(field)
            if len(content[field.number]) > 2 * MAX_ELEMENTS:
                return None
    count = prod(dims)
    if count > MAX_ELEMENTS or (count == 0 and len(dims) > 1):
        return None
    values = _values(wire, code, content)
    if values is None or len(values) != count:
        return None
    return Literal.from_python(_nested(iter(values), dims))


def _values(wire: Wire, code: int, content: dict[int, list[WireField]]) -> list[object] | None:
    """The elements in order; None where the fields do not hold what the data type calls for."""
    if code == _STRING:
        return _texts(wire, content.get(_STRINGS, []))
    if code not in _RAW_ELEMENTS:
        return None
    if _RAW in content:
        raw = content[_RAW][-1]
        if raw.wire_type != BYTES or raw.value > _MAX_CONTENT or raw.value % calcsize(_RAW_ELEMENTS[code]):
            return None
        return [_element(code, each) for each in iter_unpack(_RAW_ELEMENTS[code], wire.content(raw, limit=raw.value))]
    number = _FIELD_OF[code]
    fields = content.get(number, [])
    if any(it.wire_type == BYTES and it.value > _MAX_CONTENT for it in fields):
        return None
    if number in _FIELD_ELEMENTS:
        floats = [each for field in fields for each in _floats(wire, field, _FIELD_ELEMENTS[number])]
        if code in (14, 15):
            return [complex(*pair) for pair in zip(floats[::2], floats[1::2], strict=False)]
        return list(floats)
    return [_from_integer(code, each) for field in fields for each in _integers(wire, field)]


def _element(code: int, parts: tuple[Any, ...]) -> object:
    """One element from its raw bytes, as `_RAW_ELEMENTS` unpacks them."""
    if len(parts) == 2:
        return complex(*parts)
    return _bfloat16(parts[0]) if code == _BFLOAT16 else parts[0]


def _from_integer(code: int, value: int) -> object:
    """One element from a field of integers, whose low bytes are those of the raw element."""
    size = calcsize(_RAW_ELEMENTS[code])
    if code == _BOOL:
        return value != 0
    return _element(code, unpack(_RAW_ELEMENTS[code], value.to_bytes(8, "little")[:size]))


def _bfloat16(bits: int) -> float:
    value: float = unpack("<f", (bits << 16).to_bytes(4, "little"))[0]
    return value


def _integers(wire: Wire, field: WireField) -> Iterator[int]:
    """The numbers of a repeated field of varints, packed or not; at most as many as a small tensor could have."""
    if field.wire_type == VARINT:
        yield field.value
        return
    start, end = message(wire, field)
    if end - start > _MAX_CONTENT:
        return
    value = shift = 0
    for byte in wire.source.read(start, end - start):
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield value & 0xFFFFFFFFFFFFFFFF
            value = shift = 0


def _floats(wire: Wire, field: WireField, element: str) -> list[float]:
    """The numbers of a repeated field of floats, packed or not."""
    if field.wire_type in (FIXED32, FIXED64):
        data = field.value.to_bytes(4 if field.wire_type == FIXED32 else 8, "little")
    else:
        data = wire.content(field, limit=_MAX_CONTENT)
    return [each[0] for each in iter_unpack(element, data)] if len(data) % calcsize(element) == 0 else []


def _texts(wire: Wire, fields: list[WireField]) -> list[object] | None:
    texts: list[object] = []
    for field in fields:
        if field.wire_type != BYTES or field.value > _MAX_STRING:
            return None
        data = wire.content(field, limit=_MAX_STRING)
        try:
            texts.append(data.decode())
        except UnicodeDecodeError:
            texts.append(data)
    return texts


def _nested(values: Iterator[object], dims: list[int]) -> object:
    """The values in tuples, one level per dimension."""
    if not dims:
        return next(values)
    return tuple(_nested(values, dims[1:]) for _ in range(dims[0]))
