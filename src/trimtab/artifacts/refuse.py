"""Say what a file or folder is that no format takes, as exactly as its content allows, and what to do about it."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

from trimtab.artifacts.models_inside import listed, looks_like_model, models_below, names_in
from trimtab.errors import ArtifactError, RefusedArtifactError
from trimtab.source.zip import LOCAL_MAGIC, ZipDirectory

if TYPE_CHECKING:
    from trimtab.source.bytes import ByteSource

_KNOWN: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"\x7fELF", "compiled code (a shared library)", "It does not name the inputs of a model."),
    (257, b"ustar", "a tar archive (.nemo, .tar)", "Unpack it, and name the model inside."),
    (0, b"binf", "a model in XGBoost's old binary format", "Save it as .ubj with XGBoost 2, which still reads it."),
    (0, b"BZh", "a file compressed with bzip2", "Decompress it first."),
    (0, b"\xfd7zXZ\0", "a file compressed with xz", "Decompress it first."),
    (0, b"]\0\0", "a file compressed with lzma", "Decompress it first."),
    (0, b"\x28\xb5\x2f\xfd", "a file compressed with zstd", "Decompress it first."),
    (0, b"\x04\x22\x4d\x18", "a file compressed with lz4", "Decompress it first."),
    (0, b"\x93NUMPY", "a numpy array", "It is data, not a model."),
    (0, b"PAR1", "a Parquet file", "It is data, not a model."),
    (0, b"SQLite format 3\0", "a database of SQLite", "It is data, not a model."),
    (
        0,
        b"version https://git-lfs.github.com/",
        "a pointer of Git LFS",
        "Fetch the file that it stands for: git lfs pull",
    ),
)
"""Kinds by the bytes at an offset: what they are, and what to do."""


def refusal(source: ByteSource) -> ArtifactError:
    """The error for a file that no reader wants."""
    if source.size == 0:
        return ArtifactError(where=source.name, expected="a model file", got="an empty file")
    head = source.head(512)
    if head.startswith(LOCAL_MAGIC):
        return _zip(source)
    for offset, magic, kind, hint in _KNOWN:
        if head.startswith(magic, offset):
            return RefusedArtifactError(f"this is {kind}, which is not read", where=source.name, hint=hint)
    if (inflated := _inflated(source)) is not None:
        return _compressed(source, inflated)
    if _OLD_PICKLE.match(head):
        return _pickle(source, source.head(_PREFIX_BYTES))
    if re.match(rb"\s*<(\?xml[^>]*\?>\s*<)?(\w+:)?PMML\b", head):
        return RefusedArtifactError(
            "this is a PMML document, which is not read", where=source.name, hint="Export the model to ONNX."
        )
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
        expected="a model file (TorchScript, torch.export, ONNX, TensorFlow Lite, Keras, ExecuTorch, XGBoost, "
        "LightGBM, CatBoost, skops, OpenVINO, CoreML), a SavedModel, or a signature document (JSON with input_names "
        "and output_names)",
        got=f"a file that begins with {head[:16]!r}",
        hint="The content decides, not the name. Is the file complete, and is it the model?",
    )


_PREFIX_BYTES = 1 << 20
_OLD_PICKLE = re.compile(rb"c[A-Za-z_][\w.]*\n[A-Za-z_][\w.]*\n|\((?:dp|lp|i[A-Za-z_][\w.]*\n)|[]}]q\0")
"""How pickles of protocol 0 and 1 begin, of objects and of containers."""


def _pickle(source: ByteSource, data: bytes) -> RefusedArtifactError:
    from trimtab.artifacts.formats.pickled import pickle_refusal

    return pickle_refusal(source, data)


def _inflated(source: ByteSource) -> bytes | None:
    """The beginning of what a gzip or zlib file holds, or None for any other file."""
    head = source.head(2)
    if head != b"\x1f\x8b" and not (head[0] == 0x78 and len(head) == 2 and int.from_bytes(head, "big") % 31 == 0):
        return None
    try:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(source.head(_PREFIX_BYTES), _PREFIX_BYTES)
    except zlib.error:
        return None


def _compressed(source: ByteSource, inflated: bytes) -> RefusedArtifactError:
    if inflated[:1] == b"\x80" or _OLD_PICKLE.match(inflated):
        inside = _pickle(source, inflated)
        return RefusedArtifactError(f"{inside.problem} (compressed)", where=source.name, hint=inside.hint)
    if inflated.startswith(b"ustar", 257):
        return RefusedArtifactError(
            "this is a compressed tar archive (.tar.gz, .nemo), which is not read",
            where=source.name,
            hint="Unpack it, and name the model inside.",
        )
    return RefusedArtifactError("this is a compressed file", where=source.name, hint="Decompress it first.")


def _zip(source: ByteSource) -> ArtifactError:
    entries = ZipDirectory.open(source).entries
    names = list(entries)
    inside = [name for name in names if looks_like_model(name, entries)]
    if "MAR-INF/MANIFEST.json" in names:
        what = "this is an archive for TorchServe (.mar)"
    elif any(name.endswith(".dist-info/WHEEL") for name in names):
        what = "this is a Python package (.whl)"
    elif names and all(name.endswith(".npy") for name in names):
        return RefusedArtifactError(
            "this is an archive of numpy arrays (.npz), which is data, not a model", where=source.name
        )
    else:
        what = "this is a zip archive of no kind that is read"
    if not inside:
        return RefusedArtifactError(
            what,
            where=source.name,
            expected="an archive as torch, Keras or skops saves it",
            got=listed(names, "an empty archive"),
        )
    if len(inside) == 1:
        return RefusedArtifactError(
            f"{what}, which holds {inside[0]!r}", where=source.name, hint=f"Unpack it, and read {inside[0]} by itself."
        )
    return RefusedArtifactError(
        f"{what}, which holds {len(inside)} models: {listed(inside)}",
        where=source.name,
        hint="Unpack it, and read the one that is meant.",
    )


def _ends_as_zip(source: ByteSource) -> bool:
    length = min(source.size, 1 << 16)
    return b"PK\x05\x06" in source.read(source.size - length, length)


_EXPECTED_FOLDER = (
    "a model file, or a folder that is a model: a SavedModel (saved_model.pb), MLflow's (MLmodel), Triton's "
    "(config.pbtxt) or CoreML's (.mlpackage)"
)


def folder_refusal(path: str) -> ArtifactError:
    """The error for a folder that no reader wants. It lists the models below, where there are some."""
    try:
        names = names_in(path)
    except OSError as failure:
        return ArtifactError(where=path, expected="a folder that can be listed", got=failure.strerror or str(failure))
    if "coremldata.bin" in names:
        return RefusedArtifactError(
            "this is a compiled CoreML model (.mlmodelc), which is not read",
            where=path,
            hint="Read the .mlmodel or .mlpackage that it was compiled from.",
        )
    below = models_below(path)
    if below:
        versions = all(each.endswith("/saved_model.pb") and each.count("/") == 1 for each in below)
        found = [each.removesuffix("/saved_model.pb") for each in below]
        return ArtifactError(
            "this folder holds versions of a model, not a model"
            if versions
            else "this folder holds models, and is none",
            where=path,
            expected=_EXPECTED_FOLDER,
            got=f"{len(found)} below: {listed(found)}",
            hint=f"Name one of them: {path.rstrip('/')}/{found[-1]}",
        )
    numbers = sorted((each for each in names if each.isdecimal()), key=int)
    if numbers and len(numbers) == len(names):
        hint = f"Is it a model of a repository? Name a version of it: {path.rstrip('/')}/{numbers[-1]}"
    elif "variables" in names or "fingerprint.pb" in names:
        hint = "Other files of a SavedModel are here: is the copy complete?"
    else:
        hint = "Name the model file, or the folder that the model was saved to."
    return ArtifactError(
        where=path,
        expected=_EXPECTED_FOLDER,
        got=f"a directory with {listed(names)}" if names else "an empty directory",
        hint=hint,
    )
