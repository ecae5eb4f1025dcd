"""Rules about names and values: what a signature can say that nobody can have meant."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from trimtab.findings import Level, Problem, rule
from trimtab.signature.model import Learned, Live
from trimtab.signature.render import printable
from trimtab.signature.types import Ragged, Sparse, Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.artifacts.verifying.facts import Facts
    from trimtab.signature.model import Feature, Input, Overload, Range


@rule("INPUT_UNUSED", level=Level.WARNING)
def input_unused(facts: Facts) -> Iterator[Problem]:
    """Some output depends on every input.

    The graph is followed conservatively: what might have an effect counts as a use.
    Who breaks: nobody; features are fetched, sent and converted for nothing.
    Instead: export the model without the input, under a new name where callers send it today.
    """
    for place, value in facts.inputs(facts.followed):
        if value.live is Live.NO:
            yield Problem(place, "no output depends on it")


@rule("NAME_NOT_UNIQUE")
def name_not_unique(facts: Facts) -> Iterator[Problem]:
    """A name stands for one thing: inputs and their aliases, the features of an input, and outputs have names apart.

    Who breaks: requests, which carry values by name: one of the two can never be sent, or is never seen.
    Instead: export the model under distinct names, or embed a document that gives them.
    """
    for place, overload in facts.overloads():
        inputs = (name for value in overload.inputs for name in {value.name: None, **dict.fromkeys(value.aliases)})
        yield from _repeated(place, "inputs", inputs)
        yield from _repeated(place, "outputs", (value.name for value in overload.outputs))
        for value in overload.inputs:
            names = (name for it in value.features for name in {it.name: None, **dict.fromkeys(it.aliases)})
            yield from _repeated(f"{place}: input {value.name!r}", "features", names)


def _repeated(place: str, what: str, names: Iterator[str]) -> Iterator[Problem]:
    for name, count in Counter(names).items():
        if count > 1:
            yield Problem(place, f"{what} that share a name", "each name once", f"{name!r} {count} times")


@rule("NAME_UNPRINTABLE", level=Level.WARNING)
def name_unprintable(facts: Facts) -> Iterator[Problem]:
    """A name can be read and typed: not empty, no control or direction characters, no space at either end.

    Who breaks: people who copy the name from a screen, which shows another one; shells, logs and dashboards.
    Instead: export the model under names that look like what they are.
    """
    for place, overload in facts.overloads():
        for name in dict.fromkeys(_names(overload)):
            if not name or not name.isprintable() or name != name.strip():
                yield Problem(place, "a name that cannot be read", "visible characters", f"'{printable(name)}'")


def _names(overload: Overload) -> Iterator[str]:
    for value in overload.inputs:
        yield from (value.name, *value.aliases)
        for feature in value.features:
            yield from (feature.name, *feature.aliases)
    yield from (value.name for value in overload.outputs)


@rule("CONSTRAINT_IMPOSSIBLE")
def constraint_impossible(facts: Facts) -> Iterator[Problem]:
    """Constraints leave something to be sent: no range is empty, and a default fits its range and its categories.

    Who breaks: checks of requests against the signature: they refuse every value, or the model's own default.
    Instead: correct the constraint in the document and embed it again.
    """
    for place, overload in facts.overloads():
        for symbol, bounds in overload.dimensions.items():
            if _is_empty(bounds):
                yield Problem(f"{place}: dimension {symbol!r}", "an empty range", "minimum <= maximum", str(bounds))
    for place, value in facts.inputs():
        yield from _constrained(place, value)
        for feature in value.features:
            yield from _constrained(f"{place}: feature {feature.name!r}", feature)


def _constrained(place: str, value: Input | Feature) -> Iterator[Problem]:
    if value.constraints is None:
        return
    bounds, categories = value.constraints.range, value.constraints.categories
    default = value.default.value if value.default is not None else None
    if bounds is not None and _is_empty(bounds):
        yield Problem(place, "an empty range", "minimum <= maximum", str(bounds))
    elif bounds is not None and isinstance(default, int | float) and not isinstance(default, bool):
        low = bounds.minimum is not None and default < bounds.minimum
        if low or (bounds.maximum is not None and default > bounds.maximum):
            yield Problem(place, "a default outside of its range", str(bounds), str(default))
    if categories is not None and isinstance(default, bool | int | float | str) and default not in categories:
        yield Problem(place, "a default that is none of the categories", f"one of {len(categories)}", repr(default))


def _is_empty(bounds: Range) -> bool:
    return bounds.minimum is not None and bounds.maximum is not None and bounds.minimum > bounds.maximum


@rule("TYPE_UNKNOWN", level=Level.NOTE)
def type_unknown(facts: Facts) -> Iterator[Problem]:
    """The dtype of every input is known.

    TorchScript states no dtypes, for example, and trees trained on arrays neither.
    Who breaks: conversion has to guess from the request; a root cannot check what it sends.
    Instead: embed a document that states the dtypes.
    """
    for place, value in facts.inputs():
        if isinstance(value.type, Tensor | Sparse | Ragged) and value.type.dtype is None:
            yield Problem(place, "no dtype is known", "", str(value.type))


@rule("TYPE_FROM_EXAMPLE", level=Level.NOTE)
def type_from_example(facts: Facts) -> Iterator[Problem]:
    """Types are contracts, and not what example inputs happened to be.

    Who breaks: whoever takes the batch size of an example for the model's.
    Instead: embed a document that states which sizes may vary.
    """
    for place, value in facts.inputs():
        if value.learned.get("type") is Learned.EXAMPLE:
            yield Problem(place, "known from an example input", "", str(value.type))
