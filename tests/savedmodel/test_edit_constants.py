"""Values that inputs are bound to: what is asked for arrives bit for bit, and what does not fit is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from trimtab.errors import ArtifactError
from trimtab.savedmodel.dtypes import dtype_code
from trimtab.savedmodel.editing.constants import constant, zeros
from trimtab.savedmodel.messages import classes

DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
DTYPES += ["float16", "float32", "float64", "complex64", "complex128"]


def code(name: str) -> int:
    found = dtype_code(name)
    assert found is not None
    return found


def array(data: bytes, name: str) -> Any:
    """The array of a TensorProto, as TensorFlow reads it."""
    tensor = classes()["TensorProto"].FromString(data)
    assert tensor.dtype == code(name)
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if name == "string":
        return np.array(list(tensor.string_val), object).reshape(shape)
    if name == "bool":
        return np.array(list(tensor.bool_val), bool).reshape(shape)
    return np.frombuffer(tensor.tensor_content, name).reshape(shape)


@settings(max_examples=200)
@given(
    st.sampled_from(DTYPES).flatmap(lambda name: arrays_of.arrays(name, arrays_of.array_shapes(min_dims=0, max_dims=3)))
)
def test_an_array_arrives_bit_for_bit(value: Any) -> None:
    """Given as an array or as nested lists of Python's numbers."""
    name = str(value.dtype)
    for given_as in (value, value.tolist()):
        made = array(constant(given_as, code(name), (None,) * value.ndim, "here"), name)
        assert made.shape == value.shape
        assert made.tobytes() == value.tobytes() or np.array_equal(made, value, equal_nan=value.dtype.kind in "fc")


@settings(max_examples=200)
@given(st.floats(width=32))
def test_bfloat16_is_rounded_to_even(value: float) -> None:
    data = classes()["TensorProto"].FromString(constant(value, code("bfloat16"), (), "here")).tensor_content
    (made,) = np.frombuffer(b"\0\0" + data, np.float32)
    if math.isnan(value) or math.isinf(value):
        assert str(float(made)) == str(value).replace("-nan", "nan") or math.isnan(made)
        return
    bits = int(np.float32(value).view(np.uint32))
    around = [np.uint32((bits >> 16) + more << 16 & 0xFFFFFFFF).view(np.float32) for more in (0, 1)]
    assert made in around
    nearest = min(abs(float(each) - value) for each in around if not math.isinf(each))
    assert math.isinf(made) or abs(float(made) - value) == nearest


def test_texts_and_numbers_of_other_kinds() -> None:
    assert array(constant([["a", b"\xff"]], code("string"), (None, 2), "here"), "string").tolist() == [[b"a", b"\xff"]]
    assert array(constant(np.array(["é"]), code("string"), (1,), "here"), "string").tolist() == ["é".encode()]
    assert array(constant([1, 2], code("float32"), (2,), "here"), "float32").tolist() == [1.0, 2.0]
    assert array(constant(3, code("complex64"), (), "here"), "complex64").tolist() == 3 + 0j
    assert array(constant([], code("float32"), (None, 3), "here"), "float32").shape == (0, 3)
    assert array(constant([1, 2], code("int8"), None, "here"), "int8").shape == (2,)


MISFITS = [
    (1.5, "int32", ()),
    (True, "int32", ()),
    (1, "bool", ()),
    (300, "uint8", ()),
    (-1, "uint64", ()),
    (1 << 63, "int64", ()),
    (1e40, "float32", ()),
    (1j, "float32", ()),
    ("1", "float32", ()),
    (1, "string", ()),
    ("\ud800", "string", ()),
    (None, "float32", ()),
    ({"a": 1}, "float32", ()),
    ([1, [2]], "int32", (None,)),
    ([[1], 2], "int32", (None, None)),
    ([1, 2], "int32", (3,)),
    ([1, 2], "int32", ()),
    (1, "int32", (None,)),
    (np.float64(1), "float32", ()),
    (np.array([1, 2], np.int32), "int64", (2,)),
    (1, "resource", ()),
    (1, "qint8", ()),
]


@pytest.mark.parametrize(("value", "name", "shape"), MISFITS)
def test_what_does_not_fit_is_refused(value: Any, name: str, shape: tuple[int | None, ...]) -> None:
    with pytest.raises(ArtifactError, match="here: expected"):
        constant(value, code(name), shape, "here")


def test_lists_nested_without_end_are_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ArtifactError, match="nested at most"):
        constant(endless, code("int32"), None, "here")


@pytest.mark.parametrize("name", [*DTYPES, "string", "bfloat16"])
@pytest.mark.parametrize("shape", [None, (), (None, 3), (0, 2)])
def test_zeros_of_every_dtype(name: str, shape: Any) -> None:
    """TensorFlow itself reads them as zeros; a size that is unknown is 1."""
    tf = pytest.importorskip("tensorflow")
    from tensorflow.core.framework.tensor_pb2 import TensorProto

    made = tf.make_ndarray(TensorProto.FromString(zeros(code(name), shape)))
    assert made.shape == tuple(1 if size is None else size for size in shape or ())
    assert not any(made.ravel().tolist())
