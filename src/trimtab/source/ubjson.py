"""Walk Universal Binary JSON (ubjson.org, draft 12), value by value, under a budget.

The format states the lengths of strings and of typed arrays, so weights are stepped over without being read. Objects
and plain arrays have an end marker instead: what they hold must be walked, and costs a step each.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from trimtab.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.source.bytes import ByteSource

MAX_STEPS = 300_000
MAX_STRING_BYTES = 64 << 20
MAX_ITEMS = 2_000_000
MAX_DEPTH = 64

_INTEGERS = {
    marker: struct.Struct(layout)
    for marker, layout in ((b"i", ">b"), (b"U", ">B"), (b"I", ">h"), (b"l", ">i"), (b"L", ">q"))
}
_NUMBERS = {**_INTEGERS, b"d": struct.Struct(">f"), b"D": struct.Struct(">d")}
_CONSTANTS: dict[bytes, Any] = {b"Z": None, b"T": True, b"F": False}
_STRINGS = (b"S", b"H")


class UbjsonWalk:
    """A walk that stands before one value at a time.

    position: the offset of that value. Every method takes exactly what it says and moves on; `members` and `elements`
    expect that each value is taken (or skipped) before the next is asked for.
    ArtifactError for what is cut short, not UBJSON, nested deeper than 64, or longer than the budget of `max_steps`
    values, 64 MiB in one string and 2 million numbers.
    """

    def __init__(self, source: ByteSource, position: int = 0, max_steps: int = MAX_STEPS) -> None:
        self.source = source
        self.position = position
        self._steps = max_steps
        self._items = MAX_ITEMS
        self._depth = 0
        self._start = 0
        self._window = b""

    def members(self) -> Iterator[str]:
        """The keys of the object that begins here, each with the walk before its value."""
        self._expect(b"{", "an object")
        with_type, count = self._container()
        if with_type is not None:
            raise self._error("an object of plain values", f"one of the type {with_type!r}")
        self._enter()
        while count != 0:
            if count is None and self._peek() == b"}":
                self.position += 1
                break
            yield self._text(self._length())
            count = None if count is None else count - 1
        self._depth -= 1

    def elements(self) -> Iterator[int]:
        """The positions in the array that begins here, each with the walk before its value. Not for typed arrays."""
        self._expect(b"[", "an array")
        with_type, count = self._container()
        if with_type is not None:
            raise self._error("an array of plain values", f"one of the type {with_type!r}")
        self._enter()
        index = 0
        while index != count:
            if count is None and self._peek() == b"]":
                self.position += 1
                break
            yield index
            index += 1
        self._depth -= 1

    def value(self) -> Any:
        """The value here as Python has it; a typed array as a list of numbers."""
        marker = self._peek()
        if marker == b"{":
            return {key: self.value() for key in self.members()}
        if marker == b"[":
            at = self.position
            self.position += 1
            with_type, count = self._container()
            if with_type is not None:
                return self._numbers(with_type, count or 0)
            self.position = at
            return [self.value() for _ in self.elements()]
        self._step()
        self.position += 1
        if marker in _STRINGS:
            return self._text(self._length())
        if marker == b"C":
            return self._take(1).decode("latin-1")
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        number = _NUMBERS.get(marker)
        if number is None:
            self.position -= 1
            raise self._error("a UBJSON value", repr(marker))
        return number.unpack(self._take(number.size))[0]

    def skip(self) -> None:
        """Step over the value here."""
        marker = self._peek()
        if marker == b"{":
            for _ in self.members():
                self.skip()
            return
        if marker == b"[":
            at = self.position
            self.position += 1
            with_type, count = self._container()
            if with_type is None:
                self.position = at
                for _ in self.elements():
                    self.skip()
                return
            self._step()
            self._jump((count or 0) * self._item_size(with_type))
            return
        self._step()
        self.position += 1
        if marker in _STRINGS:
            self._jump(self._length())
        elif marker not in _CONSTANTS:
            self._jump(self._item_size(marker))

    def _container(self) -> tuple[bytes | None, int | None]:
        """The type of all items and their count, where the container states them."""
        with_type = None
        if self._peek() == b"$":
            with_type = self._take(2)[1:]
        if self._peek() != b"#":
            if with_type is not None:
                raise self._error("the count of a typed array", repr(self._peek()))
            return None, None
        self.position += 1
        return with_type, self._length()

    def _numbers(self, marker: bytes, count: int) -> list[int | float]:
        size = self._item_size(marker)
        if marker not in _NUMBERS:
            raise self._error("an array of numbers", f"one of the type {marker!r}")
        self._items -= count
        if self._items < 0:
            raise self._error(f"at most {MAX_ITEMS} numbers", "more")
        self._step()
        layout = _NUMBERS[marker].format
        return list(struct.unpack(f">{count}{layout[1:]}", self._take(count * size)))

    def _item_size(self, marker: bytes) -> int:
        if marker == b"C":
            return 1
        number = _NUMBERS.get(marker)
        if number is None:
            raise self._error("a UBJSON value of a fixed size", repr(marker))
        return number.size

    def _length(self) -> int:
        """A string's length or a container's count: an integer with its own marker."""
        marker = self._take(1)
        number = _INTEGERS.get(marker)
        if number is None:
            raise self._error("a length", repr(marker))
        length: int = number.unpack(self._take(number.size))[0]
        if length < 0 or length > self.source.size:
            raise self._error(f"a length of at most {self.source.size}, the size of the file", str(length))
        return length

    def _text(self, length: int) -> str:
        if length > MAX_STRING_BYTES:
            raise self._error(f"a string of at most {MAX_STRING_BYTES} bytes", str(length))
        data = self._take(length)
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            raise self._error("text in UTF-8", repr(data[:40])) from None

    def _enter(self) -> None:
        self._step()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(f"values nested at most {MAX_DEPTH} deep", "deeper nesting")

    def _step(self) -> None:
        self._steps -= 1
        if self._steps < 0:
            raise ArtifactError(
                where=f"{self.source.name} at offset {self.position}",
                expected="fewer values",
                got="more than the walk is allowed",
                hint="The file is damaged, or made to exhaust whoever reads it.",
            )

    def _expect(self, marker: bytes, what: str) -> None:
        if self._peek() != marker:
            raise self._error(what, repr(self._peek()))
        self.position += 1

    def _peek(self) -> bytes:
        at = self.position - self._start
        if not 0 <= at < len(self._window):
            self._start, self._window = self.source.window(self.position, 1)
            at = self.position - self._start
        return self._window[at : at + 1]

    def _take(self, length: int) -> bytes:
        at = self.position - self._start
        if not 0 <= at <= len(self._window) - length:
            self._start, self._window = self.source.window(self.position, length)
            at = self.position - self._start
        self.position += length
        return self._window[at : at + length]

    def _jump(self, length: int) -> None:
        if self.position + length > self.source.size:
            raise self._error(f"{length} bytes", f"the end of the file at {self.source.size}")
        self.position += length

    def _error(self, expected: str, got: str) -> ArtifactError:
        return ArtifactError(where=f"{self.source.name} at offset {self.position}", expected=expected, got=got)
