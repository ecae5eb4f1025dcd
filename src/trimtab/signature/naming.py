"""Request-level names for the leaves of a nested call: short where that is unambiguous, the full path otherwise.

`forward(feats: {"user_age": …, "item.price": …}, pair: (a, b))` has the inputs `user_age`, `item.price`, `pair[0]` and
`pair[1]`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from trimtab.signature.path import Field, Key, Step, format_path

if TYPE_CHECKING:
    from collections.abc import Sequence


class Leaf(NamedTuple):
    """One leaf of a nested structure: the parameter (empty for a returned value) and the steps below it."""

    root: str
    steps: tuple[Step, ...] = ()

    @property
    def path(self) -> str:
        """The leaf's path as a signature writes it."""
        return format_path(self.root, self.steps)


def input_names(leaves: Sequence[Leaf]) -> list[str]:
    """A name for each leaf of a call: its last key or field if no other leaf has it; else its path."""
    candidates = [(_last_text(leaf.steps) if leaf.steps else leaf.root) or leaf.path for leaf in leaves]
    taken = Counter(candidates)
    return [
        candidate if taken[candidate] == 1 or not leaf.steps else leaf.path
        for leaf, candidate in zip(leaves, candidates, strict=True)
    ]


def output_names(leaves: Sequence[Leaf]) -> list[str]:
    """A name for each leaf of a returned value: its last key or field if unique; `output_0`, … where it has none."""
    candidates = [_last_text(leaf.steps) or f"output_{index}" for index, leaf in enumerate(leaves)]
    taken = Counter(candidates)
    return [
        candidate if taken[candidate] == 1 else _readable(leaf.steps) or candidate
        for leaf, candidate in zip(leaves, candidates, strict=True)
    ]


def _readable(steps: Sequence[Step]) -> str:
    """A returned value's path without the brackets around its first key: `aux[0]` for `["aux"][0]`."""
    first = _last_text(steps[:1])
    return format_path(first, steps[1:]) if first else format_path("", steps)


def _last_text(steps: Sequence[Step]) -> str:
    for step in reversed(steps):
        if isinstance(step, Field):
            return step.name
        if isinstance(step, Key) and isinstance(step.value, str):
            return step.value
    return ""
