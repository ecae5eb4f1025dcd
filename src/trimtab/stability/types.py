"""How the type of a value changed, as the aspects that rules are about: kind, dtype, rank, sizes, nullability."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from trimtab.signature.types import Literal, Mapping, Opaque, Optional, Ragged, Scalar, Sequence, Sparse, Tensor
from trimtab.stability.shapes import shape_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.signature.types import Type
    from trimtab.stability.shapes import Symbols


class TypeChange(Struct, frozen=True):
    """One aspect of a type that changed. rule: the rule's name without its kind of value (`SAME_DTYPE`)."""

    rule: str
    problem: str


def type_changes(old: Type, new: Type, symbols: Symbols) -> Iterator[TypeChange]:
    """The changes of a type, the gravest first. Whether it may be None is not one of them: see `may_be_none`."""
    old, new = _present(old), _present(new)
    if type(old) is not type(new):
        yield TypeChange("SAME_KIND", "it is another kind of value")
        return
    match old, new:
        case (Tensor() | Sparse() | Ragged(), Tensor() | Sparse() | Ragged()):
            yield from _of_arrays(old, new, symbols)
        case (Scalar(), Scalar()):
            if old.dtype is not new.dtype:
                yield TypeChange("SAME_DTYPE", "the dtype changed")
        case (Mapping(), Mapping()):
            if old.key is not new.key:
                yield TypeChange("SAME_DTYPE", "the dtype of the keys changed")
            yield from type_changes(old.value, new.value, symbols)
        case (Sequence(), Sequence()):
            yield from type_changes(old.element, new.element, symbols)
        case (Literal(), Literal()) | (Opaque(), Opaque()):
            if repr(old) != repr(new):  # as Python values, 1 equals True and 1.0
                yield TypeChange("SAME_KIND", "it is another constant or another type of its framework")


def may_be_none(type_: Type) -> bool:
    """Whether the type itself allows None."""
    return isinstance(type_, Optional)


def _present(type_: Type) -> Type:
    return type_.element if isinstance(type_, Optional) else type_


def _of_arrays(old: Tensor | Sparse | Ragged, new: Tensor | Sparse | Ragged, symbols: Symbols) -> Iterator[TypeChange]:
    if old.dtype is not new.dtype:
        if old.dtype is None or new.dtype is None:
            yield TypeChange("DTYPE_NOT_STATED_OTHERWISE", "the dtype is stated on one side only")
        else:
            yield TypeChange("SAME_DTYPE", "the dtype changed")
    before, after = shape_of(old), shape_of(new)
    if isinstance(old, Ragged) and isinstance(new, Ragged) and old.ragged_rank != new.ragged_rank:
        yield TypeChange("SAME_RANK", "the number of ragged dimensions changed")
    elif before is not None and after is not None and len(before) != len(after):
        yield TypeChange("SAME_RANK", "the number of dimensions changed")
        return
    verdict = symbols.compare(before, after)
    if verdict.narrowed:
        yield TypeChange("SHAPE_NOT_NARROWED", verdict.narrowed)
    elif verdict.differs:
        yield TypeChange("SAME_SHAPE", "the shape is another one")
