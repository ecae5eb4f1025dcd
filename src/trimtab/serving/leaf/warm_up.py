"""Run a model on zeros before its first request: frameworks compile and allocate in their first runs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from trimtab.converting.contents import TEXT, numpy_dtype
from trimtab.signature.dtypes import DType
from trimtab.signature.model import Presence
from trimtab.signature.types import Scalar, Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trimtab.converting.converter import FeatureConverter
    from trimtab.serving.leaf.engines.engine import Engine
    from trimtab.signature.model import Input, Range, Signature
    from trimtab.signature.types import Dim

log = logging.getLogger(__name__)


def warm_up(engine: Engine, converter: FeatureConverter, signature: Signature) -> None:
    """Score zeros a few times, where the signature says enough to make them.

    A model that fails on zeros may be right about real requests: nothing is refused for it.
    """
    dimensions = signature.entry_point().overloads[0].dimensions
    columns = {
        value.name: zeros
        for value in signature.inputs
        if value.presence is Presence.REQUIRED and (zeros := _zeros(value, dimensions)) is not None
    }
    if sum(zeros.nbytes for zeros in columns.values()) > _MOST_BYTES:
        return
    try:
        arrays = converter.from_columns(columns).arrays
        for _ in range(_RUNS):
            engine.run(arrays, ())
    except Exception as error:  # noqa: BLE001  # the model's own code runs, and may raise anything
        log.debug("no warm-up: %s", error)


_RUNS = 3
"""TorchScript profiles its first run and compiles in its second."""

_MOST_BYTES = 64 << 20


def _zeros(value: Input, dimensions: Mapping[str, Range]) -> np.ndarray[Any, Any] | None:
    shape: tuple[int, ...] = ()
    if isinstance(value.type, Scalar):
        dtype = value.type.dtype
    elif isinstance(value.type, Tensor) and value.type.dtype and value.type.shape is not None:
        dtype, shape = value.type.dtype, tuple(_size(dim, dimensions) for dim in value.type.shape)
    else:
        return None
    # np.broadcast_to: any shape in the memory of one element, in case the shape is huge.
    if dtype in TEXT:
        return np.broadcast_to(np.array("" if dtype is DType.STRING else b"", object), shape)
    element = numpy_dtype(dtype)
    return None if element is None else np.broadcast_to(np.zeros((), element), shape)


def _size(dim: Dim, dimensions: Mapping[str, Range]) -> int:
    if isinstance(dim, int):
        return dim
    limits = dimensions.get(dim) if dim is not None else None
    return max(_ROWS, int(limits.minimum or 0)) if limits else _ROWS


_ROWS = 2
