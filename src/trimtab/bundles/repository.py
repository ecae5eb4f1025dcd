"""A model repository: the folder layout MODEL/VERSION/artifact that Triton, TF Serving and KServe share.

A version that is a TensorFlow SavedModel or an MLflow model is the folder of the version itself; Triton keeps one in a
folder `model.savedmodel` in it.

    repository/
      ctr/
        config.pbtxt        other servers' files are left alone
        7/model.onnx
        8/model.onnx
      ranker/
        1/model.pt
      tagger/
        1/saved_model.pb    and variables/, assets/

A scan lists folders and stats files; it opens none, so that a poller may scan every second.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple, TypeAlias

from msgspec import Struct

from trimtab.artifacts.kinds import KINDS
from trimtab.artifacts.sidecar import SUFFIX
from trimtab.bundles.identity import FileIdentity
from trimtab.errors import BundleError

ARTIFACT_SUFFIXES = frozenset(
    {
        *(".pt", ".pth", ".ptl", ".pt2", ".pte"),
        *(".onnx", ".tflite", ".keras", ".mlmodel", ".xml"),
        *(".ubj", ".cbm", ".skops"),
    }
)
"""What the names of model files end in; whether a reader can read one is seen when it is read."""

ARTIFACT_NAMES = frozenset({"model.json", "xgboost.json", "catboost.json", "model.txt"})
"""Model files whose suffix does not tell: XGBoost and CatBoost in JSON, LightGBM's text, as Triton names them."""

ARTIFACT_FOLDERS = (".savedmodel", ".mlpackage")
"""What the names of folders end in that are a model as a whole."""

FOLDER_MARKS = frozenset(name for kind in KINDS for name in kind.folder or ())
"""Files that make the folder they lie in a model."""

DOCUMENT_NAMES = frozenset({"signature.json", "module_info.json"})
"""Signature documents that stand for an artifact of another kind lying beside them, for example a TensorRT plan."""

_DEEPEST = 4
"""How many folders below a model's own the scan looks for its files."""


class ArtifactVersion(Struct, frozen=True, kw_only=True):
    """One version of one model, as it lay on disk at the scan.

    candidates: the model files in the version's folder, or the folder itself where it is a model; a version that can be
      served has exactly one.
    identity: (name, mtime_ns, inode, size) of every file in the folder, in a model that is one also of those below.
      Two scans that give the same identity saw the same files; one that keeps changing is still being written.
    changed_ns: when the newest of them was last changed in any way, by the clock of their file system (`st_ctime_ns`).
    dangling: the names of links that cannot be followed.
    whole: whether the identity covers everything below; not where folders lie deeper than the scan looks.
    """

    model: str
    version: int
    folder: Path
    candidates: tuple[Path, ...]
    identity: tuple[tuple[str, FileIdentity], ...]
    changed_ns: int = 0
    dangling: tuple[str, ...] = ()
    whole: bool = True

    @property
    def path(self) -> Path:
        """The artifact. Raises BundleError when the folder holds none (yet), or several."""
        if len(self.candidates) == 1:
            return self.candidates[0]
        what = f"one model ({', '.join(sorted(ARTIFACT_SUFFIXES))}, saved_model.pb, MLmodel, or a signature.json)"
        if not self.candidates:
            names = [name for name, _ in self.identity]
            names += [f"{name} (a link that cannot be followed)" for name in self.dangling]
            raise BundleError(
                f"version {self.version} of {self.model!r} has no artifact",
                where=str(self.folder),
                expected=what,
                got=", ".join(names) or "an empty folder",
                hint="Still being written? Write it elsewhere in the same file system, then rename it into place.",
            )
        raise BundleError(
            f"version {self.version} of {self.model!r} has several artifacts",
            where=str(self.folder),
            expected=what,
            got=", ".join("the folder itself" if path == self.folder else path.name for path in self.candidates),
            hint="Which one is served? Leave that one here and move the others to versions or models of their own.",
        )


class Scanned(NamedTuple):
    """What a scan found.

    versions: sorted by model name and version number. problems: folders that could not be listed. notes: what a person
    may have meant otherwise, such as a model's folder without a version. dangling: models and versions that are links
    which cannot be followed.
    """

    versions: list[ArtifactVersion]
    problems: list[BundleError]
    notes: list[str]
    dangling: list[tuple[str, int]]


class ModelRepository:
    """The models and versions under one folder."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def scan(self) -> list[ArtifactVersion]:
        """Every version of every model, sorted by model name and version number.

        Models are the folders whose names do not begin with a dot; versions are the folders in them that are named by
        a positive integer without leading zeros; everything else is left alone. What disappears during the scan is
        left out. Raises BundleError when a folder cannot be listed.
        """
        scanned = self.survey()
        if scanned.problems:
            raise scanned.problems[0]
        return scanned.versions

    def survey(self) -> Scanned:
        """`scan`, with everything that is wrong or odd. Raises BundleError when the root itself cannot be listed."""
        root = _list(self.root, missing_ok=False)
        scanned = Scanned([], [], _links(root.dangling, self.root), [])
        for model in root.folders:
            self._survey_model(model, scanned)
        scanned.versions.sort(key=lambda each: (each.model, each.version))
        return scanned

    def version(self, model: str, number: int) -> ArtifactVersion:
        """One version, as it lies there now. Raises BundleError when a folder cannot be listed."""
        return _artifact_version(model, number, self.root / model / str(number))

    def _survey_model(self, model: str, scanned: Scanned) -> None:
        folder = self.root / model
        try:
            listed = _list(folder)
        except BundleError as failure:
            scanned.problems.append(failure)
            return
        numbers = [name for name in listed.folders if _VERSION.fullmatch(name)]
        links = [name for name in listed.dangling if _VERSION.fullmatch(name)]
        scanned.notes.extend(_links(links, folder))
        scanned.dangling.extend((model, int(name)) for name in links)
        if not numbers and not links:
            scanned.notes.append(f"{folder}: no version (a folder that is named by a positive integer)")
        for number in numbers:
            try:
                scanned.versions.append(_artifact_version(model, int(number), folder / number))
            except BundleError as failure:
                scanned.problems.append(failure)


_VERSION = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)


def _links(names: list[str], folder: Path) -> list[str]:
    return [f"{folder / name}: a link that cannot be followed" for name in names]


def _artifact_version(model: str, version: int, folder: Path) -> ArtifactVersion:
    listed = _list(folder)
    names = {name for name, _, _ in listed.files}
    artifacts = [folder / name for name, _, _ in listed.files if _is_artifact(name, names)]
    inner = [folder / name for name in listed.folders if name.endswith(ARTIFACT_FOLDERS)]
    if "MLmodel" in names:  # whatever lies beside it is a part of it
        artifacts, inner = [folder], []
    elif not FOLDER_MARKS.isdisjoint(names):
        artifacts.append(folder)
    files, whole = list(listed.files), True
    for below in listed.folders if folder in artifacts else [each.name for each in inner]:
        whole &= _add_below(folder / below, below, 1, files)
    return ArtifactVersion(
        model=model,
        version=version,
        folder=folder,
        candidates=tuple(
            [*artifacts, *inner] or [folder / name for name, _, _ in listed.files if name in DOCUMENT_NAMES]
        ),
        identity=tuple((name, identity) for name, identity, _ in files),
        changed_ns=max((changed_ns for _, _, changed_ns in files), default=0),
        dangling=tuple(listed.dangling),
        whole=whole,
    )


def _is_artifact(name: str, names: set[str]) -> bool:
    """Whether a file is a model by its name, or because a signature document lies beside it."""
    return os.path.splitext(name)[1] in ARTIFACT_SUFFIXES or name in ARTIFACT_NAMES or name + SUFFIX in names


def _add_below(folder: Path, place: str, depth: int, files: list[_File]) -> bool:
    """Add the files in a folder and below, by their paths below the version's; whether those were all."""
    listed = _list(folder)
    files += [(f"{place}/{name}", identity, changed_ns) for name, identity, changed_ns in listed.files]
    if depth == _DEEPEST:
        return not listed.folders
    whole = True
    for name in listed.folders:
        whole &= _add_below(folder / name, f"{place}/{name}", depth + 1, files)
    return whole


_File: TypeAlias = tuple[str, FileIdentity, int]
"""A name, the file's identity, and when it was last changed in any way."""


class _Listed(NamedTuple):
    """A folder's entries by kind, sorted, without those whose names begin with a dot."""

    folders: list[str]
    files: list[_File]
    dangling: list[str]


def _list(folder: Path, *, missing_ok: bool = True) -> _Listed:
    listed = _Listed([], [], [])
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith("."):
                    _sort_into(listed, entry)
    except FileNotFoundError:
        if missing_ok:
            return _Listed([], [], [])  # gone since the folder above was listed
        raise BundleError(
            where=str(folder), expected="a model repository (a folder of MODEL/VERSION/artifact)", got="nothing there"
        ) from None
    except OSError as failure:
        raise BundleError(
            "the folder cannot be listed", where=str(folder), got=failure.strerror or str(failure)
        ) from None
    for names in listed:
        names.sort()
    return listed


def _sort_into(listed: _Listed, entry: os.DirEntry[str]) -> None:
    try:
        if entry.is_dir():
            listed.folders.append(entry.name)
        elif entry.is_file():
            status = entry.stat()
            listed.files.append((entry.name, FileIdentity.of(status), status.st_ctime_ns))
        elif entry.is_symlink():
            listed.dangling.append(entry.name)
    except FileNotFoundError:
        return  # gone since the folder was listed
    except OSError:
        listed.dangling.append(entry.name)  # a link in a circle, or to where we may not go
