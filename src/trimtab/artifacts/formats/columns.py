"""What readers of models over tables share: checked names of columns, and categories that a signature can hold."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from trimtab.artifacts.limits import MAX_VALUES, check_count
from trimtab.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


def check_names(names: Collection[str], where: str) -> None:
    """Refuse more names than a model has, and a name that is there twice."""
    check_count(len(names), MAX_VALUES, "names", where)
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ArtifactError(where=where, expected="each name once", got=f"{name!r} twice")
        seen.add(name)


def are_categories(values: Iterable[Any]) -> bool:
    """Whether these are texts, flags, and numbers that JSON has and 64 bits hold."""
    return all(map(_is_category, values))


def _is_category(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str) or (isinstance(value, int) and -(1 << 63) <= value < 1 << 64)
