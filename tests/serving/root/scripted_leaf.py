"""A leaf whose behavior a test scripts: what a real one does only when something is wrong with it.

It speaks the Open Inference Protocol and scores for real: each candidate's score is the sum of all values of the
inputs that its model uses. Slowness, lies about digests and refusals are told to it. Where a real leaf can be had,
tests use that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc
import numpy as np

from trimtab.protocols import oip
from trimtab.serving.headers import MODEL_VERSION, SIGNATURE_DIGEST

NUMPY = {"FP32": "<f4", "INT64": "<i8", "BOOL": "?", "FP64": "<f8"}


@dataclass
class ScriptedModel:
    uses: tuple[str, ...]
    digest: str = ""
    delay_s: float = 0.0
    refusal: tuple[grpc.StatusCode, str] | None = None
    version: str = "1"


@dataclass
class ScriptedLeaf:
    models: dict[str, ScriptedModel]
    broadcasts: bool = False
    received: list[oip.ModelInferRequest] = field(default_factory=list)
    received_bytes: int = 0
    address: str = ""

    async def start(self, port: int = 0) -> ScriptedLeaf:
        self._server = grpc.aio.server(
            options=[("grpc.max_receive_message_length", 64 << 20), ("grpc.so_reuseport", 0)]
        )
        handlers = {
            "ServerLive": lambda _, __: oip.ServerLiveResponse(live=True),
            "ServerMetadata": lambda _, __: oip.ServerMetadataResponse(
                name="scripted", extensions=["trimtab_broadcast"] if self.broadcasts else []
            ),
            "ModelReady": self._ready,
            "ModelInfer": self._infer,
        }
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(oip.SERVICE, {k: _method(h) for k, h in handlers.items()}),)
        )
        self.address = f"127.0.0.1:{self._server.add_insecure_port(f'127.0.0.1:{port}')}"
        await self._server.start()
        return self

    async def stop(self, grace: float | None = None) -> None:
        await self._server.stop(grace)

    def _ready(self, payload: bytes, _: object) -> oip.ModelReadyResponse:
        return oip.ModelReadyResponse(ready=oip.ModelReadyRequest.FromString(payload).name in self.models)

    async def _infer(self, payload: bytes, context: grpc.aio.ServicerContext) -> oip.ModelInferResponse:
        request = oip.ModelInferRequest.FromString(payload)
        self.received.append(request)
        self.received_bytes += len(payload)
        model = self.models.get(request.model_name)
        if model is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no model {request.model_name}")
        if model.delay_s:
            await asyncio.sleep(model.delay_s)
        if model.digest:
            await context.send_initial_metadata(((SIGNATURE_DIGEST, model.digest), (MODEL_VERSION, model.version)))
        if model.refusal:
            await context.abort(*model.refusal)
        inputs = {
            tensor.name: (tensor, raw) for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True)
        }
        lacking = [name for name in model.uses if name not in inputs]
        if lacking:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f'input "{lacking[0]}" is missing')
        total = np.zeros(1)
        for name in sorted(model.uses):
            tensor, raw = inputs[name]
            values = np.frombuffer(raw, NUMPY[tensor.datatype]).reshape(tuple(tensor.shape))
            total = total + values.reshape(len(values), -1).sum(axis=1, dtype=np.float64)
        scores = total.astype("<f4")
        return oip.ModelInferResponse(
            model_name=request.model_name,
            model_version=model.version,
            outputs=[{"name": "score", "datatype": "FP32", "shape": [len(scores)]}],
            raw_output_contents=[scores.tobytes()],
        )


def _method(handle: Callable[..., object]) -> grpc.RpcMethodHandler:
    async def call(payload: bytes, context: grpc.aio.ServicerContext) -> bytes:
        answer = handle(payload, context)
        if asyncio.iscoroutine(answer):
            answer = await answer
        return answer.SerializeToString()

    return grpc.unary_unary_rpc_method_handler(call)
