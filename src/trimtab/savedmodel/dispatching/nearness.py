"""Which traces a refused call comes nearest to: every difference from each, not only the one that decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import UnsetType

from trimtab.savedmodel.dispatching.casting import cast
from trimtab.savedmodel.dispatching.matching import (
    Matcher,
    describe,
    items_of,
    keys_mismatch,
    kind_text,
    named_items,
    nests_alike,
    shape_mismatch,
)
from trimtab.savedmodel.dispatching.outcome import Candidate, Mismatch
from trimtab.savedmodel.dispatching.refusing import Raises
from trimtab.savedmodel.dispatching.values import TensorValue
from trimtab.savedmodel.structure import SPECS, NamedTuple, TensorSpec, children

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.savedmodel.dispatching.binding import Bound
    from trimtab.savedmodel.dispatching.parameters import Parameter
    from trimtab.savedmodel.dispatching.values import Value
    from trimtab.savedmodel.links import PolymorphicFunction
    from trimtab.savedmodel.structure import Structure

MAX_CANDIDATES = 200
"""How many traces are compared in full, in the order of trial."""

_MAX_STEPS = 1 << 17


def candidates(
    function: PolymorphicFunction, parameters: tuple[Parameter, ...], bound: Bound, *, in_graph: bool
) -> tuple[Candidate, ...]:
    """The traces by nearness, those that are as near in the order of trial.

    bound: the arguments in their places, not cast. Where a parameter is constrained, an argument that TensorFlow casts
    to the constraint is no difference.
    """
    comparison = _Comparison(parameters, bound, in_graph=in_graph)
    found = []
    for position, trace in enumerate(function.traces[:MAX_CANDIDATES]):
        args, kwargs = trace.arguments
        found.append(Candidate(trace.name, position, tuple(comparison.differences(args, kwargs))))
        if comparison.matcher.steps > _MAX_STEPS:
            break
    return tuple(sorted(found, key=lambda each: (each.distance, each.position)))


class _Comparison:
    """The arguments of one call, compared with trace after trace."""

    def __init__(self, parameters: tuple[Parameter, ...], bound: Bound, *, in_graph: bool) -> None:
        self.bound = bound
        self.matcher = Matcher(bound)
        self._in_graph = in_graph
        self._constrained = {each.name for each in parameters if not isinstance(each.constraint, UnsetType)}

    def differences(self, args: tuple[Structure, ...], kwargs: dict[str, Structure]) -> Iterator[Mismatch]:
        """Everything about the call that a trace does not take, in the order of the arguments."""
        given = self.bound.positional
        if len(args) != len(given):
            expected = f"{len(args)} positional arguments"
            yield Mismatch("(positional arguments)", "structure", expected, str(len(given)))
        for each, (path, value) in zip(args, given, strict=False):
            yield from self._value(path, each, value, cast_first=path in self._constrained)
        if set(kwargs) != set(self.bound.keywords):
            yield keys_mismatch("(keyword arguments)", kwargs, self.bound.keywords)
        for key in sorted(set(kwargs) & set(self.bound.keywords)):
            yield from self._value(key, kwargs[key], self.bound.keywords[key], cast_first=key in self._constrained)

    def _value(self, path: str, expected: Structure, value: Value, *, cast_first: bool) -> Iterator[Mismatch]:
        self.matcher.steps += 1
        if self.matcher.steps > _MAX_STEPS:
            return
        if children(expected) is None:
            found = self._leaf(path, expected, value, cast_first=cast_first)
            if found is not None:
                yield found
                yield from _shape_too(found, expected, value)
        elif not nests_alike(expected, value):
            yield Mismatch(path, "structure", kind_text(expected), kind_text(value))
        else:
            yield from self._container(path, expected, value, cast_first=cast_first)

    def _container(self, path: str, expected: Structure, value: Any, *, cast_first: bool) -> Iterator[Mismatch]:
        """What differs inside two containers of one kind: what only one of them holds, and what both hold."""
        if isinstance(expected, dict) and set(expected) != set(value):
            yield keys_mismatch(path, expected, value)
            value = {key: value[key] for key in expected if key in value}
            expected = {key: expected[key] for key in value}
        elif not isinstance(expected, dict | NamedTuple) and len(items_of(expected)) != len(items_of(value)):
            yield Mismatch(path, "structure", kind_text(expected), kind_text(value))
        for (name, each), (_, own) in zip(named_items(path, expected), named_items(path, value), strict=False):
            yield from self._value(name, each, own, cast_first=cast_first)

    def _leaf(self, path: str, expected: Structure, value: Value, *, cast_first: bool) -> Mismatch | None:
        if cast_first and isinstance(expected, SPECS):
            try:
                cast(expected, value, in_graph=self._in_graph)
            except Raises:
                pass
            else:
                return None
        try:
            return self.matcher.leaf(path, expected, value, allow_conversion=True)
        except Raises as error:
            return Mismatch(path, "conversion", kind_text(expected), f"{describe(value)} ({error.tensorflow})")


def _shape_too(found: Mismatch, expected: Structure, value: Value) -> Iterator[Mismatch]:
    """A tensor of another dtype may be of another shape too; TensorFlow stops at the dtype."""
    if found.kind == "dtype" and isinstance(expected, TensorSpec) and isinstance(value, TensorValue):
        shape = shape_mismatch(found.path, expected.shape, value.shape, str(expected), str(value))
        if shape is not None:
            yield shape
