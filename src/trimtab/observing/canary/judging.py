"""From comparisons to judgments, and from judgments to one verdict.

The words are Kayenta's: a metric is `pass`, `high`, `low` or `nodata`; `inconclusive` is added for one that has data
and still leaves it open. Unlike there, the band around the baseline is stated against the baseline (statistics.py).

Errors of several metrics add up in one direction only. A canary fails when any critical metric does, so that each
metric more is one more chance of failing a good one: "worse" is corrected for their number (Holm). It passes only when
none is open, so that a bad one must be overlooked where it is bad: "not worse" needs no correction.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from trimtab.observing.canary.configuration import Bad, Correction, Missing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimtab.observing.canary.configuration import Analysis, Metric, Shadow
    from trimtab.observing.canary.samples import Sample
    from trimtab.observing.canary.statistics import Comparison


class Verdict(StrEnum):
    """Of the whole canary."""

    PASS = "pass"  # noqa: S105  # a verdict, no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class Result(StrEnum):
    """Of one metric."""

    PASS = "pass"  # noqa: S105  # likewise
    HIGH = "high"
    LOW = "low"
    NODATA = "nodata"
    INCONCLUSIVE = "inconclusive"

    @property
    def bad(self) -> bool:
        """Whether the canary is worse by it."""
        return self in (Result.HIGH, Result.LOW)


class Judgment(Struct, frozen=True, kw_only=True):
    """What one metric says. why: in a sentence. counts_as: what it does to the verdict, missing data by its policy."""

    result: Result
    why: str
    counts_as: Verdict


def adjusted(p_values: Sequence[float], correction: Correction) -> list[float]:
    """Values of p corrected for their number: a test at one level of any of them errs in that share of families."""
    count = len(p_values)
    if correction is Correction.NONE:
        return list(p_values)
    if correction is Correction.BONFERRONI:
        return [min(1.0, p * count) for p in p_values]
    found, least = [0.0] * count, 0.0
    for rank, at in enumerate(sorted(range(count), key=p_values.__getitem__)):
        least = max(least, min(1.0, p_values[at] * (count - rank)))
        found[at] = least
    return found


def too_few(metric: Metric, baseline: Sample, canary: Sample) -> Judgment | None:
    """The judgment of a metric that cannot be compared; None for one that can."""
    for side, sample in (("baseline", baseline), ("canary", canary)):
        if sample.infinite:
            return Judgment(
                result=Result.INCONCLUSIVE,
                why=f"{sample.infinite} values of the {side} are infinite: is something divided by zero?",
                counts_as=Verdict.INCONCLUSIVE,
            )
    lacking = [
        f"the {side} has {len(sample.values)} of {metric.min_samples} samples"
        for side, sample in (("baseline", baseline), ("canary", canary))
        if len(sample.values) < metric.min_samples
    ]
    return nodata("; ".join(lacking), metric.missing) if lacking else None


def nodata(why: str, policy: Missing) -> Judgment:
    """The judgment of a metric without data."""
    return Judgment(result=Result.NODATA, why=why, counts_as=Verdict(policy))


def judged(
    metric: Metric, comparison: Comparison, *, p_worse: float, alpha: float, warnings: Sequence[str]
) -> Judgment:
    """The judgment of a metric that was compared. p_worse: corrected for the number of metrics. alpha: of each test."""
    moved = f"{comparison.effect.shift:+.4g} [{comparison.effect.low:+.4g}, {comparison.effect.high:+.4g}]"
    against = f"the margin is {comparison.margin:.4g}"
    if p_worse <= alpha:
        high = comparison.p_high <= comparison.p_low if metric.bad is Bad.EITHER else metric.bad is Bad.INCREASE
        result = Result.HIGH if high else Result.LOW
        return Judgment(result=result, why=f"worse: moved by {moved}, {against}", counts_as=Verdict.FAIL)
    if comparison.p_not_worse > alpha:
        why = f"cannot tell: moved by {moved}, {against}{_what_to_do(comparison)}"
        return Judgment(result=Result.INCONCLUSIVE, why=why, counts_as=Verdict.INCONCLUSIVE)
    if warnings and not metric.partial:
        why = f"not worse in what came, but the source warned: {warnings[0]}"
        return Judgment(result=Result.INCONCLUSIVE, why=why, counts_as=Verdict.INCONCLUSIVE)
    return Judgment(result=Result.PASS, why=f"not worse: moved by {moved}, {against}", counts_as=Verdict.PASS)


def judged_shadow(shadow: Shadow, equal: float, different: float, confidence: float) -> Judgment:
    """The judgment of the shadow comparison: one difference fails."""
    compared = equal + different
    if different > 0:
        why = f"{different:.0f} of {compared:.0f} sampled requests had other scores when they were trimmed"
        return Judgment(result=Result.HIGH, why=why, counts_as=Verdict.FAIL)
    if compared < shadow.min_comparisons:
        return nodata(f"{compared:.0f} of {shadow.min_comparisons} comparisons", shadow.missing)
    at_most = 1 - (1 - confidence) ** (1 / compared)
    why = f"{compared:.0f} sampled requests had equal scores: at most {at_most:.2g} of all differ ({confidence:.0%})"
    return Judgment(result=Result.PASS, why=why, counts_as=Verdict.PASS)


def score(metrics: Sequence[tuple[Metric, Judgment]]) -> tuple[float, float]:
    """The least and the most percent of the weight that passes: what is open may turn out either way."""
    counted = [
        (metric.weight, judgment.counts_as)
        for metric, judgment in metrics
        if not (judgment.result is Result.NODATA and judgment.counts_as is Verdict.PASS)
    ]
    total = sum(weight for weight, _ in counted)
    if not total:
        return 100.0, 100.0
    passed = sum(weight for weight, counts in counted if counts is Verdict.PASS)
    still_open = sum(weight for weight, counts in counted if counts is Verdict.INCONCLUSIVE)
    return 100 * passed / total, 100 * (passed + still_open) / total


def verdict_of(metrics: Sequence[tuple[Metric, Judgment]], shadow: Judgment | None, analysis: Analysis) -> Verdict:
    """Fail when a critical metric fails or the score cannot pass any more; pass when nothing open can change that.

    A canary of which nothing was seen does not pass, whatever the policies for missing data say.
    """
    critical = [judgment.counts_as for metric, judgment in metrics if metric.critical]
    critical += [] if shadow is None else [shadow.counts_as]
    least, most = score(metrics)
    if Verdict.FAIL in critical or most < analysis.pass_score:
        return Verdict.FAIL
    shown = Result.PASS in [*(judgment.result for _, judgment in metrics), *([shadow.result] if shadow else [])]
    if Verdict.INCONCLUSIVE in critical or least < analysis.pass_score or not shown:
        return Verdict.INCONCLUSIVE
    return Verdict.PASS


def _what_to_do(comparison: Comparison) -> str:
    if comparison.margin == 0:
        return "; a share of a median of 0 is no margin: state margin_absolute"
    if comparison.step > comparison.margin:
        return f"; values come in steps of {comparison.step:.4g}, wider than the margin: join some with average"
    return "; more samples may tell"
