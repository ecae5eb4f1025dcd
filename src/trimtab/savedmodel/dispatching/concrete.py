"""What comes of a call of one concrete function: of a signature, or of a function that was saved as it was.

TensorFlow binds the call to the structured signature and, where that fails, once more to the flat one, which looks at
names and nothing else: shapes are then not compared at all, and a wrong dtype fails only when the function runs.
Source: `ConcreteFunction._call_impl` in tensorflow/python/eager/polymorphic_function/concrete_function.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from trimtab.savedmodel.dispatching.binding import BindingRaises, Bound, bind
from trimtab.savedmodel.dispatching.cautions import feed_cautions
from trimtab.savedmodel.dispatching.feeding import component_feeds, named
from trimtab.savedmodel.dispatching.op_shapes import Known, elements
from trimtab.savedmodel.dispatching.outcome import Dispatch, Feed, Refusal
from trimtab.savedmodel.dispatching.parameters import Parameter, safe_name
from trimtab.savedmodel.dispatching.refusing import Raises
from trimtab.savedmodel.dispatching.remedies import binding_advice
from trimtab.savedmodel.dispatching.values import TensorValue, is_symbolic, value_of
from trimtab.savedmodel.dispatching.wording import cpp_dtype, value_text
from trimtab.savedmodel.shapes import compatible
from trimtab.savedmodel.structure import SPECS, TensorSpec, components, leaves

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trimtab.savedmodel.dispatching.values import Value
    from trimtab.savedmodel.links import ConcreteFunction
    from trimtab.savedmodel.structure import Structure


_Fed: TypeAlias = "tuple[Feed, Any]"
"""A flat tensor that is fed, with its elements where they are known."""

Run: TypeAlias = "Callable[[list[Known]], None]"


class Callee(Struct, frozen=True):
    """A concrete function as it is called.

    run: follows the function when it is fed, and raises what it is certain to raise.
    function: None in a TF1 model, where the function is the part of the graph between feeds and fetches.
    parameters: each constrained to what the function takes. keywords: the names of its flat inputs, in order.
    allowed_positional: how many of them may be given by position. result: what it returns.
    """

    label: str
    parameters: tuple[Parameter, ...]
    keywords: tuple[str, ...]
    allowed_positional: int
    run: Run
    function: ConcreteFunction | None = None
    result: Structure | UnsetType = UNSET


def call(callee: Callee, args: Sequence[Any], kwargs: dict[str, Any]) -> Dispatch:
    """What TensorFlow does when a concrete function is called."""
    given: Any = value_of([tuple(args), dict(kwargs)])
    in_graph = is_symbolic(given)
    trace = callee.function.name if callee.function is not None else callee.label
    captures = callee.function.captures if callee.function is not None else ()
    try:
        fed = _fed(callee, given[0], given[1], in_graph=in_graph)
    except BindingRaises as error:
        advice = binding_advice(callee.parameters, given[0], given[1])
        return Dispatch(callee.label, refusal=Refusal(error.tensorflow, error.message, error.stage), advice=advice)
    except Raises as error:
        return Dispatch(callee.label, refusal=Refusal(error.tensorflow, error.message, "call"))
    refusal = None
    try:
        if not in_graph:
            callee.run([Known(feed.shape, data=elements(data)) for feed, data in fed])
    except Raises as error:
        refusal = Refusal(error.tensorflow, f"Graph execution error: {error.message}", "run")
    feeds = [feed for feed, _ in fed]
    made = named(callee.function, feeds) if callee.function is not None else _by_keyword(callee, feeds)
    warnings = tuple(feed_cautions(flat_specs(callee.parameters), feeds))
    return Dispatch(callee.label, trace, feeds=made, captures=captures, refusal=refusal, warnings=warnings)


def _fed(callee: Callee, args: tuple[Value, ...], kwargs: dict[str, Value], *, in_graph: bool) -> list[_Fed]:
    try:
        bound = bind(callee.parameters, args, kwargs, in_graph=in_graph, result=callee.result)
    except BindingRaises as structured:
        if structured.tensorflow != "TypeError":
            raise
        try:
            return _flat(callee, args, kwargs, in_graph=in_graph)
        except Raises as flat:
            if flat.tensorflow not in ("TypeError", "ValueError"):
                raise
            text = f"{structured.message}\nFallback to flat signature also failed due to: {flat.message}"
            raise BindingRaises("TypeError", text, structured.stage) from None
    return _structured(callee.parameters, bound)


def _structured(parameters: tuple[Parameter, ...], bound: Bound) -> list[_Fed]:
    """The flat tensors of the bound arguments: positional ones in order, then the others sorted by name."""
    arguments = bound.arguments
    positional = [each for each in parameters if each.kind != "keyword"]
    keywords = sorted((each for each in parameters if each.kind == "keyword"), key=lambda each: each.name)
    found: list[_Fed] = []
    for each in (*positional, *keywords):
        if not isinstance(each.constraint, UnsetType):
            for spec, value in _tensors(each.name, each.constraint, arguments[each.name]):
                found += [_marked(feed, value) for feed in component_feeds(spec, value)]
    return found


def _tensors(path: str, expected: Structure, value: Value) -> list[tuple[str, Value]]:
    from trimtab.savedmodel.dispatching.matching import paired

    return [(place, own) for place, spec, own in paired(path, expected, value) if isinstance(spec, SPECS)]


def _marked(feed: Feed, value: Value) -> _Fed:
    if not isinstance(value, TensorValue):
        return feed, None
    converted = value.source == "converted"
    return Feed(feed.argument, feed.dtype, feed.shape, feed.path, converted), value.data


def _flat(callee: Callee, args: tuple[Value, ...], kwargs: dict[str, Value], *, in_graph: bool) -> list[_Fed]:
    """The call by the flat signature: every argument is a tensor, by position or by its flat name."""
    summary = f"{callee.label}({', '.join(callee.keywords)})"
    if len(args) > callee.allowed_positional:
        text = f"{summary} takes {callee.allowed_positional} positional arguments, got {len(args)}."
        raise Raises("TypeError", text)
    left = {safe_name(key): value for key, value in kwargs.items()}
    given = list(args)
    for keyword in callee.keywords[len(args) :]:
        if safe_name(keyword) not in left:
            missing = sorted(set(callee.keywords) - {*callee.keywords[: len(given)], *left})
            raise Raises("TypeError", f"{summary} missing required arguments: {', '.join(missing)}.")
        given.append(left.pop(safe_name(keyword)))
    twice = next((key for key in left if key in callee.keywords), None)
    if twice is not None:
        raise Raises("TypeError", f"{summary} got two values for '{twice}'.")
    if left:
        raise Raises("TypeError", f"{summary} got unexpected keyword arguments: {', '.join(sorted(left))}.")
    found: list[_Fed] = []
    for position, (value, keyword) in enumerate(zip(given, callee.keywords, strict=False)):
        if not isinstance(value, TensorValue) or value.source in ("numpy", "scalar"):
            text = (
                f"{summary}: expected argument #{position}(zero-based) to be a Tensor; "
                f"got {type(value).__name__} ({value_text(value)})."
            )
            raise Raises("TypeError", text)
        found.append((Feed("", value.dtype, value.shape, keyword), value.data))
    _check_run(callee, given[: len(found)], [feed for feed, _ in found], in_graph=in_graph)
    return found


def _check_run(callee: Callee, given: list[Value], feeds: list[Feed], *, in_graph: bool) -> None:
    """What is noticed of flat inputs: inside a graph shapes that do not fit; outside, on running, variables and dtypes.

    Inside a graph a wrong dtype goes unnoticed until that graph runs.
    """
    specs = flat_specs(callee.parameters)
    name = callee.function.name if callee.function is not None else callee.label
    if len(feeds) != len(specs):
        raise Raises("ValueError", f"{name} takes {len(specs)} tensors, got {len(feeds)}")
    for position, (spec, feed, value) in enumerate(zip(specs, feeds, given, strict=True)):
        if in_graph:
            if not compatible(spec.shape, feed.shape):
                text = f"Tensor is not compatible with the shape that {name} was traced with: {spec}, but got {feed}"
                raise Raises("ValueError", text)
        elif isinstance(value, TensorValue) and value.source == "variable":
            text = f"provided list of inputs contains objects other than 'EagerTensor'. Item {position} is a variable"
            raise Raises("TypeError", text)
    for position, (spec, feed) in enumerate(zip(specs, feeds, strict=True)):
        if not in_graph and spec.dtype != feed.dtype:
            text = (
                f"cannot compute {name} as input #{position}(zero-based) was expected to be a "
                f"{cpp_dtype(spec.dtype)} tensor but is a {cpp_dtype(feed.dtype)} tensor"
            )
            raise Raises("InvalidArgumentError", text)


def flat_specs(parameters: tuple[Parameter, ...]) -> list[TensorSpec]:
    """The specs of the flat inputs."""
    positional = [each for each in parameters if each.kind != "keyword"]
    keywords = sorted((each for each in parameters if each.kind == "keyword"), key=lambda each: each.name)
    found: list[TensorSpec] = []
    for each in (*positional, *keywords):
        for leaf in leaves(each.constraint) if not isinstance(each.constraint, UnsetType) else ():
            if isinstance(leaf, SPECS):
                found += components(leaf)
    return found


def _by_keyword(callee: Callee, feeds: list[Feed]) -> tuple[Feed, ...]:
    names = [*callee.keywords, *[""] * len(feeds)]
    return tuple(
        Feed(name, each.dtype, each.shape, each.path, each.converted) for name, each in zip(names, feeds, strict=False)
    )
