"""Rows kept between requests, shared by all models and all unions of features.

What is kept is the packed row of an entity with a set of bits that says which features of it are filled. A request
whose features are all filled is a hit, whichever request filled them.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from trimtab.serving.root.features.rows import RowLayout
from trimtab.serving.root.features.source import FeatureSource, FeatureSourceError, Fetched, PackedRows, View

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class _Entry:
    row: bytes
    filled: int
    expires: float


class FeatureCache:
    """A feature source in front of another, bounded in rows and in bytes, least recently used out first.

    entries, max_bytes: over all views; a row weighs its packed size (all features of the view).
    ttl_s: how long a row may be served after it was read.
    hits, misses: rows served from here and rows asked of the source. Keys that the source lacks are not kept.
    Thread-safe; the source is asked outside the lock.
    """

    def __init__(
        self,
        source: FeatureSource,
        entries: int = 10_000,
        ttl_s: float = 60.0,
        max_bytes: int = 256 << 20,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.source = source
        self.entries = entries
        self.ttl_s = ttl_s
        self.max_bytes = max_bytes
        self.held_bytes = 0
        self.hits = 0
        self.misses = 0
        self._clock = clock
        self._layouts = {name: RowLayout(view) for name, view in source.views.items()}
        self._rows: OrderedDict[tuple[str, str], _Entry] = OrderedDict()
        self._lock = Lock()

    @property
    def views(self) -> Mapping[str, View]:
        """The source's views."""
        return self.source.views

    def fetch(self, view: str, keys: Sequence[str], features: Sequence[str]) -> Fetched:
        """As the source's `fetch`; only keys whose row lacks one of the features are asked of the source."""
        rows, lacking = self._lookup(view, keys, features)
        if lacking:
            rows |= self._load(view, lacking, features)
        found = [rows[key] for key in keys if key in rows]
        missing = tuple(key for key in keys if key not in rows)
        return Fetched(self._layouts[view].unpack(found, features), missing)

    def fetch_held(self, view: str, keys: Sequence[str], features: Sequence[str]) -> Fetched | None:
        """The answer if every row of it is held, else None; never asks the source, so an event loop may call it."""
        rows, lacking = self._lookup(view, keys, features, count=False)
        if lacking:
            return None
        with self._lock:
            self.hits += len(rows)
        return Fetched(self._layouts[view].unpack([rows[key] for key in keys], features))

    def close(self) -> None:
        """Forget all rows and close the source."""
        with self._lock:
            self._rows.clear()
            self.held_bytes = 0
        self.source.close()

    def __len__(self) -> int:
        return len(self._rows)

    def _lookup(
        self, view: str, keys: Sequence[str], features: Sequence[str], count: bool = True
    ) -> tuple[dict[str, bytes], list[str]]:
        wanted = self._layouts[view].mask(tuple(features))
        now = self._clock()
        rows: dict[str, bytes] = {}
        lacking: dict[str, None] = {}
        with self._lock:
            for key in keys:
                entry = self._rows.get((view, key))
                if entry is None or entry.expires <= now or wanted & ~entry.filled:
                    lacking[key] = None
                else:
                    rows[key] = entry.row
                    self._rows.move_to_end((view, key))
            if count:
                self.hits += len(rows)
                self.misses += len(lacking)
        return rows, list(lacking)

    def _load(self, view: str, keys: list[str], features: Sequence[str]) -> dict[str, bytes]:
        layout = self._layouts[view]
        expires = self._clock() + self.ttl_s
        if isinstance(self.source, PackedRows):
            rows = dict(self.source.fetch_rows(view, keys))
            self._keep(view, {key: _Entry(row, layout.full_mask, expires) for key, row in rows.items()})
            return rows
        fetched = self.source.fetch(view, keys, features)
        if lacking := [name for name in features if name not in fetched.columns]:
            raise FeatureSourceError(
                where=f'view "{view}"',
                expected=f"columns for the {len(features)} features asked for",
                got=f"none for {', '.join(lacking[:3])}{', …' if len(lacking) > 3 else ''}",
                hint="This is a defect of the feature source: FeatureSource.fetch gives every feature asked for.",
            )
        missing = set(fetched.missing)
        found = [key for key in keys if key not in missing]
        entries = self._merge(view, found, fetched, layout.mask(tuple(features)), expires)
        self._keep(view, entries)
        return {key: entry.row for key, entry in entries.items()}

    def _merge(self, view: str, keys: list[str], fetched: Fetched, filled: int, expires: float) -> dict[str, _Entry]:
        """New columns laid over what is still fresh of the rows; a merged row expires with its oldest part."""
        layout, now = self._layouts[view], self._clock()
        with self._lock:
            held = [self._rows.get((view, key)) for key in keys]
        old = [entry if entry is not None and entry.expires > now else None for entry in held]
        matrix = np.zeros((len(keys), layout.row_bytes), np.uint8)
        for row, entry in zip(matrix, old, strict=True):
            if entry is not None:
                row[:] = np.frombuffer(entry.row, np.uint8)
        layout.put(matrix, fetched.columns)
        return {
            key: _Entry(
                row.tobytes(),
                filled if entry is None else filled | entry.filled,
                expires if entry is None else min(expires, entry.expires),
            )
            for key, row, entry in zip(keys, matrix, old, strict=True)
        }

    def _keep(self, view: str, entries: Mapping[str, _Entry]) -> None:
        with self._lock:
            for key, entry in entries.items():
                replaced = self._rows.pop((view, key), None)
                self._rows[view, key] = entry
                self.held_bytes += len(entry.row) - (len(replaced.row) if replaced else 0)
            while self._rows and (len(self._rows) > self.entries or self.held_bytes > self.max_bytes):
                self.held_bytes -= len(self._rows.popitem(last=False)[1].row)
