"""Rules of place 5 against place 1: a SavedConcreteFunction takes and gives what the FunctionDef of its name does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trimtab.findings import Level, Problem, rule
from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.verifying.tensors import compatible
from trimtab.savedmodel.verifying.words import shape_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.savedmodel.verifying.facts import Facts


@rule("FUNCTION_DEF_MISSING")
def function_def_missing(facts: Facts) -> Iterator[Problem]:
    """Every SavedConcreteFunction has a FunctionDef of its name.

    Who breaks: TensorFlow 2 refuses the model with `KeyError: 'name'`.
    Instead: restore the FunctionDef, or remove the entry and the nodes that name it.
    """
    for name in facts.objects.concrete_functions if facts.objects is not None else ():
        if name not in facts.meta_graph.library:
            where = f"{facts.where}.object_graph_def.concrete_functions[{name!r}]"
            yield Problem(where, "no function of the library has this name")


@rule("CONCRETE_FUNCTION_MISSING")
def concrete_function_missing(facts: Facts) -> Iterator[Problem]:
    """Every function that a node names, as a trace or as a bare function, has a SavedConcreteFunction.

    Who breaks: TensorFlow 2 refuses the model with `TypeError: cannot unpack non-iterable NoneType object` or a bare
    `KeyError`.
    Instead: name a function of `concrete_functions`, or take the name away.
    """
    if facts.objects is None:
        return
    for node_id, name in facts.named_functions():
        if name not in facts.objects.concrete_functions:
            where = facts.node_where(node_id)
            yield Problem(where, "names a function that concrete_functions lacks", got=repr(name))


@rule("CONCRETE_FUNCTION_UNUSED", level=Level.WARNING)
def concrete_function_unused(facts: Facts) -> Iterator[Problem]:
    """Every SavedConcreteFunction belongs to a node: a trace of a SavedFunction, or a SavedBareConcreteFunction.

    Functions that compute custom gradients are the exception: they belong to the library.
    Who breaks: nobody can call such a function; a trace that was meant to be there is not tried.
    Instead: list it among the traces that it belongs to, or remove it.
    """
    if facts.objects is None:
        return
    named = {name for _, name in facts.named_functions()} | facts.gradient_functions
    for name in facts.objects.concrete_functions:
        if name not in named:
            where = f"{facts.where}.object_graph_def.concrete_functions[{name!r}]"
            yield Problem(where, "no node names this function")


@rule("FUNCTION_ARITY")
def function_arity(facts: Facts) -> Iterator[Problem]:
    """A FunctionDef takes the flattened declared arguments, then the captures, and nothing else; likewise its results.

    Who breaks: callers in TensorFlow 2, at the call: `Signature specifies 4 arguments, got: 3`.
    Instead: correct `bound_inputs`, `canonicalized_input_signature` or `output_signature`.
    """
    for function in facts.functions.values():
        if not function.complete:
            declared, bound, taken = len(function.inputs), len(function.bound), len(function.input_args)
            expected = f"{taken}, as the FunctionDef takes"
            got = f"{declared} declared and {bound} bound_inputs"
            yield Problem(function.where, "the number of arguments", expected, got)
        results = len(function.definition.signature.output_arg)
        if results != len(function.results):
            where = f"{function.where}.output_signature"
            yield Problem(
                where, "the number of results", f"{results}, as the FunctionDef gives", str(len(function.results))
            )


@rule("FUNCTION_DTYPE")
def function_dtype(facts: Facts) -> Iterator[Problem]:
    """Declared arguments and results have the dtypes of the FunctionDef's.

    Who breaks: TensorFlow never compares them. It dispatches by the declared dtype and then runs the other: the call
    fails, or a tool that reads the declaration sends the wrong dtype.
    Instead: make `canonicalized_input_signature` and `output_signature` what the FunctionDef takes and gives.
    """
    for function, field, flat, argument, _ in facts.declared():
        known = flat.whole or flat.spec.dtype != "variant"
        if known and flat.spec.dtype != dtype_name(argument.type):
            where = f"{function.where}.{field} at {flat.path}"
            expected = f"{dtype_name(argument.type)}, as argument {argument.name!r} of the FunctionDef"
            yield Problem(where, "the dtype", expected, flat.spec.dtype)


@rule("FUNCTION_SHAPE")
def function_shape(facts: Facts) -> Iterator[Problem]:
    """Declared arguments and results have the static shapes that the FunctionDef was traced with.

    Who breaks: TensorFlow never compares them. It picks traces by the declared shape and runs code that was built for
    another; converters and servers allocate for the wrong one.
    Instead: make the declared shape the traced one.
    """
    for function, field, flat, argument, traced in facts.declared():
        if isinstance(traced, str):
            continue
        same = traced == flat.spec.shape if flat.whole else compatible(traced, flat.spec.shape)
        if not same:
            where = f"{function.where}.{field} at {flat.path}"
            expected = f"{shape_words(traced)}, as {argument.name!r} of the FunctionDef"
            yield Problem(where, "the shape", expected, shape_words(flat.spec.shape))


@rule("FUNCTION_ARGUMENT_NAME")
def function_argument_name(facts: Facts) -> Iterator[Problem]:
    """A declared argument has the name that the FunctionDef's argument at its position was given.

    Arguments of one dtype can change places without any error; their names are what tells. Below an argument that is a
    structure, the keys may be part of the name (`batch_ids`).
    Who breaks: whoever passes arguments by name gets another function's result.
    Instead: put the arguments in the FunctionDef's order, which for signatures is that of the sorted names.
    """
    for function in facts.functions.values():
        if not function.complete:
            continue
        for flat, given, argument in zip(function.inputs, function.argument_names, function.input_args, strict=False):
            if given is None:
                continue
            if not re.fullmatch(re.escape(_begun(given)) + r"(_\d+)?", _begun(argument.name)):
                where = f"{function.body_where}.signature.input_arg"
                yield Problem(where, "the name of an argument", f"{given!r}, as in arg_attr", repr(argument.name))
            if not flat.whole:
                continue
            if normal(flat.spec.name) not in (normal(given), normal("_".join([given, *map(str, flat.keys[1:])]))):
                where = f"{function.where}.canonicalized_input_signature at {flat.path}"
                yield Problem(where, "the name", f"{given!r}, as the FunctionDef's argument", repr(flat.spec.name))


@rule("FUNCTION_RESULT_NAME")
def function_result_name(facts: Facts) -> Iterator[Problem]:
    """A declared result has the name that its place in the structure gives it: the keys that lead to it.

    TensorFlow names the results of a trace so when it makes it: `score` in `{"score": ...}`, `tensor_0` in a tuple.
    Who breaks: results are handed out in the order of the sorted keys: a key that was changed alone is another
    result's label.
    Instead: keep the key, or add a signature that renames it.
    """
    for function in facts.functions.values():
        if len(function.results) != len(function.definition.signature.output_arg):
            continue
        for flat in function.results:
            expected = "_".join(map(str, flat.keys)) or "unknown"
            if flat.keys and isinstance(flat.keys[0], int):
                expected = f"tensor_{expected}"
            if flat.whole and flat.spec.name and normal(flat.spec.name) != normal(expected):
                where = f"{function.where}.output_signature at {flat.path}"
                yield Problem(where, "the name", repr(expected), repr(flat.spec.name))


def normal(name: str) -> str:
    """A name as it is compared: in lower case, without what a node's name cannot hold, and beginning with a letter."""
    cleaned = re.sub(r"[^a-z0-9]+", "_", name.lower())
    return cleaned if cleaned[:1].isalpha() or not cleaned else f"arg_{cleaned}"


def _begun(name: str) -> str:
    """A name as a FunctionDef's argument bears it: what comes before the first letter is left out."""
    return re.sub(r"^[^a-z]+", "", re.sub(r"[^a-z0-9]+", "_", name.lower()))
