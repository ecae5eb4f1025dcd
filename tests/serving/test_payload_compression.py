"""Payloads as lz4 blocks: both directions, and what is refused before it costs anything."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

import grpc
import lz4.block
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.errors import MissingExtraError
from trimtab.serving.compression import PAYLOAD_ENCODING, PayloadEncodingError, compress, decompress

if TYPE_CHECKING:
    from pathlib import Path

    from processes import ServerProcess


@given(st.binary(max_size=4000))
def test_round_trip(payload: bytes) -> None:
    assert decompress(compress(payload), limit=4000) == payload


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_any_bytes_give_a_payload_or_our_error(block: bytes) -> None:
    with contextlib.suppress(PayloadEncodingError):
        assert len(decompress(block, limit=1000)) <= 1000


def test_the_stated_size_is_believed_only_up_to_the_limit() -> None:
    bomb = lz4.block.compress(bytes(1 << 20), store_size=True)
    assert len(bomb) < 5000
    with pytest.raises(PayloadEncodingError, match="at most 1000 bytes uncompressed, got 1048576"):
        decompress(bomb, limit=1000)


def test_without_lz4_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lz4.block", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'trimtab\[lz4\]'"):
        compress(b"")


@pytest.fixture(scope="module")
def leaf(artifacts: dict[str, Path], tmp_path_factory: pytest.TempPathFactory):
    from processes import leaf_process
    from small_models import deploy

    folder = tmp_path_factory.mktemp("lz4")
    deploy(artifacts["ranker"], folder / "models", "ranker", 1)
    with leaf_process(folder / "models", "--max-message-bytes", "100000", folder=folder) as process:
        yield process


def test_a_leaf_takes_compressed_payloads(leaf: ServerProcess) -> None:
    from oip_client import OipClient, infer_request
    from small_models import ranker_inputs, ranker_score

    inputs = ranker_inputs(64)
    payload = infer_request("ranker", inputs).SerializeToString()
    with OipClient(leaf.grpc) as client:
        answer = client.send(compress(payload), metadata=[(PAYLOAD_ENCODING, "lz4")])
        assert answer.outputs["score"].tolist() == ranker_score(inputs).tolist()
        for block, encoding, code in (
            (payload, "zstd", grpc.StatusCode.UNIMPLEMENTED),
            (payload, "lz4", grpc.StatusCode.INVALID_ARGUMENT),
            (compress(bytes(1 << 20)), "lz4", grpc.StatusCode.INVALID_ARGUMENT),
        ):
            with pytest.raises(grpc.RpcError) as refused:
                client.send(block, metadata=[(PAYLOAD_ENCODING, encoding)])
            assert refused.value.code() is code
