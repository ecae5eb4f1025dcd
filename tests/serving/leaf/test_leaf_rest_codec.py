"""REST bodies mean the same requests as gRPC payloads, and no body raises anything but our error."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.converting.contents import read_raw
from trimtab.errors import ConversionError
from trimtab.protocols import oip
from trimtab.serving.leaf.rest_codec import decode_body, infer_payload
from trimtab.signature.dtypes import dtype_of

NUMBERS = {
    "BOOL": st.booleans(),
    "INT8": st.integers(-128, 127),
    "INT64": st.integers(-(2**63), 2**63 - 1),
    "UINT64": st.integers(0, 2**64 - 1),
    "FP16": st.floats(width=16, allow_nan=False, allow_infinity=False),
    "FP32": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "FP64": st.floats(allow_nan=False, allow_infinity=False),
    "BYTES": st.text(max_size=6),
}


def request_of(body: bytes, header_length: int | None = None, needed: frozenset[str] = frozenset({"x"})):
    parsed, binary = decode_body(body, header_length)
    return oip.ModelInferRequest.FromString(infer_payload(parsed, binary, "m", "1", needed))


def json_body(datatype: str, data: object, shape: list[int], **more: object) -> bytes:
    return json.dumps({"inputs": [{"name": "x", "datatype": datatype, "shape": shape, "data": data}], **more}).encode()


@pytest.mark.parametrize("datatype", NUMBERS)
@given(data=st.data())
@settings(max_examples=50)
def test_json_data_becomes_the_same_elements_flat_or_nested(datatype: str, data: st.DataObject) -> None:
    rows, columns = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    values = data.draw(st.lists(NUMBERS[datatype], min_size=rows * columns, max_size=rows * columns))
    nested = [values[row * columns : (row + 1) * columns] for row in range(rows)]
    raw = [bytes(request_of(json_body(datatype, it, [rows, columns])).raw_input_contents[0]) for it in (values, nested)]
    assert raw[0] == raw[1]
    array = read_raw(dtype_of("oip", datatype), (rows, columns), raw[0])
    assert array.ravel().tolist() == values


@pytest.mark.parametrize(
    ("datatype", "data", "shape", "text"),
    [
        ("INT64", [1.5], [1], "int64"),
        ("INT8", [300], [1], "300"),
        ("UINT8", [-1], [1], "-1"),
        ("INT64", [2**64], [1], "int64"),
        ("INT64", [True], [1], "bool"),
        ("BOOL", [1], [1], "bool"),
        ("FP32", ["1"], [1], "float32"),
        ("FP32", [None], [1], "float32"),
        ("FP32", [[1, 2], [3]], [3], "float32"),
        ("FP32", [1, 2], [3], "3 elements"),
        ("FP32", [1], [-1], "shape"),
        ("FP32", [1], [2**70], "shape"),
        ("FP32", None, [1], "neither"),
        ("FP32", {"a": 1}, [1], "float32"),
        ("BYTES", [1], [1], "strings"),
        ("BYTES", [["a"], ["b", "c"]], [3], "elements"),
        ("BF16", [1], [1], "BF16"),
        ("FP32", [1e39], [1], "float32 can hold"),
        ("FP16", [-70000], [1], "float16 can hold"),
        ("FP23", [1], [1], "FP23"),
    ],
)
def test_data_that_does_not_fit_is_refused_and_never_rounded(
    datatype: str, data: object, shape: list[int], text: str
) -> None:
    with pytest.raises(ConversionError, match=text):
        request_of(json_body(datatype, data, shape))


def test_binary_contents_follow_the_json_in_the_order_of_the_inputs() -> None:
    sizes = {"a": 8, "x": 12, "y": 4}
    inputs = [
        {"name": name, "datatype": "FP32", "shape": [size // 4], "parameters": {"binary_data_size": size}}
        for name, size in sizes.items()
    ]
    header = json.dumps({"inputs": inputs}).encode()
    blobs = b"".join(name.encode() * size for name, size in sizes.items())
    request = request_of(header + blobs, len(header))
    assert [tensor.name for tensor in request.inputs] == ["a", "x", "y"]
    assert list(request.raw_input_contents) == [b"", b"x" * 12, b""]
    for cut in (header + blobs[:-1], header + blobs + b"!"):
        with pytest.raises(ConversionError):
            request_of(cut, len(header))


def test_data_of_inputs_that_are_not_needed_is_not_even_looked_at() -> None:
    surplus = {"name": "surplus", "datatype": "NONSENSE", "shape": [9], "data": [[], {}]}
    wanted = {"name": "x", "datatype": "INT32", "shape": [1], "data": [7]}
    request = request_of(json.dumps({"inputs": [surplus, wanted]}).encode())
    assert [tensor.name for tensor in request.inputs] == ["surplus", "x"]
    assert np.frombuffer(request.raw_input_contents[1], np.int32).tolist() == [7]


def test_parameters_go_along() -> None:
    tensor = {"name": "x", "datatype": "INT32", "shape": [1], "data": [7], "parameters": {"broadcast": True}}
    body = {"id": "q", "inputs": [tensor], "parameters": {"n": 3, "s": "t", "f": 0.5, "binary_data_output": True}}
    request = request_of(json.dumps(body).encode())
    assert request.id == "q"
    assert request.inputs[0].parameters["broadcast"].bool_param is True
    assert {key: value.WhichOneof("parameter_choice") for key, value in request.parameters.items()} == {
        "n": "int64_param",
        "s": "string_param",
        "f": "double_param",
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
BODIES = st.fixed_dictionaries(
    {
        "inputs": st.lists(
            st.fixed_dictionaries(
                {"name": st.sampled_from(["x", "y"])},
                optional={
                    "shape": st.lists(st.integers(-1, 2**65), max_size=2),
                    "datatype": st.sampled_from([*NUMBERS, "BF16", ""]),
                    "data": JSON,
                    "parameters": st.dictionaries(st.sampled_from(["binary_data_size", "p"]), JSON, max_size=2),
                },
            ),
            max_size=3,
        )
    },
    optional={"id": JSON, "parameters": JSON, "outputs": JSON},
)


@settings(max_examples=400)
@given(BODIES, st.binary(max_size=12), st.booleans())
def test_any_body_gives_a_request_or_our_error(body: dict[str, object], tail: bytes, binary: bool) -> None:
    text = json.dumps(body).encode()
    with contextlib.suppress(ConversionError):
        request_of(text + tail, len(text) if binary else None)


@given(st.binary(max_size=60), st.one_of(st.none(), st.integers(-1, 99)))
def test_any_bytes_give_a_request_or_our_error(body: bytes, header_length: int | None) -> None:
    with contextlib.suppress(ConversionError):
        decode_body(body, header_length)


def test_deep_nesting_is_refused() -> None:
    deep = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}]}"
    with pytest.raises(ConversionError):
        request_of(deep)
