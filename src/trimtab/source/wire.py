"""Walk over protobuf's wire format without a schema, touching only the bytes asked for.

Encoding: https://protobuf.dev/programming-guides/encoding. A length-delimited field is reported by where it lies, so
a gigabyte of weights costs one length to skip. Groups are refused: no schema of ours has them, and nested they are a
bomb.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trimtab.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.source.bytes import ByteSource

MAX_FIELDS = 500_000
"""How many fields one `Wire` reports in all, before it takes the message for a bomb."""

MAX_TEXT_BYTES = 16 << 20
"""How much text one `Wire` decodes in all."""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

_LONGEST_VARINT = 10


class WireField(NamedTuple):
    """One field. `value` is its number; for BYTES it is the length, and the content lies in `start` to `end`.

    at: where its tag begins.
    """

    number: int
    wire_type: int
    at: int
    start: int
    end: int
    value: int


class Wire:
    """Fields of messages in a source. The budgets of fields and of text are shared by all walks over it."""

    def __init__(self, source: ByteSource, max_fields: int = MAX_FIELDS) -> None:
        self.source = source
        self._fields_left = max_fields
        self._text_left = MAX_TEXT_BYTES

    def fields(self, start: int, end: int) -> Iterator[WireField]:
        """The fields of the message that lies in `start` to `end`, in order. ArtifactError where it is malformed."""
        position = start
        while position < end:
            field = self._field(position, end)
            yield field
            position = field.end

    def content(self, field: WireField, *, limit: int) -> bytes:
        """The bytes of a length-delimited field. ArtifactError when it is another kind or longer than `limit`."""
        if field.wire_type != BYTES:
            raise self._malformed(field.at, "a length-delimited field", f"wire type {field.wire_type}")
        if field.end - field.start > limit:
            raise self._malformed(field.at, f"at most {limit} bytes", str(field.end - field.start))
        return self.source.read(field.start, field.end - field.start)

    def text(self, field: WireField, *, limit: int) -> str:
        """The text of a string field. ArtifactError when it is not UTF-8."""
        self._text_left -= field.end - field.start
        if self._text_left < 0:
            raise self._exhausted(field.at, f"at most {MAX_TEXT_BYTES} bytes of names and texts")
        data = self.content(field, limit=limit)
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            raise self._malformed(field.at, "text in UTF-8", repr(data[:80])) from None

    def _field(self, at: int, end: int) -> WireField:
        self._fields_left -= 1
        if self._fields_left < 0:
            raise self._exhausted(at, "a message of a sane number of fields")
        # Tag, then value or length: both are inside the next 20 bytes.
        window = self.source.read(at, min(2 * _LONGEST_VARINT, end - at))
        tag, used = (window[0], 1) if window[0] < 0x80 else self._varint(window, 0, at)
        number, wire_type = tag >> 3, tag & 7
        if not number or tag > 0xFFFFFFFF:
            raise self._malformed(at, "a field's tag", f"{tag:#x}")
        start = at + used
        if wire_type == VARINT:
            value, used = self._varint(window, used, at)
            return WireField(number, wire_type, at, start, at + used, value)
        if wire_type == BYTES:
            value, used = self._varint(window, used, at)
            start = at + used
            if start + value <= end:
                return WireField(number, BYTES, at, start, start + value, value)
        elif wire_type in (FIXED64, FIXED32):
            value = 8 if wire_type == FIXED64 else 4
        else:
            raise self._malformed(at, "a varint, fixed or length-delimited field", f"wire type {wire_type}")
        if start + value > end:
            raise self._malformed(at, f"field {number} of {value} bytes", f"the end after {end - start}")
        number_read = int.from_bytes(self.source.read(start, value), "little")
        return WireField(number, wire_type, at, start, start + value, number_read)

    def _varint(self, window: bytes, position: int, at: int) -> tuple[int, int]:
        """The number at `position` of the window, truncated to 64 bits as protobuf does, and the position after it."""
        if position < len(window) and window[position] < 0x80:
            return window[position], position + 1
        value = 0
        for index in range(position, min(position + _LONGEST_VARINT, len(window))):
            byte = window[index]
            value |= (byte & 0x7F) << (7 * (index - position))
            if byte < 0x80:
                return value & 0xFFFFFFFFFFFFFFFF, index + 1
        raise self._malformed(at, "a varint of at most 10 bytes", "an endless one")

    def _exhausted(self, at: int, expected: str) -> ArtifactError:
        return ArtifactError(
            where=f"{self.source.name} at offset {at}",
            expected=expected,
            got="too many",
            hint="No model needs so many: the file is damaged, or made to exhaust whoever reads it.",
        )

    def _malformed(self, at: int, expected: str, got: str) -> ArtifactError:
        return ArtifactError(where=f"{self.source.name} at offset {at}", expected=expected, got=got)
