"""The model files of a folder in Triton's repository: `1/model.onnx`, `2/model.onnx`, and which of them speaks.

Names: Triton's model_configuration.md and the documentation of its backends.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from trimtab.artifacts.formats.inner import clash, raise_first, read_inner
from trimtab.errors import ArtifactError, ContradictionError
from trimtab.signature.model import Presence
from trimtab.signature.types import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trimtab.artifacts.formats.triton.config import Config, TensorConfig
    from trimtab.signature.model import Signature
    from trimtab.signature.types import Type

MODEL_FILES = ("model.onnx", "model.savedmodel", "model.pt", "model.pt2", "model.xml")
"""What a version's folder holds where the configuration does not name it, of formats that are read."""

_BY_NAME = ("onnx", "savedmodel", "openvino")
"""Formats whose inputs Triton finds by name. Of others it goes by order, or by a convention of its own."""

_MAX_ENTRIES = 10_000
_LONGEST_LIST = 200


class ModelFile(NamedTuple):
    """The model file of the newest version that is served: its signature, or None and a note that says why."""

    signature: Signature | None
    versions_note: str
    note: str


def has_model(folder: str) -> bool:
    """Whether a version's folder holds a model file of a usual name."""
    return any(
        os.path.exists(os.path.join(folder, str(version), name))
        for version in _versions(folder)[-1:]
        for name in MODEL_FILES
    )


def find_model(config: Config, folder: str) -> ModelFile:
    """The model file of a folder. ArtifactError where it is damaged, or the configuration points elsewhere."""
    versions = _versions(folder)
    listed = ", ".join(map(str, versions))[:_LONGEST_LIST]
    versions_note = f"versions {listed}" if versions else ""
    served = [each for each in versions if config.versions is None or each in config.versions]
    if not served:
        return ModelFile(None, versions_note, "")
    for file in (config.model_file,) if config.model_file else MODEL_FILES:
        inner = read_inner(folder, f"{served[-1]}/{file}")
        if inner is not None:
            return ModelFile(inner.signature, versions_note, inner.note)
    return ModelFile(None, versions_note, f"{served[-1]}/{config.model_file} is not there" if config.model_file else "")


def check_against(config: Config, model: Signature, where: str) -> None:
    """ContradictionError where the configuration names what the model does not have, or gives it another type."""
    by_name = model.provenance.format in _BY_NAME
    raise_first(_contradictions(config, model, where) if by_name else _beyond(config, model, where))


def _contradictions(config: Config, model: Signature, where: str) -> Iterator[ContradictionError]:
    inputs = {it.name: it for it in model.inputs}
    outputs = {it.name: it for it in model.outputs}
    for tensor in config.inputs:
        if tensor.name not in inputs:
            yield _contradiction(f"{where}: input", repr(tensor.name), _listed(inputs))
        else:
            yield from _type_clash(tensor, inputs[tensor.name].type, config, f"{where}: input {tensor.name!r}")
    for tensor in config.outputs:
        if tensor.name not in outputs:
            yield _contradiction(f"{where}: output", repr(tensor.name), _listed(outputs))
        else:
            yield from _type_clash(tensor, outputs[tensor.name].type, config, f"{where}: output {tensor.name!r}")
    given = {*(tensor.name for tensor in config.inputs), *config.made}
    lacking = [it.name for it in model.inputs if it.presence is Presence.REQUIRED and it.name not in given]
    for name in lacking if config.inputs else ():
        yield _contradiction(f"{where}: input", f"none of the name {name!r}", _listed(inputs))


def _beyond(config: Config, model: Signature, where: str) -> Iterator[ContradictionError]:
    """Names that end in `__N` stand for the model's Nth argument (Triton's PyTorch backend)."""
    if model.provenance.format != "torchscript":
        return
    for tensor in config.inputs:
        match = _POSITION.fullmatch(tensor.name)
        if match and int(match[1]) >= len(model.inputs):
            yield _contradiction(
                f"{where}: input", repr(tensor.name), f"{len(model.inputs)} inputs ({_listed(model.input_names)})"
            )


_POSITION = re.compile(r".*__(\d{1,9})", re.DOTALL)


def _type_clash(tensor: TensorConfig, actual: Type, config: Config, where: str) -> Iterator[ContradictionError]:
    stated = tensor.model_type(batched=config.batched)
    if tensor.dims == ():
        stated = Tensor(stated.dtype)  # to the server the same as no dims at all: it asks the model
    if clash(stated, actual):
        yield _contradiction(where, f"{stated}", f"{actual}")


def _contradiction(where: str, stated: str, actual: str) -> ContradictionError:
    return ContradictionError(
        "the configuration and the model file disagree",
        where=where,
        expected=f"{actual}, as in the model file",
        got=f"{stated} in the configuration",
        hint="Triton would refuse to load the model. Correct the configuration.",
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))[:_LONGEST_LIST] or "none"


def _versions(folder: str) -> list[int]:
    """The versions in a folder, lowest first: folders that are called as a number, without zeros before it."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for _, entry in zip(range(_MAX_ENTRIES), entries, strict=False)]
    except OSError as failure:
        raise ArtifactError(where=folder, expected="a folder that can be listed", got=str(failure.strerror)) from None
    return sorted(int(each) for each in names if _VERSION.fullmatch(each))


_VERSION = re.compile(r"[1-9]\d{0,18}", re.ASCII)
