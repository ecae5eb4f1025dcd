"""The leaves behind a root: which models live where, and one call to the right one.

Scoring changes nothing on a leaf, so a call that a leaf was not there to answer is safe to repeat: once, within the
deadline, on another leaf where there is one. A gRPC server that closes answers CANCELLED for calls that it never ran;
cancellation by this process is asyncio.CancelledError and never comes this way.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import DecodeError

from trimtab.converting.requests import BROADCAST_EXTENSION
from trimtab.errors import TrimtabError
from trimtab.protocols import oip
from trimtab.serving.compression import LZ4, PAYLOAD_ENCODING, compress
from trimtab.serving.headers import MODEL_VERSION, SIGNATURE_DIGEST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trimtab.serving.root.request import ModelRef
    from trimtab.serving.tls import ClientTls

_log = logging.getLogger(__name__)
_NOT_THERE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
"""What a call that no leaf has run may end with."""
_ASKING_TAKES_AT_MOST_S = 2.0
_PLACES_HOLD_S = 30.0
_MOST_PLACES = 4096


@dataclass(frozen=True, slots=True)
class LeafAddress:
    """Where a leaf listens, and the one model it is for; empty: ask it what it has."""

    address: str
    model: str = ""

    @classmethod
    def parse(cls, text: str) -> LeafAddress:
        """From `HOST:PORT` or `MODEL=HOST:PORT`. Raises TrimtabError."""
        model, equals, address = text.rpartition("=")
        port = address.rpartition(":")[2]
        if not address or not port.isdigit() or (equals and not model):
            raise TrimtabError(where="--leaf", expected="HOST:PORT or MODEL=HOST:PORT", got=repr(text))
        return cls(address, model)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a leaf answered: a serialized ModelInferResponse, and the signature digest that it states, if any."""

    payload: bytes
    signature_digest: str
    bytes_sent: int


class CallFailure(Exception):  # noqa: N818  # a fact of one model's result, not an error of this program
    """A model could not be scored. code: a gRPC status code's name. version, signature_digest: as the leaf stated."""

    def __init__(self, code: str, message: str, version: str = "", signature_digest: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.version = version
        self.signature_digest = signature_digest


class Leaf:
    """One leaf: a channel to it and what it says that it can do."""

    def __init__(self, where: LeafAddress, tls: ClientTls | None, max_message_bytes: int) -> None:
        self.address = where.address
        self.model = where.model
        options = _channel_options(max_message_bytes)
        if tls is None:
            self.channel = grpc.aio.insecure_channel(where.address, options)
        else:
            self.channel = grpc.aio.secure_channel(where.address, tls.grpc_credentials(), options)
        self._infer = self.channel.unary_unary(oip.METHODS["ModelInfer"])
        self._ready = self.channel.unary_unary(oip.METHODS["ModelReady"])
        self._metadata = self.channel.unary_unary(oip.METHODS["ServerMetadata"])
        self._broadcasts: bool | None = None

    async def broadcasts(self, timeout: float) -> bool:
        """Whether it takes request-level inputs once. Asked once, and again after it was away; no answer means no."""
        if self._broadcasts is None:
            try:
                answer = await self._metadata(b"", timeout=min(timeout, _ASKING_TAKES_AT_MOST_S))
                self._broadcasts = BROADCAST_EXTENSION in oip.ServerMetadataResponse.FromString(answer).extensions
            except (grpc.aio.AioRpcError, DecodeError):
                return False
        return self._broadcasts

    async def has(self, model: ModelRef, timeout: float) -> bool | None:
        """Whether it serves a model; None when it cannot be reached."""
        request = oip.ModelReadyRequest(name=model.name, version=model.version).SerializeToString()
        try:
            answer = await self._ready(request, timeout=min(timeout, _ASKING_TAKES_AT_MOST_S))
            return bool(oip.ModelReadyResponse.FromString(answer).ready)
        except grpc.aio.AioRpcError as problem:
            unreachable = (*_NOT_THERE, grpc.StatusCode.DEADLINE_EXCEEDED)
            return None if problem.code() in unreachable else False
        except DecodeError:
            return False

    async def infer(self, payload: bytes, timeout: float, compression: str) -> Answer:
        """Send a serialized ModelInferRequest. Raises grpc.aio.AioRpcError."""
        metadata: tuple[tuple[str, str], ...] = ()
        if compression == LZ4:
            payload = compress(payload)
            metadata = ((PAYLOAD_ENCODING, LZ4),)
        call = self._infer(payload, timeout=timeout, metadata=metadata)
        try:
            answer = await call
        except grpc.aio.AioRpcError as problem:
            if problem.code() in _NOT_THERE:
                self._broadcasts = None
            raise
        stated = await call.initial_metadata()
        return Answer(answer, _text_of(stated, SIGNATURE_DIGEST), len(payload))


class Leaves:
    """All leaves of a root. Which of them has a model is asked when it is first needed, and again when it has moved."""

    def __init__(
        self,
        addresses: Sequence[LeafAddress],
        *,
        tls: ClientTls | None = None,
        max_message_bytes: int = 256 << 20,
        compression: str = "none",
    ) -> None:
        """Make the channels; nothing is sent. `compression`: none, or lz4 of each payload."""
        if not addresses:
            raise TrimtabError(where="--leaf", expected="at least one leaf", got="none")
        self._leaves = [Leaf(where, tls, max_message_bytes) for where in addresses]
        self._compression = compression
        self._places: dict[ModelRef, tuple[tuple[Leaf, ...], float]] = {}
        self._turn = itertools.count()

    async def infer(self, model: ModelRef, build: Callable[[Leaf, bool], bytes], deadline: float) -> Answer:
        """Score on a leaf that has the model. deadline: of `time.monotonic`.

        build: makes the payload for a leaf, given whether it takes request-level inputs once.
        Raises CallFailure, and whatever `build` raises.
        """
        moved = False
        tried: list[Leaf] = []
        while True:
            leaf = await self._pick(model, tried, deadline)
            broadcast = await leaf.broadcasts(_left(deadline))
            payload = build(leaf, broadcast)
            try:
                return await leaf.infer(payload, _left(deadline), self._compression)
            except grpc.aio.AioRpcError as problem:
                code = problem.code()
                if code in _NOT_THERE and not tried and deadline > time.monotonic():
                    _log.info("%s did not answer for %s; once more: %s", leaf.address, model, problem.details())
                    self._places.pop(model, None)
                    tried.append(leaf)
                elif code is grpc.StatusCode.NOT_FOUND and not moved and self._places.pop(model, None) is not None:
                    moved = True
                else:
                    raise _failure(leaf, problem) from problem

    async def close(self) -> None:
        """Close the channels."""
        await asyncio.gather(*(leaf.channel.close(None) for leaf in self._leaves))

    async def _pick(self, model: ModelRef, tried: Sequence[Leaf], deadline: float) -> Leaf:
        places = await self._find(model, deadline)
        fresh = [leaf for leaf in places if leaf not in tried] or places
        return fresh[next(self._turn) % len(fresh)]

    async def _find(self, model: ModelRef, deadline: float) -> Sequence[Leaf]:
        named = [leaf for leaf in self._leaves if leaf.model == model.name]
        open_to_all = [leaf for leaf in self._leaves if not leaf.model]
        if named or len(open_to_all) == 1:
            return named or open_to_all
        places, until = self._places.get(model, ((), 0.0))
        if places and until > time.monotonic():
            return places
        has = await asyncio.gather(*(leaf.has(model, _left(deadline)) for leaf in open_to_all))
        found = tuple(leaf for leaf, answer in zip(open_to_all, has, strict=True) if answer)
        if found:
            if len(self._places) >= _MOST_PLACES:
                self._places.clear()
            self._places[model] = (found, time.monotonic() + _PLACES_HOLD_S)
            return found
        asked = ", ".join(leaf.address for leaf in open_to_all) or "none that takes any model"
        if None in has:
            away = ", ".join(leaf.address for leaf, answer in zip(open_to_all, has, strict=True) if answer is None)
            raise CallFailure("UNAVAILABLE", f"no leaf that answers has {model} (asked {asked}; no answer from {away})")
        raise CallFailure("NOT_FOUND", f"no leaf has {model} (asked {asked})")


def _left(deadline: float) -> float:
    """Seconds until the deadline; a little above zero when it has passed, so that gRPC answers for it."""
    return max(deadline - time.monotonic(), 0.001)


def _failure(leaf: Leaf, problem: grpc.aio.AioRpcError) -> CallFailure:
    code = problem.code().name
    stated = (*(problem.initial_metadata() or ()), *(problem.trailing_metadata() or ()))
    details = problem.details() or "no details"
    if code == "DEADLINE_EXCEEDED":
        details = f"no answer before the deadline ({details})"
    return CallFailure(
        code, f"leaf {leaf.address}: {details}", _text_of(stated, MODEL_VERSION), _text_of(stated, SIGNATURE_DIGEST)
    )


def _text_of(metadata: Any, key: str) -> str:
    for name, value in metadata or ():
        if name == key:
            return value if isinstance(value, str) else bytes(value).decode("ascii", "replace")
    return ""


def _channel_options(max_message_bytes: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # A leaf that was restarted is found again at once, not after gRPC's two minutes.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        ("grpc.use_local_subchannel_pool", 1),
    ]
