"""Read the signature of a CoreML model without CoreML: a walk over the protobuf that skips everything but descriptions.

The fields of Model.proto of coremltools. The model's own description comes first and counts for pipelines as well; a
model of several functions (specification 9) has a description for each. A signature document lies in the user-defined
metadata under `module_info`.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from trimtab.artifacts.dimensions import BoundedDims
from trimtab.artifacts.formats.carried import KEYS, only_one
from trimtab.artifacts.formats.coreml.features import Features
from trimtab.artifacts.formats.coreml.message import Message
from trimtab.artifacts.limits import MAX_ENTRY_POINTS, MAX_VALUES, check_count
from trimtab.errors import ArtifactError
from trimtab.signature.document import MAX_DOCUMENT_BYTES
from trimtab.signature.model import EntryPoint, Learned, Overload, Provenance, Signature
from trimtab.source.bytes import LocalFile
from trimtab.source.wire import BYTES, VARINT, Wire

if TYPE_CHECKING:
    from trimtab.source.bytes import ByteSource

name = "coreml"

ENTRY_POINT = "main"

# Model
_SPECIFICATION, _DESCRIPTION, _UPDATABLE, _FIRST_KIND = 1, 2, 10, 200
# ModelDescription
_INPUT, _OUTPUT, _STATE, _FUNCTIONS, _DEFAULT_FUNCTION, _TRAINING_INPUT, _METADATA = 1, 10, 13, 20, 21, 50, 100
# FunctionDescription
_FUNCTION_NAME, _FUNCTION_INPUT, _FUNCTION_OUTPUT, _FUNCTION_STATE = 1, 2, 3, 6
# Metadata
_USER_DEFINED = 100
_FEATURE_NAME = 1
_VERSION_KEY = "com.github.apple.coremltools.version"
_MAX_TOP_FIELDS = 10_000


def match(source: ByteSource) -> bool:
    """Whether the fields are a specification's version, a description and one kind of model; ONNX has other ones."""
    wire = Wire(source, max_fields=_MAX_TOP_FIELDS)
    described = of_a_kind = False
    try:
        for field in wire.fields(0, source.size):
            if field.number == _DESCRIPTION and field.wire_type == BYTES:
                described = True
            elif field.number >= _FIRST_KIND and field.wire_type == BYTES:
                of_a_kind = True
            elif field.number not in (_SPECIFICATION, _UPDATABLE) or field.wire_type != VARINT:
                return False
    except ArtifactError:
        return described and (of_a_kind or _is_description(wire))
    return described and of_a_kind


def _is_description(wire: Wire) -> bool:
    """Whether what comes second is the description of a model, whose rest is damaged."""
    try:
        field = next(it for it in wire.fields(0, wire.source.size) if it.number == _DESCRIPTION)
        numbers = Message(wire, [(field.start, field.end)]).numbers()
    except (ArtifactError, StopIteration):
        return False
    return {_INPUT, _OUTPUT} <= set(numbers) <= _DESCRIPTION_FIELDS


_DESCRIPTION_FIELDS = {_INPUT, _OUTPUT, 11, 12, _STATE, _FUNCTIONS, _DEFAULT_FUNCTION, _TRAINING_INPUT, _METADATA}


def derive(source: ByteSource) -> Signature:
    """One entry point, `main`, or one for each function."""
    model = _model(source)
    description = model.message(_DESCRIPTION)
    notes = [f"specification version {model.number(_SPECIFICATION)}", *_kinds(model)]
    functions = list(description.messages(_FUNCTIONS))
    check_count(len(functions), MAX_ENTRY_POINTS, "functions", source.name)
    if functions:
        entry_points = tuple(
            _entry_point(each, each.text(_FUNCTION_NAME), (_FUNCTION_INPUT, _FUNCTION_OUTPUT, _FUNCTION_STATE), notes)
            for each in functions
        )
        default = description.text(_DEFAULT_FUNCTION) or entry_points[0].name
    else:
        entry_points = (_entry_point(description, ENTRY_POINT, (_INPUT, _OUTPUT, _STATE), notes),)
        default = ENTRY_POINT
    if training := [it.text(_FEATURE_NAME) for it in description.messages(_TRAINING_INPUT)]:
        notes.append(f"can be trained further, on {', '.join(map(repr, training[:20]))}")
    version = _user_defined(description, source).get(_VERSION_KEY)
    return Signature(
        entry_points=entry_points,
        default_entry_point=default,
        provenance=Provenance(
            format=name,
            producer=f"coremltools {version.decode(errors='replace')[:80]}" if version else "",
            learned=Learned.DERIVED,
            notes=tuple(dict.fromkeys(notes)),
        ),
    )


def declared(source: ByteSource) -> bytes | None:
    """The value of `module_info` in the user-defined metadata."""
    values = _user_defined(_model(source).message(_DESCRIPTION), source)
    return only_one([values[key] for key in KEYS if key in values], f"{source.name}: metadata")


def open_folder(path: str) -> ByteSource | None:
    """The model in a package, or None where the folder is no package."""
    inner = model_in(path)
    return None if inner is None else LocalFile(inner)


def embed(path: str, document: bytes) -> None:
    """Write the document into the user-defined metadata."""
    from trimtab.artifacts.formats.coreml.metadata import write_document

    inner = model_in(path) if os.path.isdir(path) else path
    if inner is None:
        raise ArtifactError(where=path, expected="a CoreML package", got="another folder")
    write_document(inner, document)


def model_in(folder: str) -> str | None:
    """The path of the model in a package, as its manifest has it; None where there is no manifest of a package.

    ArtifactError for a manifest that is damaged, or that names a file outside of the package.
    """
    manifest = os.path.join(folder, "Manifest.json")
    if not os.path.isfile(manifest):
        inner = os.path.join(folder, *_USUAL_PLACE)
        return inner if os.path.isfile(inner) else None
    with LocalFile(manifest) as source:
        data = source.head(_MAX_MANIFEST_BYTES)
    if b'"itemInfoEntries"' not in data:
        return None
    try:
        stated = msgspec.json.decode(data, type=_Manifest)
        relative = stated.entries[stated.root].path
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError) as failure:
        raise ArtifactError(where=manifest, expected="the manifest of a CoreML package", got=str(failure)) from None
    if os.path.isabs(relative) or {"..", ""} & set(relative.replace("\\", "/").split("/")) or "\0" in relative:
        raise ArtifactError(where=manifest, expected="a path inside of the package", got=repr(relative[:80]))
    return os.path.join(folder, "Data", relative)


class _Item(msgspec.Struct):
    path: str


class _Manifest(msgspec.Struct):
    entries: dict[str, _Item] = msgspec.field(name="itemInfoEntries")
    root: str = msgspec.field(name="rootModelIdentifier")


_MAX_MANIFEST_BYTES = 1 << 20
_USUAL_PLACE = ("Data", "com.apple.CoreML", "model.mlmodel")


def _model(source: ByteSource) -> Message:
    try:
        model = Message(Wire(source), [(0, source.size)])
    except ArtifactError as failure:
        raise _with_repair(failure, source) from None
    if _DESCRIPTION not in model:
        raise ArtifactError(where=source.name, expected="a CoreML model with a description", got="none")
    return model


def _with_repair(failure: ArtifactError, source: ByteSource) -> ArtifactError:
    """The error of a damaged model; of one that is whole but for an end, with the size that makes it whole again."""
    intact = 0
    with suppress(ArtifactError):
        for field in Wire(source).fields(0, source.size):
            intact = field.end if intact or field.number >= _FIRST_KIND else 0
    hint = f"Was it cut while a signature was embedded? Restore it: truncate -s {intact} {source.name}"
    return ArtifactError(
        failure.problem,
        where=failure.where,
        expected=failure.expected,
        got=failure.got,
        hint=failure.hint or (hint if intact else ""),
    )


def _entry_point(function: Message, called: str, fields: tuple[int, int, int], notes: list[str]) -> EntryPoint:
    inputs, outputs, states = fields
    where = function.wire.source.name
    dimensions = BoundedDims()
    features = Features(where, dimensions, notes)
    check_count(len(function.fields(inputs)) + len(function.fields(outputs)), MAX_VALUES, "features", where)
    if kept := [it.text(_FEATURE_NAME) for it in function.messages(states)]:
        notes.append(f"{called} keeps state between calls: {', '.join(map(repr, kept[:20]))}")
    overload = Overload(
        inputs=tuple(features.input(it) for it in function.messages(inputs)),
        outputs=tuple(features.output(it) for it in function.messages(outputs)),
        dimensions=dimensions.ranges,
    )
    return EntryPoint(name=called, overloads=(overload,))


def _user_defined(description: Message, source: ByteSource) -> dict[str, bytes]:
    """The map of metadata. The last entry of a key counts, as for every map in protobuf."""
    values: dict[str, bytes] = {}
    for entry in description.message(_METADATA).messages(_USER_DEFINED):
        key = entry.text(1)
        if key in (*KEYS, _VERSION_KEY):
            found = entry.fields(2)
            if found and found[-1].end - found[-1].start > MAX_DOCUMENT_BYTES:
                raise ArtifactError(
                    where=f"{source.name}: {key}",
                    expected=f"at most {MAX_DOCUMENT_BYTES} bytes",
                    got=str(found[-1].end - found[-1].start),
                )
            values[key] = entry.wire.content(found[-1], limit=MAX_DOCUMENT_BYTES) if found else b""
    return values


def _kinds(model: Message) -> list[str]:
    numbers = [number for number in model.numbers() if number >= _FIRST_KIND]
    return [f"a model of kind {_KINDS.get(number, number)}" for number in numbers]


_KINDS = {
    200: "pipelineClassifier",
    201: "pipelineRegressor",
    202: "pipeline",
    300: "glmRegressor",
    301: "supportVectorRegressor",
    302: "treeEnsembleRegressor",
    303: "neuralNetworkRegressor",
    304: "bayesianProbitRegressor",
    400: "glmClassifier",
    401: "supportVectorClassifier",
    402: "treeEnsembleClassifier",
    403: "neuralNetworkClassifier",
    404: "kNearestNeighborsClassifier",
    500: "neuralNetwork",
    501: "itemSimilarityRecommender",
    502: "mlProgram",
    555: "customModel",
    556: "linkedModel",
    560: "classConfidenceThresholding",
    600: "oneHotEncoder",
    601: "imputer",
    602: "featureVectorizer",
    603: "dictVectorizer",
    604: "scaler",
    606: "categoricalMapping",
    607: "normalizer",
    609: "arrayFeatureExtractor",
    610: "nonMaximumSuppression",
    900: "identity",
    2000: "textClassifier",
    2001: "wordTagger",
    2002: "visionFeaturePrint",
    2003: "soundAnalysisPreprocessing",
    2004: "gazetteer",
    2005: "wordEmbedding",
    2006: "audioFeaturePrint",
    3000: "serializedModel",
}
