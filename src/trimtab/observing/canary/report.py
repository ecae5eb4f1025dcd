"""The report of an analysis: everything that the verdict rests on, as one JSON document that a rollout can cite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np
from msgspec import Meta, Struct

from trimtab.observing.canary.configuration import Bad, Correction  # noqa: TC001  # msgspec reads them at run time
from trimtab.observing.canary.judging import Result, Verdict  # noqa: TC001  # likewise
from trimtab.observing.canary.report_file import REPORT_VERSION, decode_report, read_report_file
from trimtab.observing.canary.statistics import Effect  # noqa: TC001  # likewise

if TYPE_CHECKING:
    import os

    from trimtab.observing.canary.samples import Sample


class Side(Struct, frozen=True, kw_only=True):
    """One side's sample. values: in order of time. missing: how many were not there, of those that could be."""

    samples: int
    missing: int
    mean: float
    minimum: float
    p05: float
    p25: float
    median: float
    p75: float
    p95: float
    maximum: float
    values: tuple[float, ...]


class MetricReport(Struct, frozen=True, kw_only=True):
    """One metric. Of the shadow comparison the counts alone are there, of others what could be computed.

    p_worse_corrected: for the number of metrics. counts_as: what the result does to the verdict.
    """

    name: str
    result: Result
    counts_as: Verdict
    why: str
    critical: bool
    weight: float
    bad: Bad | None = None
    baseline_source: str = ""
    canary_source: str = ""
    baseline: Side | None = None
    canary: Side | None = None
    margin: float | None = None
    effect: Effect | None = None
    p_worse: float | None = None
    p_worse_corrected: float | None = None
    p_not_worse: float | None = None
    autocorrelation: float | None = None
    step: float | None = None
    warnings: tuple[str, ...] = ()
    counts: dict[str, float] = {}


class Report(Struct, frozen=True, kw_only=True):
    """What came out.

    bundle: the digest of the bundle that the canary serves, empty where nobody said. made_at: RFC 3339.
    score: percent of the weight that passes; score_at_most: with all that is open. confidence: of the whole analysis.
    looks: how often it may be made before it is believed; each test has 1/looks of the error rate. start, end: of the
    time looked at, RFC 3339, empty for files alone.
    """

    report_version: Annotated[int, Meta(ge=1, le=REPORT_VERSION)] = REPORT_VERSION
    verdict: Verdict
    bundle: str
    made_at: str
    score: float
    score_at_most: float
    pass_score: float
    confidence: float
    correction: Correction
    looks: int
    start: str = ""
    end: str = ""
    metrics: tuple[MetricReport, ...]


def side_of(sample: Sample) -> Side | None:
    """A sample as the report has it; None for an empty one."""
    if not len(sample.values):
        return None
    marks = np.quantile(sample.values, (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)).tolist()
    minimum, p05, p25, median, p75, p95, maximum = marks
    return Side(
        samples=len(sample.values),
        missing=sample.missing,
        mean=float(sample.values.mean()),
        minimum=minimum,
        p05=p05,
        p25=p25,
        median=median,
        p75=p75,
        p95=p95,
        maximum=maximum,
        values=tuple(sample.values.tolist()),
    )


def encode_report(report: Report) -> bytes:
    """The report as one line of JSON."""
    return msgspec.json.encode(report) + b"\n"


def read_report(path: str | os.PathLike[str]) -> Report:
    """Read a report that was written. StoreError for what is none."""
    return decode_report(read_report_file(path), Report, where=path)
