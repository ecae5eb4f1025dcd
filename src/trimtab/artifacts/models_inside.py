"""Find what looks like models in a folder or in an archive's list of names, to name them to whoever asked for one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

MAX_ENTRIES = 500
"""How many entries of folders are looked at in all."""

_MAX_DEPTH = 4
_SUFFIXES = frozenset(
    (
        "pt",
        "pth",
        "ptl",
        "pt2",
        "ckpt",
        "onnx",
        "ort",
        "tflite",
        "keras",
        "h5",
        "hdf5",
        "mlmodel",
        "mlpackage",
        "pte",
        "cbm",
        "ubj",
        "skops",
        "gguf",
        "safetensors",
        "joblib",
        "pkl",
    )
)
_NAMES = frozenset(("saved_model.pb", "saved_model.pbtxt", "MLmodel", "config.pbtxt"))
_SHOWN = 8


def looks_like_model(name: str, beside: Collection[str] = ()) -> bool:
    """Whether a file of that name is likely a model. beside: names in the same listing, which tell an OpenVINO pair."""
    base = name.rpartition("/")[2]
    stem, dot, suffix = base.rpartition(".")
    if dot and stem and suffix.lower() in _SUFFIXES:
        return True
    return base in _NAMES or (suffix.lower() == "xml" and f"{name[:-4]}.bin" in beside)


def models_below(path: str) -> list[str]:
    """Paths, below `path` and relative to it, of what look like models. Links are not followed."""
    found = []
    waiting = [("", 0)]
    budget = MAX_ENTRIES
    while waiting and budget > 0:
        below, depth = waiting.pop(0)
        try:
            with os.scandir(os.path.join(path, below)) as scan:
                entries = sorted((entry for _, entry in zip(range(budget), scan, strict=False)), key=_by_name)
        except OSError:
            continue
        budget -= len(entries)
        names = {entry.name for entry in entries}
        for entry in entries:
            relative = f"{below}/{entry.name}" if below else entry.name
            if looks_like_model(entry.name, names):
                found.append(relative)
            elif depth < _MAX_DEPTH and entry.is_dir(follow_symlinks=False):
                waiting.append((relative, depth + 1))
    return found


def _by_name(entry: os.DirEntry[str]) -> str:
    return entry.name


def names_in(path: str) -> list[str]:
    """Names in a folder, in order; the first some hundred of very many. OSError where it cannot be listed."""
    with os.scandir(path) as entries:
        return sorted(entry.name for _, entry in zip(range(MAX_ENTRIES), entries, strict=False))


def listed(names: Sequence[str], if_none: str = "nothing") -> str:
    """The first few names, for a message."""
    shown = ", ".join(map(repr, names[:_SHOWN]))
    return f"{shown}{', …' if len(names) > _SHOWN else ''}" if names else if_none
