"""What is known of a tensor that has two shapes, or one of two: None is an unknown rank or size.

Source: tensorflow/python/framework/tensor_shape.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.savedmodel.dispatching.refusing import Raises
from trimtab.savedmodel.shapes import compatible

if TYPE_CHECKING:
    from trimtab.savedmodel.graph_protos import Shape


def merged(one: Shape, other: Shape) -> Shape:
    """What is known of a tensor that has both shapes. ValueError where none can."""
    if not compatible(one, other):
        raise Raises("ValueError", f"Shapes must be equal, but are {one} and {other}")
    if one is None or other is None:
        return other if one is None else one
    return tuple(b if a is None else a for a, b in zip(one, other, strict=True))


def generalized(one: Shape, other: Shape) -> Shape:
    """The most specific shape that tensors of either shape have."""
    if one is None or other is None or len(one) != len(other):
        return None
    return tuple(a if a == b else None for a, b in zip(one, other, strict=True))
