"""Decode the messages of a SavedModel that bear signatures, by the table in `schema`, into immutable values.

Pure Python on purpose: importing protobuf costs more time and memory than reading a whole small model does. Protobuf's
semantics hold: the last of several scalars counts, repeated messages of a singular field merge, unknown fields are
skipped, packed and unpacked numbers are the same. Encoding: https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

from msgspec import Struct

from trimtab.errors import ArtifactError
from trimtab.savedmodel.schema import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH = 100
"""How deep messages nest; protobuf's own limit."""

MAX_FIELDS = 500_000
"""How many fields one decoded message has in all, before it is taken for a bomb."""

_CLASSES: dict[str, type[Message]] = {}


class Message(Struct, frozen=True, repr_omit_defaults=True):
    """Base of the decoded messages. A field that a subclass does not declare is skipped.

    proto: the name of the message in the schema, where it is not the name of the class.
    """

    proto: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _CLASSES[cls.proto or cls.__name__] = cls


_M = TypeVar("_M", bound=Message)


def decode(cls: type[_M], data: bytes, where: str, start: int = 0, end: int | None = None) -> _M:
    """The message of class `cls` that lies in `start` to `end` of `data`.

    where: what errors call it. ArtifactError when it is malformed, nested too deep or has too many fields.
    """
    message: _M = _Decoder(data, where).message(cls, start, len(data) if end is None else end, 0)
    return message


VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def fields(data: bytes, start: int, end: int, where: str) -> Iterator[tuple[int, int, int, int]]:
    """Number, wire type, and then the value and its end for a varint, or where the content begins and ends."""
    position = start
    try:
        while position < end:
            tag = data[position]
            position += 1
            if tag >= 0x80:
                tag, position = _varint(data, position - 1)
            wire_type = tag & 7
            if wire_type == BYTES:
                length = data[position]
                position += 1
                if length >= 0x80:
                    length, position = _varint(data, position - 1)
                begin, position = position, position + length
            elif wire_type == VARINT:
                begin, position = _varint(data, position)
            elif wire_type in (FIXED32, FIXED64):
                begin, position = position, position + (4 if wire_type == FIXED32 else 8)
            else:
                raise _malformed(where, position, "a field of a known wire type", f"wire type {wire_type}")
            if position > end or tag < 8:
                raise _malformed(where, position, "a field inside its message", "one that passes its end")
            yield tag >> 3, wire_type, begin, position
    except IndexError:
        raise _malformed(where, position, "a whole field", "the end of the data") from None


def text(data: bytes, start: int, end: int, where: str) -> str:
    """The text of a string field. ArtifactError when it is not UTF-8."""
    try:
        return data[start:end].decode()
    except UnicodeDecodeError:
        raise _malformed(where, start, "text in UTF-8", repr(data[start : min(end, start + 40)])) from None


class _Plan(NamedTuple):
    """How to decode one field: a scalar by `kind`, a message by `message`, a map by the plans of its `entry`.

    rivals: the other fields of its oneof, which it unsets.
    """

    name: str
    kind: str
    repeated: bool
    message: type[Message] | None = None
    entry: tuple[_Plan, _Plan] | None = None
    rivals: tuple[str, ...] = ()


_PLANS: dict[type[Message], dict[int, _Plan]] = {}


def _plans(cls: type[Message]) -> dict[int, _Plan]:
    plans = _PLANS.get(cls)
    if plans is None:
        declared = set(cls.__struct_fields__)
        rows = SCHEMA.messages[cls.proto or cls.__name__]
        oneofs: dict[str, list[str]] = {}
        for row in rows:
            oneofs.setdefault(row.oneof, []).append(row.name)
        plans = {
            row.number: _plan(row.name, row.type, repeated=row.repeated)._replace(
                rivals=tuple(name for name in oneofs[row.oneof] if name != row.name) if row.oneof else ()
            )
            for row in rows
            if row.name in declared
        }
        _PLANS[cls] = plans
    return plans


def _plan(name: str, type_name: str, *, repeated: bool) -> _Plan:
    if type_name.startswith("map<"):
        key, _, value = type_name[4:-1].partition(", ")
        return _Plan(
            name, "map", False, entry=(_plan("key", key, repeated=False), _plan("value", value, repeated=False))
        )
    if type_name in SCHEMA.enums:
        return _Plan(name, "int32", repeated)
    return _Plan(name, type_name, repeated, _CLASSES.get(type_name))


class _Decoder:
    """One decoding: the data, and how many fields are still allowed."""

    def __init__(self, data: bytes, where: str) -> None:
        self._data = data
        self._where = where
        self._left = MAX_FIELDS

    def message(self, cls: type[_M], start: int, end: int, depth: int) -> _M:
        if depth > MAX_DEPTH:
            raise _malformed(self._where, start, f"messages nested at most {MAX_DEPTH} deep", "deeper nesting")
        data, where, plans = self._data, self._where, _plans(cls)
        values: dict[str, Any] = {}
        spans: dict[str, list[tuple[int, int]]] = {}
        for number, wire_type, begin, stop in fields(data, start, end, where):
            self._left -= 1
            if self._left < 0:
                raise _malformed(where, begin, f"at most {MAX_FIELDS} fields", "more")
            plan = plans.get(number)
            if plan is None:
                continue
            name = plan.name
            for rival in plan.rivals if values else ():
                values.pop(rival, None)
                spans.pop(rival, None)
            if plan.message is not None and not plan.repeated:
                if wire_type != BYTES:
                    raise _malformed(where, begin, f"a message in {name}", f"wire type {wire_type}")
                if name in spans:
                    spans[name].append((begin, stop))
                    values[name] = self._merged(plan.message, spans[name], depth)
                else:
                    spans[name] = [(begin, stop)]
                    values[name] = self.message(plan.message, begin, stop, depth + 1)
            elif plan.entry is not None:
                key, value = self._entry(plan.entry, begin, stop, depth)
                values.setdefault(name, {})[key] = value
            elif plan.repeated:
                values.setdefault(name, []).extend(self._elements(plan, wire_type, begin, stop, depth))
            else:
                values[name] = self._scalar(plan, wire_type, begin, stop)
        for name, value in values.items():
            if type(value) is list:
                values[name] = tuple(value)
        return cls(**values)

    def _merged(self, cls: type[_M], spans: list[tuple[int, int]], depth: int) -> _M:
        """A singular message that is written in parts: their fields are those of one message."""
        joined = _Decoder(b"".join(self._data[start:end] for start, end in spans), self._where)
        joined._left = self._left
        message = joined.message(cls, 0, len(joined._data), depth + 1)
        self._left = joined._left
        return message

    def _entry(self, plans: tuple[_Plan, _Plan], start: int, end: int, depth: int) -> tuple[Any, Any]:
        """Key and value of one entry of a map; a part that is left out has its type's default."""
        pair: list[Any] = [_default(plan) for plan in plans]
        for number, wire_type, begin, stop in fields(self._data, start, end, self._where):
            self._left -= 1
            if number in (1, 2):
                plan = plans[number - 1]
                if plan.message is None:
                    pair[number - 1] = self._scalar(plan, wire_type, begin, stop)
                else:
                    pair[number - 1] = self.message(plan.message, begin, stop, depth + 1)
        return pair[0], pair[1]

    def _elements(self, plan: _Plan, wire_type: int, start: int, end: int, depth: int) -> Iterator[Any]:
        if plan.message is not None:
            yield self.message(plan.message, start, end, depth + 1)
        elif wire_type == BYTES and plan.kind not in ("string", "bytes"):
            yield from self._packed(plan, start, end)
        else:
            yield self._scalar(plan, wire_type, start, end)

    def _packed(self, plan: _Plan, start: int, end: int) -> Iterator[Any]:
        width = {"float": 4, "fixed32": 4, "double": 8, "fixed64": 8}.get(plan.kind)
        self._left -= (end - start) // (width or 1)
        if self._left < 0 or (width and (end - start) % width):
            raise _malformed(self._where, start, f"whole numbers of {plan.name}, {MAX_FIELDS} at most", "others")
        position = start
        while position < end:
            try:
                begin, stop = (position, position + width) if width else _varint(self._data, position)
            except IndexError:
                raise _malformed(self._where, position, "a whole number", "the end of the data") from None
            yield self._scalar(plan, {None: VARINT, 4: FIXED32, 8: FIXED64}[width], begin, stop)
            position = stop

    def _scalar(self, plan: _Plan, wire_type: int, begin: int, end: int) -> Any:
        kind = plan.kind
        expected, read = _SCALARS.get(kind, (BYTES, None))
        if wire_type != expected:
            raise _malformed(self._where, begin, f"a {kind} in {plan.name}", f"wire type {wire_type}")
        if kind == "string":
            return text(self._data, begin, end, self._where)
        if expected == VARINT:
            return read(begin) if read else begin
        return read(self._data[begin:end]) if read else self._data[begin:end]


def _default(plan: _Plan) -> Any:
    if plan.message is not None:
        return plan.message()
    return {"string": "", "bytes": b"", "bool": False}.get(plan.kind, 0)


def _signed(bits: int) -> Any:
    low, high = (1 << bits) - 1, 1 << (bits - 1)
    return lambda number: ((number & low) ^ high) - high


_SCALARS: dict[str, tuple[int, Any]] = {
    "string": (BYTES, None),
    "bytes": (BYTES, None),
    "bool": (VARINT, bool),
    "int32": (VARINT, _signed(32)),
    "int64": (VARINT, _signed(64)),
    "uint32": (VARINT, lambda number: number & 0xFFFFFFFF),
    "uint64": (VARINT, None),
    "sint64": (VARINT, lambda number: (number >> 1) ^ -(number & 1)),
    "float": (FIXED32, lambda data: struct.unpack("<f", data)[0]),
    "double": (FIXED64, lambda data: struct.unpack("<d", data)[0]),
    "fixed32": (FIXED32, lambda data: int.from_bytes(data, "little")),
    "fixed64": (FIXED64, lambda data: int.from_bytes(data, "little")),
}


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """The number at `position`, truncated to 64 bits as protobuf does, and the position after it."""
    value = data[position]
    position += 1
    if value < 0x80:
        return value, position
    value &= 0x7F
    for shift in range(7, 70, 7):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, position
    raise IndexError  # endless: the callers report a field that is not whole


def _malformed(where: str, at: int, expected: str, got: str) -> ArtifactError:
    return ArtifactError(where=f"{where} at byte {at}", expected=expected, got=got)
