"""Run ONNX with onnxruntime. Inputs go in by name; the session bounds its own threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trimtab.errors import ArtifactError, missing_extra
from trimtab.serving.leaf.engines.engine import OutputArray
from trimtab.signature.dtypes import DType, spelling
from trimtab.signature.types import Tensor

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from trimtab.signature.model import Signature


class OnnxRuntimeEngine:
    """One `onnxruntime.InferenceSession` on the CPU; `Session.run` may be called from several threads."""

    platform = "onnxruntime_onnx"

    def __init__(self, path: Path, signature: Signature, *, threads: int) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise missing_extra("onnxruntime", "onnxruntime", "serving ONNX") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001  # onnxruntime raises classes of its own for each status
            raise ArtifactError("onnxruntime does not load it", where=str(path), got=str(error)) from None
        graph = {it.name: it.type for it in self._session.get_outputs()}
        self._outputs = {it.name: it.return_path for it in signature.outputs}
        if missing := [in_graph for in_graph in self._outputs.values() if in_graph not in graph]:
            raise ArtifactError(where=str(path), expected=f"outputs among {', '.join(graph)}", got=", ".join(missing))
        self._datatypes = {
            name: _datatype(graph[in_graph], f"{path}: output {name!r}") for name, in_graph in self._outputs.items()
        }
        self._renamed = {it.name: it.call_path for it in signature.inputs if it.call_path != it.name}
        self._bfloat16 = {
            it.call_path for it in signature.inputs if isinstance(it.type, Tensor) and it.type.dtype is DType.BFLOAT16
        }
        self._text = {it.name for it in self._session.get_inputs() if it.type == "tensor(string)"}
        self._ort_value = onnxruntime.OrtValue

    def run(self, arrays: Mapping[str, np.ndarray], wanted: Collection[str]) -> dict[str, OutputArray]:
        """Score one request: see `Engine.run`."""
        names = [name for name in self._outputs if not wanted or name in wanted]
        in_graph = [self._outputs[name] for name in names]
        if self._renamed:
            arrays = {self._renamed.get(name, name): array for name, array in arrays.items()}
        if not self._bfloat16.isdisjoint(arrays):
            feeds = {name: self._value(name, array) for name, array in arrays.items()}
            answer = [value.numpy() for value in self._session.run_with_ort_values(in_graph, feeds)]
        else:
            if self._text:
                arrays = {name: _text(array) if name in self._text else array for name, array in arrays.items()}
            answer = self._session.run(in_graph, arrays)
        return {
            name: OutputArray(self._datatypes[name], np.asarray(value))
            for name, value in zip(names, answer, strict=True)
        }

    def _value(self, name: str, array: np.ndarray) -> Any:
        if name in self._bfloat16:
            bits = np.ascontiguousarray(array)
            return self._ort_value.ortvalue_from_numpy_with_onnx_type(bits, _ONNX_BFLOAT16)
        return self._ort_value.ortvalue_from_numpy(_text(array) if name in self._text else array)


_ONNX_BFLOAT16 = spelling(DType.BFLOAT16, "onnx")


def _datatype(onnx_type: str, where: str) -> str:
    element = onnx_type.removeprefix("tensor(").removesuffix(")")
    datatype = _DATATYPES.get(element)
    if datatype is None or not onnx_type.startswith("tensor("):
        raise ArtifactError(
            where=where,
            expected="a tensor that the Open Inference Protocol and numpy can carry",
            got=onnx_type,
            hint="Cast it inside the model before it is returned, and export the model again.",
        )
    return datatype


_DATATYPES = {
    {"float16": "float16", "float32": "float", "float64": "double"}.get(dtype.value, dtype.value): str(datatype)
    for dtype in DType
    if (datatype := spelling(dtype, "oip")) and dtype not in (DType.BFLOAT16, DType.BYTES)
}
"""Datatype by onnxruntime's name of the element type."""


def _text(array: np.ndarray) -> np.ndarray:
    """Elements as str, which is what onnxruntime takes for text. UnicodeDecodeError where bytes are not text."""
    if array.dtype != object:
        return array
    elements = [it.decode() if isinstance(it, bytes) else it for it in array.ravel()]
    return np.array(elements, dtype=object).reshape(array.shape)
