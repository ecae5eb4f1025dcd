"""A report as text for a terminal: the verdict, and under each metric the two distributions over one axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trimtab.observing.canary.judging import Result, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trimtab.observing.canary.report import MetricReport, Report, Side

_BARS = " ▁▂▃▄▅▆▇█"
_BINS = 32

WHAT_NEXT = {
    Verdict.PASS: "the canary is not worse by more than the margins",
    Verdict.FAIL: "the canary is worse: roll it back",
    Verdict.INCONCLUSIVE: "the canary is neither shown to be worse nor shown not to be: measure longer",
}
"""What each verdict says, in words."""


def as_text(report: Report) -> str:
    """The report, several lines, without colors."""
    lines = [line for metric in report.metrics for line in _metric(metric)]
    return "\n".join([*lines, verdict_line(report)])


def verdict_line(report: Report) -> str:
    """The verdict in one line."""
    most = "" if report.score == report.score_at_most else f" to {report.score_at_most:.0f}"
    score = f"score {report.score:.0f}{most}, {report.pass_score:.0f} needed"
    return f"verdict {report.verdict}: {WHAT_NEXT[report.verdict]} ({score}, confidence {report.confidence:.0%})"


def bins_of(sides: Sequence[Side], bins: int) -> tuple[list[list[int]], float, float]:
    """Histograms of samples over one axis: their counts, and the axis's ends. A single value stands in the middle."""
    low, high = min(side.minimum for side in sides), max(side.maximum for side in sides)
    if high - low <= max(abs(low), abs(high)) * 1e-9:
        low, high = low - max(abs(low) / 2, 0.5), high + max(abs(high) / 2, 0.5)
    counts = [np.histogram(side.values, bins, (low, high))[0].tolist() for side in sides]
    return counts, low, high


def _metric(metric: MetricReport) -> Iterator[str]:
    weighs = "critical" if metric.critical else f"weight {metric.weight:g}" if metric.weight else "reported only"
    yield f"{metric.result:<13} {metric.name} ({weighs})"
    yield f"  {metric.why}{_of_policy(metric)}"
    sides = [(name, side) for name, side in (("baseline", metric.baseline), ("canary", metric.canary)) if side]
    if sides:
        counts, low, high = bins_of([side for _, side in sides], _BINS)
        for (name, side), histogram in zip(sides, counts, strict=True):
            missing = f", {side.missing} missing" if side.missing else ""
            yield f"  {name:<9}|{_bars(histogram)}| median {side.median:.4g}, {side.samples} samples{missing}"
        ends = f"{low:.4g}"
        yield f"           {ends}{f'{high:.4g}':>{_BINS - len(ends)}}"
    for warning in metric.warnings:
        yield f"  warning: {warning}"


def _of_policy(metric: MetricReport) -> str:
    return f" (counts as {metric.counts_as})" if metric.result is Result.NODATA else ""


def _bars(histogram: Sequence[int]) -> str:
    most = max(histogram)
    return "".join(_BARS[-(-count * (len(_BARS) - 1) // most)] for count in histogram)
