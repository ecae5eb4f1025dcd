"""Turn MLflow's ModelSignature into ours and back.

From MLflow nothing is lost that it enforces: what comes back is what went in. To MLflow, what it has no words for is
left out (ranges, categories, symbols of shapes, other entry points and overloads) or, where a request that fits ours
would not fit MLflow's, refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trimtab.artifacts.formats.mlflow.reader import ENTRY_POINT
from trimtab.artifacts.formats.mlflow.schema import read_inputs, read_outputs
from trimtab.errors import SignatureError, missing_extra
from trimtab.mlflow.specs import input_specs, output_specs, param_specs, schema_json
from trimtab.signature.model import EntryPoint, Learned, Overload, Provenance, Signature

if TYPE_CHECKING:
    from mlflow.models import ModelSignature


def from_mlflow(signature: ModelSignature) -> Signature:
    """What an `mlflow.models.ModelSignature` declares, as one entry point, `predict`.

    Columns become tensors of rows, objects are taken apart into their properties, parameters are inputs with defaults:
    as `trimtab inspect` shows the MLflow model that has this signature. SignatureError where it declares no inputs.
    """
    stated = signature.to_dict()
    if not stated.get("inputs"):
        raise SignatureError(
            where="ModelSignature", expected="a signature with inputs", got="one without, which any input fits"
        )
    overload = Overload(
        inputs=read_inputs(stated["inputs"], stated.get("params"), "ModelSignature"),
        outputs=read_outputs(stated.get("outputs"), "ModelSignature"),
    )
    return Signature(
        entry_points=(EntryPoint(name=ENTRY_POINT, overloads=(overload,)),),
        default_entry_point=ENTRY_POINT,
        provenance=Provenance(format="mlflow", learned=Learned.DECLARED),
    )


def to_mlflow(signature: Signature, *, outputs: bool = True) -> ModelSignature:
    """The `mlflow.models.ModelSignature` for the default entry point's first overload.

    Values of one row each (a tensor of shape `[rows]`, what lies in an object) become columns; when any value is
    another tensor, all become tensors. Plain values and lists with a default become parameters of the call. Of a column
    whose dtype is open MLflow checks nothing.
    outputs: whether to declare the outputs too.

        mlflow.onnx.log_model(model, name="ranker", signature=trimtab.mlflow.to_mlflow(signature))

    SignatureError for what MLflow cannot express: a tensor of unknown rank, of a dtype that NumPy lacks, or optional.
    """
    try:
        from mlflow.models import ModelSignature
    except ImportError:
        raise missing_extra("mlflow-skinny", "mlflow", "making an MLflow signature") from None
    params, data = param_specs(signature.inputs)
    stated: dict[str, Any] = {
        "inputs": schema_json(input_specs(data)),
        "params": schema_json(params),
        "outputs": schema_json(output_specs(signature.outputs)) if outputs else None,
    }
    return ModelSignature.from_dict(stated)
