"""Calls that TensorFlow takes and cannot compute: foretold only where it is certain, TensorFlow being the oracle."""

from __future__ import annotations

import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is the oracle of this test; install tensorflow-cpu")

from random_graphs import Outcome, outcomes


@pytest.fixture(scope="module")
def called() -> list[Outcome]:
    return [each for seed in (104, 5004) for each in outcomes(seed, functions=60, calls=10)]


def test_no_failure_is_foretold_that_tensorflow_does_not_have(called: list[Outcome]) -> None:
    assert [each for each in called if each.ours and not each.theirs] == []


def test_the_error_is_the_one_that_is_foretold(called: list[Outcome]) -> None:
    """Where two operations fail, the first to do so wins; a softmax of oneDNN's fails in a way of its own."""
    assert {each.theirs for each in called if each.ours} <= {"InvalidArgumentError", "AbortedError"}


def test_a_good_part_of_the_failures_is_foretold(called: list[Outcome]) -> None:
    failed = [each for each in called if each.theirs]
    found = [each for each in failed if each.ours]
    print(f"{len(called)} calls, {len(failed)} fail while they run, {len(found)} of these are foretold")
    assert len(failed) > 200
    assert len(found) >= 0.35 * len(failed)
