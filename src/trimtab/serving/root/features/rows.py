"""One row of a view as one run of bytes, and columns cut out of many rows at once.

Features of equal dtype and shape stand side by side, the widest elements first, so that a whole group of wanted
features is gathered by one indexing operation instead of one per feature. The layout follows from the view alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from trimtab.serving.root.features.source import FeatureSourceError, FeatureSpec, View

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class _Group:
    """Features of one dtype and shape: where their run begins in a row, and how many elements each has."""

    features: tuple[FeatureSpec, ...]
    begin: int

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.features[0].storage

    @property
    def elements(self) -> int:
        return prod(self.features[0].shape)

    @property
    def end(self) -> int:
        return self.begin + len(self.features) * self.elements * self.dtype.itemsize


class RowLayout:
    """Where each feature of a view lies in a packed row of `row_bytes` bytes."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._groups: list[_Group] = []
        self._place: dict[str, tuple[int, int]] = {}
        begin = 0
        for _, members in groupby(sorted(view.features, key=_kind), key=_kind):
            group = _Group(tuple(members), begin)
            self._place |= {feature.name: (len(self._groups), at) for at, feature in enumerate(group.features)}
            self._groups.append(group)
            begin = group.end
        self.row_bytes = max(8, -(-begin // 8) * 8)
        self._bit = {feature.name: 1 << index for index, feature in enumerate(view.features)}
        self.full_mask = (1 << len(view.features)) - 1
        self.mask = lru_cache(256)(self._mask)
        self._plan = lru_cache(256)(self._make_plan)

    def pack(self, columns: Mapping[str, Any]) -> list[bytes]:
        """Packed rows of columns [N, *shape] for every feature of the view.

        Raises FeatureSourceError for a column that is absent, unknown, or of another dtype or shape than the view's.
        """
        unknown = sorted(columns.keys() - self._place.keys())
        absent = [feature.name for feature in self.view.features if feature.name not in columns]
        if unknown or absent:
            raise FeatureSourceError(
                where=f'view "{self.view.name}"',
                expected="a column for each of its features and no other",
                got="; ".join(
                    f"{len(names)} {word} ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
                    for word, names in (("absent", absent), ("unknown", unknown))
                    if names
                ),
            )
        count = len(np.asarray(next(iter(columns.values())))) if columns else 0
        matrix = np.zeros((count, self.row_bytes), np.uint8)
        self.put(matrix, columns)
        return [row.tobytes() for row in matrix]

    def put(self, matrix: Array, columns: Mapping[str, Any]) -> None:
        """Write columns [N, *shape] into a matrix of packed rows (uint8 [N, row_bytes]). Raises FeatureSourceError."""
        for name, given in columns.items():
            index, at = self._place[name]
            group = self._groups[index]
            feature, column = group.features[at], np.asarray(given)
            if column.dtype != group.dtype or column.shape != (len(matrix), *feature.shape):
                raise FeatureSourceError(
                    where=f'view "{self.view.name}", feature "{name}"',
                    expected=f"{group.dtype} {[len(matrix), *feature.shape]}",
                    got=f"{column.dtype} {list(column.shape)}",
                )
            width = group.elements * group.dtype.itemsize
            begin = group.begin + at * width
            flat = np.ascontiguousarray(column).reshape(len(matrix), group.elements)
            matrix[:, begin : begin + width] = flat.view(np.uint8).reshape(len(matrix), width)

    def unpack(self, rows: Sequence[bytes], features: Sequence[str]) -> dict[str, Array]:
        """Columns [N, *shape] of these features, each C-contiguous; the other features' bytes are not touched."""
        matrix = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), self.row_bytes)
        columns: dict[str, Array] = {}
        for group, names, places in self._plan(tuple(features)):
            run = matrix[:, group.begin : group.end].view(group.dtype)
            cells = run.reshape(len(rows), len(group.features), group.elements).transpose(1, 0, 2)
            block = np.ascontiguousarray(cells[places])
            shape = (len(names), len(rows), *group.features[0].shape)
            columns.update(zip(names, block.reshape(shape), strict=True))
        return columns

    def _mask(self, features: tuple[str, ...]) -> int:
        """These features as a set of bits."""
        mask = 0
        for name in features:
            mask |= self._bit.get(name, 0)
        return mask

    def _make_plan(self, features: tuple[str, ...]) -> list[tuple[_Group, tuple[str, ...], Array]]:
        wanted: dict[int, list[str]] = {}
        for name in features:
            if name not in self._place:
                raise FeatureSourceError(
                    where=f'view "{self.view.name}"', expected="one of its features", got=f'"{name}"'
                )
            wanted.setdefault(self._place[name][0], []).append(name)
        return [
            (self._groups[index], tuple(names), np.array([self._place[name][1] for name in names], np.intp))
            for index, names in sorted(wanted.items())
        ]


def _kind(feature: FeatureSpec) -> tuple[int, str, tuple[int, ...]]:
    return (-feature.storage.itemsize, str(feature.dtype), feature.shape)
