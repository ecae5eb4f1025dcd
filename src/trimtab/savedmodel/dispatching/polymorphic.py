"""Which trace of a polymorphic function a call runs: bind, cast, then two passes over the traces in stored order.

Source: `recreate_function` in tensorflow/python/saved_model/function_deserialization.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import UnsetType

from trimtab.errors import ArtifactError
from trimtab.savedmodel.dispatching.binding import BindingRaises, Bound, bind, default_value
from trimtab.savedmodel.dispatching.feeding import feeds_of
from trimtab.savedmodel.dispatching.matching import Matcher, paired
from trimtab.savedmodel.dispatching.outcome import Dispatch, Refusal, Trial
from trimtab.savedmodel.dispatching.parameters import parameters_of, signature_specs
from trimtab.savedmodel.dispatching.refusing import Raises
from trimtab.savedmodel.dispatching.values import TensorValue, is_symbolic, traced, value_of
from trimtab.savedmodel.dispatching.wording import (
    MAX_TEXT,
    expected_values,
    positional_text,
    trace_text,
    traced_values,
    value_text,
)
from trimtab.savedmodel.graph_protos import TensorProto
from trimtab.savedmodel.structure import SPECS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimtab.savedmodel.dispatching.matching import Expected
    from trimtab.savedmodel.dispatching.outcome import Feed
    from trimtab.savedmodel.dispatching.parameters import Parameter
    from trimtab.savedmodel.dispatching.values import Value
    from trimtab.savedmodel.links import ConcreteFunction, PolymorphicFunction
    from trimtab.savedmodel.structure import Structure

MAX_STEPS = 1 << 18
"""How many comparisons of an argument with what a trace expects one dispatch makes at most, and how many trials."""

_MAX_OPTIONS = 100
"""How many traces a refusal's text lists; TensorFlow's own lists them all."""


def dispatch(function: PolymorphicFunction, args: Sequence[Any], kwargs: dict[str, Any]) -> Dispatch:
    """What TensorFlow does when a restored function is called. See `PolymorphicFunction.dispatch`."""
    from trimtab.savedmodel.dispatching.advising import advised

    given: Any = value_of([tuple(args), dict(kwargs)])
    return advised(function, given[0], given[1], decide(function, given[0], given[1]))


def decide(function: PolymorphicFunction, args: tuple[Value, ...], kwargs: dict[str, Value]) -> Dispatch:
    """The outcome alone, without advice."""
    given: Any = [args, kwargs]
    in_graph = is_symbolic(given)
    try:
        parameters = parameters_of(function.spec)
    except Raises as error:
        return Dispatch(function.path, refusal=Refusal(error.tensorflow, error.message, "lookup"))
    try:
        bound = bind(parameters, args, kwargs, in_graph=in_graph)
    except BindingRaises as error:
        return Dispatch(function.path, refusal=Refusal(error.tensorflow, error.message, error.stage))
    try:
        seen = as_traced(parameters, bound)
    except Raises as error:
        return Dispatch(function.path, refusal=Refusal(error.tensorflow, error.message, "binding"))
    return _search(function, bound, seen)


def as_traced(parameters: tuple[Parameter, ...], bound: Bound) -> Bound:
    """The arguments as the traces see them.

    Arrays are tensors and a range is a list. In place of what an `input_signature` constrains stands the constraint
    itself, so that a trace is compared with the signature and not with the call.
    """
    positional = [(path, traced(value)) for path, value in bound.positional]
    specs = signature_specs(parameters)
    if specs is not None:
        names = [path for path, _ in bound.positional] + [each.name for each in parameters if each.kind == "keyword"]
        if len(specs) > len(positional):
            raise Raises("TypeError", "too many positional arguments")
        replaced = [(names[at], default_value(each)) for at, each in enumerate(specs)]
        positional = [*replaced, *positional[len(specs) :]]
    made = Bound(tuple(positional), {name: traced(value) for name, value in bound.keywords.items()})
    for each in parameters:
        if not isinstance(each.constraint, UnsetType):
            _check_literals(each.name, each.constraint, made.arguments[each.name])
    return made


def _check_literals(path: str, constraint: Structure, value: Value) -> None:
    """A tensor that equals a Python value passes the cast to it, and is refused here."""
    for place, leaf, own in paired(path, constraint, value):
        if isinstance(own, TensorValue) and not isinstance(leaf, (TensorProto, *SPECS)):
            text = f"Parameter `{place}` was expected to be of type {trace_text(leaf)} but is {value_text(own)}"
            raise Raises("TypeError", text)


def _search(function: PolymorphicFunction, bound: Bound, seen: Bound) -> Dispatch:
    """Try every trace without conversion, then every trace with it; the first that takes the call runs."""
    if len(function.trace_names) > MAX_STEPS:
        raise _too_large(function)
    traces = function.traces
    if not traces:
        refusal = Refusal("ValueError", "Found zero restored functions for caller function.", "match")
        return Dispatch(function.path, refusal=refusal)
    matcher = Matcher(seen)
    trials: list[Trial] = []
    known: dict[str, Expected] = {}
    for allow_conversion in (False, True):
        for position, trace in enumerate(traces):
            expected = known[trace.name] = known.get(trace.name) or _expected(trace)
            trial = _trial(trace.name, position, expected, matcher, allow_conversion=allow_conversion)
            trials.append(trial)
            if trial.raised is not None:
                refusal = Refusal(trial.raised, trial.message, "trial")
                return Dispatch(function.path, trials=tuple(trials), refusal=refusal)
            if trial.matched:
                return _chosen(function, trials, bound, matcher)
            if matcher.steps > MAX_STEPS or len(trials) > MAX_STEPS:
                raise _too_large(function)
    refusal = Refusal("ValueError", _no_match(traces, seen), "match")
    return Dispatch(function.path, trials=tuple(trials), refusal=refusal)


def _trial(name: str, position: int, expected: Expected, matcher: Matcher, *, allow_conversion: bool) -> Trial:
    try:
        mismatch = matcher.mismatch(expected, allow_conversion=allow_conversion)
    except Raises as error:
        raised, text = error.tensorflow, error.message[:MAX_TEXT]
        return Trial(name, position, allow_conversion, matched=False, raised=raised, message=text)
    return Trial(name, position, allow_conversion, mismatch is None, mismatch)


def _too_large(function: PolymorphicFunction) -> ArtifactError:
    return ArtifactError(
        "a function with too many traces, or too large ones, for this call",
        where=function.where,
        expected=f"at most {MAX_STEPS} comparisons",
        got=f"{len(function.trace_names)} traces",
    )


def _chosen(function: PolymorphicFunction, trials: list[Trial], bound: Bound, matcher: Matcher) -> Dispatch:
    """The outcome when the last trial matched."""
    last = trials[-1]
    trace = function.traces[last.position]
    feeds: tuple[Feed, ...] = ()
    refusal = None
    try:
        feeds = feeds_of(trace, _expected(trace), bound, matcher)
    except Raises as error:
        refusal = Refusal(error.tensorflow, error.message, "call")
    return Dispatch(
        function.path,
        last.trace,
        last.position,
        last.allow_conversion,
        feeds,
        trace.captures,
        tuple(trials),
        refusal,
    )


def _expected(trace: ConcreteFunction) -> Expected:
    if trace.saved is None:
        raise ArtifactError(
            "a trace that is not there",
            where=trace.where,
            expected="a SavedConcreteFunction under the name that the SavedFunction lists",
            got="none",
            hint="TensorFlow does not load such a model. See all that is wrong with it: trimtab verify MODEL",
        )
    return trace.arguments


def _no_match(traces: Sequence[ConcreteFunction], seen: Bound) -> str:
    """TensorFlow's text of a refusal by every trace."""
    positional_names = {path.replace("[", "_").strip("*]"): value for path, value in seen.positional}
    texts = traced_values({**positional_names, **seen.keywords})
    positional = list(texts.values())[: len(seen.positional)]
    keywords = {name: texts[name] for name in seen.keywords}
    options = []
    for position, trace in enumerate(traces[:_MAX_OPTIONS]):
        args, kwargs = trace.arguments
        shown = positional_text(map(expected_values, args))
        options.append(f"Option {position + 1}:\n  {shown}\n  Keyword arguments: {expected_values(kwargs)}")
    text = (
        f"Could not find matching concrete function to call loaded from the SavedModel. Got:\n"
        f"  {positional_text(positional)}\n  Keyword arguments: {keywords}\n\n Expected these arguments to match one "
        f"of the following {len(traces)} option(s):\n\n" + "\n\n".join(options)
    )
    return text[:MAX_TEXT]
