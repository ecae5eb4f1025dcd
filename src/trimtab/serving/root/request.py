"""A score request as a value: which models, which candidates, which features come with the request.

The gRPC and the HTTP face both end here, so that they refuse the same requests with the same words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.message import DecodeError

from trimtab.errors import ConversionError
from trimtab.protocols import score
from trimtab.signature.dtypes import DType, dtype_of, spelling

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_DEADLINE_MS = (1 << 32) - 1
"""What the uint32 of ScoreRequest holds: 49 days."""
_LARGEST_SIZE = (1 << 63) - 1

_HINT = "See score.proto of trimtab.protocols for the fields."


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model, and the version asked for; empty means that the leaf chooses."""

    name: str
    version: str = ""

    def __str__(self) -> str:
        return f"{self.name}:{self.version}" if self.version else self.name


@dataclass(frozen=True, slots=True)
class InlineFeature:
    """A feature of the request as a whole, given with it. `raw` holds one row of `shape` as the protocol writes it."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    raw: bytes


@dataclass(frozen=True, slots=True)
class ScoreCall:
    """Score `candidates` with `models`. deadline_ms 0 means the server's own."""

    models: tuple[ModelRef, ...]
    candidates: tuple[str, ...]
    entities: Mapping[str, str] = field(default_factory=dict)
    features: tuple[InlineFeature, ...] = ()
    deadline_ms: int = 0
    id: str = ""

    def __post_init__(self) -> None:
        """Raise ConversionError for a request that names no model or no candidate, or one feature twice."""
        if not self.models or not all(model.name for model in self.models):
            raise ConversionError(where="models", expected="the name of at least one model", got="none", hint=_HINT)
        if not self.candidates:
            raise ConversionError(where="candidates", expected="at least one key", got="none", hint=_HINT)
        names = [feature.name for feature in self.features]
        if len(set(names)) != len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ConversionError(where="features", expected="each name once", got=", ".join(map(repr, twice)))


def decode_call(payload: bytes) -> ScoreCall:
    """The call in a serialized ScoreRequest. Raises ConversionError."""
    try:
        message = score.ScoreRequest.FromString(payload)
    except DecodeError as problem:
        raise ConversionError(
            "not a trimtab.score.v1.ScoreRequest", got=f"{len(payload)} bytes ({problem})", hint=_HINT
        ) from problem
    return ScoreCall(
        models=tuple(ModelRef(model.name, model.version) for model in message.models),
        candidates=tuple(message.candidates),
        entities=dict(message.entities),
        features=tuple(
            _inline(value.name, value.datatype, tuple(value.shape), value.raw) for value in message.features
        ),
        deadline_ms=message.deadline_ms,
        id=message.id,
    )


def call_from_json(document: object) -> ScoreCall:
    """The call in a JSON object with the fields of ScoreRequest. Raises ConversionError.

    A model is `"ctr"`, `"ctr:7"` or `{"name": "ctr", "version": "7"}`; features map a name to
    `{"datatype": "FP32", "shape": [1, 2], "data": [0.5, 1]}`, with the data flat or nested.
    """
    if not isinstance(document, dict):
        raise ConversionError(expected="a JSON object with models and candidates", got=type(document).__name__)
    unknown = document.keys() - {"id", "models", "candidates", "entities", "features", "deadline_ms"}
    if unknown:
        raise ConversionError(
            where=", ".join(sorted(map(str, unknown))),
            expected="the fields id, models, candidates, entities, features, deadline_ms",
            got="an unknown one",
        )
    entities = _field(document, "entities", dict)
    features = _field(document, "features", dict)
    deadline = _field(document, "deadline_ms", int)
    if not 0 <= deadline <= _LONGEST_DEADLINE_MS:
        raise ConversionError(
            where="deadline_ms",
            expected=f"milliseconds up to {_LONGEST_DEADLINE_MS}, 0 for the default",
            got=repr(deadline) if abs(deadline) < 1 << 64 else "a larger number",
        )
    return ScoreCall(
        models=tuple(map(_model_from_json, _field(document, "models", list))),
        candidates=tuple(_text(key, "candidates") for key in _field(document, "candidates", list)),
        entities={_text(view, "entities"): _text(key, f"entities.{view}") for view, key in entities.items()},
        features=tuple(_inline_from_json(name, value) for name, value in features.items()),
        deadline_ms=deadline,
        id=_field(document, "id", str),
    )


def _inline(name: str, datatype: str, shape: tuple[int, ...], raw: bytes) -> InlineFeature:
    where = f'features, "{name}"'
    dtype = dtype_of("oip", datatype)
    if dtype is None:
        raise ConversionError(where=where, expected="a datatype such as FP32, INT64 or BYTES", got=repr(datatype))
    if not shape or shape[0] != 1 or min(shape) < 0:
        raise ConversionError(
            where=where,
            expected="a shape [1, ...]: one row for the request as a whole",
            got=str(list(shape)),
            hint="Features of single candidates come from the feature source, by the candidates' keys.",
        )
    elements = prod(shape)
    if dtype.itemsize is None:
        if not _holds_elements(raw, elements):
            raise ConversionError(
                where=where, expected=f"{elements} BYTES elements, each behind its length", got=f"{len(raw)} bytes"
            )
    elif len(raw) != elements * dtype.itemsize:
        raise ConversionError(
            where=where,
            expected=f"{elements * dtype.itemsize} bytes for {datatype} {list(shape)}",
            got=f"{len(raw)} bytes",
        )
    return InlineFeature(name, datatype, shape, raw)


def _holds_elements(raw: bytes, elements: int) -> bool:
    position = 0
    for _ in range(elements):
        if position + 4 > len(raw):
            return False
        position += 4 + int.from_bytes(raw[position : position + 4], "little")
    return position == len(raw)


def _inline_from_json(name: str, value: object) -> InlineFeature:
    where = f'features, "{name}"'
    if not isinstance(value, dict) or not {"datatype", "data"} <= value.keys():
        raise ConversionError(where=where, expected='{"datatype": …, "shape": …, "data": …}', got=repr(value)[:80])
    data, datatype = value["data"], value["datatype"]
    dtype = dtype_of("oip", datatype) if isinstance(datatype, str) else None
    numpy_name = None if dtype in (None, DType.STRING, DType.BFLOAT16) else spelling(dtype, "numpy")
    try:
        if dtype is DType.STRING:
            array = np.asarray(data, dtype=object)
            raw = b"".join(len(text).to_bytes(4, "little") + text for text in map(_utf8, array.ravel()))
        elif numpy_name is not None:
            array = _exact(np.asarray(data), np.dtype(str(numpy_name)))
            raw = array.tobytes()
        else:
            raise ConversionError(
                where=where, expected="a datatype that JSON can carry, such as FP32, INT64 or BYTES", got=repr(datatype)
            )
        shape = _shape(value["shape"]) if "shape" in value else array.shape
    except (TypeError, ValueError, OverflowError) as problem:
        raise ConversionError(where=where, expected=f"data of {datatype}", got=str(problem)) from problem
    return _inline(name, str(datatype), shape, raw)


def _shape(value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(size) is int and size <= _LARGEST_SIZE for size in value):
        raise ValueError("a shape that is no list of whole numbers of 64 bits")
    return tuple(value)


def _exact(array: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """The numbers in another dtype. Raises ValueError where the kind of number, or an integer's value, would change."""
    kinds = {"b": "b", "i": "iu", "u": "iu", "f": "iuf"}[dtype.kind]
    if array.size and array.dtype.kind not in kinds:
        raise ValueError(f"{array.dtype} that does not fit {dtype}")
    with np.errstate(over="ignore"):  # told below
        converted = array.astype(dtype)
    same = np.isfinite(converted).all() if dtype.kind == "f" else np.array_equal(converted, array)
    if not same:
        raise ValueError(f"a value that does not fit {dtype}")
    return converted


def _utf8(text: object) -> bytes:
    if not isinstance(text, str):
        raise TypeError(f"{type(text).__name__}, not text")
    return text.encode()


def _model_from_json(value: object) -> ModelRef:
    if isinstance(value, str):
        name, _, version = value.partition(":")
        return ModelRef(name, version)
    if isinstance(value, dict) and value.keys() <= {"name", "version"}:
        return ModelRef(_text(value.get("name"), "models.name"), _text(value.get("version", ""), "models.version"))
    raise ConversionError(where="models", expected='"ctr", "ctr:7" or {"name": …, "version": …}', got=repr(value)[:80])


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise ConversionError(where=where, expected="text", got=repr(value)[:80])
    return value


def _field(document: dict[str, Any], name: str, kind: type[Any]) -> Any:
    value = document.get(name, kind())
    if not isinstance(value, kind) or isinstance(value, bool):
        names = {dict: "an object", list: "an array", int: "a whole number", str: "text"}
        raise ConversionError(where=name, expected=names[kind], got=repr(value)[:80])
    return value
