"""Values as TensorProtos of a given dtype and shape: what an input is bound to."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

from trimtab.errors import ArtifactError
from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.editing.names import check_text
from trimtab.savedmodel.editing.protos import shape_proto
from trimtab.savedmodel.messages import classes, serialize
from trimtab.savedmodel.structure import shape_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from trimtab.savedmodel.graph_protos import Shape

_UNSIGNED = {"uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8}
_SIGNED = {"int8": 1, "int16": 2, "int32": 4, "int64": 8}
_INTEGERS = _UNSIGNED | _SIGNED
_FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})
_COMPLEX = frozenset({"complex64", "complex128"})

_MAX_DEPTH = 32
_MAX_ELEMENTS = 16 << 20


def constant(value: Any, dtype: int, shape: Shape, where: str) -> bytes:
    """A TensorProto, serialized, that holds `value` exactly.

    value: a number, text, bool or bytes, nested lists of one of these, or a NumPy array. dtype, shape: what it is for;
    whole numbers become floats, and nothing else is converted.
    ArtifactError, at `where`, when the value does not fit.
    """
    name = dtype_name(dtype)
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        _check_array(value, name, where)
        value = value.tolist()
    sizes = _sizes(value, where)
    if not _compatible(sizes, shape):
        raise ArtifactError(
            where=where, expected=f"a value of shape {shape_text(shape)}", got=f"one of {shape_text(tuple(sizes))}"
        )
    flat = list(_flat(value, sizes, where))
    tensor = classes()["TensorProto"](dtype=dtype)
    tensor.tensor_shape.CopyFrom(shape_proto(tuple(sizes)))
    if name == "string":
        tensor.string_val.extend(_text(each, where) for each in flat)
    elif name == "bool":
        tensor.bool_val.extend(_bool(each, where) for each in flat)
    else:
        tensor.tensor_content = b"".join(_number(each, name, where) for each in flat)
    return serialize(tensor)


def zeros(dtype: int, shape: Shape) -> bytes:
    """A TensorProto, serialized, of zeros or empty texts of a shape that fits, 1 in each unknown dimension.

    One element stands for all: TensorFlow repeats the last.
    """
    tensor = classes()["TensorProto"](dtype=dtype)
    sizes = tuple(1 if size is None else size for size in shape or ())
    tensor.tensor_shape.CopyFrom(shape_proto(sizes))
    name = dtype_name(dtype)
    if 0 in sizes:
        return serialize(tensor)
    if name == "string":
        tensor.string_val.append(b"")
    else:
        getattr(tensor, _FIELDS.get(name, "int_val")).extend([0] * (2 if name in _COMPLEX else 1))
    return serialize(tensor)


_FIELDS = {
    "float16": "half_val",
    "bfloat16": "half_val",
    "float32": "float_val",
    "float64": "double_val",
    "int64": "int64_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
    "bool": "bool_val",
    "complex64": "scomplex_val",
    "complex128": "dcomplex_val",
}


def _check_array(value: np.ndarray[Any, Any], name: str, where: str) -> None:
    """An array has a dtype of its own, which must be the input's."""
    own = {"O": "string", "S": "string", "U": "string"}.get(value.dtype.kind, str(value.dtype))
    if own != name:
        raise ArtifactError(
            where=where,
            expected=f"an array of {name}",
            got=f"one of {own}",
            hint="Convert it yourself, so that no value changes unseen.",
        )


def _sizes(value: Any, where: str) -> list[int]:
    sizes: list[int] = []
    while isinstance(value, list | tuple):
        sizes.append(len(value))
        if len(sizes) > _MAX_DEPTH:
            raise ArtifactError(where=where, expected=f"lists nested at most {_MAX_DEPTH} deep", got="deeper nesting")
        if not value:
            break
        value = value[0]
    return sizes


def _compatible(sizes: list[int], shape: Shape) -> bool:
    if shape is None:
        return True
    if len(sizes) < len(shape) and sizes and sizes[-1] == 0:
        sizes += [0 if size is None else size for size in shape[len(sizes) :]]
    return len(sizes) == len(shape) and all(want in (None, got) for got, want in zip(sizes, shape, strict=True))


def _flat(value: Any, sizes: list[int], where: str) -> Iterator[Any]:
    if not sizes:
        if isinstance(value, list | tuple):
            raise ArtifactError(where=where, expected="lists of equal lengths and depths", got="ragged ones")
        yield value
        return
    if not isinstance(value, list | tuple) or (len(value) != sizes[0]):
        raise ArtifactError(where=where, expected="lists of equal lengths and depths", got="ragged ones")
    for each in value:
        yield from _flat(each, sizes[1:], where)


def _text(value: Any, where: str) -> bytes:
    if isinstance(value, str):
        check_text(where, value)
        return value.encode()
    if isinstance(value, bytes):
        return value
    raise _wrong(value, "string", where)


def _bool(value: Any, where: str) -> bool:
    if isinstance(value, bool):
        return value
    raise _wrong(value, "bool", where)


def _number(value: Any, name: str, where: str) -> bytes:
    if isinstance(value, bool) or not isinstance(value, int | float | complex):
        raise _wrong(value, name, where)
    if name in _INTEGERS:
        if not isinstance(value, int):
            raise _wrong(value, name, where)
        try:
            return value.to_bytes(_INTEGERS[name], "little", signed=name in _SIGNED)
        except OverflowError:
            raise _wrong(value, name, where) from None
    if name in _COMPLEX:
        number = complex(value)
        return struct.pack("<2f" if name == "complex64" else "<2d", number.real, number.imag)
    if name in _FLOATS and not isinstance(value, complex):
        return _float(value, name, where)
    raise _wrong(value, name, where)


def _float(value: float, name: str, where: str) -> bytes:
    try:
        if name == "bfloat16":
            bits = int.from_bytes(struct.pack("<f", value), "little")
            if not math.isnan(value):  # round half to even
                bits += 0x7FFF + ((bits >> 16) & 1)
            return (bits >> 16 & 0xFFFF).to_bytes(2, "little")
        return struct.pack({"float16": "<e", "float32": "<f", "float64": "<d"}[name], value)
    except OverflowError:
        raise _wrong(value, name, where) from None


def _wrong(value: Any, name: str, where: str) -> ArtifactError:
    return ArtifactError(where=where, expected=f"a value of dtype {name}", got=repr(value)[:80])
