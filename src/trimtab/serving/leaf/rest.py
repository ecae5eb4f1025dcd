"""The REST face: the protocol's routes over aiohttp, the repository index of Triton, and `/metrics`."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from trimtab.errors import ConversionError, TrimtabError
from trimtab.serving.leaf.metadata import EXTENSIONS, SERVER_NAME, SERVER_VERSION, model_metadata
from trimtab.serving.leaf.refusals import NotReadyError, UnknownModelError, status_of
from trimtab.serving.leaf.rest_codec import RestRequest, decode_body, encode_answer, infer_payload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trimtab.observing.leaf_metrics import LeafMetrics
    from trimtab.serving.leaf.models import ModelTable, ServedModel
    from trimtab.serving.leaf.scoring import Scorer

log = logging.getLogger(__name__)

_MOST_BYTES_ON_THE_LOOP = 1 << 16
_LONGEST = 300

HEADER_LENGTH = "Inference-Header-Content-Length"


class RestFace:
    """The routes. Every error answers `{"error": "..."}` with the status that says whose it is."""

    def __init__(
        self, scorer: Scorer, table: Callable[[], ModelTable], metrics: LeafMetrics, *, max_message_bytes: int
    ) -> None:
        self._scorer = scorer
        self._table = table
        self._metrics = metrics
        self._max_message_bytes = max_message_bytes

    def app(self) -> web.Application:
        """The application, for an aiohttp runner."""
        app = web.Application(middlewares=[_errors_as_json], client_max_size=self._max_message_bytes)
        app.router.add_get("/v2", self._server_metadata)
        app.router.add_get("/v2/", self._server_metadata)
        app.router.add_get("/v2/health/live", self._live)
        app.router.add_get("/v2/health/ready", self._ready)
        app.router.add_post("/v2/repository/index", self._index)
        for model in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
            app.router.add_get(model, self._model_metadata)
            app.router.add_get(f"{model}/ready", self._model_ready)
            app.router.add_post(f"{model}/infer", self._infer)
        app.router.add_get("/metrics", self._render_metrics)
        return app

    async def _live(self, _request: web.Request) -> web.Response:
        return _json({"live": True})

    async def _ready(self, _request: web.Request) -> web.Response:
        return _json({"ready": self._scorer.ready}, status=200 if self._scorer.ready else 503)

    async def _server_metadata(self, _request: web.Request) -> web.Response:
        return _json({"name": SERVER_NAME, "version": SERVER_VERSION, "extensions": EXTENSIONS})

    async def _model_ready(self, request: web.Request) -> web.Response:
        try:
            model = self._scorer.find(*_named(request))
        except (UnknownModelError, NotReadyError) as error:
            return _json({"error": str(error), "ready": False}, status=status_of(error).http)
        return _json({"name": model.name, "ready": True}, headers=dict(model.headers))

    async def _model_metadata(self, request: web.Request) -> web.Response:
        model = self._scorer.find(*_named(request))
        found = model_metadata(model, self._table())
        tensors = {
            "inputs": [it._asdict() for it in found.inputs],
            "outputs": [it._asdict() for it in found.outputs],
        }
        return _json(found._asdict() | tensors, headers=dict(model.headers))

    async def _index(self, _request: web.Request) -> web.Response:
        """Every version in the repository, with the reason why one is not served."""
        table = self._table()
        rows = [{"name": it.name, "version": str(it.version), "state": "READY", "reason": ""} for it in table.all()]
        served = {(it.name, it.version) for it in table.all()}
        rows += [
            {"name": it.model, "version": str(it.version), "state": "UNAVAILABLE", "reason": it.reason}
            for it in table.refused
            if (it.model, it.version) not in served
        ]
        return _json(rows)

    async def _infer(self, request: web.Request) -> web.Response:
        model = self._scorer.find(*_named(request))
        body = await request.read()
        length = request.headers.get(HEADER_LENGTH)
        # JSON takes some 7 ms per MB. A small body is read here: a thread costs more than it does.
        if len(body) <= _MOST_BYTES_ON_THE_LOOP:
            parsed, payload = _read(model, body, length)
        else:
            parsed, payload = await asyncio.to_thread(_read, model, body, length)
        encode = partial(encode_answer, request=parsed)
        answer = await self._scorer.score(model, payload, encode, remaining_s=_timeout_s(parsed.parameters))
        content, json_length = answer.body
        headers = dict(model.headers)
        if json_length is None:
            return web.Response(body=content, content_type="application/json", headers=headers)
        headers[HEADER_LENGTH] = str(json_length)
        return web.Response(body=content, content_type="application/octet-stream", headers=headers)

    async def _render_metrics(self, _request: web.Request) -> web.Response:
        text = await asyncio.to_thread(self._metrics.render)
        return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


def _read(model: ServedModel, body: bytes, length: str | None) -> tuple[RestRequest, bytes]:
    try:
        parsed, binary = decode_body(body, None if length is None else _header_length(length))
        return parsed, infer_payload(parsed, binary, model.name, str(model.version), model.signature.allowlist)
    except ConversionError as error:
        model.metrics.failed(status_of(error).reason)
        raise


@web.middleware
async def _errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except TrimtabError as error:
        return _json({"error": str(error)}, status=status_of(error).http)
    except web.HTTPRequestEntityTooLarge as error:
        return _json({"error": f"{error.text} Raise --max-message-bytes to take larger ones."}, status=error.status)
    except web.HTTPException as error:
        return _json({"error": f"{error.reason}: {request.method} {request.path}"}, status=error.status)
    except web.RequestPayloadError as error:
        return _json({"error": f"the body cannot be read: {_one_line(error)}"}, status=400)
    except ConnectionError:  # nobody is there to read it; aiohttp would log a traceback
        return _json({"error": "the caller hung up"}, status=400)
    except asyncio.CancelledError:
        raise
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return _json({"error": "internal error; the leaf's log has the details"}, status=500)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:_LONGEST]


def _named(request: web.Request) -> tuple[str, str]:
    return request.match_info["name"], request.match_info.get("version", "")


def _header_length(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ConversionError(where=HEADER_LENGTH, expected="the length of the JSON in bytes", got=repr(text)[:100])
    return int(text)


def _timeout_s(parameters: dict[str, Any]) -> float | None:
    """The request parameter `timeout`, in microseconds as Triton has it: HTTP has no deadline of its own."""
    timeout = parameters.get("timeout")
    if timeout is None:
        return None
    if not isinstance(timeout, int) or isinstance(timeout, bool) or timeout < 0:
        raise ConversionError(where="parameter 'timeout'", expected="microseconds", got=repr(timeout)[:100])
    return timeout / 1e6 if timeout else None


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(value), status=status, content_type="application/json", headers=headers
    )
