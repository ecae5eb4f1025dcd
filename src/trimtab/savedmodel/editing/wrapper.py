"""What a signature does, apart from how it is written: which function it calls, with what, and what it returns.

TensorFlow serves a function through a wrapper that takes keywords and returns a dict. Edits are done on this view of
a wrapper and never on the written one: there the order of arguments is that of their sorted names, so that renaming in
place swaps inputs in silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from trimtab.errors import ArtifactError
from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.editing.names import keyword_of
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
    from collections.abc import Iterable, Sequence

    from trimtab.savedmodel.editing.draft import Draft
    from trimtab.savedmodel.graph_protos import Shape
    from trimtab.savedmodel.structure import Spec, Structure

CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
"""The ops that call a function of the library."""

_RESOURCE, _VARIANT = 20, 21


class Input(Struct, frozen=True):
    """An argument that the signature's caller feeds. dtype: by number. default: a TensorProto serialized, or empty."""

    name: str
    dtype: int
    shape: Shape
    default: bytes = b""


class Capture(Struct, frozen=True):
    """An argument that is fed with an object of the model. argument: the callee's ArgDef, attributes: its arg_attr."""

    node_id: int
    argument: bytes
    attributes: bytes = b""


class Constant(Struct, frozen=True):
    """An argument that is fixed. tensor: a TensorProto serialized."""

    dtype: int
    tensor: bytes


Argument: TypeAlias = Input | Capture | Constant


class Result(Struct, frozen=True):
    """One tensor that the callee returns: its position there, dtype and shape."""

    position: int
    dtype: int
    shape: Shape


class Output(Struct, frozen=True):
    """A named output, and the tensors that make it up: one, or those of a composite."""

    key: str
    spec: Spec
    results: tuple[Result, ...]


class Wrapper(Struct, frozen=True):
    """A signature as a call.

    callee: the function that is called, with `arguments` in its own order. result_dtypes: of all that it returns.
    stateful: whether the call has effects, or reads what has.
    """

    callee: str
    stateful: bool
    arguments: tuple[Argument, ...]
    result_dtypes: tuple[int, ...]
    outputs: tuple[Output, ...]

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What the caller feeds, each once, in the order in which TensorFlow binds it: by keyword."""
        fed = {each.name: each for each in self.arguments if isinstance(each, Input)}
        return tuple(sorted(fed.values(), key=lambda each: keyword_of(each.name)))

    def with_arguments(self, arguments: Iterable[Argument]) -> Wrapper:
        """The same call, given other arguments."""
        return replace(self, arguments=tuple(arguments))

    @property
    def captures(self) -> tuple[Capture, ...]:
        """What the model feeds, in the callee's order."""
        return tuple(each for each in self.arguments if isinstance(each, Capture))


def expose(draft: Draft, name: str) -> Wrapper:
    """The signature that TensorFlow itself would make of the function `name`: its input names, its outputs.

    ArtifactError when the function cannot be served: it takes what cannot be fed, or returns nothing.
    """
    function = draft.functions[name]
    where = f"{draft.meta_graph.where}: function {name!r}"
    saved = _saved(draft, name)
    bound = saved.bound_inputs if saved else ()
    count = len(function.signature.input_arg) - len(bound)
    specs = _input_specs(saved, function, count, where)
    names = _input_names(function, count)
    arguments: list[Argument] = []
    for position, argument in enumerate(function.signature.input_arg):
        if position < count:
            if argument.type in (_RESOURCE, _VARIANT):
                raise ArtifactError(
                    where=where,
                    expected="arguments that are plain tensors",
                    got=f"{names[position]!r} of dtype {dtype_name(argument.type)}",
                    hint="A variable or table that is passed as an argument cannot be fed by a request.",
                )
            arguments.append(Input(names[position], argument.type, specs[position]))
        else:
            attributes = serialize(function.arg_attr[position]) if position in function.arg_attr else b""
            arguments.append(Capture(bound[position - count], serialize(argument), attributes))
    return Wrapper(
        callee=name,
        stateful=is_stateful(function),
        arguments=tuple(arguments),
        result_dtypes=tuple(each.type for each in function.signature.output_arg),
        outputs=_outputs(structure(saved.output_signature) if saved else None, function, where),
    )


def unwrap(draft: Draft, name: str, keywords: Sequence[str]) -> Wrapper:
    """The signature whose wrapper is the function `name`. keywords: its inputs' names, in the arguments' order.

    A wrapper that does more than call one function is itself taken for the callee.
    """
    whole = expose(draft, name)
    fed = [each for each in whole.arguments if isinstance(each, Input)]
    if len(keywords) == len(fed):
        names = iter(keywords)
        whole = whole.with_arguments(
            replace(each, name=next(names)) if isinstance(each, Input) else each for each in whole.arguments
        )
    return _flattened(draft, whole) or whole


def is_stateful(function: Any) -> bool:
    """Whether a FunctionDef must be called by StatefulPartitionedCall."""
    return (
        function.signature.is_stateful
        or any(each.type in (_RESOURCE, _VARIANT) for each in function.signature.input_arg)
        or any(node.op == "StatefulPartitionedCall" for node in function.node_def)
    )


def _flattened(draft: Draft, whole: Wrapper) -> Wrapper | None:
    """The wrapper without its own body, when that is no more than a call, constants and identities."""
    function = draft.functions[whole.callee]
    nodes = {node.name: node for node in function.node_def}
    calls = [node for node in nodes.values() if node.op in CALLS]
    if len(calls) != 1 or any(node.op not in {*CALLS, "Identity", "NoOp", "Const"} for node in nodes.values()):
        return None
    callee = calls[0].attr["f"].func.name
    if callee not in draft.functions:
        return None
    given = {argument.name: each for argument, each in zip(function.signature.input_arg, whole.arguments, strict=True)}
    arguments: list[Argument] = []
    for reference in calls[0].input:
        source = nodes.get(reference.partition(":")[0])
        if reference.startswith("^"):
            return None
        if source is not None and source.op == "Const":
            arguments.append(Constant(source.attr["dtype"].type, serialize(source.attr["value"].tensor)))
        elif reference in given:
            arguments.append(given[reference])
        else:
            return None
    if not set(given.values()) <= set(arguments):
        return None
    positions = []
    for argument in function.signature.output_arg:
        position = _position(function.ret[argument.name], nodes, calls[0].name)
        if position is None:
            return None
        positions.append(position)
    outputs = []
    for output in whole.outputs:
        results = tuple(Result(positions[each.position], each.dtype, each.shape) for each in output.results)
        outputs.append(Output(output.key, output.spec, results))
    dtypes = tuple(calls[0].attr["Tout"].list.type)
    return Wrapper(callee, calls[0].op == "StatefulPartitionedCall", tuple(arguments), dtypes, tuple(outputs))


def _position(reference: str, nodes: dict[str, Any], call: str) -> int | None:
    """Which result of the call the tensor is, through identities."""
    for _ in range(len(nodes)):
        name, _, position = reference.partition(":output:")
        if name == call and position.isdecimal():
            return int(position)
        if name not in nodes or nodes[name].op != "Identity" or not nodes[name].input:
            return None
        reference = nodes[name].input[0]
    return None


def _saved(draft: Draft, name: str) -> SavedConcreteFunction | None:
    if name not in draft.concrete_functions:
        return None
    where = f"{draft.meta_graph.where}.object_graph_def.concrete_functions[{name!r}]"
    return decode(SavedConcreteFunction, draft.concrete_functions.content(name), where)


def _input_specs(saved: SavedConcreteFunction | None, function: Any, count: int, where: str) -> list[Shape]:
    """The shapes of the arguments: of the structured specs, or else what the tracer noted in the function."""
    noted = [_noted_shape(function, position) for position in range(max(count, 0))]
    if saved is None:
        if any(each.type in (_RESOURCE, _VARIANT) for each in function.signature.input_arg):
            raise ArtifactError(
                "a function whose captures are not recorded",
                where=where,
                expected="the name of a trace or of a signature",
                hint="Only functions that the object graph lists say which variables they use.",
            )
        return noted
    dense: list[TensorSpec] = []
    for leaf in leaves(structure(saved.canonicalized_input_signature)):
        if isinstance(leaf, OtherTypeSpec):
            parts: tuple[TensorSpec, ...] = (TensorSpec("", None),) * leaf.num_flat_components
        else:
            parts = components(leaf) if isinstance(leaf, SPECS) else ()
        dense += parts
    if len(dense) != count:
        raise ArtifactError(
            where=where,
            expected=f"{len(dense)} arguments besides the captures, as its structured signature says",
            got=str(count),
            hint="The places contradict each other: see what trimtab verify says of the model.",
        )
    return [part.shape if part.dtype else shape for part, shape in zip(dense, noted, strict=True)]


def _noted_shape(function: Any, position: int) -> Shape:
    if position not in function.arg_attr or "_output_shapes" not in function.arg_attr[position].attr:
        return None
    shapes = function.arg_attr[position].attr["_output_shapes"].list.shape
    return decode(TensorShapeProto, serialize(shapes[0]), "_output_shapes").shape if shapes else None


def _input_names(function: Any, count: int) -> list[str]:
    """The names that TensorFlow would give the inputs: what the user called the arguments, with numbers where equal.

    Source: ConcreteFunction's `_arg_keywords`, tensorflow/python/eager/polymorphic_function/tracing_compilation.py.
    """
    names: list[str] = []
    numbers: dict[str, int] = {}
    for position in range(count):
        own = function.signature.input_arg[position].name
        noted = function.arg_attr[position].attr["_user_specified_name"].s if position in function.arg_attr else b""
        wanted = found = noted.decode(errors="replace") or own
        while found in names:
            numbers[wanted] = numbers.get(wanted, 0) + 1
            found = f"{wanted}_{numbers[wanted]}"
        names.append(found)
    return names


def _outputs(value: Structure, function: Any, where: str) -> tuple[Output, ...]:
    """The outputs under the names that TensorFlow gives them: keys, fields, or output_0 and so on."""
    results = list(function.signature.output_arg)
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
                raise _arity(where, "more", len(results))
            made = tuple(
                Result(position + at, argument.type, part.shape)
                for at, (argument, part) in enumerate(zip(taken, parts, strict=True))
            )
            outputs.append(Output(key if len(specs) == 1 else f"{key}_{number}", spec, made))
            position += len(parts)
    if position != len(results):
        raise _arity(where, str(position), len(results))
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


def _arity(where: str, expected: str, got: int) -> ArtifactError:
    return ArtifactError(
        where=where,
        expected=f"{expected} results, as its structured signature says",
        got=str(got),
        hint="The places contradict each other: see what trimtab verify says of the model.",
    )
