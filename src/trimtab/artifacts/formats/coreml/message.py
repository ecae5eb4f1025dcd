"""A protobuf message by field numbers, merged as protobuf merges: of what is said twice, the last counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.errors import ArtifactError
from trimtab.source.wire import BYTES, VARINT, Wire, WireField

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_TEXT = 64 << 10

_SIGN, _WRAP = 1 << 63, 1 << 64


class Message:
    """The fields of a message that lies in one or several spans of a source."""

    def __init__(self, wire: Wire, spans: Iterable[tuple[int, int]]) -> None:
        self.wire = wire
        self._fields: dict[int, list[WireField]] = {}
        for span in spans:
            for field in wire.fields(*span):
                self._fields.setdefault(field.number, []).append(field)

    def __contains__(self, number: int) -> bool:
        return number in self._fields

    def numbers(self) -> Iterable[int]:
        """The numbers of the fields that are there, in the order of their first appearance."""
        return self._fields.keys()

    def fields(self, number: int) -> list[WireField]:
        """The fields of that number, as they lie."""
        return self._fields.get(number, [])

    def last_of(self, numbers: Iterable[int]) -> int | None:
        """Which of a `oneof` is set: the one that comes last."""
        there = [number for number in numbers if number in self._fields]
        return max(there, key=lambda number: self._fields[number][-1].at) if there else None

    def text(self, number: int) -> str:
        """A text, empty where there is none."""
        found = self._fields.get(number)
        return self.wire.text(found[-1], limit=MAX_TEXT) if found else ""

    def number(self, number: int) -> int:
        """A whole number, 0 where there is none."""
        found = self._fields.get(number)
        if not found:
            return 0
        if found[-1].wire_type != VARINT:
            raise self._malformed(found[-1], "a whole number")
        return _signed(found[-1].value)

    def fixed(self, number: int) -> bytes:
        """The bytes of a number of fixed width."""
        field = self._fields[number][-1]
        if field.wire_type in (VARINT, BYTES):
            raise self._malformed(field, "a number of fixed width")
        return self.wire.source.read(field.start, field.end - field.start)

    def whole_numbers(self, number: int, limit: int) -> list[int]:
        """A list of whole numbers, packed or one by one."""
        values: list[int] = []
        for field in self._fields.get(number, ()):
            if field.wire_type == VARINT:
                values.append(_signed(field.value))
            else:
                values += self._unpacked(field, limit)
            if len(values) > limit:
                raise self._malformed(field, f"at most {limit} numbers")
        return values

    def message(self, number: int) -> Message:
        """A singular message, merged from all its parts."""
        return Message(self.wire, [self._span(field) for field in self._fields.get(number, ())])

    def messages(self, number: int) -> Iterator[Message]:
        """Repeated messages, in order."""
        for field in self._fields.get(number, ()):
            yield Message(self.wire, [self._span(field)])

    def _span(self, field: WireField) -> tuple[int, int]:
        if field.wire_type != BYTES:
            raise self._malformed(field, "a message")
        return field.start, field.end

    def _unpacked(self, field: WireField, limit: int) -> Iterator[int]:
        value, shift = 0, 0
        for byte in self.wire.content(field, limit=10 * limit):
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                yield _signed(value % _WRAP)
                value, shift = 0, 0
            elif shift > 63:
                raise self._malformed(field, "varints of at most 10 bytes")
        if shift:
            raise self._malformed(field, "whole varints")

    def _malformed(self, field: WireField, expected: str) -> ArtifactError:
        return ArtifactError(
            where=f"{self.wire.source.name} at offset {field.at}",
            expected=f"{expected} in field {field.number}",
            got=f"wire type {field.wire_type}, {field.end - field.start} bytes",
        )


def _signed(value: int) -> int:
    return value - _WRAP if value >= _SIGN else value
