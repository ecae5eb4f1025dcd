"""What the root asks of a feature store: views of typed features, and columns for some keys and some features.

A store of any kind fits behind `FeatureSource`. One that keeps whole rows packed can offer `PackedRows` as well, and
the cache then keeps its rows as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from trimtab.errors import TrimtabError
from trimtab.signature.dtypes import DType, spelling

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ENTRY_POINTS = "trimtab.feature_sources"
"""Group of third-party sources: the entry point's name is the scheme, its object is called with the rest."""


class FeatureSourceError(TrimtabError):
    """A feature source that cannot be opened, read or written."""


class Level(StrEnum):
    """What the keys of a view stand for."""

    CANDIDATE = "candidate"
    """The things to be scored: one row per candidate."""
    REQUEST = "request"
    """The request as a whole, for example its user: one row per request."""


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """One feature of a view: fixed dtype, fixed shape (without the row dimension)."""

    name: str
    dtype: DType
    shape: tuple[int, ...] = ()

    @property
    def datatype(self) -> str:
        """The dtype as the Open Inference Protocol writes it."""
        return str(spelling(self.dtype, "oip"))

    @property
    def storage(self) -> np.dtype[Any]:
        """The numpy dtype of the columns; bfloat16, which numpy does not have, is kept as its 16 bits."""
        return np.dtype("uint16" if self.dtype is DType.BFLOAT16 else str(spelling(self.dtype, "numpy")))


@dataclass(frozen=True)
class View:
    """Features that are keyed alike. Raises FeatureSourceError for a feature that has no fixed size in the protocol."""

    name: str
    features: tuple[FeatureSpec, ...]
    level: Level = Level.CANDIDATE

    def __post_init__(self) -> None:
        """Refuse features that cannot travel, and two of one name."""
        for feature in self.features:
            if feature.dtype.itemsize is None or spelling(feature.dtype, "oip") is None:
                raise FeatureSourceError(
                    where=f'view "{self.name}", feature "{feature.name}"',
                    expected="a dtype of fixed size that the Open Inference Protocol has",
                    got=str(feature.dtype),
                    hint="Store text as an id or hash, or give it inline with the score request.",
                )
        names = [feature.name for feature in self.features]
        if len(set(names)) != len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise FeatureSourceError(where=f'view "{self.name}"', expected="each feature once", got=", ".join(twice))


@dataclass(frozen=True, slots=True)
class Fetched:
    """Columns for the keys that were found.

    columns: by feature name, [N, *shape], C-contiguous; N counts the keys asked for less the missing ones, in order.
    missing: the keys that the view does not have.
    """

    columns: Mapping[str, np.ndarray[Any, Any]]
    missing: tuple[str, ...] = ()


class FeatureSource(Protocol):
    """A feature store as the root sees it. `fetch` is called from several threads at once."""

    @property
    def views(self) -> Mapping[str, View]:
        """What there is, by view name. No feature name stands in two views."""

    def fetch(self, view: str, keys: Sequence[str], features: Sequence[str]) -> Fetched:
        """These features, and no others, of these keys. Raises FeatureSourceError when the store cannot answer."""

    def close(self) -> None:
        """Let go of connections."""


@runtime_checkable
class PackedRows(Protocol):
    """A source that keeps each row in the layout of `rows.RowLayout`."""

    def fetch_rows(self, view: str, keys: Sequence[str]) -> Mapping[str, bytes]:
        """Whole packed rows, by key, of the keys that were found. Raises FeatureSourceError."""


def open_features(specification: str) -> FeatureSource:
    """The source that `SCHEME:REST` names: `sqlite:PATH`, or a scheme of an installed plug-in.

    Raises FeatureSourceError for an unknown scheme, naming what there is, and whatever the source raises on opening.
    """
    scheme, colon, rest = specification.partition(":")
    plugins = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if scheme == "sqlite" and colon:
        from trimtab.serving.root.features.sqlite import SqliteFeatures

        return SqliteFeatures(rest)
    if scheme in plugins and colon:
        factory: Callable[[str], FeatureSource] = plugins[scheme].load()
        return factory(rest)
    raise FeatureSourceError(
        "no such feature source",
        where="--features",
        expected=" or ".join(f"{name}:…" for name in ["sqlite", *sorted(plugins)]),
        got=repr(specification),
        hint=f"Write sqlite:PATH, or install a package that has an entry point in the group {ENTRY_POINTS}.",
    )


def check_views(source: FeatureSource) -> Mapping[str, str]:
    """The view of each feature. Raises FeatureSourceError if a name stands in two views."""
    owner: dict[str, str] = {}
    for view in source.views.values():
        for feature in view.features:
            if feature.name in owner:
                raise FeatureSourceError(
                    where=f'feature "{feature.name}"',
                    expected="a name that stands in one view only",
                    got=f'views "{owner[feature.name]}" and "{view.name}"',
                    hint="A score request names features without their view; rename one of the two.",
                )
            owner[feature.name] = view.name
    return owner
