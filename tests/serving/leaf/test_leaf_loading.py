"""A repository changes under a leaf that serves: new versions, half-written ones, wrong ones, removed ones."""

from __future__ import annotations

import json
import shutil
import threading
import urllib.request
from typing import TYPE_CHECKING

import grpc
import numpy as np
import pytest
from oip_client import OipClient
from processes import launch, leaf_process, wait_until
from small_models import deploy, ranker_inputs, ranker_score

from trimtab.bundles.building.build import Gate, build_bundle
from trimtab.bundles.bundle import write_bundle
from trimtab.bundles.repository import ModelRepository

if TYPE_CHECKING:
    from pathlib import Path

FAST = ("--poll-interval", "0.05")


@pytest.fixture
def repository(artifacts: dict[str, Path], tmp_path: Path) -> Path:
    deploy(artifacts["ranker"], tmp_path / "models", "ranker", 1)
    return tmp_path / "models"


def bundled(repository: Path, path: Path) -> Path:
    write_bundle(path, build_bundle(ModelRepository(repository), name="test", gate=Gate.NONE))
    return path


def served_version(client: OipClient) -> str:
    return client.infer("ranker", ranker_inputs()).metadata["trimtab-model-version"]


def refusals(http: str) -> dict[str, str]:
    index = urllib.request.Request(f"http://{http}/v2/repository/index", data=b"{}")
    with urllib.request.urlopen(index) as answer:
        rows = json.load(answer)
    return {f"{row['name']}:{row['version']}": row["reason"] for row in rows if row["state"] == "UNAVAILABLE"}


def test_versions_come_and_go_under_traffic_without_a_failed_request(
    artifacts: dict[str, Path], repository: Path, tmp_path: Path
) -> None:
    inputs = ranker_inputs()
    scores = {str(version): ranker_score(inputs, 100 if version % 2 == 0 else 0) for version in range(1, 5)}
    failures: list[object] = []
    seen: set[str] = set()
    stop = threading.Event()

    def ask(address: str) -> None:
        with OipClient(address) as client:
            while not stop.is_set():
                try:
                    answer = client.infer("ranker", inputs)
                    version = answer.metadata["trimtab-model-version"]
                    assert np.array_equal(answer.outputs["score"], scores[version])
                    seen.add(version)
                except Exception as failure:  # noqa: BLE001  # every failure counts
                    failures.append(failure)

    with leaf_process(repository, *FAST, folder=tmp_path) as leaf:
        threads = [threading.Thread(target=ask, args=(leaf.grpc,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for version in (2, 3, 4):
                deploy(artifacts["ranker_plus_100" if version % 2 == 0 else "ranker"], repository, "ranker", version)
                wait_until(lambda version=version: str(version) in seen or failures)
            shutil.rmtree(repository / "ranker" / "4")
            seen.clear()
            wait_until(lambda: "3" in seen or failures)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert not failures


def test_a_half_written_version_is_served_when_it_is_whole(
    artifacts: dict[str, Path], repository: Path, tmp_path: Path
) -> None:
    whole = artifacts["ranker_plus_100"].read_bytes()
    with leaf_process(repository, *FAST, folder=tmp_path) as leaf, OipClient(leaf.grpc) as client:
        target = repository / "ranker" / "2" / "model.onnx"
        target.parent.mkdir()
        with target.open("wb", buffering=0) as file:
            for at in range(0, len(whole), 100):
                file.write(whole[at : at + 100])
                if at == 200:
                    wait_until(lambda: "ranker:2" in refusals(leaf.http))
                    assert served_version(client) == "1"
        wait_until(lambda: served_version(client) == "2")
        assert not refusals(leaf.http)


def test_a_broken_file_never_takes_the_place_of_a_version_that_works(
    artifacts: dict[str, Path], repository: Path, tmp_path: Path
) -> None:
    inputs = ranker_inputs()
    target = repository / "ranker" / "1" / "model.onnx"
    with leaf_process(repository, *FAST, folder=tmp_path) as leaf, OipClient(leaf.grpc) as client:
        target.write_bytes(b"not a model")
        wait_until(lambda: "refused ranker:1; the one loaded before stays" in leaf.log_text())
        assert np.array_equal(client.infer("ranker", inputs, "1").outputs["score"], ranker_score(inputs))
        shutil.copyfile(artifacts["ranker_plus_100"], target)
        expected = ranker_score(inputs, 100)
        wait_until(lambda: np.array_equal(client.infer("ranker", inputs, "1").outputs["score"], expected))


def test_an_artifact_that_contradicts_the_bundle_is_refused_and_the_others_are_served(
    artifacts: dict[str, Path], repository: Path, tmp_path: Path
) -> None:
    deploy(artifacts["ranker_plus_100"], repository, "ranker", 2)
    bundle = bundled(repository, tmp_path / "test.json")
    shutil.rmtree(repository / "ranker" / "2")
    deploy(artifacts["changed_inputs"], repository, "ranker", 2)
    deploy(artifacts["half"], repository, "half", 1)
    flags = ("--bundle", str(bundle), *FAST)
    with leaf_process(repository, *flags, folder=tmp_path) as leaf, OipClient(leaf.grpc) as client:
        assert leaf.ready["models"] == {"ranker": ["1"]}
        reasons = refusals(leaf.http)
        assert "is not the one that the bundle was built from" in reasons["ranker:2"]
        assert "has no signature in the bundle" in reasons["half:1"]
        assert served_version(client) == "1"
        with pytest.raises(grpc.RpcError) as refused:
            client.infer("ranker", ranker_inputs(), "2")
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        assert "is not the one that the bundle was built from" in refused.value.details()

        newer = build_bundle(ModelRepository(repository), name="test", gate=Gate.NONE)
        write_bundle(bundle, type(newer)(**{f: getattr(newer, f) for f in newer.__struct_fields__} | {"serial": 9}))
        wait_until(lambda: not refusals(leaf.http))


def test_a_bundle_that_turns_bad_leaves_the_last_good_one_in_force(
    artifacts: dict[str, Path], repository: Path, tmp_path: Path
) -> None:
    bundle = bundled(repository, tmp_path / "test.json")
    flags = ("--bundle", str(bundle), *FAST)
    with leaf_process(repository, *flags, folder=tmp_path) as leaf, OipClient(leaf.grpc) as client:
        bundle.write_bytes(bundle.read_bytes()[:-40])
        wait_until(lambda: "the bundle that was good before stays in force" in leaf.log_text())
        deploy(artifacts["changed_inputs"], repository, "ranker", 2)
        wait_until(lambda: "ranker:2" in refusals(leaf.http))
        assert served_version(client) == "1"


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("--repository", "{tmp}/none"), "expected a model repository"),
        (("--repository", "{tmp}/models", "--bundle", "{tmp}/none.json"), "none.json"),
        (
            ("--repository", "{tmp}/models", "--bundle", "{tmp}/models/ranker/1/model.onnx"),
            "model.onnx: expected UTF-8",
        ),
        (("--repository", "{tmp}/models", "--tls-cert", "{tmp}/cert.pem"), "--tls-cert and --tls-key together"),
    ],
)
def test_a_leaf_that_cannot_do_as_told_does_not_start(
    repository: Path, tmp_path: Path, flags: tuple[str, ...], text: str
) -> None:
    process, port_file, log = launch("leaf", *(flag.format(tmp=tmp_path) for flag in flags), folder=tmp_path)
    assert process.wait(60) == 1
    assert text in log.read_text()
    assert "Traceback" not in log.read_text()
    assert not port_file.exists()


def test_a_port_that_is_taken_is_named(repository: Path, tmp_path: Path) -> None:
    with leaf_process(repository, folder=tmp_path) as leaf:
        port = leaf.grpc.rpartition(":")[2]
        process, _, log = launch("leaf", "--repository", str(repository), "--grpc-port", port, folder=tmp_path)
        assert process.wait(60) == 1
        assert f"gRPC cannot listen on 127.0.0.1:{port}" in log.read_text()
