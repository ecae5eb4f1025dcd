"""Which features the trees of a model split on: what no tree asks for, no prediction can depend on."""

from __future__ import annotations

from typing import Any

_NO_CHILD = -1


class Usage:
    """The features of the trees added so far. `split_on` is None once a tree was not understood."""

    def __init__(self) -> None:
        self.split_on: frozenset[int] | None = frozenset()

    def add(self, split_indices: Any, left_children: Any) -> None:
        """Add a tree: of each node the feature that it splits on, and its left child; a leaf has none."""
        if self.split_on is None:
            return
        if _are_numbers(split_indices) and _are_numbers(left_children) and len(split_indices) == len(left_children):
            pairs = zip(split_indices, left_children, strict=True)
            self.split_on |= {feature for feature, child in pairs if child != _NO_CHILD}
        else:
            self.split_on = None


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list) and set(map(type, values)) <= {int}
