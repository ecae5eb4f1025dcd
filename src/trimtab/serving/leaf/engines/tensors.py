"""What both torch engines share: arguments from arrays, arrays from what a model returns, threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trimtab.converting.torch_tensors import torch_tensors
from trimtab.errors import ArtifactError, missing_extra
from trimtab.serving.leaf.engines.engine import OutputArray
from trimtab.signature.dtypes import DType, dtype_of, spelling
from trimtab.signature.types import Literal, Optional, Scalar, Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trimtab.signature.model import Input


def import_torch() -> Any:
    """The torch module. MissingExtraError says how to install it."""
    try:
        import torch
    except ImportError:
        raise missing_extra("torch", "torch", "serving TorchScript and torch.export artifacts") from None
    return torch


def bound_threads(torch: Any, threads: int) -> None:
    """Bound the intra-operator threads of what this thread runs next: OpenMP keeps the number per calling thread."""
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


class Arguments:
    """Turns the arrays of a request into the values that a model is called with: tensors, or plain numbers and text."""

    def __init__(self, inputs: Sequence[Input]) -> None:
        types = {it.name: it.type.element if isinstance(it.type, Optional) else it.type for it in inputs}
        self._scalars = {name for name, type_ in types.items() if isinstance(type_, Scalar)}
        self._dtypes: dict[str, DType | None] = {
            name: type_.dtype for name, type_ in types.items() if isinstance(type_, Tensor)
        }
        self.literals = {name: type_.to_python() for name, type_ in types.items() if isinstance(type_, Literal)}
        """The constants that are baked into the artifact: an exported program wants to be given them again."""

    def of(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """The values by input name. Tensors lie over the memory of the arrays."""
        if not self._scalars:
            return torch_tensors(arrays, self._dtypes)
        values = {name: _plain(array) for name, array in arrays.items() if name in self._scalars}
        return values | torch_tensors({k: it for k, it in arrays.items() if k not in values}, self._dtypes)


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


def _plain(array: np.ndarray) -> Any:
    item = array.reshape(-1)[0]
    return item.item() if isinstance(item, np.generic) else item
