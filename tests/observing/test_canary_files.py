"""Samples out of files, and what becomes of several series, gaps and counters."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.errors import TrimtabError
from trimtab.observing.canary.configuration import SeveralSeries
from trimtab.observing.canary.files import read_series
from trimtab.observing.canary.samples import MOST_SAMPLES, Fetched, Series, counted, sample_of

NAN = math.nan
CSV = "time,baseline,canary\n2026-01-01T00:00:00Z,1,2\n2026-01-01T00:01:00Z,,3\n2026-01-01T00:02:00Z,NaN,4\n"
JSON_LINES = """{"time": 1767225600, "baseline": 1, "canary": 2}

{"time": 1767225660, "baseline": null, "canary": 3}
{"canary": 4}
"""
ANSWER = {
    "status": "success",
    "data": {"resultType": "matrix", "result": [{"metric": {"stage": "canary"}, "values": [[1, "2"], [61, "NaN"]]}]},
}


def written(folder: Path, name: str, content: str | bytes) -> str:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


@pytest.mark.parametrize(("name", "content"), [("a.csv", CSV), ("a.jsonl", JSON_LINES), ("a.CSV", "\ufeff" + CSV)])
def test_tables(tmp_path: Path, name: str, content: str) -> None:
    path = written(tmp_path, name, content)
    fetched = read_series(path)
    assert fetched.expected == 3
    assert [dict(each.labels) for each in fetched.series] == [{"column": "baseline"}, {"column": "canary"}]
    assert np.array_equal(fetched.series[0].values, (1, NAN, NAN), equal_nan=True)
    assert fetched.series[1].values == (2, 3, 4)
    assert fetched.series[1].times[:2] == (1767225600, 1767225660)
    assert read_series(path, "canary").series == fetched.series[1:]


def test_a_saved_answer(tmp_path: Path) -> None:
    fetched = read_series(written(tmp_path, "a.json", json.dumps(ANSWER)))
    (series,) = fetched.series
    assert (series.labels, series.times, fetched.expected) == ({"stage": "canary"}, (1, 61), 2)
    sample = sample_of(fetched, SeveralSeries.REFUSE, 1, "it")
    assert (sample.values.tolist(), sample.missing) == ([2.0], 1)


REFUSED: dict[str, tuple[str, str | bytes, str, str]] = {
    "an unknown end": ("a.txt", "1", "", "expected a file that ends in .csv, .jsonl or .json, got .txt"),
    "no end": ("a", "1", "", "got no end"),
    "a column that is not there": ("a.csv", CSV, "baselin", "expected a column 'baselin', got baseline, canary"),
    "text in a cell": ("a.csv", "a,b\n1,fast\n", "", "row 1, b: expected a number, or nothing, got 'fast'"),
    "too few cells": ("a.csv", "a,b\n1\n", "", "row 2: expected 2 cells"),
    "too many cells": ("a.csv", "a,b\n1,2,3\n", "", "row 2: expected 2 cells"),
    "a column twice": ("a.csv", "a,a\n1,2\n", "", "a header that names each column once"),
    "an empty file": ("a.csv", "", "", "a header that names each column once"),
    "no UTF-8": ("a.csv", b"\xff\n1\n", "", "not a table"),
    "an open quote": ("a.csv", 'a\n"1\n', "", "not a table"),
    "a bad line": ("a.jsonl", '{"a": 1}\n[1]\n', "", "line 2: expected an object of numbers"),
    "a nested value": ("a.jsonl", '{"a": {}}\n', "", "line 1: expected an object of numbers"),
    "a bad answer": ("a.json", "{}", "", "not an answer of Prometheus"),
    "a bad time": ("a.csv", "time,a\nsoon,1\n", "", "row 1, time: expected a number"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_files_that_are_refused(case: str, tmp_path: Path) -> None:
    name, content, column, told = REFUSED[case]
    with pytest.raises(TrimtabError, match=told):
        read_series(written(tmp_path, name, content), column)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TrimtabError, match="No such file"):
        read_series(str(tmp_path / "a.csv"))


A = Series({"i": "a"}, (0, 60, 120), (1, 2, NAN))
B = Series({"i": "b"}, (60, 120, 180), (10, 20, 30))
SEVERAL: dict[SeveralSeries, list[float]] = {
    SeveralSeries.SUM: [1, 12, 20, 30],
    SeveralSeries.MEAN: [1, 6, 20, 30],
    SeveralSeries.MIN: [1, 2, 20, 30],
    SeveralSeries.MAX: [1, 10, 20, 30],
    SeveralSeries.POOL: [1, 2, 10, 20, 30],
}


@pytest.mark.parametrize("several", SEVERAL)
def test_several_series(several: SeveralSeries) -> None:
    sample = sample_of(Fetched((A, B), 4), several, 1, "it")
    assert sample.values.tolist() == SEVERAL[several]
    assert sample.missing == (3 if several is SeveralSeries.POOL else 0)


def test_several_series_are_refused_by_default() -> None:
    with pytest.raises(TrimtabError, match=r'it: expected one series, got 2: {i="a"}; {i="b"}'):
        sample_of(Fetched((A, B), 4), SeveralSeries.REFUSE, 1, "it")


def sample(values: list[float], average: int = 1) -> Any:
    return sample_of(
        Fetched((Series({}, tuple(range(len(values))), tuple(values)),), 10), SeveralSeries.REFUSE, average, "it"
    )


def test_missing_infinite_and_huge_values_are_told_apart() -> None:
    found = sample([1, NAN, math.inf, -math.inf, 1e200, 2])
    assert (found.values.tolist(), found.missing, found.infinite) == ([1, 2], 5, 3)
    nothing = sample_of(Fetched((), 7), SeveralSeries.REFUSE, 1, "it")
    assert (len(nothing.values), nothing.missing) == (0, 7)


def test_values_that_follow_on_each_other_are_averaged() -> None:
    assert sample([1, 3, NAN, 5, 7, 100], average=2).values.tolist() == [2, 6]


def test_too_many_samples_are_refused() -> None:
    with pytest.raises(TrimtabError, match=f"expected at most {MOST_SAMPLES} samples, got {MOST_SAMPLES + 1}"):
        sample([1.0] * (MOST_SAMPLES + 1))
    assert len(sample([1.0] * (MOST_SAMPLES + 1), average=2).values) == MOST_SAMPLES // 2


COUNTED = [
    ((5, 6, 9), 0, 4),
    ((5, 6, 2, 3), 0, 4),  # the process was restarted, and counted to 2 since
    ((1, 1), 600, 1),  # appeared within the window: counts from zero
    ((NAN, NAN, 3, 4), 0, 4),
    ((5,), 0, 0),
    ((), 0, 0),
    ((NAN,), 0, 0),
]


@pytest.mark.parametrize(("values", "begins", "rose"), COUNTED)
def test_how_much_a_counter_rose(values: tuple[float, ...], begins: int, rose: float) -> None:
    series = Series({}, tuple(begins + 60 * at for at in range(len(values))), values)
    assert counted(series, 0, 60) == rose


@given(st.lists(st.integers(0, 5), max_size=30), st.integers(0, 30))
def test_a_restart_loses_nothing_that_was_seen(steps: list[int], restart: int) -> None:
    """Increments of two lives of one process, the counter beginning anew at zero in between."""
    values, now = [0.0], 0.0
    for at, step in enumerate(steps):
        now = float(step) if at == restart else now + step
        values.append(now)
    if restart < len(steps) and steps[restart] >= values[restart]:
        return  # rose to more than it was before anybody looked: no one can tell that from no restart
    series = Series({}, tuple(60.0 * at for at in range(len(values))), tuple(values))
    assert counted(series, 0, 60) == sum(steps)
