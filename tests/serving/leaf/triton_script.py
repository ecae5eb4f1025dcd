"""Run by test_leaf_conformance.py in a process of its own: NVIDIA's client against our leaf.

usage: triton_script.py GRPC HTTP   prints one JSON object: check -> null, or the traceback of its failure.
"""

from __future__ import annotations

import json
import queue
import sys
import traceback

import ml_dtypes
import numpy as np
import tritonclient.grpc as tgrpc
import tritonclient.http as thttp
from tritonclient.utils import InferenceServerException

ROWS = 3
INPUTS = {
    "user_age": np.array([[31], [7], [64]], np.float32),
    "item_id": np.array([5, 900, 12]),
    "emb": np.arange(12, dtype=np.float32).reshape(3, 4),
    "country": np.array([b"no", b"se", "københavn".encode()], dtype=object),
}
SCORE = INPUTS["user_age"] + INPUTS["item_id"][:, None].astype(np.float32) + INPUTS["emb"].sum(1, keepdims=True)
EVERY = {
    "BOOL": np.bool_,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": object,
}
DATATYPES = {"user_age": "FP32", "item_id": "INT64", "emb": "FP32", "country": "BYTES"}


class Faces:
    def __init__(self, grpc_address: str, http_address: str) -> None:
        self.http_address = http_address
        self.grpc = tgrpc.InferenceServerClient(grpc_address)
        self.http = thttp.InferenceServerClient(http_address)
        self.both = ((tgrpc, self.grpc), (thttp, self.http))


def inputs_for(kind, arrays=INPUTS, **options):
    made = []
    for name, array in arrays.items():
        value = kind.InferInput(name, list(array.shape), DATATYPES.get(name, "FP32"))
        value.set_data_from_numpy(array, **options)
        made.append(value)
    return made


def refused(call, *args, status, text, **options):
    try:
        call(*args, **options)
    except InferenceServerException as refusal:
        said = refusal
    else:
        raise AssertionError("it was answered")
    assert status in str(said.status()), said.status()
    assert text in said.message(), said.message()


def check_live_and_ready(faces):
    for _, client in faces.both:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("ranker")
        assert client.is_model_ready("ranker", "2")
        assert not client.is_model_ready("ranker", "9")
        assert not client.is_model_ready("no_such")


def check_server_metadata(faces):
    over_grpc = faces.grpc.get_server_metadata(as_json=True)
    assert over_grpc == faces.http.get_server_metadata()
    assert over_grpc["name"] == "trimtab"
    assert {"binary_tensor_data", "trimtab_broadcast"} <= set(over_grpc["extensions"])


def check_model_metadata(faces):
    over_http = faces.http.get_model_metadata("ranker")
    assert over_http == {
        "name": "ranker",
        "versions": ["1", "2"],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {"name": "user_age", "datatype": "FP32", "shape": [-1, 1]},
            {"name": "item_id", "datatype": "INT64", "shape": [-1]},
            {"name": "emb", "datatype": "FP32", "shape": [-1, 4]},
            {"name": "country", "datatype": "BYTES", "shape": [-1]},
        ],
        "outputs": [
            {"name": "score", "datatype": "FP32", "shape": [-1, 1]},
            {"name": "home", "datatype": "BYTES", "shape": [-1]},
        ],
    }
    over_grpc = faces.grpc.get_model_metadata("ranker", as_json=True)
    for tensor in over_grpc["inputs"] + over_grpc["outputs"]:
        tensor["shape"] = [int(size) for size in tensor["shape"]]
    assert over_grpc == over_http
    for model, platform in (("scripted", "pytorch_torchscript"), ("exported", "pytorch_export")):
        assert faces.grpc.get_model_metadata(model).platform == platform


def check_infer_raw(faces):
    for kind, client in faces.both:
        answer = client.infer("ranker", inputs_for(kind), model_version="1", request_id="q7")
        assert np.array_equal(answer.as_numpy("score"), SCORE)
        assert answer.as_numpy("score").dtype == np.float32
        assert answer.as_numpy("home").tolist() == INPUTS["country"].tolist()
        response = answer.get_response()
        response = (
            response if isinstance(response, dict) else {"id": response.id, "model_version": response.model_version}
        )
        assert (response["id"], response["model_version"]) == ("q7", "1")


def check_infer_json(faces):
    text = dict(INPUTS, country=np.array([it.decode() for it in INPUTS["country"]], dtype=object))
    outputs = [thttp.InferRequestedOutput(name, binary_data=False) for name in ("score", "home")]
    answer = faces.http.infer("ranker", inputs_for(thttp, text, binary_data=False), model_version="1", outputs=outputs)
    assert answer.as_numpy("score").tolist() == SCORE.tolist()
    assert answer.as_numpy("home").tolist() == [it.decode() for it in INPUTS["country"]]


def check_infer_json_in_binary_out_and_back(faces):
    outputs = [
        thttp.InferRequestedOutput("score", binary_data=True),
        thttp.InferRequestedOutput("home", binary_data=False),
    ]
    mixed = inputs_for(thttp)
    mixed[0].set_data_from_numpy(INPUTS["user_age"], binary_data=False)
    answer = faces.http.infer("ranker", mixed, model_version="1", outputs=outputs)
    assert np.array_equal(answer.as_numpy("score"), SCORE)


def check_infer_compressed(faces):
    for algorithm in ("gzip", "deflate"):
        answer = faces.http.infer(
            "ranker", inputs_for(thttp), model_version="1", request_compression_algorithm=algorithm
        )
        assert np.array_equal(answer.as_numpy("score"), SCORE)


def check_infer_typed(faces):
    fields = {"FP32": "fp32_contents", "INT64": "int64_contents", "BYTES": "bytes_contents"}
    request = tgrpc.service_pb2.ModelInferRequest(model_name="ranker", model_version="1", id="typed")
    for name, array in INPUTS.items():
        tensor = request.inputs.add(name=name, datatype=DATATYPES[name], shape=array.shape)
        getattr(tensor.contents, fields[DATATYPES[name]]).extend(array.ravel().tolist())
    answer = faces.grpc._client_stub.ModelInfer(request)
    assert not answer.raw_output_contents
    assert list(answer.outputs[0].contents.fp32_contents) == SCORE.ravel().tolist()
    assert list(answer.outputs[1].contents.bytes_contents) == INPUTS["country"].tolist()


def check_infer_half(faces):
    x = np.array([0.5, 2, 1000], np.float16)
    for kind, client in faces.both:
        value = kind.InferInput("x", [3], "FP16")
        value.set_data_from_numpy(x)
        assert client.infer("half", [value]).as_numpy("twice").tolist() == (x + x).tolist()


def check_infer_bfloat16(faces):
    x = np.array([[0.5, -2], [3, 1e30]], ml_dtypes.bfloat16)
    for kind, client in faces.both:
        value = kind.InferInput("x", [2, 2], "BF16")
        value.set_data_from_numpy(x)
        answer = client.infer("brain", [value])
        (name,) = [output["name"] for output in faces.http.get_model_metadata("brain")["outputs"]]
        assert answer.as_numpy(name).astype(np.float32).tolist() == (x + x).astype(np.float32).tolist()
    outputs = [thttp.InferRequestedOutput(name, binary_data=False)]
    response = faces.http.infer("brain", [value], outputs=outputs).get_response()
    assert response["outputs"][0]["data"] == (x + x).astype(np.float32).ravel().tolist()


def every_datatype(shape):
    made = {}
    for name, dtype in EVERY.items():
        if dtype is object:
            array = np.empty(shape, object)
            array[...] = b"a\0\xc3\xa6"
        elif np.dtype(dtype).kind in "iu":
            array = np.full(shape, np.iinfo(dtype).max, dtype)
        else:
            array = np.ones(shape, dtype)
        made[name] = array
    return made


def check_every_datatype_batch_and_rank(faces):
    for model, shape in (("every_datatype", (3, 2)), ("every_datatype", (0, 2)), ("every_scalar", ())):
        arrays = every_datatype(shape)
        for kind, client in faces.both:
            inputs = []
            for name, array in arrays.items():
                inputs.append(kind.InferInput(f"in_{name}", list(shape), name))
                inputs[-1].set_data_from_numpy(array)
            answer = client.infer(model, inputs)
            for name, array in arrays.items():
                got = answer.as_numpy(f"out_{name}")
                assert (got.dtype, got.shape, got.tolist()) == (array.dtype, array.shape, array.tolist()), name


def check_every_datatype_that_json_carries(faces):
    for model, shape in (("every_datatype", (3, 2)), ("every_datatype", (0, 2)), ("every_scalar", ())):
        arrays = every_datatype(shape)
        inputs, outputs = [], []
        for name, array in arrays.items():
            inputs.append(thttp.InferInput(f"in_{name}", list(shape), name))
            inputs[-1].set_data_from_numpy(array, binary_data=name == "FP16")  # the client's rule, not the leaf's
            outputs.append(thttp.InferRequestedOutput(f"out_{name}", binary_data=False))
        answer = faces.http.infer(model, inputs, outputs=outputs)
        for name, array in arrays.items():
            expected = [it.decode() for it in array.ravel()] if array.dtype == object else array.ravel().tolist()
            assert answer.as_numpy(f"out_{name}").ravel().tolist() == expected, name


def check_large_batch(faces):
    rows = 200_000
    for kind, client in faces.both:
        x = kind.InferInput("x", [rows], "FP16")
        x.set_data_from_numpy(np.ones(rows, np.float16))
        assert client.infer("half", [x]).as_numpy("twice").sum(dtype=np.int64) == 2 * rows


def check_many_at_once(faces):
    over_http = thttp.InferenceServerClient(faces.http_address, concurrency=8)
    asked = [over_http.async_infer("ranker", inputs_for(thttp), request_id=str(number)) for number in range(32)]
    for number, future in enumerate(asked):
        answer = future.get_result()
        assert answer.get_response()["id"] == str(number)
        assert np.array_equal(answer.as_numpy("score"), SCORE + np.float32(100))
    answers = queue.Queue()
    for _ in range(32):
        faces.grpc.async_infer("ranker", inputs_for(tgrpc), lambda result, error: answers.put((result, error)))
    for _ in range(32):
        result, error = answers.get(timeout=30)
        assert error is None
        assert np.array_equal(result.as_numpy("score"), SCORE + np.float32(100))


def check_wrong_datatype(faces):
    for (kind, client), status in zip(faces.both, ("INVALID_ARGUMENT", "400"), strict=True):
        arrays = {**INPUTS, "user_age": INPUTS["user_age"].astype(np.float64)}
        inputs = inputs_for(kind, arrays | {"user_age": INPUTS["user_age"]})
        inputs[0] = kind.InferInput("user_age", [ROWS, 1], "FP64")
        inputs[0].set_data_from_numpy(arrays["user_age"])
        refused(client.infer, "ranker", inputs, status=status, text="expected float32 [batch, 1], got FP64 [3, 1]")
        refused(client.infer, "ranker", [], status=status, text="is missing")
        refused(client.infer, "ranker", inputs_for(kind) * 2, status=status, text="several")


def check_requested_outputs(faces):
    for kind, client in faces.both:
        answer = client.infer("ranker", inputs_for(kind), outputs=[kind.InferRequestedOutput("home")])
        assert answer.as_numpy("score") is None
        assert answer.as_numpy("home").tolist() == INPUTS["country"].tolist()


def check_versions(faces):
    for kind, client in faces.both:
        for version, offset in (("1", 0), ("2", 100), ("", 100)):
            answer = client.infer("ranker", inputs_for(kind), model_version=version)
            assert np.array_equal(answer.as_numpy("score"), SCORE + np.float32(offset))


def check_thousand_surplus_inputs(faces):
    surplus = {f"surplus_{number}": np.zeros((ROWS, 1), np.float32) for number in range(988)}
    for kind, client in faces.both:
        answer = client.infer("ranker", inputs_for(kind, {**surplus, **INPUTS}), model_version="1")
        assert np.array_equal(answer.as_numpy("score"), SCORE)


def check_unknown_model_and_version(faces):
    for (kind, client), status in zip(faces.both, ("NOT_FOUND", "404"), strict=True):
        refused(client.infer, "rankr", inputs_for(kind), status=status, text="ranker")
        refused(client.infer, "ranker", inputs_for(kind), model_version="9", status=status, text="1, 2")
        refused(client.get_model_metadata, "no_such", status=status, text="no such model")


def check_wrong_requests(faces):
    wrong = {
        "is missing": {name: array for name, array in INPUTS.items() if name != "emb"},
        "float32 [batch, 4]": {**INPUTS, "emb": np.zeros((ROWS, 5), np.float32)},
        "batch": {**INPUTS, "emb": np.zeros((ROWS + 1, 4), np.float32)},
        '"user_agee"': {"user_agee" if name == "user_age" else name: array for name, array in INPUTS.items()},
    }
    for (kind, client), status in zip(faces.both, ("INVALID_ARGUMENT", "400"), strict=True):
        for text, arrays in wrong.items():
            refused(client.infer, "ranker", inputs_for(kind, arrays), status=status, text=text)
        outputs = [kind.InferRequestedOutput("scor")]
        refused(client.infer, "ranker", inputs_for(kind), outputs=outputs, status=status, text="'score'")


def check_error_text_fits_the_metadata_limit(faces):
    name = "å" * 100_000
    refused(faces.grpc.infer, name, inputs_for(tgrpc), status="NOT_FOUND", text="no such model")
    surplus = {f"{'long' * 50}_{number}": np.zeros((1, 1), np.float32) for number in range(988)}
    refused(faces.grpc.infer, "ranker", inputs_for(tgrpc, surplus), status="INVALID_ARGUMENT", text="missing")


def main() -> None:
    faces = Faces(*sys.argv[1:3])
    results = {}
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            try:
                check(faces)
                results[name] = None
            except Exception:  # noqa: BLE001  # whatever it is, it is the result
                results[name] = traceback.format_exc()
    print(json.dumps(results))


if __name__ == "__main__":
    main()
