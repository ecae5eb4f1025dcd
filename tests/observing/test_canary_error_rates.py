"""The error rates that docs/canary.md states, held by the simulation that measured them: fewer runs, of fixed seeds.

A false verdict at the margin may come in 5 % of the runs. Of 150 runs that is 7.5; 18 or more of 150 have a
probability below 0.1 % (binomial), so that the bounds below would catch a test that errs twice as often as it says.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

from trimtab.observing.canary.configuration import Correction

canary_errors = SimpleNamespace(
    **runpy.run_path(str(Path(__file__).resolve().parents[2] / "benchmarks" / "canary_errors.py"))
)

RUNS = 150
FALSE_AT_MOST = 17 / RUNS

CASES = [
    ("lognormal latency (spread 10 %)", 20),
    ("lognormal latency (spread 10 %)", 60),
    ("Poisson counts, mean 400", 60),
    ("Poisson counts, mean 4", 60),
    ("Poisson counts, mean 4, average = 5", 60),
    ("heavy ties: six levels", 60),
    ("constant", 20),
    ("AR(1), correlation 0.5", 60),
    ("AR(1), correlation 0.8", 60),
]


@pytest.mark.parametrize(("name", "size"), CASES)
def test_false_verdicts_are_as_rare_as_stated(name: str, size: int) -> None:
    same, at_margin, beyond = (canary_errors.rates(name, size, shift, RUNS) for shift in (0.0, 1.0, 2.0))
    assert same["fail"] <= 0.05
    assert at_margin["pass"] <= FALSE_AT_MOST
    assert at_margin["fail"] <= FALSE_AT_MOST
    assert beyond["pass"] <= 0.05


DETECTED = [
    ("lognormal latency (spread 10 %)", 240, 0.95),
    ("Poisson counts, mean 400", 60, 0.95),
    ("heavy ties: six levels", 60, 0.8),
    ("constant", 20, 1.0),
    ("AR(1), correlation 0.5", 60, 0.8),
]


@pytest.mark.parametrize(("name", "size", "at_least"), DETECTED)
def test_what_must_be_seen_is_seen(name: str, size: int, at_least: float) -> None:
    assert canary_errors.rates(name, size, 2.0, 60)["fail"] >= at_least
    assert canary_errors.rates(name, size, 0.0, 60)["pass"] >= at_least


def test_the_autocorrelation_that_is_allowed_for_matters() -> None:
    ignored = canary_errors.rates("AR(1), correlation 0.8", 60, 1.0, RUNS, autocorrelation=False)
    assert ignored["pass"] > 2 * FALSE_AT_MOST


def test_errors_of_several_metrics_do_not_add_up() -> None:
    assert canary_errors.families(Correction.HOLM, 5, 100) <= 0.13
    assert canary_errors.families(Correction.NONE, 5, 100) > 0.13
