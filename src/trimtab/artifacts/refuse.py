"""Say what a file or folder is that trimtab does not read: known kinds that are refused, and everything else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from trimtab.artifacts.formats.torch_archive import TorchArchive, open_archive
from trimtab.errors import ArtifactError, RefusedArtifactError
from trimtab.source.pickle import pickled_names

if TYPE_CHECKING:
    from trimtab.source.bytes import ByteSource

_PICKLE_PREFIX = 1 << 20
_LEGACY_TORCH = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")
_PICKLE_STARTS = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))
_EXPORT = (
    "Export the model instead: torch.export.save, torch.jit.save or ONNX keep its signature without running code "
    "when they are read."
)
_NOT_YET = "Its reader is not a part of this version."

_KNOWN: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras .h5 or a weights file)", "Save the model as .keras or export it."),
    (4, b"TFL3", "a TensorFlow Lite model", _NOT_YET),
    (4, b"ET12", "an ExecuTorch program", _NOT_YET),
    (4, b"ORTM", "a model in ONNX Runtime's own format", "Use the .onnx file that it was made from."),
    (0, b"GGUF", "a GGUF file of language model weights", "It has no inputs and outputs to speak of."),
    (0, b"CBM1", "a CatBoost model", _NOT_YET),
    (0, b"tree\n", "a LightGBM model", _NOT_YET),
    (0, b'{"learner"', "an XGBoost model", _NOT_YET),
    (0, b"{L\0\0\0\0\0\0\0\x07learner", "an XGBoost model", _NOT_YET),
    (0, b"\x7fELF", "compiled code (a shared library)", "It does not name the inputs of a model."),
)
"""Kinds by the bytes at an offset: what they are, and what to do."""


def refusal(source: ByteSource) -> ArtifactError:
    """The error for a file that no reader wants."""
    head = source.head(64)
    if source.size == 0:
        return ArtifactError(where=source.name, expected="a model file", got="an empty file")
    if head.startswith(_LEGACY_TORCH):
        return _pickle(source, "a checkpoint of torch.save in the layout before torch 1.6", source.head(_PICKLE_PREFIX))
    if head.startswith(_PICKLE_STARTS):
        return _pickle(source, "a pickle (joblib, scikit-learn, …)", source.head(_PICKLE_PREFIX))
    if (archive := open_archive(source)) is not None:
        return _archive(source, archive)
    for offset, magic, kind, hint in _KNOWN:
        if head[offset : offset + len(magic)] == magic:
            return RefusedArtifactError(f"this is {kind}, which is not read", where=source.name, hint=hint)
    if _ends_as_zip(source) and not head.startswith(b"PK"):
        return ArtifactError(
            "bytes before a zip archive",
            where=source.name,
            expected="the archive to begin at offset 0",
            got=repr(head[:8]),
            hint="Readers differ on such archives, so it is refused. Save the model again.",
        )
    return ArtifactError(
        "this is no model file of a kind that is read",
        where=source.name,
        expected="TorchScript (.pt), torch.export (.pt2), ONNX, a SavedModel, or a signature document (JSON with "
        "input_names and output_names)",
        got=f"a file that begins with {head[:16]!r}",
        hint="The content decides, not the name. Is the file complete, and is it the model?",
    )


_EXPECTED_FOLDER = "a model file, or the folder of a SavedModel (with saved_model.pb or saved_model.pbtxt in it)"
_MAX_ENTRIES = 1000


def folder_refusal(path: str) -> ArtifactError:
    """The error for a folder that no reader wants."""
    try:
        with os.scandir(path) as entries:
            names = sorted(entry.name for _, entry in zip(range(_MAX_ENTRIES), entries, strict=False))
    except OSError as failure:
        return ArtifactError(where=path, expected="a folder that can be listed", got=failure.strerror or str(failure))
    if "MLmodel" in names:
        return RefusedArtifactError(f"this is an MLflow model, which is not read. {_NOT_YET}", where=path)
    below = [each for each in names if os.path.isfile(os.path.join(path, each, "saved_model.pb"))]
    if below:
        return ArtifactError(
            "this folder holds versions of a model, not a model",
            where=path,
            expected=_EXPECTED_FOLDER,
            got=f"{len(below)} SavedModels one level below",
            hint=f"Name one of them: {os.path.join(path, below[-1])}",
        )
    if "variables" in names or "fingerprint.pb" in names:
        hint = "Other files of a SavedModel are here: is the copy complete?"
    else:
        hint = "Name the model file, or the folder that tf.saved_model.save was given."
    return ArtifactError(where=path, expected=_EXPECTED_FOLDER, got=_listed(names), hint=hint)


def _listed(names: list[str]) -> str:
    if not names:
        return "an empty directory"
    return f"a directory with {', '.join(map(repr, names[:5]))}{', …' if len(names) > 5 else ''}"


def _archive(source: ByteSource, archive: TorchArchive) -> ArtifactError:
    if ".data/extern_modules" in archive or ".data/python_version" in archive:
        return RefusedArtifactError(
            "this is a torch.package archive, whose loading runs the code inside", where=source.name, hint=_EXPORT
        )
    if "data.pkl" in archive:
        return _pickle(source, "a checkpoint of torch.save", archive.read_prefix("data.pkl", _PICKLE_PREFIX))
    return ArtifactError(
        where=source.name,
        expected="a TorchScript or torch.export archive",
        got=f"a zip archive of {len(archive.directory.entries)} entries under {archive.prefix!r}",
    )


def _pickle(source: ByteSource, kind: str, data: bytes) -> RefusedArtifactError:
    names = [str(each) for each in pickled_names(data)]
    foreign = [each for each in names if not each.startswith(_STATE_ONLY)]
    if foreign:
        inside = f" of {foreign[0]}" + (f" (and {len(foreign) - 1} other names)" if len(foreign) > 1 else "")
    else:
        inside = " that holds weights without a model" if names else ""
    return RefusedArtifactError(
        f"this is {kind}{inside}; loading a pickle runs whatever code it names, so it is never opened",
        where=source.name,
        hint=_EXPORT,
    )


_STATE_ONLY = ("collections.", "torch._utils._rebuild", "torch.FloatStorage", "torch.storage.", "torch.serialization.")


def _ends_as_zip(source: ByteSource) -> bool:
    length = min(source.size, 1 << 16)
    return b"PK\x05\x06" in source.read(source.size - length, length)
