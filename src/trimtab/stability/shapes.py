"""What a shape allowed, and whether the new one still does: sizes, their bounds, and which of them must be equal.

A dimension is an interval: a fixed size is one number, a symbol what `Overload.dimensions` says of it, an unknown size
anything. Symbols also tie dimensions to each other: `[batch, 3]` twice means that both have the same first size. Which
old symbol is which new one is told by the places they share, so that names do not count: `batch` is `n` where each
stands wherever the other stood.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from trimtab.signature.types import Mapping, Optional, Ragged, Sequence, Sparse, Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from collections.abc import Mapping as MappingOf

    from trimtab.signature.model import Range
    from trimtab.signature.types import Dim, Shape, Type

Sides = tuple["Type | None", "Type | None"]
"""The type of one value in the old and in the new signature; None where the value is not there."""


class Interval(NamedTuple):
    """Sizes from `low` to `high`, both included; None for no end."""

    low: float
    high: float | None

    def holds(self, other: Interval) -> bool:
        """Whether every size of the other is one of these."""
        return self.low <= other.low and (self.high is None or (other.high is not None and other.high <= self.high))


class Verdict(Struct, frozen=True):
    """How the new shape relates to the old one.

    narrowed, widened: in words, what it no longer allows and what it allows beyond the old one; empty where nothing.
    widened_for_old: what it allows beyond the old one even in answer to requests of the old inputs' sizes.
    differs: whether it is another shape at all.
    """

    narrowed: str = ""
    widened: str = ""
    widened_for_old: str = ""
    differs: bool = False


class Symbols:
    """The symbols of the two sides of an overload: which stands for which, and which are tied together."""

    def __init__(
        self,
        old: MappingOf[str, Range],
        new: MappingOf[str, Range],
        inputs: Iterable[Sides],
        outputs: Iterable[Sides],
    ) -> None:
        """old, new: the bounds of the symbols. inputs, outputs: the types of all values, paired."""
        self._ranges = (old, new)
        self._tied_inputs = _Ties()
        self._tied = _Ties()
        for values, is_input in ((inputs, True), (outputs, False)):
            for before, after in values:
                for one, other in zip(_dims(before), _dims(after), strict=False):
                    self._tied.add(one, other)
                    if is_input:
                        self._tied_inputs.add(one, other)

    def compare(self, old: Shape | None, new: Shape | None) -> Verdict:
        """The verdict on the shapes of one paired value, of the same rank where both are known."""
        if old is None or new is None:
            narrowed = "the rank was open and is now fixed" if old is None and new is not None else ""
            widened = "the rank was fixed and is now open" if new is None and old is not None else ""
            return Verdict(narrowed, widened, widened, differs=bool(narrowed or widened))
        sizes = list(zip(old, new, strict=True))
        narrowed = next(filter(None, (self._narrowed(*each, self._tied_inputs) for each in sizes)), "")
        widened = next(filter(None, (self._widened(*each) for each in sizes)), "")
        for_old = next((said for each in sizes if (said := self._widened(*each)) and not self._follows(*each)), "")
        return Verdict(narrowed, widened, for_old, differs=not all(self._same(*each) for each in sizes))

    def _narrowed(self, old: Dim, new: Dim, ties: _Ties) -> str:
        """What the new size no longer allows."""
        before, after = self._interval(0, old), self._interval(1, new)
        if not after.holds(before):
            return f"{_size(old, before)} became {_size(new, after)}"
        if not isinstance(new, str):
            return ""
        if not is_symbol(new):
            return self._narrowed_expression(old, new)
        if not self._tied.same(old, new) and len(ties.olds(new)) > 1:
            return f"{_said(old)} must now equal other sizes called {new}"
        if old is None and ties.olds(new)[None] > 1:
            return f"a size that could be any must now equal other sizes called {new}"
        return ""

    def _narrowed_expression(self, old: Dim, new: str) -> str:
        if not isinstance(old, str) or not self._same_text(old, new):
            return f"{_said(old)} became the expression {new}"
        for one, other in zip(_symbols(old), _symbols(new), strict=True):
            before, after = self._interval(0, one), self._interval(1, other)
            if not after.holds(before):
                return f"{_size(one, before)} in {old} became {_size(other, after)}"
        return ""

    def _widened(self, old: Dim, new: Dim) -> str:
        """What the new size allows beyond the old one: the same question of the two sides exchanged."""
        before, after = self._interval(0, old), self._interval(1, new)
        if not before.holds(after):
            return f"{_size(old, before)} became {_size(new, after)}"
        if isinstance(old, str) and not self._same_text(old, new):
            news = self._tied.news(old)
            if not is_symbol(old) or len(news) > 1 or (new is None and news[None] > 1):
                return f"the size {old}, which followed from other sizes, became {_said(new)}"
        return ""

    def _follows(self, old: Dim, new: Dim) -> bool:
        """Whether the new size is one of inputs, wherever the old one was: as large as the requests make it."""
        return isinstance(new, str) and old is not None and self._tied_inputs.olds(new).keys() == {old}

    def _same(self, old: Dim, new: Dim) -> bool:
        if not isinstance(old, str) or not isinstance(new, str):
            return old == new
        if not self._same_text(old, new) or self._interval(0, old) != self._interval(1, new):
            return False
        pairs = zip(_symbols(old), _symbols(new), strict=True)
        return all(self._interval(0, one) == self._interval(1, other) for one, other in pairs)

    def _same_text(self, old: Dim, new: Dim) -> bool:
        """Whether two symbols stand for each other, or two expressions are one over such symbols."""
        if not isinstance(old, str) or not isinstance(new, str) or _skeleton(old) != _skeleton(new):
            return False
        return all(self._tied.same(one, other) for one, other in zip(_symbols(old), _symbols(new), strict=True))

    def _interval(self, side: int, dim: Dim) -> Interval:
        if isinstance(dim, int):
            return Interval(dim, dim)
        limits = self._ranges[side].get(dim) if dim is not None else None
        low = limits.minimum if limits is not None and limits.minimum is not None else 0
        return Interval(low, limits.maximum if limits is not None else None)


class _Ties:
    """Which sizes of one side stand where a symbol of the other side stands."""

    def __init__(self) -> None:
        self._olds: dict[str, Counter[Dim]] = {}
        self._news: dict[str, Counter[Dim]] = {}
        self._best: dict[tuple[int, str], str | None] = {}

    def add(self, old: Dim, new: Dim) -> None:
        """Two sizes that stand in the same place."""
        self._count(old, new)
        if not isinstance(old, str) or not isinstance(new, str) or (is_symbol(old) and is_symbol(new)):
            return
        if _skeleton(old) == _skeleton(new):
            for one, other in zip(_symbols(old), _symbols(new), strict=True):
                self._count(one, other)

    def olds(self, symbol: str) -> Counter[Dim]:
        """How often each old size stands where the new symbol does."""
        return self._olds.get(symbol, Counter())

    def news(self, symbol: str) -> Counter[Dim]:
        """How often each new size stands where the old symbol does."""
        return self._news.get(symbol, Counter())

    def same(self, old: Dim, new: Dim) -> bool:
        """Whether an old symbol and a new one are each other's most frequent partners."""
        if not isinstance(old, str) or not isinstance(new, str):
            return False
        return self._partner(0, old) == new and self._partner(1, new) == old

    def _count(self, old: Dim, new: Dim) -> None:
        if isinstance(new, str):
            self._olds.setdefault(new, Counter())[old] += 1
        if isinstance(old, str):
            self._news.setdefault(old, Counter())[new] += 1

    def _partner(self, side: int, symbol: str) -> str | None:
        """The most frequent partner: of several, one of the same name, and then the first by name."""
        if (side, symbol) not in self._best:
            counts = self.news(symbol) if side == 0 else self.olds(symbol)
            ranked = sorted((-count, dim != symbol, dim) for dim, count in counts.items() if isinstance(dim, str))
            self._best[side, symbol] = ranked[0][2] if ranked else None
        return self._best[side, symbol]


def is_symbol(dim: str) -> bool:
    """Whether a dimension's text is a name, or at least no arithmetic over names."""
    return bool(_NAME.fullmatch(dim)) or not _EXPRESSION.fullmatch(dim) or not _NAME.search(dim)


def shape_of(type_: Type | None) -> Shape | None:
    """The shape of a tensor of any layout; None of everything else."""
    return type_.shape if isinstance(type_, Tensor | Sparse | Ragged) else None


_NAME = re.compile(r"[A-Za-z_][\w.]*(?!\w*\()")
_EXPRESSION = re.compile(r"[\w\s.+\-*/%(),]*")


def _symbols(dim: str) -> list[str]:
    return [dim] if is_symbol(dim) else _NAME.findall(dim)


def _skeleton(dim: str) -> str:
    return "_" if is_symbol(dim) else _NAME.sub("_", dim)


def _dims(type_: Type | None) -> Iterator[Dim]:
    """The dimensions of a type, also of what is inside of a container."""
    if isinstance(type_, Optional | Sequence):
        yield from _dims(type_.element)
    elif isinstance(type_, Mapping):
        yield from _dims(type_.value)
    else:
        yield from shape_of(type_) or ()


def _said(dim: Dim) -> str:
    return "any size" if dim is None else str(dim)


def _size(dim: Dim, bounds: Interval) -> str:
    """A size with its bounds: `8`, `any size`, `batch (1 to 64)`."""
    if isinstance(dim, str):
        return f"{dim} ({_bounds(bounds)})"
    return _said(dim)


def _bounds(interval: Interval) -> str:
    if interval.high is None:
        return "any size" if interval.low <= 0 else f"{interval.low} or more"
    return f"{interval.low} to {interval.high}"
