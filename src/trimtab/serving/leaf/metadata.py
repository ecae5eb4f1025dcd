"""What the leaf says of itself and of its models, the same over gRPC and REST. Everything comes from the signatures."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, NamedTuple

from trimtab.converting.requests import BROADCAST_EXTENSION
from trimtab.signature.dtypes import spelling
from trimtab.signature.types import Literal, Optional, Scalar, Sequence, Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trimtab.serving.leaf.models import ModelTable, ServedModel
    from trimtab.signature.model import Input, Output
    from trimtab.signature.types import Type

SERVER_NAME = "trimtab"
try:
    SERVER_VERSION = version("trimtab")
except PackageNotFoundError:
    SERVER_VERSION = "source"  # run from a checkout that is not installed
EXTENSIONS = ("binary_tensor_data", "model_repository(index)", BROADCAST_EXTENSION)


class TensorMetadata(NamedTuple):
    """One input or output. Shape: -1 where a dimension is open; `[-1]` too where even the rank is unknown.

    datatype: empty where the artifact does not say, or the protocol has no word for it.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]


class ModelMetadata(NamedTuple):
    """What `ModelMetadata` answers."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]


def model_metadata(model: ServedModel, table: ModelTable) -> ModelMetadata:
    """The metadata of a version, with every version of the model that is served."""
    return ModelMetadata(
        model.name,
        tuple(table.by_name.get(model.name, ())),
        model.engine.platform,
        tuple(_tensors(model.signature.inputs)),
        tuple(_tensors(model.signature.outputs)),
    )


def _tensors(values: Iterable[Input | Output]) -> Iterable[TensorMetadata]:
    for value in values:
        if not isinstance(value.type, Literal):  # a constant of the artifact: no request carries it
            yield TensorMetadata(value.name, *_datatype_and_shape(value.type))


def _datatype_and_shape(type_: Type) -> tuple[str, tuple[int, ...]]:
    if isinstance(type_, Optional):
        return _datatype_and_shape(type_.element)
    if isinstance(type_, Scalar):
        return str(spelling(type_.dtype, "oip") or ""), (1,)
    if isinstance(type_, Sequence):
        return _datatype_and_shape(type_.element)[0], (-1,)
    if isinstance(type_, Tensor):
        datatype = (type_.dtype and spelling(type_.dtype, "oip")) or ""
        shape = (-1,) if type_.shape is None else tuple(dim if isinstance(dim, int) else -1 for dim in type_.shape)
        return str(datatype), shape
    return "", (-1,)
