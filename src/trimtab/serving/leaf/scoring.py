"""One request on its way through the leaf: find the model, be admitted, convert, predict, encode.

Both faces, gRPC and REST, come through here; they differ in how a payload arrives and in how scores are written.
Conversion and encoding run on the engine thread too, so that one large request never stops the event loop.
"""

from __future__ import annotations

import asyncio
import logging
from difflib import get_close_matches
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from trimtab.errors import ConversionError, TrimtabError
from trimtab.observing.leaf_metrics import Durations
from trimtab.serving.leaf.refusals import DeadlinePassedError, EngineFailedError, NotReadyError, status_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from trimtab.converting.requests import RequestHeader
    from trimtab.observing.leaf_metrics import LeafMetrics
    from trimtab.serving.leaf.admission import Admission
    from trimtab.serving.leaf.engines.engine import OutputArray
    from trimtab.serving.leaf.models import ModelTable, ServedModel

log = logging.getLogger(__name__)

_T = TypeVar("_T")


class Scores(NamedTuple):
    """What a model gave for one request, before it is written for the wire."""

    model: ServedModel
    header: RequestHeader
    outputs: dict[str, OutputArray]


class Answer(NamedTuple, Generic[_T]):
    """An encoded answer and the model version that gave it."""

    model: ServedModel
    body: _T


class Scorer:
    """Scores requests against the table of models in force when each of them arrives."""

    def __init__(self, table: Callable[[], ModelTable], admission: Admission, metrics: LeafMetrics) -> None:
        self._table = table
        self._admission = admission
        self._metrics = metrics
        self.ready = False
        """Set once the repository was looked at, and unset when the leaf begins to stop."""

    def find(self, name: str, version: str) -> ServedModel:
        """The model version that a request means. NotReadyError, UnknownModelError."""
        if not self.ready:
            raise NotReadyError(
                "the leaf is not ready", expected="loaded models", got="a leaf that is starting or stopping"
            )
        try:
            return self._table().find(name, version)
        except TrimtabError:
            self._metrics.unknown_model.inc()
            raise

    async def score(
        self, model: ServedModel, payload: bytes, encode: Callable[[Scores], _T], *, remaining_s: float | None
    ) -> Answer[_T]:
        """Score a serialized ModelInferRequest and encode the scores.

        remaining_s: seconds until the caller gives up; work whose time has passed in the queue is not run. Raises what
        `refusals` names, and ConversionError.
        """
        job = _Job(model, payload, encode, None if remaining_s is None else monotonic() + remaining_s)
        model.metrics.waits()
        try:
            future = self._admission.submit(job)
        except TrimtabError as error:
            model.metrics.leaves_queue()
            model.metrics.failed(status_of(error).reason)
            raise
        future.add_done_callback(lambda _: None if job.started else model.metrics.leaves_queue())
        try:
            async with asyncio.timeout(remaining_s):
                return Answer(model, await asyncio.wrap_future(future))
        except TimeoutError:
            late = job.too_late()
            model.metrics.failed(status_of(late).reason)
            raise late from None
        except TrimtabError as error:
            model.metrics.failed(status_of(error).reason)
            raise
        except asyncio.CancelledError:
            model.metrics.failed("cancelled")
            raise


class _Job(Generic[_T]):
    """The part of a request that runs on an engine thread."""

    def __init__(
        self, model: ServedModel, payload: bytes, encode: Callable[[Scores], _T], deadline: float | None
    ) -> None:
        self.started = False
        self._model = model
        self._payload = payload
        self._encode = encode
        self._deadline = deadline
        self._admitted = perf_counter()

    def __call__(self) -> _T:
        model = self._model
        self.started = True
        model.metrics.leaves_queue()
        if self._deadline is not None and monotonic() >= self._deadline:
            raise self.too_late()
        begun = perf_counter()
        converted = model.converter.from_request(self._payload)
        header = converted.request
        assert header is not None
        wanted = _requested(model, header)
        arrays = {name: _aligned(array) for name, array in converted.arrays.items()}
        converted_at = perf_counter()
        try:
            outputs = model.engine.run(arrays, wanted)
        except Exception as error:
            log.exception("%s failed", model)
            raise EngineFailedError(
                f"{model} failed on a request that fits its signature", got=f"{type(error).__name__}: {error}"
            ) from error
        if missing := wanted.difference(outputs):
            raise ConversionError(f"{model} gave no output {min(missing)!r}", got=", ".join(outputs))
        predicted_at = perf_counter()
        body = self._encode(Scores(model, header, outputs))
        took = Durations(
            queue=begun - self._admitted,
            convert=converted_at - begun,
            predict=predicted_at - converted_at,
            encode=perf_counter() - predicted_at,
        )
        model.metrics.succeeded(converted.batch or 1, took)
        return body

    def too_late(self) -> DeadlinePassedError:
        return DeadlinePassedError(
            f"the deadline of a request for {self._model} passed {'while it ran' if self.started else 'in the queue'}",
            hint="The leaf is slower than the caller waits: add leaves, or ask for fewer candidates at once.",
        )


def _requested(model: ServedModel, header: RequestHeader) -> frozenset[str]:
    wanted = frozenset(output.name for output in header.outputs)
    unknown = sorted(wanted - model.outputs) if model.outputs else []
    if unknown:
        near = get_close_matches(unknown[0], model.outputs, n=1)
        raise ConversionError(
            where=f"request for {model}",
            expected=f"outputs among {', '.join(sorted(model.outputs))[:_LONGEST]}",
            got=repr(unknown[0][:_LONGEST]),
            hint=f"Is {near[0]!r} meant?" if near else "",
        )
    return wanted


def _aligned(array: np.ndarray) -> np.ndarray:
    # Tensors lie anywhere in a request. Frameworks are compiled for elements at multiples of their size, and vectorized
    # loops may crash on others; the copy is of what the model reads anyway.
    return array if array.flags.aligned else array.copy()


_LONGEST = 1000
