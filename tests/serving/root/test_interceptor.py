"""Existing clients, with stubs of their own, send only what the model uses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import grpc
import numpy as np
import pytest
from scripted_leaf import ScriptedLeaf, ScriptedModel
from tritonclient import grpc as triton
from tritonclient.grpc import service_pb2, service_pb2_grpc

from trimtab.protocols import oip
from trimtab.serving.interceptor import AioTrimInterceptor, TrimInterceptor, trimming_channel
from trimtab.trimming.trimmer import Trimmer


@contextmanager
def leaf() -> Iterator[ScriptedLeaf]:
    """A leaf on a loop of its own, for clients that block."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    scripted = ScriptedLeaf({"ctr": ScriptedModel(("age",))})
    asyncio.run_coroutine_threadsafe(scripted.start(), loop).result()
    try:
        yield scripted
    finally:
        asyncio.run_coroutine_threadsafe(scripted.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def request() -> service_pb2.ModelInferRequest:
    message = service_pb2.ModelInferRequest(model_name="ctr")
    for name in ("age", "price", "clicks"):
        message.inputs.add(name=name, datatype="FP32", shape=[2, 1])
        message.raw_input_contents.append(np.float32([1, 2]).tobytes())
    return message


class Broken:
    def trim(self, payload: bytes) -> bytes:
        raise RuntimeError("boom")


TRIMMERS = [(Trimmer.from_allowlist(["age"]), ["age"]), (Broken(), ["age", "price", "clicks"])]


@pytest.mark.parametrize(("trimmer", "sent"), TRIMMERS)
@pytest.mark.parametrize(
    "wrap",
    [trimming_channel, lambda channel, trimmer: grpc.intercept_channel(channel, TrimInterceptor(trimmer))],
    ids=["channel", "interceptor"],
)
def test_blocking_stubs(wrap: Callable[..., Any], trimmer: Any, sent: list[str]) -> None:
    with leaf() as scripted, grpc.insecure_channel(scripted.address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(wrap(channel, trimmer))
        whole = request()
        answer = stub.ModelInfer(whole)
        assert np.frombuffer(answer.raw_output_contents[0], "<f4").tolist() == [1, 2]
        assert stub.ServerLive(service_pb2.ServerLiveRequest()).live
        as_bytes = wrap(channel, trimmer).unary_unary(oip.METHODS["ModelInfer"])
        as_bytes(whole.SerializeToString())
        assert [[tensor.name for tensor in it.inputs] for it in scripted.received] == [sent, sent]
        assert len(whole.inputs) == 3


@pytest.mark.parametrize(("trimmer", "sent"), TRIMMERS)
@pytest.mark.parametrize("intercepting", [False, True])
def test_asyncio_stubs(trimmer: Any, sent: list[str], intercepting: bool) -> None:
    async def main() -> None:
        scripted = await ScriptedLeaf({"ctr": ScriptedModel(("age",))}).start()
        interceptors = [AioTrimInterceptor(trimmer)] if intercepting else []
        inner = grpc.aio.insecure_channel(scripted.address, interceptors=interceptors)
        async with inner if intercepting else trimming_channel(inner, trimmer) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            await stub.ModelInfer(request())
            assert (await stub.ServerLive(service_pb2.ServerLiveRequest())).live
        assert [tensor.name for tensor in scripted.received[0].inputs] == sent
        await scripted.stop()

    asyncio.run(main())


def test_tritonclient_whole() -> None:
    """The client library itself, its stub given a trimming channel."""
    with leaf() as scripted, triton.InferenceServerClient(scripted.address) as client:
        client._client_stub = service_pb2_grpc.GRPCInferenceServiceStub(
            trimming_channel(client._channel, Trimmer.from_allowlist(["age"]))
        )
        values = []
        for name in ("price", "age"):
            value = triton.InferInput(name, [2, 1], "FP32")
            value.set_data_from_numpy(np.ones((2, 1), np.float32))
            values.append(value)
        assert client.infer("ctr", values).as_numpy("score").tolist() == [1, 1]
        assert [tensor.name for tensor in scripted.received[0].inputs] == ["age"]
