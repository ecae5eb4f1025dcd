"""Fork a model: a version whose signature changed becomes the first one of a model with a name of its own.

The new model is made in a hidden folder of the repository, flushed to the disk, and renamed into place, so that a
scan sees all of it or nothing. The old model is not written to; with `move` the version leaves it once the new model
is there.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from trimtab.artifacts import read_signature
from trimtab.bundles.atomic import sync_folder
from trimtab.bundles.forking.copying import copy_file, copy_folder
from trimtab.bundles.forking.forked_config import renamed
from trimtab.bundles.forking.leftovers import remove_moved, sweep
from trimtab.bundles.forking.lineage import Lineage, Origin, read_lineage, write_lineage
from trimtab.bundles.repository import ModelRepository
from trimtab.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from trimtab.bundles.repository import ArtifactVersion


class Fork(Struct, frozen=True, kw_only=True):
    """What was done.

    folder: the new model's. lineage: where its versions come from. moved: whether they have left the old model.
    """

    folder: Path
    lineage: Lineage
    moved: bool


def fork_name(model: str, taken: Collection[str]) -> str:
    """The next free name for a fork: ctr, ctr_v2, ctr_v3, ...; one like it where no fork could be called so."""
    match = re.fullmatch(r"(.+)_v([1-9][0-9]{0,8})", model, re.DOTALL)
    stem, number = (match[1], int(match[2])) if match else (model, 1)
    stem = _nameable(stem)
    while (name := f"{stem}_v{number + 1}") in taken:
        number += 1
    return name


def names_in(root: str | os.PathLike[str]) -> set[str]:
    """What no fork in a repository can be called: the names of all that lies there, models or not. Empty if unknown."""
    try:
        return set(os.listdir(root))
    except OSError:
        return set()


def fork_command(root: str | os.PathLike[str], model: str, fork: str, *versions: int | str, move: bool = True) -> str:
    """The shell command that gives versions of a model a name of their own, numbered from 1.

    root: the repository. move: whether the versions then leave the old model.
    """
    options = [word for version in versions for word in ("--version", str(version))] + ["--move"] * move
    arguments = [os.fspath(root), model, fork]
    if any(each.startswith("-") for each in arguments):
        return shlex.join(["trimtab", "fork", *options, "--", *arguments])
    return shlex.join(["trimtab", "fork", *arguments, *options])


def fork_model(
    root: Path,
    model: str,
    name: str,
    versions: Sequence[int] = (),
    *,
    move: bool = False,
    with_config: bool = True,
    by: str = "",
    why: str = "",
) -> Fork:
    """Make the model `name` out of versions of `model`, numbered from 1 in the order given.

    root: the repository. versions: by default the highest. move: take them away from the old model afterwards. When
    the fork is there already, of these very versions, only that is done, so that a move that was cut short can be
    finished. with_config: take Triton's `config.pbtxt` along, with its name changed; other files that lie beside the
    versions are copied in any case. by, why: for the lineage.

    Raises BundleError, with nothing changed that a scan would see, where the name is taken or none that a model can
    have, where there is no such version, and where something cannot be copied; ArtifactError where a version's
    signature cannot be read.
    """
    root = Path(root)
    _check_name(name)
    found = ModelRepository(root).scan()
    if os.path.lexists(root / name):
        return _finished(root, model, name, found, versions if move else ())
    chosen = _chosen(root, model, found, versions)
    lineage = Lineage.of(name, {number: _origin(version) for number, version in enumerate(chosen, 1)}, by=by, why=why)
    _make(root, model, chosen, lineage, with_config=with_config)
    if move:
        _take_away(root / model, chosen)
    return Fork(folder=root / name, lineage=lineage, moved=move)


def _finished(root: Path, model: str, name: str, found: Sequence[ArtifactVersion], versions: Sequence[int]) -> Fork:
    """The fork that is there already, its versions now taken away from the old model. versions: none, not to move."""
    folder = root / name
    lineage = read_lineage(folder)
    origins = {it.version: it for it in lineage.versions.values() if it.model == model} if lineage is not None else {}
    if lineage is None or not versions or not set(versions) <= origins.keys():
        free = fork_name(model, names_in(root))
        raise BundleError(
            "the name is taken",
            where=str(folder),
            expected="a name that no model has",
            got=name,
            hint=f"This one is free: {free}",
        )
    rest = [each for each in found if each.model == model and each.version in versions]
    for version in rest:
        _check_same(version.path, origins[version.version])
    _take_away(root / model, rest)
    return Fork(folder=folder, lineage=lineage, moved=True)


def _chosen(root: Path, model: str, found: Sequence[ArtifactVersion], versions: Sequence[int]) -> list[ArtifactVersion]:
    """The versions that are asked for, or the highest."""
    known = {each.version: each for each in found if each.model == model}
    if not known:
        import difflib

        models = sorted({each.model for each in found})
        near = difflib.get_close_matches(model, models, n=1)
        raise BundleError(
            where=str(root),
            expected=f"a model {model!r} with a version",
            got=", ".join(models[:_SHOWN]) + (", …" if len(models) > _SHOWN else "") or "no models",
            hint=f"Did you mean {near[0]!r}?" if near else "",
        )
    for version in versions:
        if version not in known:
            raise BundleError(
                where=str(root / model),
                expected=f"version {version}",
                got="versions " + ", ".join(map(str, sorted(known)[-_SHOWN:])),
            )
    return [known[version] for version in dict.fromkeys(versions)] or [known[max(known)]]


_SHOWN = 20


def _check_name(name: str) -> None:
    plain = name.isprintable() and not name.startswith((".", "-", " ")) and not name.endswith(" ")
    if not plain or not name or set(name) & _SIGNS or len(name.encode()) > _LONGEST:
        raise BundleError(
            "the new model cannot have that name",
            expected="a folder's name that is easy to type: no dot or dash in front, none of / \\ : #",
            got=ascii(name[:_LONGEST]),
            hint="For example: ctr_v2",
        )


_LONGEST = 200
"""Bytes: of the 255 that a folder's name may have, the hidden one needs some for itself."""

_SIGNS = frozenset("/\\:#")
_LONGEST_NUMBER = len("_v9999999999")


def _nameable(text: str) -> str:
    """The beginning of a name that `_check_name` takes once `_v` and a number follow: the text itself, if it can be."""
    plain = "".join("_" if each in _SIGNS or not each.isprintable() else each for each in text).lstrip(".- ")
    return plain.encode()[: _LONGEST - _LONGEST_NUMBER].decode(errors="ignore") or "model"


def _origin(version: ArtifactVersion) -> Origin:
    signature = read_signature(version.path)
    return Origin(
        model=version.model, version=version.version, digest=signature.digest, input_digest=signature.input_digest
    )


def _make(root: Path, model: str, versions: Sequence[ArtifactVersion], lineage: Lineage, *, with_config: bool) -> None:
    """Make the new model beside the others, unseen, and rename it into place."""
    hidden = root / f".{lineage.model}.{secrets.token_hex(8)}.fork"
    try:
        os.mkdir(hidden)
        sweep(root, hidden)
        for number, version in enumerate(versions, 1):
            copy_folder(version.folder, hidden / str(number))
            artifact = hidden / str(number) / version.path.relative_to(version.folder)
            _check_same(artifact, lineage.versions[str(number)])
        _copy_beside(root / model, hidden, lineage.model, with_config=with_config)
        write_lineage(hidden, lineage)
        sync_folder(hidden)
        os.rename(hidden, root / lineage.model)
        sync_folder(root)
    except OSError as failure:
        place = str(failure.filename or hidden)
        raise BundleError("the model cannot be forked", where=place, got=failure.strerror or str(failure)) from None
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _check_same(artifact: Path, origin: Origin) -> None:
    digest = read_signature(artifact).digest
    if digest != origin.digest:
        raise BundleError(
            f"not the signature that version {origin.version} of {origin.model!r} had when it was forked",
            where=str(artifact),
            expected=origin.digest,
            got=digest,
            hint="Was the version written meanwhile?",
        )


def _copy_beside(source: Path, target: Path, name: str, *, with_config: bool) -> None:
    """What lies beside a model's versions: labels, configurations; not what is hidden, and not its own lineage."""
    for entry in sorted(os.scandir(source), key=lambda it: it.name):
        path, copy = Path(entry.path), target / entry.name
        if entry.name.startswith(".") or entry.name == Lineage.FILE_NAME:
            continue
        if entry.is_dir():
            if not entry.name.isdecimal() and (with_config or entry.name != _CONFIGS):
                copy_folder(path, copy)
        elif with_config or entry.name != _CONFIG:
            copy_file(path, copy)
    for config in (target / _CONFIG, *sorted((target / _CONFIGS).glob("*.pbtxt"))):
        if config.is_file():
            _rename_in(config, name, str(source / config.relative_to(target)))


_CONFIG = "config.pbtxt"
_CONFIGS = "configs"
"""A folder of further configurations, of which Triton is told to take one when it starts."""


def _rename_in(config: Path, name: str, where: str) -> None:
    data = config.read_bytes()
    changed = renamed(data, name, where)
    if changed != data:
        with config.open("r+b") as file:
            file.write(changed)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())


def _take_away(folder: Path, versions: Sequence[ArtifactVersion]) -> None:
    """Take versions out of their model's folder: first out of sight, each in one step, then off the disk."""
    try:
        for version in versions:
            os.rename(version.folder, folder / f".{version.version}.{secrets.token_hex(8)}.moved")
            sync_folder(folder)
        remove_moved(folder)
    except OSError as failure:
        raise BundleError(
            "the fork is there, but a version could not be taken away from the old model",
            where=str(failure.filename or ""),
            got=failure.strerror or str(failure),
            hint="Once that is mended, the same command again finishes the move.",
        ) from None
