"""Read the signature of an XGBoost model without xgboost, and keep a signature document among its attributes.

The file names its features and says of what kind each is, not in which dtype a request carries it: XGBoost turns every
number into float32. NaN is a missing value to every booster, so every column may hold it. The document is the attribute
`module_info`, which `Booster.attr` gives and which survives loading and saving.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from trimtab.artifacts.formats.columns import are_categories
from trimtab.artifacts.formats.xgboost.model_file import (
    UBJSON_START,
    Encoding,
    ModelFile,
    feature_count,
    read_model_file,
)
from trimtab.artifacts.limits import MAX_VALUES
from trimtab.errors import ArtifactError
from trimtab.signature.document import MAX_DOCUMENT_BYTES
from trimtab.signature.dtypes import DType
from trimtab.signature.model import (
    Constraints,
    EntryPoint,
    Input,
    Learned,
    Live,
    Output,
    Overload,
    Provenance,
    Range,
    Signature,
)
from trimtab.signature.path import Key, format_path
from trimtab.signature.types import Dim, Tensor

if TYPE_CHECKING:
    from trimtab.source.bytes import ByteSource

name = "xgboost"

ENTRY_POINT = "predict"
ATTRIBUTE = "module_info"
_DATA = "data"
_ROWS = "rows"

_HEAD_BYTES = 4096
_TEXT_START = re.compile(rb'\s*\{\s*(?:"version"\s*:\s*\[[\d,\s]*\]\s*,\s*)?"learner"\s*:\s*\{')
_BINARY_LEARNER = UBJSON_START + b"\x07learner"
_BINARY_VERSION = UBJSON_START + b"\x07version["


def match(source: ByteSource) -> bool:
    """Whether this is an object whose first members are those of an XGBoost model, in JSON or UBJSON."""
    head = source.head(_HEAD_BYTES)
    if head.startswith(_BINARY_LEARNER):
        return True
    if head.startswith(_BINARY_VERSION):
        return _BINARY_LEARNER[1:] in head
    return _TEXT_START.match(head) is not None


def derive(source: ByteSource) -> Signature:
    """One entry point, `predict`: one input for each named feature, or `data` where features have no names."""
    model = read_model_file(source)
    notes = [f"objective {model.learner.objective.name}", f"booster {model.booster}"]
    if model.learner.learner_model_param.base_score:
        notes.append(f"base score {model.learner.learner_model_param.base_score}")
    inputs = _columns(model, source, notes) if model.learner.feature_names else (_matrix(model),)
    return Signature(
        entry_points=(EntryPoint(name=ENTRY_POINT, overloads=(Overload(inputs=inputs, outputs=(_score(model),)),)),),
        default_entry_point=ENTRY_POINT,
        provenance=Provenance(
            format=name,
            producer=f"xgboost {'.'.join(map(str, model.version))}" if model.version else "",
            learned=Learned.DERIVED,
            notes=tuple(notes),
        ),
    )


def declared(source: ByteSource) -> bytes | None:
    """The attribute `module_info`."""
    text = read_model_file(source).learner.attributes.get(ATTRIBUTE)
    if text is None:
        return None
    document = text.encode()
    if len(document) > MAX_DOCUMENT_BYTES:
        raise ArtifactError(
            where=f"{source.name}: attribute {ATTRIBUTE}",
            expected=f"at most {MAX_DOCUMENT_BYTES} bytes",
            got=str(len(document)),
        )
    return document


def embed(path: str, document: bytes) -> None:
    """Write the document into the model's attributes; every byte of its trees stays as it is."""
    from trimtab.artifacts.formats.xgboost.attributes import write_attribute

    write_attribute(path, ATTRIBUTE, document)


def _columns(model: ModelFile, source: ByteSource, notes: list[str]) -> tuple[Input, ...]:
    left = MAX_VALUES
    inputs = []
    for index, feature in enumerate(model.learner.feature_names):
        kind = model.learner.feature_types[index] if model.learner.feature_types else ""
        dtype: DType | None = None
        values: tuple[str | int | float, ...] | None = None
        if model.categories and model.categories[index].values:
            dtype = _dtype(model.categories[index], source)
            values = _categories(model.categories[index], feature, notes)
            if values is not None and len(values) > left:
                notes.append(f"{feature!r} has {len(values)} categories, too many to be listed")
                values = None
            left -= len(values or ())
        inputs.append(
            Input(
                name=feature,
                type=Tensor(dtype, (_ROWS,)),
                path=format_path(_DATA, (Key(feature),)),
                nullable=True,
                constraints=_constraints(kind, dtype, values),
                live=_live(model, index),
                doc=_KINDS.get(kind, f"feature type {kind}" if kind else ""),
            )
        )
    return tuple(inputs)


def _constraints(
    kind: str, dtype: DType | None, categories: tuple[str | int | float, ...] | None
) -> Constraints | None:
    """The categories; of a categorical feature that was trained on codes, of which there is no list, their range."""
    if categories is not None:
        return Constraints(categories=categories)
    return Constraints(range=Range(minimum=0)) if kind == _CATEGORICAL and dtype is None else None


_CATEGORICAL = "c"

_KINDS = {
    "float": "feature type float: any number",
    "q": "feature type q (quantitative): any number",
    "int": "feature type int: whole numbers",
    "i": "feature type i (indicator): 0 or 1",
    _CATEGORICAL: "feature type c: categorical",
}
"""XGBoost's spellings of what a feature is."""


def _matrix(model: ModelFile) -> Input:
    count = feature_count(model)
    live = Live.UNKNOWN if model.split_on is None else Live.YES if model.split_on else Live.NO
    kinds = model.learner.feature_types
    return Input(
        name=_DATA,
        type=Tensor(None, (_ROWS, count or None)),
        nullable=True,
        live=live,
        doc=f"feature types {' '.join(kinds)}" if kinds else "",
    )


def _live(model: ModelFile, index: int) -> Live:
    if model.split_on is None:
        return Live.UNKNOWN
    return Live.YES if index in model.split_on else Live.NO


def _score(model: ModelFile) -> Output:
    """What `Booster.predict` returns: the shape follows from the objective and the number of classes or targets."""
    objective = model.learner.objective.name
    parameters = model.learner.learner_model_param
    classes, targets = int(parameters.num_class), int(parameters.num_target)
    shape: tuple[Dim, ...] = (_ROWS,)
    if classes > 1 and objective != "multi:softmax":
        shape = (_ROWS, classes)
    elif targets > 1:
        shape = (_ROWS, targets)
    return Output(name="score", type=Tensor(DType.FLOAT32, shape), path="", doc=objective)


# By the number that XGBoost has for the type of a JSON array (Value::ValueKind in its json.h).
_NUMBER_DTYPES = {
    7: DType.FLOAT32,
    8: DType.FLOAT64,
    9: DType.INT8,
    10: DType.UINT8,
    11: DType.INT16,
    12: DType.UINT16,
    13: DType.INT32,
    14: DType.UINT32,
    15: DType.INT64,
    16: DType.UINT64,
}


def _dtype(encoding: Encoding, source: ByteSource) -> DType | None:
    """The dtype of a column's categories."""
    if encoding.offsets is not None:
        return DType.STRING
    dtype = _NUMBER_DTYPES.get(encoding.type or 0)
    if dtype is None:
        raise ArtifactError(
            where=f"{source.name}: cats.enc",
            expected=f"a type from {min(_NUMBER_DTYPES)} to {max(_NUMBER_DTYPES)}",
            got=str(encoding.type),
            hint="Written by a newer XGBoost? Upgrade trimtab.",
        )
    return dtype


def _categories(encoding: Encoding, feature: str, notes: list[str]) -> tuple[str | int | float, ...] | None:
    """A column's categories in the order of their codes; None, and a note, where they are not text.

    XGBoost 3 takes the lengths of pandas' categories in characters and cuts their UTF-8 there, so that what it keeps of
    other than ASCII may be a part of the category, with a part of the one before: `["éa", "bc"]` becomes `["é", "ab"]`.
    """
    if encoding.offsets is None:
        if are_categories(encoding.values):
            return tuple(encoding.values)
        notes.append(f"the categories of {feature!r} are not all numbers")
        return None
    offsets = encoding.offsets
    try:
        text = bytes(int(value) & 0xFF for value in encoding.values)
        if offsets[:1] != [0] or offsets[-1] > len(text) or any(start > end for start, end in pairwise(offsets)):
            raise ValueError("offsets that go beyond the text")
        values = tuple(text[start:end].decode() for start, end in pairwise(offsets))
    except (ValueError, OverflowError) as failure:
        notes.append(f"the categories of {feature!r} are damaged ({failure}); XGBoost cuts text that is not ASCII")
        return None
    if not text.isascii():
        notes.append(f"the categories of {feature!r} may be cut: XGBoost does so with pandas' text that is not ASCII")
    return values
