"""Converted arrays as torch tensors over the same memory."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from trimtab.errors import missing_extra
from trimtab.signature.dtypes import DType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def torch_tensors(arrays: Mapping[str, NDArray[Any]], dtypes: Mapping[str, DType | None]) -> dict[str, Any]:
    """Each array as a `torch.Tensor` that shares its memory; text, for which torch has no tensor, as nested lists.

    dtypes: what the signature says, for bfloat16, which numpy holds as bits. The tensors must not be written to: they
    may lie in the request's bytes, or repeat one row many times.
    """
    torch = _torch()
    tensors: dict[str, Any] = {}
    for name, array in arrays.items():
        if array.dtype.kind == "O":
            tensors[name] = array.tolist()
            continue
        tensor = torch.from_numpy(array)
        tensors[name] = tensor.view(torch.bfloat16) if dtypes.get(name) is DType.BFLOAT16 else tensor
    return tensors


@lru_cache(maxsize=1)
def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise missing_extra("torch", "torch", "converting to torch tensors") from None
    # torch warns once per process that a read-only array was given. Ours are, on purpose: let that once be now.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.from_numpy(np.frombuffer(b"\0", np.uint8))
    return torch
