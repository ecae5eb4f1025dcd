"""What TensorFlow does with a call without a word, though the caller may not want it.

VALUE_WRAPS: a Python integer that does not fit the trace's dtype wraps around. VALUE_CAST: a value loses precision or
changes its dtype. SIZE_UNKNOWN: a size that is not known passes for the size of the trace. EQUAL_LITERAL: a literal of
another type is taken because it is equal. LATER_TRACE_FITS: a later trace was made for exactly this call.
TRIAL_RAISES: a trial raises, and a later trace that takes the call is never tried. NAN_NEVER_MATCHES: NaN equals
nothing, so that a trace with it cannot be called. SHAPE_NOT_CHECKED: a signature takes a shape it does not declare.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trimtab.savedmodel.dispatching.dtype_kinds import is_floating, is_integer, wraps
from trimtab.savedmodel.dispatching.matching import Matcher, describe, paired
from trimtab.savedmodel.dispatching.outcome import Caution
from trimtab.savedmodel.dispatching.refusing import Raises
from trimtab.savedmodel.dispatching.values import TensorValue
from trimtab.savedmodel.dispatching.wording import value_text
from trimtab.savedmodel.shapes import compatible
from trimtab.savedmodel.structure import SPECS, NamedTuple, TensorSpec, leaves, shape_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trimtab.savedmodel.dispatching.binding import Bound
    from trimtab.savedmodel.dispatching.outcome import Dispatch, Feed
    from trimtab.savedmodel.dispatching.values import Value
    from trimtab.savedmodel.links import ConcreteFunction, PolymorphicFunction
    from trimtab.savedmodel.structure import Structure

_MAX_TRACES = 1000
_EXACT_BITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}
"""Up to two to the power of this, every integer is a number of the dtype."""

_SOURCES = {"numpy": "array", "scalar": "NumPy scalar"}


def cautions(function: PolymorphicFunction, bound: Bound, outcome: Dispatch) -> Iterator[Caution]:
    """The warnings of a call. bound: the arguments at their places, not cast."""
    if outcome.refusal is not None:
        if outcome.refusal.stage == "trial":
            yield from _poisoned(function, bound, outcome)
        yield from _nan(function)
        return
    if outcome.position is None:
        return
    trace = function.traces[outcome.position]
    for path, expected, value in _pairs(trace, bound):
        if isinstance(expected, TensorSpec):
            yield from _tensor(path, expected, value)
        elif not isinstance(expected, SPECS):
            yield from _equal(path, expected, value)
    yield from _later(function, bound, outcome.position, constrained=bool(function.spec.input_signature))


def feed_cautions(specs: Iterable[TensorSpec], feeds: Iterable[Feed]) -> Iterator[Caution]:
    """Of the call of a signature: the shapes that it does not declare and takes all the same."""
    for spec, feed in zip(specs, feeds, strict=False):
        if not compatible(spec.shape, feed.shape):
            text = f"TensorFlow checks no shape here: {shape_text(feed.shape)} is fed to {spec} all the same."
            yield Caution("SHAPE_NOT_CHECKED", feed.path, text)


def _pairs(trace: ConcreteFunction, bound: Bound) -> list[tuple[str, Structure, Value]]:
    """The leaves of a trace that takes the call, each with the argument at its place."""
    args, kwargs = trace.arguments
    found: list[tuple[str, Structure, Value]] = []
    for each, (path, value) in zip(args, bound.positional, strict=False):
        found += paired(path, each, value)
    for key in sorted(set(kwargs) & set(bound.keywords)):
        found += paired(key, kwargs[key], bound.keywords[key])
    return found


def _tensor(path: str, spec: TensorSpec, value: Value) -> Iterator[Caution]:
    if isinstance(value, TensorValue):
        if value.dtype != spec.dtype:
            text = f"The {_SOURCES.get(value.source, value.source)} of {value.dtype} is cast to {spec.dtype}."
            yield Caution("VALUE_CAST", path, text)
        pairs = zip(spec.shape or (), value.shape or (), strict=False)
        if value.source == "symbolic" and (
            (value.shape is None and spec.shape is not None) or any(a is not None and b is None for a, b in pairs)
        ):
            text = (
                f"The shape {shape_text(value.shape)} only matches {shape_text(spec.shape)} by being unknown: where it "
                "turns out otherwise, the trace computes with the wrong size."
            )
            yield Caution("SIZE_UNKNOWN", path, text)
        return
    numbers = list(_numbers(value))
    if is_integer(spec.dtype):
        for number in numbers:
            if isinstance(number, int) and not isinstance(number, bool) and wraps(number, spec.dtype):
                yield Caution("VALUE_WRAPS", path, f"{number} does not fit {spec.dtype} and wraps around.")
                break
    exact = _EXACT_BITS.get(spec.dtype)
    if exact is not None and is_floating(spec.dtype):
        for number in numbers:
            if isinstance(number, int) and abs(number) > 1 << exact:
                yield Caution("VALUE_CAST", path, f"{number} is not exact in {spec.dtype}.")
                break
    inside = {each.dtype for each in _tensors(value)}
    if inside - {spec.dtype}:
        text = f"A list of tensors of {', '.join(sorted(inside))} is packed and cast to {spec.dtype}."
        yield Caution("VALUE_CAST", path, text)


def _equal(path: str, expected: Structure, value: Value) -> Iterator[Caution]:
    if type(expected) is not type(value) and isinstance(expected, bool | int | float) and value is not None:
        text = f"{describe(value)} is taken for {value_text(expected)}, which it equals in Python."
        yield Caution("EQUAL_LITERAL", path, text)


def _later(function: PolymorphicFunction, bound: Bound, position: int, *, constrained: bool) -> Iterator[Caution]:
    """Traces are tried in their order, and not by how well they fit."""
    if constrained or _exact(function.traces[position], bound):
        return
    for later, trace in enumerate(function.traces[position + 1 : position + _MAX_TRACES], start=position + 1):
        if _exact(trace, bound):
            text = (
                f"Trace {later + 1} ({trace.name}) was made for exactly these arguments, but trace {position + 1} "
                "comes first and takes them too."
            )
            yield Caution("LATER_TRACE_FITS", "", text)
            return


def _exact(trace: ConcreteFunction, bound: Bound) -> bool:
    try:
        if Matcher(bound).mismatch(trace.arguments, allow_conversion=False) is not None:
            return False
    except Raises:
        return False
    pairs = _pairs(trace, bound)
    return all(
        value.shape == expected.shape
        for _, expected, value in pairs
        if isinstance(expected, TensorSpec) and isinstance(value, TensorValue)
    )


def _poisoned(function: PolymorphicFunction, bound: Bound, outcome: Dispatch) -> Iterator[Caution]:
    matcher = Matcher(bound)
    raising = outcome.trials[-1]
    for allow_conversion in (raising.allow_conversion, True):
        for later, trace in enumerate(function.traces[:_MAX_TRACES]):
            if later <= raising.position and allow_conversion == raising.allow_conversion:
                continue
            try:
                found = matcher.mismatch(trace.arguments, allow_conversion=allow_conversion)
            except Raises:
                continue
            if found is None:
                text = (
                    f"Trace {later + 1} ({trace.name}) takes this call, but is never tried: the trial of trace "
                    f"{raising.position + 1} raises {raising.raised} first."
                )
                yield Caution("TRIAL_RAISES", "", text)
                return


def _nan(function: PolymorphicFunction) -> Iterator[Caution]:
    for position, trace in enumerate(function.traces[:_MAX_TRACES]):
        args, kwargs = trace.arguments
        everything: tuple[Any, ...] = (*args, *kwargs.values())
        if any(isinstance(leaf, float) and leaf != leaf for leaf in leaves(everything)):  # noqa: PLR0124  NaN
            yield Caution(
                "NAN_NEVER_MATCHES", "", f"Trace {position + 1} takes NaN, which equals nothing, itself included."
            )
            return


def _numbers(value: Value) -> Iterator[Any]:
    """The Python numbers in a value."""
    if isinstance(value, bool | int | float):
        yield value
    else:
        for item in _inside(value):
            yield from _numbers(item)


def _tensors(value: Value) -> Iterator[TensorValue]:
    for item in _inside(value):
        if isinstance(item, TensorValue):
            yield item
        else:
            yield from _tensors(item)


def _inside(value: Value) -> Any:
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, NamedTuple):
        return [item for _, item in value.fields]
    return value.values() if isinstance(value, dict) else ()
