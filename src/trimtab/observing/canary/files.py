"""Samples out of files: tables (`.csv`), JSON lines (`.jsonl`), and saved answers of Prometheus (`.json`).

A table has a row for every point of time and a column for everything measured. `time` is the one column that may stand
beside the measured ones. An empty cell, a null and a NaN mean that there was no value.
"""

from __future__ import annotations

import csv
import io
import os
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from trimtab.errors import TrimtabError
from trimtab.observing.canary.answers import MAX_ANSWER_BYTES, decode_answer
from trimtab.observing.canary.samples import Fetched, Series

if TYPE_CHECKING:
    from collections.abc import Callable

    Rows = list[dict[str, object]]

TIME = "time"

COLUMN = "column"
"""Label of a series that comes out of a table."""


def read_series(path: str, column: str = "") -> Fetched:
    """The series of a file. column: of a table, which one; all when empty. TrimtabError for what cannot be read."""
    data = _read(path)
    extension = os.path.splitext(path)[1].lower()
    if extension == ".json":
        return decode_answer(data, path)
    if extension not in _TABLES:
        raise TrimtabError(where=path, expected="a file that ends in .csv, .jsonl or .json", got=extension or "no end")
    rows = _TABLES[extension](data, path)
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if name != TIME]
    if column:
        if column not in names:
            raise TrimtabError(where=path, expected=f"a column {column!r}", got=", ".join(names) or "no columns")
        names = [column]
    series = tuple(Series({COLUMN: name}, *_points(rows, name, path)) for name in names)
    return Fetched(series, len(rows))


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_ANSWER_BYTES + 1)
    except OSError as failure:
        raise TrimtabError(where=path, expected="a readable file", got=failure.strerror or "") from None
    if len(data) > MAX_ANSWER_BYTES:
        raise TrimtabError(where=path, expected=f"at most {MAX_ANSWER_BYTES} bytes", got="more")
    return data


def _table(data: bytes, path: str) -> Rows:
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        names = reader.fieldnames or []
        rows: Rows = [dict(row) for row in reader]
    except (csv.Error, UnicodeDecodeError) as failure:
        raise TrimtabError("not a table", where=path, got=str(failure)) from None
    if not names or len(set(names)) != len(names):
        raise TrimtabError(where=f"{path}: line 1", expected="a header that names each column once", got=repr(names))
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise TrimtabError(where=f"{path}: row {number}", expected=f"{len(names)} cells", got="more or fewer")
    return rows


def _json_lines(data: bytes, path: str) -> Rows:
    rows: Rows = []
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            rows.append(msgspec.json.decode(line, type=dict[str, float | str | None]))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
            raise TrimtabError(
                where=f"{path}: line {number}", expected="an object of numbers", got=str(failure)
            ) from None
    return rows


def _points(rows: Rows, column: str, path: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    times = tuple(_time(row.get(TIME, number), path, number) for number, row in enumerate(rows, 1))
    return times, tuple(_number(row.get(column), path, number, column) for number, row in enumerate(rows, 1))


def _time(value: Any, path: str, number: int) -> float:
    """Seconds since 1970, also from RFC 3339."""
    try:
        return datetime.fromisoformat(value).timestamp()
    except (TypeError, ValueError):
        return _number(value, path, number, TIME)


def _number(value: Any, path: str, number: int, column: str) -> float:
    if value is None or value == "":
        return float("nan")
    try:
        return float(value)
    except ValueError:
        where = f"{path}: row {number}, {column}"
        raise TrimtabError(where=where, expected="a number, or nothing", got=repr(value)[:100]) from None


_TABLES: dict[str, Callable[[bytes, str], Rows]] = {".csv": _table, ".jsonl": _json_lines, ".ndjson": _json_lines}
