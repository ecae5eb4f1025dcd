"""Write a wrapper as TensorFlow writes its own: a FunctionDef, its SavedConcreteFunction and its bare function.

Arguments stand in the order of the inputs' keywords, results in that of the outputs' keys: by these TF2 binds them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.editing.names import argument_of, keyword_of
from trimtab.savedmodel.editing.protos import dtype_list, shape_list, structured
from trimtab.savedmodel.editing.wrapper import FOLDED_BY_NOBODY, Capture, Constant, Input
from trimtab.savedmodel.graph_protos import TensorShapeProto
from trimtab.savedmodel.message import decode
from trimtab.savedmodel.messages import classes, serialize
from trimtab.savedmodel.structure import NamedTuple, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimtab.savedmodel.editing.wrapper import Argument, Output, Result, Wrapper
    from trimtab.savedmodel.graph_protos import Shape


def call_op(wrapper: Wrapper) -> str:
    """The op by which the wrapper calls its function, and the graph the wrapper."""
    return "StatefulPartitionedCall" if wrapper.stateful else "PartitionedCall"


def sorted_outputs(wrapper: Wrapper) -> tuple[Output, ...]:
    """The outputs in the order of the wrapper's results."""
    return tuple(sorted(wrapper.outputs, key=lambda output: output.key))


def flat_results(wrapper: Wrapper) -> tuple[Result, ...]:
    """The tensors that the wrapper returns, in order."""
    return tuple(result for output in sorted_outputs(wrapper) for result in output.results)


def function_def(wrapper: Wrapper, name: str) -> Any:
    """Place 1: the wrapper's FunctionDef under this name."""
    function = classes()["FunctionDef"]()
    function.signature.name = name
    function.signature.is_stateful = wrapper.stateful
    taken: list[str] = []
    names: dict[Input | int, str] = {}
    for given in wrapper.inputs:
        names[given] = _add_argument(function, given, taken)
    captured = [(at, each) for at, each in enumerate(wrapper.arguments) if isinstance(each, Capture)]
    for at, capture in captured:
        names[at] = _add_capture(function, capture, taken)
    call = _call(wrapper, function, names)
    _returns(wrapper, function, call, taken)
    shapes = [each.shape for each in wrapper.inputs] + [_captured_shape(each) for each in wrapper.captures]
    function.attr["_input_shapes"].CopyFrom(shape_list(shapes))
    function.attr["_construction_context"].s = b"kEagerRuntime"
    return function


def saved_concrete_function(wrapper: Wrapper) -> Any:
    """Place 5: the wrapper's captures, and its structured arguments and results."""
    saved = classes()["SavedConcreteFunction"]()
    saved.bound_inputs.extend(capture.node_id for capture in wrapper.captures)
    specs = {
        keyword_of(each.name): TensorSpec(dtype_name(each.dtype), each.shape, each.name) for each in wrapper.inputs
    }
    saved.canonicalized_input_signature.CopyFrom(structured(((), dict(specs))))
    outputs = {
        output.key: TensorSpec(output.spec.dtype, output.spec.shape, _spec_name(output.key))
        if isinstance(output.spec, TensorSpec)
        else output.spec
        for output in wrapper.outputs
    }
    saved.output_signature.CopyFrom(structured(dict(outputs)))
    return saved


def bare_concrete_function(wrapper: Wrapper, name: str, kinds: Sequence[str]) -> Any:
    """Place 4: the node of the signature. kinds: those of the captured nodes, of which some become its children."""
    node = classes()["SavedObject"]()
    bare = node.bare_concrete_function
    bare.concrete_function_name = name
    names = [each.name for each in wrapper.inputs]
    bare.argument_keywords.extend(names)
    bare.allowed_positional_arguments = 1 if len(names) == 1 else 0
    spec = NamedTuple(
        "FullArgSpec",
        (
            ("args", []),
            ("varargs", None),
            ("varkw", None),
            ("defaults", None),
            ("kwonlyargs", [keyword_of(each) for each in names]),
            ("kwonlydefaults", None),
            ("annotations", {}),
        ),
    )
    bare.function_spec.fullargspec.CopyFrom(structured(spec))
    bare.function_spec.input_signature.CopyFrom(structured(None))
    for position, (capture, kind) in enumerate(zip(wrapper.captures, kinds, strict=True)):
        if kind in ("constant", "asset"):
            for edges in (node.children, node.dependencies):
                edges.add(node_id=capture.node_id, local_name=f"capture_{position}")
    return node


def add_attr(node: Any, name: str, value: Any) -> None:
    """Set an attribute to an AttrValue."""
    node.attr[name].CopyFrom(value)


def _add_argument(function: Any, given: Input, taken: list[str]) -> str:
    position = len(function.signature.input_arg)
    name = argument_of(given.name, taken)
    taken.append(name)
    function.signature.input_arg.add(name=name, type=given.dtype)
    attributes = function.arg_attr[position].attr
    attributes["_user_specified_name"].s = given.name.encode()
    attributes["_output_shapes"].CopyFrom(shape_list([given.shape]))
    return name


def _add_capture(function: Any, capture: Capture, taken: list[str]) -> str:
    position = len(function.signature.input_arg)
    argument = function.signature.input_arg.add()
    argument.ParseFromString(capture.argument)
    argument.name = argument_of("unknown", taken)
    taken.append(argument.name)
    if capture.attributes:
        function.arg_attr[position].ParseFromString(capture.attributes)
    return str(argument.name)


def _captured_shape(capture: Capture) -> Shape:
    """The static shape of a captured tensor; handles of resources are scalars."""
    argument = classes()["OpDef.ArgDef"].FromString(capture.argument)
    if argument.handle_data or dtype_name(argument.type) == "resource":
        return ()
    attributes = classes()["FunctionDef.ArgAttrs"].FromString(capture.attributes).attr
    shapes = attributes["_output_shapes"].list.shape if "_output_shapes" in attributes else ()
    return decode(TensorShapeProto, serialize(shapes[0]), "_output_shapes").shape if shapes else None


def _call(wrapper: Wrapper, function: Any, names: dict[Input | int, str]) -> Any:
    """The call of the user's function, after the constants that it is given."""
    constants = 0
    references, dtypes = [], []
    for at, argument in enumerate(wrapper.arguments):
        dtypes.append(_dtype(argument))
        if isinstance(argument, Constant):
            references.append(_constant(function, argument, constants))
            constants += 1
        else:
            references.append(names[argument if isinstance(argument, Input) else at])
    op = call_op(wrapper)
    call = function.node_def.add(name=op, op=op, input=references)
    call.attr["f"].func.name = wrapper.callee
    call.attr["config_proto"].s = b""
    add_attr(call, "Tin", dtype_list(dtypes))
    add_attr(call, "Tout", dtype_list(wrapper.result_dtypes))
    shapes: list[Shape] = [None] * len(wrapper.result_dtypes)
    for result in flat_results(wrapper):
        shapes[result.position] = result.shape
    add_attr(call, "_output_shapes", shape_list(shapes))
    return call


def _constant(function: Any, constant: Constant, number: int) -> str:
    """A constant, behind a node that graph optimizers do not fold: its value must not change in what order they add."""
    suffix = f"_{number}" if number else ""
    node = function.node_def.add(name=f"Const{suffix}", op="Const")
    node.attr["dtype"].type = constant.dtype
    node.attr["value"].tensor.ParseFromString(constant.tensor)
    shape = shape_list([decode(TensorShapeProto, serialize(node.attr["value"].tensor.tensor_shape), "value").shape])
    add_attr(node, "_output_shapes", shape)
    kept = function.node_def.add(name=f"{FOLDED_BY_NOBODY}{suffix}", op=FOLDED_BY_NOBODY)
    kept.input.append(f"{node.name}:output:0")
    kept.attr["dtype"].type = constant.dtype
    kept.attr["shape"].shape.CopyFrom(node.attr["value"].tensor.tensor_shape)
    add_attr(kept, "_output_shapes", shape)
    return f"{kept.name}:output:0"


def _returns(wrapper: Wrapper, function: Any, call: Any, taken: list[str]) -> None:
    """An identity for each result, and, where the call has effects, that they have happened before."""
    if wrapper.stateful:
        function.signature.control_output.append(call.name)
        function.control_ret[call.name] = call.name
    for number, result in enumerate(flat_results(wrapper)):
        node = function.node_def.add(name=f"Identity_{number}" if number else "Identity", op="Identity")
        node.input.append(f"{call.name}:output:{result.position}")
        if wrapper.stateful:
            node.input.append("^NoOp")
        node.attr["T"].type = result.dtype
        add_attr(node, "_output_shapes", shape_list([result.shape]))
        name = argument_of(node.name, taken)
        taken.append(name)
        function.signature.output_arg.add(name=name, type=result.dtype)
        function.ret[name] = f"{node.name}:output:0"
    if wrapper.stateful:
        function.node_def.add(name="NoOp", op="NoOp", input=[f"^{call.name}"])


def _dtype(argument: Argument) -> int:
    if not isinstance(argument, Capture):
        return argument.dtype
    return int(classes()["OpDef.ArgDef"].FromString(argument.argument).type)


def _spec_name(key: str) -> str:
    """What TensorFlow calls the spec of an output."""
    return re.sub(r"[^a-z0-9]", "_", key.lower())
