"""Read the signature of an MLflow model: what its `MLmodel` declares, or what the model file inside says.

The signature in `MLmodel` is the one that `predict` of the `python_function` flavor enforces. Where there is none, the
model file that a flavor names is read, if it is of a format that is read; where both are there, they must not
contradict one another.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

from trimtab.artifacts.formats.mlflow.description import (
    MAX_BYTES,
    Description,
    Mapping,
    Scalar,
    Sequence,
    read_description,
)
from trimtab.artifacts.formats.mlflow.flavors import ModelFile, check_against, find_model
from trimtab.artifacts.formats.mlflow.schema import read_inputs, read_outputs
from trimtab.errors import ArtifactError, RefusedArtifactError
from trimtab.signature.document import FILE_NAME
from trimtab.signature.model import EntryPoint, Learned, Overload, Provenance, Signature
from trimtab.source.bytes import LocalFile

if TYPE_CHECKING:
    from trimtab.artifacts.formats.mlflow.description import Node
    from trimtab.source.bytes import ByteSource

name = "mlflow"

ENTRY_POINT = "predict"
DESCRIPTION = "MLmodel"
METADATA = "metadata"
DOCUMENT_KEY = "module_info"
"""The key under `metadata` that holds a signature document."""

_FOLDER = "mlflow: folder"
_HEAD_BYTES = 64 << 10
_HINT = (
    "Save the model with a signature (mlflow.models.infer_signature), "
    "or embed one: trimtab embed MODEL --signature FILE"
)


def open_folder(path: str) -> ByteSource | None:
    """The description in a model's folder, or None where there is none."""
    description = os.path.join(path, DESCRIPTION)
    if not os.path.isfile(description):
        return None
    source = LocalFile(description)
    source.memo[_FOLDER] = path
    return source


def match(source: ByteSource) -> bool:
    """Whether this is YAML with the key that every description has, `flavors`, at its top."""
    if source.size > MAX_BYTES or b"\0" in source.head(_HEAD_BYTES) or source.head(1) == b"{":
        return False
    return _FLAVORS.search(source.read(0, source.size)) is not None


_FLAVORS = re.compile(rb"^(?:\xef\xbb\xbf)?(['\"]?)flavors\1[ \t]*:(?=[\s{]|$)", re.MULTILINE)


def derive(source: ByteSource) -> Signature:
    """One entry point, `predict`."""
    description = read_description(source)
    model = _model(description, source)
    inner = model.signature if model else None
    stated = _stated(description)
    if stated is not None:
        if inner is not None and model is not None:
            check_against(stated, inner, model, source.name)
        overload = stated
    elif inner is not None:
        overload = inner.entry_point().overloads[0]
    else:
        raise RefusedArtifactError(
            _what_is_missing(description),
            where=source.name,
            hint=(f"{model.note}. " if model and model.note else "") + _HINT,
        )
    return Signature(
        entry_points=(EntryPoint(name=ENTRY_POINT, overloads=(overload,)),),
        default_entry_point=ENTRY_POINT,
        provenance=Provenance(
            format=name,
            producer=f"mlflow {description.string('mlflow_version') or ''}".strip(),
            learned=Learned.DECLARED if stated is not None or inner is None else inner.provenance.learned,
            notes=tuple(_notes(description, model, derived=stated is None)),
        ),
    )


def declared(source: ByteSource) -> bytes | None:
    """The string under `module_info` in the description's metadata."""
    description = read_description(source)
    metadata = description.mapping(METADATA)
    if metadata is None or DOCUMENT_KEY not in metadata.entries:
        return None
    node = metadata.entries[DOCUMENT_KEY]
    if isinstance(node, Scalar):
        return node.text.encode()
    return json.dumps(_plain(node, f"{source.name}: {METADATA}.{DOCUMENT_KEY}")).encode()


def _plain(node: Node, where: str) -> Any:
    """A value that was given to MLflow as maps and lists, not as text: the two lists of names, which are strings."""
    match node:
        case Scalar():
            return node.text
        case Mapping():
            return {key: _plain(value, where) for key, value in node.entries.items()}
        case Sequence():
            return [_plain(value, where) for value in node.items]
    raise ArtifactError(where=where, expected=f"the text of {FILE_NAME}, or maps and lists of strings", got="an alias")


def _stated(description: Description) -> Overload | None:
    """What the description declares, or None where it declares no inputs."""
    if description.mapping("signature") is None:
        return None
    inputs, outputs, params = (description.string("signature", key) for key in ("inputs", "outputs", "params"))
    where = f"{description.where}: signature"
    overload = Overload(inputs=read_inputs(inputs, params, where), outputs=read_outputs(outputs, where))
    return overload if inputs else None


def _model(description: Description, source: ByteSource) -> ModelFile | None:
    folder = source.memo.get(_FOLDER)
    if folder is None and isinstance(source, LocalFile) and os.path.basename(source.name) == DESCRIPTION:
        folder = os.path.dirname(source.name) or "."
    return find_model(description, folder) if isinstance(folder, str) else None


def _what_is_missing(description: Description) -> str:
    if description.mapping("signature") is not None:
        return "this MLflow model's signature declares no inputs, so any may be needed"
    return "this MLflow model has no signature"


def _notes(description: Description, model: ModelFile | None, *, derived: bool) -> list[str]:
    flavors = description.mapping("flavors") or Mapping({}, flow=False, start=0)
    notes = [f"flavors {', '.join(flavors.entries)}"[:_LONGEST_NOTE]] if flavors.entries else []
    if model is None:
        return notes
    if model.signature is not None:
        how = "read from" if derived else "does not contradict"
        notes.append(f"{how} {model.path} ({model.signature.provenance.format})")
        notes.extend(model.signature.provenance.notes if derived else ())
    elif model.note:
        notes.append(model.note)
    return notes


_LONGEST_NOTE = 300
