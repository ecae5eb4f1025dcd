"""An answer of Prometheus's HTTP API to a range query, from the server or saved in a file.

Format: prometheus.io/docs/prometheus/latest/querying/api. Values are text there, so that NaN and infinities can be
written. A stale series simply has no values from then on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from trimtab.errors import TrimtabError
from trimtab.observing.canary.samples import Fetched, Series

if TYPE_CHECKING:
    from trimtab.observing.canary.samples import Window

MAX_ANSWER_BYTES = 64 << 20

REFUSED = "Prometheus refused the query"


class _Matrix(Struct):
    metric: dict[str, str]
    values: list[tuple[float, str]] = []
    histograms: list[Any] = []


class _Data(Struct, rename="camel"):
    result_type: str
    result: msgspec.Raw


class _Answer(Struct, rename="camel"):
    status: str
    data: _Data | None = None
    error: str = ""
    error_type: str = ""
    warnings: list[str] = []


def decode_answer(data: bytes, where: str, window: Window | None = None) -> Fetched:
    """The series of an answer. window: that was asked for, to know how many samples there could be.

    TrimtabError for an error that the server tells, and for anything that is no answer to a range query.
    """
    try:
        answer = msgspec.json.decode(data, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
        raise TrimtabError(
            "not an answer of Prometheus", where=where, got=str(failure), hint="Is the URL that of a Prometheus?"
        ) from None
    if answer.status != "success" or answer.data is None:
        raise TrimtabError(REFUSED, where=where, got=f"{answer.error_type or answer.status}: {answer.error}")
    if answer.data.result_type != "matrix":
        raise TrimtabError(
            where=where,
            expected="the answer to a range query (a matrix)",
            got=f"a {answer.data.result_type}",
            hint="Saved answers come from /api/v1/query_range.",
        )
    try:
        matrix = msgspec.json.decode(answer.data.result, type=list[_Matrix])
        series = tuple(_series(each, where) for each in matrix)
    except (msgspec.DecodeError, ValueError, RecursionError) as failure:
        raise TrimtabError("the series of the answer cannot be read", where=where, got=str(failure)) from None
    times = {time for each in series for time in each.times}
    return Fetched(series, window.samples if window is not None else len(times), tuple(answer.warnings))


def _series(matrix: _Matrix, where: str) -> Series:
    if matrix.histograms:
        raise TrimtabError(
            where=where,
            expected="numbers",
            got="native histograms",
            hint="Make a number of each in the query, as histogram_quantile(0.99, ...) does.",
        )
    times = tuple(time for time, _ in matrix.values)
    return Series(matrix.metric, times, tuple(float(value) for _, value in matrix.values))
