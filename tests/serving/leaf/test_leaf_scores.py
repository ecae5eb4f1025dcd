"""Scores over the wire equal those of the framework run directly, for every engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import numpy as np
import onnxruntime
import pytest
import torch
from oip_client import infer_request
from small_models import ranker_inputs
from torch_modules import Nested, Scripted

from trimtab.artifacts.read import read_signature
from trimtab.protocols import oip

if TYPE_CHECKING:
    from pathlib import Path

    from oip_client import OipClient


@pytest.mark.parametrize("rows", [1, 3, 64])
def test_onnxruntime(client: OipClient, artifacts: dict[str, Path], rows: int) -> None:
    inputs = ranker_inputs(rows)
    feeds = {**inputs, "country": np.array([it.decode() for it in inputs["country"]], dtype=object)}
    score, home = onnxruntime.InferenceSession(artifacts["ranker"]).run(["score", "home"], feeds)
    outputs = client.infer("ranker", inputs, "1").outputs
    assert np.array_equal(outputs["score"], score)
    assert outputs["home"].tolist() == home.tolist()


@pytest.mark.parametrize("with_boost", [False, True])
@pytest.mark.parametrize("weight", [None, 0.5])
def test_torchscript(client: OipClient, with_boost: bool, weight: float | None) -> None:
    rng = np.random.default_rng(1)
    inputs = {"age": rng.random((5, 1)), "clicks": rng.random((5, 1))}
    if with_boost:
        inputs["boost"] = rng.random((5, 1))
    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    if weight is not None:
        inputs["weight"] = tensors["weight"] = np.array([weight])
        tensors["weight"] = weight
    expected = Scripted()(**{"boost": None, **tensors})
    outputs = client.infer("scripted", inputs).outputs
    assert np.array_equal(outputs["score"], expected.score.numpy())
    assert np.array_equal(outputs["rank"], expected.rank.numpy())


@pytest.mark.parametrize("rows", [1, 7])
def test_exported_program(client: OipClient, rows: int) -> None:
    rng = np.random.default_rng(2)
    age, first, second, scale = (rng.random((rows, 2), np.float32) for _ in range(4))
    ids = rng.integers(0, 9, (rows, 3))
    sent = {"scale": scale, "ids": ids, "pair[1]": second, "user.age": age, "pair[0]": first, "not.needed": age}
    answer = client.infer("exported", sent)
    torch_of = torch.from_numpy
    expected = Nested()(
        {"user.age": torch_of(age), "ids": torch_of(ids)}, (torch_of(first), torch_of(second)), scale=torch_of(scale)
    )
    assert np.array_equal(answer.outputs["score"], expected["score"].numpy())
    assert np.array_equal(answer.outputs["more[0]"], expected["more"][0].numpy())
    assert np.array_equal(answer.outputs["more[1]"], expected["more"][1].view(torch.uint16).numpy())
    assert [tensor.datatype for tensor in answer.message.outputs] == ["FP32", "INT64", "BF16"]


def test_request_level_features_travel_once(client: OipClient) -> None:
    inputs = ranker_inputs(64)
    inputs["user_age"][:] = 31
    repeated = client.infer("ranker", inputs).outputs["score"]
    once = infer_request("ranker", {**inputs, "user_age": inputs["user_age"][:1]})
    once.inputs[0].parameters["broadcast"].bool_param = True
    assert np.array_equal(client.send(once.SerializeToString()).outputs["score"], repeated)


def test_every_answer_says_by_which_signature(client: OipClient, artifacts: dict[str, Path]) -> None:
    signature = read_signature(artifacts["ranker"])
    metadata = client.infer("ranker", ranker_inputs()).metadata
    assert metadata["trimtab-signature-digest"] == signature.digest
    assert metadata["trimtab-input-digest"] == signature.input_digest
    assert metadata["trimtab-model-version"] == "2"


def test_a_refusal_says_by_which_signature(client: OipClient, artifacts: dict[str, Path]) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        client.infer("ranker", {})
    metadata = dict(refused.value.trailing_metadata())
    assert metadata["trimtab-signature-digest"] == read_signature(artifacts["ranker"]).digest


@pytest.mark.parametrize("method", ["ModelMetadata", "ModelReady", "ServerMetadata", "ServerLive", "ModelInfer"])
def test_malformed_bytes_are_the_callers_fault(client: OipClient, method: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        client.channel.unary_unary(oip.METHODS[method])(b"\x0a\xff", timeout=30)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert f"inference.{method}Request" in refused.value.details()


def test_a_model_that_fails_is_the_leafs_fault(client: OipClient) -> None:
    wrong = {"age": np.ones((2, 1)), "clicks": np.ones((3, 1))}  # TorchScript does not say that the two go together
    with pytest.raises(grpc.RpcError) as failed:
        client.infer("scripted", wrong)
    assert failed.value.code() is grpc.StatusCode.INTERNAL
    assert "scripted:1 failed" in failed.value.details()


@pytest.mark.parametrize("payload", [b"", b"\x0a", b"\xff" * 40, b"\x0a\x06ranker\x2a\xff\x01"])
def test_bytes_that_are_no_request(client: OipClient, payload: bytes) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        client.send(payload)
    assert refused.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)
