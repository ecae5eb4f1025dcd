"""Run TorchScript. The call is rebuilt from the inputs' paths and from the schema of `forward`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trimtab.errors import ArtifactError
from trimtab.serving.leaf.engines.structure import ABSENT, call_places, fill, named_outputs
from trimtab.serving.leaf.engines.tensors import Arguments, bound_threads, import_torch, output_array

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    import numpy as np

    from trimtab.serving.leaf.engines.engine import OutputArray
    from trimtab.signature.model import Signature


class TorchScriptEngine:
    """One method of a `torch.jit.ScriptModule`: the signature's default entry point."""

    platform = "pytorch_torchscript"

    def __init__(self, path: Path, signature: Signature, *, threads: int) -> None:
        self._torch = torch = import_torch()
        bound_threads(torch, threads)
        self._threads = threads
        try:
            module = torch.jit.load(str(path), map_location="cpu").eval()
            self._method = getattr(module, signature.default_entry_point)
            parameters = self._method.schema.arguments[1:]
        except Exception as error:  # noqa: BLE001  # the loader runs code of the file, which may raise anything
            raise ArtifactError("torch.jit.load refuses it", where=str(path), got=str(error)) from None
        self._outputs = signature.outputs
        self._arguments = Arguments(signature.inputs)
        self._places = call_places(signature.inputs)
        unknown = self._places.keys() - {parameter.name for parameter in parameters}
        if unknown:
            raise ArtifactError(
                where=str(path),
                expected=f"inputs of {signature.default_entry_point}({', '.join(it.name for it in parameters)})",
                got=", ".join(sorted(unknown)),
            )
        self._types = {parameter.name: parameter.type for parameter in parameters}
        self._must_be_given = {
            parameter.name: None
            for parameter in parameters
            if not parameter.has_default_value() and parameter.type.kind() == "OptionalType"
        }

    def run(self, arrays: Mapping[str, np.ndarray], wanted: Collection[str]) -> dict[str, OutputArray]:
        """Score one request: see `Engine.run`."""
        torch = self._torch
        bound_threads(torch, self._threads)
        values = self._arguments.of(arrays)
        call = dict(self._must_be_given)
        for parameter, place in self._places.items():
            value = fill(place, values)
            if value is not ABSENT:
                call[parameter] = _as(self._types[parameter], value)
        with torch.inference_mode():
            returned = self._method(**call)
        found = named_outputs(returned, self._outputs)
        return {name: output_array(torch, name, it) for name, it in found.items() if not wanted or name in wanted}


def _as(type_: Any, value: Any) -> Any:
    """Lists where TorchScript wants lists: the rebuilt structure has tuples, and it converts neither."""
    kind = type_.kind()
    if kind == "OptionalType":
        return None if value is None else _as(type_.getElementType(), value)
    if kind == "ListType" and isinstance(value, tuple):
        return [_as(type_.getElementType(), it) for it in value]
    if kind == "TupleType" and isinstance(value, tuple):
        return tuple(_as(below, it) for below, it in zip(type_.elements(), value, strict=True))
    if kind == "DictType" and isinstance(value, dict):
        return {key: _as(type_.getValueType(), it) for key, it in value.items()}
    return value
