"""Pieces of a Keras configuration: structures of values and of shapes, dtypes, and checked access to JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from trimtab.errors import ArtifactError
from trimtab.signature.dtypes import dtype_of
from trimtab.signature.path import Key, Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.signature.dtypes import DType
    from trimtab.signature.types import Shape

MAX_DEPTH = 100


class Leaf(NamedTuple):
    """A value in a structure of values: where it is, and which output of which call of which layer it is."""

    steps: tuple[Step, ...]
    layer: str
    call: int
    output: int


def value_leaves(structure: Any, where: str, steps: tuple[Step, ...] = ()) -> Iterator[Leaf]:
    """The values in a structure of lists and maps."""
    _check_depth(steps, where)
    match structure:
        case [str(layer), int(call), int(output)]:
            yield Leaf(steps, layer, call, output)
        case list():
            for index, item in enumerate(structure):
                yield from value_leaves(item, where, (*steps, Key(index)))
        case dict():
            for key, item in structure.items():
                yield from value_leaves(item, where, (*steps, Key(key)))
        case _:
            raise ArtifactError(where=where, expected="lists and maps of [layer, call, output]", got=_shown(structure))


def shape_leaves(structure: Any, where: str, steps: tuple[Step, ...] = ()) -> Iterator[tuple[tuple[Step, ...], Shape]]:
    """The shapes in a structure of lists and maps, each with the steps to it. Null is no shape."""
    _check_depth(steps, where)
    if isinstance(structure, dict):
        for key, item in structure.items():
            yield from shape_leaves(item, where, (*steps, Key(key)))
    elif isinstance(structure, list) and any(isinstance(item, list | dict) for item in structure):
        for index, item in enumerate(structure):
            yield from shape_leaves(item, where, (*steps, Key(index)))
    elif (shape := as_shape(structure, where)) is not None:
        yield steps, shape


def last_key(steps: tuple[Step, ...]) -> str:
    """The key of a map at the end of a path; empty where it ends in a position."""
    last = steps[-1] if steps else None
    return last.value if isinstance(last, Key) and isinstance(last.value, str) else ""


def as_dtype(value: Any, where: str) -> DType | None:
    """A dtype by its name; None where there is none, or a policy for layers in its place."""
    if value is None or isinstance(value, dict):
        return None
    spelled = as_text(value, where)
    dtype = dtype_of("tensorflow", spelled)  # whose names Keras uses
    if dtype is None:
        raise ArtifactError(where=f"{where}: dtype", expected="a dtype of Keras", got=_shown(spelled))
    return dtype


def as_shape(value: Any, where: str) -> Shape | None:
    """A shape with the batch as its first size; None where there is none."""
    if value is None:
        return None
    if not isinstance(value, list) or not all(size is None or (type(size) is int and size >= 0) for size in value):
        raise ArtifactError(where=f"{where}: shape", expected="a list of sizes and nulls", got=_shown(value))
    return tuple(value)


def as_mapping(value: Any, where: str) -> dict[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise ArtifactError(where=where, expected="a JSON object", got=_shown(value))
    return value


def as_list(value: Any, where: str) -> list[Any]:
    """A JSON list."""
    if not isinstance(value, list):
        raise ArtifactError(where=where, expected="a list", got=_shown(value))
    return value


def as_text(value: Any, where: str) -> str:
    """A JSON string."""
    if not isinstance(value, str):
        raise ArtifactError(where=where, expected="a string", got=_shown(value))
    return value


def _check_depth(steps: tuple[Step, ...], where: str) -> None:
    if len(steps) > MAX_DEPTH:
        raise ArtifactError(where=where, expected=f"a structure at most {MAX_DEPTH} deep", got="a deeper one")


def _shown(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", type(None): "nothing"}
    return kinds.get(type(value)) or (repr(value[:80]) if isinstance(value, str) else repr(value)[:80])
