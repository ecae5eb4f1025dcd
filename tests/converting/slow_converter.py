"""The specification of `FeatureConverter.from_request`: the obvious way, by protobuf's own objects and plain loops."""

from __future__ import annotations

import struct

import numpy as np
from google.protobuf.message import DecodeError

from trimtab.protocols import oip
from trimtab.signature.dtypes import DType, dtype_of
from trimtab.signature.model import Presence

DATATYPES = {
    "BOOL": ("bool_contents", "?"),
    "INT8": ("int_contents", "<i1"),
    "INT16": ("int_contents", "<i2"),
    "INT32": ("int_contents", "<i4"),
    "INT64": ("int64_contents", "<i8"),
    "UINT8": ("uint_contents", "<u1"),
    "UINT16": ("uint_contents", "<u2"),
    "UINT32": ("uint_contents", "<u4"),
    "UINT64": ("uint64_contents", "<u8"),
    "FP16": (None, "<f2"),
    "BF16": (None, "<u2"),
    "FP32": ("fp32_contents", "<f4"),
    "FP64": ("fp64_contents", "<f8"),
    "BYTES": ("bytes_contents", None),
}


class RefusedError(Exception):
    """The request does not fit the signature."""


class UnparsedError(RefusedError):
    """Protobuf does not read the bytes at all."""


def convert(signature, payload):
    """The arrays by name, for a signature of one overload with tensors, plain symbols and 2*k + 1 alone."""
    try:
        message = oip.ModelInferRequest.FromString(payload)
    except DecodeError:
        raise UnparsedError from None
    raws = message.raw_input_contents
    require(not raws or len(raws) == len(message.inputs))
    inputs = signature.inputs
    by_name = {name: value for value in inputs for name in (value.name, *value.aliases)}
    sizes, given = {}, {}
    found = []
    for position, tensor in enumerate(message.inputs):
        value = by_name.get(tensor.name)
        if value is not None:
            require(value.name not in [other.name for other, _, _ in found])
            once = tensor.parameters["broadcast"].bool_param if "broadcast" in tensor.parameters else False
            once = once and list(tensor.shape)[:1] == [1]
            found.append((value, once, decode(value, tensor, raws[position] if raws else None)))
    for value, once, array in found:
        if not once:
            bind(value.type.shape, array.shape, sizes)
            given[value.name] = array
    for value, once, array in found:
        if once:
            require(value.type.shape)
            rows = resolve(value.type.shape[0], sizes)
            if rows is None:
                leading = {
                    given[other.name].shape[0]
                    for other in inputs
                    if other.name in given and other.type.shape and not isinstance(other.type.shape[0], int)
                }
                require(len(leading) <= 1)
                rows = leading.pop() if leading else 1
            given[value.name] = np.broadcast_to(array, (rows, *array.shape[1:]))
            bind(value.type.shape, given[value.name].shape, sizes)
    if "k" in sizes and "2*k + 1" in sizes:
        require(sizes["2*k + 1"] == 2 * sizes["k"] + 1)
    arrays = {}
    for value in inputs:
        if value.name in given:
            arrays[value.name] = given[value.name]
        elif value.presence is Presence.DEFAULT and value.default is not None:
            shape = [resolve(dim, sizes) for dim in value.type.shape]
            if None not in shape:
                arrays[value.name] = np.full(shape, value.default.to_python(), DATATYPES["FP32"][1])
        else:
            require(value.presence is not Presence.REQUIRED)
    return arrays


def decode(value, tensor, raw):
    shape = list(tensor.shape)
    require(all(size >= 0 for size in shape) and tensor.datatype in DATATYPES)
    field, element = DATATYPES[tensor.datatype]
    dtype = dtype_of("oip", tensor.datatype)
    if dtype is DType.STRING and value.type.dtype is not DType.STRING:
        dtype = DType.BYTES
    require(value.type.dtype is dtype or (value.type.dtype is None and dtype is not DType.BFLOAT16))
    count = 1
    for size in shape:
        count *= size
    contents = {name.name: len(items) for name, items in tensor.contents.ListFields()}
    if raw is None:
        require(field is not None and contents.get(field, 0) == count)
        values = list(getattr(tensor.contents, field))
    elif element is None:
        require(not tensor.HasField("contents"))
        values = split(raw, count)
    else:
        require(not tensor.HasField("contents"))
        require(len(raw) == count * np.dtype(element).itemsize)
        require(element != "?" or set(raw) <= {0, 1})
        return np.frombuffer(raw, element).reshape(shape)
    if element is not None:
        try:
            return np.array(values, element).reshape(shape)
        except OverflowError:
            raise RefusedError from None
    array = np.empty(count, object)
    try:
        array[:] = [item.decode() for item in values] if dtype is DType.STRING else values
    except UnicodeDecodeError:
        raise RefusedError from None
    return array.reshape(shape)


def split(raw, count):
    items = []
    while raw:
        require(len(raw) >= 4)
        (size,) = struct.unpack("<I", raw[:4])
        require(len(raw) >= 4 + size)
        items.append(raw[4 : 4 + size])
        raw = raw[4 + size :]
    require(len(items) == count)
    return items


def bind(pattern, shape, sizes):
    if pattern is None:
        return
    require(len(pattern) == len(shape))
    for dim, size in zip(pattern, shape, strict=True):
        if isinstance(dim, str):
            require(sizes.setdefault(dim, size) == size)
        else:
            require(dim in (None, size))


def resolve(dim, sizes):
    if dim == "2*k + 1" and dim not in sizes and "k" in sizes:
        return 2 * sizes["k"] + 1
    return sizes.get(dim) if isinstance(dim, str) else dim


def require(fact):
    if not fact:
        raise RefusedError
