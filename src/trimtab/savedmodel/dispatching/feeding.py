"""The flat tensors that a function is fed once it is chosen, in the order of its FunctionDef's arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.savedmodel.dispatching.casting import ragged_components, sparse_components
from trimtab.savedmodel.dispatching.matching import paired
from trimtab.savedmodel.dispatching.outcome import Feed
from trimtab.savedmodel.dispatching.refusing import Raises
from trimtab.savedmodel.dispatching.values import RaggedValue, SparseValue, TensorValue, traced
from trimtab.savedmodel.structure import SPECS, OtherTypeSpec, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.savedmodel.dispatching.binding import Bound
    from trimtab.savedmodel.dispatching.matching import Expected, Matcher
    from trimtab.savedmodel.dispatching.values import Value
    from trimtab.savedmodel.links import ConcreteFunction
    from trimtab.savedmodel.structure import Structure


def feeds_of(trace: ConcreteFunction, expected: Expected, bound: Bound, matcher: Matcher) -> tuple[Feed, ...]:
    """What a trace that takes the call is fed. Keyword arguments come sorted by name; Python values are not fed.

    Raises the TypeError of TensorFlow for a list of composites that passes for one composite of a higher rank.
    """
    args, kwargs = expected
    found: list[Feed] = []
    for each, (path, value) in zip(args, bound.positional, strict=True):
        found += _feeds(path, each, value, matcher)
    for key in sorted(kwargs):
        found += _feeds(key, kwargs[key], bound.keywords[key], matcher)
    return named(trace, found)


def named(function: ConcreteFunction, feeds: list[Feed]) -> tuple[Feed, ...]:
    """The feeds with the names that the FunctionDef has for its arguments."""
    definition = function.function_def
    names = [argument.name for argument in definition.signature.input_arg] if definition is not None else []
    names += [""] * (len(feeds) - len(names))
    return tuple(
        Feed(name, each.dtype, each.shape, each.path, each.converted) for name, each in zip(names, feeds, strict=False)
    )


def component_feeds(path: str, value: Value) -> list[Feed]:
    """A tensor, or the tensors that a composite is made of."""
    if isinstance(value, RaggedValue):
        names = ["flat values", *(f"row splits {at}" for at in range(value.ragged_rank))]
        parts = zip(names, ragged_components(value), strict=True)
        return [Feed("", each.dtype, each.shape, f"{path} ({name})") for name, each in parts]
    if isinstance(value, SparseValue):
        parts = zip(("indices", "values", "dense shape"), sparse_components(value), strict=True)
        return [Feed("", each.dtype, each.shape, f"{path} ({name})") for name, each in parts]
    return [Feed("", value.dtype, value.shape, path)] if isinstance(value, TensorValue) else []


def _feeds(path: str, expected: Structure, value: Value, matcher: Matcher) -> Iterator[Feed]:
    for place, spec, own in paired(path, expected, value):
        if isinstance(spec, TensorSpec):
            if isinstance(own, TensorValue):
                yield Feed("", spec.dtype, own.shape, place, own.source == "converted")
            else:
                made = matcher.converted(traced(own), spec.dtype)
                yield Feed("", made.dtype, made.shape, place, converted=True)
        elif isinstance(spec, OtherTypeSpec):
            if spec.class_name == "VariableSpec":
                yield Feed("", "resource", (), place)
        elif isinstance(spec, SPECS):
            if not isinstance(own, RaggedValue | SparseValue | TensorValue):
                text = (
                    f"If shallow structure is a sequence, input must also be a sequence. Input has type: {type(own)}."
                )
                raise Raises("TypeError", text)
            yield from component_feeds(place, own)
