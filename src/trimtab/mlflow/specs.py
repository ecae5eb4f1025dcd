"""Our inputs and outputs as the JSON of MLflow's schemas: the inverse of `trimtab.artifacts.formats.mlflow.schema`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from trimtab.artifacts.formats.mlflow.schema import ANY, DATA, DATETIME, OBJECT, PARAMS, ROWS, VECTOR
from trimtab.errors import SignatureError
from trimtab.signature.dtypes import DType, spelling
from trimtab.signature.model import Input, Output, Presence
from trimtab.signature.path import Key, parse_path
from trimtab.signature.types import Literal, Mapping, Opaque, Optional, Scalar, Sequence, Tensor, Type

if TYPE_CHECKING:
    from collections.abc import Sequence as AnySequence

    from trimtab.signature.path import Step

Spec = dict[str, Any]

_WIDER = {
    DType.INT8: "integer",
    DType.INT16: "integer",
    DType.UINT8: "integer",
    DType.UINT16: "integer",
    DType.UINT32: "long",
    DType.FLOAT16: "float",
    DType.BFLOAT16: "float",
}
"""MLflow's columns have few types; these hold every value of the narrower ones, as its own inference has it."""

_TENSOR_TEXT = re.compile(r"(datetime64\S*|timedelta64\S*|void\S*|\S+) (\[[-\d, ]*\])")


def schema_json(specs: AnySequence[Spec]) -> str | None:
    """The JSON of a schema, or None for an empty one, which MLflow refuses."""
    return json.dumps(list(specs)) if specs else None


def param_specs(inputs: AnySequence[Input]) -> tuple[list[Spec], list[Input]]:
    """The parameters of the call, and the inputs that are none."""
    params: list[Spec] = []
    data: list[Input] = []
    for value in inputs:
        spec = _param(value) if value.presence is Presence.DEFAULT else None
        if spec is None:
            data.append(value)
        else:
            params.append(spec)
    return params, data


def input_specs(inputs: AnySequence[Input]) -> list[Spec]:
    """Columns or tensors. SignatureError for what MLflow cannot express."""
    places = [_split(value) for value in inputs]
    if len(inputs) == 1:
        unnamed = inputs[0].name == DATA and places[0] == (DATA, ())
    else:
        unnamed = all(place == (DATA, (Key(index),)) for index, place in enumerate(places))
    values = [
        _Value(it.name, _in_table(place), it.type, it.presence is Presence.REQUIRED, f"input {it.name!r}")
        for it, place in zip(inputs, places, strict=True)
    ]
    return _specs(values, unnamed=unnamed)


def output_specs(outputs: AnySequence[Output]) -> list[Spec]:
    """Columns or tensors. SignatureError for what MLflow cannot express."""
    places = [_split(value) for value in outputs]
    unnamed = all(
        it.name == f"output_{index}" and place == ("", (Key(index),) if len(outputs) > 1 else ())
        for index, (it, place) in enumerate(zip(outputs, places, strict=True))
    )
    values = [
        _Value(it.name, _in_returned(place), it.type, required=True, where=f"output {it.name!r}")
        for it, place in zip(outputs, places, strict=True)
    ]
    return _specs(values, unnamed=unnamed)


class _Value(NamedTuple):
    """A value to declare. place: the column, and the properties below, where it is a property of an object."""

    name: str
    place: tuple[str, ...]
    type: Type
    required: bool
    where: str


def _specs(values: list[_Value], *, unnamed: bool) -> list[Spec]:
    if any(_is_tensor(value.type) for value in values):
        return [_named(value, _tensor_spec(value), unnamed=unnamed) for value in values]
    columns: dict[tuple[str, ...], Spec] = {}
    for index, value in enumerate(values):
        spec = {**_row_spec(_without_rows(value.type), value.where), "required": value.required}
        if len(value.place) < 2:
            columns[str(index), value.name] = _named(value, spec, unnamed=unnamed)
            continue
        holder = columns.setdefault(value.place[:1], {"name": value.place[0], **_EMPTY, "properties": {}})
        for key in value.place[1:-1]:
            holder = holder["properties"].setdefault(key, {**_EMPTY, "properties": {}})
        holder["properties"][value.place[-1]] = spec
    return [_finished(column) for column in columns.values()]


_EMPTY = {"type": OBJECT, "required": False}


def _named(value: _Value, spec: Spec, *, unnamed: bool) -> Spec:
    return spec if unnamed else {"name": value.name, **spec}


def _finished(column: Spec) -> Spec:
    """A column whose objects are required where something in them is."""
    if column["type"] == OBJECT:
        column["properties"] = {name: _finished(inner) for name, inner in column["properties"].items()}
        column["required"] = column.get("required") or any(it["required"] for it in column["properties"].values())
    return column


def _in_table(place: _Place) -> tuple[str, ...]:
    """Where an input lies in a row: a column, and the properties of the object that it is in."""
    root, steps = place
    keys = tuple(str(step.value) for step in steps if isinstance(step, Key))
    return keys if root == DATA and keys else (root, *keys)


def _in_returned(place: _Place) -> tuple[str, ...]:
    root, steps = place
    keys = tuple(step.value for step in steps if isinstance(step, Key) and isinstance(step.value, str))
    return keys if not root and len(keys) == len(steps) else (root,)


def _param(value: Input) -> Spec | None:
    """The parameter that an input is; None where its default is not known, or its type is none of a parameter."""
    type_, shape = value.type, None
    if isinstance(type_, Sequence):
        type_, shape = type_.element, [-1]
    elif isinstance(type_, Tensor) and type_.dtype is not None and type_.shape is not None and len(type_.shape) == 1:
        type_, shape = Scalar(type_.dtype), [-1]
    if not isinstance(type_, Scalar | Opaque) or value.default is None:
        return None
    root, steps = _split(value)
    last = steps[0] if root == PARAMS and len(steps) == 1 else None
    name = str(last.value) if isinstance(last, Key) else value.name
    return {"name": name, **_row_spec(type_, f"input {value.name!r}"), "default": _plain(value.default), "shape": shape}


def _plain(literal: Literal) -> Any:
    if isinstance(literal.value, tuple):
        return [_plain(item) for item in literal.value]
    return json.loads(str(literal.value)) if literal.of == "json" else literal.to_python()


def _is_tensor(type_: Type) -> bool:
    """Whether MLflow has to declare the value as a tensor: it is one, and no column."""
    if isinstance(type_, Opaque):
        return _TENSOR_TEXT.fullmatch(type_.name) is not None
    return isinstance(type_, Tensor) and type_.shape != (ROWS,)


def _tensor_spec(value: _Value) -> Spec:
    type_ = value.type
    if not value.required:
        raise SignatureError(
            where=value.where,
            expected="a required input",
            got="one that may be left out",
            hint="MLflow has no optional tensors. Leave the input out, or declare it required.",
        )
    text = _TENSOR_TEXT.fullmatch(type_.name) if isinstance(type_, Opaque) else None
    if text:
        return {"type": "tensor", "tensor-spec": {"dtype": text[1], "shape": json.loads(text[2])}}
    if not isinstance(type_, Tensor) or type_.shape is None:
        raise SignatureError(
            where=value.where,
            expected="a tensor of known rank",
            got=str(type_),
            hint="MLflow declares tensors with all their dimensions, and no mixture of tensors and columns.",
        )
    shape = [size if isinstance(size, int) else -1 for size in type_.shape]
    return {"type": "tensor", "tensor-spec": {"dtype": _numpy(type_.dtype, value.where), "shape": shape}}


def _numpy(dtype: DType | None, where: str) -> str:
    texts = {None: "object", DType.STRING: "str", DType.BYTES: "bytes"}
    spelled = texts.get(dtype) or (spelling(dtype, "numpy") if dtype is not None else None)
    if not isinstance(spelled, str):
        raise SignatureError(where=where, expected="a dtype of NumPy", got=str(dtype))
    return spelled


def _without_rows(type_: Type) -> Type:
    if isinstance(type_, Tensor) and type_.shape == (ROWS,):
        return Scalar(type_.dtype) if type_.dtype is not None else Opaque(ANY)
    return type_


def _row_spec(type_: Type, where: str) -> Spec:
    """The type of a column's value in one row."""
    match type_:
        case Scalar():
            spelled = spelling(type_.dtype, "mlflow") or _WIDER.get(type_.dtype)
            if spelled is not None:
                return {"type": spelled}
        case Sequence():
            return {"type": "array", "items": _row_spec(type_.element, where)}
        case Mapping(key=DType.STRING):
            return {"type": "map", "values": _row_spec(type_.value, where)}
        case Optional():
            return _row_spec(type_.element, where)
        case Opaque() if type_.name in (ANY, DATETIME, VECTOR):
            return {"type": type_.name}
        case Opaque() if type_.name.startswith("{"):
            spec = json.loads(type_.name)
            if isinstance(spec, dict):
                return spec
    raise SignatureError(
        where=where,
        expected="a value that MLflow has a column type for",
        got=str(type_)[:200],
        hint="Columns are numbers of up to 64 bits, text, bytes, dates, and arrays, maps and objects of them.",
    )


_Place: TypeAlias = "tuple[str, tuple[Step, ...]]"


def _split(value: Input | Output) -> _Place:
    """The root of a value's path and the keys below. A column may be called as no root of a path can be.

    The name of an input may be its path; that of an output never is.
    """
    path = value.name if value.path is None else value.path
    keys = _KEYS.search(path) if isinstance(value, Input) or value.path is not None else None
    if keys is None:
        return path, ()
    try:
        return path[: keys.start()], parse_path(keys.group())[1]
    except SignatureError:
        return path, ()


_KEYS = re.compile(r"""(?:\["(?:[^"\\]|\\.)*"\]|\[\d{1,9}\])+\Z""", re.DOTALL)
