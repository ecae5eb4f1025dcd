"""Ascending numbers in four bytes each: how a bundle holds its allowlists.

As tuples of ints, 10,000 lists of 1,000 names would take 400 MiB; packed they take 40. Big-endian, so that comparing
the bytes of two lists compares the lists.
"""

from __future__ import annotations

import operator
import sys
from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Indices:
    """Numbers in ascending order, each once, from 0 to 2**32 - 1. Immutable; ordered as tuples of the numbers are.

    packed: the numbers as big-endian words of four bytes, as the kernel takes them.
    Raises ValueError for anything else, and for numbers in another order.
    """

    __slots__ = ("packed",)

    packed: bytes

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        listed = list(numbers)
        try:
            ascending = all(map(operator.lt, listed, listed[1:]))
            words = array("I", listed)
        except (OverflowError, TypeError):
            raise ValueError(_NOT_ASCENDING) from None
        if not ascending or bool in map(type, listed[:2]):  # further on, True and False would not be ascending
            raise ValueError(_NOT_ASCENDING)
        object.__setattr__(self, "packed", _swapped(words).tobytes())

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    @property
    def last(self) -> int:
        """The largest number; -1 of an empty list."""
        return int.from_bytes(self.packed[-4:]) if self.packed else -1

    def __len__(self) -> int:
        return len(self.packed) // 4

    def __iter__(self) -> Iterator[int]:
        return iter(_swapped(array("I", self.packed)))

    def __lt__(self, other: Indices) -> bool:
        return self.packed < other.packed

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Indices) and self.packed == other.packed

    def __hash__(self) -> int:
        return hash(self.packed)

    def __repr__(self) -> str:
        return f"Indices({list(self)})"


_NOT_ASCENDING = "expected numbers from 0 to 2**32 - 1 in ascending order, each once"


def _swapped(words: array[int]) -> array[int]:
    """Between the machine's byte order and the packed one."""
    if sys.byteorder == "little":
        words.byteswap()
    return words
