"""Put signature documents into MLflow models: one that lies in a folder, or the metadata of one to be logged."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from msgspec.structs import replace

from trimtab.artifacts import embed_signature, read_signature
from trimtab.artifacts.formats.mlflow.reader import DOCUMENT_KEY, ENTRY_POINT
from trimtab.artifacts.formats.mlflow.schema import DATA
from trimtab.errors import SignatureError
from trimtab.signature.document import encode_document
from trimtab.signature.model import EntryPoint, Learned, Signature
from trimtab.signature.path import Key, parse_path

if TYPE_CHECKING:
    from trimtab.signature.model import Input


def embed(model: str | os.PathLike[str], signature: Signature | None = None) -> Signature:
    """Write a signature document into the metadata of a saved model; returns the signature that it then declares.

    model: the folder that `save_model` wrote. signature: what to declare; None for what the model says already.
    It is checked against what MLmodel and the model file inside say (ContradictionError).

        mlflow.sklearn.save_model(pipeline, "ranker")
        trimtab.mlflow.embed("ranker", signature)
    """
    folder = os.fspath(model)
    embed_signature(folder, read_signature(folder) if signature is None else as_predict(signature))
    return read_signature(folder)


def metadata(signature: Signature) -> dict[str, str]:
    """What to give `log_model` or `save_model` as `metadata`, so that the model carries the signature document.

    mlflow.onnx.log_model(model, name="ranker", metadata=trimtab.mlflow.metadata(signature))
    """
    return {DOCUMENT_KEY: encode_document(as_predict(signature)).decode()}


def as_predict(signature: Signature) -> Signature:
    """The default entry point as `predict` of an MLflow model, where columns have no table around their names."""
    overloads = tuple(
        replace(each, inputs=tuple(map(_without_table, each.inputs))) for each in signature.entry_point().overloads
    )
    return Signature(
        entry_points=(EntryPoint(name=ENTRY_POINT, overloads=overloads),),
        default_entry_point=ENTRY_POINT,
        provenance=replace(signature.provenance, learned=Learned.DECLARED),
    )


def _without_table(value: Input) -> Input:
    try:
        root, steps = parse_path(value.call_path)
    except SignatureError:
        return value
    return replace(value, path=None) if root == DATA and steps == (Key(value.name),) else value
