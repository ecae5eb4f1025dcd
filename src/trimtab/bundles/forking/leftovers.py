"""What forks that were killed leave in a repository: hidden folders, in each of which may lie the copy of a model."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEFT_OVER_S = 3600.0
"""A fork in which nothing was written for so long is taken for a dead one's."""


def sweep(root: Path, hidden: Path) -> None:
    """Remove unfinished forks that nobody works on. hidden: the folder of one that has just begun. OSError."""
    now = os.stat(hidden).st_ctime
    for path in _named(root, _FORK):
        if now - _last_change(path) > LEFT_OVER_S:
            shutil.rmtree(path, ignore_errors=True)


def remove_moved(folder: Path) -> None:
    """Remove versions that have left a model and are out of sight, whoever moved them. OSError."""
    for path in _named(folder, _MOVED):
        if path.is_symlink():
            path.unlink(missing_ok=True)
        else:
            shutil.rmtree(path, ignore_errors=True)


_FORK = re.compile(r"\..+\.[0-9a-f]{16}\.fork", re.DOTALL)
_MOVED = re.compile(r"\.[1-9][0-9]*\.[0-9a-f]{16}\.moved", re.ASCII)


def _named(folder: Path, pattern: re.Pattern[str]) -> Iterator[Path]:
    return (folder / name for name in os.listdir(folder) if pattern.fullmatch(name))


def _last_change(path: Path) -> float:
    """When anything in a folder, or it, was last written, as nobody can set it back; of what is gone, the beginning."""
    last = 0.0
    for place, folders, files in os.walk(path):
        for name in (".", *folders, *files):
            try:
                last = max(last, os.stat(os.path.join(place, name), follow_symlinks=False).st_ctime)
            except FileNotFoundError:
                continue
    return last
