"""From judgments to the verdict, as a table; and configurations that are refused, with what they are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.errors import ConfigurationError
from trimtab.observing.canary.configuration import Analysis, Metric, Missing, Shadow, read_configuration
from trimtab.observing.canary.judging import Judgment, Result, Verdict, judged_shadow, nodata, score, verdict_of

PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
OF = {PASS: Result.PASS, FAIL: Result.HIGH, OPEN: Result.INCONCLUSIVE}


def metric(counts: Verdict | Missing, weight: float = 1, critical: bool = False) -> tuple[Metric, Judgment]:
    if isinstance(counts, Missing):
        judgment = nodata("nothing came", counts)
    else:
        judgment = Judgment(result=OF[counts], why="", counts_as=counts)
    return Metric(name="m", weight=weight, critical=critical), judgment


VERDICTS: dict[str, tuple[list[Any], float, Verdict]] = {
    "all pass": ([(PASS,), (PASS, 1, True)], 100, PASS),
    "a critical one fails": ([(PASS, 99), (FAIL, 1, True)], 50, FAIL),
    "a critical one without weight fails": ([(PASS, 99), (FAIL, 0, True)], 50, FAIL),
    "a critical one is open": ([(PASS, 99), (OPEN, 1, True)], 50, OPEN),
    "another one fails, the score holds": ([(PASS, 3), (FAIL, 1)], 75, PASS),
    "another one fails, the score does not": ([(PASS, 2), (FAIL, 1)], 75, FAIL),
    "an open one cannot change it": ([(PASS, 3), (OPEN, 1)], 75, PASS),
    "an open one can change it": ([(PASS, 2), (OPEN, 1)], 75, OPEN),
    "an open one cannot save it": ([(PASS, 1), (FAIL, 1), (OPEN, 1)], 75, FAIL),
    "one that is only reported": ([(PASS,), (FAIL, 0)], 100, PASS),
    "no data, may pass": ([(PASS,), (Missing.PASS, 9, True)], 100, PASS),
    "no data, must not": ([(PASS,), (Missing.FAIL, 1, True)], 50, FAIL),
    "no data, open": ([(PASS,), (Missing.INCONCLUSIVE, 1, True)], 50, OPEN),
    "no data, open, lightly": ([(PASS, 9), (Missing.INCONCLUSIVE, 1)], 90, PASS),
    "no data at all": ([(Missing.PASS,), (Missing.PASS, 1, True)], 75, OPEN),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_verdicts(case: str) -> None:
    metrics, needed, expected = VERDICTS[case]
    assert verdict_of([metric(*each) for each in metrics], None, Analysis(pass_score=needed)) is expected


SHADOWS = [
    (0, 0, 1, Missing.INCONCLUSIVE, Result.NODATA, OPEN),
    (0, 0, 1, Missing.PASS, Result.NODATA, PASS),
    (99, 0, 100, Missing.INCONCLUSIVE, Result.NODATA, OPEN),
    (100, 0, 100, Missing.INCONCLUSIVE, Result.PASS, PASS),
    (1, 0, 1, Missing.INCONCLUSIVE, Result.PASS, PASS),
    (1_000_000, 1, 1, Missing.INCONCLUSIVE, Result.HIGH, FAIL),
    (0, 1, 100, Missing.PASS, Result.HIGH, FAIL),
]


@pytest.mark.parametrize(("equal", "different", "needed", "missing", "result", "counts"), SHADOWS)
def test_shadow(equal: int, different: int, needed: int, missing: Missing, result: Result, counts: Verdict) -> None:
    found = judged_shadow(Shadow(query="x", min_comparisons=needed, missing=missing), equal, different, 0.95)
    assert (found.result, found.counts_as) == (result, counts)
    whole = verdict_of([metric(PASS)], found, Analysis())
    assert whole is counts


def test_equal_scores_say_how_rare_different_ones_must_be() -> None:
    found = judged_shadow(Shadow(query="x"), 300, 0, 0.95)
    assert found.why == "300 sampled requests had equal scores: at most 0.0099 of all differ (95%)"


counts = st.sampled_from([PASS, FAIL, OPEN, *Missing])
metrics = st.lists(st.tuples(counts, st.integers(0, 3), st.booleans()), max_size=6)
order = [FAIL, OPEN, PASS]


@given(metrics, st.integers(0, 100), st.data())
def test_the_verdict_never_falls_when_a_judgment_gets_better(given: Any, needed: int, data: st.DataObject) -> None:
    before = verdict_of([metric(*each) for each in given], None, Analysis(pass_score=needed))
    worse = [at for at, (it, _, _) in enumerate(given) if it in (FAIL, OPEN)]
    if not worse:
        return
    at = data.draw(st.sampled_from(worse))
    better = PASS if given[at][0] is OPEN else data.draw(st.sampled_from([OPEN, PASS]))
    given[at] = (better, *given[at][1:])
    after = verdict_of([metric(*each) for each in given], None, Analysis(pass_score=needed))
    assert order.index(after) >= order.index(before)


@given(metrics)
def test_a_score_lies_between_none_and_all(given: Any) -> None:
    least, most = score([metric(*each) for each in given])
    assert 0 <= least <= most <= 100


QUERY = 'query = "latency{stage=\\"$side\\"}"'
PROMETHEUS = '[prometheus]\nurl = "http://localhost:9090"\n'
REFUSED = {
    "nothing": ("", "nothing to compare"),
    "no TOML": ("[[", "Expected ']]'|Invalid"),
    "an unknown key": ("[analysis]\nconfidense = 0.9", "unknown field `confidense`"),
    "a confidence of percent": ("[analysis]\nconfidence = 95", "Expected `float` < 1.0"),
    "a negative margin": (f'{PROMETHEUS}[[metrics]]\nname = "m"\n{QUERY}\nmargin = -0.1', "`float` >= 0.0"),
    "an endless time": (f'{PROMETHEUS}duration_s = inf\n[shadow]\nquery = "x"', "<= 1000000000"),
    "a margin that is no number": (f'{PROMETHEUS}[[metrics]]\nname = "m"\n{QUERY}\nmargin = nan', "`float` >= 0.0"),
    "a direction that is none": (f'{PROMETHEUS}[[metrics]]\nname = "m"\n{QUERY}\nbad = "up"', "enum value 'up'"),
    "a query without its server": (f'[[metrics]]\nname = "m"\n{QUERY}', r"no \[prometheus\] with its url"),
    "a shadow query without its server": ('[shadow]\nquery = "x"', r"no \[prometheus\] with its url"),
    "a query without a side": (f'{PROMETHEUS}[[metrics]]\nname = "m"\nquery = "up"', r"has no \$side to tell"),
    "no source": ('[[metrics]]\nname = "m"', r"metric 'm' needs a query with \$side, or both"),
    "one side": ('[[metrics]]\nname = "m"\nbaseline = {file = "a.csv"}', "both baseline and canary"),
    "two sources": (
        f'{PROMETHEUS}[[metrics]]\nname = "m"\n{QUERY}\nbaseline = {{file = "a.csv"}}', "a query of its own beside",
    ),
    "a source that is two": (
        '[[metrics]]\nname = "m"\nbaseline = {file = "a", query = "b"}\ncanary = {file = "a"}', "one of query and file",
    ),
    "a source that is none": (
        '[[metrics]]\nname = "m"\nbaseline = {column = "a"}\ncanary = {file = "a"}', "one of query and file",
    ),
    "two of one name": (f'{PROMETHEUS}[[metrics]]\nname = "m"\n{QUERY}\n[[metrics]]\nname = "m"\n{QUERY}', "named 'm'"),
    "no weight": (f'{PROMETHEUS}[[metrics]]\nname = "m"\n{QUERY}\nweight = 0', "every metric has weight 0"),
    "a shadow without a source": ("[shadow]\nmin_comparisons = 3", r"\[shadow\] needs one of query and file"),
    "one sample": (f'{PROMETHEUS}[[metrics]]\nname = "m"\n{QUERY}\nmin_samples = 1', "`int` >= 2"),
    "no UTF-8": ("# \udcff", "decode"),
    "too long": ("#" * (1 << 20) + "\n", "at most 1048576 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_configurations_that_are_refused(case: str, tmp_path: Path) -> None:
    text, told = REFUSED[case]
    path = tmp_path / "canary.toml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigurationError, match=told) as raised:
        read_configuration(path)
    assert str(path) in raised.value.where


def test_the_docstrings_own_example_is_a_configuration(tmp_path: Path) -> None:
    from trimtab.observing.canary import configuration

    text = str(configuration.__doc__).partition("\n\n")[2]
    path = tmp_path / "canary.toml"
    path.write_text(text)
    read = read_configuration(path)
    assert [str(each) for each in read.sources(read.metrics[0])] == [
        read.metrics[0].query.replace("$side", side) for side in ("production", "canary")
    ]
    with pytest.raises(ConfigurationError, match="No such file"):
        read_configuration(tmp_path / "no.toml")
