"""Read the signature of a scikit-learn estimator in a skops file, and keep a signature document in its zip.

An estimator fitted on a data frame records the names of its columns; fitted on an array, their number. Which dtypes the
columns had it does not record. Of a pipeline the first step knows. The document is the entry `module_info.json`, which
skops passes over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.artifacts.formats.skops.dropped import dropped_columns
from trimtab.artifacts.formats.skops.nodes import SCHEMA, Node, read_schema
from trimtab.errors import ArtifactError, RefusedArtifactError
from trimtab.signature.document import FILE_NAME, MAX_DOCUMENT_BYTES
from trimtab.signature.dtypes import DType
from trimtab.signature.model import EntryPoint, Input, Learned, Live, Output, Overload, Provenance, Signature
from trimtab.signature.path import Key, format_path
from trimtab.signature.types import Tensor
from trimtab.source.zip import LOCAL_MAGIC, ZipDirectory

if TYPE_CHECKING:
    from trimtab.source.bytes import ByteSource

name = "skops"

_X = "X"
_ROWS = "rows"
_MAX_NESTING = 32
_HEAD_BYTES = 4096


def match(source: ByteSource) -> bool:
    """Whether this is a zip whose top-level `schema.json` describes an object in skops' way."""
    if source.head(4) != LOCAL_MAGIC:
        return False
    archive = ZipDirectory.open(source)
    if SCHEMA not in archive.entries:
        return False
    head = archive.read_prefix(SCHEMA, _HEAD_BYTES)
    return b'"__class__"' in head and b'"__module__"' in head


def derive(source: ByteSource) -> Signature:
    """The estimator's methods as entry points: `predict` (or `transform`), and `predict_proba` where it is known."""
    schema = read_schema(ZipDirectory.open(source))
    root = schema.root
    notes = [root.class_name]
    inputs = _inputs(root, source, notes)
    entry_points = _entry_points(root, inputs)
    sklearn = root.attribute("_sklearn_version")
    version = sklearn.plain() if sklearn is not None else None
    if isinstance(version, str):
        notes.append(f"scikit-learn {version}")
    return Signature(
        entry_points=entry_points,
        default_entry_point=entry_points[0].name,
        provenance=Provenance(
            format=name, producer=f"skops {schema.version}".strip(), learned=Learned.DERIVED, notes=tuple(notes)
        ),
    )


def declared(source: ByteSource) -> bytes | None:
    """The entry `module_info.json`."""
    archive = ZipDirectory.open(source)
    return archive.read(FILE_NAME, limit=MAX_DOCUMENT_BYTES) if FILE_NAME in archive.entries else None


def embed(path: str, document: bytes) -> None:
    """Append the document to the zip, in place of the one before."""
    from trimtab.source.append import append_entry

    append_entry(path, FILE_NAME, document)


def _inputs(root: Node, source: ByteSource, notes: list[str]) -> tuple[Input, ...]:
    estimator = _first(root)
    if estimator is None:
        raise RefusedArtifactError(
            f"this skops file holds a {root.class_name}, which does not say what it takes",
            where=source.name,
            hint="Is it an estimator, and fitted? If so, its class records no inputs: embed a signature, "
            "trimtab embed FILE --signature S",
        )
    if estimator.class_name in _TAKE_TEXT:
        return (Input(name=_X, type=Tensor(DType.STRING, (_ROWS,))),)
    count = _number(estimator, "n_features_in_")
    recorded = estimator.attribute("feature_names_in_")
    names = recorded.texts() if recorded is not None else None
    if names is not None and len(set(names)) < len(names):
        notes.append("columns share names, so that none can be asked for by its name")
        return (Input(name=_X, type=Tensor(None, (_ROWS, len(names)))),)
    if names is None:
        return (Input(name=_X, type=Tensor(None, (_ROWS, count))),)
    if count is not None and count != len(names):
        raise ArtifactError(
            "the estimator contradicts itself",
            where=f"{source.name}: feature_names_in_",
            expected=f"{count} names (n_features_in_)",
            got=str(len(names)),
        )
    dropped = dropped_columns(root)
    return tuple(
        Input(
            name=each,
            type=Tensor(None, (_ROWS,)),
            path=format_path(_X, (Key(each),)),
            live=Live.NO if index in dropped else Live.UNKNOWN,
        )
        for index, each in enumerate(names)
    )


_TAKE_TEXT = frozenset(
    f"sklearn.feature_extraction.text.{each}" for each in ("CountVectorizer", "TfidfVectorizer", "HashingVectorizer")
)
"""Estimators that take documents and record no features."""


def _first(node: Node | None, depth: int = 0) -> Node | None:
    """The estimator that the input reaches first, among those that record what they take."""
    if node is None or not node.is_object or depth > _MAX_NESTING:
        return None
    if node.attribute("n_features_in_") is not None or node.attribute("feature_names_in_") is not None:
        return node
    if node.class_name in _TAKE_TEXT:
        return node
    for key in ("steps", "transformer_list"):
        members = node.attribute(key)
        for member in members.items() if members is not None else ():
            pair = member.items()
            if len(pair) > 1 and pair[1].is_object:
                return _first(pair[1], depth + 1)  # what passes through comes before it
    for key in _WRAPPED:
        found = _first(node.attribute(key), depth + 1)
        if found is not None:
            return found
    members = node.attribute("estimators_")
    return next((_first(each, depth + 1) for each in members.items()), None) if members is not None else None


_WRAPPED = ("best_estimator_", "estimator_", "regressor_", "estimator")
"""Where estimators that wrap one, as searches and calibrations do, keep it."""


def _entry_points(root: Node, inputs: tuple[Input, ...]) -> tuple[EntryPoint, ...]:
    last = _last(root)
    classes = last.attribute("classes_")
    facts = classes.array() if classes is not None else None
    if facts is not None and len(facts.shape) == 1:
        label = Output(name="label", type=Tensor(facts.dtype, (_ROWS,)), path="")
        entry_points = [_entry_point("predict", inputs, label)]
        if last.class_name.rpartition(".")[2] in _PROBABILISTIC:
            shape = (_ROWS, facts.shape[0])
            probabilities = Output(name="probabilities", type=Tensor(None, shape), path="")
            entry_points.append(_entry_point("predict_proba", inputs, probabilities))
        return tuple(entry_points)
    if last.class_name.startswith(_TRANSFORMERS):
        return (_entry_point("transform", inputs, Output(name="transformed", type=Tensor(), path="")),)
    return (_entry_point("predict", inputs, Output(name="prediction", type=Tensor(), path="")),)


def _entry_point(method: str, inputs: tuple[Input, ...], output: Output) -> EntryPoint:
    return EntryPoint(name=method, overloads=(Overload(inputs=inputs, outputs=(output,)),))


def _last(node: Node, depth: int = 0) -> Node:
    """The estimator whose answer is the answer."""
    if depth > _MAX_NESTING or node.attribute("classes_") is not None or node.class_name.startswith(_TRANSFORMERS):
        return node
    steps = node.attribute("steps")
    for step in reversed(steps.items() if steps is not None else []):
        pair = step.items()
        if len(pair) > 1 and pair[1].is_object:
            return _last(pair[1], depth + 1)
    for key in _WRAPPED:
        wrapped = node.attribute(key)
        if wrapped is not None and wrapped.is_object:
            return _last(wrapped, depth + 1)
    return node


_TRANSFORMERS = (
    "sklearn.compose._column_transformer.",
    "sklearn.decomposition.",
    "sklearn.feature_extraction.",
    "sklearn.feature_selection.",
    "sklearn.impute.",
    "sklearn.kernel_approximation.",
    "sklearn.pipeline.FeatureUnion",
    "sklearn.preprocessing.",
    "sklearn.random_projection.",
)
"""Estimators, by the beginnings of their names, that transform and do not predict."""

_PROBABILISTIC = frozenset(
    {
        "AdaBoostClassifier",
        "BaggingClassifier",
        "BernoulliNB",
        "CalibratedClassifierCV",
        "CategoricalNB",
        "ComplementNB",
        "DecisionTreeClassifier",
        "ExtraTreeClassifier",
        "ExtraTreesClassifier",
        "GaussianNB",
        "GaussianProcessClassifier",
        "GradientBoostingClassifier",
        "HistGradientBoostingClassifier",
        "KNeighborsClassifier",
        "LabelPropagation",
        "LabelSpreading",
        "LinearDiscriminantAnalysis",
        "LogisticRegression",
        "LogisticRegressionCV",
        "MLPClassifier",
        "MultinomialNB",
        "QuadraticDiscriminantAnalysis",
        "RadiusNeighborsClassifier",
        "RandomForestClassifier",
    }
)
"""Classifiers that have `predict_proba` whatever their parameters are."""


def _number(node: Node, key: str) -> int | None:
    attribute = node.attribute(key)
    value = attribute.plain() if attribute is not None else None
    return value if type(value) is int and 0 <= value < 1 << 31 else None
