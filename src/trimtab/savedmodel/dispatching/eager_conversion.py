"""What tensor TensorFlow makes of a value outside a graph, where a function's `input_signature` casts its arguments.

The rules are those of C++ and differ from those inside a graph: the first leaf decides which dtype a nested list is of,
unless the dtype asked for has a converter of its own.
Source: tensorflow/python/lib/core/{py_seq_tensor,pywrap_tensor}.cc, and measurement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trimtab.savedmodel.dispatching.dtype_kinds import is_complex, is_floating, is_integer, is_numeric
from trimtab.savedmodel.dispatching.graph_conversion import items_of
from trimtab.savedmodel.dispatching.refusing import Raises
from trimtab.savedmodel.dispatching.values import TensorValue, Value
from trimtab.savedmodel.dispatching.wording import cpp_dtype, value_text
from trimtab.savedmodel.structure import ShapeLiteral

if TYPE_CHECKING:
    from collections.abc import Iterator

_OWN_CONVERTER = frozenset(
    {"int32", "int64", "uint64", "float16", "float32", "float64", "complex128", "string", "bool"},
)
"""Dtypes that Python values convert to directly; to others, the dtype that they have is cast."""

_RANGE_KERNELS = frozenset({"int32", "int64", "float16", "bfloat16", "float32", "float64"})


def eager_tensor(value: Value, dtype: str) -> TensorValue:
    """The tensor of that dtype that TensorFlow makes of a value outside a graph.

    Raises the error that TensorFlow would; its class tells little, since a cast reports them all as a TypeError.
    """
    if isinstance(value, TensorValue):
        return _from_tensor(value, dtype)
    if isinstance(value, range):
        if dtype not in _RANGE_KERNELS:
            raise Raises("TypeError", f"Cannot convert {value_text(value)} to EagerTensor of dtype {cpp_dtype(dtype)}")
        return TensorValue(dtype, (len(value),))
    if isinstance(value, ShapeLiteral):
        if value.shape is None or None in value.shape or dtype not in ("int32", "int64"):
            raise Raises("TypeError", f"Cannot convert TensorShape to dtype {dtype}.")
        return TensorValue(dtype, (len(value.shape),))
    items = items_of(value)
    first = next(filter(_is_tensor, _leaves(value)), None) if items is not None else None
    if isinstance(first, TensorValue):
        return _packed(items, dtype, recast=first.dtype != dtype)
    return _constant(value, dtype)


def _from_tensor(value: TensorValue, dtype: str) -> TensorValue:
    if _is_tensor(value):
        if value.dtype != dtype:
            raise Raises(
                "ValueError",
                f"Tensor conversion requested dtype {dtype} for Tensor with dtype {value.dtype}: {value}",
            )
        return value
    if not _array_casts(value, dtype):
        raise Raises("ValueError", f"Failed to convert a NumPy array of {value.dtype} to a Tensor of {dtype}")
    return TensorValue(dtype, value.shape)


def _array_casts(value: TensorValue, dtype: str) -> bool:
    """Whether NumPy casts the array, by force: any numbers to any others; of strings, those that are numbers."""
    if 0 in (value.shape or ()):
        return True
    if value.dtype != "string":
        return dtype != "string" and (dtype == "bool" or is_numeric(dtype))
    leaves = list(_data_leaves(value.data))
    texts = all(isinstance(leaf, str | bytes) for leaf in leaves)
    if dtype == "string":
        return texts
    if dtype == "bool":
        return True
    return bool(leaves) and dtype != "bfloat16" and all(_reads_as(leaf, dtype) for leaf in leaves)


def _reads_as(leaf: Any, dtype: str) -> bool:
    """Whether a text, or an object in an array of objects, is a number of the dtype."""
    kind: Any = complex if is_complex(dtype) else float if is_floating(dtype) else int
    text = leaf.decode("ascii", "replace") if isinstance(leaf, bytes) else leaf
    try:
        kind(text)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _packed(items: Any, dtype: str, *, recast: bool) -> TensorValue:
    """One tensor of a list that has tensors in it, of one shape. With `recast`, they are cast, numbers to numbers."""
    shapes = []
    for item in items:
        inner = items_of(item)
        if isinstance(item, TensorValue) and _is_tensor(item):
            if item.dtype != dtype and (not recast or "string" in (item.dtype, dtype)):
                raise Raises("TypeError", f"Cannot convert a list containing a tensor of {item.dtype} to {dtype}")
            shapes.append(item.shape)
        elif inner is not None and any(_is_tensor(leaf) for leaf in _leaves(item)):
            shapes.append(_packed(inner, dtype, recast=recast).shape)
        else:
            shapes.append(_constant(item, dtype).shape)
    if any(shape != shapes[0] for shape in shapes[1:]):
        raise Raises("InvalidArgumentError", "Shapes of all inputs must match")
    return TensorValue(dtype, (len(shapes), *(shapes[0] or ())))


def _constant(value: Value, dtype: str) -> TensorValue:
    """A tensor of Python values, of a NumPy array, or of lists of them."""
    if isinstance(value, TensorValue):
        return _from_tensor(value, dtype)
    shape = _shape(value)
    if 0 in shape:
        return TensorValue(dtype, shape)
    leaves = list(_checked_leaves(value, shape))
    if dtype in _OWN_CONVERTER and all(_converts(leaf, dtype) for leaf in leaves):
        return TensorValue(dtype, shape)
    if dtype == "uint64" and any(isinstance(leaf, int) and leaf < 0 for leaf in leaves):
        raise Raises("SystemError", "an integer below zero for uint64")
    own = _own_dtype(leaves)
    if own == dtype or _casts(own, dtype):
        return TensorValue(dtype, shape)
    raise Raises("TypeError", f"Cannot convert {value_text(value)} to EagerTensor of dtype {cpp_dtype(dtype)}")


def _shape(value: Value) -> tuple[int, ...]:
    """The lengths of the lists down the first items, up to one that is empty."""
    if isinstance(value, TensorValue):
        return tuple(size or 0 for size in value.shape or ())
    items = _sequence(value)
    if items is None:
        return ()
    return (len(items), *_shape(items[0])) if items else (0,)


def _checked_leaves(value: Value, shape: tuple[int, ...]) -> Iterator[Any]:
    """The leaves in order; each of the lists around them must have the length of the first of its level."""
    if isinstance(value, TensorValue):
        if value.shape != shape:
            raise Raises("ValueError", "Can't convert non-rectangular Python sequence to Tensor.")
        yield value
        return
    items = _sequence(value)
    if (items is None) != (not shape) or (items is not None and len(items) != shape[0]):
        raise Raises("ValueError", "Can't convert non-rectangular Python sequence to Tensor.")
    if items is None:
        yield value
        return
    for item in items:
        yield from _checked_leaves(item, shape[1:])


def _sequence(value: Value) -> Any:
    return list(value) if isinstance(value, range) else items_of(value)


def _converts(leaf: Any, dtype: str) -> bool:
    """Whether the converter of the dtype takes the leaf."""
    kind = leaf.dtype if isinstance(leaf, TensorValue) else ""
    if dtype == "bool":
        return isinstance(leaf, bool) or kind == "bool"
    if dtype == "string":
        return isinstance(leaf, str | bytes) or kind == "string"
    if is_integer(kind):
        return True
    if isinstance(leaf, int):
        if is_integer(dtype):
            low, high = {"int32": (-1 << 31, 1 << 31), "int64": (-1 << 63, 1 << 63)}.get(dtype, (0, 1 << 64))
            return low <= leaf < high
        return abs(leaf) < 1 << 1023
    if isinstance(leaf, float) or is_floating(kind):
        return not is_integer(dtype)
    return is_complex(dtype) and (isinstance(leaf, complex) or is_complex(kind))


def _own_dtype(leaves: list[Any]) -> str:
    """The dtype of the leaves: that of the first, except that integers before a float are floats too."""
    first = leaves[0]
    kind = first.dtype if isinstance(first, TensorValue) else ""
    if isinstance(first, bool) or kind == "bool":
        candidates = ["bool"]
    elif isinstance(first, int) or is_integer(kind):
        candidates = ["int64", "float64"] if not _has_big_integer(leaves) else ["int64"]
    elif isinstance(first, float) or is_floating(kind):
        candidates = ["float64"]
    elif isinstance(first, complex) or is_complex(kind):
        candidates = ["complex128"]
    elif isinstance(first, str | bytes) or kind == "string":
        candidates = ["string"]
    else:
        kind = f"({value_text(first)}) with an unsupported type ({type(first)})"
        raise Raises("ValueError", f"Attempt to convert a value {kind} to a Tensor.")
    for each in candidates:
        if all(_converts(leaf, each) for leaf in leaves):
            return each
    raise Raises("ValueError", "Can't convert Python sequence with mixed types to Tensor.")


def _has_big_integer(leaves: list[Any]) -> bool:
    return any(isinstance(leaf, int) and not -(1 << 63) <= leaf < 1 << 63 for leaf in leaves)


def _casts(own: str, dtype: str) -> bool:
    """Whether a tensor made of Python values is cast on: towards more general numbers only."""
    if is_integer(own):
        return is_numeric(dtype)
    if is_floating(own):
        return is_floating(dtype) or is_complex(dtype)
    return is_complex(own) and is_complex(dtype)


def _is_tensor(leaf: Any) -> bool:
    return isinstance(leaf, TensorValue) and leaf.source not in ("numpy", "scalar")


def _leaves(value: Value) -> Iterator[Value]:
    items = items_of(value)
    if items is None:
        yield value
        return
    for item in items:
        yield from _leaves(item)


def _data_leaves(data: Any) -> Iterator[Any]:
    if isinstance(data, list):
        for item in data:
            yield from _data_leaves(item)
    elif data is not None:
        yield data
