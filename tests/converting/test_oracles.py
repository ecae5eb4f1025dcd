"""The real others: requests as tritonclient builds them, tensors in torch, scores of onnxruntime."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from requests_strategy import signature_of
from tritonclient.grpc import InferInput, InferRequestedOutput
from tritonclient.grpc._utils import _get_inference_request

from trimtab.converting.contents import raw_contents, read_raw
from trimtab.converting.converter import FeatureConverter
from trimtab.signature.dtypes import DType, dtype_of
from trimtab.signature.model import Input
from trimtab.signature.types import Tensor

ARRAYS = {
    "BOOL": np.array([[True], [False]]),
    "INT8": np.array([[-128], [127]], np.int8),
    "INT16": np.array([[-5], [5]], np.int16),
    "INT32": np.array([[-5], [5]], np.int32),
    "INT64": np.array([[-(2**62)], [5]], np.int64),
    "UINT8": np.array([[0], [255]], np.uint8),
    "UINT16": np.array([[0], [5]], np.uint16),
    "UINT32": np.array([[0], [5]], np.uint32),
    "UINT64": np.array([[2**63], [5]], np.uint64),
    "FP16": np.array([[0.5], [-1]], np.float16),
    "FP32": np.array([[0.5], [np.inf]], np.float32),
    "FP64": np.array([[0.5], [-1]], np.float64),
    "BYTES": np.array([["über"], [""]], object),
}


def triton_request(arrays):
    """The serialized request of tritonclient's own InferInput objects."""
    inputs = []
    for datatype, array in arrays.items():
        given = InferInput(f"x_{datatype}", array.shape, datatype)
        given.set_data_from_numpy(array)
        inputs.append(given)
    return _get_inference_request(
        model_name="ctr",
        inputs=inputs,
        model_version="7",
        request_id="r1",
        outputs=[InferRequestedOutput("score")],
        sequence_id=0,
        sequence_start=False,
        sequence_end=False,
        priority=0,
        timeout=None,
        parameters={"tier": "gold"},
    ).SerializeToString()


def triton_signature():
    return signature_of(
        Input(name=f"x_{datatype}", type=Tensor(dtype_of("oip", datatype), ("n", 1))) for datatype in ARRAYS
    )


def test_requests_of_tritonclient():
    converted = FeatureConverter(triton_signature()).from_request(triton_request(ARRAYS))
    for datatype, array in ARRAYS.items():
        assert converted.arrays[f"x_{datatype}"].dtype == array.dtype
        assert converted.arrays[f"x_{datatype}"].tolist() == array.tolist()
    assert converted.request.parameters == {"tier": "gold"}
    assert [output.name for output in converted.request.outputs] == ["score"]


def test_bfloat16_of_tritonclient():
    floats = np.array([[0.5], [-1.25]], ml_dtypes.bfloat16)
    signature = signature_of([Input(name="x_BF16", type=Tensor(DType.BFLOAT16, ("n", 1)))])
    converter = FeatureConverter(signature)
    for converted in (
        converter.from_request(triton_request({"BF16": floats})),
        converter.from_columns({"x_BF16": floats}),
    ):
        tensor = converter.to_torch(converted)["x_BF16"]
        assert tensor.dtype is torch.bfloat16
        assert tensor.tolist() == floats.tolist()


def test_torch_tensors_share_the_memory(recwarn):
    payload = triton_request(ARRAYS)
    converter = FeatureConverter(triton_signature())
    converted = converter.from_request(payload)
    tensors = converter.to_torch(converted)
    start = np.frombuffer(payload, np.uint8).ctypes.data
    for name, array in converted.arrays.items():
        if name == "x_BYTES":
            assert tensors[name] == ARRAYS["BYTES"].tolist()
        else:
            assert tensors[name].data_ptr() == array.ctypes.data
            assert start <= tensors[name].data_ptr() < start + len(payload)
            assert tensors[name].numpy().tolist() == array.tolist()
    assert not recwarn.list


def test_repeated_rows_in_torch():
    signature = signature_of([Input(name=name, type=Tensor(DType.FLOAT32, ("n", 2))) for name in ("item", "user")])
    converter = FeatureConverter(signature)
    row = np.array([[1, 2]], np.float32)
    converted = converter.from_columns({"item": np.ones((4, 2), np.float32), "user": row}, broadcast=["user"])
    tensor = converter.to_torch(converted)["user"]
    assert tensor.shape == (4, 2)
    assert tensor.data_ptr() == row.ctypes.data


@pytest.mark.parametrize("offset", range(8))
@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.FLOAT64, DType.INT64])
def test_unaligned_arrays_compute_right(offset, dtype):
    rows, columns = 67, 33
    values = np.arange(rows * columns).reshape(rows, columns).astype(str(dtype))
    raw = raw_contents(values, {"float32": "FP32", "float64": "FP64", "int64": "INT64"}[dtype])
    array = read_raw(dtype, values.shape, b"\0" * offset + raw, offset)
    assert np.array_equal(array, values)
    assert torch.from_numpy(array).sum(dim=1).tolist() == values.sum(axis=1).tolist()
    assert np.allclose((torch.from_numpy(array) @ torch.from_numpy(values.T)).numpy(), values @ values.T)
    session = onnx_session(dtype, columns)
    (score,) = session.run(None, {"x": array})
    assert np.allclose(score, (values * values) @ np.ones((columns, 1), values.dtype))


def onnx_session(dtype, columns):
    element = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "int64": TensorProto.INT64}[dtype]
    ones = onnx.numpy_helper.from_array(np.ones((columns, 1), str(dtype)), "ones")
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "x"], ["square"]), helper.make_node("MatMul", ["square", "ones"], ["score"])],
        "scorer",
        [helper.make_tensor_value_info("x", element, ["n", columns])],
        [helper.make_tensor_value_info("score", element, ["n", 1])],
        [ones],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def test_onnxruntime_takes_text_and_repeated_rows():
    graph = helper.make_graph(
        [helper.make_node("Identity", ["text"], ["same"]), helper.make_node("Neg", ["x"], ["negative"])],
        "echo",
        [
            helper.make_tensor_value_info("text", TensorProto.STRING, ["n"]),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2]),
        ],
        [
            helper.make_tensor_value_info("same", TensorProto.STRING, ["n"]),
            helper.make_tensor_value_info("negative", TensorProto.FLOAT, ["n", 2]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    signature = signature_of(
        [
            Input(name="text", type=Tensor(DType.STRING, ("n",))),
            Input(name="x", type=Tensor(DType.FLOAT32, ("n", 2))),
        ]
    )
    columns = {"text": np.array(["ä", "b"], object), "x": np.array([[1, 2]], np.float32)}
    converted = FeatureConverter(signature).from_columns(columns, broadcast=["x"])
    same, negative = session.run(None, converted.arrays)
    assert same.tolist() == ["ä", "b"]
    assert negative.tolist() == [[-1, -2], [-1, -2]]
