"""The relations between static shapes: None is an unknown rank or size.

Source: tensorflow/python/framework/tensor_shape.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trimtab.savedmodel.graph_protos import Shape


def compatible(one: Shape, other: Shape) -> bool:
    """Whether some tensor has both shapes. Symmetric: an unknown on either side fits anything."""
    if one is None or other is None:
        return True
    if len(one) != len(other):
        return False
    return all(a is None or b is None or a == b for a, b in zip(one, other, strict=True))


def is_subtype(one: Shape, other: Shape) -> bool:
    """Whether every tensor of shape `one` has shape `other` too."""
    if other is None:
        return True
    if one is None or len(one) != len(other):
        return False
    return all(b is None or a == b for a, b in zip(one, other, strict=True))
