"""More than a leaf can do: it says so at once, runs nothing that nobody waits for, and loses nothing in silence."""

from __future__ import annotations

import json
import re
import threading
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import grpc
import numpy as np
import pytest
from oip_client import OipClient, infer_request
from processes import ServerProcess, leaf_process, wait_until
from small_models import deploy, ranker_inputs, ranker_score

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS = 1_000_000
"""Turns of the model `spin` in about a second."""


@pytest.fixture(scope="module")
def narrow_leaf(artifacts: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One engine thread, one place in the queue, messages of at most 1 MiB."""
    folder = tmp_path_factory.mktemp("narrow")
    for model in ("spin", "ranker", "half"):
        deploy(artifacts[model], folder / "models", model, 1)
    flags = ("--engine-threads", "1", "--queue", "1", "--max-message-bytes", str(1 << 20))
    with leaf_process(folder / "models", *flags, folder=folder) as process:
        yield process


@pytest.fixture
def narrow(narrow_leaf: ServerProcess) -> Iterator[OipClient]:
    with OipClient(narrow_leaf.grpc) as client:
        yield client
        wait_until(lambda: in_flight(narrow_leaf.http) == 0)


def spin(turns: int) -> bytes:
    arrays = {"x": np.zeros(2, np.float32), "turns": np.array(turns)}
    return infer_request("spin", arrays).SerializeToString()


def metrics(http: str) -> str:
    with urllib.request.urlopen(f"http://{http}/metrics") as answer:
        return answer.read().decode()


def in_flight(http: str) -> float:
    return float(re.findall(r"^trimtab_leaf_in_flight (\S+)", metrics(http), re.MULTILINE)[0])


def count(http: str, sample: str) -> float:
    found = re.findall(rf"^{re.escape(sample)} (\S+)", metrics(http), re.MULTILINE)
    return float(found[0]) if found else 0.0


def test_the_request_that_finds_the_queue_full_is_shed_at_once(narrow_leaf: ServerProcess, narrow: OipClient) -> None:
    running = [narrow.start(spin(2 * SECONDS)) for _ in range(2)]
    wait_until(lambda: in_flight(narrow_leaf.http) == 2)
    with pytest.raises(grpc.RpcError) as shed:
        narrow.infer("ranker", ranker_inputs())
    assert shed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "at most 1 requests running and 1 waiting" in shed.value.details()

    body = json.dumps({"inputs": []}).encode()
    with pytest.raises(urllib.error.HTTPError) as shed_rest:
        urllib.request.urlopen(f"http://{narrow_leaf.http}/v2/models/spin/infer", data=body)
    assert shed_rest.value.code == 429
    assert count(narrow_leaf.http, 'trimtab_leaf_refused_total{model="ranker",version="1",reason="overload"}') == 1
    assert count(narrow_leaf.http, 'nv_inference_pending_request_count{model="spin",version="1"}') == 1
    for future in running:
        future.result()


def test_work_whose_deadline_passed_in_the_queue_is_not_run(narrow_leaf: ServerProcess, narrow: OipClient) -> None:
    first = narrow.start(spin(2 * SECONDS))
    wait_until(lambda: in_flight(narrow_leaf.http) == 1)
    runs = count(narrow_leaf.http, 'nv_inference_exec_count{model="ranker",version="1"}')
    with pytest.raises(grpc.RpcError) as late:
        narrow.send(infer_request("ranker", ranker_inputs()).SerializeToString(), timeout_s=0.2)
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    first.result()
    wait_until(lambda: in_flight(narrow_leaf.http) == 0)
    assert count(narrow_leaf.http, 'nv_inference_exec_count{model="ranker",version="1"}') == runs
    assert count(narrow_leaf.http, 'nv_inference_pending_request_count{model="ranker",version="1"}') == 0


def test_a_deadline_over_rest(narrow_leaf: ServerProcess, narrow: OipClient) -> None:
    first = narrow.start(spin(SECONDS))
    wait_until(lambda: in_flight(narrow_leaf.http) == 1)
    tensors = [
        {"name": "x", "shape": [1], "datatype": "FP32", "data": [1]},
        {"name": "turns", "shape": [], "datatype": "INT64", "data": [1]},
    ]
    body = json.dumps({"inputs": tensors, "parameters": {"timeout": 50_000}}).encode()
    with pytest.raises(urllib.error.HTTPError) as late:
        urllib.request.urlopen(f"http://{narrow_leaf.http}/v2/models/spin/infer", data=body)
    assert late.value.code == 504
    assert "deadline" in json.load(late.value)["error"]
    first.result()


def test_a_caller_that_hangs_up_frees_its_place_in_the_queue(narrow_leaf: ServerProcess, narrow: OipClient) -> None:
    first = narrow.start(spin(SECONDS))
    wait_until(lambda: in_flight(narrow_leaf.http) == 1)
    waiting = narrow.start(spin(SECONDS))
    wait_until(lambda: in_flight(narrow_leaf.http) == 2)
    waiting.cancel()
    wait_until(lambda: in_flight(narrow_leaf.http) == 1)
    first.result()


def test_an_oversized_message_is_refused_and_says_why(narrow_leaf: ServerProcess, narrow: OipClient) -> None:
    rows = 300_000
    with pytest.raises(grpc.RpcError) as refused:
        narrow.infer("ranker", {"user_age": np.zeros((rows, 1), np.float32)})
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in refused.value.details()
    with pytest.raises(urllib.error.HTTPError) as too_large:
        urllib.request.urlopen(f"http://{narrow_leaf.http}/v2/models/ranker/infer", data=b" " * (2 << 20))
    assert too_large.value.code == 413
    assert "--max-message-bytes" in json.load(too_large.value)["error"]
    assert narrow.infer("ranker", ranker_inputs()).outputs


def test_an_answer_that_is_too_large_is_refused_and_says_why(narrow_leaf: ServerProcess, narrow: OipClient) -> None:
    elements = (1 << 20) // 2
    while len(payload := infer_request("half", {"x": np.ones(elements, np.float16)}).SerializeToString()) > 1 << 20:
        elements -= 1
    with pytest.raises(grpc.RpcError) as refused:
        narrow.send(payload)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "the answer of half:1 is too large" in refused.value.details()
    assert count(narrow_leaf.http, 'trimtab_leaf_refused_total{model="half",version="1",reason="answer_size"}') == 1
    assert "Traceback" not in narrow_leaf.log_text()


def test_64_clients_each_get_their_own_scores(leaf: ServerProcess) -> None:
    wrong: list[object] = []

    def ask(number: int) -> None:
        inputs = ranker_inputs(rows=1 + number % 5, seed=number)
        with OipClient(leaf.grpc) as client:
            for _ in range(10):
                try:
                    answer = client.infer("ranker", inputs, "1", id_=str(number))
                    assert answer.message.id == str(number)
                    assert np.array_equal(answer.outputs["score"], ranker_score(inputs))
                except grpc.RpcError as error:
                    if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                        wrong.append(error)
                except AssertionError as error:
                    wrong.append(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
