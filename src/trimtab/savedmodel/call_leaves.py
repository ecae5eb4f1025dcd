"""The leaves of a traced call, each with its path as a person writes it, and the flat tensors that each one becomes.

`predict(pair=(a, b), d={"k": c})` has the leaves `pair[0]`, `pair[1]` and `d["k"]`. The order is the one in which a
FunctionDef takes them: positional arguments, then keywords by name, dict keys sorted; captures come after.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trimtab.savedmodel import structure
from trimtab.savedmodel.structure import (
    SPECS,
    RaggedTensorSpec,
    SparseTensorSpec,
    children,
    components,
)
from trimtab.signature.naming import Leaf
from trimtab.signature.path import Field, Key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from trimtab.savedmodel.function_spec import CallSpec
    from trimtab.savedmodel.structure import Structure
    from trimtab.signature.path import Step


class CallLeaf(NamedTuple):
    """A leaf of a call: where it sits, what it is, and the parameter's whole argument, of which it is a part.

    start, width: which of the function's flat arguments it becomes; a literal becomes none.
    """

    place: Leaf
    value: Structure
    argument: Structure
    start: int
    width: int


def call_leaves(args: Sequence[Structure], kwargs: Mapping[str, Structure], spec: CallSpec) -> list[CallLeaf]:
    """The leaves of structured arguments. spec: names the positional ones."""
    found: list[CallLeaf] = []
    start = 0
    for root, steps, argument in _arguments(args, kwargs, spec):
        for below, value in _leaves(argument, ()):
            width = len(components(value)) if isinstance(value, SPECS) else 0
            found.append(CallLeaf(Leaf(root, (*steps, *below)), value, argument, start, width))
            start += width
    return found


def returned_leaves(outputs: Structure) -> list[tuple[Leaf, Structure]]:
    """The leaves of a structured result."""
    return [(Leaf("", steps), value) for steps, value in _leaves(outputs, ())]


def component_paths(leaf: CallLeaf) -> list[str]:
    """Of each flat tensor that a leaf becomes, its path: below a composite, the attribute that holds it."""
    root, steps = leaf.place
    return [Leaf(root, (*steps, *more)).path for more in _attributes(leaf.value, leaf.width)]


def _arguments(
    args: Sequence[Structure], kwargs: Mapping[str, Structure], spec: CallSpec
) -> Iterator[tuple[str, tuple[Step, ...], Structure]]:
    for position, argument in enumerate(args):
        if position < len(spec.args):
            yield spec.args[position], (), argument
        else:
            yield spec.varargs or "args", (Key(position - len(spec.args)),), argument
    for name, argument in sorted(kwargs.items()):
        yield name, (), argument


def _leaves(value: Structure, steps: tuple[Step, ...]) -> Iterator[tuple[tuple[Step, ...], Structure]]:
    inside = children(value)
    if inside is None:
        yield steps, value
        return
    named = isinstance(value, structure.NamedTuple)
    for key, child in inside:
        yield from _leaves(child, (*steps, Field(str(key)) if named else Key(key)))


def _attributes(value: Structure, width: int) -> list[tuple[Step, ...]]:
    """The attributes of TensorFlow's composite classes, in the order of their components."""
    if isinstance(value, SparseTensorSpec):
        return [(Field("indices"),), (Field("values"),), (Field("dense_shape"),)]
    if isinstance(value, RaggedTensorSpec) and width == 2:
        return [(Field("values"),), (Field("row_splits"),)]
    if isinstance(value, RaggedTensorSpec):
        splits = [(Field("nested_row_splits"), Key(at)) for at in range(width - 1)]
        return [(Field("flat_values"),), *splits]
    return [()] if width == 1 else [(Key(at),) for at in range(width)]
