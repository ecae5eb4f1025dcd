"""Answer a score request: plan, fetch the union, build, fan out, gather.

Every model has a result of its own, scores or an error that says why; one model's failure is never another's, and
never the request's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trimtab.errors import TrimtabError
from trimtab.serving.root.answers import OutputTensor, decode_answer
from trimtab.serving.root.leaves import CallFailure, Leaves
from trimtab.serving.root.planning import DIGEST_MISMATCH, ModelLayout, Plan, Planner
from trimtab.trimming.building import RequestBuilder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimtab.observing.root_metrics import RootMetrics
    from trimtab.serving.root.fetching import Features, Fetcher
    from trimtab.serving.root.leaves import Leaf
    from trimtab.serving.root.request import ModelRef, ScoreCall
    from trimtab.serving.root.shadow import Shadow

_log = logging.getLogger(__name__)
_FETCHING_TAKES_AT_MOST = 0.5
"""Share of the time left: models that do not need a view that hangs can still be scored."""


@dataclass(frozen=True, slots=True)
class ModelScore:
    """One model's result: outputs, or a code (a gRPC status code's name) and a message.

    version: the one that answered. outcome: how the allowlist was found. bytes_sent: of the request, 0 if none was.
    """

    model: ModelRef
    version: str
    outcome: str
    outputs: tuple[OutputTensor, ...] = ()
    code: str = ""
    message: str = ""
    signature_digest: str = ""
    bytes_sent: int = 0
    latency_us: int = 0


@dataclass(frozen=True, slots=True)
class Scores:
    """The answer to a call: one result per model, in the order asked for, and the candidates that no view knows."""

    id: str
    results: tuple[ModelScore, ...]
    unknown_candidates: tuple[str, ...]


class Scorer:
    """Ties planner, fetcher, builder and leaves together. Used from one event loop. outcomes: look-ups so far.

    shadow: what samples requests to compare trimmed with untrimmed scores, if anything does.
    """

    def __init__(
        self, planner: Planner, fetcher: Fetcher, leaves: Leaves, metrics: RootMetrics, shadow: Shadow | None = None
    ) -> None:
        self.planner = planner
        self.fetcher = fetcher
        self.leaves = leaves
        self.metrics = metrics
        self.shadow = shadow
        self.outcomes: Counter[str] = Counter()
        self._builder = RequestBuilder()

    async def score(self, call: ScoreCall, deadline: float) -> Scores:
        """Score the candidates with every model. deadline: of `time.monotonic`. Never raises for what a tier does."""
        plans = [self.planner.plan(model) for model in call.models]
        results, unknown = await self._score(call, plans, deadline)
        again = [at for at, result in enumerate(results) if self._deserves_untrimmed(plans[at], result)]
        if again and deadline > time.monotonic():
            second, _ = await self._score(call, [self.planner.plan(call.models[at]) for at in again], deadline)
            for at, result in zip(again, second, strict=True):
                results[at] = result
        for result in results:
            if result.code:
                self.metrics.failed(result.model.name, result.code)
        return Scores(call.id, tuple(results), unknown)

    async def _score(
        self, call: ScoreCall, plans: Sequence[Plan], deadline: float
    ) -> tuple[list[ModelScore], tuple[str, ...]]:
        timeout = max(deadline - time.monotonic(), 0) * _FETCHING_TAKES_AT_MOST
        features = await self.fetcher.fetch(call, plans, timeout)
        columns = Columns(call, features)
        results = await asyncio.gather(*(self._one(plan, call, columns, deadline) for plan in plans))
        if self.shadow is not None:
            self.shadow.consider(call, plans, columns, results)
        return list(results), features.unknown_candidates

    async def _one(self, plan: Plan, call: ScoreCall, columns: Columns, deadline: float) -> ModelScore:
        start = time.perf_counter()
        self.outcomes[plan.outcome] += 1
        self.metrics.outcome(plan.outcome).inc()
        sent = [0]
        try:
            score = await self._ask(plan, call, columns, deadline, sent)
        except CallFailure as failure:
            self._check_digest(plan.model, failure.version or plan.model.version, failure.signature_digest)
            score = _failed(plan, failure.code, failure.message + _not_sent(plan, columns.features), failure)
        except TrimtabError as problem:
            score = _failed(plan, "INTERNAL", str(problem))
        except Exception as problem:  # noqa: BLE001  # a bug costs this model its result, not the others theirs
            _log.exception("scoring with %s", plan.model)
            score = _failed(plan, "INTERNAL", f"{type(problem).__name__}: {problem}")
        elapsed = time.perf_counter() - start
        self.metrics.model(plan.model.name).latency.observe(elapsed)
        return _with_cost(score, sent[0], elapsed)

    async def _ask(self, plan: Plan, call: ScoreCall, columns: Columns, deadline: float, sent: list[int]) -> ModelScore:
        _check_fetched(plan, call, columns.features)
        counters = self.metrics.model(plan.model.name)
        layouts: list[ModelLayout] = []

        def build(_: Leaf, broadcasts: bool) -> bytes:
            layout = self.planner.layout(plan, call.features, columns.features.present, broadcasts)
            layouts.append(layout)
            return self._builder.build(layout.request, columns.features.candidates, columns.of(layout), call.id)

        answer = await self.leaves.infer(plan.model, build, deadline)
        sent[0] = answer.bytes_sent
        counters.bytes_sent.inc(answer.bytes_sent)
        counters.bytes_saved.inc(layouts[-1].saved(columns.features.candidates))
        decoded = decode_answer(answer.payload)
        version = decoded.model_version or plan.model.version
        self._check_digest(plan.model, version, answer.signature_digest)
        return ModelScore(plan.model, version, plan.outcome, decoded.outputs, signature_digest=answer.signature_digest)

    def _check_digest(self, model: ModelRef, version: str, stated: str) -> None:
        expected = self.planner.expected_digest(model.name, version)
        if not stated or expected is None or stated == expected:
            return
        self.metrics.mismatched(model.name)
        if self.planner.distrust(model):
            _log.warning(
                "%s: the leaf serves version %s with signature %s, the bundle says %s; "
                "sent untrimmed until the map changes. Build and ship the bundle again: trimtab bundle build",
                model, version, stated, expected,
            )  # fmt: skip

    def _deserves_untrimmed(self, plan: Plan, result: ModelScore) -> bool:
        """Whether a leaf refused a trimmed request and the map was found to be wrong about it: requests fail open."""
        if result.code != "INVALID_ARGUMENT" or plan.outcome == DIGEST_MISMATCH:
            return False
        return self.planner.plan(plan.model).outcome == DIGEST_MISMATCH


class Columns:
    """The values of one request, for each model's layout; what is repeated per candidate is repeated once."""

    def __init__(self, call: ScoreCall, features: Features) -> None:
        self.features = features
        self._inline = {feature.name: feature.raw for feature in call.features}
        self._repeated: dict[str, bytes] = {}

    def of(self, layout: ModelLayout) -> list[Any]:
        """The columns of a layout, in its order."""
        columns = self.features.columns
        values: list[Any] = [columns[name] for name in layout.candidate]
        values += [self._once(name) if layout.broadcast else self._repeat(name) for name in layout.once]
        return values

    def _once(self, name: str) -> Any:
        raw = self._inline.get(name)
        return self.features.columns[name] if raw is None else raw

    def _repeat(self, name: str) -> bytes:
        repeated = self._repeated.get(name)
        if repeated is None:
            repeated = self._repeated[name] = bytes(self._once(name)) * self.features.candidates
        return repeated


def _check_fetched(plan: Plan, call: ScoreCall, features: Features) -> None:
    given = {feature.name for feature in call.features}
    for view, reason in features.failures.items():
        if any(name not in given for name in plan.wanted.get(view, ())):
            raise CallFailure("UNAVAILABLE", f'features of the view "{view}" could not be fetched: {reason}')
    if not features.candidates:
        raise CallFailure("NOT_FOUND", "none of the candidates is known to the feature source")


def _not_sent(plan: Plan, features: Features) -> str:
    reasons = [reason for view, reason in features.absent.items() if view in plan.wanted]
    return f" (not sent: {'; '.join(reasons)})" if reasons else ""


def _failed(plan: Plan, code: str, message: str, failure: CallFailure | None = None) -> ModelScore:
    digest = "" if failure is None else failure.signature_digest
    return ModelScore(plan.model, plan.model.version, plan.outcome, code=code, message=message, signature_digest=digest)


def _with_cost(score: ModelScore, bytes_sent: int, elapsed_s: float) -> ModelScore:
    return ModelScore(
        score.model,
        score.version,
        score.outcome,
        score.outputs,
        score.code,
        score.message,
        score.signature_digest,
        bytes_sent,
        round(elapsed_s * 1e6),
    )
