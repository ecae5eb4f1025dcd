"""Features in columns (Arrow record batches) and in rows (mappings) as numpy arrays, one row per element.

Columns have no trailing dimensions of size 1 and rows have no dtype, so both are fitted to what the signature says:
`[N]` and `[N, 1]` are one thing here, and a Python number is taken where the dtype can hold it exactly enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from trimtab.converting.contents import TEXT, bfloat16_bits, numpy_dtype
from trimtab.errors import ConversionError, missing_extra
from trimtab.signature.dtypes import DType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trimtab.converting.plan import Wanted


def record_batch(source: Any) -> Any:
    """A pyarrow RecordBatch of anything that has the Arrow C data interface. ConversionError for what has not."""
    try:
        import pyarrow
    except ImportError:
        raise missing_extra("pyarrow", "arrow", "converting Arrow record batches") from None
    if not hasattr(source, "__arrow_c_array__"):
        raise ConversionError(
            expected="an Arrow record batch",
            got=type(source).__name__,
            hint="Of a table, convert one batch after the other: table.to_batches().",
        )
    try:
        batch = source if isinstance(source, pyarrow.RecordBatch) else pyarrow.record_batch(source)
        batch.validate()
    except (pyarrow.ArrowException, TypeError, ValueError) as failure:
        raise ConversionError(expected="a valid Arrow record batch", got=str(failure)) from None
    return batch


def arrow_array(column: Any, *, nullable: bool) -> NDArray[Any]:
    """A column of a record batch as `[N, ...]`, without a copy where Arrow's layout is numpy's.

    Flags and text are copied. Lists must have one length. A null becomes NaN where the feature is nullable and has
    floats, and is refused otherwise.
    """
    import pyarrow
    from pyarrow import types

    kind = column.type
    if isinstance(kind, pyarrow.FixedShapeTensorType):
        _refuse_nulls(column, nullable=False)
        return array_of(column.to_numpy_ndarray())
    if isinstance(kind, pyarrow.BaseExtensionType):
        return arrow_array(column.storage, nullable=nullable)
    if types.is_dictionary(kind):
        return arrow_array(column.dictionary_decode(), nullable=nullable)
    if types.is_fixed_size_list(kind):
        _refuse_nulls(column, nullable=False)
        inner = arrow_array(column.flatten(), nullable=nullable)
        return inner.reshape(len(column), kind.list_size, *inner.shape[1:])
    if types.is_list(kind) or types.is_large_list(kind):
        _refuse_nulls(column, nullable=False)
        return _equal_lists(column, nullable=nullable)
    if str(kind) in _TEXT_TYPES:
        _refuse_nulls(column, nullable=False)
        return _objects(column.to_pylist())
    if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
        raise ConversionError(expected="a column of numbers, flags, text or lists of them", got=f"Arrow {kind}")
    _refuse_nulls(column, nullable=nullable and types.is_floating(kind))
    return array_of(column.to_numpy(zero_copy_only=False))


_TEXT_TYPES = {"string", "large_string", "string_view", "binary", "large_binary", "binary_view"}


def row_names(rows: Sequence[Mapping[str, Any]]) -> dict[str, None]:
    """Every name that any row has, in order. ConversionError for a row that is no mapping."""
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise ConversionError(
                expected="a mapping of names to values in every row", got=f"{type(row).__name__} in row {number}"
            )
    return dict.fromkeys(name for row in rows for name in row)


def rows_array(rows: Sequence[Mapping[str, Any]], name: str, wanted: Wanted) -> NDArray[Any]:
    """One feature of all rows as `[N, ...]` of the signature's dtype.

    Raises ConversionError for a row that lacks it (unless the signature states a default), for rows of different
    shapes, and for values that the dtype does not hold: text for numbers, 1.5 for integers, 300 for int8.
    """
    values = [_row_value(row, number, name, wanted) for number, row in enumerate(rows)]
    if wanted.dtype in TEXT or (wanted.dtype is None and _is_text(values)):
        return _nested_objects(values)
    array = array_of(values)
    if array.dtype.kind == "f" and wanted.dtype in _INTEGERS:
        array = np.array(values, dtype=object)  # numpy makes floats of integers on both sides of 2**63
    return array if wanted.dtype is None else _cast(array, wanted.dtype)


def array_of(values: Any) -> NDArray[Any]:
    """What numpy makes of values. ConversionError where that is no array."""
    try:
        array: NDArray[Any] = np.asarray(values)
    except (ValueError, OverflowError):
        raise ConversionError(expected="values of one shape in all rows", got="several shapes") from None
    return array


def fit(array: NDArray[Any], wanted: Wanted) -> NDArray[Any]:
    """The array with trailing dimensions of size 1 added or taken away until its rank is the signature's."""
    if wanted.shape is None or array.ndim == len(wanted.shape):
        return array
    rank = len(wanted.shape)
    if array.ndim < rank and all(dim == 1 or isinstance(dim, str | None) for dim in wanted.shape[array.ndim :]):
        return array.reshape(array.shape + (1,) * (rank - array.ndim))
    if array.ndim > rank and array.shape[rank:] == (1,) * (array.ndim - rank):
        return array.reshape(array.shape[:rank])
    return array


def _row_value(row: Mapping[str, Any], number: int, name: str, wanted: Wanted) -> Any:
    value = row.get(name, _ABSENT)
    if value is _ABSENT:
        if wanted.default is None:
            raise ConversionError(expected="a value in every row", got=f"none in row {number}")
        return wanted.input.default and wanted.input.default.to_python()
    if value is None:
        if wanted.input.nullable and wanted.dtype in _FLOATS:
            return float("nan")
        raise _null(nullable=wanted.input.nullable, place=f" in row {number}")
    return value


_ABSENT = object()
_INTEGERS = (
    *(DType.INT8, DType.INT16, DType.INT32, DType.INT64),
    *(DType.UINT8, DType.UINT16, DType.UINT32, DType.UINT64),
)
_FLOATS = (DType.FLOAT16, DType.BFLOAT16, DType.FLOAT32, DType.FLOAT64)


def _cast(array: NDArray[Any], dtype: DType) -> NDArray[Any]:
    """An array of Python values in the dtype of the signature, or ConversionError where that would change a value."""
    target = np.dtype(np.float32) if dtype is DType.BFLOAT16 else numpy_dtype(dtype)
    kind = "i" if array.dtype.kind == "O" and all(type(each) is int for each in array.flat) else array.dtype.kind
    if target is None or (array.size and kind not in _ALLOWED_KINDS.get(target.kind, "")):
        raise ConversionError(expected=f"values of {dtype}", got=f"values of {_kind_text(array)}")
    with np.errstate(all="ignore"):
        if target.kind in "iu":
            limits = np.iinfo(target.name)
            held = (array >= limits.min) & (array <= limits.max)
        elif kind in "iu":
            held = array.astype(target).astype(array.dtype) == array
        else:
            held = np.isfinite(array.astype(target)) | ~np.isfinite(array)
        held = np.asarray(held, bool)
        if not held.all():
            raise ConversionError(expected=f"values that {dtype} holds", got=str(array[~held].flat[0])[:40])
        cast = array.astype(target)
    return bfloat16_bits(cast) if dtype is DType.BFLOAT16 else cast


def _kind_text(array: NDArray[Any]) -> str:
    if array.dtype.kind != "O":
        return str(array.dtype.name)
    return " and ".join(sorted({type(each).__name__ for each in array.flat})[:3])


_ALLOWED_KINDS = {"b": "b", "i": "iu", "u": "iu", "f": "iuf", "c": "iufc"}


def _equal_lists(column: Any, *, nullable: bool) -> NDArray[Any]:
    offsets = column.offsets.to_numpy()
    lengths = np.diff(offsets)
    if lengths.size and int(lengths.min()) != int(lengths.max()):
        raise ConversionError(
            expected="lists of one length",
            got=f"lists of {lengths.min()} to {lengths.max()} elements",
            hint="Pad them to one length, as the model was trained.",
        )
    length = int(lengths[0]) if lengths.size else 0
    inner = arrow_array(column.values[int(offsets[0]) : int(offsets[-1])], nullable=nullable)
    return inner.reshape(len(column), length, *inner.shape[1:])


def _refuse_nulls(column: Any, *, nullable: bool) -> None:
    if column.null_count and not nullable:
        raise _null(nullable=nullable)


def _null(*, nullable: bool, place: str = "") -> ConversionError:
    if nullable:
        return ConversionError(
            expected="a value", got=f"null{place}", hint="Only floating-point tensors can hold a null, as NaN."
        )
    return ConversionError(expected="no null, for the feature is not nullable", got=f"null{place}")


def _is_text(values: list[Any]) -> bool:
    first: Any = values
    while isinstance(first, list | tuple) and first:
        first = first[0]
    return isinstance(first, str | bytes)


def _nested_objects(values: list[Any]) -> NDArray[Any]:
    return np.array([value.tolist() if isinstance(value, np.ndarray) else value for value in values], dtype=object)


def _objects(values: list[Any]) -> NDArray[Any]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
