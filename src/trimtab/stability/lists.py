"""What changed about a feature of a serialized example, which carries each feature as a flat list of values.

The graph that parses it gives the list a shape and a layout: `[1, 2, 3, 4]` is four scalars, a row, a square or a
sparse row. None of that is in the request, so what counts is how many values the list may have. How many those are:
tensorflow/core/util/example_proto_fast_parsing.cc.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from trimtab.signature.dtypes import DType
from trimtab.signature.types import Ragged, Sparse, Tensor
from trimtab.stability.types import TypeChange

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.signature.model import Input
    from trimtab.signature.types import Type


def holds_lists(value: Input) -> bool:
    """Whether the features inside an input are the keys of serialized examples."""
    return isinstance(value.type, Tensor) and value.type.dtype in (DType.STRING, DType.BYTES)


def list_changes(old: Type, new: Type) -> Iterator[TypeChange] | None:
    """The changes of a feature's list; None where either type is no array of a stated dtype, or names its sizes."""
    before, after = _counts(old), _counts(new)
    return None if before is None or after is None else _changes(old, new, before, after)


class _Counts(NamedTuple):
    """How many values a list may have: so many of them, or any multiple of that."""

    unit: int
    any_multiple: bool

    def holds(self, other: _Counts) -> bool:
        """Whether a list of the other is one of this."""
        if not self.any_multiple:
            return self == other
        return other.unit % self.unit == 0 if self.unit else other.unit == 0

    def __str__(self) -> str:
        if self.any_multiple:
            return "any number of values" if self.unit == 1 else f"any multiple of {self.unit} values"
        return "1 value" if self.unit == 1 else f"{self.unit} values"


def _counts(type_: Type) -> _Counts | None:
    if not isinstance(type_, Tensor | Sparse | Ragged) or type_.dtype is None:
        return None
    if any(isinstance(size, str) for size in type_.shape or ()):
        return None
    if not isinstance(type_, Tensor) or type_.shape is None:
        return _Counts(1, any_multiple=True)
    sizes = [size for size in type_.shape if isinstance(size, int)]
    return _Counts(prod(sizes), any_multiple=len(sizes) < len(type_.shape))


def _changes(old: Type, new: Type, before: _Counts, after: _Counts) -> Iterator[TypeChange]:
    dtypes = [type_.dtype for type_ in (old, new) if isinstance(type_, Tensor | Sparse | Ragged)]
    if len(set(dtypes)) > 1:
        yield TypeChange("SAME_DTYPE", "the dtype changed")
    if not after.holds(before):
        yield TypeChange("DIM_NOT_NARROWED", f"{before} became {after}")
    elif before != after:
        yield TypeChange("SAME_SHAPE", f"{before} became {after}")
    elif replace(old, dtype=None) != replace(new, dtype=None):
        yield TypeChange("SAME_SHAPE", "the same values are given another shape")
