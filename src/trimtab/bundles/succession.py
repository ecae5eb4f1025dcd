"""Which version is to replace which: what the stability gate holds a new artifact or repository against."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from trimtab.bundles.repository import ModelRepository
from trimtab.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.bundles.repository import ArtifactVersion


class Successor(Struct, frozen=True):
    """A new artifact, and the one that it is to replace. old: None for the first of its model."""

    model: str
    new: Path
    old: Path | None


def successors(new: Path, against: Path, model: str = "") -> list[Successor]:
    """What is to be compared, model by model and version by version.

    new: an artifact, or a repository of them. against: an artifact, or a repository; both may be the same repository,
    whose versions are then held against the ones before them.
    model: the name of a single artifact's model; by default the folder of its model in MODEL/VERSION/artifact.
    Of a repository, versions that `against` has too are left out, and each other one follows the highest one below it.

    Raises BundleError where a repository is to replace one artifact, or a folder cannot be listed.
    """
    versions, live = _versions(new), _versions(against)
    if not versions:
        name = model or model_name(new)
        return [Successor(name, new, _latest(live, name, new) if live else against)]
    if not live:
        raise BundleError(
            "a repository cannot be held against one artifact",
            where=str(new),
            expected="an artifact, or a repository to hold it against",
            got=str(against),
            hint="Name the new artifact: trimtab check REPOSITORY/MODEL/VERSION/FILE --against OLD",
        )
    same = os.path.realpath(new) == os.path.realpath(against)
    return list(_of_repositories(versions, [] if same else live))


def _versions(path: Path) -> list[ArtifactVersion]:
    """The versions that hold something in a repository; none where the path is an artifact."""
    if not path.is_dir():
        return []
    found = ModelRepository(path).scan()
    return found if any(each.candidates for each in found) else []


def model_name(artifact: Path) -> str:
    """The model's name in MODEL/VERSION/artifact, or MODEL/VERSION where a folder is the artifact; else the stem."""
    parts = Path(os.path.abspath(artifact)).parts
    for version, model in ((-2, -3), (-1, -2)):
        if len(parts) > -model and parts[version].isdecimal():
            return parts[model]
    return artifact.stem


def _latest(live: list[ArtifactVersion], model: str, new: Path) -> Path | None:
    """The highest live version of a model, other than the artifact that is to follow it."""
    others = [each for each in live if each.model == model and not _is_of(new, each)]
    return others[-1].path if others else None


def _is_of(artifact: Path, version: ArtifactVersion) -> bool:
    """Whether the artifact is the one of this version, or lies in it."""
    folder = os.path.realpath(version.folder)
    path = os.path.realpath(artifact)
    return path == folder or path.startswith(folder + os.sep)


def _of_repositories(versions: list[ArtifactVersion], live: list[ArtifactVersion]) -> Iterator[Successor]:
    """Each version that is not live yet, after the highest one below it, live or new."""
    known = {(each.model, each.version): each for each in (*versions, *live)}
    new = {(each.model, each.version) for each in versions} - {(each.model, each.version) for each in live}
    before: ArtifactVersion | None = None
    for key in sorted(known):
        each = known[key]
        if key in new:
            follows = before is not None and before.model == each.model
            yield Successor(each.model, each.path, before.path if before is not None and follows else None)
        before = each
