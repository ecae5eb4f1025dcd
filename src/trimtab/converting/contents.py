"""Between the contents of Open Inference Protocol tensors and numpy arrays.

Raw contents are little-endian elements in row-major order; BYTES are elements of a 4-byte length and that many bytes.
Typed contents are the repeated fields of InferTensorContents. numpy has no bfloat16: its bits are held as uint16.
"""

from __future__ import annotations

import math
from struct import Struct
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.message import DecodeError

from trimtab.errors import ConversionError
from trimtab.protocols import oip
from trimtab.signature.dtypes import DType, dtype_of, spelling

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

TEXT = (DType.STRING, DType.BYTES)
"""Dtypes whose elements have a length of their own. Both travel as BYTES and are held as arrays of objects."""


def numpy_dtype(dtype: DType) -> np.dtype[Any] | None:
    """The numpy dtype of fixed-size elements of `dtype`, little-endian, uint16 for bfloat16; None if there is none."""
    return _NUMPY.get(dtype)


def datatype_of(array: NDArray[Any]) -> DType | None:
    """The dtype of a numpy array: STRING for all text, whose elements may be bytes; None for a type beside ours."""
    if array.dtype.kind in "USO":
        return DType.STRING
    return dtype_of("numpy", array.dtype.name) or (DType.BFLOAT16 if array.dtype.name == "bfloat16" else None)


def read_raw(dtype: DType, shape: tuple[int, ...], data: bytes, begin: int = 0, end: int | None = None) -> NDArray[Any]:
    """The array whose raw contents are `data[begin:end]`: a read-only view where elements have a fixed size.

    STRING gives objects of str, BYTES objects of bytes. A view may be unaligned. Raises ConversionError when the size
    is not the shape's, for a dtype that does not travel, a flag that is neither 0 nor 1, and text that is not UTF-8.
    """
    end = len(data) if end is None else end
    count = element_count(shape)
    if dtype in TEXT:
        return _text_array(split_bytes(data[begin:end], count), dtype, shape)
    element = _NUMPY.get(dtype)
    if element is None:
        raise _no_datatype(dtype)
    if end - begin != count * element.itemsize:
        raise ConversionError(
            expected=f"{count * element.itemsize} bytes of raw contents for {list(shape)} of {dtype}",
            got=f"{end - begin} bytes",
        )
    if dtype is DType.BOOL and data[begin:end].translate(None, b"\0\1"):
        raise ConversionError(expected="flags that are 0 or 1", got="another byte")
    return np.ndarray(shape, element, data, begin)


def read_typed(dtype: DType, shape: tuple[int, ...], contents: bytes) -> NDArray[Any]:
    """The array whose typed contents are the serialized InferTensorContents `contents`. Raises as `read_raw` does."""
    field = oip.CONTENTS_FIELDS.get(str(spelling(dtype, "oip")))
    if field is None:
        raise ConversionError(
            expected=f"raw contents, the only form in which {dtype} travels", got="typed contents or none"
        )
    try:
        values = getattr(oip.InferTensorContents.FromString(contents), field)
    except DecodeError:
        raise ConversionError(expected="well-formed InferTensorContents", got=f"{len(contents)} other bytes") from None
    count = element_count(shape)
    if len(values) != count:
        raise ConversionError(
            expected=f"{count} elements in {field} for {list(shape)} of {dtype}", got=str(len(values))
        )
    if dtype in TEXT:
        return _text_array(list(values), dtype, shape)
    wide = np.array(values, _FIELD_DTYPES.get(field, _NUMPY[dtype]))
    array = wide.astype(_NUMPY[dtype], copy=False)
    if array.dtype.kind in "iu" and not np.array_equal(array, wide):
        raise ConversionError(expected=f"elements that fit {dtype}", got="one that does not")
    return array.reshape(shape)


def raw_contents(array: NDArray[Any], datatype: str) -> bytes:
    """An array's elements as raw contents: rows first, little-endian; BYTES each behind its length, text as UTF-8."""
    if datatype == "BYTES":
        return join_bytes(array.ravel().tolist())
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def split_bytes(data: bytes, count: int) -> list[bytes]:
    """The elements of raw BYTES contents. ConversionError unless `data` is exactly `count` of them."""
    elements: list[bytes] = []
    at, size = 0, len(data)
    while at < size and len(elements) < count:
        start = at + 4
        if start > size:
            break
        (length,) = _LENGTH.unpack_from(data, at)
        at = start + length
        elements.append(data[start:at])
    if at != size or len(elements) != count:
        raise ConversionError(
            expected=f"{count} elements, each after its length in 4 bytes", got=f"{size} bytes that are not"
        )
    return elements


def join_bytes(elements: Iterable[str | bytes]) -> bytes:
    """Raw BYTES contents of elements; text is written as UTF-8. ConversionError for anything else."""
    parts = []
    for element in elements:
        data = _as_bytes(element)
        parts += [_LENGTH.pack(len(data)), data]
    return b"".join(parts)


def as_text(array: NDArray[Any], dtype: DType) -> NDArray[Any]:
    """An array of text or bytes as objects: str for STRING, bytes for BYTES. ConversionError for other elements."""
    elements = [_as_bytes(element) for element in array.ravel().tolist()]
    return _text_array(elements, dtype, array.shape)


def constant(value: object, dtype: DType | None) -> NDArray[Any]:
    """A constant of a signature as an array.

    Raises KeyError, TypeError, ValueError or OverflowError where it is no array of that dtype.
    """
    if dtype in TEXT:
        array = np.array(value, dtype=object)
        for element in array.flat:
            if not isinstance(element, str if dtype is DType.STRING else bytes):
                raise TypeError
        return array
    if dtype is DType.BFLOAT16:
        return bfloat16_bits(np.array(value, np.float32))
    array = np.array(value)
    if dtype is None or array.dtype == _NUMPY[dtype]:
        return array
    cast = array.astype(_NUMPY[dtype])
    if cast.dtype.kind in "iub" and not np.array_equal(cast, array):
        raise ValueError
    return cast


def bfloat16_bits(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The bfloat16 nearest to each float32, ties to even, as bits."""
    bits = values.astype(np.float32, copy=False).view(np.uint32)
    rounded = ((bits.astype(np.uint64) + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(values), np.uint16(0x7FC0), rounded)


def element_count(shape: tuple[int, ...]) -> int:
    """How many elements a shape holds. ConversionError for a negative size and for what no array can have."""
    if shape and (min(shape) < 0 or len(shape) > _MOST_DIMENSIONS or math.prod(filter(None, shape)) > _MOST_ELEMENTS):
        raise ConversionError(expected="the shape of an array", got=str(list(shape[:_MOST_DIMENSIONS])))
    return math.prod(shape)


def _text_array(elements: list[bytes], dtype: DType, shape: tuple[int, ...]) -> NDArray[Any]:
    array = np.empty(len(elements), dtype=object)
    if dtype is DType.BYTES:
        array[:] = elements
        return array.reshape(shape)
    for position, element in enumerate(elements):
        try:
            array[position] = element.decode()
        except UnicodeDecodeError as failure:
            raise ConversionError(
                expected="UTF-8 text", got=f"byte {element[failure.start]:#04x} in element {position}"
            ) from None
    return array.reshape(shape)


def _as_bytes(element: object) -> bytes:
    if isinstance(element, bytes):
        return element
    if isinstance(element, str):
        try:
            return element.encode()
        except UnicodeEncodeError:
            raise ConversionError(expected="text that UTF-8 can write", got="a lone surrogate") from None
    raise ConversionError(expected="text or bytes", got=type(element).__name__)


def _no_datatype(dtype: DType | str) -> ConversionError:
    return ConversionError(
        f"{dtype} cannot travel in the Open Inference Protocol",
        hint="Export the model with an input of another dtype and cast inside it.",
    )


_FIELD_DTYPES = {"int_contents": np.dtype(np.int32), "uint_contents": np.dtype(np.uint32)}
_MOST_DIMENSIONS = 32
_MOST_ELEMENTS = 1 << 56
_LENGTH = Struct("<I")
_NUMPY: dict[DType, np.dtype[Any]] = {
    dtype: np.dtype(name).newbyteorder("<")
    for dtype in DType
    if isinstance(name := spelling(dtype, "numpy"), str) and dtype not in TEXT
}
_NUMPY[DType.BFLOAT16] = np.dtype("<u2")
