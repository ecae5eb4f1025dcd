"""Run by test_leaf_conformance.py in a process of its own: NVIDIA's client against our leaf.

usage: triton_script.py GRPC HTTP   prints one JSON object: check -> null, or the traceback of its failure.
"""

from __future__ import annotations

import json
import sys
import traceback

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
DATATYPES = {"user_age": "FP32", "item_id": "INT64", "emb": "FP32", "country": "BYTES"}


class Faces:
    def __init__(self, grpc_address: str, http_address: str) -> None:
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
