"""Metrics of a leaf under the names that existing dashboards query: Triton's `nv_inference_*` and KServe's `request_*`.

Counts are kept per model version in plain integers under one lock: one acquisition per request instead of ten bound
counters. prometheus_client writes every counter with the suffix `_total`, which Triton's names do not have, so that
family of names is rendered here.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, Protocol

from trimtab.errors import missing_extra

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client import CollectorRegistry, Histogram


class Durations(NamedTuple):
    """Where the time of one request went, in seconds."""

    queue: float
    convert: float
    predict: float
    encode: float


class VersionMetrics:
    """The counts of one model version."""

    def __init__(self, model: str, version: str, histograms: tuple[Histogram, Histogram, Histogram]) -> None:
        self.labels = f'model="{_escaped(model)}",version="{_escaped(version)}"'
        self._lock = Lock()
        self._preprocess, self._predict, self._postprocess = histograms
        self.success = 0
        self.failure = 0
        self.rows = 0
        self.pending = 0
        self.refused: dict[str, int] = {}
        self.request_us = 0.0
        self.queue_us = 0.0
        self.compute_input_us = 0.0
        self.compute_infer_us = 0.0
        self.compute_output_us = 0.0

    def waits(self) -> None:
        """A request was admitted."""
        with self._lock:
            self.pending += 1

    def leaves_queue(self) -> None:
        """A request begins to run, or is given up before it did."""
        with self._lock:
            self.pending -= 1

    def succeeded(self, rows: int, took: Durations) -> None:
        """A request was scored. rows: how many rows it had."""
        with self._lock:
            self.success += 1
            self.rows += rows
            self.request_us += sum(took) * 1e6
            self.queue_us += took.queue * 1e6
            self.compute_input_us += took.convert * 1e6
            self.compute_infer_us += took.predict * 1e6
            self.compute_output_us += took.encode * 1e6
        self._preprocess.observe(took.convert)
        self._predict.observe(took.predict)
        self._postprocess.observe(took.encode)

    def failed(self, reason: str) -> None:
        """A request for this version was not scored. reason: one word, from a fixed set."""
        with self._lock:
            self.failure += 1
            self.refused[reason] = self.refused.get(reason, 0) + 1


class FollowedStore(Protocol):
    """What is shown of how a leaf follows a store."""

    missing: tuple[str, ...]

    @property
    def entry(self) -> int:
        """The number of the last entry that is followed in full."""
        ...


class LeafMetrics:
    """Everything that one leaf counts, in a registry of its own: two leaves in a process do not mix."""

    def __init__(self) -> None:
        try:
            from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
        except ImportError:
            raise missing_extra("prometheus-client", "serve", "a leaf's metrics") from None
        self.registry: CollectorRegistry = CollectorRegistry()
        self._versions: dict[tuple[str, str], VersionMetrics] = {}
        self._histograms = [
            Histogram(name, text, ["model_name"], registry=self.registry, buckets=_BUCKETS_S)
            for name, text in _KSERVE.items()
        ]
        self.unknown_model = Counter(
            "trimtab_leaf_unknown_model", "Requests for a model or version that is not served", registry=self.registry
        )
        self.in_flight = Gauge("trimtab_leaf_in_flight", "Requests running or waiting", registry=self.registry)
        self._loaded = Gauge("trimtab_leaf_versions_loaded", "Model versions that are served", registry=self.registry)
        self._not_loaded = Gauge(
            "trimtab_leaf_versions_refused", "Versions in the repository that are not served", registry=self.registry
        )

    def of_version(self, model: str, version: str) -> VersionMetrics:
        """The counts of a model version, from zero when it is new and going on when it was loaded before."""
        key = (model, version)
        if key not in self._versions:
            preprocess, predict, postprocess = (histogram.labels(model) for histogram in self._histograms)
            self._versions[key] = VersionMetrics(model, version, (preprocess, predict, postprocess))
        return self._versions[key]

    def set_versions(self, *, loaded: int, refused: int) -> None:
        """How many versions the repository holds, by whether they are served."""
        self._loaded.set(loaded)
        self._not_loaded.set(refused)

    def follows(self, store: FollowedStore) -> None:
        """Show how far the leaf has followed its store, read when scraped."""
        from prometheus_client import Gauge

        entry = Gauge(
            "trimtab_leaf_store_entry", "Last entry of the store's history followed in full", registry=self.registry
        )
        missing = Gauge(
            "trimtab_leaf_store_missing",
            "Versions that the store wants served and that are not",
            registry=self.registry,
        )
        entry.set_function(lambda: store.entry)
        missing.set_function(lambda: len(store.missing))

    def render(self) -> bytes:
        """The text exposition format 0.0.4. Takes milliseconds with many models: call it off the event loop."""
        from prometheus_client import generate_latest

        versions = list(self._versions.values())
        lines: list[str] = []
        for family in _TRITON:
            lines += _family(family, ((it.labels, getattr(it, family.field)) for it in versions))
        refused = ((f'{it.labels},reason="{reason}"', n) for it in versions for reason, n in [*it.refused.items()])
        lines += _family(_REFUSED, refused)
        return "".join(lines).encode() + bytes(generate_latest(self.registry))


class _Family(NamedTuple):
    name: str
    kind: str
    field: str
    text: str


_TRITON = (
    _Family("nv_inference_request_success", "counter", "success", "Requests that were scored"),
    _Family("nv_inference_request_failure", "counter", "failure", "Requests that were not scored"),
    _Family("nv_inference_count", "counter", "rows", "Rows that were scored"),
    _Family("nv_inference_exec_count", "counter", "success", "Runs of the model"),
    _Family("nv_inference_request_duration_us", "counter", "request_us", "Time from admission to the answer"),
    _Family("nv_inference_queue_duration_us", "counter", "queue_us", "Time spent waiting for an engine thread"),
    _Family("nv_inference_compute_input_duration_us", "counter", "compute_input_us", "Time of feature conversion"),
    _Family("nv_inference_compute_infer_duration_us", "counter", "compute_infer_us", "Time of the model"),
    _Family("nv_inference_compute_output_duration_us", "counter", "compute_output_us", "Time of writing the answer"),
    _Family("nv_inference_pending_request_count", "gauge", "pending", "Requests waiting for an engine thread"),
)
_REFUSED = _Family("trimtab_leaf_refused_total", "counter", "refused", "Requests that were not scored, by reason")
_KSERVE = {
    "request_preprocess_seconds": "Time of feature conversion",
    "request_predict_seconds": "Time of the model",
    "request_postprocess_seconds": "Time of writing the answer",
}
_BUCKETS_S = (5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 1e-1, 2.5e-1, 1.0, 5.0)


def _family(family: _Family, samples: Iterable[tuple[str, float]]) -> list[str]:
    lines = [f"{family.name}{{{labels}}} {value:.15g}\n" for labels, value in samples]
    return [f"# HELP {family.name} {family.text}\n", f"# TYPE {family.name} {family.kind}\n", *lines] if lines else []


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
