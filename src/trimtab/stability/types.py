"""How the type of a value changed, as the aspects that rules are about: kind, dtype, rank, sizes, null inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from trimtab.signature.dtypes import DType
from trimtab.signature.types import Literal, Mapping, Opaque, Optional, Ragged, Scalar, Sequence, Sparse, Tensor
from trimtab.stability.plain import plain
from trimtab.stability.shapes import shape_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.signature.types import Type
    from trimtab.stability.shapes import Symbols


class TypeChange(Struct, frozen=True):
    """One aspect of a type that changed. rule: the rule's name without its kind of value (`SAME_DTYPE`)."""

    rule: str
    problem: str


def type_changes(old: Type, new: Type, symbols: Symbols, *, returned: bool = False) -> Iterator[TypeChange]:
    """The changes of a type, the gravest first.

    returned: of an output, whose readers mind sizes that it could not have before; those who send an input mind sizes
    that it can no longer have. An output's size that follows from the request's is no news to who sent it. Whether the
    whole may be None is no change of the type (see `may_be_none`); whether a part inside of it may be is.
    """
    old, new = _present(old), _present(new)
    if type(old) is not type(new):
        yield TypeChange("SAME_KIND", "it is another kind of value")
        return
    match old, new:
        case (Tensor() | Sparse() | Ragged(), Tensor() | Sparse() | Ragged()):
            yield from _of_arrays(old, new, symbols, returned=returned)
        case (Scalar(), Scalar()):
            if old.dtype is not new.dtype:
                yield TypeChange("SAME_DTYPE", "the dtype changed")
        case (Mapping(), Mapping()):
            if old.key is not new.key:
                yield TypeChange("SAME_DTYPE", "the dtype of the keys changed")
            yield from _of_parts(old.value, new.value, symbols, returned=returned)
        case (Sequence(), Sequence()):
            yield from _of_parts(old.element, new.element, symbols, returned=returned)
        case (Literal(), Literal()):
            if plain(old) != plain(new):
                yield TypeChange("SAME_CONSTANT", "another constant is built in")
        case (Opaque(), Opaque()):
            if old != new:
                yield TypeChange("SAME_KIND", "it is another type of its framework")


def number_for_text(old: Type, new: Type) -> Type:
    """The new type as that of a number where it leaves the dtype open and the old one is text."""
    was_text = isinstance(old, Tensor) and old.dtype in (DType.STRING, DType.BYTES)
    return Tensor(DType.FLOAT64, new.shape) if was_text and isinstance(new, Tensor) and new.dtype is None else new


def may_be_none(type_: Type) -> bool:
    """Whether the type itself allows None."""
    return isinstance(type_, Optional)


def of_one_batch(old: Type, new: Type) -> Type:
    """The new type with the leading size of the old one, where these two sizes are fixed and of one rank."""
    if not isinstance(old, Tensor) or not isinstance(new, Tensor) or not old.shape or not new.shape:
        return new
    fixed = isinstance(old.shape[0], int) and isinstance(new.shape[0], int)
    return Tensor(new.dtype, (old.shape[0], *new.shape[1:])) if fixed and len(old.shape) == len(new.shape) else new


def _present(type_: Type) -> Type:
    while isinstance(type_, Optional):
        type_ = type_.element
    return type_


def _of_parts(old: Type, new: Type, symbols: Symbols, *, returned: bool) -> Iterator[TypeChange]:
    """The changes of what is inside a container."""
    if may_be_none(old) and not may_be_none(new):
        yield TypeChange("NOT_MADE_NON_NULLABLE", "what is inside may no longer be null")
    elif may_be_none(new) and not may_be_none(old):
        yield TypeChange("NOT_MADE_NULLABLE", "what is inside may be null now")
    yield from type_changes(old, new, symbols, returned=returned)


def _of_arrays(
    old: Tensor | Sparse | Ragged, new: Tensor | Sparse | Ragged, symbols: Symbols, *, returned: bool
) -> Iterator[TypeChange]:
    if old.dtype is None and new.dtype is not None:
        yield TypeChange("DTYPE_NOT_NARROWED", "the dtype was left open and is now stated")
    elif new.dtype is None and old.dtype is not None:
        yield TypeChange("DTYPE_NOT_WIDENED", "the dtype was stated and is now left open")
    elif old.dtype is not new.dtype:
        yield TypeChange("SAME_DTYPE", "the dtype changed")
    if isinstance(old, Ragged) and isinstance(new, Ragged) and old.row_splits is not new.row_splits:
        yield TypeChange("SAME_DTYPE", "the dtype of the row splits changed")
    before, after = shape_of(old), shape_of(new)
    if before is not None and after is not None and len(before) != len(after):
        yield TypeChange("SAME_RANK", "the number of dimensions changed")
        return
    if isinstance(old, Ragged) and isinstance(new, Ragged) and old.ragged_rank != new.ragged_rank:
        yield TypeChange("SAME_RANK", "the number of ragged dimensions changed")
    verdict = symbols.compare(before, after)
    if verdict.narrowed and not returned:
        yield TypeChange("DIM_NOT_NARROWED", verdict.narrowed)
    elif verdict.widened_for_old and returned:
        yield TypeChange("DIM_NOT_WIDENED", verdict.widened_for_old)
    elif verdict.differs:
        yield TypeChange("SAME_SHAPE", verdict.narrowed or verdict.widened or "the shape is another one")
