"""A leaf's answer as the tensors of a score response. Values travel on as the bytes they came in."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from trimtab.protocols import oip
from trimtab.serving.root.leaves import CallFailure
from trimtab.signature.dtypes import dtype_of, spelling


@dataclass(frozen=True, slots=True)
class OutputTensor:
    """One output, as the Open Inference Protocol writes it: datatype, shape, raw contents."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    raw: bytes

    def values(self) -> list[Any]:
        """The elements, flat: numbers, flags, or text (bytes that are not UTF-8 with escapes)."""
        if self.datatype == "BYTES":
            return _elements(self.raw)
        if self.datatype == "BF16":
            wide = np.frombuffer(self.raw, "<u2").astype(np.uint32) << 16
            return list(wide.view(np.float32).tolist())
        dtype = dtype_of("oip", self.datatype)
        values: list[Any] = np.frombuffer(self.raw, str(dtype and spelling(dtype, "numpy"))).tolist()
        return values


@dataclass(frozen=True, slots=True)
class LeafAnswer:
    """The outputs of one model, and the version that answered."""

    model_version: str
    outputs: tuple[OutputTensor, ...]


def decode_answer(payload: bytes) -> LeafAnswer:
    """The outputs in a serialized ModelInferResponse. Raises CallFailure if it is not one, or its sizes disagree."""
    try:
        message = oip.ModelInferResponse.FromString(payload)
    except DecodeError as problem:
        raise CallFailure("INTERNAL", f"the leaf's answer is not a ModelInferResponse ({problem})") from problem
    raws = list(message.raw_output_contents)
    if raws and len(raws) != len(message.outputs):
        raise CallFailure("INTERNAL", f"the leaf answered {len(message.outputs)} outputs with {len(raws)} raw contents")
    outputs = []
    for index, tensor in enumerate(message.outputs):
        raw = raws[index] if raws else _raw_of_typed(tensor)
        output = OutputTensor(tensor.name, tensor.datatype, tuple(tensor.shape), raw)
        _check_size(output)
        outputs.append(output)
    return LeafAnswer(message.model_version, tuple(outputs))


def _check_size(output: OutputTensor) -> None:
    dtype = dtype_of("oip", output.datatype)
    if dtype is None:
        raise CallFailure("INTERNAL", f'the leaf\'s output "{output.name}" has the datatype {output.datatype!r}')
    if dtype.itemsize is not None and len(output.raw) != prod(output.shape) * dtype.itemsize:
        raise CallFailure(
            "INTERNAL",
            f'the leaf\'s output "{output.name}": expected {prod(output.shape) * dtype.itemsize} bytes of '
            f"{output.datatype} {list(output.shape)}, got {len(output.raw)}",
        )


def _raw_of_typed(tensor: Any) -> bytes:
    field = oip.CONTENTS_FIELDS.get(tensor.datatype)
    if field is None:
        return b""
    values = getattr(tensor.contents, field)
    if tensor.datatype == "BYTES":
        return b"".join(len(value).to_bytes(4, "little") + value for value in values)
    dtype = dtype_of("oip", tensor.datatype)
    return np.array(values, str(dtype and spelling(dtype, "numpy"))).tobytes()


def _elements(raw: bytes) -> list[str]:
    values, position = [], 0
    while position + 4 <= len(raw):
        size = int.from_bytes(raw[position : position + 4], "little")
        values.append(raw[position + 4 : position + 4 + size].decode("utf-8", "backslashreplace"))
        position += 4 + size
    return values
