"""Which value of the new signature is the old one's: by stable id, then by name and place, by name, by alias.

A pair whose names differ is a rename. Entry points pair by name, and the default ones also when neither's name is found
on the other side; overloads pair by equal contracts, by name (TensorFlow numbers its traces, so that names move from
one to another), by the names that they take, and what is left in order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from msgspec import Struct

from trimtab.signature.canonical import overload_json

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from trimtab.signature.model import EntryPoint, Feature, Input, Output, Overload, Signature

T = TypeVar("T")


class Pair(Struct, Generic[T], frozen=True):
    """The old and the new of one thing; None where it is not there."""

    old: T | None
    new: T | None


def paired(old: Sequence[T], new: Sequence[T], *keys: Callable[[Any], Iterable[Hashable]]) -> list[Pair[T]]:
    """Pairs of what shares a key, the first kind of key first: the old ones in their order, then those that are new.

    keys: each gives the keys of a value; of several values with one key, the first is taken. Cost: linear.
    """
    partner: dict[int, int] = {}
    taken: set[int] = set()
    for keys_of in keys:
        free: dict[Hashable, list[int]] = {}
        for position in reversed(range(len(new))):
            if position not in taken:
                for key in keys_of(new[position]):
                    free.setdefault(key, []).append(position)  # the first one last, where it is cheap to take
        for position, value in enumerate(old):
            if position in partner:
                continue
            for key in keys_of(value):
                same = free.get(key, [])
                while same and same[-1] in taken:
                    same.pop()
                if same:
                    partner[position] = same.pop()
                    taken.add(partner[position])
                    break
    pairs = [Pair(value, new[partner[at]] if at in partner else None) for at, value in enumerate(old)]
    return pairs + [Pair(None, value) for at, value in enumerate(new) if at not in taken]


def paired_inputs(old: Sequence[Input], new: Sequence[Input]) -> list[Pair[Input]]:
    """Inputs of two overloads."""
    return paired(old, new, _id, lambda it: [(it.name, it.call_path)], _name, _names)


def paired_features(old: Sequence[Feature], new: Sequence[Feature]) -> list[Pair[Feature]]:
    """Features of two inputs."""
    return paired(old, new, _id, _name, _names)


def paired_outputs(old: Sequence[Output], new: Sequence[Output]) -> list[Pair[Output]]:
    """Outputs of two overloads."""
    return paired(old, new, _id, lambda it: [(it.name, it.return_path)], _name)


def paired_entry_points(old: Signature, new: Signature) -> list[Pair[EntryPoint]]:
    """Entry points of two signatures."""
    names = {each.name for each in old.entry_points} & {each.name for each in new.entry_points}

    defaults = {id(side.entry_point()) for side in (old, new)}

    def default(it: EntryPoint) -> list[Hashable]:
        return ["default"] if id(it) in defaults and it.name not in names else []

    return paired(old.entry_points, new.entry_points, _name, default)


def paired_overloads(old: Sequence[Overload], new: Sequence[Overload]) -> list[Pair[Overload]]:
    """Overloads of two entry points."""
    if len(old) == len(new) == 1:
        return [Pair(old[0], new[0])]
    return paired(
        old,
        new,
        lambda it: [overload_json(it)],
        lambda it: [it.name] if it.name else [],
        lambda it: [tuple(value.name for value in it.inputs)],
        lambda _: ["any"],
    )


def _id(value: Input | Output | Feature) -> list[Hashable]:
    return [value.id] if value.id is not None else []


def _name(value: Input | Output | Feature | EntryPoint) -> list[Hashable]:
    return [value.name]


def _names(value: Input | Feature) -> list[Hashable]:
    return [value.name, *value.aliases]
