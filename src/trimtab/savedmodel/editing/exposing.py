"""The signature that TensorFlow itself would make of a function: the names of its inputs, the names of its outputs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from trimtab.errors import ArtifactError
from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.editing.wrapper import HANDLES, Capture, Input, Output, Result, Wrapper, is_stateful
from trimtab.savedmodel.function_spec import numbered
from trimtab.savedmodel.graph_protos import TensorShapeProto
from trimtab.savedmodel.message import decode
from trimtab.savedmodel.messages import serialize
from trimtab.savedmodel.object_protos import SavedConcreteFunction
from trimtab.savedmodel.structure import (
    SPECS,
    NamedTuple,
    OtherTypeSpec,
    TensorSpec,
    children,
    components,
    leaves,
    structure,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trimtab.savedmodel.editing.draft import Draft
    from trimtab.savedmodel.editing.wrapper import Argument
    from trimtab.savedmodel.graph_protos import Shape
    from trimtab.savedmodel.structure import Structure


def expose(draft: Draft, name: str) -> Wrapper:
    """The signature that TensorFlow itself would make of the function `name`: its input names, its outputs.

    ArtifactError when the function cannot be served: it takes what cannot be fed, or returns nothing.
    """
    function = draft.functions[name]
    where = f"{draft.meta_graph.where}: function {name!r}"
    saved = _saved(draft, name)
    bound = saved.bound_inputs if saved else ()
    count = len(function.signature.input_arg) - len(bound)
    own = _own_names(function, max(count, 0))
    shapes = [_noted_shape(function, position) for position in range(count)]
    names = numbered(own)
    if saved is not None:
        tensors = _structured(draft, name, saved)
        if len(tensors) != count:
            raise _arity(where, "arguments besides the captures", str(len(tensors)), count)
        shapes = [each.spec.shape if each.spec.dtype else shape for each, shape in zip(tensors, shapes, strict=True)]
        names = _input_names(own, tensors)
    elif any(each.type in HANDLES for each in function.signature.input_arg):
        raise ArtifactError(
            "a function whose captures are not recorded",
            where=where,
            expected="the name of a trace or of a signature",
            hint="Only functions that the object graph lists say which variables they use.",
        )
    arguments: list[Argument] = []
    for position, argument in enumerate(function.signature.input_arg):
        if position >= count:
            attributes = serialize(function.arg_attr[position]) if position in function.arg_attr else b""
            arguments.append(Capture(bound[position - count], serialize(argument), attributes))
            continue
        if argument.type in HANDLES:
            raise ArtifactError(
                where=where,
                expected="arguments that are plain tensors",
                got=f"{names[position]!r} of dtype {dtype_name(argument.type)}",
                hint="A variable or table that is passed as an argument cannot be fed by a request.",
            )
        arguments.append(Input(names[position], argument.type, shapes[position], alias=own[position]))
    return Wrapper(
        callee=name,
        stateful=is_stateful(function),
        arguments=tuple(arguments),
        result_dtypes=tuple(each.type for each in function.signature.output_arg),
        outputs=_outputs(structure(saved.output_signature) if saved else None, function, where),
    )


def _saved(draft: Draft, name: str) -> SavedConcreteFunction | None:
    if name not in draft.concrete_functions:
        return None
    where = f"{draft.meta_graph.where}.object_graph_def.concrete_functions[{name!r}]"
    return decode(SavedConcreteFunction, draft.concrete_functions.content(name), where)


class _Tensor(Struct, frozen=True):
    """One tensor of the structured arguments: its shape, and where it lies: `d`, then `z`, `y` inside `d`."""

    spec: TensorSpec
    parameter: str
    path: tuple[str, ...]


def _structured(draft: Draft, name: str, saved: SavedConcreteFunction) -> list[_Tensor]:
    """The tensors of the structured arguments, in the order of the flat ones."""
    value = structure(saved.canonicalized_input_signature)
    match value:
        case (tuple(positional), dict(by_keyword)):
            named = [
                *zip(_parameters(draft, name, len(positional)), positional, strict=True),
                *sorted(by_keyword.items()),
            ]
        case _:
            named = [("", value)]
    return [
        _Tensor(part, parameter, path)
        for parameter, argument in named
        for path, leaf in _leaves(argument, ())
        for part in _components(leaf)
    ]


def _parameters(draft: Draft, name: str, count: int) -> list[str]:
    """The names of the Python function's positional parameters; empty where the function is no trace."""
    for function in draft.meta_graph.functions.values() if count else ():
        if name in function.saved.concrete_functions:
            spec = function.spec
            names = [*spec.args, *(f"{spec.varargs}_{at}" for at in range(count - len(spec.args)))]
            return names[:count]
    return [""] * count


def _leaves(value: Structure, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Structure]]:
    inside = children(value)
    if inside is None:
        yield path, value
        return
    for key, child in inside:
        yield from _leaves(child, (*path, str(key)))


def _components(leaf: Structure) -> tuple[TensorSpec, ...]:
    if isinstance(leaf, OtherTypeSpec):
        return (TensorSpec("", None),) * leaf.num_flat_components
    return components(leaf) if isinstance(leaf, SPECS) else ()


def _noted_shape(function: Any, position: int) -> Shape:
    if position not in function.arg_attr or "_output_shapes" not in function.arg_attr[position].attr:
        return None
    shapes = function.arg_attr[position].attr["_output_shapes"].list.shape
    return decode(TensorShapeProto, serialize(shapes[0]), "_output_shapes").shape if shapes else None


def _input_names(own: Sequence[str], tensors: Sequence[_Tensor]) -> list[str]:
    """The names that TensorFlow would give the inputs: what the user called them, with numbers where names are equal.

    own: what the tracer noted. Where the user has not named them, it calls tensors inside a structure by their paths,
    `d_z_y`, and all in lower case; a signature calls them by the parameter, `d`, `d_1`.
    Source: `_set_arg_keywords` in tensorflow/python/eager/polymorphic_function/tracing_compilation.py.
    """
    wanted = list(own)
    for position, tensor in enumerate(tensors):
        traced = _plain("_".join((tensor.parameter, *tensor.path)))
        noted = _plain(own[position]) if tensor.path else own[position]
        if tensor.parameter and noted == traced:
            wanted[position] = tensor.parameter
    return numbered(wanted)


def _own_names(function: Any, count: int) -> list[str]:
    """What the user called the arguments, as the tracer noted it."""
    names = []
    for position, argument in enumerate(function.signature.input_arg[:count]):
        noted = function.arg_attr[position].attr["_user_specified_name"].s if position in function.arg_attr else b""
        names.append(noted.decode(errors="replace") or str(argument.name))
    return names


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "_", name.lower())


def _outputs(value: Structure, function: Any, where: str) -> tuple[Output, ...]:
    """The outputs under the names that TensorFlow gives them: keys, fields, or output_0 and so on."""
    results = list(function.signature.output_arg)
    if any(each.type in HANDLES for each in results):
        raise ArtifactError(
            where=where,
            expected="results that are plain tensors",
            got="a handle of a table, dataset or variable",
            hint="It means nothing outside the process that runs the model.",
        )
    if value is None and results:
        value = [TensorSpec(dtype_name(each.type), None) for each in results]
    named: list[tuple[str, Structure]]
    if isinstance(value, dict | NamedTuple):
        named = [(str(key), each) for key, each in children(value) or ()]
    else:
        several = value if isinstance(value, list | tuple) else [value]
        named = [(f"output_{position}", each) for position, each in enumerate(several)]
    outputs: list[Output] = []
    position = 0
    for key, each in named:
        specs = [leaf for leaf in leaves(each) if isinstance(leaf, SPECS)]
        for number, spec in enumerate(specs):
            parts = components(spec)
            taken = results[position : position + len(parts)]
            if len(taken) < len(parts):
                raise _arity(where, "results", "more", len(results))
            made = tuple(
                Result(position + at, argument.type, part.shape)
                for at, (argument, part) in enumerate(zip(taken, parts, strict=True))
            )
            outputs.append(Output(key if len(specs) == 1 else f"{key}_{number}", spec, made))
            position += len(parts)
    if position != len(results):
        raise _arity(where, "results", str(position), len(results))
    if not outputs:
        raise ArtifactError(
            where=where,
            expected="a function that returns tensors",
            got="one that returns none",
            hint="TensorFlow serves no function without outputs.",
        )
    keys = [output.key for output in outputs]
    if len(set(keys)) != len(keys):
        raise ArtifactError("a nested result whose outputs would share a name", where=where, got=", ".join(keys))
    return tuple(outputs)


def _arity(where: str, what: str, expected: str, got: int) -> ArtifactError:
    return ArtifactError(
        where=where,
        expected=f"{expected} {what}, as its structured signature says",
        got=str(got),
        hint="The places contradict each other: see what trimtab verify says of the model.",
    )
