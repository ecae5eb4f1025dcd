"""The model file inside of an MLflow model, which its flavors name, and what it says of the declared signature.

Sources: the flavors' `save_model` functions in mlflow/onnx, mlflow/tensorflow, mlflow/xgboost and others, and what
their `predict` does with a table: its columns become the inputs of those names, or the columns of the only input.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from trimtab.artifacts.formats.inner import clash, raise_first, read_inner
from trimtab.artifacts.formats.mlflow.description import Description, Mapping, Scalar
from trimtab.errors import ContradictionError
from trimtab.signature.dtypes import DType
from trimtab.signature.model import Presence
from trimtab.signature.types import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.signature.model import Input, Overload, Signature

PYFUNC = "python_function"

_PATH_KEYS = ("data", "saved_model_dir", "model_data", "model_path", "pickled_model", "cb_model", "model")
"""Where flavors keep the path of their model file."""

_IN_FOLDER = ("model.keras", "model.pt2", "model.pth", "model.pt", "model.onnx")
"""What lies in a path that is a plain folder."""

_BY_COLUMN = ("xgboost",)
"""Formats whose library refuses a table that lacks one of its columns."""

_CASTS = frozenset((DType.FLOAT32, DType.FLOAT64))
"""MLflow's ONNX flavor casts float64 to float32 before it calls the model."""

_MAX_FLAVORS = 20
_LONGEST_LIST = 300


class ModelFile(NamedTuple):
    """A flavor's model file. path: below the folder. signature: None where it cannot be read, and a note says why.

    called_by_flavor: whether `predict` hands its data to this flavor, not to code of the user's own.
    """

    flavor: str
    path: str
    signature: Signature | None
    note: str
    called_by_flavor: bool


def find_model(description: Description, folder: str) -> ModelFile | None:
    """The first model file that can be read, or else the first of all; None where no flavor names one."""
    loader = description.string("flavors", PYFUNC, "loader_module") if _has_pyfunc(description) else None
    unread: ModelFile | None = None
    for flavor, path in _paths(description):
        for candidate in _candidates(folder, path):
            inner = read_inner(folder, candidate)
            if inner is None:
                continue
            called = loader == f"mlflow.{flavor}"
            model = ModelFile(flavor, candidate, inner.signature, inner.note, called)
            if inner.signature is not None:
                return model
            unread = unread or model
    return unread


def check_against(stated: Overload, inner: Signature, model: ModelFile, where: str) -> None:
    """ContradictionError where the model file cannot be called with what the signature declares."""
    if model.called_by_flavor:
        raise_first(_contradictions(stated, inner, model, where))


def _contradictions(stated: Overload, inner: Signature, model: ModelFile, where: str) -> Iterator[ContradictionError]:
    data = [it for it in stated.inputs if it.presence is not Presence.DEFAULT]
    given = {it.name: it for it in data}
    known = {it.name: it for it in inner.inputs}
    by_name = model.flavor == "onnx" and len(known) > 1
    if by_name or (inner.provenance.format in _BY_COLUMN and _named_columns(data)):
        lacking = [it.name for it in inner.inputs if it.presence is Presence.REQUIRED and it.name not in given]
        for name in lacking:
            yield _contradiction(f"{where}: inputs", f"{name!r}", "none of that name", model)
    for each in data:
        if each.name in known and clash(_whole(each), known[each.name].type, casts=_CASTS):
            yield _contradiction(f"{where}: input {each.name!r}", str(known[each.name].type), str(each.type), model)
    outputs = {it.name: it for it in inner.outputs}
    for output in stated.outputs:
        named = output.path is None  # else the name is one that we made up
        if named and output.name in outputs and clash(output.type, outputs[output.name].type, casts=_CASTS):
            yield _contradiction(
                f"{where}: output {output.name!r}", str(outputs[output.name].type), str(output.type), model
            )


def _named_columns(data: list[Input]) -> bool:
    """Whether the data is a table whose columns have names."""
    return all(isinstance(it.type, Tensor) and it.type.shape == ("rows",) and it.path is None for it in data)


def _whole(value: Input) -> Tensor:
    """The type as the model sees it: of a table's column no shape is declared, and numbers are cast."""
    if not isinstance(value.type, Tensor):
        return Tensor()
    if value.type.shape != ("rows",):
        return value.type
    return Tensor(DType.STRING) if value.type.dtype in (DType.STRING, DType.BYTES) else Tensor()


def _has_pyfunc(description: Description) -> bool:
    flavors = description.mapping("flavors")
    return flavors is not None and isinstance(flavors.entries.get(PYFUNC), Mapping)


def _paths(description: Description) -> Iterator[tuple[str, str]]:
    """The flavors and the paths that they state, each path once."""
    flavors = description.mapping("flavors")
    seen = set()
    for flavor, facts in list(flavors.entries.items() if flavors else ())[:_MAX_FLAVORS]:
        if flavor == PYFUNC or not isinstance(facts, Mapping):
            continue
        for key in _PATH_KEYS:
            path = facts.entries.get(key)
            if isinstance(path, Scalar) and path.text and path.text not in seen:
                seen.add(path.text)
                yield flavor, path.text


def _candidates(folder: str, path: str) -> Iterator[str]:
    """The path itself, or, of a plain folder, the model files in it."""
    inside = [f"{path}/{name}" for name in _IN_FOLDER if os.path.isfile(os.path.join(folder, path, name))]
    yield from inside or (path,)


def _contradiction(where: str, inside: str, stated: str, model: ModelFile) -> ContradictionError:
    return ContradictionError(
        "the signature and the model file disagree",
        where=where,
        expected=f"{inside[:_LONGEST_LIST]}, as in {model.path}",
        got=f"{stated[:_LONGEST_LIST]} in the signature",
        hint="predict would fail. Save the model again with the signature of its own inputs "
        "(mlflow.models.infer_signature).",
    )
