"""Fetch the union: every feature that some model of the request needs, once, and no other.

Views are asked side by side. A view that cannot answer costs the models that need it, and no others.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trimtab.errors import TrimtabError
from trimtab.serving.root.features.cache import FeatureCache
from trimtab.serving.root.features.source import FeatureSource, Fetched, Level

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Executor

    from trimtab.serving.root.planning import Plan
    from trimtab.serving.root.request import ScoreCall

Array = np.ndarray[Any, Any]
_log = logging.getLogger(__name__)
_UNIONS = 512


@dataclass(frozen=True, slots=True)
class Features:
    """What was fetched for one request.

    candidates: how many rows each candidate column has: the known candidates, in the order asked for.
    columns: by feature name; [candidates, ...] of candidate views, [1, ...] of request-level views.
    present: views that gave the rows asked of them. absent: why others have none: no entity named, or one it lacks.
    failures: views that could not answer, with the reason.
    """

    candidates: int
    columns: Mapping[str, Array]
    present: frozenset[str]
    absent: Mapping[str, str]
    failures: Mapping[str, str]
    unknown_candidates: tuple[str, ...]


class Fetcher:
    """Asks a feature source for the union of several plans. `executor` runs what may block."""

    def __init__(self, source: FeatureSource, executor: Executor) -> None:
        self.source = source
        self._executor = executor
        self._unions: OrderedDict[tuple[object, ...], dict[str, tuple[str, ...]]] = OrderedDict()

    async def fetch(self, call: ScoreCall, plans: Sequence[Plan], timeout: float) -> Features:
        """The features that these plans want, but for those that the call brings itself.

        timeout: seconds; a view that takes longer has failed.
        """
        union = self._union(plans, frozenset(feature.name for feature in call.features))
        keys: dict[str, tuple[str, ...]] = {}
        absent = {
            name: f'the request names no entity for the view "{name}"'
            for name, view in self.source.views.items()
            if view.level is Level.REQUEST and name not in call.entities
        }
        for view in union:
            if self.source.views[view].level is Level.CANDIDATE:
                keys[view] = call.candidates
            elif view in call.entities:
                keys[view] = (call.entities[view],)
        answers = dict(
            zip(
                keys,
                await asyncio.gather(*(self._ask(view, keys[view], union[view], timeout) for view in keys)),
                strict=True,
            )
        )
        failures = {view: answer for view, answer in answers.items() if isinstance(answer, str)}
        fetched = {view: answer for view, answer in answers.items() if isinstance(answer, Fetched)}
        return self._joined(call, fetched, absent, failures)

    def _union(self, plans: Sequence[Plan], given: frozenset[str]) -> dict[str, tuple[str, ...]]:
        key = (*plans, given)
        union = self._unions.get(key)
        if union is None:
            names: dict[str, dict[str, None]] = {}
            for plan in plans:
                for view, wanted in plan.wanted.items():
                    names.setdefault(view, {}).update(dict.fromkeys(name for name in wanted if name not in given))
            union = self._unions[key] = {view: tuple(wanted) for view, wanted in names.items() if wanted}
            if len(self._unions) > _UNIONS:
                self._unions.popitem(last=False)
        return union

    async def _ask(self, view: str, keys: tuple[str, ...], features: tuple[str, ...], timeout: float) -> Fetched | str:
        if isinstance(self.source, FeatureCache) and (held := self.source.fetch_held(view, keys, features)):
            return held
        loop = asyncio.get_running_loop()
        try:
            asked = loop.run_in_executor(self._executor, self.source.fetch, view, keys, features)
            return await asyncio.wait_for(asked, timeout)
        except TimeoutError:
            _log.warning("feature view %s: no answer within %.0f ms", view, timeout * 1e3)
            return f"the feature source did not answer within {timeout * 1e3:.0f} ms"
        except TrimtabError as problem:
            _log.warning("feature view %s: %s", view, problem)
            return str(problem)
        except Exception as problem:  # noqa: BLE001  # a plug-in may raise anything; the other views go on
            _log.exception("feature view %s", view)
            return f"{type(problem).__name__}: {problem}"

    def _joined(
        self, call: ScoreCall, fetched: Mapping[str, Fetched], absent: dict[str, str], failures: Mapping[str, str]
    ) -> Features:
        columns: dict[str, Array] = {}
        per_candidate = {view: it for view, it in fetched.items() if self.source.views[view].level is Level.CANDIDATE}
        unknown = frozenset(key for answer in per_candidate.values() for key in answer.missing)
        for view, answer in fetched.items():
            if view in per_candidate:
                columns.update(_rows_of_known(call.candidates, answer, unknown))
            elif answer.missing:
                absent[view] = f'the view "{view}" has no entity {answer.missing[0]!r}'
            else:
                columns.update(answer.columns)
        return Features(
            candidates=sum(key not in unknown for key in call.candidates) if unknown else len(call.candidates),
            columns=columns,
            present=frozenset(self.source.views.keys() - absent.keys() - failures.keys()),
            absent=absent,
            failures=failures,
            unknown_candidates=tuple(key for key in dict.fromkeys(call.candidates) if key in unknown),
        )


def _rows_of_known(candidates: Sequence[str], answer: Fetched, unknown: frozenset[str]) -> Mapping[str, Array]:
    """The answer's columns without the rows of candidates that another view lacks."""
    own = frozenset(answer.missing)
    if own == unknown:
        return answer.columns
    kept = np.array([key not in unknown for key in candidates if key not in own], bool)
    return {name: column[kept] for name, column in answer.columns.items()}
