"""Write an ONNX model to a file, with its weights beside it where protobuf cannot hold them.

Protobuf reads no message above 2 GiB. Of a larger model, every tensor of raw data above a kilobyte goes to one file
beside the model, at offsets that memory can be mapped at; the model in memory stays as it is.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO

from trimtab.errors import ArtifactError
from trimtab.source.replace import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_INLINE = (1 << 31) - (64 << 20)
"""Above this size weights are written beside the model by themselves: 2 GiB less room for the document and its tags."""

_SMALLEST_EXTERNAL = 1 << 10
_ALIGNMENT = 4096


def model_proto(model: Any, onnx: Any) -> Any:
    """The onnx.ModelProto of a model in any form that exporters give. ArtifactError for anything else."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(model, torch.export.ExportedProgram):
        model = torch.onnx.export(model, verbose=False)
    onnx_ir = sys.modules.get("onnx_ir")
    if onnx_ir is not None and isinstance(model, onnx_ir.Model):
        return onnx_ir.to_proto(model)
    model = getattr(model, "model_proto", model)
    if isinstance(model, onnx.ModelProto):
        return model
    raise ArtifactError(
        where="model",
        expected="an onnx.ModelProto, an onnx_ir.Model, or what torch.onnx.export(…, dynamo=True) returns",
        got=type(model).__name__,
        hint="Is it a torch.nn.Module? Export it first: torch.onnx.export(module, example_inputs, dynamo=True).",
    )


@contextmanager
def written(model: Any, path: str, onnx: Any, *, external_data: bool | None) -> Iterator[str]:
    """Write a model to a temporary file, give its path, and move it to `path` when the block ends.

    external_data: whether weights go to a file beside the model; None: if they must. That file has a name that no file
    has yet, so that the old model keeps its weights until the new one is in place; then the old one's, if no longer in
    use, are removed.
    """
    if external_data is None:
        external_data = model.ByteSize() > MAX_INLINE
    if not external_data:
        with replacing(path) as temporary:
            _write(temporary, _serialized(model))
            yield temporary
        return
    target = os.path.realpath(path)
    weights = _unused_name(target)
    before = _external_files(target, onnx)
    try:
        with replacing(path) as temporary:
            with open(weights, "xb") as file:
                light = _without_weights(model, onnx, file, os.path.basename(weights))
                os.fsync(file.fileno())
            _write(temporary, _serialized(light))
            yield temporary
    except BaseException:
        with suppress(OSError):
            os.unlink(weights)
        raise
    for stale in (before & _own_names(target)) - {os.path.basename(weights)}:
        with suppress(OSError):
            os.unlink(os.path.join(os.path.dirname(target), stale))


def _serialized(model: Any) -> bytes:
    from google.protobuf.message import Error as ProtobufError  # comes with onnx

    try:
        data: bytes = model.SerializeToString()
    except (ValueError, ProtobufError) as failure:
        raise ArtifactError(
            where="model",
            expected="a model of at most 2 GiB",
            got=str(failure)[:300],
            hint="Save its weights beside it: external_data=True.",
        ) from None
    return data


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


def _without_weights(model: Any, onnx: Any, weights: BinaryIO, location: str) -> Any:
    """A copy of the model whose long tensors lie in a file. The copy is made without ever copying them in memory."""
    light = onnx.ModelProto()
    for field, content in model.ListFields():
        if field.name != "graph":
            _copy(light, field, content)
    for field, content in model.graph.ListFields():
        if field.name != "initializer":
            _copy(light.graph, field, content)
    for tensor in model.graph.initializer:
        copied = light.graph.initializer.add()
        if not tensor.HasField("raw_data") or len(tensor.raw_data) < _SMALLEST_EXTERNAL:
            copied.CopyFrom(tensor)
            continue
        for field, content in tensor.ListFields():
            if field.name != "raw_data":
                _copy(copied, field, content)
        weights.write(bytes(-weights.tell() % _ALIGNMENT))
        place = {"location": location, "offset": str(weights.tell()), "length": str(len(tensor.raw_data))}
        weights.write(tensor.raw_data)
        copied.data_location = onnx.TensorProto.EXTERNAL
        for key, value in place.items():
            copied.external_data.add(key=key, value=value)
    return light


def _copy(target: Any, field: Any, content: Any) -> None:
    """Set a field of a message to what the same field of another one holds."""
    if hasattr(content, "MergeFrom"):  # repeated fields, too
        getattr(target, field.name).MergeFrom(content)
    else:
        setattr(target, field.name, content)


def _unused_name(target: str) -> str:
    """A path beside `target` that no file has: `model.onnx.data`, `model.onnx.1.data`, …"""
    return next(
        path
        for each in _names(os.path.basename(target))
        if not os.path.lexists(path := os.path.join(os.path.dirname(target), each))
    )


def _names(name: str) -> Iterator[str]:
    yield f"{name}.data"
    number = 1
    while True:
        yield f"{name}.{number}.data"
        number += 1


def _own_names(target: str) -> set[str]:
    """The files beside `target` that have names as `_unused_name` gives them."""
    folder, name = os.path.split(target)
    return {
        each
        for each in os.listdir(folder)
        if each == f"{name}.data"
        or (each.startswith(f"{name}.") and each[len(name) + 1 :].removesuffix(".data").isdecimal())
    }


def _external_files(path: str, onnx: Any) -> set[str]:
    """The files that the tensors of a model on disk lie in; none where there is no such model."""
    from google.protobuf.message import Error as ProtobufError

    try:
        old = onnx.load(path, load_external_data=False)
    except (OSError, ValueError, ProtobufError):  # whatever lies there is to be replaced, and no concern of ours
        return set()
    return {
        entry.value for tensor in old.graph.initializer for entry in tensor.external_data if entry.key == "location"
    }
