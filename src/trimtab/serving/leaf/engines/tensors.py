"""Arrays to tensors and back, without copies, and the process-wide settings of torch."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from trimtab.errors import ArtifactError, missing_extra
from trimtab.serving.leaf.engines.engine import OutputArray
from trimtab.signature.dtypes import DType, dtype_of, spelling
from trimtab.signature.types import Literal, Optional, Scalar, Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from trimtab.signature.model import Input


def import_torch() -> Any:
    """The torch module, told not to warn of arrays over a request's bytes."""
    try:
        import torch
    except ImportError:
        raise missing_extra("torch", "torch", "serving TorchScript and torch.export artifacts") from None
    # A request's bytes are read-only and models do not write to their inputs; torch warns all the same.
    warnings.filterwarnings("ignore", message="The given NumPy array is not writ", category=UserWarning)
    return torch


def bound_threads(torch: Any, threads: int) -> None:
    """Bound the intra-operator threads of what this thread runs next: OpenMP keeps the number per calling thread."""
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def argument_makers(torch: Any, inputs: Iterable[Input]) -> dict[str, Callable[[np.ndarray], Any]]:
    """For each input, what turns its array into the argument that the model takes."""
    return {value.name: _maker(torch, value) for value in inputs}


def arguments(makers: Mapping[str, Callable[[np.ndarray], Any]], arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The arguments by input name."""
    return {name: makers[name](array) for name, array in arrays.items()}


def literal_arguments(inputs: Iterable[Input]) -> dict[str, Any]:
    """The constants that are baked into the artifact: exported programs want to be given them again."""
    return {value.name: value.type.to_python() for value in inputs if isinstance(value.type, Literal)}


def output_array(torch: Any, name: str, value: Any) -> OutputArray:
    """One output as an array over the tensor's memory. ArtifactError where no datatype of the protocol carries it."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().contiguous()
        if value.dtype is torch.bfloat16:
            return OutputArray("BF16", value.view(torch.uint16).numpy())
        dtype = dtype_of("torch", str(value.dtype))
        datatype = spelling(dtype, "oip") if dtype else None
        if datatype:
            return OutputArray(str(datatype), value.numpy())
    elif isinstance(value, bool | int | float | str):
        array = np.array([value], dtype=object if isinstance(value, str) else None)
        return OutputArray(_SCALAR_DATATYPES[type(value)], array)
    elif isinstance(value, list) and all(isinstance(it, str) for it in value):
        return OutputArray("BYTES", np.array(value, dtype=object))
    raise ArtifactError(
        f"output {name!r} cannot be sent",
        expected="a tensor of a datatype of the Open Inference Protocol, or a scalar",
        got=str(getattr(value, "dtype", type(value).__name__)),
        hint="Cast it inside the model before it is returned, and export the model again.",
    )


_SCALAR_DATATYPES = {bool: "BOOL", int: "INT64", float: "FP64", str: "BYTES"}


def _maker(torch: Any, value: Input) -> Callable[[np.ndarray], Any]:
    type_ = value.type.element if isinstance(value.type, Optional) else value.type
    if isinstance(type_, Scalar):
        return _scalar
    if isinstance(type_, Tensor) and type_.dtype is DType.BFLOAT16:
        return lambda array: torch.from_numpy(array).view(torch.bfloat16)
    from_numpy: Callable[[np.ndarray], Any] = torch.from_numpy
    return from_numpy


def _scalar(array: np.ndarray) -> Any:
    item = array.reshape(-1)[0]
    if isinstance(item, bytes):
        return item.decode()
    return item if isinstance(item, str) else item.item()
