"""Rules of captures: `bound_inputs` binds a function's last arguments to the objects that it was traced with.

Ids are all that binds them, and an id that is off by one is another variable. What tells is the handle data of the
arguments, the graph, where the same functions are called with the same tensors, and the functions that call each other.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from trimtab.findings import Problem, rule
from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.verifying.words import listed, shape_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.savedmodel.graph import NodeDef
    from trimtab.savedmodel.graph_protos import Shape
    from trimtab.savedmodel.verifying.facts import Facts, Function

_CAPTURED = {"variable": "resource", "resource": "resource", "asset": "string"}
"""The dtype of the argument that captures an object, by its kind; a constant has its own."""


@rule("CAPTURE_KIND")
def capture_kind(facts: Facts) -> Iterator[Problem]:
    """A captured node is a variable, constant, asset or resource, and its argument's dtype is that of such a capture.

    Who breaks: TensorFlow 2 refuses the model: `Cannot convert node ... to tensor`.
    Instead: bind the argument to the node that the function was traced with.
    """
    for where, _, argument, node_id, node in facts.captures():
        taken = dtype_name(argument.type)
        kind = node.kind
        if kind == "captured_tensor":
            continue
        held = facts.constants.get(node_id)
        expected = dtype_name(held.dtype) if held is not None else _CAPTURED.get(kind)
        if expected is None and kind != "constant":
            got = f"{kind or 'a node of no kind'} {facts.node_name(node_id)}"
            yield Problem(where, f"argument {argument.name!r} is bound to what cannot be captured", taken, got)
        elif expected is not None and taken != expected:
            got = f"{kind} {facts.node_name(node_id)}, which is passed as {expected}"
            yield Problem(where, f"what argument {argument.name!r} is bound to", f"a {taken}", got)


@rule("CAPTURE_TYPE")
def capture_type(facts: Facts) -> Iterator[Problem]:
    """A captured variable has the dtype and shape in the handle data of its argument; a constant has the traced shape.

    Who breaks: the restore of the variable fails, or the function computes with a variable that is not its own.
    Instead: correct the SavedVariable or the `handle_data`, or bind the argument to the right node.
    """
    for where, function, argument, node_id, node in facts.captures():
        problem = f"argument {argument.name!r} is bound to {facts.node_name(node_id)}"
        constant = facts.constants.get(node_id)
        if node.variable is not None and argument.handle_data:
            held = argument.handle_data[0]
            stated = (node.variable.dtype, node.variable.shape.shape)
            if len(argument.handle_data) != 1 or (held.dtype, held.shape.shape) != stated:
                expected = f"a variable of {_words(held.dtype, held.shape.shape)}"
                yield Problem(where, problem, expected, _words(*stated))
        elif node.resource is not None and argument.handle_data:
            yield Problem(where, problem, f"a variable of {dtype_name(argument.handle_data[0].dtype)}", "a resource")
        elif constant is not None:
            traced = facts.bodies.function(function.name).arguments[argument.name].shape
            if not isinstance(traced, str) and traced != constant.shape:
                expected = f"a constant of shape {shape_words(traced)}"
                yield Problem(where, problem, expected, _words(constant.dtype, constant.shape))


@rule("CAPTURE_REPEATED")
def capture_repeated(facts: Facts) -> Iterator[Problem]:
    """A function captures a node once.

    Who breaks: two arguments that stood for two variables read one; nothing reports it.
    Instead: bind each argument to its own node.
    """
    for function in facts.functions.values():
        repeated = sorted(each for each, count in Counter(function.bound).items() if count > 1)
        if repeated:
            names = listed(facts.node_name(each) for each in repeated)
            yield Problem(f"{function.where}.bound_inputs", "nodes that are bound twice", got=names)


@rule("CAPTURE_CHILDREN")
def capture_children(facts: Facts) -> Iterator[Problem]:
    """The children `capture_0`, `capture_1`, ... of a bare function are the nodes at these positions of `bound_inputs`.

    Who breaks: what is loaded first is not what is needed; the constants of two arguments change places.
    Instead: correct the one that is wrong.
    """
    assert facts.objects is not None or not facts.functions
    for node_id, bare in facts.bare_functions():
        function = facts.functions.get(bare.concrete_function_name)
        assert facts.objects is not None
        for name, child in facts.objects.children[node_id].items() if function is not None else ():
            position = name.removeprefix("capture_")
            if function is None or position == name or not position.isdecimal() or len(position) > 6:
                continue
            bound = function.bound[int(position) : int(position) + 1]
            if bound != (child,):
                where = f"{function.where}.bound_inputs[{position}]"
                got = facts.node_name(bound[0]) if bound else "nothing"
                yield Problem(where, f"what is bound, by child {name!r} of node {node_id}", facts.node_name(child), got)


@rule("CAPTURE_GRAPH")
def capture_graph(facts: Facts) -> Iterator[Problem]:
    """Where the graph calls a function, it passes the tensors of the very objects in the function's `bound_inputs`.

    Who breaks: TensorFlow 2 reads the object graph, TensorFlow 1, C++ and servers the graph: they answer with different
    numbers, without any error.
    Instead: bind both to the same object. Which tensor is which object's is told by the restore function, the shared
    names of tables, the names of constants and the placeholders of assets.
    """
    passed: dict[str, int] = {}
    for function in facts.functions.values():
        for node in facts.calls.get(function.name, ()):
            tensors = facts.bodies.graph.data_inputs(node)
            if not function.complete or len(tensors) != len(function.input_args):
                continue
            for position, (tensor, node_id) in enumerate(
                zip(tensors[len(function.inputs) :], function.bound, strict=True)
            ):
                stands_for = facts.node_of_tensor.get(tensor.removesuffix(":0"))
                known = passed.setdefault(tensor, node_id) if stands_for is None else stands_for
                if known != node_id and not _copies(facts, known, node_id):
                    where = f"{function.where}.bound_inputs[{position}]"
                    problem = f"the graph's call {node.name!r} passes {tensor!r} there"
                    yield Problem(where, problem, facts.node_name(known), facts.node_name(node_id))


@rule("CAPTURE_CALLEE")
def capture_callee(facts: Facts) -> Iterator[Problem]:
    """A wrapper passes its captures on to arguments that the called function, as a trace, binds to the same nodes.

    The function that a wrapper calls may be a copy of the trace; then one of the traces with an equal body must agree.
    Who breaks: the signature and the function that it exposes answer with different numbers.
    Instead: bind both to the same nodes.
    """
    for function in facts.functions.values():
        if not function.complete or not function.bound:
            continue
        bound = dict(
            zip((each.name for each in function.input_args[len(function.inputs) :]), function.bound, strict=True)
        )
        body = facts.bodies.function(function.name)
        for node in body.nodes.values():
            callee = body.callee(node)
            traces = facts.traces_of(callee) if callee else []
            passed = [bound.get(name) for name in body.data_inputs(node)]
            differing = [_difference(trace, passed) for trace in traces]
            if differing and all(each is not None for each in differing):
                trace, position = traces[0], differing[0]
                assert position is not None
                expected = facts.node_name(trace.bound[position - len(trace.inputs)])
                problem = f"what is passed on to {trace.input_args[position].name!r} of {trace.name!r}"
                yield Problem(
                    f"{function.where}.bound_inputs", problem, expected, facts.node_name(passed[position] or 0)
                )


@rule("VARIABLE_GRAPH")
def variable_graph(facts: Facts) -> Iterator[Problem]:
    """A SavedVariable has the dtype and shape of the handle that stands for it in the graph.

    Who breaks: the restore of the variable, in one of the two worlds.
    Instead: correct the copy that differs from the checkpoint.
    """
    for tensor, node_id in facts.node_of_tensor.items():
        node = facts.bodies.graph.nodes.get(tensor)
        variable = facts.objects.nodes[node_id].variable if facts.objects is not None else None
        if node is None or variable is None or node.op != "VarHandleOp":
            continue
        stated = (variable.dtype, variable.shape.shape)
        held = _handle(node, stated)
        if held != stated:
            where = f"{facts.node_where(node_id)}.variable"
            expected = f"{dtype_name(held[0])} {shape_words(held[1])}, as {tensor!r} of the graph"
            yield Problem(
                where,
                f"the type of {facts.node_name(node_id)}",
                expected,
                f"{dtype_name(stated[0])} {shape_words(stated[1])}",
            )


def _copies(facts: Facts, known: int, node_id: int) -> bool:
    """Whether two nodes are one variable that was saved twice, as Keras does: the copy is captured by no function."""
    objects = facts.objects
    assert objects is not None
    variables = [objects.nodes[each].variable if 0 <= each < len(objects.nodes) else None for each in (known, node_id)]
    return variables[0] is not None and variables[0] == variables[1] and known not in facts.captured


def _handle(node: NodeDef, default: tuple[int, Shape]) -> tuple[int, Shape]:
    dtype, shape = node.attr("dtype"), node.attr("shape")
    if dtype is None or dtype.type is None or shape is None or shape.shape is None:
        return default
    return dtype.type, shape.shape.shape


def _words(dtype: int, shape: Shape | str) -> str:
    return f"{dtype_name(dtype)} {shape_words(shape)}"


def _difference(trace: Function, passed: list[int | None]) -> int | None:
    """The first argument where a trace binds another node than is passed to it."""
    if not trace.complete or len(passed) != len(trace.input_args):
        return None
    for position, node_id in enumerate(trace.bound, start=len(trace.inputs)):
        if passed[position] not in (None, node_id):
            return position
    return None
