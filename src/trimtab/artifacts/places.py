"""Arguments that a graph tells apart by their places alone, and the names that a document gives them.

Some formats lose the names of positional arguments: an ExecuTorch program takes `args[0]`, `args[1]`, and a package of
compiled code may tell its tensors alone, `tensors[0]`, `tensors[1]`. Whoever exported it knows what they are called,
and a document may say so: its names for them count in the order of the places.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from msgspec.structs import replace

from trimtab.artifacts.path_index import split_path
from trimtab.signature.path import Key, format_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trimtab.signature.model import Input, Overload

_Place: TypeAlias = tuple[str, int]

_NAMELESS = ("args", "tensors")


def is_nameless(value: Input) -> bool:
    """Whether a reader made up the input's name for an argument that has only a place."""
    return value.name.startswith("input_") and value.path is not None and _place(value.path) is not None


def with_named_places(derived: Overload, paths: Iterable[str]) -> Overload:
    """The derived overload with its places called as in a document, whose inputs have these paths.

    As it is, where the document does not have as many names of its own as there are places.
    """
    places = list(dict.fromkeys(at for each in derived.inputs if (at := _place(each.call_path)) is not None))
    if not places:
        return derived
    roots = dict.fromkeys(split_path(each.call_path)[0] for each in derived.inputs)
    names = [root for root in dict.fromkeys(split_path(path)[0] for path in paths) if root not in roots]
    if len(names) != len(places):
        return derived
    named = dict(zip(places, names, strict=True))
    return replace(derived, inputs=tuple(_moved(each, named) for each in derived.inputs))


def _place(path: str) -> _Place | None:
    """The place of the argument that a path begins with, where it has no name."""
    if not path.startswith(_NAMELESS):
        return None
    root, steps = split_path(path)
    first = steps[0] if steps else None
    return (
        (root, first.value) if root in _NAMELESS and isinstance(first, Key) and isinstance(first.value, int) else None
    )


def _moved(value: Input, named: dict[_Place, str]) -> Input:
    place = _place(value.call_path)
    if place is None:
        return value
    return replace(value, path=format_path(named[place], split_path(value.call_path)[1][1:]))
