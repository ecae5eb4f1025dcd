"""Compare, for a sample of requests, what a model says to the trimmed request with what it says to the untrimmed one.

Trimming rests on one claim: a model does not read what its signature does not name. This checks the claim on real
requests. The caller has its answer before anything here begins, and whatever goes wrong here stays here.

The untrimmed request carries the very values that the trimmed one carried, and those of the dropped features beside
them, so that a feature that changed meanwhile is no difference. It goes to the version that answered.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from trimtab.errors import TrimtabError
from trimtab.serving.root.answers import decode_answer
from trimtab.serving.root.features.source import Level
from trimtab.serving.root.leaves import CallFailure, Leaves
from trimtab.serving.root.planning import Plan
from trimtab.serving.root.request import ModelRef
from trimtab.trimming.building import RequestBuilder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimtab.observing.root_metrics import RootMetrics
    from trimtab.serving.root.answers import OutputTensor
    from trimtab.serving.root.features.source import FeatureSource
    from trimtab.serving.root.leaves import Leaf
    from trimtab.serving.root.planning import Planner
    from trimtab.serving.root.request import ScoreCall
    from trimtab.serving.root.scoring import Columns, ModelScore

_log = logging.getLogger(__name__)

SHADOW = "shadow"
"""Outcome of the plans of untrimmed requests; callers never see it."""

_AT_ONCE = 2
"""Comparisons at a time; requests sampled meanwhile are let go, so that a slow leaf is not asked more and more."""
_AFTER_S = 0.01
"""The answer is written and sent in the meantime."""
_LOGGED = 20
"""Differences that are logged per root; the rest are counted."""
_NAMED = 20
"""Trimmed names in one line of the log."""


class Shadow:
    """Samples requests and compares. Used from one event loop.

    rate: the share of requests that is sampled, 0 to 1. tolerance: by how much scores may differ, relative or absolute,
    whichever is more; 0 means bit for bit. source: where the dropped features are read, past any cache.
    timeout_s: for one untrimmed request.
    """

    def __init__(
        self,
        rate: float,
        tolerance: float,
        *,
        source: FeatureSource,
        planner: Planner,
        leaves: Leaves,
        metrics: RootMetrics,
        timeout_s: float,
    ) -> None:
        self.rate = rate
        self.tolerance = tolerance
        self._source = source
        self._planner = planner
        self._leaves = leaves
        self._metrics = metrics
        self._timeout_s = timeout_s
        self._executor = ThreadPoolExecutor(_AT_ONCE, "trimtab-shadow")
        self._running: set[asyncio.Task[None]] = set()
        self._builder = RequestBuilder(_AT_ONCE * 16)
        self._untrimmed: WeakKeyDictionary[Plan, dict[tuple[str, frozenset[str]], Plan]] = WeakKeyDictionary()
        self._logged = 0

    def consider(self, call: ScoreCall, plans: Sequence[Plan], columns: Columns, results: Sequence[ModelScore]) -> None:
        """Sample the request or let it go; returns at once. results: the models' own, in the order of `plans`."""
        if random.random() >= self.rate:  # noqa: S311  # a sample, no secret
            return
        pairs = [pair for pair in zip(plans, results, strict=True) if self._comparable(*pair)]
        if not pairs:
            return
        if len(self._running) >= _AT_ONCE:
            self._metrics.shadow_skipped.inc()
            return
        task = asyncio.get_running_loop().create_task(self._compare_all(call, pairs, columns))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """Give up what is under way."""
        running = [*self._running]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _comparable(self, plan: Plan, result: ModelScore) -> bool:
        """Whether something was trimmed, by a plan that still holds, and the leaf has said something about it."""
        if plan.allowlist is None or result.code not in ("", "INVALID_ARGUMENT"):
            return False
        return self._planner.plan(plan.model) is plan

    async def _compare_all(self, call: ScoreCall, pairs: Sequence[tuple[Plan, ModelScore]], columns: Columns) -> None:
        await asyncio.sleep(_AFTER_S)
        for plan, result in pairs:
            counters = self._metrics.shadow(plan.model.name, result.version)
            try:
                difference = await self._compare(call, plan, result, columns)
            except (CallFailure, TrimtabError, TimeoutError) as problem:
                counters["failed"].inc()
                _log.info("%s: no untrimmed score to compare with: %s", plan.model, problem or type(problem).__name__)
            except Exception:  # noqa: BLE001  # a plug-in may raise anything; the other models go on
                counters["failed"].inc()
                _log.exception("%s: comparing trimmed and untrimmed scores", plan.model)
            else:
                if difference is not None:
                    counters["different" if difference else "equal"].inc()

    async def _compare(self, call: ScoreCall, plan: Plan, trimmed: ModelScore, columns: Columns) -> str | None:
        """What differs, empty when nothing does; None when the untrimmed request would be the trimmed one."""
        whole, dropped = await self._with_dropped(call, plan, columns)
        inline = [feature.name for feature in call.features if not plan.allows(feature.name)]
        names = sorted([*inline, *(name for each in dropped.values() for name in each)])
        if not names:
            return None
        model = ModelRef(plan.model.name, trimmed.version or plan.model.version)
        untrimmed_plan = self._plan(plan, model, dropped)

        def build(_: Leaf, broadcasts: bool) -> bytes:
            layout = self._planner.layout(untrimmed_plan, call.features, whole.features.present, broadcasts)
            return self._builder.build(layout.request, whole.features.candidates, whole.of(layout), call.id)

        answer = await self._leaves.infer(model, build, time.monotonic() + self._timeout_s)
        untrimmed = decode_answer(answer.payload)
        if trimmed.signature_digest and answer.signature_digest not in ("", trimmed.signature_digest):
            raise CallFailure("ABORTED", "another signature answered: the leaf's model changed in between")
        difference = (
            f"the trimmed request was refused ({trimmed.message}), the untrimmed one was scored"
            if trimmed.code
            else _difference(trimmed.outputs, untrimmed.outputs, self.tolerance)
        )
        if difference:
            self._tell(model, difference, names)
        return difference

    async def _with_dropped(
        self, call: ScoreCall, plan: Plan, columns: Columns
    ) -> tuple[Columns, dict[str, tuple[str, ...]]]:
        """The request's columns with those of the dropped features beside them, and the names of these by view.

        A view that lacks one of the rows is left out: the request would have other candidates with it.
        """
        features = columns.features
        given = {feature.name for feature in call.features}
        unknown = frozenset(features.unknown_candidates)
        candidates = tuple(key for key in call.candidates if key not in unknown)
        more: dict[str, np.ndarray[Any, Any]] = {}
        dropped: dict[str, tuple[str, ...]] = {}
        for name, view in self._source.views.items():
            names = tuple(it.name for it in view.features if not plan.allows(it.name) and it.name not in given)
            per_candidate = view.level is Level.CANDIDATE
            if not names or name not in features.present or (not per_candidate and name not in call.entities):
                continue
            keys = candidates if per_candidate else (call.entities[name],)
            asked = asyncio.get_running_loop().run_in_executor(self._executor, self._source.fetch, name, keys, names)
            fetched = await asyncio.wait_for(asked, self._timeout_s)
            if not fetched.missing:
                more |= fetched.columns
                dropped[name] = names
        merged = replace(features, columns={**more, **features.columns})
        return type(columns)(call, merged), dropped

    def _plan(self, plan: Plan, model: ModelRef, dropped: dict[str, tuple[str, ...]]) -> Plan:
        """The untrimmed request's plan; kept, because its layouts and templates cost more than the request."""
        of_plan = self._untrimmed.setdefault(plan, {})
        key = (model.version, frozenset(dropped))
        found = of_plan.get(key)
        if found is None:
            wanted = {view: (*plan.wanted.get(view, ()), *dropped.get(view, ())) for view in {**plan.wanted, **dropped}}
            found = of_plan[key] = Plan(model, SHADOW, None, wanted, plan.inputs)
        return found

    def _tell(self, model: ModelRef, difference: str, names: Sequence[str]) -> None:
        self._logged += 1
        if self._logged > _LOGGED:
            return
        listed = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
        _log.error(
            "%s: trimming changed the scores: %s. Trimmed were: %s. The model reads what its signature does not name: "
            "do not roll it out; see what it reads with trimtab inspect",
            model, difference, listed,
        )  # fmt: skip
        if self._logged == _LOGGED:
            _log.error("further differences are only counted (trimtab_shadow_total)")


def _difference(trimmed: Sequence[OutputTensor], untrimmed: Sequence[OutputTensor], tolerance: float) -> str:
    ours, theirs = ({each.name: each for each in outputs} for outputs in (trimmed, untrimmed))
    if ours.keys() != theirs.keys():
        return f"outputs {', '.join(sorted(ours))} against {', '.join(sorted(theirs))}"
    for name, one in ours.items():
        other = theirs[name]
        if (one.datatype, one.shape) != (other.datatype, other.shape):
            shapes = f"{one.datatype} {list(one.shape)} against {other.datatype} {list(other.shape)}"
            return f'output "{name}" is {shapes} untrimmed'
        if one.raw != other.raw and (difference := _in_values(one, other, tolerance)):
            return difference
    return ""


def _in_values(one: OutputTensor, other: OutputTensor, tolerance: float) -> str:
    """What differs between outputs of one type whose bytes are not equal."""
    values, others = one.values(), other.values()
    if len(values) != len(others):  # of BYTES, whose elements have lengths of their own
        return f'output "{one.name}" has {len(values)} elements against {len(others)} untrimmed'
    if tolerance and one.datatype != "BYTES":
        far = ~np.isclose(values, others, rtol=tolerance, atol=tolerance, equal_nan=True)
        apart = np.flatnonzero(far).tolist()
        if not apart:
            return ""
    else:
        apart = [at for at, (mine, its) in enumerate(zip(values, others, strict=True)) if mine != its]
    if not apart:
        return f'output "{one.name}" differs in its bytes alone, as 0.0 and -0.0 do'
    at = apart[0]
    count = f"{len(apart)} of {len(values)} values differ"
    return f'output "{one.name}": {count}, the first at {at}: {values[at]!r} against {others[at]!r} untrimmed'
