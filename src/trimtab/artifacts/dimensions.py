"""Sizes with bounds, for formats that state them without a name: `1..8` becomes the symbol `dim0`, bounded apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.signature.model import Range

if TYPE_CHECKING:
    from trimtab.signature.types import Dim


class BoundedDims:
    """The symbols of one overload's shapes, numbered in the order in which they are met.

    ranges: what `Overload.dimensions` is to be.
    """

    def __init__(self) -> None:
        self.ranges: dict[str, Range] = {}

    def dim(self, minimum: int, maximum: int | None) -> Dim:
        """A size from `minimum` to `maximum` (None: without end): fixed, unknown, or a symbol of its own."""
        if minimum == maximum:
            return minimum
        if minimum <= 0 and maximum is None:
            return None
        symbol = f"dim{len(self.ranges)}"
        self.ranges[symbol] = Range(minimum=max(minimum, 0), maximum=maximum)
        return symbol
