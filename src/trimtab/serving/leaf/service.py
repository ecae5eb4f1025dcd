"""The gRPC face: `inference.GRPCInferenceService` over grpc.aio, with requests as bytes.

A ModelInferRequest is never parsed into messages: the converter reads what it needs in place.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from google.protobuf.message import DecodeError

from trimtab.errors import ConversionError, TrimtabError
from trimtab.protocols import oip
from trimtab.protocols.tables import MODEL_INFER_REQUEST
from trimtab.serving.compression import LZ4, PAYLOAD_ENCODING, decompress
from trimtab.serving.leaf.answers import model_infer_response
from trimtab.serving.leaf.metadata import EXTENSIONS, SERVER_NAME, SERVER_VERSION, model_metadata
from trimtab.serving.leaf.refusals import (
    AnswerTooLargeError,
    NotReadyError,
    UnknownModelError,
    UnsupportedEncodingError,
    status_of,
    wire_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from trimtab.serving.leaf.models import ModelTable
    from trimtab.serving.leaf.scoring import Scorer, Scores


class InferenceService:
    """The methods of the service. `max_message_bytes` bounds what a compressed payload may become."""

    def __init__(self, scorer: Scorer, table: Callable[[], ModelTable], *, max_message_bytes: int) -> None:
        self._scorer = scorer
        self._table = table
        self._max_message_bytes = max_message_bytes
        self._message_table = MODEL_INFER_REQUEST.compiled

    def handler(self) -> grpc.GenericRpcHandler:
        """For `grpc.aio.Server.add_generic_rpc_handlers`."""
        methods = {
            "ServerLive": self._answering(oip.ServerLiveRequest, self._server_live),
            "ServerReady": self._answering(oip.ServerReadyRequest, self._server_ready),
            "ServerMetadata": self._answering(oip.ServerMetadataRequest, self._server_metadata),
            "ModelReady": self._answering(oip.ModelReadyRequest, self._model_ready),
            "ModelMetadata": self._answering(oip.ModelMetadataRequest, self._model_metadata),
            "ModelInfer": grpc.unary_unary_rpc_method_handler(self._model_infer),
        }
        return grpc.method_handlers_generic_handler(oip.SERVICE, methods)

    async def _model_infer(self, payload: bytes, context: Any) -> bytes:
        model = None
        try:
            payload = await self._plain(payload, context)
            named = self._message_table.identify(payload)
            if named is None:
                raise ConversionError(expected="a serialized inference.ModelInferRequest", got="malformed bytes")
            model = self._scorer.find(named[0].decode("utf-8", "replace"), named[1].decode("utf-8", "replace"))
            remaining = context.time_remaining()
            answer = await self._scorer.score(model, payload, self._encode, remaining_s=remaining)
        except TrimtabError as error:
            await _abort(context, error, model.headers if model else ())
        await context.send_initial_metadata(answer.model.headers)
        return answer.body

    def _encode(self, scores: Scores) -> bytes:
        body = model_infer_response(scores)
        if (
            len(body) > self._max_message_bytes
        ):  # gRPC would refuse it too, with a traceback and after a success was counted
            raise AnswerTooLargeError(
                f"the answer of {scores.model} is too large",
                expected=f"at most {self._max_message_bytes} bytes",
                got=f"{len(body)}",
                hint="Ask for fewer candidates or outputs at once, or raise --max-message-bytes.",
            )
        return body

    async def _plain(self, payload: bytes, context: Any) -> bytes:
        """The payload as it was before the sender compressed it."""
        for key, encoding in context.invocation_metadata() or ():
            if key == PAYLOAD_ENCODING:
                if encoding != LZ4:
                    raise UnsupportedEncodingError(where=PAYLOAD_ENCODING, expected=LZ4, got=repr(encoding)[:100])
                return await asyncio.to_thread(decompress, payload, limit=self._max_message_bytes)
        return payload

    def _server_live(self, _request: Any) -> Any:
        return oip.ServerLiveResponse(live=True)

    def _server_ready(self, _request: Any) -> Any:
        return oip.ServerReadyResponse(ready=self._scorer.ready)

    def _server_metadata(self, _request: Any) -> Any:
        return oip.ServerMetadataResponse(name=SERVER_NAME, version=SERVER_VERSION, extensions=EXTENSIONS)

    def _model_ready(self, request: Any) -> Any:
        try:
            self._scorer.find(request.name, request.version)
        except (UnknownModelError, NotReadyError):
            return oip.ModelReadyResponse(ready=False)
        return oip.ModelReadyResponse(ready=True)

    def _model_metadata(self, request: Any) -> Any:
        table = self._table()
        found = model_metadata(self._scorer.find(request.name, request.version), table)
        answer = oip.ModelMetadataResponse(name=found.name, versions=found.versions, platform=found.platform)
        for tensors, values in ((answer.inputs, found.inputs), (answer.outputs, found.outputs)):
            for value in values:
                tensors.add(name=value.name, datatype=value.datatype, shape=value.shape)
        return answer

    def _answering(self, request_class: Any, answer: Callable[[Any], Any]) -> grpc.RpcMethodHandler:
        async def method(payload: bytes, context: Any) -> Any:
            try:
                return answer(_parsed(request_class, payload)).SerializeToString()
            except TrimtabError as error:
                await _abort(context, error)

        return grpc.unary_unary_rpc_method_handler(method)


def _parsed(request_class: Any, payload: bytes) -> Any:
    try:
        return request_class.FromString(payload)
    except DecodeError:
        name = request_class.DESCRIPTOR.full_name
        raise ConversionError(expected=f"a serialized {name}", got="malformed bytes") from None


async def _abort(context: Any, error: TrimtabError, headers: tuple[tuple[str, str], ...] = ()) -> NoReturn:
    await context.abort(grpc.StatusCode[status_of(error).grpc], wire_text(error), headers)
    raise AssertionError("abort raises")
