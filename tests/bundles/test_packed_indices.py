"""Packed indices are ascending tuples of ints, only smaller."""

from __future__ import annotations

import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.bundles.indices import Indices

numbers = st.integers(0, 300) | st.integers(0, 2**32 - 1)
ascending = st.frozensets(numbers, max_size=12).map(sorted)


@given(ascending, ascending)
def test_they_compare_as_tuples_do(one: list[int], other: list[int]) -> None:
    packed, packed_other = Indices(one), Indices(other)
    assert tuple(packed) == tuple(one)
    assert (len(packed), packed.last) == (len(one), max(one, default=-1))
    assert (packed < packed_other) == (tuple(one) < tuple(other))
    assert (packed == packed_other) == (one == other)
    assert packed != tuple(one)
    assert packed == Indices(iter(one))
    assert hash(packed) == hash(Indices(one))
    assert eval(repr(packed), {"Indices": Indices}) == packed
    assert packed.packed == struct.pack(f">{len(one)}I", *one)


@pytest.mark.parametrize("wrong", [[1, 0], [1, 1], [-1], [0, 2**32], [0, 2**70], ["1"], [True], [0, 1.0], [None]])
def test_other_lists_are_refused(wrong: list[object]) -> None:
    with pytest.raises(ValueError, match="ascending order, each once"):
        Indices(wrong)


def test_they_are_small_and_never_change() -> None:
    packed = Indices(range(1000))
    assert sys.getsizeof(packed) + sys.getsizeof(packed.packed) < 4200
    with pytest.raises(AttributeError, match="immutable"):
        packed.packed = b""
