"""Recognize pickles (torch.save, torch.package, joblib) and say what opening one would run. None is ever unpickled.

A signature comes from the document beside the file or, in the zip archives of torch.save, from the one inside.
The layouts: torch/serialization.py (zip, and the one before torch 1.6), torch/package/package_exporter.py.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trimtab.artifacts.formats import torch_archive
from trimtab.artifacts.formats.torch_archive import TorchArchive, open_archive
from trimtab.errors import RefusedArtifactError
from trimtab.source.pickle import pickled_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimtab.signature.model import Signature
    from trimtab.source.bytes import ByteSource

name = "pickled"

_STARTS = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))
_PREFIX_BYTES = 1 << 20
"""How much of a pickle is looked through for names: what it is of stands at its beginning."""


def match(source: ByteSource) -> bool:
    """Whether this is a pickle of protocol 2 to 5, or an archive of torch.save or torch.package."""
    if source.head(2) in _STARTS:
        return True
    archive = open_archive(source)
    return archive is not None and (_is_package(archive) or _is_saved(archive))


def derive(source: ByteSource) -> Signature:
    """Refused, always, with the class inside, or what the pickle would call."""
    archive = open_archive(source)
    if archive is None:
        raise pickle_refusal(source, source.head(_PREFIX_BYTES))
    if _is_package(archive):
        raise RefusedArtifactError(
            "this is a torch.package archive: loading it runs the code inside", where=source.name, hint=_hint(source)
        )
    raise _refusal(source, archive.read_prefix("data.pkl", _PREFIX_BYTES), of_torch=True)


def declared(source: ByteSource) -> bytes | None:
    """The document at `extra/module_info.json` of an archive of torch.save; None for all other pickles."""
    archive = open_archive(source)
    return archive.document() if archive is not None and _is_saved(archive) else None


def embed(path: str, document: bytes) -> None:
    """Append the document to an archive of torch.save. RefusedArtifactError, and nothing done, for other pickles."""
    from trimtab.source.bytes import LocalFile

    with LocalFile(path) as source:
        archive = open_archive(source)
        if archive is None or not _is_saved(archive):
            raise RefusedArtifactError("a pickle has no room for a document", where=path)
    torch_archive.embed(path, document)


def pickle_refusal(source: ByteSource, data: bytes) -> RefusedArtifactError:
    """The error for a pickle that begins with `data`, which may be inside of something else."""
    if data.startswith(_LEGACY_TORCH):
        # Three pickles of plain values (magic number, protocol, sizes of types) come before the object's own.
        start = data.find(b".", len(_LEGACY_TORCH) + len(_LEGACY_VERSION)) + 1
        return _refusal(source, data[start:], of_torch=True)
    return _refusal(source, data, of_torch=False)


_LEGACY_TORCH = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")
_LEGACY_VERSION = bytes.fromhex("80024de9032e")


def _is_package(archive: TorchArchive) -> bool:
    return ".data/extern_modules" in archive or ".data/python_version" in archive


def _is_saved(archive: TorchArchive) -> bool:
    return "data.pkl" in archive and "constants.pkl" not in archive and not _is_package(archive)


def _refusal(source: ByteSource, data: bytes, *, of_torch: bool) -> RefusedArtifactError:
    names = [_shown(str(each)) for each in pickled_names(data)]
    foreign = [each for each in names if not _HARMLESS.fullmatch(each)]
    called = [each for each in foreign if _CALLED.fullmatch(each)]
    if called:
        kind = "a torch.save file" if of_torch else "a pickle"
        what = f"{kind} that would call `{called[0]}`: unpickling runs code"
    elif foreign and names and foreign[0] == _root(names):
        kind = "a pickled torch module" if of_torch else "a pickle (joblib, scikit-learn, …)"
        what = f"{kind}, class `{foreign[0]}`: unpickling runs code"
    elif foreign:
        kind = "a checkpoint of torch.save" if of_torch else "a pickle"
        what = f"{kind} with `{foreign[0]}` in it: unpickling runs code"
    elif of_torch:
        what = "a checkpoint of torch.save that holds weights without a model (a state_dict or tensors)"
    else:
        what = "a pickle of plain values: unpickling may run code"
    return RefusedArtifactError(f"this is {what}", where=source.name, hint=_hint(source))


def _shown(text: str) -> str:
    """A name as it may stand in a message, for it is whatever the file says."""
    return "".join(char if char.isprintable() else "?" for char in text[:_LONGEST_NAME])


_LONGEST_NAME = 200


def _root(names: Sequence[str]) -> str:
    """What the pickle is of: the first name that is not a mere maker of objects."""
    return next((each for each in names if not each.startswith(("copy_reg.", "copyreg."))), "")


_HARMLESS = re.compile(
    r"(collections|torch\.serialization|torch\.storage)\..*|torch\._utils\._rebuild.*|torch\.nn\.parameter\.Parameter"
    r"|torch\.(\w+Storage|Size|device|dtype|bool|b?float\w*|u?int\w+|complex\w+)|(copy_reg|copyreg)\..*"
)
"""What tensors, and the containers around them, are made of."""

_CALLED = re.compile(
    r"(os|posix|nt|subprocess|sys|runpy|importlib|imp|ctypes|socket|shutil|pty|pdb|code|timeit|webbrowser|commands"
    r"|platform|asyncio|multiprocessing)(\..+)?\.\w+"
    r"|(builtins|__builtin__)\.(eval|exec|execfile|compile|open|getattr|setattr|__import__|breakpoint|input|apply)"
)
"""What no model is made of, and what attacks are."""


def _hint(source: ByteSource) -> str:
    return (
        "Export the model with torch.export, torch.jit or to ONNX, whose signatures are read without running code; "
        f"or embed a signature: trimtab embed {source.name} --signature FILE"
    )
