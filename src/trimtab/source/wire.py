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
_LONGEST_HEAD = 2 * _LONGEST_VARINT


def encode_varint(value: int) -> bytes:
    """A number of at least 0 as protobuf writes it."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def encode_tag(number: int, wire_type: int = BYTES) -> bytes:
    """What stands before a field."""
    return encode_varint(number << 3 | wire_type)


def encode_field(number: int, content: bytes) -> bytes:
    """A length-delimited field, whole."""
    return encode_tag(number) + encode_varint(len(content)) + content


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


class Entry(NamedTuple):
    """A message of a text in field 1, and of bytes in field 2 that begin at `start`."""

    text: str
    content: bytes
    start: int


class Wire:
    """Fields of messages in a source. The budgets of fields and of text are shared by all walks over it."""

    def __init__(self, source: ByteSource, max_fields: int = MAX_FIELDS) -> None:
        self.source = source
        self._fields_left = max_fields
        self._text_left = MAX_TEXT_BYTES
        self._window_start = 0
        self._window = b""

    @property
    def exhausted(self) -> bool:
        """Whether more was asked for than the budgets allow, which is what the last error said."""
        return self._fields_left < 0 or self._text_left < 0

    def fields(self, start: int, end: int) -> Iterator[WireField]:
        """The fields of the message that lies in `start` to `end`, in order. ArtifactError where it is malformed."""
        at = start
        while at < end:
            self._fields_left -= 1
            if self._fields_left < 0:
                raise self._exhausted(at, "a message of a sane number of fields")
            # Tag, then value or length: both are inside the next 20 bytes.
            here = at - self._window_start
            if here < 0 or here + _LONGEST_HEAD > len(self._window):
                self._window_start, self._window = self.source.window(at, min(_LONGEST_HEAD, end - at))
                here = at - self._window_start
            window, base = self._window, self._window_start
            last = min(len(window), end - base)
            tag, here = (window[here], here + 1) if window[here] < 0x80 else self._varint(here, last, at)
            wire_type = tag & 7
            if tag < 8 or tag > 0xFFFFFFFF:
                raise self._malformed(at, "a field's tag", f"{tag:#x}")
            if wire_type in (VARINT, BYTES):
                begin = base + here
                if here < last and window[here] < 0x80:
                    value, here = window[here], here + 1
                else:
                    value, here = self._varint(here, last, at)
                stop = base + here
                if wire_type == BYTES:
                    begin, stop = stop, stop + value
            elif wire_type in (FIXED64, FIXED32):
                begin, value = base + here, 8 if wire_type == FIXED64 else 4
                stop = begin + value
            else:
                raise self._malformed(at, "a varint, fixed or length-delimited field", f"wire type {wire_type}")
            if stop > end:
                raise self._malformed(at, f"field {tag >> 3} of {value} bytes", f"the end after {end - begin}")
            if wire_type in (FIXED64, FIXED32):
                value = int.from_bytes(self.source.read(begin, value), "little")
            yield WireField(tag >> 3, wire_type, at, begin, stop, value)
            at = stop

    def leading(self, start: int, end: int) -> tuple[int, int] | None:
        """Where the content of field 1 lies in the message in `start` to `end`, when it stands first and is short.

        What `fields` would give, in a fraction of the time; None where it takes that to tell.
        """
        here = start - self._window_start
        if here < 0 or here + _LONGEST_HEAD > len(self._window):
            self._window_start, self._window = self.source.window(start, min(_LONGEST_HEAD, end - start))
            here = start - self._window_start
        window = self._window
        if end - start < 2 or here + 2 > len(window) or window[here] != 1 << 3 | BYTES:
            return None
        length, here = window[here + 1], here + 2
        if length >= 0x80:
            if here == len(window):
                return None
            length, here = length & 0x7F | window[here] << 7, here + 1
            if window[here - 1] >= 0x80:
                return None
        self._fields_left -= 1
        begin = self._window_start + here
        return (begin, begin + length) if begin + length <= end and self._fields_left >= 0 else None

    def leading_text(self, start: int, end: int, *, limit: int) -> str | None:
        """The text of `leading`, likewise."""
        span = self.leading(start, end)
        if span is None:
            return None
        begin, stop = span[0] - self._window_start, span[1] - self._window_start
        if stop > len(self._window) or stop - begin > min(limit, self._text_left):
            return None
        self._text_left -= stop - begin
        try:
            return self._window[begin:stop].decode()
        except UnicodeDecodeError:
            return None

    def entries(self, start: int, end: int, number: int) -> tuple[list[Entry], int]:
        """Messages that hold a text in field 1 and bytes in field 2, as entries of maps do, and follow each other.

        start, end: where they begin, and the end of the message that they are in. number: of its field that holds
        them; at most 15. Gives them, and where the last of them ends.

        What `fields` and `text` would give, at the same cost to the budgets, in a fraction of the time. Found are those
        in the window at hand that are written as protobuf writes them, with texts and contents of less than 128 bytes;
        so it may be none.
        """
        found: list[Entry] = []
        here = start - self._window_start
        if here < 0 or here + _LONGEST_HEAD > len(self._window):
            self._window_start, self._window = self.source.window(start, min(_LONGEST_HEAD, end - start))
            here = start - self._window_start
        window, base = self._window, self._window_start
        last = min(len(window), end - base)
        tag, text_left = number << 3 | BYTES, self._text_left
        try:
            while here < last and window[here] == tag and self._fields_left >= 3 * (len(found) + 1):
                length, begin = window[here + 1], here + 2
                if length >= 0x80:
                    length, begin = length & 0x7F | window[begin] << 7, begin + 1
                    if window[begin - 1] >= 0x80:
                        break
                size, text = window[begin + 1], begin + 2
                middle, stop = text + size, begin + length
                if window[begin] != 1 << 3 | BYTES or size >= 0x80 or window[middle] != 2 << 3 | BYTES or stop > last:
                    break
                text_left -= size
                size, content = window[middle + 1], middle + 2
                if size >= 0x80 or content + size != stop or text_left < 0:
                    break
                found.append(Entry(window[text:middle].decode(), window[content:stop], base + content))
                self._text_left = text_left
                here = stop
        except (IndexError, UnicodeDecodeError):
            pass
        self._fields_left -= 3 * len(found)
        return found, base + here

    def content(self, field: WireField, *, limit: int) -> bytes:
        """The bytes of a length-delimited field. ArtifactError when it is another kind or longer than `limit`."""
        if field.wire_type != BYTES:
            raise self._malformed(field.at, "a length-delimited field", f"wire type {field.wire_type}")
        if field.end - field.start > limit:
            raise self._malformed(field.at, f"at most {limit} bytes", str(field.end - field.start))
        begin, end = field.start - self._window_start, field.end - self._window_start
        if begin >= 0 and end <= len(self._window):
            return self._window[begin:end]
        return self.source.read(field.start, field.end - field.start)

    def text(self, field: WireField, *, limit: int, errors: str = "strict") -> str:
        """The text of a string field. ArtifactError when it is not UTF-8, unless `errors` says to mend it."""
        self._text_left -= field.end - field.start
        if self._text_left < 0:
            raise self._exhausted(field.at, f"at most {MAX_TEXT_BYTES} bytes of names and texts")
        data = self.content(field, limit=limit)
        try:
            return data.decode("utf-8", errors)
        except UnicodeDecodeError:
            raise self._malformed(field.at, "text in UTF-8", repr(data[:80])) from None

    def _varint(self, position: int, last: int, at: int) -> tuple[int, int]:
        """The number at `position` of the window, truncated to 64 bits as protobuf does, and the position after it."""
        value = 0
        for index in range(position, min(position + _LONGEST_VARINT, last)):
            byte = self._window[index]
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
