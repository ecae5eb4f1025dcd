"""A signature's overload, compiled for conversion: what each input must be, and what happens when it is absent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from trimtab.converting.contents import constant
from trimtab.converting.dimensions import Sizes
from trimtab.converting.refusals import described, quoted
from trimtab.errors import ConversionError
from trimtab.signature.dtypes import DType  # noqa: TC001  # msgspec reads the annotations at run time
from trimtab.signature.model import Input, Learned, Overload, Presence
from trimtab.signature.types import Literal, Optional, Scalar, Sequence, Shape, Tensor, Type

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


class Wanted(Struct, frozen=True, eq=False):
    """One input that requests carry.

    dtype, shape: as the signature says; None is anything. scalar: a plain number, which travels as rank 0 or as [1].
    pattern: equal for inputs that equal shapes and datatypes fit alike.
    """

    input: Input
    pattern: int
    dtype: DType | None
    shape: Shape | None
    scalar: bool
    required: bool
    default: Any = None
    """The default as an array to be broadcast, or None: nothing to give, the artifact knows."""

    @property
    def name(self) -> str:
        """The name that the signature gives it."""
        return self.input.name


Place: TypeAlias = tuple[int, str, Wanted]
"""An input, after what the inner loop needs of it: its pattern and its name."""


class Plan:
    """One overload. Literal inputs are part of the artifact and are not asked for."""

    def __init__(self, overload: Overload) -> None:
        self.overload = overload
        patterns: dict[object, int] = {}
        wanted: list[Wanted] = []
        for value in map(_of_any_batch, overload.inputs):
            if isinstance(value.type, Literal):
                continue
            carried = _carried(value.type)
            if carried is None:
                if value.presence is Presence.REQUIRED and not isinstance(value.type, Optional):
                    raise _not_carried(value)
                continue
            dtype, shape, scalar = carried
            wanted.append(
                Wanted(
                    input=value,
                    pattern=patterns.setdefault((dtype, shape, scalar), len(patterns)),
                    dtype=dtype,
                    shape=shape,
                    scalar=scalar,
                    required=value.presence is Presence.REQUIRED and not isinstance(value.type, Optional),
                    default=_default(value, dtype),
                )
            )
        self.wanted: tuple[Wanted, ...] = tuple(wanted)
        self.names = tuple(each.name for each in wanted)
        self.by_name = _by_name(self.wanted)
        self.sizes = Sizes(
            {dim for each in wanted for dim in each.shape or () if isinstance(dim, str)}, overload.dimensions
        )

    def places(self, names: Iterable[str]) -> list[Place | None]:
        """Where each name belongs; None for a name that only another overload knows."""
        found = map(self.by_name.get, names)
        return [(wanted.pattern, wanted.name, wanted) if wanted else None for wanted in found]


def _of_any_batch(value: Input) -> Input:
    """An input that is known from an example takes any batch: that of the example is what was at hand."""
    type_ = value.type
    if value.learned.get("type") is Learned.EXAMPLE and isinstance(type_, Tensor) and type_.shape:
        return replace(value, type=replace(type_, shape=(None, *type_.shape[1:])))
    return value


def _carried(type_: Type) -> tuple[DType | None, Shape | None, bool] | None:
    """Dtype, shape and whether it is a plain number; None for types that one request tensor cannot carry."""
    if isinstance(type_, Optional):
        return _carried(type_.element)
    if isinstance(type_, Tensor):
        return type_.dtype, type_.shape, False
    if isinstance(type_, Scalar):
        return type_.dtype, (), True
    if isinstance(type_, Sequence) and isinstance(type_.element, Scalar):
        return type_.element.dtype, (None,), False
    return None


def _not_carried(value: Input) -> ConversionError:
    return ConversionError(
        f"input {described(value)} cannot travel in a request",
        expected="a tensor, a scalar or a sequence of scalars",
        hint="Export the model with tensors in its call, for example values and row lengths for a ragged tensor.",
    )


def _default(value: Input, dtype: DType | None) -> NDArray[Any] | None:
    if value.presence is not Presence.DEFAULT or value.default is None:
        return None
    python = value.default.to_python()
    if python is None or (value.default.of and value.default.of not in ("float", "complex", "bytes")):
        return None
    try:
        return constant(python, dtype)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _by_name(wanted: tuple[Wanted, ...]) -> dict[str, Wanted]:
    by_name: dict[str, Wanted] = {}
    for each in wanted:
        for name in dict.fromkeys((each.name, *each.input.aliases)):
            if by_name.setdefault(name, each) is not each:
                raise ConversionError(
                    f"the name {quoted(name)} belongs to two inputs of the signature",
                    hint="Rename one, or remove the alias: a request could not say which it means.",
                )
    return by_name
