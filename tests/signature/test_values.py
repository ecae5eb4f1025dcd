"""Types, constants, paths, dtypes, and what people see of them."""

from __future__ import annotations

import math

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._export.serde.schema import ScalarType

from signature_strategies import names, python_constants, signatures, types
from trimtab.errors import SignatureError, TrimtabError
from trimtab.signature.dtypes import DType, dtype_of, spelling
from trimtab.signature.model import EntryPoint, Input, Overload, Signature
from trimtab.signature.path import Field, Key, format_path, parse_path
from trimtab.signature.render import printable
from trimtab.signature.types import Literal, Tensor


def same(left: object, right: object) -> bool:
    """Equality that knows NaN and does not take True for 1."""
    if isinstance(left, tuple) and isinstance(right, tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    return type(left) is type(right) and (left == right or repr(left) == repr(right))


@given(python_constants)
def test_constants_survive_json(value: object) -> None:
    assert same(Literal.from_python(value).to_python(), value)


def test_a_constant_that_json_cannot_say_is_refused() -> None:
    with pytest.raises(SignatureError, match="got object"):
        Literal.from_python(object())


@given(types)
def test_types_are_hashable_and_print(value: object) -> None:
    assert isinstance(hash(value), int)
    assert str(value) or value.name == ""


steps = st.lists(
    st.builds(Key, names | st.integers(0, 99)) | st.builds(Field, st.from_regex(r"[a-z_]\w*", fullmatch=True)),
    max_size=4,
)


@given(st.from_regex(r"[^\W\d][\w]*|", fullmatch=True), steps)
def test_paths_round_trip(root: str, path: list[Key | Field]) -> None:
    assert parse_path(format_path(root, path)) == (root, tuple(path))


@pytest.mark.parametrize("text", ["a[", "a[b]", 'a["', "a..b", "a b", 'a["\\x"]', "a[-1]"])
def test_other_text_is_no_path(text: str) -> None:
    with pytest.raises(SignatureError, match="path"):
        parse_path(text)


def test_the_dtype_table_agrees_with_onnx() -> None:
    for name, number in onnx.TensorProto.DataType.items():
        dtype = dtype_of("onnx", number)
        if name in ("UNDEFINED",):
            assert dtype is None
            continue
        assert dtype is not None, name
        assert spelling(dtype, "onnx") == number
        if dtype.itemsize and spelling(dtype, "numpy"):
            assert onnx.helper.tensor_dtype_to_np_dtype(number) == np.dtype(spelling(dtype, "numpy"))


def test_the_dtype_table_agrees_with_torch() -> None:
    for dtype in DType:
        if name := spelling(dtype, "torch"):
            assert getattr(torch, name).itemsize == dtype.itemsize
            assert dtype_of("torch", str(getattr(torch, name))) is dtype
    known = {member.value for member in ScalarType} - {0}
    assert known == {number for dtype in DType if (number := spelling(dtype, "torch_export"))}
    assert dtype_of("torch_export", ScalarType.LONG.value) is DType.INT64
    assert dtype_of("torch_export", ScalarType.BFLOAT16.value) is DType.BFLOAT16


@pytest.mark.parametrize(("dtype", "oip"), [(DType.FLOAT32, "FP32"), (DType.BYTES, "BYTES"), (DType.STRING, "BYTES")])
def test_oip_spellings(dtype: DType, oip: str) -> None:
    assert spelling(dtype, "oip") == oip
    assert dtype_of("oip", "BYTES") is DType.STRING


@given(signatures())
def test_what_is_shown_never_drives_a_terminal(signature: Signature) -> None:
    assert all(line.isprintable() for line in str(signature).split("\n"))
    assert "<script" not in signature._repr_html_()


def test_escapes_are_shown_as_escapes() -> None:
    assert printable("a\x00\x1b[31m\u202e") == "a\\x00\\x1b[31m\\u202e"


@pytest.mark.parametrize(
    ("entry_points", "default", "says"),
    [
        ((), "f", "at least one entry point"),
        ((EntryPoint(name="f", overloads=(Overload(),)),), "g", "one of 'f'"),
        ((EntryPoint(name="f", overloads=()),), "f", "at least one overload"),
        ((EntryPoint(name="f", overloads=(Overload(),)),) * 2, "f", "each name once"),
    ],
)
def test_an_impossible_signature_is_refused(entry_points: tuple, default: str, says: str) -> None:
    with pytest.raises(SignatureError, match=says):
        Signature(entry_points=entry_points, default_entry_point=default)


def test_an_unknown_entry_point_is_named_with_the_known_ones() -> None:
    overload = Overload(inputs=(Input(name="x", type=Tensor()),))
    signature = Signature(
        entry_points=(EntryPoint(name="forward", overloads=(overload,)),), default_entry_point="forward"
    )
    with pytest.raises(SignatureError, match="expected one of 'forward', got 'predict'"):
        signature.entry_point("predict")


@pytest.mark.parametrize("of", ["float", "complex", "bytes"])
def test_a_constant_that_is_none_of_its_kind_is_shown_as_it_stands(of: str) -> None:
    assert str(Literal("né", of=of)) == f"= {of} 'né'"


def test_an_error_keeps_its_facts_when_its_place_grows() -> None:
    inner = SignatureError(where="inputs.age", expected="float32", got="int64", hint="Cast it.")
    outer = inner.within("model.pt")
    assert isinstance(outer, TrimtabError)
    assert str(outer) == "model.pt: inputs.age: expected float32, got int64.\n  Cast it."
    assert outer.as_dict() == {
        "kind": "SignatureError",
        "where": "model.pt: inputs.age",
        "expected": "float32",
        "got": "int64",
        "hint": "Cast it.",
    }
