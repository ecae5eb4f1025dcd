"""Rules of places 3 and 4: a SavedFunction, its parameters and its traces, and the bare functions that repeat them."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from trimtab.findings import Level, Problem, rule
from trimtab.savedmodel.function_spec import call_spec
from trimtab.savedmodel.object_protos import StructuredValue
from trimtab.savedmodel.structure import SPECS, TensorSpec, children
from trimtab.savedmodel.verifying.tensors import compatible, covers
from trimtab.savedmodel.verifying.words import listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.savedmodel.function_spec import CallSpec
    from trimtab.savedmodel.links import PolymorphicFunction
    from trimtab.savedmodel.object_protos import FunctionSpec
    from trimtab.savedmodel.structure import Structure
    from trimtab.savedmodel.verifying.facts import Facts

MAX_COMPARISONS = 200_000
"""How many leaves of traces are compared with one another, over all functions: a bomb has no more than models have."""


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
            problem = _unbound(spec, args, kwargs)
            if problem:
                where = f"{trace.where}.canonicalized_input_signature"
                yield Problem(where, f"does not bind to {function.path}{spec}", got=problem)


@rule("FUNCTION_SPEC")
def function_spec(facts: Facts) -> Iterator[Problem]:
    """A FunctionSpec describes a Python function that can exist, and the bare functions of its traces say the same.

    `fullargspec` has the seven fields of `inspect.FullArgSpec`; parameter names are distinct; keyword-only defaults
    belong to keyword-only parameters; what bare functions repeat of the parameters is the same.
    Who breaks: whoever passes arguments by name, or counts on a default; TensorFlow 2 may refuse the model.
    Instead: correct the copy that is wrong.
    """
    for where, proto in facts.function_specs():
        named = proto.fullargspec.named_tuple_value
        fields = [pair.key for pair in named.values] if named is not None else []
        if fields != list(_FULL_ARG_SPEC):
            yield Problem(f"{where}.fullargspec", "its fields", listed(_FULL_ARG_SPEC), listed(fields))
            continue
        spec = call_spec(proto, where)
        names = [*spec.args, *spec.kwonlyargs, *filter(None, (spec.varargs, spec.varkw))]
        if len(set(names)) != len(names) or "" in names:
            yield Problem(where, "names of parameters are repeated or empty", got=listed(names))
        if proto.is_method and not spec.args and not _has_self(proto):
            yield Problem(f"{where}.is_method", "the function has no first argument that could be the object")
        strangers = set(spec.kwonlydefaults) - set(spec.kwonlyargs)
        if strangers:
            yield Problem(where, "defaults of parameters that are not keyword-only", got=listed(sorted(strangers)))
        entries = len(spec.input_signature or ())
        least, most = len(spec.args) - len(spec.defaults), len(spec.args) + len(spec.kwonlyargs)
        given = spec.input_signature is not None
        if given and (entries < least or (entries > most and spec.varargs is None)):
            expected = f"{least} to {most}, one for each parameter"
            yield Problem(f"{where}.input_signature", "the number of entries", expected, str(entries))
    objects = facts.objects
    for function in facts.meta_graph.functions.values():
        for name, node_id in objects.children[function.node_id].items() if objects is not None else ():
            if objects is None or not name.startswith("trace_") or not 0 <= node_id < len(objects.nodes):
                continue
            bare = objects.nodes[node_id].bare_concrete_function
            if bare is None or bare.function_spec is None:
                continue
            copy = call_spec(bare.function_spec, facts.node_where(node_id))
            if not _repeats(copy, function.spec):
                where = f"{function.where}.function.function_spec"
                expected = f"({_parameters(copy)}), as {name} repeats them"
                yield Problem(where, "the parameters", expected, f"({_parameters(function.spec)})")
                break


@rule("BARE_PARAMETERS")
def bare_parameters(facts: Facts) -> Iterator[Problem]:
    """The arguments of a bare function bind to the parameters of its own FunctionSpec.

    Who breaks: callers of the signature, or of the trace: TensorFlow 2 binds to these parameters first.
    Instead: name the function's arguments in the FunctionSpec.
    """
    for node_id, bare in facts.bare_functions():
        function = facts.functions.get(bare.concrete_function_name)
        if function is None or bare.function_spec is None:
            continue
        where = f"{facts.node_where(node_id)}.bare_concrete_function.function_spec"
        spec = call_spec(bare.function_spec, where)
        problem = _unbound(spec, *function.arguments)
        if problem:
            yield Problem(where, f"{bare.concrete_function_name!r} takes", f"what binds to {spec}", problem)


@rule("VALUE_EMPTY")
def value_empty(facts: Facts) -> Iterator[Problem]:
    """Every structured value is something: None is a `none_value`, and not a value without a kind.

    Who breaks: TensorFlow 2 refuses the model: it finds no decoder for the value.
    Instead: set the value that was meant.
    """
    values = [(f"{where}.{name}", getattr(proto, name)) for where, proto in facts.function_specs() for name in _IN_SPEC]
    for function in facts.functions.values():
        if function.saved is not None:
            values += [(f"{function.where}.{name}", getattr(function.saved, name)) for name in _IN_FUNCTION]
    for where, value in values:
        waiting = [value]
        while waiting:
            inside, kinds = _inside(waiting.pop())
            if not kinds:
                yield Problem(where, "holds a value of no kind")
                break
            waiting += inside


_FULL_ARG_SPEC = ("args", "varargs", "varkw", "defaults", "kwonlyargs", "kwonlydefaults", "annotations")
_IN_SPEC = ("fullargspec", "input_signature")
_IN_FUNCTION = ("canonicalized_input_signature", "output_signature")


def _has_self(proto: FunctionSpec) -> bool:
    """Whether there is a first argument; `call_spec` leaves that of a method out."""
    named = proto.fullargspec.named_tuple_value
    args = next((pair.value.list_value for pair in named.values if pair.key == "args"), None) if named else None
    return args is not None and len(args.values) > 0


def _inside(value: StructuredValue) -> tuple[list[StructuredValue], int]:
    """The values directly inside a value, and how many kinds it has set."""
    kinds = sum(getattr(value, name) is not None for name in StructuredValue.__struct_fields__)
    inside: list[StructuredValue] = []
    if value.list_value is not None:
        inside += value.list_value.values
    if value.tuple_value is not None:
        inside += value.tuple_value.values
    if value.dict_value is not None:
        inside += value.dict_value.fields.values()
    if value.named_tuple_value is not None:
        inside += [pair.value for pair in value.named_tuple_value.values]
    if value.type_spec_value is not None:
        inside += [value.type_spec_value.type_state] if value.type_spec_value.type_state is not None else []
    return inside, kinds


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
        traces = [facts.functions[name] for name in function.trace_names if name in facts.functions]
        for later, trace in enumerate(traces):
            for earlier in traces[:later]:
                left -= 1 + len(earlier.inputs)
                if left < 0:
                    return
                if trace is not earlier and _shadows(earlier.arguments, trace.arguments):
                    where = f"{function.where}.function.concrete_functions[{later}]"
                    problem = f"is never called: {earlier.name!r} stands before it and takes all that it takes"
                    yield Problem(where, problem, got=repr(trace.name))
                    break


@rule("DEFAULT_NAN", level=Level.NOTE)
def default_nan(facts: Facts) -> Iterator[Problem]:
    """No default is NaN.

    Who breaks: NaN is unequal to itself, so that a call that leaves the argument to its default matches no trace.
    Instead: use None, or another value that stands for nothing.
    """
    for function in facts.meta_graph.functions.values():
        spec = function.spec
        for value in (*spec.defaults, *spec.kwonlydefaults.values()):
            if isinstance(value, float) and value != value:  # noqa: PLR0124 only NaN differs from itself
                where = f"{function.where}.function.function_spec"
                yield Problem(where, "a default that no trace can match", got="nan")


@rule("BARE_KEYWORDS")
def bare_keywords(facts: Facts) -> Iterator[Problem]:
    """A bare function's `argument_keywords` are the names of its FunctionDef's arguments, repeated ones numbered.

    Who breaks: whoever calls a signature or a trace by name: TensorFlow 2 binds keywords to arguments by their position
    in this list, and checks nothing else.
    Instead: list the names in the FunctionDef's order.
    """
    for node_id, bare in facts.bare_functions():
        where = f"{facts.node_where(node_id)}.bare_concrete_function"
        function = facts.functions.get(bare.concrete_function_name)
        if function is None or not function.complete:
            continue
        keywords = list(bare.argument_keywords)
        taken = len(function.inputs)
        given = function.argument_names[:taken]
        expected = _numbered([name for name in given if name is not None])
        if len(keywords) != taken:
            problem = "the number of argument_keywords"
            yield Problem(where, problem, f"{taken}, as the function takes", str(len(keywords)))
        elif len(expected) == taken and keywords != expected:
            yield Problem(where, "argument_keywords", listed(expected), listed(keywords))
        positional = bare.allowed_positional_arguments
        if positional not in _positional(facts, node_id, len(keywords)):
            allowed = " or ".join(map(str, sorted(_positional(facts, node_id, len(keywords)))))
            yield Problem(where, "allowed_positional_arguments", allowed, str(positional))


def _positional(facts: Facts, node_id: int, count: int) -> set[int]:
    """How many arguments may be positional: of a signature, a single one; of a trace that never was one, all."""
    as_signature = 1 if count == 1 else 0
    return {as_signature} if node_id in facts.signature_nodes else {as_signature, count}


def takes_all_of(one: Structure, other: Structure) -> bool:
    """Whether a trace of the first arguments takes everything that one of the second takes."""
    if isinstance(one, TensorSpec) and isinstance(other, TensorSpec):
        return one.dtype == other.dtype and covers(one.shape, other.shape)
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


def _unbound(spec: CallSpec, args: tuple[Structure, ...], kwargs: dict[str, Structure]) -> str:
    """Why arguments do not bind; empty when they do."""
    if len(args) < len(spec.args) or (len(args) > len(spec.args) and spec.varargs is None):
        return f"{len(args)} positional arguments"
    names = {_sanitized(name) for name in spec.kwonlyargs}
    missing = names - set(kwargs)
    unknown = set(kwargs) - names if spec.varkw is None else set()
    if missing or unknown:
        return f"the keywords {listed(sorted(kwargs))}"
    return ""


def _sanitized(name: str) -> str:
    cleaned = re.sub(r"[^a-zA-Z0-9]", "_", name)
    return cleaned if cleaned[:1].isalpha() else f"arg_{cleaned}"


def _repeats(copy: CallSpec, spec: CallSpec) -> bool:
    """Whether a trace's parameters are the function's; what went into `*args` and `**kwargs` became parameters."""
    if spec.varargs is None and spec.varkw is None:
        return _parameters(copy) == _parameters(spec)
    return copy.args[: len(spec.args)] == spec.args and set(spec.kwonlyargs) <= set(copy.kwonlyargs)


def _parameters(spec: CallSpec) -> str:
    """The parameters without what a bare function does not repeat: defaults."""
    star = f"*{spec.varargs}" if spec.varargs else "*" if spec.kwonlyargs else ""
    return ", ".join(filter(None, [*spec.args, star, *spec.kwonlyargs, f"**{spec.varkw}" if spec.varkw else ""]))


def _numbered(names: list[str]) -> list[str]:
    """As TensorFlow makes names distinct: `x`, `x_1`, `x_2`."""
    found: dict[str, None] = {}
    counts: dict[str, int] = {}
    for name in names:
        proposal = name
        while proposal in found:
            counts[name] = counts.get(name, 0) + 1
            proposal = f"{name}_{counts[name]}"
        found[proposal] = None
    return list(found)


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
