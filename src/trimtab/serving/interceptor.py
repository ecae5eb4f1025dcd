"""Make an existing Open Inference Protocol client send only what the model uses.

Two ways, for callers of any generated stub or of bytes. `trimming_channel` hooks the serializer and costs one pass
over the bytes; the interceptors are gRPC's own extension point, which hands out messages and not bytes, so that they
pay for a serialization and a parse of their own. Only `ModelInfer` is touched, and whatever goes wrong, the request is
sent as it was.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from trimtab.errors import missing_extra

try:
    import grpc
except ImportError as problem:
    raise missing_extra("grpcio", "serve", "intercepting gRPC calls") from problem

if TYPE_CHECKING:
    from collections.abc import Callable

_MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer"
_log = logging.getLogger(__name__)


class TrimsPayloads(Protocol):
    """What is needed of a `trimtab.Trimmer`."""

    def trim(self, payload: bytes) -> bytes:
        """The serialized ModelInferRequest without the inputs that its model does not use."""


def trimming_channel(channel: Any, trimmer: TrimsPayloads) -> Any:
    """A channel that trims every ModelInfer request and is otherwise the one given (of `grpc` or of `grpc.aio`).

    Give it to any stub: `GRPCInferenceServiceStub(trimming_channel(channel, trimmer))`.
    """
    return _TrimmingChannel(channel, trimmer)


class TrimInterceptor(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]  # grpc has no types
    """For `grpc.intercept_channel(channel, TrimInterceptor(trimmer))`."""

    def __init__(self, trimmer: TrimsPayloads) -> None:
        self._trimmer = trimmer

    def intercept_unary_unary(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:
        """Send the trimmed request."""
        return continuation(client_call_details, _trimmed_request(self._trimmer, client_call_details.method, request))


class AioTrimInterceptor(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[misc]  # grpc has no types
    """For `grpc.aio.insecure_channel(address, interceptors=[AioTrimInterceptor(trimmer)])`."""

    def __init__(self, trimmer: TrimsPayloads) -> None:
        self._trimmer = trimmer

    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        """Send the trimmed request."""
        trimmed = _trimmed_request(self._trimmer, client_call_details.method, request)
        return await continuation(client_call_details, trimmed)


class _TrimmingChannel:
    """Everything but `unary_unary` is the inner channel's."""

    def __init__(self, channel: Any, trimmer: TrimsPayloads) -> None:
        self._channel = channel
        self._trimmer = trimmer

    def unary_unary(
        self, method: str, request_serializer: Callable[[Any], bytes] | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        """The inner channel's callable; for ModelInfer, its serializer trims."""
        if _is_model_infer(method):
            request_serializer = self._trimming(request_serializer)
        return self._channel.unary_unary(method, request_serializer, *args, **kwargs)

    def _trimming(self, serializer: Callable[[Any], bytes] | None) -> Callable[[Any], bytes]:
        def serialize(request: Any) -> bytes:
            return _trimmed(self._trimmer, request if serializer is None else serializer(request))

        return serialize

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)

    def __enter__(self) -> _TrimmingChannel:
        self._channel.__enter__()
        return self

    def __exit__(self, *exception: object) -> Any:
        return self._channel.__exit__(*exception)

    async def __aenter__(self) -> _TrimmingChannel:
        await self._channel.__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> Any:
        return await self._channel.__aexit__(*exception)


def _is_model_infer(method: str | bytes) -> bool:
    return (method.decode("ascii", "replace") if isinstance(method, bytes) else method) == _MODEL_INFER


def _trimmed(trimmer: TrimsPayloads, payload: bytes) -> bytes:
    try:
        return trimmer.trim(payload)
    except Exception:  # noqa: BLE001  # requests fail open, whatever the trimmer is
        _log.exception("a request is sent untrimmed")
        return payload


def _trimmed_request(trimmer: TrimsPayloads, method: str | bytes, request: Any) -> Any:
    """The request, message or bytes, with only what its model uses."""
    if not _is_model_infer(method):
        return request
    if isinstance(request, bytes):
        return _trimmed(trimmer, request)
    try:
        payload = request.SerializeToString()
        trimmed = _trimmed(trimmer, payload)
        return request if trimmed is payload else type(request).FromString(trimmed)
    except Exception:  # noqa: BLE001  # requests fail open, whatever class the stub uses
        _log.exception("a request is sent untrimmed")
        return request
