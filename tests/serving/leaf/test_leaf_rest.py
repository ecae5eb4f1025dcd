"""The REST face beyond what tritonclient asks: errors as JSON, the repository index, metrics for dashboards."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from small_models import ranker_inputs

if TYPE_CHECKING:
    from oip_client import OipClient
    from processes import ServerProcess

TRITON = [
    "nv_inference_request_success",
    "nv_inference_request_failure",
    "nv_inference_count",
    "nv_inference_exec_count",
    "nv_inference_request_duration_us",
    "nv_inference_queue_duration_us",
    "nv_inference_compute_input_duration_us",
    "nv_inference_compute_infer_duration_us",
    "nv_inference_compute_output_duration_us",
    "nv_inference_pending_request_count",
]
KSERVE = ["request_preprocess_seconds", "request_predict_seconds", "request_postprocess_seconds"]


def ask(leaf: ServerProcess, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    request = urllib.request.Request(f"http://{leaf.http}{path}", data=body, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("/v2/models/ranker/infer", b"{", 400, "not an inference request in JSON"),
        ("/v2/models/ranker/infer", b"[]", 400, "not an inference request in JSON"),
        ("/v2/models/ranker/infer", b'{"inputs":[]}', 400, "is missing"),
        ("/v2/models/rankr/infer", b'{"inputs":[]}', 404, "Is 'ranker' meant?"),
        ("/v2/models/ranker/versions/9/infer", b'{"inputs":[]}', 404, "a served version (1, 2)"),
        ("/v2/models/ranker/versions/abc", None, 404, "'ranker'"),
        ("/v2/models/no_such/ready", None, 404, "no such model"),
        ("/v2/nothing", None, 404, "GET /v2/nothing"),
        ("/v2/models/ranker", b"", 405, "POST /v2/models/ranker"),
    ],
)
def test_every_error_is_json_and_says_why(
    leaf: ServerProcess, path: str, body: bytes | None, status: int, text: str
) -> None:
    got, answer = ask(leaf, path, body)
    assert got == status
    assert text in answer["error"]


@pytest.mark.parametrize("length", ["-1", "x", "99", "9" * 40])
def test_a_header_length_that_cannot_be_is_refused(leaf: ServerProcess, length: str) -> None:
    headers = {"Inference-Header-Content-Length": length}
    assert ask(leaf, "/v2/models/ranker/infer", b'{"inputs":[]}', **headers)[0] == 400


def test_a_body_that_is_no_request_counts_as_a_failure_of_its_model(leaf: ServerProcess) -> None:
    def refused() -> float:
        with urllib.request.urlopen(f"http://{leaf.http}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        sample = 'trimtab_leaf_refused_total{model="scripted",version="1",reason="conversion"} '
        return sum(float(line.removeprefix(sample)) for line in lines if line.startswith(sample))

    before = refused()
    assert ask(leaf, "/v2/models/scripted/infer", b"{")[0] == 400
    assert refused() == before + 1


def test_a_body_that_is_not_what_its_encoding_says_is_the_callers_fault(leaf: ServerProcess) -> None:
    status, answer = ask(leaf, "/v2/models/ranker/infer", b"not gzip", **{"Content-Encoding": "gzip"})
    assert status == 400
    assert "the body cannot be read" in answer["error"]


def test_a_caller_that_hangs_up_in_the_middle_of_a_body_leaves_no_traceback(leaf: ServerProcess) -> None:
    host, _, port = leaf.http.rpartition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"POST /v2/models/ranker/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
    for _ in range(3):
        assert ask(leaf, "/v2/health/live")[0] == 200
    assert "ConnectionResetError" not in leaf.log_text()


def test_a_large_json_body_is_scored_like_a_small_one(leaf: ServerProcess) -> None:
    x = [float(number % 512) for number in range(50_000)]
    body = json.dumps({"inputs": [{"name": "x", "shape": [len(x)], "datatype": "FP16", "data": x}]}).encode()
    status, answer = ask(leaf, "/v2/models/half/infer", body)
    assert (status, answer["outputs"][0]["data"]) == (200, [2 * value for value in x])
    wrong = body.replace(b"511.0", b"5e11", 1)
    assert ask(leaf, "/v2/models/half/infer", wrong)[0] == 400


def test_the_repository_index(leaf: ServerProcess) -> None:
    status, rows = ask(leaf, "/v2/repository/index", b"")
    assert status == 200
    assert {(row["name"], row["version"], row["state"]) for row in rows} >= {
        ("ranker", "1", "READY"),
        ("ranker", "2", "READY"),
        ("scripted", "1", "READY"),
    }


def test_metrics_have_the_names_that_dashboards_ask_for(leaf: ServerProcess, client: OipClient) -> None:
    def samples() -> dict[str, float]:
        with urllib.request.urlopen(f"http://{leaf.http}/metrics") as answer:
            text = answer.read().decode()
        assert list(text_string_to_metric_families(text))
        lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        return {sample: float(value) for sample, _, value in lines}

    client.infer("ranker", ranker_inputs())
    before = samples()
    client.infer("ranker", ranker_inputs(rows=3))
    after = samples()
    rose = {sample for sample in after if after[sample] > before[sample]}
    version = '{model="ranker",version="2"}'
    assert {name + version for name in TRITON} <= after.keys()
    assert {name + version for name in TRITON if "failure" not in name and "pending" not in name} <= rose
    assert {f'{name}_{part}{{model_name="ranker"}}' for name in KSERVE for part in ("count", "sum")} <= rose
    assert after["nv_inference_count" + version] - before["nv_inference_count" + version] == 3
