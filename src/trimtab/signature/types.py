"""What a value may be: tensors of several layouts, scalars, constants, and the containers around them.

Every type is immutable and hashable, and serializes as an object whose `kind` says which it is.
"""

from __future__ import annotations

import base64
import math
from typing import TypeAlias

from msgspec import Struct

from trimtab.errors import SignatureError
from trimtab.signature.dtypes import DType

Dim: TypeAlias = int | str | None
"""One dimension: a fixed size, a symbol or expression over symbols (`"batch"`, `"2*s17 + 1"`), or None for unknown."""

Shape: TypeAlias = tuple[Dim, ...]


class _Type(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="kind"):
    """Base of the types: frozen, tagged by `kind`, strict about unknown fields."""


class Tensor(_Type, frozen=True, tag="tensor"):
    """A dense tensor. `dtype` None: the artifact does not say. `shape` None: the rank is unknown."""

    dtype: DType | None = None
    shape: Shape | None = None

    def __str__(self) -> str:
        return _array(self.dtype, self.shape)


class Ragged(_Type, frozen=True, tag="ragged"):
    """A tensor whose rows differ in length along `ragged_rank` dimensions, counted from the second.

    row_splits: the dtype of the numbers that say where rows end.
    """

    dtype: DType | None = None
    shape: Shape | None = None
    ragged_rank: int = 1
    row_splits: DType = DType.INT64

    def __str__(self) -> str:
        splits = "" if self.row_splits is DType.INT64 else f", {self.row_splits} row splits"
        return f"ragged {_array(self.dtype, self.shape)}{splits}"


class Sparse(_Type, frozen=True, tag="sparse"):
    """A tensor given as coordinates and values; `shape` is the dense shape."""

    dtype: DType | None = None
    shape: Shape | None = None

    def __str__(self) -> str:
        return f"sparse {_array(self.dtype, self.shape)}"


class Scalar(_Type, frozen=True, tag="scalar"):
    """A plain number, flag or text argument, not a tensor of rank 0."""

    dtype: DType

    def __str__(self) -> str:
        return str(self.dtype)


class Literal(_Type, frozen=True, tag="literal"):
    """A constant. As a type: the value that is baked into the artifact. As a default: the value used when absent.

    `of` says what `value` stands for where JSON cannot: `float` (`"inf"`, `"-inf"`, `"nan"`), `complex`, `bytes`
    (base64), or a framework's own kind such as `device`.
    """

    value: bool | int | float | str | tuple[Literal, ...] | None = None
    of: str = ""

    @classmethod
    def from_python(cls, value: object) -> Literal:
        """The literal for None, bool, int, float, complex, str, bytes, or a nest of tuples and lists of them."""
        if value is None or isinstance(value, bool | int | str):
            return cls(value)
        if isinstance(value, float):
            return cls(value) if math.isfinite(value) else cls(str(value), of="float")
        if isinstance(value, complex):
            return cls(str(value), of="complex")
        if isinstance(value, bytes):
            return cls(base64.b64encode(value).decode(), of="bytes")
        if isinstance(value, tuple | list):
            return cls(tuple(cls.from_python(item) for item in value))
        raise SignatureError(
            "a constant cannot be written into a signature",
            expected="None, bool, int, float, complex, str, bytes or a nest of tuples",
            got=type(value).__name__,
        )

    def to_python(self) -> object:
        """The Python value that `from_python` came from; lists come back as tuples, framework kinds as their text."""
        if isinstance(self.value, tuple):
            return tuple(item.to_python() for item in self.value)
        if self.of == "float":
            return float(str(self.value))
        if self.of == "complex":
            return complex(str(self.value))
        if self.of == "bytes":
            return base64.b64decode(str(self.value))
        return self.value

    def __str__(self) -> str:
        try:
            return f"= {self.to_python()!r}"
        except ValueError:  # a document may hold any text where a number or base64 belongs
            return f"= {self.of} {self.value!r}"


class Sequence(_Type, frozen=True, tag="sequence"):
    """Any number of values of one type, in order."""

    element: Type

    def __str__(self) -> str:
        return f"sequence of {self.element}"


class Mapping(_Type, frozen=True, tag="mapping"):
    """Any number of values of one type, by key. The keys are not fixed by the artifact."""

    key: DType
    value: Type

    def __str__(self) -> str:
        return f"map of {self.key} to {self.value}"


class Optional(_Type, frozen=True, tag="optional"):
    """A value that may be None."""

    element: Type

    def __str__(self) -> str:
        return f"optional {self.element}"


class Opaque(_Type, frozen=True, tag="opaque"):
    """A type that only its framework understands, by the name that the artifact gives it."""

    name: str

    def __str__(self) -> str:
        return self.name


Type: TypeAlias = Tensor | Ragged | Sparse | Scalar | Literal | Sequence | Mapping | Optional | Opaque


def _array(dtype: DType | None, shape: Shape | None) -> str:
    element = str(dtype) if dtype else "any dtype"
    if shape is None:
        return f"{element} [...]"
    return f"{element} [{', '.join('?' if dim is None else str(dim) for dim in shape)}]"
