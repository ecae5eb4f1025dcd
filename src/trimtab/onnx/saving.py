"""Save an ONNX model with its signature in the model's metadata."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from trimtab.artifacts import embed_signature, read_signature
from trimtab.errors import ArtifactError, missing_extra
from trimtab.source.replace import replacing

if TYPE_CHECKING:
    from trimtab.signature.model import Signature


def save(model: Any, path: str | os.PathLike[str], signature: Signature | None = None) -> Signature:
    """Save a model so that the file declares its signature; returns that signature.

    model: an onnx.ModelProto, or what torch.onnx.export(…, dynamo=True) returns.
    signature: what to declare; derived from the graph when None.

        trimtab.onnx.save(skl2onnx.to_onnx(pipeline, rows), "ranker.onnx")

    The file appears complete or not at all. A signature that contradicts the graph is refused (ContradictionError).
    Tensors that the model keeps in external files stay where they are.
    """
    try:
        import onnx
    except ImportError:
        raise missing_extra("onnx", "onnx", "saving ONNX models") from None
    model = getattr(model, "model_proto", model)
    if not isinstance(model, onnx.ModelProto):
        raise ArtifactError(where="model", expected="an onnx.ModelProto", got=type(model).__name__)
    with replacing(os.fspath(path)) as temporary:
        try:
            data = model.SerializeToString()
        except ValueError as failure:
            raise ArtifactError(
                where="model",
                expected="a model of at most 2 GiB",
                got=str(failure),
                hint="Save its weights as external data first (onnx.external_data_helper), then save it here.",
            ) from None
        with open(temporary, "wb") as file:
            file.write(data)
        embed_signature(temporary, read_signature(temporary) if signature is None else signature)
        return read_signature(temporary)
