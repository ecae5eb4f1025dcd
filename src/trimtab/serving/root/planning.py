"""Which features a model's requests carry, and the layout of its inputs: worked out once per map, kept, shared.

A plan follows from the map in force and the model and version asked for. When the map changes, all plans go with it.
A suspicion that a leaf's digest raised against the map goes when its bundles do: a map that is not confirmed for a
while states the same digests.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Protocol

from trimtab.bundles.outcomes import MissPolicy, Outcome
from trimtab.converting.requests import BROADCAST_PARAMETER
from trimtab.serving.root.features.source import FeatureSpec, Level, View
from trimtab.signature.dtypes import dtype_of
from trimtab.trimming.building import InputLayout, RequestLayout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trimtab.bundles.consolidated import ConsolidatedMap
    from trimtab.serving.root.request import InlineFeature, ModelRef

BROADCAST = ((BROADCAST_PARAMETER, True),)
"""Parameter of an input that was sent once, [1, ...], and stands for every row."""

UNTRIMMED = "untrimmed"
"""Outcome of a model under `--trim off`."""
DIGEST_MISMATCH = "digest_mismatch"
"""Outcome of a model whose leaf serves another signature than the map says: sent untrimmed until the map changes."""

_INPUTS_KNOWN = frozenset(
    {Outcome.EXACT, Outcome.LATEST_ATTESTED_UNVERSIONED, Outcome.LATEST_ATTESTED_VERSION},
)
_PLANS = 4096
_LAYOUTS_PER_PLAN = 64


class MapSource(Protocol):
    """Whatever holds the map in force; a `BundleLoader` does. The map itself never changes, `current` does."""

    @property
    def current(self) -> ConsolidatedMap:
        """The map in force."""


@dataclass(frozen=True, slots=True)
class ModelLayout:
    """The layout of one model's requests, and where the columns come from.

    candidate, once: names of per-candidate and of request-level columns, in the layout's order (candidate first).
    broadcast: whether request-level columns travel once instead of once per candidate.
    saved_per_candidate, saved_once: bytes of values that an untrimmed request would carry beyond this one.
    """

    request: RequestLayout
    candidate: tuple[str, ...]
    once: tuple[str, ...]
    broadcast: bool
    saved_per_candidate: int
    saved_once: int

    def saved(self, candidates: int) -> int:
        """Bytes of values saved for a number of candidates; names and framing come on top and are not counted."""
        return self.saved_per_candidate * candidates + self.saved_once


@dataclass(frozen=True, eq=False)
class Plan:
    """What one model's requests carry.

    allowlist: None means everything. wanted: features by view, in the view's order.
    inputs: the names that the very signature asked for has, whether or not requests are trimmed to them; None where
    the map cannot tell (a union, a miss, a leaf out of step).
    """

    model: ModelRef
    outcome: str
    allowlist: frozenset[str] | None
    wanted: Mapping[str, tuple[str, ...]]
    inputs: frozenset[str] | None = None
    layouts: dict[tuple[object, ...], ModelLayout] = field(default_factory=dict, repr=False)

    def allows(self, name: str) -> bool:
        """Whether a request to this model carries the feature."""
        return self.allowlist is None or name in self.allowlist


class Planner:
    """Plans of models under the map in force. Used from one event loop."""

    def __init__(
        self, views: Mapping[str, View], maps: MapSource, policy: MissPolicy = MissPolicy.LENIENT, trim: bool = True
    ) -> None:
        self.views = views
        self.maps = maps
        self.policy = policy
        self.trim = trim
        self._specs = {feature.name: feature for view in views.values() for feature in view.features}
        self._all = {name: tuple(feature.name for feature in view.features) for name, view in views.items()}
        self._map: ConsolidatedMap | None = None
        self._plans: OrderedDict[ModelRef, Plan] = OrderedDict()
        self._suspects: set[ModelRef] = set()

    def plan(self, model: ModelRef) -> Plan:
        """The plan of a model, under the map in force now."""
        current = self.maps.current
        if current is not self._map:
            if self._map is None or self._map.bundles is not current.bundles:
                self._suspects.clear()
            self._map = current
            self._plans.clear()
        plan = self._plans.get(model)
        if plan is None:
            plan = self._plans[model] = self._make(model, current)
            if len(self._plans) > _PLANS:
                self._plans.popitem(last=False)
        return plan

    def expected_digest(self, model: str, version: str) -> str | None:
        """The signature digest that the map states for a version, or None where it states none."""
        return self.maps.current.expected_digest(model, version) if version else None

    def distrust(self, model: ModelRef) -> bool:
        """Send a model untrimmed until the map changes. True the first time."""
        if model in self._suspects:
            return False
        self._suspects.add(model)
        self._plans.pop(model, None)
        return True

    def layout(
        self, plan: Plan, inline: Sequence[InlineFeature], present: frozenset[str], broadcast: bool
    ) -> ModelLayout:
        """The layout of a plan's requests that come with these inline features.

        present: views that have rows for this request; features of the others cannot be sent.
        broadcast: whether the leaf takes request-level columns once. They are repeated all the same unless the model is
        known to read a column per candidate that is sent: nothing else would tell it how many candidates there are.
        """
        shapes = tuple((feature.name, feature.datatype, feature.shape) for feature in inline)
        key = (shapes, present, broadcast)
        layout = plan.layouts.get(key)
        if layout is None:
            if len(plan.layouts) >= _LAYOUTS_PER_PLAN:
                plan.layouts.clear()
            layout = plan.layouts[key] = self._make_layout(plan, inline, present, broadcast)
        return layout

    def _make(self, model: ModelRef, current: ConsolidatedMap) -> Plan:
        if model in self._suspects:
            return Plan(model, DIGEST_MISMATCH, None, self._all)
        found = current.lookup(model.name, model.version, self.policy)
        allowlist = found.allowlist
        inputs = allowlist if found.outcome in _INPUTS_KNOWN else None
        if not self.trim:
            return Plan(model, UNTRIMMED, None, self._all, inputs)
        if allowlist is None:
            return Plan(model, str(found.outcome), None, self._all)
        wanted = {view: tuple(name for name in names if name in allowlist) for view, names in self._all.items()}
        wanted = {view: names for view, names in wanted.items() if names}
        return Plan(model, str(found.outcome), allowlist, wanted, inputs)

    def _make_layout(
        self, plan: Plan, inline: Sequence[InlineFeature], present: frozenset[str], broadcast: bool
    ) -> ModelLayout:
        given = {feature.name for feature in inline}
        candidate: list[FeatureSpec] = []
        once: list[tuple[str, str, tuple[int, ...]]] = []
        for view, names in plan.wanted.items():
            if view not in present:
                continue
            specs = [self._specs[name] for name in names if name not in given]
            if self.views[view].level is Level.CANDIDATE:
                candidate += specs
            else:
                once += [(spec.name, spec.datatype, spec.shape) for spec in specs]
        once += [(value.name, value.datatype, value.shape[1:]) for value in inline if plan.allows(value.name)]
        read = plan.inputs or frozenset()
        broadcast = broadcast and any(spec.name in read for spec in candidate)
        inputs = [InputLayout(spec.name, spec.datatype, (None, *spec.shape)) for spec in candidate]
        inputs += [
            InputLayout(name, datatype, (1, *shape), BROADCAST)
            if broadcast
            else InputLayout(name, datatype, (None, *shape))
            for name, datatype, shape in once
        ]
        sent = {value.name for value in inputs}
        per_candidate = self._left_out(present, Level.CANDIDATE, sent | given)
        left_out_once = self._left_out(present, Level.REQUEST, sent | given)
        left_out_once += sum(len(it.raw) for it in inline if it.name not in sent and _is_fixed(it.datatype))
        if not broadcast:
            per_candidate, left_out_once = per_candidate + left_out_once, 0
        return ModelLayout(
            RequestLayout(plan.model.name, plan.model.version, tuple(inputs)),
            tuple(spec.name for spec in candidate),
            tuple(name for name, _, _ in once),
            broadcast,
            per_candidate,
            left_out_once,
        )

    def _left_out(self, present: frozenset[str], level: Level, carried: set[str]) -> int:
        """Bytes per row of the features of one level that a request does not carry."""
        views = (self.views[name] for name in present)
        left_out = (it for view in views if view.level is level for it in view.features if it.name not in carried)
        return sum(map(_row_bytes, left_out))


def _row_bytes(feature: FeatureSpec) -> int:
    return prod(feature.shape) * feature.storage.itemsize


def _is_fixed(datatype: str) -> bool:
    dtype = dtype_of("oip", datatype)
    return dtype is not None and dtype.itemsize is not None
