"""Metrics of the root, `trimmer_*`. Children are bound once per model, so that a request costs increments alone.

One registry per server: two roots in a process do not mix, and nothing is added to the caller's global registry.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from trimtab.errors import missing_extra

try:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
    from prometheus_client.core import CounterMetricFamily
except ImportError as problem:
    raise missing_extra("prometheus_client", "serve", "serving metrics") from problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prometheus_client.core import Metric

    from trimtab.bundles.loading.status import FollowStatus

_LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_MOST_STRANGERS = 512
"""Models outside the map with counters of their own; their names come from requests, so the rest are `other`."""
_LONGEST_STRANGER = 200

SHADOW_RESULTS = ("equal", "different", "failed")
"""Of comparing the untrimmed request's scores with the trimmed one's; failed: there was nothing to compare with."""


class ModelMetrics(NamedTuple):
    """The bound counters of one model."""

    bytes_sent: Counter
    bytes_saved: Counter
    latency: Histogram


class RootMetrics:
    """Counters of one root and their text form.

    cache_counts: gives (hits, misses), read when scraped. map_state: gives serial and time of creation (seconds since
    1970) by bundle, read when scraped; the age is worked out then. known: whether the map has a model, which then
    always has counters of its own. followed: gives how each bundle stands that follows a store, read when scraped.
    """

    def __init__(
        self,
        cache_counts: Callable[[], tuple[int, int]],
        map_state: Callable[[], Mapping[str, tuple[int, float]]],
        known: Callable[[str], bool] = lambda _: False,
        followed: Callable[[], Mapping[str, FollowStatus]] = dict,
    ) -> None:
        self.registry = CollectorRegistry()
        self._sent = Counter(
            "trimmer_bytes_sent", "Bytes of requests sent to leaves.", ["model"], registry=self.registry
        )
        self._saved = Counter(
            "trimmer_bytes_saved",
            "Bytes of feature values that untrimmed requests would have carried beyond those sent.",
            ["model"],
            registry=self.registry,
        )
        self._outcomes = Counter(
            "trimmer_lookup_outcomes", "Look-ups of an allowlist by outcome.", ["outcome"], registry=self.registry
        )
        self._latency = Histogram(
            "trimmer_model_latency_seconds",
            "From building a model's request to its answer.",
            ["model"],
            buckets=_LATENCY_BUCKETS,
            registry=self.registry,
        )
        self._failures = Counter(
            "trimmer_model_failures", "Models without a score, by gRPC code.", ["model", "code"], registry=self.registry
        )
        self._mismatches = Counter(
            "trimmer_digest_mismatch",
            "Answers whose signature digest is not the one in the map.",
            ["model"],
            registry=self.registry,
        )
        self._shadow = Counter(
            "trimtab_shadow",
            "Sampled requests, by whether the untrimmed one gave the trimmed one's scores.",
            ["model", "version", "result"],
            registry=self.registry,
        )
        self.shadow_skipped = Counter(
            "trimtab_shadow_skipped", "Sampled requests let go, too many being compared.", registry=self.registry
        )
        self.requests = Counter("trimmer_requests", "Score requests accepted.", registry=self.registry)
        self.refused = Counter(
            "trimmer_requests_refused", "Score requests not accepted, by gRPC code.", ["code"], registry=self.registry
        )
        self.in_flight = Gauge("trimmer_requests_in_flight", "Score requests being answered.", registry=self.registry)
        self._serial = Gauge("trimmer_map_serial", "Serial of the bundle in force.", ["bundle"], registry=self.registry)
        self._age = Gauge("trimmer_map_age_seconds", "Age of the bundle in force.", ["bundle"], registry=self.registry)
        self.registry.register(_CacheCounts(cache_counts))
        self._entry = Gauge(
            "trimmer_store_entry", "Last entry of the store's history followed.", ["bundle"], registry=self.registry
        )
        self._lease = Gauge(
            "trimmer_store_lease_seconds",
            "For how long requests without an exact version are still trimmed.",
            ["bundle"],
            registry=self.registry,
        )
        self._map_state = map_state
        self._followed = followed
        self._known = known
        self._bundles: frozenset[str] = frozenset()
        self._names: set[str] = set()
        self._strangers = 0
        self.outcome = lru_cache(64)(self._outcomes.labels)
        self._bound = lru_cache(None)(self._bind)

    def model(self, name: str) -> ModelMetrics:
        """The bound counters of a model."""
        return self._bound(self._label(name))

    def failed(self, model: str, code: str) -> None:
        """Count a model without a score."""
        self._failures.labels(self._label(model), code).inc()

    def mismatched(self, model: str) -> None:
        """Count an answer with an unexpected signature digest."""
        self._mismatches.labels(self._label(model)).inc()

    def shadow(self, model: str, version: str) -> Mapping[str, Counter]:
        """Counters by result. All are there from the first comparison on, so that what rises is seen to rise from 0."""
        label = self._label(model)
        return {result: self._shadow.labels(label, version, result) for result in SHADOW_RESULTS}

    def render(self) -> bytes:
        """The exposition text. Takes milliseconds with many models: call it from a thread."""
        map_state = self._map_state()
        for bundle in self._bundles - map_state.keys():  # a pending one, when it no longer is
            self._serial.remove(bundle)
            self._age.remove(bundle)
        self._bundles = frozenset(map_state)
        for bundle, (serial, since) in map_state.items():
            self._serial.labels(bundle).set(serial)
            self._age.labels(bundle).set(max(0.0, time.time() - since))
        for bundle, following in self._followed().items():
            self._entry.labels(bundle).set(following.entry)
            self._lease.labels(bundle).set(following.lease_s)
        return generate_latest(self.registry)

    def _label(self, model: str) -> str:
        if model in self._names:
            return model
        if not self._known(model):
            if self._strangers >= _MOST_STRANGERS or len(model) > _LONGEST_STRANGER:
                return "other"
            self._strangers += 1
        self._names.add(model)
        return model

    def _bind(self, name: str) -> ModelMetrics:
        return ModelMetrics(self._sent.labels(name), self._saved.labels(name), self._latency.labels(name))


class _CacheCounts:
    """The cache keeps its own plain counters; this shows them when scraped."""

    def __init__(self, counts: Callable[[], tuple[int, int]]) -> None:
        self._counts = counts

    def collect(self) -> Iterable[Metric]:
        hits, misses = self._counts()
        yield CounterMetricFamily("trimmer_cache_hits", "Feature rows served from the cache.", value=hits)
        yield CounterMetricFamily("trimmer_cache_misses", "Feature rows asked of the source.", value=misses)
