"""The tests behind a judgment: tables of what must come out, and laws that hold for any samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from trimtab.observing.canary.configuration import Bad, Correction
from trimtab.observing.canary.judging import adjusted
from trimtab.observing.canary.statistics import Comparison, compare

ALPHA = 0.05


def run(baseline: object, canary: object, *, bad: Bad = Bad.INCREASE, margin: float = 0.0) -> Comparison:
    both = (np.asarray(baseline, float), np.asarray(canary, float))
    return compare(*both, bad=bad, margin=margin, confidence=1 - ALPHA, autocorrelation=False)


def said(found: Comparison) -> str:
    return "worse" if found.p_worse <= ALPHA else "not worse" if found.p_not_worse <= ALPHA else "open"


rng = np.random.default_rng(5)
NOISE = rng.normal(100, 3, 60)
OTHER = rng.normal(100, 3, 60)
SAID = {
    "same distribution, wide margin": (NOISE, OTHER, Bad.INCREASE, 5, "not worse"),
    "same distribution, margin within the noise": (NOISE, OTHER, Bad.INCREASE, 0.1, "open"),
    "same distribution, no margin": (NOISE, OTHER, Bad.INCREASE, 0, "open"),
    "up by twice the margin": (NOISE, OTHER + 10, Bad.INCREASE, 5, "worse"),
    "up, within the margin": (NOISE, OTHER + 2, Bad.INCREASE, 5, "not worse"),
    "up at the margin": (NOISE, OTHER + 5, Bad.INCREASE, 5, "open"),
    "down is good": (NOISE, OTHER - 10, Bad.INCREASE, 0, "not worse"),
    "down is bad": (NOISE, OTHER - 10, Bad.DECREASE, 5, "worse"),
    "up is good": (NOISE, OTHER + 10, Bad.DECREASE, 5, "not worse"),
    "either, up": (NOISE, OTHER + 10, Bad.EITHER, 5, "worse"),
    "either, down": (NOISE, OTHER - 10, Bad.EITHER, 5, "worse"),
    "either, neither": (NOISE, OTHER, Bad.EITHER, 5, "not worse"),
    "either, at the margin": (NOISE, OTHER + 5, Bad.EITHER, 5, "open"),
    "constant and equal, no margin": ([0] * 20, [0] * 30, Bad.EITHER, 0, "not worse"),
    "constant, up within the margin": ([100] * 20, [104] * 20, Bad.INCREASE, 5, "not worse"),
    "constant, up at the margin": ([100] * 20, [105] * 20, Bad.INCREASE, 5, "open"),
    "constant, up beyond the margin": ([100] * 20, [106] * 20, Bad.INCREASE, 5, "worse"),
    "baseline constant at zero": ([0] * 20, [*[0] * 10, *[1] * 10], Bad.INCREASE, 0, "worse"),
    "one stray error is no proof": ([0] * 20, [*[0] * 19, 1], Bad.INCREASE, 0, "open"),
    "too few to tell anything": ([1, 2, 3], [11, 12, 13], Bad.INCREASE, 0, "worse"),
    "fewer still": ([1, 2], [11, 12], Bad.INCREASE, 0, "open"),
    "small with ties": ([1, 1, 2, 2], [5, 5, 6, 6], Bad.INCREASE, 0, "worse"),
    "steps wider than the margin": ([3, 4, 5, 4] * 30, [3, 4, 5, 4] * 30, Bad.INCREASE, 0.2, "open"),
    "steps of the margin": ([0.1, 0.2, 0.3, 0.2] * 30, [0.1, 0.2, 0.3, 0.2] * 20, Bad.INCREASE, 0.1, "not worse"),
}  # fmt: skip


@pytest.mark.parametrize("case", SAID)
def test_what_is_said(case: str) -> None:
    baseline, canary, bad, margin, expected = SAID[case]
    assert said(run(baseline, canary, bad=bad, margin=margin)) == expected


def test_small_samples_are_exact() -> None:
    assert run([1, 2, 3], [11, 12, 13]).p_worse == pytest.approx(1 / 20)  # one order of twenty
    assert run([1, 1, 2, 2], [5, 5, 6, 6]).p_worse == pytest.approx(1 / 70)  # ties: scipy alone would approximate


def test_ranks_and_effect_are_scipys() -> None:
    found = run(NOISE, OTHER + 2, margin=1.5)
    assert found.p_high == stats.mannwhitneyu(OTHER + 2, NOISE + 1.5, alternative="greater").pvalue
    assert found.p_not_worse == stats.mannwhitneyu(OTHER + 2, NOISE + 1.5, alternative="less").pvalue
    assert found.effect.share == stats.mannwhitneyu(OTHER + 2, NOISE).statistic / 3600
    assert found.effect.low < found.effect.shift < found.effect.high
    assert found.effect.shift == np.median(np.subtract.outer(OTHER + 2, NOISE))


def test_both_directions_share_the_error_rate_of_one() -> None:
    either, up = (run(NOISE, OTHER + 6, bad=bad, margin=5) for bad in (Bad.EITHER, Bad.INCREASE))
    assert (either.p_high, either.p_worse) == (up.p_worse, 2 * up.p_worse)


def test_values_in_tenths_tie_as_whole_ones_do() -> None:
    tenths, whole = [3, 4, 5, 6, 5, 4] * 20, [3, 4, 5, 6, 7, 4] * 20
    found = run(np.array(tenths) / 10, np.array(whole) / 10, margin=0.1)
    assert found.p_not_worse == run(tenths, whole, margin=1).p_not_worse


def test_a_share_above_a_half_means_that_the_canary_is_above() -> None:
    assert run([1, 2, 3], [4, 5, 6]).effect.share == 1.0
    assert run([4, 5, 6], [1, 2, 3]).effect.share == 0.0
    assert run([1, 2], [1, 2]).effect.share == 0.5


def test_values_that_follow_the_one_before_say_less() -> None:
    walk = np.convolve(rng.normal(0, 1, 80), np.ones(21), "valid")
    values = (np.linspace(0, 1, 60) * 0 + walk + 100, np.roll(walk, 30) + 103)
    plain, aware = (
        compare(*values, bad=Bad.INCREASE, margin=0, confidence=0.95, autocorrelation=it) for it in (False, True)
    )
    assert plain.autocorrelation == 0.0
    assert aware.autocorrelation > 0.8
    assert plain.p_worse < aware.p_worse < 0.5
    assert aware.effect.high - aware.effect.low > plain.effect.high - plain.effect.low


values = st.floats(-1e150, 1e150) | st.integers(-5, 5).map(float) | st.just(0.1)
samples = st.lists(values, min_size=2, max_size=40)
bad = st.sampled_from(Bad)
margins = st.just(0.0) | st.floats(0, 1e150)


@settings(max_examples=60, deadline=None)
@given(samples, samples, bad, margins, st.booleans())
@example([4e16, 0.1], [0.0, 0.0, 0.0, 4.5e-259], Bad.INCREASE, 8e49, False)
def test_any_samples_can_be_compared(
    baseline: list[float], canary: list[float], way: Bad, margin: float, aware: bool
) -> None:
    found = compare(
        np.array(baseline), np.array(canary), bad=way, margin=margin, confidence=0.95, autocorrelation=aware
    )
    assert all(0 <= p <= 1 for p in (found.p_high, found.p_low, found.p_worse, found.p_not_worse))
    assert found.effect.low <= found.effect.shift <= found.effect.high
    assert 0 <= found.effect.share <= 1
    assert 0 <= found.autocorrelation < 1
    assert not (found.p_worse <= ALPHA and found.p_not_worse <= ALPHA), "worse and not worse at once"


whole = st.lists(st.integers(-1000, 1000).map(float), min_size=9, max_size=30)


@settings(max_examples=60, deadline=None)
@given(whole, whole, st.integers(0, 500))
def test_increase_of_values_is_decrease_of_their_negatives(baseline: list[float], canary: list[float], by: int) -> None:
    up = run(baseline, canary, bad=Bad.INCREASE, margin=by)
    down = run(np.negative(baseline), np.negative(canary), bad=Bad.DECREASE, margin=by)
    assert (up.p_worse, up.p_not_worse) == pytest.approx((down.p_worse, down.p_not_worse))
    assert up.effect.shift == pytest.approx(-down.effect.shift)


@settings(max_examples=60, deadline=None)
@given(whole, whole, st.integers(0, 100), st.integers(0, 100), bad)
def test_a_wider_margin_is_never_stricter(
    baseline: list[float], canary: list[float], by: int, more: int, way: Bad
) -> None:
    narrow, wide = (run(baseline, canary, bad=way, margin=it) for it in (by, by + more))
    # Tie corrections make the two tests' variances differ a little.
    assert wide.p_worse >= narrow.p_worse - 0.02
    assert wide.p_not_worse <= narrow.p_not_worse + 0.02


@settings(max_examples=60, deadline=None)
@given(whole, whole, st.floats(-1000, 1000))
def test_where_zero_lies_does_not_matter(baseline: list[float], canary: list[float], origin: float) -> None:
    here, there = run(baseline, canary, margin=3), run(np.add(baseline, origin), np.add(canary, origin), margin=3)
    assert (here.p_worse, here.p_not_worse) == pytest.approx((there.p_worse, there.p_not_worse), abs=1e-6)


@pytest.mark.parametrize(
    ("correction", "expected"),
    [
        (Correction.NONE, [0.01, 0.04, 0.03]),
        (Correction.BONFERRONI, [0.03, 0.12, 0.09]),
        (Correction.HOLM, [0.03, 0.06, 0.06]),
    ],
)
def test_corrections(correction: Correction, expected: list[float]) -> None:
    assert adjusted([0.01, 0.04, 0.03], correction) == pytest.approx(expected)
    assert adjusted([], correction) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_between_no_correction_and_bonferroni(p_values: list[float]) -> None:
    none, holm, bonferroni = (
        adjusted(p_values, it) for it in (Correction.NONE, Correction.HOLM, Correction.BONFERRONI)
    )
    assert all(a <= b <= c <= 1 for a, b, c in zip(none, holm, bonferroni, strict=True))
