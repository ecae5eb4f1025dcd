"""Walk over a flatbuffer without its schema's generated code, touching only the bytes asked for.

Encoding: https://flatbuffers.dev/internals. A table names its fields' places through a vtable, and everything else is
an offset, so a gigabyte of weights that nobody asks for costs nothing. Offsets only ever point forward, so there are no
cycles; but tables may be shared, and a file of a few kilobytes can then unfold to billions of them. Hence the budgets.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from trimtab.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trimtab.source.bytes import ByteSource

MAX_TABLES = 150_000
"""How many tables one `FlatBuffer` visits in all, before it takes the file for a bomb."""

MAX_ELEMENTS = 1_000_000
"""How many elements of vectors of numbers it decodes in all."""

MAX_TEXT_BYTES = 16 << 20
"""How much text it decodes in all."""

MAX_DEPTH = 64
"""How many tables deep it goes."""

MAX_VTABLE_BYTES = 1024
"""Room for 510 fields, ten times what the schemas of model files have."""

_KEPT_VTABLES = 1000
_PAGE = 8 << 10
_KEPT_PAGES = 256


class ScalarKind:
    """A type of number: how many bytes it takes, and how one or many are decoded."""

    __slots__ = ("code", "decode", "width")

    def __init__(self, code: str) -> None:
        self.code: Final = code
        one = struct.Struct(f"<{code}")
        self.width: Final = one.size
        self.decode: Final[Callable[[bytes, int], tuple[int | float | bool, ...]]] = one.unpack_from


BOOL = ScalarKind("?")
INT8, UINT8 = ScalarKind("b"), ScalarKind("B")
INT16, UINT16 = ScalarKind("h"), ScalarKind("H")
INT32, UINT32 = ScalarKind("i"), ScalarKind("I")
INT64, UINT64 = ScalarKind("q"), ScalarKind("Q")
FLOAT32, FLOAT64 = ScalarKind("f"), ScalarKind("d")


class FlatBuffer:
    """A flatbuffer that lies in `start` to `end` of a source. All tables reached through it share its budgets.

    identifier: the four bytes that say what schema it is of.
    """

    def __init__(
        self, source: ByteSource, start: int = 0, end: int | None = None, *, max_tables: int = MAX_TABLES
    ) -> None:
        self.source = source
        self.start = start
        self.end = source.size if end is None else end
        self._visits_left = max_tables
        self._elements_left = MAX_ELEMENTS
        self._text_left = MAX_TEXT_BYTES
        self._window_start = 0
        self._window = b""
        self._pages: dict[int, bytes] = {}
        self._vtables: dict[int, bytes] = {}
        if start < 0 or self.end > source.size or self.end - start < _SMALLEST:
            raise ArtifactError(
                where=f"{source.name} at offset {start}",
                expected=f"a flatbuffer of at least {_SMALLEST} bytes",
                got=f"the end at {min(self.end, source.size)}",
                hint="Is the file complete? Compare its size with the original.",
            )

    @property
    def identifier(self) -> bytes:
        """The four bytes behind the offset of the root."""
        data, at = self.bytes_at(self.start + 4, 4)
        return data[at : at + 4]

    def root(self) -> FlatTable:
        """The outermost table."""
        return self.table_at(self.follow(self.start), 0)

    def table_at(self, at: int, depth: int) -> FlatTable:
        """The table that begins at `at`, `depth` tables below the root."""
        self.visit(at)
        if depth > MAX_DEPTH:
            raise self._exhausted(at, f"tables nested at most {MAX_DEPTH} deep")
        data, here = self.bytes_at(at, 4)
        vtable = self._vtable(at - _signed(data[here : here + 4]), at)
        size = vtable[2] | vtable[3] << 8
        if size < 4 or at + size > self.end:
            raise self.malformed(at, "a table inside of the buffer", f"one of {size} bytes")
        return FlatTable(self, at, size, vtable, depth)

    def visit(self, at: int) -> None:
        """Count one more table, or string of a vector: millions of empty ones would be no text at all."""
        self._visits_left -= 1
        if self._visits_left < 0:
            raise self._exhausted(at, "a sane number of tables and strings")

    def follow(self, at: int) -> int:
        """Where the offset that lies at `at` points to."""
        data, here = self.bytes_at(at, 4)
        offset = int.from_bytes(data[here : here + 4], "little")
        target = at + offset
        if offset < 4 or target + 4 > self.end:
            raise self.malformed(at, "an offset that points forward, into the buffer", str(offset))
        return target

    def vector(self, at: int, width: int) -> tuple[int, int]:
        """Where the elements of the vector at `at` begin, and how many of `width` bytes each there are."""
        data, here = self.bytes_at(at, 4)
        count = int.from_bytes(data[here : here + 4], "little")
        if at + 4 + count * width > self.end:
            raise self.malformed(at, f"a vector of {count} elements of {width} bytes", f"the end at {self.end}")
        return at + 4, count

    def text_at(self, at: int) -> str:
        """The string that lies at `at`. ArtifactError when it is not UTF-8."""
        start, length = self.vector(at, 1)
        self._text_left -= length
        if self._text_left < 0:
            raise self._exhausted(at, f"at most {MAX_TEXT_BYTES} bytes of names and texts")
        data, here = self.bytes_at(start, length)
        try:
            return data[here : here + length].decode()
        except UnicodeDecodeError:
            raise self.malformed(start, "text in UTF-8", repr(data[here : here + min(length, 80)])) from None

    def numbers_at(self, at: int, kind: ScalarKind) -> tuple[int | float | bool, ...]:
        """The vector of numbers that lies at `at`."""
        start, count = self.vector(at, kind.width)
        self._elements_left -= count
        if self._elements_left < 0:
            raise self._exhausted(at, f"at most {MAX_ELEMENTS} numbers")
        data, here = self.bytes_at(start, count * kind.width)
        return struct.unpack_from(f"<{count}{kind.code}", data, here)

    def bytes_at(self, at: int, length: int) -> tuple[bytes, int]:
        """Bytes of the source among which the `length` from `at` are, and where in them those begin."""
        if at < self.start or at + length > self.end:
            raise self.malformed(at, f"{length} bytes in the buffer", f"the end at {self.end}")
        here = at - self._window_start
        if here < 0 or here + length > len(self._window):
            self._window_start, self._window = self._page(at, length)
            here = at - self._window_start
        return self._window, here

    def _page(self, at: int, length: int) -> tuple[int, bytes]:
        """Where a run of bytes around these begins, and the bytes. Pages are kept: tables lie where others began."""
        start = at - at % _PAGE
        if at + length > start + _PAGE:
            return self.source.window(at, length)
        page = self._pages.get(start)
        if page is None:
            if len(self._pages) >= _KEPT_PAGES:
                self._pages.clear()
            page = self._pages[start] = self.source.read(start, min(_PAGE, self.source.size - start))
        return start, page

    def malformed(self, at: int, expected: str, got: str) -> ArtifactError:
        """The error for bytes that no writer of the format makes."""
        return ArtifactError(
            where=f"{self.source.name} at offset {at}",
            expected=expected,
            got=got,
            hint="The file is damaged or cut short. Copy it again from its origin.",
        )

    def _vtable(self, at: int, table: int) -> bytes:
        known = self._vtables.get(at)
        if known is not None:
            return known
        if not self.start <= at <= self.end - 4:
            raise self.malformed(table, "the table's vtable inside of the buffer", f"offset {at}")
        data, here = self.bytes_at(at, 4)
        size = data[here] | data[here + 1] << 8
        if size < 4 or size % 2 or size > MAX_VTABLE_BYTES:
            raise self.malformed(at, f"a vtable of 4 to {MAX_VTABLE_BYTES} bytes", str(size))
        data, here = self.bytes_at(at, size)
        vtable = data[here : here + size]
        if len(self._vtables) < _KEPT_VTABLES:
            self._vtables[at] = vtable
        return vtable

    def _exhausted(self, at: int, expected: str) -> ArtifactError:
        return ArtifactError(
            where=f"{self.source.name} at offset {at}",
            expected=expected,
            got="more",
            hint="No model needs so many: the file is damaged, or made to exhaust whoever reads it.",
        )


_SMALLEST = 12  # root offset, identifier, and the root's own offset to a vtable


class FlatTable:
    """One table. Fields are asked for by their number in the schema (its `id`), counted from 0; a union takes two.

    at: where it lies, which tells tables apart. Every method raises ArtifactError where the bytes cannot be what is
    asked for.
    """

    __slots__ = ("_buffer", "_depth", "_size", "_vtable", "at")

    def __init__(self, buffer: FlatBuffer, at: int, size: int, vtable: bytes, depth: int) -> None:
        self._buffer = buffer
        self._size = size
        self._vtable = vtable
        self._depth = depth
        self.at = at

    def has(self, field: int) -> bool:
        """Whether the field is present. Numbers equal to the schema's default are usually left out."""
        return self._place(field, 1) is not None

    def number(self, field: int, kind: ScalarKind, default: int = 0) -> int:
        """A whole number, or the schema's default where it is absent."""
        at = self._place(field, kind.width)
        if at is None:
            return default
        data, here = self._buffer.bytes_at(at, kind.width)
        return int(kind.decode(data, here)[0])

    def real(self, field: int, kind: ScalarKind, default: float = 0.0) -> float:
        """A floating-point number, or the schema's default where it is absent."""
        at = self._place(field, kind.width)
        if at is None:
            return default
        data, here = self._buffer.bytes_at(at, kind.width)
        return float(kind.decode(data, here)[0])

    def flag(self, field: int, *, default: bool = False) -> bool:
        """A bool, or the schema's default where it is absent."""
        return bool(self.number(field, UINT8, int(default)))

    def text(self, field: int, default: str = "") -> str:
        """A string, or `default` where it is absent."""
        at = self._offset(field)
        return default if at is None else self._buffer.text_at(at)

    def table(self, field: int) -> FlatTable | None:
        """A table, or a union's value that is one; None where it is absent."""
        at = self._offset(field)
        return None if at is None else self._buffer.table_at(at, self._depth + 1)

    def numbers(self, field: int, kind: ScalarKind) -> tuple[int, ...]:
        """A vector of whole numbers; empty where it is absent."""
        at = self._offset(field)
        return () if at is None else tuple(map(int, self._buffer.numbers_at(at, kind)))

    def reals(self, field: int, kind: ScalarKind) -> tuple[float, ...]:
        """A vector of floating-point numbers; empty where it is absent."""
        at = self._offset(field)
        return () if at is None else tuple(map(float, self._buffer.numbers_at(at, kind)))

    def span(self, field: int) -> tuple[int, int] | None:
        """Where the content of a string or of a vector of bytes begins and ends in the source; None where absent."""
        at = self._offset(field)
        if at is None:
            return None
        start, length = self._buffer.vector(at, 1)
        return start, start + length

    def count(self, field: int, width: int = 4) -> int:
        """How many elements a vector has. width: of one, in bytes; of a table or string it is 4."""
        at = self._offset(field)
        return 0 if at is None else self._buffer.vector(at, width)[1]

    def tables(self, field: int) -> Iterator[FlatTable]:
        """The tables of a vector, visited one by one; none where it is absent."""
        for at in self._elements(field):
            yield self._buffer.table_at(self._buffer.follow(at), self._depth + 1)

    def table_in(self, field: int, position: int) -> FlatTable:
        """One table of a vector, counted from 0."""
        elements = self._elements(field)
        if not 0 <= position < len(elements):
            raise self._buffer.malformed(self.at, f"a position below {len(elements)}", str(position))
        return self._buffer.table_at(self._buffer.follow(elements[position]), self._depth + 1)

    def texts(self, field: int) -> Iterator[str]:
        """The strings of a vector, one by one; none where it is absent."""
        for at in self._elements(field):
            self._buffer.visit(at)
            yield self._buffer.text_at(self._buffer.follow(at))

    def _elements(self, field: int) -> range:
        """Where the offsets of a vector lie."""
        at = self._offset(field)
        if at is None:
            return range(0)
        start, count = self._buffer.vector(at, 4)
        return range(start, start + 4 * count, 4)

    def _offset(self, field: int) -> int | None:
        at = self._place(field, 4)
        return None if at is None else self._buffer.follow(at)

    def _place(self, field: int, width: int) -> int | None:
        """Where a field's `width` bytes lie, or None where it is absent."""
        entry = 4 + 2 * field
        if entry >= len(self._vtable):
            return None
        offset = self._vtable[entry] | self._vtable[entry + 1] << 8
        if not offset:
            return None
        if offset < 4 or offset + width > self._size:
            raise self._buffer.malformed(self.at, f"field {field} inside of its table", f"offset {offset}")
        return self.at + offset


def _signed(data: bytes) -> int:
    return int.from_bytes(data, "little", signed=True)
