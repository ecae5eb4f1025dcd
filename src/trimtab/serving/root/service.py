"""The root over gRPC: `trimtab.score.v1.Root/Score`, bytes in and bytes out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import grpc

from trimtab.errors import ConversionError
from trimtab.protocols import score
from trimtab.serving.root.admission import RefusedRequest
from trimtab.serving.root.request import decode_call

if TYPE_CHECKING:
    from trimtab.serving.root.admission import Admission
    from trimtab.serving.root.scoring import Scorer, Scores

_LONGEST_DETAILS = 2000
"""Error texts travel in response metadata, which gRPC limits to 8 KiB."""


class ScoreService:
    """Handles Score calls. deadline_s: for requests that state none and whose caller set none."""

    def __init__(self, scorer: Scorer, admission: Admission, deadline_s: float) -> None:
        self._scorer = scorer
        self._admission = admission
        self._deadline_s = deadline_s

    def handler(self) -> grpc.GenericRpcHandler:
        """To be added to a grpc.aio server."""
        method = grpc.unary_unary_rpc_method_handler(self._score)
        return grpc.method_handlers_generic_handler(score.SERVICE, {"Score": method})

    async def _score(self, payload: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        try:
            with self._admission.admit():
                call = decode_call(payload)
                given = call.deadline_ms / 1e3 if call.deadline_ms else self._deadline_s
                remaining = context.time_remaining()
                seconds = given if remaining is None else min(given, remaining)
                return encode_scores(await self._scorer.score(call, time.monotonic() + seconds))
        except RefusedRequest as refusal:
            await context.abort(grpc.StatusCode[refusal.code], refusal.message)
        except ConversionError as problem:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(problem)[:_LONGEST_DETAILS])
        raise AssertionError("abort does not return")


def encode_scores(scores: Scores) -> bytes:
    """The serialized ScoreResponse."""
    message = score.ScoreResponse(id=scores.id, unknown_candidates=scores.unknown_candidates)
    for result in scores.results:
        added = message.results.add(
            model_name=result.model.name,
            model_version=result.version,
            signature_digest=result.signature_digest,
            outcome=result.outcome,
            bytes_sent=result.bytes_sent,
            latency_us=result.latency_us,
        )
        for output in result.outputs:
            added.outputs.add(name=output.name, datatype=output.datatype, shape=output.shape, raw=output.raw)
        if result.code:
            added.error.code = result.code
            added.error.message = result.message
    encoded: bytes = message.SerializeToString()
    return encoded
