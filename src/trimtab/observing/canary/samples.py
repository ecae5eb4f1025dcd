"""What was measured: series as they come from a source, and the samples that a comparison is made of."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from trimtab.errors import TrimtabError
from trimtab.observing.canary.configuration import SeveralSeries

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

MOST_SAMPLES = 3000
"""Per side, two days of minutes. All pairs of both sides are formed, so that memory grows with the square."""


_LARGEST = 1e150
"""What is larger counts as infinite: its square would be."""


class Window(NamedTuple):
    """The time that is looked at, in seconds since 1970, and the distance of samples in it."""

    start: float
    end: float
    step_s: float

    @property
    def samples(self) -> int:
        """How many samples a series without gaps has."""
        return int((self.end - self.start) / self.step_s + 1e-9) + 1


class Series(NamedTuple):
    """One series. labels: what tells it from others. times: seconds since 1970, or numbers of rows. NaN: no value."""

    labels: Mapping[str, str]
    times: tuple[float, ...]
    values: tuple[float, ...]


class Fetched(NamedTuple):
    """All series that a source gave, and what it warned of. expected: samples of a series without gaps."""

    series: tuple[Series, ...]
    expected: int
    warnings: tuple[str, ...] = ()


class Sample(NamedTuple):
    """One side of a comparison. values: finite, in order of time. missing, infinite: how many are not among them."""

    values: NDArray[np.float64]
    missing: int
    infinite: int
    warnings: tuple[str, ...] = ()


def sample_of(fetched: Fetched, several: SeveralSeries, average: int, where: str) -> Sample:
    """The one sample out of what a source gave.

    several: what becomes of more than one series. average: how many values that follow on each other become one, their
    mean; what is left over at the end is dropped. TrimtabError for more series than one where that is not configured,
    and for too many samples.
    """
    values = _joined(fetched.series, several, where)
    expected = fetched.expected * (len(fetched.series) if several is SeveralSeries.POOL else 1)
    there = values[~np.isnan(values)]
    finite = there[np.abs(there) <= _LARGEST]
    infinite = len(there) - len(finite)
    missing = max(expected - len(there), 0)
    if average > 1:
        whole = len(finite) // average * average
        finite = finite[:whole].reshape(-1, average).mean(axis=1)
    if len(finite) > MOST_SAMPLES:
        raise TrimtabError(
            where=where,
            expected=f"at most {MOST_SAMPLES} samples",
            got=str(len(finite)),
            hint="Widen step_s, shorten duration_s, or set average to join samples that follow on each other.",
        )
    return Sample(finite, missing, infinite, fetched.warnings)


def counted(series: Series, window_start: float | None, step_s: float) -> float:
    """By how much a counter rose, resets included.

    A series that begins within the window was not there before, and counts from zero: `increase()` of Prometheus would
    miss its first value, which for a rare event is the only one.
    """
    there = [(time, value) for time, value in zip(series.times, series.values, strict=True) if not math.isnan(value)]
    if not there:
        return 0.0
    since, first = there[0]
    rise = first if window_start is not None and since > window_start + step_s / 2 else 0.0
    for (_, before), (_, after) in itertools.pairwise(there):
        rise += after - before if after >= before else after
    return rise


def _joined(series: Sequence[Series], several: SeveralSeries, where: str) -> NDArray[np.float64]:
    if not series:
        return np.empty(0)
    if len(series) == 1 or several is SeveralSeries.POOL:
        return np.concatenate([np.asarray(each.values, float) for each in series])
    if several is SeveralSeries.REFUSE:
        raise TrimtabError(
            where=where,
            expected="one series",
            got=f"{len(series)}: {'; '.join(_labels(each) for each in series[:3])}{'; …' if len(series) > 3 else ''}",
            hint='Aggregate in the query, as sum(...) does, or set several = "sum", "mean", "min", "max" or "pool".',
        )
    at: dict[float, list[float]] = {}
    for each in series:
        for time, value in zip(each.times, each.values, strict=True):
            if not math.isnan(value):
                at.setdefault(time, []).append(value)
    join = _JOIN[several]
    return np.array([join(values) for _, values in sorted(at.items())])


def _labels(series: Series) -> str:
    return "{" + ", ".join(f'{key}="{value}"' for key, value in sorted(series.labels.items())) + "}"


_JOIN: Mapping[SeveralSeries, Callable[[Any], float]] = {
    SeveralSeries.SUM: math.fsum,
    SeveralSeries.MEAN: np.mean,
    SeveralSeries.MIN: min,
    SeveralSeries.MAX: max,
}
