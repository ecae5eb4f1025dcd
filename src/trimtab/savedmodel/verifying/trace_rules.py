"""Rules of places 3 and 4: a SavedFunction, its parameters and its traces, and the bare functions that repeat them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from trimtab.findings import Level, Problem, rule
from trimtab.savedmodel.shapes import is_subtype
from trimtab.savedmodel.structure import (
    SPECS,
    TensorSpec,
    children,
    leaves,
)
from trimtab.savedmodel.verifying.spec_rules import unbound
from trimtab.savedmodel.verifying.tensors import compatible
from trimtab.savedmodel.verifying.words import listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.savedmodel.function_spec import CallSpec
    from trimtab.savedmodel.links import PolymorphicFunction
    from trimtab.savedmodel.structure import Structure
    from trimtab.savedmodel.verifying.facts import Facts, Function

MAX_COMPARISONS = 40_000
"""How many leaves of traces are compared with one another, over all functions: some 200 traces of one function."""


@rule("TRACE_CHILDREN")
def trace_children(facts: Facts) -> Iterator[Problem]:
    """The children `trace_0`, `trace_1`, ... of a SavedFunction are the bare functions of its traces, in their order.

    Who breaks: traces are tried in the order of `concrete_functions`; when that is not the order in which they were
    made, or one is missing, another trace than the original answers.
    Instead: list the traces in the order of the children. TensorFlow before 2.12 may write no such children.
    """
    objects = facts.objects
    for function in facts.meta_graph.functions.values():
        assert objects is not None
        made = {name: node for name, node in objects.children[function.node_id].items() if name.startswith("trace_")}
        names = {}
        for name, node_id in made.items():
            bare = objects.nodes[node_id].bare_concrete_function if 0 <= node_id < len(objects.nodes) else None
            names[name] = bare.concrete_function_name if bare is not None else ""
        listed_ = {f"trace_{position}": name for position, name in enumerate(function.trace_names)}
        if made and names != listed_:
            sides = (names, listed_)
            expected, got = (listed(f"{key}: {name}" for key, name in sorted(each.items())) for each in sides)
            yield Problem(f"{function.where}.function.concrete_functions", "the traces and their order", expected, got)


@rule("TRACE_REPEATED")
def trace_repeated(facts: Facts) -> Iterator[Problem]:
    """A trace belongs to one SavedFunction, which lists it once.

    The same name may be listed twice where the children `trace_i` say so too: TensorFlow does that for a trace that was
    made with a NaN.
    Who breaks: the trace that the second entry stands for is lost.
    Instead: list the trace that was meant.
    """
    owners: dict[str, PolymorphicFunction] = {}
    for function in facts.meta_graph.functions.values():
        where = f"{function.where}.function.concrete_functions"
        children = facts.objects.children[function.node_id] if facts.objects is not None else {}
        for name, count in Counter(function.trace_names).items():
            owner = owners.setdefault(name, function)
            if owner is not function:
                yield Problem(where, "a trace that is another function's", got=f"{name!r}, of {owner.path!r}")
            if count > 1 and "trace_0" not in children:
                yield Problem(where, "a trace that is listed twice", got=repr(name))


@rule("TRACE_PARAMETERS")
def trace_parameters(facts: Facts) -> Iterator[Problem]:
    """Every trace is a call of its function: its arguments bind to the parameters of the FunctionSpec.

    Who breaks: a caller can no longer reach the trace: the call is bound to the parameters before any trace is tried.
    Instead: make `fullargspec` that of the Python function.
    """
    for function in facts.meta_graph.functions.values():
        spec = function.spec
        for trace in function.traces:
            if trace.saved is None:
                continue
            args, kwargs = trace.arguments
            problem = unbound(spec, args, kwargs) or _misplaced(spec, args)
            if problem:
                where = f"{trace.where}.canonicalized_input_signature"
                yield Problem(where, f"does not bind to {function.path}{spec}", got=problem)


@rule("TRACE_INPUT_SIGNATURE")
def trace_input_signature(facts: Facts) -> Iterator[Problem]:
    """The traces of a function with an `input_signature` take what it says.

    Who breaks: every call. TensorFlow casts the arguments to the input signature, and then no trace takes them.
    Instead: make the input signature that of the trace.
    """
    for function in facts.meta_graph.functions.values():
        signature = function.spec.input_signature
        for trace in function.traces if signature else ():
            if trace.saved is None:
                continue
            assert signature is not None
            args, kwargs = trace.arguments
            given = [*args, *(kwargs[name] for name in function.spec.kwonlyargs if name in kwargs)]
            for position, (wanted, taken) in enumerate(zip(signature, given, strict=False)):
                if not _same(wanted, taken):
                    where = f"{function.where}.function.function_spec.input_signature[{position}]"
                    yield Problem(where, "what the trace takes", _words(taken), _words(wanted))


@rule("TRACE_JIT")
def trace_jit(facts: Facts) -> Iterator[Problem]:
    """The traces of a function are compiled by XLA if and only if its FunctionSpec says so.

    Who breaks: TensorFlow 2 compiles what it should not, or the other way round; TensorFlow 1 and C++ do as the
    FunctionDefs say.
    Instead: make `jit_compile` and the FunctionDefs' `_XlaMustCompile` the same.
    """
    for function in facts.meta_graph.functions.values():
        for name in function.trace_names:
            definition = facts.meta_graph.library.get(name)
            compiled = definition.attr.get("_XlaMustCompile") if definition is not None else None
            traced = compiled.b if compiled is not None else None
            if definition is not None and traced != function.spec.jit_compile:
                where = f"{function.where}.function.function_spec.jit_compile"
                yield Problem(where, f"of {name!r}, by its FunctionDef", str(traced), str(function.spec.jit_compile))
                break


@rule("TRACE_AMBIGUOUS")
def trace_ambiguous(facts: Facts) -> Iterator[Problem]:
    """No two traces of a function take the very same arguments: types, names and literals.

    Who breaks: the second is never called; where a literal tells them apart (`training=True`), the wrong one answers.
    Instead: give each trace the arguments that it was made with.
    """
    for function in facts.meta_graph.functions.values():
        seen: dict[str, Function] = {}
        for name in function.trace_names:
            trace = facts.functions.get(name)
            if trace is None:
                continue
            other = seen.setdefault(repr(trace.arguments), trace)
            if other is not trace and other.arguments == trace.arguments:
                where = f"{trace.where}.canonicalized_input_signature"
                yield Problem(where, f"the arguments of {other.name!r} too, an earlier trace of {function.path!r}")


@rule("TRACE_UNREACHABLE", level=Level.WARNING)
def trace_unreachable(facts: Facts) -> Iterator[Problem]:
    """No trace stands behind another that takes everything that it takes.

    Traces are tried in the order in which they are listed, and the first that matches is called: the later never is.
    Traces of the very same types are let be: Keras makes them, and they do the same.
    Who breaks: nobody, if both compute the same; else callers get another result than the function gave before it was
    saved.
    Instead: trace the more particular one first.
    """
    left = MAX_COMPARISONS
    for function in facts.meta_graph.functions.values():
        distinct: dict[str, tuple[Function, int]] = {}  # the first of those that take the very same
        for later, trace in enumerate(
            facts.functions[name] for name in function.trace_names if name in facts.functions
        ):
            arguments = repr(trace.arguments)
            for same, (earlier, size) in distinct.items():
                left -= size
                if left < 0:
                    return
                if same != arguments and _shadows(earlier.arguments, trace.arguments):
                    where = f"{function.where}.function.concrete_functions[{later}]"
                    problem = f"is never called: {earlier.name!r} stands before it and takes all that it takes"
                    yield Problem(where, problem, got=repr(trace.name))
                    break
            distinct.setdefault(arguments, (trace, 1 + sum(1 for _ in leaves(trace.arguments))))


def _misplaced(spec: CallSpec, args: tuple[Structure, ...]) -> str:
    """Which tensor stands where one parameter is and bears the name of another; empty when none does."""
    for position, (value, parameter) in enumerate(zip(args, spec.args, strict=False)):
        if isinstance(value, TensorSpec) and value.name != parameter and value.name in spec.args:
            return f"{value.name!r} as argument {position}, which is {parameter!r}"
    return ""


def takes_all_of(one: Structure, other: Structure) -> bool:
    """Whether a trace of the first arguments takes everything that one of the second takes."""
    if isinstance(one, TensorSpec) and isinstance(other, TensorSpec):
        return one.dtype == other.dtype and is_subtype(other.shape, one.shape)
    if isinstance(one, SPECS) or isinstance(other, SPECS):
        return one == other
    here, there = children(one), children(other)
    if here is None or there is None:
        return bool(one == other) and here is there
    if type(one) is not type(other) or [key for key, _ in here] != [key for key, _ in there]:
        return False
    return all(takes_all_of(first, second) for (_, first), (_, second) in zip(here, there, strict=True))


def _shadows(one: Structure, other: Structure) -> bool:
    """Whether a trace takes all that another takes, and more: Keras makes traces of the same types on purpose."""
    return takes_all_of(one, other) and not takes_all_of(other, one)


def _same(wanted: Structure, taken: Structure) -> bool:
    """Whether a trace takes what an input signature says: lists and tuples are alike."""
    if isinstance(wanted, TensorSpec) and isinstance(taken, TensorSpec):
        same_name = wanted.name == taken.name or not (wanted.name and taken.name)
        return wanted.dtype == taken.dtype and wanted.shape == taken.shape and same_name
    if isinstance(wanted, SPECS) or isinstance(taken, SPECS):
        return type(wanted) is type(taken) and compatible(getattr(wanted, "shape", ""), getattr(taken, "shape", ""))
    here, there = children(wanted), children(taken)
    if here is None or there is None:
        return here is there
    return len(here) == len(there) and all(
        _same(first, second) for (_, first), (_, second) in zip(here, there, strict=True)
    )


def _words(value: Structure) -> str:
    return str(value)[:120]
