"""What changed about a matrix whose columns are features: which are where, and how many there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.stability.change import Seen
from trimtab.stability.order import names
from trimtab.stability.shapes import shape_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.signature.model import Feature, Input
    from trimtab.stability.pairing import Pair


def column_changes(old: Input, new: Input, features: list[Pair[Feature]], subject: str) -> Iterator[Seen]:
    """The changes of one matrix. features: its columns, paired."""
    was, now = ({id(each): number for number, each in enumerate(side.features)} for side in (old, new))
    moved = [
        pair.old.name
        for pair in features
        if pair.old is not None and pair.new is not None and was[id(pair.old)] != now[id(pair.new)]
    ]
    before, after = (names(each.name for each in side.features) for side in (old, new))
    if moved:
        yield Seen("FEATURE_SAME_POSITION", subject, f"columns moved ({names(moved)})", before, after)
    if len(old.features) != len(new.features) and not _width_says_so(old, new):
        yield Seen("INPUT_SAME_WIDTH", subject, "it has another number of columns", before, after)


def _width_says_so(old: Input, new: Input) -> bool:
    """Whether the shapes differ in their last size, which is then what is reported."""
    shapes = [shape_of(side.type) for side in (old, new)]
    last = [shape[-1] for shape in shapes if shape]
    return len(last) == len(shapes) and all(isinstance(size, int) for size in last) and last[0] != last[1]
