"""SIGTERM: what was accepted is answered, what comes later is told to go elsewhere."""

from __future__ import annotations

import json
import threading
import urllib.request
from typing import TYPE_CHECKING

import grpc
import numpy as np
import pytest
from oip_client import OipClient, infer_request, read_outputs
from processes import leaf_process, wait_until
from small_models import deploy, ranker_inputs

from trimtab.protocols import oip

if TYPE_CHECKING:
    from pathlib import Path

TURNS = 2_000_000


@pytest.fixture
def repository(artifacts: dict[str, Path], tmp_path: Path) -> Path:
    for model in ("spin", "ranker"):
        deploy(artifacts[model], tmp_path / "models", model, 1)
    return tmp_path / "models"


def spin(turns: int) -> bytes:
    arrays = {"x": np.zeros(2, np.float32), "turns": np.array(turns)}
    return infer_request("spin", arrays).SerializeToString()


def in_flight(http: str) -> int:
    with urllib.request.urlopen(f"http://{http}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return int(float(next(line.split()[1] for line in lines if line.startswith("trimtab_leaf_in_flight "))))


def test_sigterm_answers_what_is_in_flight(repository: Path, tmp_path: Path) -> None:
    flags = ("--engine-threads", "1", "--grace", "200")
    with leaf_process(repository, *flags, folder=tmp_path) as leaf, OipClient(leaf.grpc) as client:
        accepted = [client.start(spin(TURNS)) for _ in range(3)]
        wait_until(lambda: in_flight(leaf.http) == 3)
        leaf.terminate()
        wait_until(lambda: not client.call("ServerReady").ready)
        with pytest.raises(grpc.RpcError) as later:
            client.infer("ranker", ranker_inputs())
        assert later.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "the leaf is not ready" in later.value.details()
        for future in accepted:
            outputs = read_outputs(oip.ModelInferResponse.FromString(future.result()))
            assert outputs["score"].tolist() == [TURNS, TURNS]
        assert leaf.wait() == 0
        assert "Traceback" not in leaf.log_text()


def test_whoever_asks_during_a_stop_is_answered_or_told_to_go_elsewhere(repository: Path, tmp_path: Path) -> None:
    codes: set[grpc.StatusCode] = set()

    def ask(address: str) -> None:
        with OipClient(address) as client:
            try:
                while True:
                    client.infer("ranker", ranker_inputs())
            except grpc.RpcError as error:
                codes.add(error.code())

    with leaf_process(repository, folder=tmp_path) as leaf:
        threads = [threading.Thread(target=ask, args=(leaf.grpc,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        leaf.terminate()
        for thread in threads:
            thread.join()
        assert leaf.wait() == 0
    assert codes == {grpc.StatusCode.UNAVAILABLE}


def test_grace_bounds_how_long_a_stop_takes(repository: Path, tmp_path: Path) -> None:
    flags = ("--grace", "0.2")
    with leaf_process(repository, *flags, folder=tmp_path) as leaf, OipClient(leaf.grpc) as client:
        endless = client.start(spin(1_000_000_000))
        wait_until(lambda: in_flight(leaf.http) == 1)
        leaf.terminate()
        assert leaf.wait(timeout_s=30) == 1
        assert "1 requests were still in flight" in leaf.log_text()
        with pytest.raises(grpc.RpcError):
            endless.result()


def test_the_ready_line_says_where_and_what(repository: Path, tmp_path: Path) -> None:
    with leaf_process(repository, "--json", folder=tmp_path) as leaf:
        printed = wait_until(lambda: [line for line in leaf.log_text().splitlines() if line.startswith("{")])
        assert json.loads(printed[0]) == leaf.ready
        assert leaf.ready["models"] == {"ranker": ["1"], "spin": ["1"]}
        assert leaf.ready["pid"] == leaf.process.pid
        assert leaf.grpc.startswith("127.0.0.1:")
        assert leaf.http.startswith("127.0.0.1:")
