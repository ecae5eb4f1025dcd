"""Look up values by their paths into a call: at a path, around it, or inside it, without comparing every pair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from trimtab.errors import SignatureError
from trimtab.signature.path import Step, format_path, parse_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_T = TypeVar("_T")


class PathIndex(Generic[_T]):
    """Values by path. Of several at one path, or inside one, the first counts."""

    def __init__(self, values: Iterable[tuple[str, _T]]) -> None:
        self._at: dict[str, _T] = {}
        self._inside: dict[str, _T] = {}
        for path, value in values:
            self._at.setdefault(path, value)
            for outer in _outer_paths(path):
                self._inside.setdefault(outer, value)

    @property
    def paths(self) -> Iterable[str]:
        """The paths of all values."""
        return self._at

    def at(self, path: str) -> _T | None:
        """The value at exactly this path."""
        return self._at.get(path)

    def around_or_inside(self, path: str) -> _T | None:
        """The value at this path; else the nearest one that contains it; else one that lies inside it."""
        for candidate in (path, *_outer_paths(path)):
            if candidate in self._at:
                return self._at[candidate]
        return self._inside.get(path)


def steps_below(outer: str, inner: str) -> tuple[Step, ...] | None:
    """The steps from one path to another that lies at or inside it; None where it does not."""
    if outer == inner:
        return ()
    outer_root, outer_steps = split_path(outer)
    inner_root, inner_steps = split_path(inner)
    if outer_root != inner_root or inner_steps[: len(outer_steps)] != outer_steps:
        return None
    return inner_steps[len(outer_steps) :]


def split_path(path: str) -> tuple[str, tuple[Step, ...]]:
    """`parse_path`, and the whole text as the root for a name with characters that paths do not have (ONNX)."""
    try:
        return parse_path(path)
    except SignatureError:
        return path, ()


def _outer_paths(path: str) -> Iterator[str]:
    """The paths that contain this one, nearest first."""
    if not path.endswith("]") and "." not in path:
        return
    root, steps = split_path(path)
    for count in range(len(steps) - 1, -1, -1):
        yield format_path(root, steps[:count])
