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
    """

    model: str
    version: int
    folder: Path
    candidates: tuple[Path, ...]
    identity: tuple[tuple[str, FileIdentity], ...]

    @property
    def path(self) -> Path:
        """The artifact. Raises BundleError when the folder holds none (yet), or several."""
        if len(self.candidates) == 1:
            return self.candidates[0]
        what = f"one model ({', '.join(sorted(ARTIFACT_SUFFIXES))}, saved_model.pb, MLmodel, or a signature.json)"
        if not self.candidates:
            raise BundleError(
                f"version {self.version} of {self.model!r} has no artifact",
                where=str(self.folder),
                expected=what,
                got=", ".join(name for name, _ in self.identity) or "an empty folder",
                hint="Still being written? Write it elsewhere in the same file system, then rename it into place.",
            )
        raise BundleError(
            f"version {self.version} of {self.model!r} has several artifacts",
            where=str(self.folder),
            expected=what,
            got=", ".join("the folder itself" if path == self.folder else path.name for path in self.candidates),
            hint="Which one is served? Leave that one here and move the others to versions or models of their own.",
        )


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
        found = [
            _artifact_version(model, int(version), self.root / model / version)
            for model in _folders(self.root, missing_ok=False)
            for version in _folders(self.root / model)
            if _VERSION.fullmatch(version)
        ]
        return sorted(found, key=lambda each: (each.model, each.version))


_VERSION = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)


def _artifact_version(model: str, version: int, folder: Path) -> ArtifactVersion:
    files = _files(folder)
    names = {name for name, _ in files}
    artifacts = [folder / name for name, _ in files if _is_artifact(name, names)]
    inner = [folder / name for name in _folders(folder) if name.endswith(ARTIFACT_FOLDERS)]
    if "MLmodel" in names:  # whatever lies beside it is a part of it
        artifacts, inner = [folder], []
    elif not FOLDER_MARKS.isdisjoint(names):
        artifacts.append(folder)
    for each in [folder] if folder in artifacts else inner:
        files += _files_below(each, folder)
    return ArtifactVersion(
        model=model,
        version=version,
        folder=folder,
        candidates=tuple([*artifacts, *inner] or [folder / name for name, _ in files if name in DOCUMENT_NAMES]),
        identity=tuple(files),
    )


def _is_artifact(name: str, names: set[str]) -> bool:
    """Whether a file is a model by its name, or because a signature document lies beside it."""
    return Path(name).suffix in ARTIFACT_SUFFIXES or name in ARTIFACT_NAMES or name + SUFFIX in names


def _files_below(folder: Path, root: Path) -> list[tuple[str, FileIdentity]]:
    """The files in the folders below one, and in it where it is not the root, by their paths below the root."""
    files = [] if folder == root else [(str((folder / name).relative_to(root)), it) for name, it in _files(folder)]
    if len(folder.relative_to(root).parts) < _DEEPEST:
        for name in sorted(_folders(folder)):
            files += _files_below(folder / name, root)
    return files


def _folders(folder: Path, *, missing_ok: bool = True) -> list[str]:
    return [entry.name for entry in _entries(folder, missing_ok=missing_ok) if entry.is_dir()]


def _files(folder: Path) -> list[tuple[str, FileIdentity]]:
    files = []
    for entry in _entries(folder, missing_ok=True):
        try:
            if entry.is_file():
                files.append((entry.name, FileIdentity.of(entry.stat())))
        except OSError:
            continue  # gone since the folder was listed
    return sorted(files)


def _entries(folder: Path, *, missing_ok: bool) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except FileNotFoundError:
        if missing_ok:
            return []
        raise BundleError(
            where=str(folder), expected="a model repository (a folder of MODEL/VERSION/artifact)", got="nothing there"
        ) from None
    except OSError as failure:
        raise BundleError(
            "the folder cannot be listed", where=str(folder), got=failure.strerror or str(failure)
        ) from None
