"""MLflow's schemas, JSON in the description, as inputs and outputs.

Source: mlflow/types/schema.py (`Schema`, `ColSpec`, `TensorSpec`, `ParamSpec`). A column of plain values is a tensor of
its rows. A column of arrays or maps is described by one row's value, for rows may differ in length. The properties of
an object are inputs of their own, at paths into the column; an object inside of an array or a map has no such place
and stays opaque, under its JSON. Parameters of the call are inputs with defaults.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from trimtab.artifacts.formats.python_json import parse_json
from trimtab.artifacts.limits import MAX_VALUES, check_count
from trimtab.errors import ArtifactError
from trimtab.signature.dtypes import DType, dtype_of
from trimtab.signature.model import Input, Output, Presence
from trimtab.signature.naming import Leaf, input_names, output_names
from trimtab.signature.path import Key, Step
from trimtab.signature.types import Literal, Mapping, Opaque, Scalar, Sequence, Tensor, Type

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.signature.types import Dim

DATA = "data"
"""What `predict` calls a table or tensor that has no name itself."""
PARAMS = "params"
ROWS = "rows"

ANY, DATETIME, VECTOR, OBJECT = "any", "datetime", "sparkml-vector", "object"
MAX_DEPTH = 50


class _Value(NamedTuple):
    """One leaf of a schema: its place, its type, and whether it must be there."""

    leaf: Leaf
    type: Type
    required: bool
    default: Literal | None = None


def read_inputs(inputs: str | None, params: str | None, where: str) -> tuple[Input, ...]:
    """The inputs that two schemas in JSON declare: the data's, then the call's parameters."""
    values = [*_values(inputs, f"{where}: inputs", root=DATA), *_parameters(params, f"{where}: params")]
    check_count(len(values), MAX_VALUES, "inputs", where)
    names = input_names([value.leaf for value in values])
    return tuple(
        Input(
            name=name,
            type=value.type,
            path=value.leaf.path if value.leaf.path != name else None,
            presence=Presence.DEFAULT
            if value.default is not None
            else Presence.REQUIRED
            if value.required
            else Presence.OPTIONAL,
            default=value.default,
        )
        for name, value in zip(names, values, strict=True)
    )


def read_outputs(outputs: str | None, where: str) -> tuple[Output, ...]:
    """The outputs that a schema in JSON declares."""
    values = list(_values(outputs, f"{where}: outputs", root=""))
    check_count(len(values), MAX_VALUES, "outputs", where)
    leaves = [Leaf("", (Key(it.leaf.root), *it.leaf.steps)) if it.leaf.root else it.leaf for it in values]
    return tuple(
        Output(name=name, type=value.type, path=None if value.leaf == Leaf(name) else leaf.path)
        for name, value, leaf in zip(output_names(leaves), values, leaves, strict=True)
    )


def _values(schema: str | None, where: str, *, root: str) -> Iterator[_Value]:
    """The leaves of a schema. root: what holds values without names."""
    specs = _specs(schema, where)
    if schema and not specs:
        raise ArtifactError(where=where, expected="at least one value", got="none")
    names = [_name(spec, where) for spec in specs]
    if len({name is None for name in names}) > 1:
        raise ArtifactError(where=where, expected="names for all values, or for none", got="names for some")
    seen: set[str] = set()
    for index, (spec, name) in enumerate(zip(specs, names, strict=True)):
        if name is not None and name in seen:
            raise ArtifactError(where=where, expected="each name once", got=f"{_shown(name)!r} twice")
        seen.add(name or "")
        place = f"{where}: {_shown(name) if name is not None else index}"
        unnamed = Leaf(root, (Key(index),) if len(specs) > 1 else ())
        yield from _column(spec, unnamed if name is None else Leaf(name), place)


def _column(spec: dict[str, Any], leaf: Leaf, where: str) -> Iterator[_Value]:
    kind = _kind(spec, where)
    if kind == "tensor":
        yield _Value(leaf, _tensor(spec, where), required=True)
        return
    # MLflow takes `required` to be true where it is left out of a plain column, and false of a nested one.
    required = spec.get("required", dtype_of("mlflow", kind) is not None or kind == DATETIME)
    yield from _properties(spec, leaf, bool(required) and not spec.get("optional"), where)


def _properties(
    spec: dict[str, Any], leaf: Leaf, required: bool, where: str, steps: tuple[Step, ...] = ()
) -> Iterator[_Value]:
    """The leaves of a column: itself, or the properties of an object, to any depth."""
    if len(steps) > MAX_DEPTH:
        raise ArtifactError(
            where=where[:200], expected=f"objects nested at most {MAX_DEPTH} deep", got="deeper nesting"
        )
    if _kind(spec, where) != OBJECT:
        yield _Value(Leaf(leaf.root, (*leaf.steps, *steps)), _column_type(spec, where), required)
        return
    for name, inner in _object(spec, where).items():
        inner_required = required and bool(inner.get("required", True))
        yield from _properties(inner, leaf, inner_required, f"{where}.{_shown(name)}", (*steps, Key(name)))


def _column_type(spec: dict[str, Any], where: str) -> Type:
    type_ = _row_type(spec, where)
    return Tensor(type_.dtype, (ROWS,)) if isinstance(type_, Scalar) else type_


def _row_type(spec: dict[str, Any], where: str, depth: int = 0) -> Type:
    """The type of a column's value in one row."""
    if depth > MAX_DEPTH:
        raise ArtifactError(where=where, expected=f"types nested at most {MAX_DEPTH} deep", got="deeper nesting")
    kind = _kind(spec, where)
    dtype = dtype_of("mlflow", kind)
    if dtype is not None:
        return Scalar(dtype)
    if kind == "array":
        return Sequence(_row_type(_inner(spec, "items", where), where, depth + 1))
    if kind == "map":
        return Mapping(DType.STRING, _row_type(_inner(spec, "values", where), where, depth + 1))
    if kind == OBJECT:
        _object(spec, where)
        return Opaque(json.dumps({"type": OBJECT, "properties": spec["properties"]}, ensure_ascii=False))
    if kind in (ANY, DATETIME, VECTOR):
        return Opaque(kind)
    raise ArtifactError(
        where=where,
        expected="a type of MLflow (boolean, integer, long, float, double, string, binary, datetime, array, object, "
        "map, any, tensor)",
        got=repr(kind[:80]),
    )


def _tensor(spec: dict[str, Any], where: str) -> Type:
    info = spec.get("tensor-spec")
    if not isinstance(info, dict) or not isinstance(info.get("dtype"), str) or not isinstance(info.get("shape"), list):
        raise ArtifactError(where=where, expected="a tensor-spec with dtype and shape", got=_shown(str(info)))
    shape = tuple(_size(size, where) for size in info["shape"])
    spelled = _text(info["dtype"], where)
    if spelled in _UNTYPED:
        return Tensor(None, shape)
    dtype = _numpy_dtype(spelled)
    if dtype is None:
        return Opaque(f"{spelled} {json.dumps([-1 if size is None else size for size in shape])}")
    return Tensor(dtype, shape)


_UNTYPED = ("object", "O", "|O")
"""NumPy's arrays of any Python objects."""

_NUMPY_ALIASES = {"str": DType.STRING, "str_": DType.STRING, "bytes": DType.BYTES, "bytes_": DType.BYTES,
    "float": DType.FLOAT64, "double": DType.FLOAT64, "single": DType.FLOAT32, "half": DType.FLOAT16,
    "int": DType.INT64, "long": DType.INT64, "intc": DType.INT32, "bool_": DType.BOOL, "U": DType.STRING,
    "<U0": DType.STRING, "S": DType.BYTES, "|S0": DType.BYTES}  # fmt: skip
_NUMPY_CODE = re.compile(r"[<>=|]?([biufc])(\d{1,2})")
_NUMPY_KINDS = {"b": "bool", "i": "int", "u": "uint", "f": "float", "c": "complex"}


def _numpy_dtype(spelled: str) -> DType | None:
    """The dtype that NumPy spells so, by its name or by its code (`<f4`)."""
    code = _NUMPY_CODE.fullmatch(spelled)
    if code:
        kind, size = _NUMPY_KINDS[code[1]], int(code[2]) * 8
        spelled = kind if kind == "bool" else f"{kind}{size}"
    return _NUMPY_ALIASES.get(spelled) or dtype_of("numpy", spelled)


def _size(size: object, where: str) -> Dim:
    if size is None or size == -1:
        return None
    if type(size) is not int or size < 0:
        raise ArtifactError(where=f"{where}: shape", expected="-1, or a size", got=_shown(repr(size)))
    return size


def _parameters(params: str | None, where: str) -> Iterator[_Value]:
    seen = set()
    for spec in _specs(params, where):
        name = _name(spec, where)
        if name is None or name in seen or "default" not in spec:
            raise ArtifactError(
                where=where, expected="parameters with names of their own and defaults", got=_shown(str(name))
            )
        seen.add(name)
        place = f"{where}: {_shown(name)}"
        kind = spec.get("type") or spec.get("dtype")
        type_ = _row_type({**spec, "type": kind}, place)
        shape = spec.get("shape")
        if shape is not None and shape != [-1]:
            raise ArtifactError(where=f"{place}: shape", expected="null, or [-1]", got=_shown(str(shape)))
        if shape is not None:
            type_ = Tensor(type_.dtype, (None,)) if isinstance(type_, Scalar) else Sequence(type_)
        yield _Value(Leaf(PARAMS, (Key(name),)), type_, required=False, default=_default(spec["default"], place))


def _default(value: Any, where: str) -> Literal:
    if isinstance(value, dict):
        return Literal(json.dumps(value, ensure_ascii=False), of="json")
    if isinstance(value, list):
        return Literal(tuple(_default(item, where) for item in value))
    if type(value) is int and not -(1 << 63) <= value < 1 << 64:
        raise ArtifactError(where=f"{where}: default", expected="a number of 64 bits", got=_shown(str(value)))
    return Literal.from_python(value)


def _specs(schema: str | None, where: str) -> list[dict[str, Any]]:
    if not schema:
        return []
    value = parse_json(schema, where)
    if not isinstance(value, list) or not all(isinstance(spec, dict) for spec in value):
        raise ArtifactError(where=where, expected="a JSON list of objects", got=_shown(schema))
    return value


def _name(spec: dict[str, Any], where: str) -> str | None:
    name = spec.get("name")
    return None if name is None else _text(name, where)


def _kind(spec: dict[str, Any], where: str) -> str:
    return _text(spec.get("type"), where)


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise ArtifactError(where=where, expected="a string", got=_shown(repr(value)))
    return value


def _inner(spec: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    inner = spec.get(key)
    if not isinstance(inner, dict):
        raise ArtifactError(where=where, expected=f"an object under {key!r}", got=_shown(repr(inner)))
    return inner


def _object(spec: dict[str, Any], where: str) -> dict[str, dict[str, Any]]:
    properties = _inner(spec, "properties", where)
    if not properties or not all(isinstance(inner, dict) for inner in properties.values()):
        raise ArtifactError(where=where, expected="properties with types", got=_shown(str(properties)))
    return properties


def _shown(text: str) -> str:
    return text[:80]
