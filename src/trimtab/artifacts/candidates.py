"""What may be a model among the files that a person names: paths, folders, globs and URLs, in the order of their names.

Whether a file is a model is decided by its content when it is read, never by its name here. A folder that is a model
itself (a SavedModel, an MLflow model, …) is one candidate, and what lies inside of it none.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from trimtab.artifacts.registry import open_folder_artifact
from trimtab.artifacts.sidecar import SUFFIX
from trimtab.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Candidate(NamedTuple):
    """A file, folder or URL that may be a model. `named`: it was given as such, so it is an error when it is none."""

    path: str
    named: bool = False


def find_candidates(targets: Iterable[str]) -> list[Candidate]:
    """The candidates among paths, folders (with everything below), globs (`**` for any depth) and URLs, each once.

    Names that begin with a dot are left out, links to folders are not followed, and a document beside its model is not
    a candidate of its own. What does not exist is one, so that reading it says so.
    """
    found: dict[str, Candidate] = {}
    folders: set[str] = set()
    for target in targets:
        for path, named in _expand(target):
            for each, is_folder in _below(path, named=named):
                key = each.path if "://" in each.path else os.path.normpath(each.path)
                if is_folder:
                    folders.add(key)
                if each.named or key not in found:
                    found[key] = each
    return [
        found[key] for key in sorted(found) if found[key].named or not any(above in folders for above in _above(key))
    ]


def is_one_artifact(target: str) -> bool:
    """Whether a target names one artifact, and not a folder of them or a glob."""
    if os.path.isdir(target):
        return _is_folder_artifact(target)
    return "://" in target or os.path.lexists(target) or not _has_magic(target)


def _expand(target: str) -> Iterator[tuple[str, bool]]:
    """The paths that a target stands for, and whether it names them."""
    if "://" in target or os.path.lexists(target) or not _has_magic(target):
        yield target, True
        return
    from glob import iglob

    nothing = True
    for path in iglob(target, recursive=True):
        nothing = False
        yield path, False
    if nothing:
        yield target, True


def _has_magic(target: str) -> bool:
    return any(each in target for each in "*?[")


def _below(path: str, *, named: bool) -> Iterator[tuple[Candidate, bool]]:
    """A file itself, or what lies in a folder; and of each whether it is a folder."""
    if "://" in path or not os.path.isdir(path):
        if named or os.path.isfile(path):
            yield Candidate(path, named), False
        return
    waiting = [path]
    while waiting:
        folder = waiting.pop()
        if _is_folder_artifact(folder):
            yield Candidate(folder, named and folder == path), True
            continue
        try:
            with os.scandir(folder) as entries:
                listed = [entry for entry in entries if not entry.name.startswith(".")]
        except OSError:
            yield Candidate(folder, named=True), True  # reading it says what is wrong
            continue
        names = {entry.name for entry in listed}
        for entry in listed:
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            elif entry.is_file() and not (entry.name.endswith(SUFFIX) and entry.name.removesuffix(SUFFIX) in names):
                yield Candidate(entry.path), False


def _is_folder_artifact(path: str) -> bool:
    try:
        found = open_folder_artifact(path)
    except ArtifactError:
        return True  # a model that is broken; reading it says how
    if found is None:
        return False
    found[1].close()
    return True


def _above(path: str) -> Iterator[str]:
    """The folders that a path lies in."""
    while (above := os.path.dirname(path)) != path:
        yield above
        path = above
