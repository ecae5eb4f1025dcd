"""Save an ONNX model with its signature in the model's metadata."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

from trimtab.artifacts import embed_signature, read_signature
from trimtab.errors import ArtifactError, LossyExportWarning, missing_extra
from trimtab.onnx.details import with_details
from trimtab.onnx.writing import model_proto, written
from trimtab.signature.model import Presence
from trimtab.signature.types import Sparse, Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trimtab.onnx.details import Details
    from trimtab.signature.model import Signature


def save(
    model: Any,
    path: str | os.PathLike[str],
    signature: Signature | None = None,
    *,
    input_names: Sequence[str] | Mapping[str, str] | None = None,
    output_names: Sequence[str] | Mapping[str, str] | None = None,
    dimension_names: Mapping[str, str] | None = None,
    dynamic: str | None = "batch",
    details: Mapping[str, Details] | None = None,
    external_data: bool | None = None,
) -> Signature:
    """Save a model so that the file declares its signature; returns that signature.

    model: an onnx.ModelProto, an onnx_ir.Model, a torch.export.ExportedProgram, or what torch.onnx.export(…,
    dynamo=True) returns.
    signature: what to declare; when None, what the model declares already, or else what its graph says.
    input_names, output_names: what requests call the values: all names in order, or new ones by the graph's. The graph
    keeps its own.
    dimension_names: new names for the symbols of shapes, `{"s10": "batch"}`. When None and all tensor inputs share one
    leading symbol that the exporter made up, it is called `dynamic`.
    details: by request-level name, what the file has no place for: range, categories, id, aliases, shape, features
    (the columns of a matrix), doc, nullable.
    external_data: whether weights go to a file beside the model; None: where protobuf's 2 GiB leave no choice.

        trimtab.onnx.save(exported, "ranker.onnx", details={"user_age": {"range": (0, 130), "aliases": ["age"]}})

    The file appears complete or not at all. A signature that contradicts the graph is refused (ContradictionError), and
    names that belong to nothing (SignatureError). Tensors that the model keeps in external files already stay there.
    LossyExportWarning where weights are listed as inputs, and where sizes have no names that say which are equal.
    """
    try:
        import onnx
    except ImportError:
        raise missing_extra("onnx", "onnx", "saving ONNX models") from None
    made = model_proto(model, onnx)
    try:
        with written(made, os.fspath(path), onnx, external_data=external_data) as temporary:
            named = with_details(
                read_signature(temporary) if signature is None else signature,
                input_names=input_names,
                output_names=output_names,
                dimension_names=dimension_names,
                dynamic=dynamic,
                details=details,
            )
            embed_signature(temporary, named)
            saved = read_signature(temporary)
    except OSError as failure:
        raise ArtifactError(where=os.fspath(path), expected="a file that can be written", got=str(failure)) from failure
    _warn_of_weights(made, saved)
    _warn_of_unnamed_sizes(saved)
    return saved


def _warn_of_weights(model: Any, signature: Signature) -> None:
    initialized = {it.name for it in model.graph.initializer}
    listed = [it.name for it in model.graph.input if it.name in initialized]
    if listed and model.ir_version < 4:
        _warn(
            f"IR version {model.ir_version} lists the weights as inputs ({len(listed)} of {len(model.graph.input)}), "
            "so readers that do not subtract them take them for features. Save the model in IR version 4 or later."
        )
    elif len(listed) > 1 and len(listed) == len(initialized):
        defaults = sum(it.presence is Presence.DEFAULT for it in signature.inputs)
        _warn(
            f"every weight is listed as an input with a default ({defaults} of {len(signature.inputs)} inputs), so "
            "requests may replace them, and a retrained model has other defaults. Export without "
            "keep_initializers_as_inputs."
        )


def _warn_of_unnamed_sizes(signature: Signature) -> None:
    unnamed = [
        f"{it.name} ({it.type})"
        for it in signature.inputs
        if isinstance(it.type, Tensor | Sparse) and it.type.shape is not None and None in it.type.shape
    ]
    if unnamed:
        listed = ", ".join(unnamed[:5]) + (f" and {len(unnamed) - 5} more" if len(unnamed) > 5 else "")
        _warn(
            f"nothing says which sizes of these inputs must be equal: {listed}. Name them when exporting, or here: "
            'details={"NAME": {"shape": ("batch", …)}}.'
        )


def _warn(message: str) -> None:
    warnings.warn(message, LossyExportWarning, stacklevel=4)
