"""The root over HTTP: scores as JSON, health, metrics, and what the map in force says."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from trimtab.errors import ConversionError
from trimtab.serving.root.admission import RefusedRequest
from trimtab.serving.root.request import call_from_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trimtab.bundles.loading.loader import BundleLoader
    from trimtab.observing.root_metrics import RootMetrics
    from trimtab.serving.root.admission import Admission
    from trimtab.serving.root.request import ScoreCall
    from trimtab.serving.root.scoring import ModelScore, Scorer

_log = logging.getLogger(__name__)

_MOST_BYTES_ON_THE_LOOP = 1 << 16
_STATUS = {"RESOURCE_EXHAUSTED": 429, "UNAVAILABLE": 503}
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class HttpFace:
    """Handlers of the root's HTTP port. Errors are `{"error": {"code", "message"}}` with the fitting status."""

    def __init__(
        self, scorer: Scorer, admission: Admission, loader: BundleLoader, metrics: RootMetrics, deadline_s: float
    ) -> None:
        self._scorer = scorer
        self._admission = admission
        self._loader = loader
        self._metrics = metrics
        self._deadline_s = deadline_s

    def application(self, max_message_bytes: int) -> web.Application:
        """The aiohttp application."""
        application = web.Application(middlewares=[_errors_as_json], client_max_size=max_message_bytes)
        application.add_routes(
            [
                web.post("/v1/score", self._score),
                web.get("/v1/models", self._models),
                web.get("/healthz", self._health),
                web.get("/readyz", self._ready),
                web.get("/metrics", self._render_metrics),
            ]
        )
        return application

    async def _score(self, request: web.Request) -> web.Response:
        try:
            with self._admission.admit():
                try:
                    body = await request.read()
                except web.RequestPayloadError as problem:
                    raise ConversionError("the body cannot be read", got=" ".join(str(problem).split())) from problem
                small = len(body) <= _MOST_BYTES_ON_THE_LOOP  # a thread costs more than reading a small one
                call = _read(body) if small else await asyncio.to_thread(_read, body)
                seconds = call.deadline_ms / 1e3 if call.deadline_ms else self._deadline_s
                scores = await self._scorer.score(call, time.monotonic() + seconds)
        except RefusedRequest as refusal:
            return _json({"error": {"code": refusal.code, "message": refusal.message}}, _STATUS[refusal.code])
        except web.HTTPRequestEntityTooLarge:
            text = f"the body has more bytes than --max-message-bytes allows ({request.client_max_size})"
            return _json({"error": {"code": "RESOURCE_EXHAUSTED", "message": text}}, 413)
        except ConversionError as problem:
            return _json({"error": {"code": "INVALID_ARGUMENT", "message": str(problem)}}, 400)
        results = [_result(result) for result in scores.results]
        return _json({"id": scores.id, "results": results, "unknown_candidates": scores.unknown_candidates})

    async def _models(self, _: web.Request) -> web.Response:
        current = self._loader.current
        models = {
            name: {"versions": model.versions, "latest": model.latest, "attested_stable": model.attested_stable}
            for name, model in current.models.items()
        }
        bundles = [
            {**msgspec.to_builtins(status), "created": current.bundles[status.name].created}
            if status.name in current.bundles
            else msgspec.to_builtins(status)
            for status in self._loader.statuses
        ]
        return _json(
            {"bundles": bundles, "models": models, "outcomes": dict(self._scorer.outcomes), "notes": current.notes}
        )

    async def _health(self, _: web.Request) -> web.Response:
        return _json({"live": True})

    async def _ready(self, _: web.Request) -> web.Response:
        return _json({"ready": self._admission.open}, 200 if self._admission.open else 503)

    async def _render_metrics(self, _: web.Request) -> web.Response:
        text = await asyncio.to_thread(self._metrics.render)
        return web.Response(body=text, headers={"Content-Type": _METRICS_TYPE})


def _read(body: bytes) -> ScoreCall:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise ConversionError("the body is not JSON", got=str(problem)) from problem
    return call_from_json(document)


@web.middleware
async def _errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as problem:
        code = "NOT_FOUND" if problem.status == 404 else "INVALID_ARGUMENT"
        message = f"{problem.reason}: {request.method} {request.path}"
        return _json({"error": {"code": code, "message": message}}, problem.status)
    except ConnectionError:  # nobody is there to read it; aiohttp would log a traceback
        return _json({"error": {"code": "CANCELLED", "message": "the caller hung up"}}, 400)
    except Exception:  # noqa: BLE001  # a bug is logged, and answered like every other error
        _log.exception("%s %s failed", request.method, request.path)
        text = "internal error; the root's log has the details"
        return _json({"error": {"code": "INTERNAL", "message": text}}, 500)


def _result(result: ModelScore) -> dict[str, Any]:
    document: dict[str, Any] = {
        "model": result.model.name,
        "version": result.version,
        "outcome": result.outcome,
        "signature_digest": result.signature_digest,
        "bytes_sent": result.bytes_sent,
        "latency_us": result.latency_us,
    }
    if result.code:
        document["error"] = {"code": result.code, "message": result.message}
    else:
        document["outputs"] = [
            {"name": it.name, "datatype": it.datatype, "shape": it.shape, "data": it.values()} for it in result.outputs
        ]
    return document


def _json(document: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), status=status, content_type="application/json")
