"""What a shape allowed, and whether the new one still does: sizes, their bounds, and which of them must be equal.

A dimension is an interval: a fixed size is one number, a symbol what `Overload.dimensions` says of it, an unknown size
anything. Symbols also tie dimensions to each other: `[batch, 3]` twice means that both have the same first size.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from trimtab.signature.types import Mapping, Optional, Ragged, Sequence, Sparse, Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.signature.model import Input, Output, Overload, Range
    from trimtab.signature.types import Dim, Shape, Type
    from trimtab.stability.pairing import Pair

_SYMBOL = re.compile(r"[A-Za-z_]\w*")


class Interval(NamedTuple):
    """Sizes from `low` to `high`, both included; None for no end."""

    low: int
    high: int | None

    def holds(self, other: Interval) -> bool:
        """Whether every size of the other is one of these."""
        return self.low <= other.low and (self.high is None or (other.high is not None and other.high <= self.high))


class Verdict(Struct, frozen=True):
    """How the new shape relates to the old one: `narrowed` in words, or else whether it is another shape at all."""

    narrowed: str
    differs: bool


class Symbols:
    """The symbols of the two sides of an overload: which stands for which, and which are tied together."""

    def __init__(self, old: Overload, new: Overload, pairs: list[Pair[Input]], outputs: list[Pair[Output]]) -> None:
        self._ranges = (old.dimensions, new.dimensions)
        self._uses: tuple[dict[str, set[tuple[int, int]]], dict[str, set[tuple[int, int]]]] = ({}, {})
        self._numbers: tuple[dict[str, str], dict[str, str]] = ({}, {})
        values: list[tuple[Input | Output | None, Input | Output | None]] = [(it.old, it.new) for it in pairs]
        values += [(it.old, it.new) for it in outputs]
        for number, sides in enumerate(values):
            for side, value in enumerate(sides):
                for axis, dim in enumerate(_dims(value.type) if value is not None else ()):
                    for symbol in _SYMBOL.findall(dim) if isinstance(dim, str) else ():
                        self._numbers[side].setdefault(symbol, f"d{len(self._numbers[side])}")
                        if dim == symbol and None not in sides and number < len(pairs):
                            self._uses[side].setdefault(symbol, set()).add((number, axis))

    def compare(self, old: Shape | None, new: Shape | None) -> Verdict:
        """The verdict on the shapes of one paired value, of the same rank where both are known."""
        if new is None:
            return Verdict("", old is not None)
        if old is None:
            return Verdict("the rank was open and is now fixed", differs=True)
        narrowed = next(filter(None, map(self._narrowed, old, new)), "")
        return Verdict(narrowed, self._texts(0, old) != self._texts(1, new) or self._loosened(old, new))

    def _narrowed(self, old: Dim, new: Dim) -> str:
        before, after = self._interval(0, old), self._interval(1, new)
        if not after.holds(before):
            return f"{_size(old)} ({_words(before)}) became {_size(new)} ({_words(after)})"
        if isinstance(new, str) and not new.isidentifier() and self._text(0, old) != self._text(1, new):
            return f"{_size(old)} became the expression {new}"
        if isinstance(new, str):
            tied = self._uses[1].get(new, set())
            if isinstance(old, str):
                tied = tied - self._uses[0].get(old, set())
            if len(tied) > (0 if isinstance(old, str) else 1):
                return f"{_size(old)} must now equal other sizes called {new}"
        return ""

    def _loosened(self, old: Shape, new: Shape) -> bool:
        """Whether bounds or ties are fewer, though the texts agree."""
        return any(self._interval(0, one) != self._interval(1, other) for one, other in zip(old, new, strict=True))

    def _interval(self, side: int, dim: Dim) -> Interval:
        if isinstance(dim, int):
            return Interval(dim, dim)
        limits: Range | None = self._ranges[side].get(dim) if dim is not None else None
        low = limits.minimum if limits is not None and limits.minimum is not None else 0
        high = limits.maximum if limits is not None else None
        return Interval(int(low), None if high is None else int(high))

    def _texts(self, side: int, shape: Shape) -> list[str]:
        return [self._text(side, dim) for dim in shape]

    def _text(self, side: int, dim: Dim) -> str:
        numbers = self._numbers[side]
        if not isinstance(dim, str):
            return repr(dim)
        return _SYMBOL.sub(lambda match: numbers.get(match.group(), match.group()), dim)


def shape_of(type_: Type) -> Shape | None:
    """The shape of a tensor of any layout; None of everything else."""
    return type_.shape if isinstance(type_, Tensor | Sparse | Ragged) else None


def _dims(type_: Type) -> Iterator[Dim]:
    """The dimensions of a type, also of what is inside of a container."""
    if isinstance(type_, Optional | Sequence):
        yield from _dims(type_.element)
    elif isinstance(type_, Mapping):
        yield from _dims(type_.value)
    else:
        yield from shape_of(type_) or ()


def _size(dim: Dim) -> str:
    return "an unknown size" if dim is None else str(dim)


def _words(interval: Interval) -> str:
    if interval.low == interval.high:
        return "fixed"
    if interval.high is None:
        return "any size" if interval.low <= 0 else f"{interval.low} or more"
    return f"{interval.low} to {interval.high}"
