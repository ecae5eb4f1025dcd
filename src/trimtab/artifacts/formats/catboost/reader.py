"""Read the signature of a CatBoost model without CatBoost: its features, and what it gives.

A model knows its features by name or, trained on arrays, by position. Categories are hashes in it: which values there
were, it does not say. A document lies in the model's metadata under `module_info`, where CatBoost keeps it; embedded
into a binary model later, in a zip archive behind it, where CatBoost does not look. The later one counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.artifacts.formats.catboost.binary import MAGIC, read_binary
from trimtab.artifacts.formats.catboost.binary import read_entry as read_binary_entry
from trimtab.artifacts.formats.catboost.model import Facts, Feature, class_names, loss_function, producer
from trimtab.errors import ArtifactError
from trimtab.signature.document import FILE_NAME, MAX_DOCUMENT_BYTES
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
    Signature,
)
from trimtab.signature.model import Feature as Column
from trimtab.signature.path import Key, format_path
from trimtab.signature.types import Tensor
from trimtab.source.appended import append_document, read_appended
from trimtab.source.bytes import LocalFile

if TYPE_CHECKING:
    from trimtab.source.bytes import ByteSource

name = "catboost"

ENTRY_POINT = "predict"
ENTRY = "module_info"
"""The key of a document in the model's metadata."""

_DATA = "data"
_ROWS = "rows"
_HEAD_BYTES = 4096
_MAX_SHOWN_CLASSES = 20


def match(source: ByteSource) -> bool:
    """Whether this is a binary model, or JSON whose first member is that of an exported one."""
    if _is_binary(source):
        return True
    from trimtab.artifacts.formats.catboost.text import starts_as_text

    return starts_as_text(source.head(_HEAD_BYTES))


def derive(source: ByteSource) -> Signature:
    """One entry point, `predict`: one input for each named feature, or `data` where features have no names."""
    facts = _read(source)
    features = _in_order(facts, source)
    notes = [f"loss function {loss}"] if (loss := loss_function(facts)) else []
    if any(feature.kind == "categorical" for feature in features):
        notes.append("categories are hashed: which values there were, the model does not say")
    named = any(feature.name for feature in features)
    inputs = tuple(map(_column, features)) if named else (_matrix(features),)
    return Signature(
        entry_points=(
            EntryPoint(name=ENTRY_POINT, overloads=(Overload(inputs=inputs, outputs=(_score(facts, loss),)),)),
        ),
        default_entry_point=ENTRY_POINT,
        provenance=Provenance(format=name, producer=producer(facts), learned=Learned.DERIVED, notes=tuple(notes)),
    )


def declared(source: ByteSource) -> bytes | None:
    """The document behind the model, or else the one in its metadata."""
    if not _is_binary(source):
        from trimtab.artifacts.formats.catboost.text import read_entry as read_text_entry

        return read_text_entry(source, ENTRY, MAX_DOCUMENT_BYTES)
    document = read_appended(source, FILE_NAME, limit=MAX_DOCUMENT_BYTES)
    return document if document is not None else read_binary_entry(source, ENTRY, MAX_DOCUMENT_BYTES)


def embed(path: str, document: bytes) -> None:
    """Write the document: behind a binary model, into the metadata of an exported one."""
    with LocalFile(path) as source:
        binary = _is_binary(source)
    if binary:
        append_document(path, FILE_NAME, document)
        return
    from trimtab.artifacts.formats.catboost.text import with_entry
    from trimtab.artifacts.formats.rewriting import rewrite

    with LocalFile(path) as source:
        (start, end), members = with_entry(source, ENTRY, document)
        size = source.size
    rewrite(path, ((0, start), members, (end, size)))


def _is_binary(source: ByteSource) -> bool:
    return source.head(len(MAGIC)) == MAGIC


def _read(source: ByteSource) -> Facts:
    if _is_binary(source):
        return read_binary(source)
    from trimtab.artifacts.formats.catboost.text import read_text

    return read_text(source)


def _in_order(facts: Facts, source: ByteSource) -> list[Feature]:
    """The features by position. ArtifactError where two have the same, or one has none."""
    features = sorted(facts.features, key=lambda feature: feature.position)
    positions = [feature.position for feature in features]
    if len(set(positions)) != len(positions) or (positions and positions[0] < 0):
        raise ArtifactError(
            where=f"{source.name}: features",
            expected="a position of its own for each",
            got=", ".join(map(str, positions[:20])),
        )
    return features


def _column(feature: Feature) -> Input:
    spelled = _name(feature)
    return Input(
        name=spelled,
        type=_type(feature),
        path=format_path(_DATA, (Key(spelled),)),
        nullable=feature.nullable,
        constraints=_constraints(feature),
        live=feature.live,
        doc=f"{feature.kind} feature",
    )


def _name(feature: Feature) -> str:
    """Its name, or its position where it has none, as CatBoost has it."""
    return feature.name or str(feature.position)


def _type(feature: Feature) -> Tensor:
    """CatBoost takes any numbers for numbers, and text or whole numbers for categories."""
    if feature.kind == "text":
        return Tensor(DType.STRING, (_ROWS,))
    return Tensor(None, (_ROWS, feature.width or None) if feature.kind == "embedding" else (_ROWS,))


def _constraints(feature: Feature) -> Constraints | None:
    """Fractions are no categories, and CatBoost refuses whatever else is of a floating-point dtype."""
    return Constraints(categorical=True) if feature.kind == "categorical" else None


def _matrix(features: list[Feature]) -> Input:
    """All features as the columns of one array, under the numbers that CatBoost gives them."""
    lives = {feature.live for feature in features}
    return Input(
        name=_DATA,
        type=Tensor(None, (_ROWS, features[-1].position + 1 if features else 0)),
        nullable=any(feature.nullable for feature in features),
        live=lives.pop() if len(lives) == 1 else Live.YES if Live.YES in lives else Live.UNKNOWN,
        features=tuple(
            Column(
                name=_name(feature),
                type=_type(feature),
                nullable=feature.nullable,
                constraints=_constraints(feature),
            )
            for feature in features
        ),
    )


def _score(facts: Facts, loss: str) -> Output:
    """What `CatBoost.predict` returns when it is not asked for more: the raw sum of the trees."""
    dimension = facts.dimension
    shape = None if dimension is None else (_ROWS, dimension) if dimension > 1 else (_ROWS,)
    classes = class_names(facts)
    shown = ", ".join(map(repr, classes[:_MAX_SHOWN_CLASSES])) + (", …" if len(classes) > _MAX_SHOWN_CLASSES else "")
    doc = "; ".join(filter(None, (loss, f"classes {shown}" if classes else "")))
    return Output(name="score", type=Tensor(DType.FLOAT64, shape), path="", doc=doc)
