"""Rebuild the structure of a call from flat named values, and take named values out of what a model returns.

A signature flattens nested arguments into inputs with paths (`feats["item.price"]`, `args[0].ids`); the framework
wants the dictionary and the tuple back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from trimtab.errors import ArtifactError
from trimtab.signature.path import Field, Key, parse_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trimtab.signature.model import Input, Output
    from trimtab.signature.path import Step

Places: TypeAlias = "dict[Step, Places | str]"
"""A tree of steps; the leaves are the names of inputs."""


def call_places(inputs: Iterable[Input]) -> dict[str, Places | str]:
    """Where each input goes: parameter -> tree of steps -> input name. ArtifactError where two paths collide."""
    roots: Places = {}
    for value in inputs:
        root, steps = parse_path(value.call_path)
        *above, last = (Field(root), *steps)
        node = roots
        for step in above:
            below = node.setdefault(step, {})
            if isinstance(below, str):
                raise _collision(value)
            node = below
        if last in node:
            raise _collision(value)
        node[last] = value.name
    return {step.name: place for step, place in roots.items() if isinstance(step, Field)}


def _collision(value: Input) -> ArtifactError:
    return ArtifactError(where=f"input {value.name!r}", expected="a path of its own", got=repr(value.call_path))


def fill(place: Places | str, values: Mapping[str, Any]) -> Any:
    """The value at a place: a dictionary where keys are text, a tuple elsewhere. ABSENT where nothing was given."""
    if isinstance(place, str):
        return values.get(place, ABSENT)
    filled = {step: value for step, below in place.items() if (value := fill(below, values)) is not ABSENT}
    if not filled:
        return ABSENT
    if all(isinstance(step, Key) and isinstance(step.value, str) for step in place):
        return {step.value: value for step, value in filled.items() if isinstance(step, Key)}
    if all(isinstance(step, Key) for step in place):
        return tuple(filled[step] for step in sorted(filled, key=_position))
    return tuple(filled.values())  # fields, in the signature's order: frameworks take a plain tuple for a named one


ABSENT = object()
"""Stands for a value that the request does not carry."""


def named_outputs(returned: Any, outputs: Iterable[Output]) -> dict[str, Any]:
    """What the model returned, by the signature's output names. An output that is a mapping gives one value per key.

    ArtifactError where the returned structure has no value at an output's path.
    """
    values: dict[str, Any] = {}
    for position, output in enumerate(outputs):
        root, steps = parse_path(output.return_path) if output.return_path else ("", ())
        value = returned
        try:
            if root:
                value = _by_name(returned, root, position)
            for step in steps:
                value = getattr(value, step.name) if isinstance(step, Field) else value[step.value]
        except (AttributeError, IndexError, KeyError, TypeError):
            raise ArtifactError(
                f"the model returned no output {output.name!r}",
                expected=f"a value at {output.return_path!r}",
                got=type(returned).__name__,
                hint="The embedded signature names outputs that the model does not return: embed the right one.",
            ) from None
        if isinstance(value, dict):
            values.update({str(key): below for key, below in value.items()})
        else:
            values[output.name] = value
    return values


def _by_name(returned: Any, name: str, position: int) -> Any:
    """An output that has a name and no path: a returned value has no name of its own, so what it is decides."""
    if isinstance(returned, dict):
        return returned[name]
    if isinstance(returned, tuple | list):
        return getattr(returned, name) if hasattr(returned, name) else returned[position]
    return returned


def _position(step: Step) -> int:
    return step.value if isinstance(step, Key) and isinstance(step.value, int) else 0
