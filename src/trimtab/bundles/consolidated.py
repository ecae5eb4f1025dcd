"""The consolidated map: what all bundles of a root say together, compiled for look-up.

It is immutable. A change builds a new map and swaps one reference, so readers never lock and never see half a change.
The look-up itself is the kernel's; its table is in docs/design.md.
"""

from __future__ import annotations

import sys
from copy import copy
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from msgspec import Struct

from trimtab import _kernel
from trimtab.bundles.allowlist_table import AllowlistTable
from trimtab.bundles.outcomes import MissPolicy, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from trimtab.bundles.bundle import Bundle, BundledModel, BundledVersion

    Sources: TypeAlias = list[tuple[str, BundledModel]]


class Lookup(Struct, frozen=True):
    """The answer to one request.

    allowlist: the names that may be sent; None: pass the request through.
    version: the version whose allowlist it is; None for a union and for a pass-through.
    """

    outcome: Outcome
    allowlist: frozenset[str] | None
    version: str | None


class MappedModel(Struct, frozen=True, kw_only=True, gc=False):
    """One model as all bundles together know it.

    attested_stable: every bundle that has the model attests it, with one and the same input digest and allowlist, and
    no two of them disagree about a version. versions: in ascending order. digests: by version; None where bundles
    disagree.
    """

    attested_stable: bool
    latest: str
    versions: tuple[str, ...]
    digests: Mapping[str, str | None]


class ConsolidatedMap:
    """All bundles of a root as one immutable map.

    bundles: by the name under which each is loaded. A model in several bundles has the versions of all of them. Where
    two bundles state different digests for one version, the version gets the union of both allowlists, its model is not
    attested stable, and `notes` says so.
    """

    def __init__(self, bundles: Mapping[str, Bundle]) -> None:
        self.bundles: Mapping[str, Bundle] = MappingProxyType(dict(bundles))
        table = AllowlistTable(self.bundles)
        notes: list[str] = []
        models: dict[str, MappedModel] = {}
        compiled = []
        for name, sources in _models(self.bundles).items():
            model, allowlists, conflicts = _merge(name, sources, table)
            models[name] = model
            notes.extend(conflicts)
            versions = [(version, allowlists[version]) for version in model.versions]
            union = table.union(allowlists.values())
            compiled.append((name, model.attested_stable, allowlists[model.latest], union, versions))
        self.models: Mapping[str, MappedModel] = MappingProxyType(models)
        self.notes = tuple(notes)
        self.compiled = _kernel.CompiledMap(table.names, table.packed, compiled)
        self._allowlist = _allowlists_of(self.compiled)
        self._exact_only: ConsolidatedMap | None = None  # it is one itself
        exact_only = copy(self)
        exact_only.compiled = self.compiled.exact_only
        self._exact_only = exact_only

    @property
    def exact_only(self) -> ConsolidatedMap:
        """The map as it answers while it cannot be confirmed with its store for longer than its lease.

        What it says of a version that it has never goes stale, for versions do not change. What it says of "the latest"
        and "all versions" does: under the policy lenient such a request passes through as `unconfirmed`. Under strict
        it is answered as before, because a leaf that refuses unknown inputs would refuse whatever passes through.

        Always the same object, which shares every table with this map and is its own `exact_only`.
        """
        return self if self._exact_only is None else self._exact_only

    def lookup(self, model: str, version: str = "", policy: MissPolicy = MissPolicy.LENIENT) -> Lookup:
        """Which allowlist a request for `model` and `version` gets; an empty version means that none is named."""
        try:
            number, index = self.compiled.lookup(model, version, policy is MissPolicy.STRICT)
        except UnicodeEncodeError:  # a lone surrogate, which no name of a map has
            if model not in self.models:
                return Lookup(Outcome.UNKNOWN_MODEL, None, None)
            number, index = self.compiled.lookup(model, "?", policy is MissPolicy.STRICT)
        outcome = _OUTCOMES[number]
        if index < 0:
            return Lookup(outcome, None, None)
        return Lookup(outcome, self._allowlist(index), self._version(outcome, model, version))

    def expected_digest(self, model: str, version: str) -> str | None:
        """The signature digest that a leaf must report for a version; None when unknown, or when bundles disagree."""
        known = self.models.get(model)
        return known.digests.get(version) if known is not None else None

    def latest(self, model: str) -> str | None:
        """The highest version of a model; None when the map does not have the model."""
        known = self.models.get(model)
        return known.latest if known is not None else None

    def _version(self, outcome: Outcome, model: str, version: str) -> str | None:
        if outcome is Outcome.EXACT:
            return version
        return None if outcome is Outcome.UNION_UNVERSIONED else self.models[model].latest


_OUTCOMES = tuple(Outcome(name) for name in _kernel.OUTCOMES)

_SETS_KEPT = 1024
"""Of a map with 10,000 lists of 1,000 names, the sets of all of them would take more memory than the map does."""


def _allowlists_of(compiled: _kernel.CompiledMap) -> Callable[[int], frozenset[str]]:
    """The allowlists by index, as sets; those in use are kept, and all of them share the names."""

    @lru_cache(_SETS_KEPT)
    def allowlist(index: int) -> frozenset[str]:
        return frozenset(map(sys.intern, compiled.allowlist(index)))

    return allowlist


def _models(bundles: Mapping[str, Bundle]) -> dict[str, Sources]:
    """Where each model comes from; a model that only has a past is in none."""
    models: dict[str, Sources] = {}
    for name, bundle in bundles.items():
        for model, bundled in bundle.models.items():
            if bundled.versions:
                models.setdefault(model, []).append((name, bundled))
    return models


def _merge(model: str, sources: Sources, table: AllowlistTable) -> tuple[MappedModel, dict[str, int], list[str]]:
    """The model, its allowlists by version, and where its bundles disagree."""
    stated: dict[str, list[tuple[str, BundledVersion]]] = {}
    for name, bundled in sources:
        for version, each in bundled.versions.items():
            stated.setdefault(version, []).append((name, each))
    versions = tuple(sorted(stated, key=int))
    digests: dict[str, str | None] = {}
    allowlists: dict[str, int] = {}
    conflicts: list[str] = []
    for version in versions:
        distinct = {each.digest for _, each in stated[version]}
        digests[version] = distinct.pop() if len(distinct) == 1 else None
        allowlists[version] = table.union({table.of(name, each.allowlist) for name, each in stated[version]})
        if digests[version] is None:
            names = " and ".join(name for name, _ in stated[version])
            conflicts.append(
                f"{model}:{version}: the bundles {names} state different signatures; requests get the union of both"
            )
    published = {digest for _, bundled in sources for digest in bundled.published}
    attested = all(bundled.attested_stable for _, bundled in sources) and len(published) == 1 and not conflicts
    attested = attested and len(set(allowlists.values())) == 1  # two releases may list one contract in two ways
    merged = MappedModel(
        attested_stable=attested, latest=versions[-1], versions=versions, digests=MappingProxyType(digests)
    )
    return merged, allowlists, conflicts
