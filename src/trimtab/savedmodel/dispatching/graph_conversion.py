"""What tensor TensorFlow makes of a value inside a graph, as it does when a trial allows conversion.

Source: tensorflow/python/framework/{tensor_conversion_registry,tensor_util}.py, ops/array_ops.py (lists with tensors in
them), and NumPy's rules for what dtype a nested list has.
"""

from __future__ import annotations

from functools import reduce
from itertools import takewhile
from typing import TYPE_CHECKING, Any, TypeAlias

from trimtab.savedmodel.dispatching.dtype_kinds import is_complex, is_floating, is_integer, is_numeric, wraps
from trimtab.savedmodel.dispatching.refusing import SOFT, Raises
from trimtab.savedmodel.dispatching.shapes import merged
from trimtab.savedmodel.dispatching.values import Opaque, TensorValue, Value
from trimtab.savedmodel.dispatching.wording import value_text
from trimtab.savedmodel.structure import NamedTuple, ShapeLiteral

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_Items: TypeAlias = "list[Value] | tuple[Value, ...]"

_OBJECT = "object"
_EXTENDED = frozenset({"bfloat16", "float8_e5m2", "float8_e4m3fn", "int4", "uint4"})
"""Dtypes that NumPy has only as extensions: it makes none of them of a Python object that is no plain number."""

_RANGE_DTYPES = frozenset(
    {"int8", "int16", "int32", "int64", "uint16", "uint32", "uint64", "bfloat16", "float32", "float64"}
)


def graph_tensor(value: Value, dtype: str | None = None, hint: str | None = None) -> TensorValue:
    """The dtype and shape of the tensor that TensorFlow makes of a value inside a graph.

    dtype: what it must have. hint: what it should have; where that cannot be, the value's own dtype is taken.
    Raises the error that TensorFlow would.
    """
    if dtype is None and hint is not None:
        try:
            return _converted(value, hint)
        except Raises as error:
            if error.tensorflow not in SOFT:
                raise
    return _converted(value, dtype)


def items_of(value: object) -> _Items | None:
    """The items of a list, tuple or named tuple; None of anything else."""
    if isinstance(value, NamedTuple):
        return tuple(item for _, item in value.fields)  # type: ignore[misc]  # the fields of an argument are values
    return value if isinstance(value, list | tuple) else None


def _converted(value: Value, dtype: str | None) -> TensorValue:
    if isinstance(value, TensorValue):
        return _from_tensor(value, dtype)
    if isinstance(value, range):
        if dtype is not None and dtype not in _RANGE_DTYPES:
            raise Raises("TypeError", f"a range does not convert to {dtype}")
        big = dtype is None and any(abs(edge) >= 1 << 31 for edge in (value.start, value.stop, value.step))
        return TensorValue(dtype or ("int64" if big else "int32"), (len(value),))
    if isinstance(value, ShapeLiteral):
        return _from_shape(value, dtype)
    items = items_of(value)
    if items is not None:
        first = _first_tensor(items)
        if first is not None:
            wanted = dtype or first.dtype
            return _packed(items, wanted, recast=wanted != first.dtype)
    return _constant(value, dtype)


def _from_tensor(value: TensorValue, dtype: str | None) -> TensorValue:
    """A tensor stays what it is; an array is cast to anything, as NumPy does."""
    if value.source in ("numpy", "scalar"):
        if dtype is None or dtype == value.dtype:
            return TensorValue(value.dtype, value.shape)
        if 0 in (value.shape or ()):  # there is no element to fail on
            return TensorValue(dtype, value.shape)
        if dtype == "string" or (value.dtype == "string" and dtype != "bool"):
            raise Raises("TypeError", f"`dtype` {dtype} is not compatible with an array of {value.dtype}")
        return TensorValue(dtype, value.shape)
    if dtype is not None and dtype != value.dtype:
        raise Raises(
            "ValueError",
            f"Tensor conversion requested dtype {dtype} for Tensor with dtype {value.dtype}: {value}",
        )
    return TensorValue(value.dtype, value.shape)


def _from_shape(value: ShapeLiteral, dtype: str | None) -> TensorValue:
    if value.shape is None or None in value.shape:
        raise Raises("ValueError", "Cannot convert a partially known TensorShape to a Tensor.")
    if dtype not in (None, "int32", "int64"):
        raise Raises("TypeError", f"Cannot convert TensorShape to dtype {dtype}.")
    return TensorValue(dtype or "int32", (len(value.shape),))


def _first_tensor(items: _Items) -> TensorValue | None:
    """The first tensor in nested lists: it decides the dtype of them all."""
    for item in items:
        if isinstance(item, TensorValue) and item.source not in ("numpy", "scalar"):
            return item
        inner = items_of(item)
        found = _first_tensor(inner) if inner is not None else None
        if found is not None:
            return found
    return None


def _packed(items: _Items, dtype: str, *, recast: bool) -> TensorValue:
    """One tensor of a list that has tensors in it. With `recast`, each of them is cast, whatever its dtype.

    What raises first is what TensorFlow comes to first: tensors, then constants, then the shapes of all.
    """
    parts: list[TensorValue | None] = []
    for item in items:
        inner = items_of(item)
        if isinstance(item, TensorValue) and item.source not in ("numpy", "scalar"):
            if item.dtype != dtype and not recast:
                raise Raises("TypeError", f"Cannot convert a list containing a tensor of {item.dtype} to {dtype}")
            parts.append(item)
        elif inner is not None and _first_tensor(inner) is not None:
            parts.append(_packed(inner, dtype, recast=recast))
        else:
            parts.append(None)
    shapes = [(_constant(item, dtype) if part is None else part).shape for item, part in zip(items, parts, strict=True)]
    whole = reduce(merged, shapes)
    return TensorValue(dtype, None if whole is None else (len(items), *whole))


def _constant(value: Value, dtype: str | None) -> TensorValue:
    """A constant of Python values: their class is checked, NumPy makes an array of them, and that is cast."""
    if value is None:
        raise Raises("ValueError", "None values not supported.")
    if dtype is not None:
        check = _check_of(dtype)
        for leaf in _flat(value):
            if check is not None and not check(leaf):
                raise Raises(
                    "TypeError", f"Expected {dtype}, but got {value_text(leaf)} of type {type(leaf).__name__!r}."
                )
    shape = _numpy_shape(value, objects=dtype == "string")
    if shape != _dense_dimensions(value):
        raise Raises(
            "ValueError", f"Expected values {value_text(value)} to be a dense tensor, but got shape {list(shape)}."
        )
    leaves = list(_scalars(value))
    own = _numpy_dtype(leaves)
    if dtype is None:
        return TensorValue(_preferred(own, leaves), shape)
    if dtype == "bool":
        return TensorValue(dtype, shape)
    if dtype == "string":
        if own not in ("string", None):
            raise Raises("TypeError", f"Failed to convert elements of {value_text(value)} to Tensor.")
        return TensorValue(dtype, shape)
    if not is_numeric(dtype):
        raise Raises("TypeError", f"`dtype` {dtype} is not compatible with {value_text(value)}.")
    if dtype in _EXTENDED and (
        own == _OBJECT or any(isinstance(leaf, int) and wraps(leaf, "int64") for leaf in leaves)
    ):
        raise Raises("TypeError", f"{value_text(value)} does not convert to {dtype}")
    if own == _OBJECT:
        _check_objects(leaves, dtype)
    return TensorValue(dtype, shape)


def _check_of(dtype: str) -> Callable[[Any], bool] | None:
    """Which Python values a constant of that dtype may be made of; None for a dtype that takes any."""
    if dtype == "bool":
        return lambda leaf: isinstance(leaf, bool)
    if dtype == "string":
        return lambda leaf: isinstance(leaf, str | bytes) or _array_kind(leaf) == "string"
    if is_integer(dtype):
        return lambda leaf: isinstance(leaf, int) or is_integer(_array_kind(leaf))
    if is_floating(dtype):
        return _is_real
    if is_complex(dtype):
        return lambda leaf: isinstance(leaf, complex) or _is_real(leaf) or is_complex(_array_kind(leaf))
    return None


def _is_real(leaf: Any) -> bool:
    if isinstance(leaf, Opaque):
        return leaf.real
    kind = _array_kind(leaf)
    return isinstance(leaf, int | float) or is_integer(kind) or is_floating(kind)


def _array_kind(leaf: Any) -> str:
    return leaf.dtype if isinstance(leaf, TensorValue) and leaf.source in ("numpy", "scalar") else ""


def _flat(value: Value) -> Iterator[Value]:
    """The leaves as TensorFlow's `nest` sees them: it looks into dicts too."""
    items: Any = list(value.values()) if isinstance(value, dict) else items_of(value)
    if items is None:
        yield value
        return
    for item in items:
        yield from _flat(item)


def _scalars(value: Value) -> Iterator[Value]:
    """The elements as NumPy sees them: it looks into lists and tuples only."""
    items = items_of(value)
    if items is None:
        yield value
        return
    for item in items:
        yield from _scalars(item)


def _numpy_shape(value: Value, *, objects: bool) -> tuple[int, ...]:
    """The shape of the array that NumPy makes of nested lists.

    Where they are of different lengths: ValueError, unless it makes an array of objects, some of them lists.
    """
    items = items_of(value)
    if items is None:
        own = value.shape if isinstance(value, TensorValue) else (len(value),) if isinstance(value, range) else ()
        return tuple(size or 0 for size in own or ())
    if not items:
        return (0,)
    inner = _numpy_shape(items[0], objects=objects)
    for item in items[1:]:
        other = _numpy_shape(item, objects=objects)
        if other != inner and not objects:
            raise Raises("ValueError", "setting an array element with a sequence: nested lists of different lengths")
        inner = tuple(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(inner, other, strict=False)))
    return (len(items), *inner)


def _dense_dimensions(value: Value) -> tuple[int, ...]:
    """The lengths of the lists down the first items."""
    items = items_of(value)
    if items is None:
        return ()
    return (len(items), *_dense_dimensions(items[0])) if items else (0,)


def _numpy_dtype(leaves: list[Value]) -> str | None:
    """The dtype that NumPy gives an array of these; None where there is none of them, `object` where nothing fits."""
    kinds = {_leaf_dtype(leaf) for leaf in leaves}
    if not kinds:
        return None
    if len(kinds) == 1:
        return kinds.pop()
    if _OBJECT in kinds or "string" in kinds:
        return _OBJECT
    for each in ("complex128", "float64"):
        if each in kinds:
            return each
    if {"int64", "uint64"} <= kinds:
        return "float64"
    return _promoted(kinds)


def _leaf_dtype(leaf: Value) -> str:
    if isinstance(leaf, TensorValue) and leaf.source in ("numpy", "scalar"):
        return leaf.dtype
    if isinstance(leaf, bool):
        return "bool"
    if isinstance(leaf, int):
        if -(1 << 63) <= leaf < 1 << 63:
            return "int64"
        return "uint64" if 0 <= leaf < 1 << 64 else _OBJECT
    if isinstance(leaf, float):
        return "float64"
    if isinstance(leaf, complex):
        return "complex128"
    return "string" if isinstance(leaf, str | bytes) else _OBJECT


def _promoted(kinds: set[str]) -> str:
    """NumPy's common dtype. Several occur only where NumPy's scalars are among the leaves."""
    ordered = sorted(kinds - {"bool"}, key=lambda kind: (is_complex(kind), is_floating(kind), kind))
    return ordered[-1]


def _preferred(own: str | None, leaves: list[Value]) -> str:
    """The dtype where none was asked for: 32 bits, unless integers need more."""
    if own is None:
        return "float32"
    if own == _OBJECT:
        raise Raises("TypeError", "Failed to convert elements to Tensor. Consider casting to a supported type.")
    if own == "float64":
        return "float32"
    if own == "int64":
        fits = all(-(1 << 31) <= leaf < 1 << 31 for leaf in leaves if isinstance(leaf, int))
        return "int32" if fits else "int64"
    return own


def _check_objects(leaves: list[Value], dtype: str) -> None:
    """NumPy makes numbers of Python objects one by one, and integers may overflow."""
    for leaf in leaves:
        if isinstance(leaf, int):
            if wraps(leaf, dtype) if is_integer(dtype) else not _fits_float(leaf):
                raise Raises("OverflowError", "Python int too large to convert to C long")
        elif not isinstance(leaf, float | complex) and not (isinstance(leaf, Opaque) and leaf.real):
            raise Raises("TypeError", f"{value_text(leaf)} is no number")


def _fits_float(leaf: int) -> bool:
    try:
        float(leaf)
    except OverflowError:
        return False
    return True
