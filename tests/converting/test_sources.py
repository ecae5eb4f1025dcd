"""One meaning, whatever carries the features: request bytes, Arrow, rows, arrays."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from requests_strategy import cases, requests, same, same_array, signature_of

from trimtab.converting.converter import FeatureConverter
from trimtab.errors import ConversionError
from trimtab.signature.dtypes import DType
from trimtab.signature.model import Input, Presence
from trimtab.signature.types import Literal, Tensor

ARROW_DTYPES = [
    *(DType.INT8, DType.INT16, DType.INT32, DType.INT64, DType.UINT8, DType.UINT16, DType.UINT32, DType.UINT64),
    *(DType.FLOAT16, DType.FLOAT32, DType.FLOAT64, DType.BOOL, DType.STRING, DType.BYTES),
]
ROW_SHAPES = [("batch", 1), ("batch",), ("batch", 3), ("batch", "k"), ("batch", "2*k + 1")]


def column_of(array):
    """An Arrow array of the same elements: fixed-size lists for trailing dimensions."""
    values = pa.array(array.ravel().tolist(), type=arrow_type(array))
    for size in reversed(array.shape[1:]):
        values = pa.FixedSizeListArray.from_arrays(values, size)
    return values


def arrow_type(array):
    if array.dtype.kind == "O":
        return pa.binary() if any(isinstance(item, bytes) for item in array.ravel()) else pa.string()
    return pa.from_numpy_dtype(array.dtype)


def rows_of(arrays):
    count = len(next(iter(arrays.values())))
    columns = {name: array.tolist() for name, array in arrays.items()}
    return [{name: column[row] for name, column in columns.items()} for row in range(count)]


@settings(max_examples=300)
@given(st.data())
def test_all_sources_give_the_same_arrays(data):
    signature, arrays = data.draw(cases(dtypes=ARROW_DTYPES, shapes=ROW_SHAPES))
    converter = FeatureConverter(signature)
    expected = None
    if arrays:
        arrays = {name: finite(array) for name, array in arrays.items()}
        expected = converter.from_request(data.draw(requests(signature, arrays))).arrays
        sized = all(0 not in array.shape for array in arrays.values())
        if sized:  # Arrow and rows cannot say a trailing size of 0 without an element
            batch = pa.record_batch({name: column_of(array) for name, array in arrays.items()})
            assert same(converter.from_arrow(batch).arrays, expected)
            assert same(converter.from_rows(rows_of(arrays)).arrays, expected)
        assert same(converter.from_columns(arrays).arrays, expected)


def finite(array):
    """NaN payloads do not survive Python floats; everything else does."""
    return np.where(np.isnan(array), array.dtype.type(1), array) if array.dtype.kind == "f" else array


def one_input(dtype, shape, **facts):
    return FeatureConverter(signature_of([Input(name="x", type=Tensor(dtype, shape), **facts)]))


@pytest.mark.parametrize(
    ("column", "dtype", "shape", "expected"),
    [
        (pa.array([1.0, 2.0], pa.float32()), DType.FLOAT32, ("n", 1), [[1.0], [2.0]]),
        (pa.array([1.0, 2.0], pa.float32()), DType.FLOAT32, ("n",), [1.0, 2.0]),
        (pa.array([1.0, 2.0], pa.float32()), DType.FLOAT32, None, [1.0, 2.0]),
        (pa.array([7], pa.int64()), DType.INT64, (), 7),
        (pa.array([[1], [2]], pa.list_(pa.int64(), 1)), DType.INT64, ("n",), [1, 2]),
        (pa.array([[1, 2], [3, 4]], pa.list_(pa.int64())), DType.INT64, ("n", 2), [[1, 2], [3, 4]]),
        (pa.array([[9], [1, 2], [3, 4]], pa.list_(pa.int64()))[1:], DType.INT64, ("n", 2), [[1, 2], [3, 4]]),
        (pa.array([[9, 9], [1, 2]], pa.list_(pa.int64(), 2))[1:], DType.INT64, ("n", 2), [[1, 2]]),
        (
            pa.array([[[1, 2]], [[3, 4]]], pa.large_list(pa.list_(pa.int8(), 2))),
            DType.INT8,
            ("n", 1, 2),
            [[[1, 2]], [[3, 4]]],
        ),
        (pa.array([True, False, True])[1:], DType.BOOL, ("n", 1), [[False], [True]]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), DType.STRING, ("n",), ["a", "b", "a"]),
        (pa.array(["ä"]), DType.BYTES, ("n",), ["ä".encode()]),
        (pa.array([b"a"], pa.large_binary()), DType.STRING, ("n",), ["a"]),
    ],
)
def test_arrow_layouts(column, dtype, shape, expected):
    array = one_input(dtype, shape).from_arrow(pa.record_batch({"x": column})).arrays["x"]
    assert array.tolist() == expected


def test_arrow_tensor_extension():
    storage = pa.array([[1, 2, 3, 4]], pa.list_(pa.float32(), 4))
    column = pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.float32(), (2, 2)), storage)
    array = one_input(DType.FLOAT32, ("n", 2, 2)).from_arrow(pa.record_batch({"x": column})).arrays["x"]
    assert array.tolist() == [[[1, 2], [3, 4]]]


def test_arrow_numbers_are_not_copied():
    column = pa.array(np.arange(6, dtype=np.int64))
    fixed = pa.FixedSizeListArray.from_arrays(column, 2)
    for source, shape in ((column, ("n", 1)), (fixed, ("n", 2))):
        array = one_input(DType.INT64, shape).from_arrow(pa.record_batch({"x": source})).arrays["x"]
        assert array.ctypes.data == column.buffers()[1].address


class Exporter:
    """A foreign data frame: all it has is the Arrow C data interface."""

    def __init__(self, batch):
        self.batch = batch

    def __arrow_c_array__(self, requested_schema=None):
        return self.batch.__arrow_c_array__(requested_schema)


def test_anything_with_the_arrow_interface_is_a_record_batch():
    batch = pa.record_batch({"x": pa.array([1, 2]), "unneeded": pa.array([None, {"a": 1}])})
    assert one_input(DType.INT64, ("n",)).from_arrow(Exporter(batch)).arrays["x"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (pa.record_batch({"x": pa.array([1, None])}), "expected no null"),
        (pa.record_batch({"x": pa.array([1.0])}), r"expected int64 \[n\], got float64 \[1\]"),
        (pa.record_batch({"x": pa.array([[1], [2, 3]])}), "lists of one length, got lists of 1 to 2 elements"),
        (pa.record_batch({"x": pa.array([{"a": 1}])}), "got Arrow struct"),
        (pa.record_batch([pa.array([1]), pa.array([1])], names=["x", "x"]), 'several, as "x"'),
        (pa.table({"x": [1]}), "table.to_batches"),
        ({"x": [1]}, "expected an Arrow record batch, got dict"),
        (pa.array([1]), "expected a valid Arrow record batch"),
    ],
)
def test_arrow_refusals(source, text):
    with pytest.raises(ConversionError, match=text):
        one_input(DType.INT64, ("n",)).from_arrow(source)


def test_nulls_of_nullable_floats_are_nan():
    batch = pa.record_batch({"x": pa.array([1.0, None], pa.float32())})
    converter = one_input(DType.FLOAT32, ("n",), nullable=True)
    for converted in (converter.from_arrow(batch), converter.from_rows([{"x": 1.0}, {"x": None}])):
        assert converted.arrays["x"].dtype == np.float32
        assert np.isnan(converted.arrays["x"]).tolist() == [False, True]
    with pytest.raises(ConversionError, match="Only floating-point tensors can hold a null"):
        one_input(DType.INT64, ("n",), nullable=True).from_rows([{"x": None}])


@pytest.mark.parametrize(
    ("dtype", "value", "held"),
    [
        (DType.FLOAT32, 1, True),
        (DType.FLOAT32, 2**24 + 1, False),
        (DType.FLOAT32, 1e300, False),
        (DType.FLOAT32, float("inf"), True),
        (DType.FLOAT32, True, False),
        (DType.FLOAT64, "1", False),
        (DType.INT64, 2**63 - 1, True),
        (DType.INT64, 2**63, False),
        (DType.INT64, 2**70, False),
        (DType.INT64, [2**64, -1], False),
        (DType.FLOAT64, 2**70, True),
        (DType.FLOAT64, 2**70 + 1, False),
        (DType.INT64, 1.0, False),
        (DType.INT8, 300, False),
        (DType.UINT64, 2**64 - 1, True),
        (DType.UINT64, -1, False),
        (DType.BOOL, True, True),
        (DType.BOOL, 1, False),
        (DType.STRING, "a", True),
        (DType.STRING, b"\xff", False),
        (DType.STRING, 1, False),
        (DType.STRING, "\ud800", False),
        (DType.BYTES, b"\xff", True),
        (DType.FLOAT32, [1.0, 2.0], False),
        (DType.FLOAT32, {"a": 1}, False),
        (DType.FLOAT32, np.float32(0.1), True),
        (DType.FLOAT32, np.array([0.5]), True),
    ],
)
def test_values_of_rows(dtype, value, held):
    converter = one_input(dtype, ("n", 1))
    if held:
        assert converter.from_rows([{"x": value}]).arrays["x"].tolist() == [
            [np.asarray(value).ravel().tolist()[0]]
        ] or (dtype is DType.FLOAT32)
    else:
        with pytest.raises(ConversionError, match='input "x"'):
            converter.from_rows([{"x": value}])


def test_rows_of_different_shapes_are_refused():
    with pytest.raises(ConversionError, match="one shape in all rows"):
        one_input(DType.FLOAT32, ("n", 2)).from_rows([{"x": [1, 2]}, {"x": [1]}])


def test_a_row_without_a_feature_takes_the_stated_default():
    rows = [{"x": 2.0}, {}]
    converter = one_input(DType.FLOAT32, ("n",), presence=Presence.DEFAULT, default=Literal(0.5))
    assert converter.from_rows(rows).arrays["x"].tolist() == [2.0, 0.5]
    with pytest.raises(ConversionError, match="a value in every row, got none in row 1"):
        one_input(DType.FLOAT32, ("n",)).from_rows(rows)


def test_bfloat16_rows_are_rounded_like_torch():
    values = [0.0, -0.0, 1.0, 1.00390625, 1.01171875, 3.4e38, float("inf"), -2.5e-40, float("nan")]
    converter = one_input(DType.BFLOAT16, ("n",))
    converted = converter.from_rows([{"x": value} for value in values])
    expected = torch.tensor(values, dtype=torch.float32).to(torch.bfloat16)
    tensor = converter.to_torch(converted)["x"]
    assert tensor.dtype is torch.bfloat16
    assert torch.equal(tensor.nan_to_num(7), expected.nan_to_num(7))
    assert same_array(converter.from_columns({"x": converted.arrays["x"]}).arrays["x"], converted.arrays["x"])


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.array([1, 2], ">i8"), None),
        (np.array([1, 2], "i4"), r"expected int64 \[n\], got int32 \[2\]"),
        (np.array(["a"]), r"got bytes \[1\]"),
        (np.array(["2020-01-01"], "M8[D]"), r"got datetime64\[D\] \[1\]"),
        (np.array([object()]), "expected text or bytes, got object"),
    ],
)
def test_columns(array, text):
    converter = one_input(DType.INT64, ("n",))
    if text is None:
        converted = converter.from_columns({"x": array}).arrays["x"]
        assert converted.dtype.isnative
        assert converted.tolist() == array.tolist()
    else:
        with pytest.raises(ConversionError, match=text):
            converter.from_columns({"x": array})


@pytest.mark.parametrize("rows", [[{"x": 1}, 2], [None], [[("x", 1)]]])
def test_rows_that_are_no_mappings(rows):
    with pytest.raises(ConversionError, match="a mapping of names to values in every row"):
        one_input(DType.INT64, ("n",)).from_rows(rows)


def test_columns_that_are_no_arrays():
    with pytest.raises(ConversionError, match='input "x": expected values of one shape'):
        one_input(DType.INT64, ("n",)).from_columns({"x": [[1], [1, 2]]})
