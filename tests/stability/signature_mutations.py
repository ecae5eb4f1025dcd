"""Every way to change one field of a signature.

The fields are those that the value objects have: what may stand in each is a table, and a field that is in no table
stops the walk, so that a new one cannot be forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct
from msgspec.structs import fields, replace

from trimtab.signature.dtypes import DType
from trimtab.signature.model import (
    Constraints,
    EntryPoint,
    Feature,
    Input,
    Learned,
    Live,
    Output,
    Overload,
    Presence,
    Provenance,
    Quantization,
    Range,
    Signature,
)
from trimtab.signature.types import Literal, Mapping, Opaque, Optional, Ragged, Scalar, Sequence, Sparse, Tensor

Mutation = tuple[str, Signature]

NEW = "\0new"


def mutations(signature: Signature) -> Iterator[Mutation]:
    """The signature with one field of the contract changed, each named after the field."""
    yield from _walk(signature, CONTRACT)
    for other in signature.entry_points:
        if other.name != signature.default_entry_point:
            yield "Signature.default_entry_point", _with(signature, "default_entry_point", other.name)


def mutations_beside_the_contract(signature: Signature) -> Iterator[Mutation]:
    """The signature with one field changed that is no part of the contract."""
    yield from _walk(signature, BESIDE)


def known_fields() -> set[tuple[type, str]]:
    """Every field of every value object that a signature is made of."""
    return {(kind, field.name) for kind in KINDS for field in fields(kind)}


def _walk(value: Any, table: dict[tuple[type, str], Callable[[Any], list[Any]]]) -> Iterator[tuple[str, Any]]:
    kind = type(value)
    for field in fields(kind):
        key, current = (kind, field.name), getattr(value, field.name)
        if key not in CONTRACT and key not in BESIDE:
            raise AssertionError(f"no table says how {kind.__name__}.{field.name} may change")
        for other in table.get(key, lambda _: [])(current):
            yield f"{kind.__name__}.{field.name}", _with(value, field.name, other)
        for what, changed in _inside(current, table):
            yield what, _with(value, field.name, changed)


def _inside(current: Any, table: dict[tuple[type, str], Callable[[Any], list[Any]]]) -> Iterator[tuple[str, Any]]:
    if isinstance(current, Struct):
        yield from _walk(current, table)
    elif isinstance(current, tuple):
        for at, part in enumerate(current):
            if isinstance(part, Struct):
                for what, changed in _walk(part, table):
                    yield what, (*current[:at], changed, *current[at + 1 :])
    elif isinstance(current, dict):
        for name, part in current.items():
            if isinstance(part, Struct):
                for what, changed in _walk(part, table):
                    yield what, {**current, name: changed}


def _with(value: Any, name: str, changed: Any) -> Any:
    """The value with one field changed; the default entry point of a signature is followed where it is renamed."""
    if not isinstance(value, Signature):
        return replace(value, **{name: changed})
    parts = {"entry_points": value.entry_points, "default_entry_point": value.default_entry_point, name: changed}
    names = [each.name for each in parts["entry_points"]]
    if parts["default_entry_point"] not in names:
        parts["default_entry_point"] = names[
            [each.name for each in value.entry_points].index(value.default_entry_point)
        ]
    return Signature(provenance=parts.pop("provenance", value.provenance), **parts)


def _name(current: str) -> list[str]:
    return [current + "\0x"]


def _path(current: str | None) -> list[str | None]:
    return [(current or "") + "\0x"] + ([None] if current else [])


def _id(current: str | None) -> list[str | None]:
    return [(current or "") + "x"] + ([None] if current else [])


def _aliases(current: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [(*current, "\0alias")] + ([current[1:]] if current else [])


def _presence(current: Presence) -> list[Presence]:
    return [each for each in Presence if each is not current]


def _default(current: Literal | None) -> list[Literal | None]:
    return [Literal("\0")] + ([None] if current is not None else [])


def _constraints(current: Constraints | None) -> list[Constraints | None]:
    return [Constraints(range=Range(minimum=0))] if current is None else []


def _quantization(current: Quantization | None) -> list[Quantization | None]:
    return [Quantization(scale=0.25)] if current is None else [None]


def _zero_point(current: int) -> list[int]:
    return [current + 1]


def _flag(current: bool) -> list[bool]:
    return [not current]


def _range(current: Range | None) -> list[Range | None]:
    return [Range(minimum=-7)] if current is None else [None] if current != Range() else []


def _limit(current: float | None) -> list[Any]:
    return [5] if current is None else [current + 1, current - 1]


def _categories(current: tuple[Any, ...] | None) -> list[Any]:
    if current is None:
        return [(NEW,)]
    turned = [tuple(reversed(current))] if len(current) > 1 else []
    return [(*current, NEW), None, *([current[1:]] if current else []), *turned]


def _less_or_more(current: tuple[Any, ...], new: Any) -> list[Any]:
    more = [] if any(each.name == new.name for each in current) else [(*current, new)]
    return more + [current[:at] + current[at + 1 :] for at in range(len(current))]


def _entry_points(current: tuple[EntryPoint, ...]) -> list[Any]:
    new = EntryPoint(name=f"{NEW}{len(current)}", overloads=(Overload(),))
    return [(*current, new), *([current[1:]] if len(current) > 1 else [])]


def _overloads(current: tuple[Overload, ...]) -> list[Any]:
    new = Overload(inputs=(Input(name=f"{NEW}{len(current)}", type=Tensor()),))
    return [(*current, new), (new, *current), *([current[1:], current[::-1]] if len(current) > 1 else [])]


def _features(current: tuple[Feature, ...]) -> list[Any]:
    optional = Feature(name=NEW, type=Tensor(), presence=Presence.OPTIONAL)
    turned = [current[::-1]] if len(current) > 1 else []
    return [
        *_less_or_more(current, Feature(name=NEW, type=Tensor())),
        *([(optional, *current)] if optional.name not in {each.name for each in current} else []),
        *turned,
    ]


def _inputs(current: tuple[Input, ...]) -> list[Any]:
    optional = Input(name=f"{NEW} optional", type=Tensor(), presence=Presence.OPTIONAL)
    return [*_less_or_more(current, Input(name=NEW, type=Tensor())), *_less_or_more(current, optional)[:1]]


def _dtype(current: DType | None) -> list[DType | None]:
    return [DType.INT8 if current is not DType.INT8 else DType.INT16]


def _open_dtype(current: DType | None) -> list[DType | None]:
    return [*_dtype(current), *([None] if current is not None else [])]


def _shape(current: tuple[Any, ...] | None) -> list[Any]:
    if current is None:
        return [()]
    sizes = [
        (*current[:at], other, *current[at + 1 :])
        for at, dim in enumerate(current)
        for other in (5 if dim != 5 else 6, None if dim is not None else "another")
    ]
    return [None, (*current, 7), *sizes]


def _type(current: Any) -> list[Any]:
    other = Opaque("another") if not isinstance(current, Opaque) else Scalar(DType.BOOL)
    return [other, current.element if isinstance(current, Optional) else Optional(current)]


def _other_names(current: str) -> list[str]:
    return [current + "x"]


def _rank(current: int) -> list[int]:
    return [current + 1]


def _constant(current: Any) -> list[Any]:
    return ["\0another", current is not True]


def _dimensions(current: dict[str, Range]) -> list[dict[str, Range]]:
    return [{name: each for name, each in current.items() if name != gone} for gone in current]


_VALUE: dict[str, Callable[[Any], list[Any]]] = {
    "name": _name,
    "type": _type,
    "presence": _presence,
    "default": _default,
    "nullable": _flag,
    "constraints": _constraints,
    "id": _id,
    "aliases": _aliases,
}
CONTRACT: dict[tuple[type, str], Callable[[Any], list[Any]]] = {
    (Signature, "entry_points"): _entry_points,
    (Signature, "default_entry_point"): lambda _: [],  # `mutations` knows which names there are
    (EntryPoint, "name"): _name,
    (EntryPoint, "overloads"): _overloads,
    (Overload, "inputs"): _inputs,
    (Overload, "outputs"): lambda current: _less_or_more(current, Output(name=NEW, type=Tensor())),
    (Overload, "dimensions"): _dimensions,
    **{(Input, name): others for name, others in _VALUE.items()},
    **{(Feature, name): others for name, others in _VALUE.items()},
    (Input, "path"): _path,
    (Input, "features"): _features,
    **{(kind, "quantization"): _quantization for kind in (Input, Output)},
    (Quantization, "scale"): lambda current: [0.5 if current != 0.5 else 0.125],
    (Quantization, "zero_point"): _zero_point,
    **{(Output, name): others for name, others in {"name": _name, "type": _type, "path": _path, "id": _id}.items()},
    (Constraints, "range"): _range,
    (Constraints, "categories"): _categories,
    (Constraints, "categorical"): _flag,
    (Range, "minimum"): _limit,
    (Range, "maximum"): _limit,
    **{(kind, "dtype"): _open_dtype for kind in (Tensor, Ragged, Sparse)},
    **{(kind, "shape"): _shape for kind in (Tensor, Ragged, Sparse)},
    (Ragged, "ragged_rank"): _rank,
    (Ragged, "row_splits"): lambda current: [DType.INT32 if current is DType.INT64 else DType.INT64],
    (Scalar, "dtype"): _dtype,
    (Literal, "value"): _constant,
    (Literal, "of"): _other_names,
    (Sequence, "element"): _type,
    (Mapping, "key"): _dtype,
    (Mapping, "value"): _type,
    (Optional, "element"): lambda _: [],  # what is inside of it is walked, and `_type` takes it away
    (Opaque, "name"): _other_names,
}
"""What may stand in a field of the contract in place of what stands there."""

BESIDE: dict[tuple[type, str], Callable[[Any], list[Any]]] = {
    (Signature, "provenance"): lambda _: [],  # its parts are walked
    (Provenance, "format"): _other_names,
    (Provenance, "producer"): _other_names,
    (Provenance, "learned"): lambda current: [each for each in Learned if each is not current],
    (Provenance, "notes"): lambda current: [(*current, "another")],
    (Overload, "name"): _other_names,
    (Input, "live"): lambda current: [each for each in Live if each is not current],
    (Input, "doc"): _other_names,
    (Input, "learned"): lambda _: [{"type": Learned.EXAMPLE}, {"constraints": Learned.EXAMPLE}],
    (Output, "doc"): _other_names,
    (Output, "learned"): lambda _: [{"type": Learned.EXAMPLE}],
}
"""The same for what is no part of the contract."""

KINDS: tuple[type[Struct], ...] = (
    *(Signature, Provenance, EntryPoint, Overload, Input, Feature, Output, Constraints, Range),
    Quantization,
    *(Tensor, Ragged, Sparse, Scalar, Literal, Sequence, Mapping, Optional, Opaque),
)
