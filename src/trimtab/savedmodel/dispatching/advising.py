"""Our own advice beside TensorFlow's answer: the nearest traces and what to do about a refusal, and warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from trimtab.errors import ArtifactError
from trimtab.savedmodel.dispatching.binding import BindingRaises, Bound, bind
from trimtab.savedmodel.dispatching.cautions import cautions
from trimtab.savedmodel.dispatching.nearness import candidates
from trimtab.savedmodel.dispatching.parameters import Parameter, parameters_of
from trimtab.savedmodel.dispatching.refusing import Raises
from trimtab.savedmodel.dispatching.remedies import binding_advice, remedy
from trimtab.savedmodel.dispatching.values import is_symbolic, traced

if TYPE_CHECKING:
    from trimtab.savedmodel.dispatching.outcome import Dispatch
    from trimtab.savedmodel.dispatching.values import Value
    from trimtab.savedmodel.links import PolymorphicFunction


def advised(
    function: PolymorphicFunction, args: tuple[Value, ...], kwargs: dict[str, Value], outcome: Dispatch
) -> Dispatch:
    """The outcome of a call with candidates, advice and warnings. Never raises, whatever the call is."""
    try:
        parameters = parameters_of(function.spec)
    except Raises:
        return outcome
    try:
        bound = _placed(parameters, args, kwargs)
    except BindingRaises:
        return replace(outcome, advice=binding_advice(parameters, args, kwargs))
    except Raises:
        return outcome
    try:
        if outcome.refusal is not None:
            given: Any = [args, kwargs]
            near = candidates(function, parameters, bound, in_graph=is_symbolic(given))
            near = tuple(
                replace(each, remedy=remedy(each.differences[0], near)) if each.differences else each for each in near
            )
            advice = (near[0].remedy,) if near and near[0].remedy else ()
            outcome = replace(outcome, candidates=near, advice=advice)
        return replace(outcome, warnings=tuple(cautions(function, bound, outcome)))
    except ArtifactError:  # a trace that contradicts itself and that TensorFlow did not come to try
        return outcome


def _placed(parameters: tuple[Parameter, ...], args: tuple[Value, ...], kwargs: dict[str, Value]) -> Bound:
    """The arguments at their places, as the traces would see them were nothing cast."""
    free = tuple(Parameter(each.name, each.kind, each.default) for each in parameters)
    given: Any = [args, kwargs]
    bound = bind(free, args, kwargs, in_graph=is_symbolic(given))
    positional = tuple((path, _as_seen(value)) for path, value in bound.positional)
    return Bound(positional, {name: _as_seen(value) for name, value in bound.keywords.items()})


def _as_seen(value: Value) -> Value:
    """As a trace sees it, but with the data of arrays kept."""
    if isinstance(value, range):
        return traced(value)
    return value
