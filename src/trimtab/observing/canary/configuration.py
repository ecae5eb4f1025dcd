"""`canary.toml`: which metrics a canary is judged by, where they come from, and how much worse each may be.

[prometheus]
url = "http://prometheus:9090"
duration_s = 3600
step_s = 60

[[metrics]]
name = "p99 latency"
query = 'histogram_quantile(0.99, sum by (le) (rate(trimmer_model_latency_seconds_bucket{stage="$side"}[1m])))'
bad = "increase"
margin = 0.05

[shadow]
query = 'trimtab_shadow_total{stage="canary"}'
"""

from __future__ import annotations

import os
import tomllib
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from trimtab.errors import ConfigurationError

SIDE = "$side"
"""In a query that serves both sides: stands for `prometheus.baseline` and `prometheus.canary`."""

_MAX_BYTES = 1 << 20

_FIRST_CONFIGURATION = """A first one, by which roots are compared that Prometheus knows under these stages:

  [prometheus]
  url = "http://127.0.0.1:9090"
  baseline = "production"
  canary = "canary"

  [[metrics]]
  name = "p99 latency"
  query = 'histogram_quantile(0.99, sum by (le) (rate(trimmer_model_latency_seconds_bucket{stage="$side"}[1m])))'
  margin = 0.05"""


class Bad(StrEnum):
    """Which way a metric must not go."""

    INCREASE = "increase"
    DECREASE = "decrease"
    EITHER = "either"


class Missing(StrEnum):
    """What a metric without enough samples means for the verdict."""

    INCONCLUSIVE = "inconclusive"
    PASS = "pass"  # noqa: S105  # a policy, no password
    FAIL = "fail"


class SeveralSeries(StrEnum):
    """What becomes of several series that one source gives."""

    REFUSE = "refuse"
    SUM = "sum"
    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    POOL = "pool"
    """All values of all series are one sample."""


class Correction(StrEnum):
    """How the error rates of several metrics are kept from adding up."""

    HOLM = "holm"
    BONFERRONI = "bonferroni"
    NONE = "none"


_Share = Annotated[float, Meta(gt=0.5, lt=1)]
_NotNegative = Annotated[float, Meta(ge=0, le=1e12)]
_Seconds = Annotated[float, Meta(gt=0, le=1e9)]


class Source(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where one side's values are: a PromQL query, or a file.

    file: `.csv`, `.jsonl` or a saved answer of Prometheus (`.json`), from the folder of the configuration on. column:
    which column or key of it; not needed where there is one besides `time`.
    """

    query: str = ""
    file: str = ""
    column: str = ""

    def __str__(self) -> str:
        return self.query or (f"{self.file}: {self.column}" if self.column else self.file)


class Metric(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One metric.

    query: one for both sides, with `$side` in it; or baseline and canary: a source for each.
    bad: which way it must not go. margin: by how much it may, as a share of the baseline's median; margin_absolute: in
    the metric's own unit. The wider of the two counts.
    weight: of the metric in the score; 0 only reports it. critical: whether it alone fails the canary.
    missing: what too few samples mean. min_samples: how many each side needs. several: what becomes of several series.
    average: how many values that follow on each other are joined to their mean first.
    partial: whether an answer that came with warnings counts like a whole one.
    """

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    query: str = ""
    baseline: Source | None = None
    canary: Source | None = None
    bad: Bad = Bad.INCREASE
    margin: _NotNegative = 0.0
    margin_absolute: _NotNegative = 0.0
    weight: _NotNegative = 1.0
    critical: bool = True
    missing: Missing = Missing.INCONCLUSIVE
    min_samples: Annotated[int, Meta(ge=2)] = 20
    several: SeveralSeries = SeveralSeries.REFUSE
    average: Annotated[int, Meta(ge=1)] = 1
    partial: bool = False


class Shadow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The shadow comparison as a critical metric: one request whose scores trimming changed fails the canary.

    query: of the counter itself (`trimtab_shadow_total`), not of its rate; or file: with columns `equal`, `different`
    and `failed`, or a saved answer. missing: what too few comparisons mean. min_comparisons: how many are needed.
    """

    query: str = ""
    file: str = ""
    missing: Missing = Missing.INCONCLUSIVE
    min_comparisons: Annotated[int, Meta(ge=1)] = 1


class Prometheus(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The server that queries are put to, and the time they are about.

    url: may hold a user and a password, which no message shows. duration_s: how far back; step_s: between samples.
    baseline, canary: what `$side` stands for. bearer_token_file, bearer_token_env: where a token is, if one is needed.
    ca_file: PEM authority of the server's certificate, instead of the system's.
    """

    url: str
    duration_s: _Seconds = 3600.0
    step_s: _Seconds = 60.0
    baseline: str = "production"
    canary: str = "canary"
    timeout_s: _Seconds = 30.0
    bearer_token_file: str = ""
    bearer_token_env: str = ""
    ca_file: str = ""


class Analysis(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How sure each judgment must be, and which score passes.

    confidence: of "worse than the margin" and of "not worse than the margin" alike. pass_score: the share of the
    metrics' weight that must pass, in percent. correction: of "worse" for the number of metrics. autocorrelation:
    whether tests allow for values that follow the value before them.
    """

    confidence: _Share = 0.95
    pass_score: Annotated[float, Meta(ge=0, le=100)] = 75.0
    correction: Correction = Correction.HOLM
    autocorrelation: bool = True


class Configuration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A canary.toml. folder: where files are looked for; not a key of the file."""

    analysis: Analysis = Analysis()
    prometheus: Prometheus | None = None
    metrics: tuple[Metric, ...] = ()
    shadow: Shadow | None = None

    def __post_init__(self) -> None:
        """Refuse what no analysis can be made of, as ValueError: msgspec adds where it stands."""
        if not self.metrics and self.shadow is None:
            raise ValueError("no [[metrics]] and no [shadow]: nothing to compare")
        names = [each.name for each in self.metrics]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two metrics are named {twice[0]!r}")
        for each in self.metrics:
            self._check(each)
        if self.shadow is not None and bool(self.shadow.query) == bool(self.shadow.file):
            raise ValueError("[shadow] needs one of query and file")
        if self.prometheus is None and any(source.query for source in self._sources()):
            raise ValueError("there are queries, and no [prometheus] with its url")
        if self.metrics and not any(each.weight for each in self.metrics):
            raise ValueError("every metric has weight 0: there is nothing to score")

    def sources(self, metric: Metric) -> tuple[Source, Source]:
        """Where the baseline's and the canary's values of a metric are."""
        if metric.baseline is not None and metric.canary is not None:
            return metric.baseline, metric.canary
        assert self.prometheus is not None
        sides = (self.prometheus.baseline, self.prometheus.canary)
        baseline, canary = (Source(query=metric.query.replace(SIDE, side)) for side in sides)
        return baseline, canary

    def _sources(self) -> list[Source]:
        found = [each for metric in self.metrics for each in (metric.baseline, metric.canary) if each is not None]
        found += [Source(query=metric.query) for metric in self.metrics if metric.query]
        return [*found, *([Source(query=self.shadow.query)] if self.shadow else [])]

    def _check(self, metric: Metric) -> None:
        where = f"metric {metric.name!r}"
        pair = (metric.baseline, metric.canary)
        if metric.query:
            if pair != (None, None):
                raise ValueError(f"{where} has a query of its own beside baseline or canary")
            if SIDE not in metric.query:
                raise ValueError(f"{where}: its query is for both sides and has no {SIDE} to tell them by")
        elif None in pair:
            raise ValueError(f"{where} needs a query with {SIDE}, or both baseline and canary")
        for source in pair:
            if source is not None and bool(source.query) == bool(source.file):
                raise ValueError(f"{where}: baseline and canary each need one of query and file")


def read_configuration(path: str | os.PathLike[str]) -> Configuration:
    """Read a canary.toml. ConfigurationError for what cannot be read, or says something that is not known."""
    name = os.fspath(path)
    try:
        with open(name, "rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as failure:
        raise ConfigurationError(
            where=name, expected="a readable file", got=failure.strerror or "", hint=_FIRST_CONFIGURATION
        ) from None
    if len(data) > _MAX_BYTES:
        raise ConfigurationError(where=name, expected=f"at most {_MAX_BYTES} bytes", got="more")
    try:
        return msgspec.convert(tomllib.loads(data.decode()), Configuration)
    except (ValueError, RecursionError) as failure:  # of tomllib, UTF-8 and msgspec alike
        raise ConfigurationError(str(failure), where=name, hint="docs/canary.md shows every key.") from None
