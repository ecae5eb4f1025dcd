"""The values in a TensorProto, as Python numbers, flags and bytes. Source: tensorflow/core/framework/tensor.proto."""

from __future__ import annotations

import struct
from math import prod
from typing import TYPE_CHECKING, TypeAlias

from trimtab.savedmodel.dtypes import dtype_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimtab.savedmodel.graph_protos import TensorProto

Value: TypeAlias = "bool | int | float | complex | bytes | tuple[Value, ...]"

MAX_ELEMENTS = 4096
"""How many elements of a constant are read where nothing else is said."""


def constant_value(tensor: TensorProto, limit: int = MAX_ELEMENTS, shape: Sequence[int] | None = None) -> Value | None:
    """The value of a constant: a scalar, or tuples nested as its shape is.

    shape: to give it instead, if that has as many elements.
    None for what has more than `limit` elements, a dtype without a Python counterpart, or not as many values as its
    shape says.
    """
    own = tensor.tensor_shape.shape
    if own is None or None in own:
        return None
    sizes = [size or 0 for size in own]
    count = prod(sizes)
    if count > limit:
        return None
    flat = _flat(tensor, dtype_name(tensor.dtype), count)
    if flat is None:
        return None
    return _nested(flat, shape if shape is not None and prod(shape) == count else sizes)


_FIELDS = {
    "float32": "float_val",
    "float64": "double_val",
    "int8": "int_val",
    "int16": "int_val",
    "int32": "int_val",
    "uint8": "int_val",
    "uint16": "int_val",
    "int64": "int64_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
    "bool": "bool_val",
    "string": "string_val",
    "float16": "half_val",
    "bfloat16": "half_val",
    "complex64": "scomplex_val",
    "complex128": "dcomplex_val",
}
_FORMATS = {
    "float32": "f",
    "float64": "d",
    "int8": "b",
    "int16": "h",
    "int32": "i",
    "int64": "q",
    "uint8": "B",
    "uint16": "H",
    "uint32": "I",
    "uint64": "Q",
    "bool": "?",
    "float16": "e",
    "bfloat16": "H",
    "complex64": "ff",
    "complex128": "dd",
}


_EMPTY: dict[str, Value] = {"bool": False, "string": b""}


def _flat(tensor: TensorProto, dtype: str, count: int) -> Sequence[Value] | None:
    field = _FIELDS.get(dtype)
    if field is None:
        return None
    if tensor.tensor_content:
        return _content(tensor.tensor_content, dtype, count)
    stored: Sequence[Value] = getattr(tensor, field)
    if dtype.startswith("complex"):
        stored = _pairs(stored)
    elif field == "half_val":
        stored = [_half(number, dtype) for number in tensor.half_val]
    if len(stored) > count:
        return None
    filler: Value = stored[-1] if stored else _EMPTY.get(dtype, 0)
    return [*stored, *[filler] * (count - len(stored))]


def _content(data: bytes, dtype: str, count: int) -> Sequence[Value] | None:
    if dtype == "string":
        return _packed_strings(data, count)
    each = _FORMATS[dtype]
    if len(data) != struct.calcsize(f"<{each}") * count:
        return None
    numbers = struct.unpack(f"<{each * count}", data)
    if dtype == "bfloat16":
        return [_half(number, dtype) for number in numbers]
    return _pairs(numbers) if dtype.startswith("complex") else numbers


def _packed_strings(data: bytes, count: int) -> list[Value] | None:
    """As C++ packs them: the lengths as varints, then the strings."""
    lengths, position = [], 0
    for _ in range(count):
        length, shift = 0, 0
        while True:
            if position >= len(data) or shift > 35:
                return None
            byte = data[position]
            position += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        lengths.append(length)
    if position + sum(lengths) != len(data):
        return None
    found: list[Value] = []
    for length in lengths:
        found.append(data[position : position + length])
        position += length
    return found


def _half(bits: int, dtype: str) -> float:
    """The number that 16 bits stand for."""
    if dtype == "bfloat16":
        number: float = struct.unpack("<f", struct.pack("<I", (bits & 0xFFFF) << 16))[0]
    else:
        number = struct.unpack("<e", struct.pack("<H", bits & 0xFFFF))[0]
    return number


def _pairs(numbers: Sequence[Value]) -> list[Value]:
    """Complex numbers from their parts."""
    parts = [float(number) for number in numbers if isinstance(number, int | float)]
    return [complex(*parts[at : at + 2]) for at in range(0, len(parts), 2)]


def _nested(flat: Sequence[Value], sizes: Sequence[int]) -> Value:
    if not sizes:
        return flat[0]
    values = list(flat)
    for size in reversed(sizes[1:]):
        if not size:
            return ((),) * sizes[0]
        values = [tuple(values[at : at + size]) for at in range(0, len(values), size)]
    return tuple(values)
