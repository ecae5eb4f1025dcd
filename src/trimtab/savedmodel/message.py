"""Decode the messages of a SavedModel that bear signatures, by the table in `schema`, into immutable values.

Pure Python on purpose: importing protobuf costs more time and memory than reading a whole small model does. Protobuf's
semantics hold: the last of several scalars counts, repeated messages of a singular field merge, fields that are unknown
or of another wire type are skipped, packed and unpacked numbers are the same. Encoding:
https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

from msgspec import Struct

from trimtab.errors import ArtifactError
from trimtab.savedmodel.schema import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_DEPTH = 100
"""How deep messages nest; protobuf's own limit."""

MAX_FIELDS = 500_000
"""How many fields one decoded message has in all, before it is taken for a bomb: a vocabulary is one message."""

MAX_DECLARED = 100_000
"""How many fields an object, a concrete function, a signature or a collection has: some 10,000 children or inputs."""

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


def decode(
    cls: type[_M], data: bytes, where: str, start: int = 0, end: int | None = None, *, max_fields: int = MAX_FIELDS
) -> _M:
    """The message of class `cls` that lies in `start` to `end` of `data`.

    where: what errors call it. ArtifactError when it is malformed, nested too deep or has more than `max_fields`.
    """
    message: _M = _Decoder(data, where, max_fields).message(cls, [(start, len(data) if end is None else end)], 0)
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
                tag, position = _varint(data, position - 1, _LONGEST_TAG)
            wire_type = tag & 7
            if wire_type == BYTES:
                begin = position + 1
                length = data[position]
                if length >= 0x80:
                    length, begin = _varint(data, position, _LONGEST_TAG)
                position = begin + length
            elif wire_type == VARINT:
                begin, position = _varint(data, position)
            elif wire_type in (FIXED32, FIXED64):
                begin, position = position, position + (4 if wire_type == FIXED32 else 8)
            else:
                raise _malformed(where, position, "a field of a known wire type", f"wire type {wire_type}")
            if position > end or not 8 <= tag <= 0xFFFFFFFF:
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


def int32(number: int) -> int:
    """The value of an int32 or an enum whose varint is `number`."""
    return ((number & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000


class _Plan(NamedTuple):
    """How to decode a field of one tag. One of `read` (a scalar), `message`, `entry` (of a map) is set.

    read: the value, given the data and what `fields` says. packed: the width of each number; 0 for varints.
    rivals: the other fields of its oneof, which it unsets.
    """

    name: str
    repeated: bool = False
    read: Callable[[bytes, int, int], Any] | None = None
    message: type[Message] | None = None
    entry: dict[int, _Plan] | None = None
    packed: int | None = None
    rivals: tuple[str, ...] = ()


_PLANS: dict[type[Message], dict[int, _Plan]] = {}


def _plans(cls: type[Message]) -> dict[int, _Plan]:
    """The plans of the declared fields by their tags: a field of another wire type has none, and is skipped."""
    plans = _PLANS.get(cls)
    if plans is None:
        declared = set(cls.__struct_fields__)
        rows = SCHEMA.messages[cls.proto or cls.__name__]
        oneofs: dict[str, list[str]] = {}
        for row in rows:
            oneofs.setdefault(row.oneof, []).append(row.name)
        plans = {}
        for row in rows:
            if row.name in declared:
                rivals = tuple(name for name in oneofs[row.oneof] if name != row.name) if row.oneof else ()
                plans.update(_field_plans(row.number, row.name, row.type, repeated=row.repeated, rivals=rivals))
        _PLANS[cls] = plans
    return plans


def _field_plans(
    number: int, name: str, kind: str, *, repeated: bool = False, rivals: tuple[str, ...] = ()
) -> dict[int, _Plan]:
    if kind.startswith("map<"):
        key, _, value = kind[4:-1].partition(", ")
        return {number << 3 | BYTES: _Plan(name, entry=_field_plans(1, "key", key) | _field_plans(2, "value", value))}
    if kind in _CLASSES:
        return {number << 3 | BYTES: _Plan(name, repeated, message=_CLASSES[kind], rivals=rivals)}
    wire_type, read = _SCALARS["int32" if kind in SCHEMA.enums else kind]
    plans = {number << 3 | wire_type: _Plan(name, repeated, read, rivals=rivals)}
    if repeated and wire_type != BYTES:
        plans[number << 3 | BYTES] = _Plan(name, repeated, read, packed={VARINT: 0, FIXED32: 4, FIXED64: 8}[wire_type])
    return plans


class _Decoder:
    """One decoding: the data, and how many fields are still allowed.

    A message is given as spans, because its parts, where it has several, count as one.
    """

    def __init__(self, data: bytes, where: str, max_fields: int) -> None:
        self._data = data
        self._where = where
        self._most = self._left = max_fields

    def message(self, cls: type[_M], spans: list[tuple[int, int]], depth: int) -> _M:
        values = self._values(_plans(cls), spans, depth)
        return cls(**values)

    def _values(self, plans: dict[int, _Plan], spans: list[tuple[int, int]], depth: int) -> dict[str, Any]:
        """What each field of a message holds, by name."""
        if depth > MAX_DEPTH:
            raise _malformed(self._where, spans[0][0], f"messages nested at most {MAX_DEPTH} deep", "deeper nesting")
        data = self._data
        values: dict[str, Any] = {}
        parts: dict[str, tuple[type[Message], list[tuple[int, int]]]] = {}
        for start, end in spans:
            for number, wire_type, begin, stop in fields(data, start, end, self._where):
                self._left -= 1
                if self._left < 0:
                    raise self._too_many(begin)
                plan = plans.get(number << 3 | wire_type)
                if plan is None:
                    continue
                name, repeated, read, message, entry, packed, rivals = plan
                if rivals and (values or parts):
                    for rival in rivals:
                        values.pop(rival, None)
                        if rival in parts:  # unset, and yet it has to be sound
                            unset, inside = parts.pop(rival)
                            self.message(unset, inside, depth + 1)
                if read is not None:
                    if packed is not None:
                        values.setdefault(name, []).extend(self._packed(read, packed, begin, stop))
                        continue
                    try:
                        value = read(data, begin, stop)
                    except UnicodeDecodeError:
                        got = repr(data[begin : min(stop, begin + 40)])
                        raise _malformed(self._where, begin, f"text in UTF-8 in {name}", got) from None
                    if repeated:
                        values.setdefault(name, []).append(value)
                    else:
                        values[name] = value
                elif message is not None:
                    if repeated:
                        values.setdefault(name, []).append(self.message(message, [(begin, stop)], depth + 1))
                    else:
                        parts.setdefault(name, (message, []))[1].append((begin, stop))
                elif entry is not None:
                    found = self._values(entry, [(begin, stop)], depth + 1)
                    key = found["key"] if "key" in found else _default(entry, 1)
                    values.setdefault(name, {})[key] = found["value"] if "value" in found else _default(entry, 2)
        for name, value in values.items():
            if type(value) is list:
                values[name] = tuple(value)
        for name, (cls, inside) in parts.items():
            values[name] = self.message(cls, inside, depth + 1)
        return values

    def _packed(self, read: Callable[[bytes, int, int], Any], width: int, start: int, end: int) -> list[Any]:
        data = self._data
        self._left -= (end - start) // (width or 1)
        if self._left < 0:
            raise self._too_many(start)
        if width:
            if (end - start) % width:
                raise _malformed(self._where, start, f"numbers of {width} bytes", f"{end - start} bytes")
            return [read(data, at, at + width) for at in range(start, end, width)]
        found, position = [], start
        try:
            while position < end:
                number, position = _varint(data, position)
                found.append(read(data, number, position))
        except IndexError:
            raise _malformed(self._where, position, "a whole number", "the end of the data") from None
        if position > end:
            raise _malformed(self._where, position, "a number inside its field", "one that passes its end")
        return found

    def _too_many(self, at: int) -> ArtifactError:
        return _malformed(self._where, at, f"at most {self._most} fields", "more")


def _default(entry: dict[int, _Plan], number: int) -> Any:
    """What a map's entry has for the key (1) or value (2) that it leaves out."""
    tag, plan = next((tag, plan) for tag, plan in entry.items() if tag >> 3 == number)
    if plan.message is not None:
        return plan.message()
    return plan.read(bytes(8), 0, {FIXED32: 4, FIXED64: 8}.get(tag & 7, 0)) if plan.read else None


_SCALARS: dict[str, tuple[int, Callable[[bytes, int, int], Any]]] = {
    "string": (BYTES, lambda data, begin, end: data[begin:end].decode()),
    "bytes": (BYTES, lambda data, begin, end: data[begin:end]),
    "bool": (VARINT, lambda _data, number, _end: number != 0),
    "int32": (VARINT, lambda _data, number, _end: int32(number)),
    "int64": (VARINT, lambda _data, number, _end: number - ((number >> 63) << 64)),
    "uint32": (VARINT, lambda _data, number, _end: number & 0xFFFFFFFF),
    "uint64": (VARINT, lambda _data, number, _end: number),
    "sint64": (VARINT, lambda _data, number, _end: (number >> 1) ^ -(number & 1)),
    "float": (FIXED32, lambda data, begin, _end: struct.unpack_from("<f", data, begin)[0]),
    "double": (FIXED64, lambda data, begin, _end: struct.unpack_from("<d", data, begin)[0]),
    "fixed64": (FIXED64, lambda data, begin, end: int.from_bytes(data[begin:end], "little")),
}


_LONGEST_TAG, _LONGEST_VARINT = 5, 10


def _varint(data: bytes, position: int, longest: int = _LONGEST_VARINT) -> tuple[int, int]:
    """The number at `position`, and the position after it. IndexError where it has no end."""
    value = data[position]
    position += 1
    if value < 0x80:
        return value, position
    value &= 0x7F
    for shift in range(7, 7 * longest, 7):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value > 0xFFFFFFFFFFFFFFFF:
                break
            return value, position
    raise IndexError


def _malformed(where: str, at: int, expected: str, got: str) -> ArtifactError:
    return ArtifactError(where=f"{where} at byte {at}", expected=expected, got=got)
