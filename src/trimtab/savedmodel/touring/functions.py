"""Tell a polymorphic function: its parameters, what constrains them, and its traces in trial order."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from trimtab.errors import ArtifactError
from trimtab.savedmodel.touring.story import CapturedValue, FunctionTour, TraceTour
from trimtab.savedmodel.touring.wording import arguments, captured_type, damage, in_words

if TYPE_CHECKING:
    from trimtab.savedmodel.captures import Capture
    from trimtab.savedmodel.function_spec import CallSpec
    from trimtab.savedmodel.links import ConcreteFunction, PolymorphicFunction
    from trimtab.savedmodel.touring.places import Places


def function_tour(
    function: PolymorphicFunction, places: Places, signatures: tuple[str, ...] = (), *, max_traces: int | None = None
) -> FunctionTour:
    """One function. A part that contradicts the protos' own rules is told as a `problem`, not raised.

    signatures: the keys of those that run it. max_traces: how many traces are told; None for all.
    """
    where = places.object(function.node_id, "function")
    left_out = 0 if max_traces is None else max(0, len(function.trace_names) - max_traces)
    try:
        spec = function.spec
    except ArtifactError as error:
        return FunctionTour(
            function.path, function.node_id, where, "", left_out=len(function.trace_names), problem=damage(error)
        )
    constraint = spec.input_signature
    return FunctionTour(
        path=function.path,
        node_id=function.node_id,
        where=where,
        parameters=spec.text(in_words),
        input_signature=None if constraint is None else tuple(in_words(each) for each in constraint),
        jit_compile=spec.jit_compile,
        traces=tuple(_trace_tour(each, spec, places) for each in islice(function.traces, max_traces)),
        signatures=signatures,
        left_out=left_out,
    )


def captured_value(capture: Capture, places: Places) -> CapturedValue:
    """One capture, with the place of its node."""
    return CapturedValue(
        node_id=capture.node_id,
        kind=capture.kind,
        path=capture.path.removeprefix("root."),
        name=capture.name,
        type=captured_type(capture),
        argument=capture.argument,
        position=capture.position,
        where=places.object(capture.node_id, capture.kind),
    )


def _trace_tour(trace: ConcreteFunction, spec: CallSpec, places: Places) -> TraceTour:
    where = places.concrete_function(trace.name)
    if trace.saved is None or trace.function_def is None:
        missing = "SavedConcreteFunction" if trace.saved is None else "FunctionDef"
        return TraceTour(trace.name, (), "", where=where, problem=f"it has no {missing}")
    try:
        captured = tuple(captured_value(each, places) for each in trace.captures)
        return TraceTour(trace.name, arguments(spec, *trace.arguments), in_words(trace.outputs), captured, where)
    except ArtifactError as error:
        return TraceTour(trace.name, (), "", where=where, problem=damage(error))
