"""Requests to arrays: equal to the obvious slow version on every payload, and to what was put in."""

from __future__ import annotations

import numpy as np
import pytest
import slow_converter
from hypothesis import given, settings
from hypothesis import strategies as st
from requests_strategy import SHAPES, add_tensor, cases, requests, same, signature_of

from trimtab.converting.converter import FeatureConverter
from trimtab.converting.requests import BROADCAST_PARAMETER
from trimtab.errors import ConversionError
from trimtab.protocols import oip
from trimtab.signature.dtypes import DType
from trimtab.signature.model import Input
from trimtab.signature.types import Tensor


@settings(max_examples=300)
@given(st.data())
def test_what_was_sent_comes_back(data):
    signature, arrays = data.draw(cases())
    payload = data.draw(requests(signature, arrays))
    converted = FeatureConverter(signature).from_request(payload)
    assert same({name: converted.arrays[name] for name in arrays}, arrays)
    assert same(converted.arrays, slow_converter.convert(signature, payload))
    assert converted.request.model_name == "ctr"
    assert converted.request.model_version == "7"


@settings(max_examples=500)
@given(st.data())
def test_mutated_requests_equal_the_slow_version_or_are_refused(data):
    signature, arrays = data.draw(cases())
    payload = bytearray(data.draw(requests(signature, arrays, once=data.draw(st.sets(st.sampled_from([*arrays, ""]))))))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(payload)))
        payload[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    assert_fast_equals_slow(signature, bytes(payload))


@settings(max_examples=200)
@given(cases(), st.binary(max_size=60))
def test_arbitrary_bytes_are_refused_or_equal(case, payload):
    assert_fast_equals_slow(case[0], payload)


def assert_fast_equals_slow(signature, payload):
    try:
        fast = FeatureConverter(signature).from_request(payload).arrays
    except ConversionError:
        fast = None
    try:
        slow = slow_converter.convert(signature, payload)
    except slow_converter.UnparsedError:
        return  # an input that nobody asked for may be malformed inside: the converter does not look there
    except slow_converter.RefusedError:
        slow = None
    if fast is not None:
        assert slow is not None
        assert same(fast, slow)


@settings(max_examples=200)
@given(st.data())
def test_request_level_features_travel_once(data):
    shapes = [shape for shape in SHAPES if shape[0] is not None]
    signature, arrays = data.draw(cases(shapes=shapes, optional=False))
    once = data.draw(st.sets(st.sampled_from(sorted(arrays))))
    repeated = {name: np.repeat(each[:1], len(each), axis=0) if name in once else each for name, each in arrays.items()}
    if len(once) == len(arrays):
        repeated = {name: each[:1] for name, each in arrays.items()}
    payload = data.draw(requests(signature, arrays, once=once))
    assert same(FeatureConverter(signature).from_request(payload).arrays, repeated)
    columns = {name: each[:1] if name in once else each for name, each in arrays.items()}
    assert same(FeatureConverter(signature).from_columns(columns, broadcast=once).arrays, repeated)


def test_a_request_level_feature_is_not_copied():
    signature = signature_of(Input(name=name, type=Tensor(DType.FLOAT32, ("n", 2))) for name in ("item", "user"))
    request = oip.ModelInferRequest()
    add_tensor(request, "item", np.ones((5, 2), "<f4"), DType.FLOAT32, raw=True)
    add_tensor(request, "user", np.ones((1, 2), "<f4"), DType.FLOAT32, raw=True, once=True)
    converted = FeatureConverter(signature).from_request(request.SerializeToString())
    assert converted.arrays["user"].strides == (0, 4)
    assert converted.batch == 5
    assert converted.dimensions == {"n": 5}


@pytest.mark.parametrize(
    ("shape", "item_shape", "user_shape"),
    [
        ((None, 2), (5, 2), (5, 2)),  # the artifact leaves the leading dimension open: the rows of the others
        (None, (5, 2), (5, 2)),  # not even the rank is known
        (("user_rows", 2), (5, 2), (5, 2)),  # a symbol that no other input binds
        ((1, 2), (5, 2), (1, 2)),
        ((5, 2), (5, 2), (5, 2)),
    ],
)
def test_rows_of_a_request_level_feature(shape, item_shape, user_shape):
    inputs = [Input(name="item", type=Tensor(DType.FLOAT32, ("n", 2))), Input(name="user", type=Tensor(None, shape))]
    request = oip.ModelInferRequest()
    add_tensor(request, "user", np.ones((1, 2), "<f4"), DType.FLOAT32, raw=True, once=True)
    add_tensor(request, "item", np.ones(item_shape, "<f4"), DType.FLOAT32, raw=True)
    converted = FeatureConverter(signature_of(inputs)).from_request(request.SerializeToString())
    assert converted.arrays["user"].shape == user_shape


def test_broadcast_may_stand_among_other_parameters_and_may_be_false():
    signature = signature_of(Input(name=name, type=Tensor(DType.FLOAT32, ("n", 1))) for name in ("item", "user"))
    request = oip.ModelInferRequest()
    add_tensor(request, "item", np.ones((3, 1), "<f4"), DType.FLOAT32, raw=True)
    add_tensor(request, "user", np.ones((3, 1), "<f4"), DType.FLOAT32, raw=True, once=True)
    request.inputs[1].parameters["other"].string_param = "x"
    converter = FeatureConverter(signature)
    assert converter.from_request(request.SerializeToString()).arrays["user"].shape == (3, 1)
    request.inputs[1].parameters[BROADCAST_PARAMETER].bool_param = False
    with pytest.raises(ConversionError, match="n is 3"):
        converter.from_request(request.SerializeToString())


def test_few_bytes_cannot_ask_for_any_number_of_rows():
    signature = signature_of(
        [
            Input(name="empty", type=Tensor(DType.FLOAT32, ("n", None))),
            Input(name="user", type=Tensor(DType.FLOAT32, ("n", 1))),
        ]
    )
    request = oip.ModelInferRequest()
    request.inputs.add(name="empty", datatype="FP32", shape=[2**40, 0])
    request.raw_input_contents.append(b"")
    add_tensor(request, "user", np.ones((1, 1), "<f4"), DType.FLOAT32, raw=True, once=True)
    with pytest.raises(ConversionError, match="at most 1048576 rows"):
        FeatureConverter(signature).from_request(request.SerializeToString())


def test_header():
    request = oip.ModelInferRequest(model_name="ctr", model_version="7", id="r1")
    request.parameters["priority"].int64_param = 3
    request.outputs.add(name="score").parameters["binary_data"].bool_param = True
    add_tensor(request, "age", np.ones((1, 1), "<f4"), DType.FLOAT32, raw=True)
    signature = signature_of([Input(name="age", type=Tensor(DType.FLOAT32, ("n", 1)))])
    header = FeatureConverter(signature).from_request(request.SerializeToString()).request
    assert (header.model_name, header.model_version, header.id, header.raw) == ("ctr", "7", "r1", True)
    assert header.parameters == {"priority": 3}
    assert [(output.name, output.parameters) for output in header.outputs] == [("score", {"binary_data": True})]


def test_arrays_are_views_over_the_payload():
    request = oip.ModelInferRequest()
    add_tensor(request, "ids", np.arange(100).reshape(50, 2), DType.INT64, raw=True)
    payload = request.SerializeToString()
    signature = signature_of([Input(name="ids", type=Tensor(DType.INT64, ("n", 2)))])
    converted = FeatureConverter(signature).from_request(payload)
    assert np.shares_memory(converted.arrays["ids"], np.frombuffer(payload, np.uint8))
    assert not converted.arrays["ids"].flags.writeable
    aligned = converted.aligned()
    assert aligned.arrays["ids"].flags.aligned
    assert same(aligned.arrays, converted.arrays)
