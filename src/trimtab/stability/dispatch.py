"""Whether the order in which overloads are tried decides about a request: the first one that it fits answers it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.signature.types import Ragged, Sparse, Tensor
from trimtab.stability.shapes import shape_of
from trimtab.stability.values import must_be_sent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimtab.signature.model import Overload
    from trimtab.signature.types import Type

MAX_COMPARED = 64
"""How many overloads are compared with each other; among more, every one is held to share a request with another."""


def other_answers(order: Sequence[int], added: Sequence[int], new: Sequence[Overload]) -> bool:
    """Whether a request that an old overload took may now fit one that is tried before it, and was not.

    order: the new places of the old overloads that are still there, in their old order. added: those of new ones.
    """
    if len(new) > MAX_COMPARED:
        return list(order) != sorted(order) or min(added, default=len(new)) < max(order, default=-1)
    overtaken = [(now, later) for at, later in enumerate(order) for now in order[at + 1 :] if now < later]
    overtaken += [(place, later) for place in added for later in order if place < later]
    return any(_share_a_request(new[first], new[later]) for first, later in overtaken)


def _share_a_request(one: Overload, other: Overload) -> bool:
    """Whether a request may fit both: not if both must have an input that cannot be what each of them wants."""
    wanted = {value.name: value.type for value in other.inputs if must_be_sent(value)}
    return not any(
        must_be_sent(value) and value.name in wanted and _disjoint(value.type, wanted[value.name])
        for value in one.inputs
    )


def _disjoint(one: Type, other: Type) -> bool:
    """Whether no value is of both types, as far as arrays say it."""
    if not isinstance(one, Tensor | Sparse | Ragged) or not isinstance(other, Tensor | Sparse | Ragged):
        return False
    if type(one) is not type(other) or (one.dtype is not other.dtype and None not in (one.dtype, other.dtype)):
        return True
    shapes = shape_of(one), shape_of(other)
    if shapes[0] is None or shapes[1] is None:
        return False
    return len(shapes[0]) != len(shapes[1]) or any(
        isinstance(size, int) and isinstance(its, int) and size != its
        for size, its in zip(shapes[0], shapes[1], strict=True)
    )
