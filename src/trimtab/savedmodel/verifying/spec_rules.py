"""Rules of FunctionSpecs and structured values: they are what Python functions and TensorFlow make of them."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from trimtab.findings import Level, Problem, rule
from trimtab.savedmodel.function_spec import call_spec, numbered
from trimtab.savedmodel.object_protos import StructuredValue
from trimtab.savedmodel.structure import (
    RaggedTensorSpec,
    SparseTensorSpec,
    components,
    leaves,
)
from trimtab.savedmodel.structure import type_spec as spec_of
from trimtab.savedmodel.verifying.words import listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.savedmodel.function_spec import CallSpec
    from trimtab.savedmodel.object_protos import FunctionSpec
    from trimtab.savedmodel.structure import Structure
    from trimtab.savedmodel.verifying.facts import Facts


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
                expected = f"{copy}, as {name} repeats it"
                yield Problem(where, "the parameters, defaults and input signature", expected, str(function.spec))
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
        problem = unbound(spec, *function.arguments)
        if problem:
            yield Problem(where, f"{bare.concrete_function_name!r} takes", f"what binds to {spec}", problem)


@rule("VALUE_EMPTY")
def value_empty(facts: Facts) -> Iterator[Problem]:
    """Every structured value is something: None is a `none_value`, and not a value without a kind.

    Who breaks: TensorFlow 2 refuses the model: it finds no decoder for the value.
    Instead: set the value that was meant.
    """
    for where, value in facts.structured_values():
        waiting = [value]
        while waiting:
            inside, kinds = _inside(waiting.pop())
            if not kinds:
                yield Problem(where, "holds a value of no kind")
                break
            waiting += inside


@rule("TYPE_SPEC")
def type_spec(facts: Facts) -> Iterator[Problem]:
    """A composite type is of a known form: its class, the name of the class and the number of its tensors agree.

    Who breaks: TensorFlow 2 makes another type of it, or refuses the model; dispatch no longer finds the trace.
    Instead: write the spec as `tf.TypeSpec` serializes itself.
    """
    for where, value in facts.structured_values():
        waiting = [value]
        while waiting:
            item = waiting.pop()
            waiting += _inside(item)[0]
            stated = item.type_spec_value
            if stated is None or stated.type_spec_class not in _TYPE_SPECS:
                continue
            kind, name = _TYPE_SPECS[stated.type_spec_class]
            spec = spec_of(stated)
            if not isinstance(spec, kind) or stated.type_spec_class_name not in ("", name):
                got = f"class {stated.type_spec_class}, {stated.type_spec_class_name!r}, with another state"
                yield Problem(where, f"what a {name} is made of", f"class and state of a {name}", got)
            elif stated.num_flat_components not in (0, len(components(spec))):
                got = str(stated.num_flat_components)
                yield Problem(where, f"the components of a {name}", str(len(components(spec))), got)


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


@rule("DEFAULT_NAN", level=Level.NOTE)
def default_nan(facts: Facts) -> Iterator[Problem]:
    """No default is NaN.

    Who breaks: NaN is unequal to itself, so that a call that leaves the argument to its default matches no trace.
    Instead: use None, or another value that stands for nothing.
    """
    for function in facts.meta_graph.functions.values():
        spec = function.spec
        if _has_nan((*spec.defaults, *spec.kwonlydefaults.values())):
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
        expected = numbered([name for name in given if name is not None])
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


def unbound(spec: CallSpec, args: tuple[Structure, ...], kwargs: dict[str, Structure]) -> str:
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
    """Whether a trace's parameters are the function's; what went into `*args` and `**kwargs` became parameters.

    Defaults and input signatures are repeated by TensorFlow 2.12, and left out by 2.21.
    """
    if copy.defaults and copy.defaults != spec.defaults and not _has_nan(spec.defaults):
        return False
    if copy.input_signature is not None and copy.input_signature != spec.input_signature:
        return False
    if spec.varargs is None and spec.varkw is None:
        return _parameters(copy) == _parameters(spec)
    return copy.args[: len(spec.args)] == spec.args and set(spec.kwonlyargs) <= set(copy.kwonlyargs)


def _has_nan(values: tuple[Structure, ...]) -> bool:
    return any(isinstance(value, float) and math.isnan(value) for each in values for value in leaves(each))


def _parameters(spec: CallSpec) -> str:
    """The parameters without what a bare function does not repeat: defaults."""
    star = f"*{spec.varargs}" if spec.varargs else "*" if spec.kwonlyargs else ""
    return ", ".join(filter(None, [*spec.args, star, *spec.kwonlyargs, f"**{spec.varkw}" if spec.varkw else ""]))


_TYPE_SPECS: dict[int, tuple[type, str]] = {
    1: (SparseTensorSpec, "SparseTensorSpec"),
    3: (RaggedTensorSpec, "RaggedTensorSpec"),
}
"""The composite types by the number of their class."""

_FULL_ARG_SPEC = ("args", "varargs", "varkw", "defaults", "kwonlyargs", "kwonlydefaults", "annotations")
