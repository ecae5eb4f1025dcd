"""Random functions, saved and loaded by TensorFlow, and random calls of them: TensorFlow's answer against ours.

`python random_functions.py 6 60 40` and `python random_signatures.py 8` put thousands of calls to both.
"""

from __future__ import annotations

import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is the oracle of this test; install tensorflow-cpu")

import random_signatures
from random_functions import Answer, answers


@pytest.fixture(scope="module")
def answered() -> list[Answer]:
    return [answer for seed in (1, 2) for answer in answers(seed, functions=40, calls=20)]


@pytest.fixture(scope="module")
def answered_by_signatures() -> list[Answer]:
    return random_signatures.answers(seed=1, functions=15, calls=15)


@pytest.mark.parametrize("called", ["answered", "answered_by_signatures"])
def test_random_calls_come_to_what_tensorflow_does(called: str, request: pytest.FixtureRequest) -> None:
    answered: list[Answer] = request.getfixturevalue(called)
    wrong = [answer for answer in answered if answer.theirs != answer.ours]
    for answer in wrong:
        print(f"{answer.call}\n  TensorFlow: {answer.theirs}  ours: {answer.ours}\n  {answer.about}")
    assert len(wrong) <= 0.005 * len(answered)


def test_the_random_calls_are_not_all_refused(answered: list[Answer]) -> None:
    dispatched = sum(answer.theirs.startswith("__inference") for answer in answered)
    assert len(answered) >= 1500
    assert 0.25 < dispatched / len(answered) < 0.9
    assert {"TypeError", "ValueError"} <= {answer.theirs for answer in answered}


def test_the_random_calls_of_signatures_are_of_every_kind(answered_by_signatures: list[Answer]) -> None:
    kinds = {answer.theirs for answer in answered_by_signatures}
    assert {random_signatures.RUNS, "TypeError", "InvalidArgumentError"} <= kinds
