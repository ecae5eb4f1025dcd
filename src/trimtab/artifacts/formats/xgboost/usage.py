"""Which features the trees of a model split on: what no tree asks for, no prediction can depend on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_NO_CHILD = -1


class Usage:
    """The features of the trees added so far. `split_on` is None once a tree was not understood."""

    def __init__(self) -> None:
        self.split_on: frozenset[int] | None = frozenset()

    def add(self, split_indices: Sequence[Any] | None, left_children: Sequence[Any] | None) -> None:
        """Add a tree: of each node the feature that it splits on, and its left child; a leaf has none."""
        if (
            self.split_on is None
            or split_indices is None
            or left_children is None
            or len(split_indices) != len(left_children)
        ):
            self.split_on = None
            return
        pairs = zip(split_indices, left_children, strict=True)
        self.split_on |= {int(feature) for feature, child in pairs if child != _NO_CHILD}
