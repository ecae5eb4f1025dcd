"""Is the canary worse than the baseline by more than a margin? The rank test of Mann and Whitney, asked twice.

The baseline is moved by the margin, and the canary held against that: significantly beyond it is worse, significantly
short of it is not worse, and neither is not known. That is a test of superiority and one of non-inferiority, of one
confidence each. The margin is stated against the baseline, never against the difference that was found.

scipy ranks, corrects for ties, and gives exact probabilities for small samples. Three things are added. Values of a
time series that follow the value before them say less than their number: the standard error is widened by that of a
first-order autoregression, sqrt((1 + r) / (1 - r)), r being the lag-1 autocorrelation of both sides, after Yue and
Wang, "The influence of serial correlation on the Mann-Whitney test" (Advances in Water Resources, 2002). Small samples
with ties, for which scipy has no exact table, are permuted. And where values come in steps, such as counts, a margin
between two steps would break every tie in the canary's favor: "not worse" is held to the step below the margin.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from trimtab.errors import missing_extra
from trimtab.observing.canary.configuration import Bad

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

    Values = NDArray[np.float64]

_MOST_PERMUTATIONS = 20_000
"""Of two samples of eight each there are 12,870."""
_SMALL = 8
"""Up to this size of the smaller sample scipy is exact too."""
_ROUNDING = 1e-9
_DIGITS = 12
_LEAST = 1e-290
_MOST_STEPS = 2.0**52

_MOST_CORRELATED = 0.98
"""A sample that hardly moves has a lag-1 correlation near 1, and no finite width."""


class Effect(Struct, frozen=True, kw_only=True):
    """How far the canary is from the baseline.

    shift: the Hodges-Lehmann estimate, the median of all differences between a canary's and a baseline's value, in the
    metric's unit. low, high: the interval around it, of the confidence of both one-sided tests together. share: the
    probability that a value of the canary is above one of the baseline, ties counted half.
    """

    shift: float
    low: float
    high: float
    share: float


class Comparison(Struct, frozen=True, kw_only=True):
    """One metric compared.

    p_high, p_low: of a canary that is beyond the margin above or below, were it not; 1 for a side that is not bad.
    p_worse: of the two together. p_not_worse: of a canary within the margin, were it beyond it.
    margin: what it was held against, in the metric's unit. step: between values that come in steps, else 0.
    autocorrelation: the lag-1 correlation allowed for, or 0.
    """

    margin: float
    step: float
    p_high: float
    p_low: float
    p_worse: float
    p_not_worse: float
    autocorrelation: float
    effect: Effect


def compare(
    baseline: Values, canary: Values, *, bad: Bad, margin: float, confidence: float, autocorrelation: bool = True
) -> Comparison:
    """Compare two samples of finite values, at least two each, in order of time.

    margin: how far the canary may be on the bad side, in the metric's unit. confidence: of one side, such as 0.95; used
    for the interval alone, for tests are left to whoever judges. MissingExtraError without scipy.
    """
    stats = _stats()
    if np.ptp(np.concatenate((baseline, canary))) == 0:  # there is nothing to rank, and nothing that could be worse
        return _identical(margin)
    step = max(map(_step, (baseline, canary)))
    safe_margin = _whole_steps(margin, step)
    correlation = _autocorrelation(baseline, canary) if autocorrelation else 0.0
    width = math.sqrt((1 + correlation) / (1 - correlation))
    p_high = p_low = 1.0
    within = []
    if bad is not Bad.DECREASE:
        p_high = _p(stats, canary, baseline + margin, "greater", width)
        within.append(_p(stats, canary, baseline + safe_margin, "less", width))
    if bad is not Bad.INCREASE:
        p_low = _p(stats, canary, baseline - margin, "less", width)
        within.append(_p(stats, canary, baseline - safe_margin, "greater", width))
    return Comparison(
        margin=margin,
        step=step,
        p_high=p_high,
        p_low=p_low,
        p_worse=min(1.0, min(p_high, p_low) * len(within)),
        p_not_worse=max(within),
        autocorrelation=correlation,
        effect=_effect(stats, baseline, canary, confidence, width),
    )


def _whole_steps(margin: float, step: float) -> float:
    """The margin, down to the step below it; as it is where there are no steps, or more than a float can count."""
    if step == 0 or margin > step * _MOST_STEPS:
        return margin
    return math.floor(margin / step + _ROUNDING) * step


def _identical(margin: float) -> Comparison:
    return Comparison(
        margin=margin,
        step=0.0,
        p_high=1.0,
        p_low=1.0,
        p_worse=1.0,
        p_not_worse=0.0,
        autocorrelation=0.0,
        effect=Effect(shift=0.0, low=0.0, high=0.0, share=0.5),
    )


def _p(stats: ModuleType, canary: Values, baseline: Values, alternative: str, width: float) -> float:
    """One one-sided test, its standard error widened."""
    p = _rank_test(stats, canary, baseline, alternative)
    if width == 1.0 or p in (0.0, 1.0):
        return p
    return float(stats.norm.sf(stats.norm.isf(p) / width))


def _rank_test(stats: ModuleType, canary: Values, baseline: Values, alternative: str) -> float:
    decimals = _DIGITS - math.ceil(math.log10(max(np.abs(canary).max(), np.abs(baseline).max(), _LEAST)))
    canary, baseline = canary.round(decimals), baseline.round(decimals)  # 0.1 + 0.2 is to tie with 0.3
    both = np.concatenate((canary, baseline))
    if np.ptp(both) == 0:
        return 1.0
    tied = len(np.unique(both)) < len(both)
    smaller = min(len(canary), len(baseline))
    if tied and smaller <= _SMALL and math.comb(len(both), smaller) <= _MOST_PERMUTATIONS:
        found = stats.permutation_test(
            (canary, baseline),
            lambda x, y, axis: stats.mannwhitneyu(x, y, axis=axis, method="asymptotic").statistic,
            alternative=alternative,
            n_resamples=_MOST_PERMUTATIONS,
            vectorized=True,
        )
    else:
        found = stats.mannwhitneyu(canary, baseline, alternative=alternative)
    return float(found.pvalue)


def _effect(stats: ModuleType, baseline: Values, canary: Values, confidence: float, width: float) -> Effect:
    """The estimate that belongs to the test, and the interval of all shifts that the test would not rule out."""
    n, m = len(canary), len(baseline)
    differences = np.subtract.outer(canary, baseline).ravel()
    spread = stats.norm.ppf(confidence) * math.sqrt(n * m * (n + m + 1) / 12) * width
    first = max(int(n * m / 2 - spread), 0)
    last = n * m - 1 - first
    differences.partition([first, last])
    low, high = float(differences[first]), float(differences[last])
    share = float(stats.mannwhitneyu(canary, baseline, method="asymptotic").statistic) / (n * m)
    return Effect(shift=float(np.median(differences)), low=low, high=high, share=share)


def _step(values: Values) -> float:
    """The distance of values that all lie on one grid and are often equal; 0 for any other sample."""
    unique = np.unique(values)
    if len(unique) < 2 or len(unique) * 2 > len(values):
        return 0.0
    gaps = np.diff(unique)
    with np.errstate(over="ignore"):  # what no float can count is on no grid
        steps = gaps / gaps.min()
    return float(gaps.min()) if np.allclose(steps, steps.round(), atol=1e-6) else 0.0


def _autocorrelation(*samples: Values) -> float:
    """The lag-1 correlation of all samples together, at least 0, each sample's bias for its length taken off."""
    found = [(_lag_one(sample), len(sample)) for sample in samples if np.ptp(sample) > 0]
    if not found:
        return 0.0
    joined = sum((r + (1 + 3 * r) / n) * n for r, n in found) / sum(n for _, n in found)
    return min(max(joined, 0.0), _MOST_CORRELATED)


def _lag_one(values: Values) -> float:
    centered = values - values.mean()
    centered /= np.abs(centered).max()
    return float(np.dot(centered[1:], centered[:-1]) / np.dot(centered, centered))


def _stats() -> Any:
    try:
        from scipy import stats
    except ImportError:
        raise missing_extra("scipy", "canary", "canary analysis") from None
    return stats
