"""Feature views in one SQLite file, one packed row per entity.

A row is read with one index probe however many features it has, which is what makes a file of the standard library
answer 64 entities of 500 features in about a millisecond; a table with a row per entity and feature needs twenty.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from trimtab.serving.root.features.rows import RowLayout
from trimtab.serving.root.features.source import FeatureSourceError, FeatureSpec, Fetched, Level, View
from trimtab.signature.dtypes import DType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_LAYOUT_VERSION = 1
_KEYS_PER_QUERY = 500
"""Bound variables per statement; SQLite before 3.32 allows 999."""


class SqliteFeatures:
    """A feature source over a file made by `SqliteFeatures.create`.

    Reads go through one read-only connection per thread. Writing is for loaders and tests: a transaction per call.
    """

    def __init__(self, path: str | Path) -> None:
        """Open for reading. Raises FeatureSourceError if the file is absent or was not made by `create`."""
        self.path = Path(path)
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._tables: dict[str, str] = {}
        self._layouts: dict[str, RowLayout] = {}
        for name, table, document in self._query("SELECT name, rows_table, document FROM trimtab_views ORDER BY rowid"):
            self._tables[name] = table
            self._layouts[name] = RowLayout(_decode_view(name, document, f"{self.path}: view {name!r}"))

    @classmethod
    def create(cls, path: str | Path, views: Iterable[View]) -> SqliteFeatures:
        """Make a new file with these views and no rows. Raises FeatureSourceError if the file exists."""
        path = Path(path)
        if path.exists():
            raise FeatureSourceError(
                "the file exists already",
                where=str(path),
                hint="Open it with SqliteFeatures(path), or remove it first.",
            )
        try:
            with sqlite3.connect(path) as connection:
                connection.execute("CREATE TABLE trimtab_views (name TEXT UNIQUE, rows_table TEXT, document TEXT)")
                for index, view in enumerate(views):
                    table = f"rows_{index}"
                    connection.execute(f"CREATE TABLE {table} (key TEXT PRIMARY KEY, packed BLOB NOT NULL)")
                    connection.execute(
                        "INSERT INTO trimtab_views VALUES (?, ?, ?)", (view.name, table, _encode_view(view))
                    )
            connection.close()
        except sqlite3.Error as problem:
            raise _unreadable(path, problem) from problem
        return cls(path)

    @property
    def views(self) -> Mapping[str, View]:
        """The views, in the order of their creation."""
        return {name: layout.view for name, layout in self._layouts.items()}

    def write(self, view: str, keys: Sequence[str], columns: Mapping[str, Any]) -> None:
        """Insert or replace rows: a column [N, *shape] for every feature of the view, N = len(keys).

        Raises FeatureSourceError if a column does not fit the view, or the file cannot be written; then nothing is.
        """
        rows = self._layout(view).pack(columns)
        if len(rows) != len(keys):
            raise FeatureSourceError(where=f'view "{view}"', expected=f"{len(keys)} rows", got=str(len(rows)))
        statement = f"INSERT OR REPLACE INTO {self._tables[view]} VALUES (?, ?)"  # noqa: S608  # a name of our own
        try:
            with sqlite3.connect(self.path) as connection:
                connection.executemany(statement, zip(keys, rows, strict=True))
            connection.close()
        except sqlite3.Error as problem:
            raise _unreadable(self.path, problem) from problem

    def fetch(self, view: str, keys: Sequence[str], features: Sequence[str]) -> Fetched:
        """Columns of these features; only their bytes are cut out of the rows read."""
        found = self.fetch_rows(view, keys)
        rows = [found[key] for key in keys if key in found]
        return Fetched(self._layout(view).unpack(rows, features), tuple(key for key in keys if key not in found))

    def fetch_rows(self, view: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Whole packed rows of the keys that were found."""
        layout, wanted = self._layout(view), list(dict.fromkeys(keys))
        rows: dict[str, bytes] = {}
        for begin in range(0, len(wanted), _KEYS_PER_QUERY):
            part = wanted[begin : begin + _KEYS_PER_QUERY]
            marks = ",".join("?" * len(part))
            rows.update(self._query(f"SELECT key, packed FROM {self._tables[view]} WHERE key IN ({marks})", part))  # noqa: S608
        for key, row in rows.items():
            if not isinstance(row, bytes) or len(row) != layout.row_bytes:
                raise FeatureSourceError(
                    where=f"{self.path}: view {view!r}, key {key!r}",
                    expected=f"a packed row of {layout.row_bytes} bytes",
                    got=f"{len(row)} bytes" if isinstance(row, bytes) else type(row).__name__,
                    hint="Was the file written by something else than SqliteFeatures.write?",
                )
        return rows

    def close(self) -> None:
        """Close every thread's connection."""
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
            self._local = threading.local()

    def _layout(self, view: str) -> RowLayout:
        layout = self._layouts.get(view)
        if layout is None:
            known = ", ".join(map(repr, self._layouts)) or "none"
            raise FeatureSourceError("no such view", where=str(self.path), expected=f"one of {known}", got=repr(view))
        return layout

    def _query(self, statement: str, values: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._connection().execute(statement, values).fetchall()
        except sqlite3.Error as problem:
            raise _unreadable(self.path, problem) from problem

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            uri = f"file:{quote(str(self.path.absolute()))}?mode=ro"
            # Only this thread uses it; `close` may come from another one.
            connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
            self._local.connection = connection
            with self._lock:
                self._connections.append(connection)
        return connection


def _unreadable(path: Path, problem: sqlite3.Error) -> FeatureSourceError:
    return FeatureSourceError(
        f"the feature file cannot be used ({problem})",
        where=str(path),
        hint="It must be an SQLite file made by SqliteFeatures.create(path, views).",
    )


def _encode_view(view: View) -> str:
    features = [[feature.name, str(feature.dtype), list(feature.shape)] for feature in view.features]
    return json.dumps({"version": _LAYOUT_VERSION, "level": view.level, "features": features}, ensure_ascii=False)


def _decode_view(name: str, document: str, where: str) -> View:
    try:
        value = json.loads(document)
        if value["version"] != _LAYOUT_VERSION:
            raise FeatureSourceError(where=where, expected=f"row layout {_LAYOUT_VERSION}", got=repr(value["version"]))
        features = tuple(
            FeatureSpec(feature, DType(dtype), tuple(shape)) for feature, dtype, shape in value["features"]
        )
        return View(name, features, Level(value["level"]))
    except (KeyError, TypeError, ValueError) as problem:
        raise FeatureSourceError(f"the view's description is damaged ({problem})", where=where) from problem
