"""Rules of place 1: the graph and the functions of its library agree with themselves and with whom they call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.findings import Problem, rule
from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.graph import TensorName
from trimtab.savedmodel.verifying.tensors import ANY, CALLS, compatible, constant_type
from trimtab.savedmodel.verifying.words import dtypes_listed, listed, shape_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trimtab.savedmodel.graph import NodeDef
    from trimtab.savedmodel.graph_protos import ArgDef, Shape
    from trimtab.savedmodel.verifying.facts import Facts
    from trimtab.savedmodel.verifying.tensors import Body

_BRANCHES = {
    **dict.fromkeys(CALLS, ("Tin", "Tout", ("f",))),
    **dict.fromkeys(("If", "StatelessIf"), ("Tin", "Tout", ("then_branch", "else_branch"))),
    **dict.fromkeys(("Case", "StatelessCase"), ("Tin", "Tout", ("branches",))),
    **dict.fromkeys(("While", "StatelessWhile"), ("T", "T", ("body",))),
}
"""Ops that call functions: the attributes with the types that go in and come out, and those with the functions."""


@rule("CALLEE_MISSING")
def callee_missing(facts: Facts) -> Iterator[Problem]:
    """Every function that a node calls is in the library.

    Who breaks: everybody who loads the model. TensorFlow says no more than `KeyError: 'name'`, or fails at the call.
    Instead: restore the FunctionDef, or take away what calls it.
    """
    library = facts.meta_graph.library
    for body in facts.all_bodies():
        for node in body.nodes.values():
            for name in body.callees.get(node.name, ()):
                if name not in library:
                    yield Problem(_at(body, node), "calls a function that is not in the library", got=repr(name))
            if node.op in _BRANCHES and node.name not in body.callees:
                yield Problem(_at(body, node), f"{node.op} names no function")


@rule("NAME_REPEATED")
def name_repeated(facts: Facts) -> Iterator[Problem]:
    """Names of the nodes of a graph or function, and of library functions, are unique.

    Who breaks: readers that keep the first of two see another model than readers that keep the last.
    Instead: rename one of them, and whatever means it.
    """
    nodes, named = len(facts.meta_graph.index.node), len(facts.bodies.graph.nodes)
    if nodes != named:
        yield Problem(f"{facts.where}.graph_def.node", "names are repeated", f"{nodes} names", str(named))
    for body, definition in facts.function_bodies():
        nodes = facts.node_count(definition.name)
        if nodes != len(body.nodes):
            yield Problem(f"{body.where}.node_def", "names are repeated", f"{nodes} names", str(len(body.nodes)))
    functions, named = facts.function_count, len(facts.meta_graph.library)
    if functions != named:
        where = f"{facts.where}.graph_def.library.function"
        yield Problem(where, "names are repeated", f"{functions} names", str(named))


@rule("NODE_INPUT_MISSING")
def node_input_missing(facts: Facts) -> Iterator[Problem]:
    """Every input of a node, and every result of a function, is a tensor that exists.

    Who breaks: everybody who loads the model, with an error from deep inside.
    Instead: name an argument (`x`) or an output (`node:output:0` in functions, `node:0` in the graph) that is there.
    """
    for body in facts.all_bodies():
        for node in body.nodes.values():
            for name in node.input:
                control = TensorName.parse(name).node if name.startswith("^") else None
                known = control in body.nodes or control in body.arguments if control else body.tensor(name) is not None
                if not known:
                    yield Problem(_at(body, node), "takes an input that does not exist", got=repr(name))
    for body, definition in facts.function_bodies():
        for result, name in definition.ret.items():
            if body.tensor(name) is None:
                yield Problem(f"{body.where}.ret[{result!r}]", "returns a tensor that does not exist", got=repr(name))
        for result, name in definition.control_ret.items():
            if name not in body.nodes:
                where = f"{body.where}.control_ret[{result!r}]"
                yield Problem(where, "names a node that does not exist", got=repr(name))


@rule("NODE_INPUT_COUNT")
def node_input_count(facts: Facts) -> Iterator[Problem]:
    """A node has as many inputs as its op takes.

    Who breaks: everybody who loads the model or runs the function.
    Instead: count the inputs against the op's definition and the types in its attributes (`Tin` of calls).
    """
    for body in facts.all_bodies():
        for node in body.nodes.values():
            slots = body.inputs(node)
            given = len(body.data_inputs(node))
            if slots is not None and len(slots) != given:
                yield Problem(_at(body, node), f"{node.op} has too many or too few inputs", str(len(slots)), str(given))


@rule("NODE_INPUT_DTYPE")
def node_input_dtype(facts: Facts) -> Iterator[Problem]:
    """A node's input has the dtype that its op takes there.

    Who breaks: whoever loads the model or runs the function.
    Instead: correct the argument's type, or the attribute (`T`, `dtype`, `Tin`) of the node.
    """
    for body in facts.all_bodies():
        for node in body.nodes.values():
            slots = body.inputs(node)
            names = body.data_inputs(node)
            if slots is None or len(slots) != len(names):
                continue
            for slot, name in zip(slots, names, strict=True):
                tensor = body.tensor(name)
                if tensor is not None and slot.dtype and tensor.dtype and slot.dtype % 100 != tensor.dtype % 100:
                    got = f"{dtype_name(tensor.dtype)} from {name!r}"
                    yield Problem(_at(body, node), f"its input {slot.name!r}", dtype_name(slot.dtype), got)


@rule("CALL_TYPES")
def call_types(facts: Facts) -> Iterator[Problem]:
    """A call passes what the called function takes and expects what it returns: as many, of the same dtypes.

    Who breaks: every caller, at load or at the call.
    Instead: call the function that was meant, or correct `Tin` and `Tout`.
    """
    library = facts.meta_graph.library
    for body in facts.all_bodies():
        for node in body.nodes.values():
            types_in, types_out, names = _BRANCHES.get(node.op, ("", "", ()))
            for name in (callee for attr in names for callee in _functions(node, attr)):
                if name not in library:
                    continue
                signature = library[name].signature
                pairs = (("takes", types_in, signature.input_arg), ("returns", types_out, signature.output_arg))
                for verb, attr, declared in pairs:
                    stated = _types(node, attr)
                    taken = [argument.type for argument in declared]
                    if (stated or []) != taken:
                        got = f"{attr} = {dtypes_listed(stated or [])}"
                        yield Problem(
                            _at(body, node), f"function {name!r} {verb} something else", dtypes_listed(taken), got
                        )


@rule("CALL_SHAPES")
def call_shapes(facts: Facts) -> Iterator[Problem]:
    """The static shapes on both sides of a call can be those of one value.

    Who breaks: shape inference trusts one side, and ops are built for sizes that never come.
    Instead: make both sides the same, or leave a dimension unknown (-1).
    """
    library = facts.meta_graph.library
    for body in facts.all_bodies():
        for node in body.nodes.values():
            name = body.callee(node)
            if name not in library:
                continue
            callee = facts.bodies.function(name)
            for reference, (argument, inner) in zip(body.data_inputs(node), callee.arguments.items(), strict=False):
                outer = body.tensor(reference)
                if outer is not None and not compatible(outer.shape, inner.shape):
                    problem = f"its input {reference!r} for argument {argument!r} of {name!r}"
                    yield Problem(_at(body, node), problem, shape_words(inner.shape), shape_words(outer.shape))
            for position, result in enumerate(library[name].signature.output_arg):
                source = callee.tensor(library[name].ret.get(result.name, ""))
                given = body.output(node, position)
                if source is not None and given is not None and not compatible(given.shape, source.shape):
                    problem = f"output {position}, the result {result.name!r} of {name!r}"
                    yield Problem(_at(body, node), problem, shape_words(source.shape), shape_words(given.shape))


@rule("NODE_SHAPE")
def node_shape(facts: Facts) -> Iterator[Problem]:
    """What is written down of a tensor twice is the same: `shape` and `_output_shapes`, a copy and its source, a
    constant's dtype and that of its value.

    Who breaks: whoever trusts the copy that is wrong.
    Instead: correct one of them.
    """
    for body in facts.all_bodies():
        for node in body.nodes.values():
            written: Shape | str = ANY
            if node.op == "Identity" and node.input:
                source = body.tensor(node.input[0])
                written = source.shape if source is not None else ANY
            elif node.op in ("Placeholder", "PlaceholderWithDefault", "Const"):
                written = _declared_shape(node)
                value, dtype = constant_type(node), node.attr("dtype")
                if value is not None and dtype is not None and dtype.type and dtype.type != value.dtype:
                    expected, got = dtype_name(dtype.type), dtype_name(value.dtype)
                    yield Problem(_at(body, node), "the dtype of its value", expected, got)
            given = body.output(node, 0)
            if given is None:
                continue
            exact = node.op == "Placeholder" and not isinstance(written, str) and not isinstance(given.shape, str)
            if not compatible(written, given.shape) or (exact and written != given.shape):
                yield Problem(
                    _at(body, node), "the shape of its output", shape_words(written), shape_words(given.shape)
                )


@rule("FUNCTION_RESULTS")
def function_results(facts: Facts) -> Iterator[Problem]:
    """A FunctionDef returns each of its results, in the dtype that its signature says.

    Who breaks: everybody who loads or calls it.
    Instead: give every `output_arg` one entry in `ret`, every `control_output` one in `control_ret`, and no others.
    """
    for body, definition in facts.function_bodies():
        signature = definition.signature
        pairs = (
            ("ret", definition.ret, [argument.name for argument in signature.output_arg]),
            ("control_ret", definition.control_ret, list(signature.control_output)),
        )
        for field, returned, declared in pairs:
            if sorted(returned) != sorted(declared):
                where = f"{body.where}.{field}"
                yield Problem(where, "other results than its signature's", listed(declared), listed(returned))
        for argument in signature.output_arg:
            source = body.tensor(definition.ret.get(argument.name, ""))
            if source is not None and source.dtype and argument.type and source.dtype % 100 != argument.type % 100:
                where = f"{body.where}.signature.output_arg[{argument.name!r}]"
                got = f"{dtype_name(source.dtype)} from {definition.ret[argument.name]!r}"
                yield Problem(where, "the dtype of what is returned", dtype_name(argument.type), got)


@rule("FUNCTION_ARGUMENT_ATTRIBUTES")
def function_argument_attributes(facts: Facts) -> Iterator[Problem]:
    """What a FunctionDef says of its arguments besides their types belongs to arguments that exist, and agrees.

    `arg_attr[i]._output_shapes` and `_input_shapes[i]` are the same shape; argument names are unique.
    Who breaks: tools that read one of the copies and show or build another signature than TensorFlow does.
    Instead: change both together.
    """
    for body, definition in facts.function_bodies():
        count = len(definition.signature.input_arg)
        names = {argument.name for argument in definition.signature.input_arg}
        if len(names) != count:
            yield Problem(f"{body.where}.signature.input_arg", "names are repeated", f"{count} names", str(len(names)))
        for argument in (*definition.signature.input_arg, *definition.signature.output_arg):
            loose = argument.type_attr or argument.number_attr or argument.type_list_attr or argument.is_ref
            if loose or not argument.type:
                where = f"{body.where}.signature argument {argument.name!r}"
                yield Problem(where, "is of no fixed type", "a dtype in `type`, and nothing beside it")
        for position in definition.arg_attr:
            if position >= count:
                where = f"{body.where}.arg_attr[{position}]"
                yield Problem(where, "belongs to no argument", f"at most {count} arguments")
        listed = definition.attr.get("_input_shapes")
        shapes = listed.list.shape if listed is not None and listed.list is not None else ()
        if shapes and len(shapes) != count:
            yield Problem(f"{body.where}.attr['_input_shapes']", "the number of shapes", str(count), str(len(shapes)))
            continue
        for argument, shape in zip(definition.signature.input_arg, shapes, strict=False):
            written = body.arguments[argument.name].shape
            if not isinstance(written, str) and written != shape.shape:
                where = f"{body.where}.attr['_input_shapes']"
                yield Problem(where, f"the shape of {argument.name!r}", shape_words(written), shape_words(shape.shape))


@rule("HANDLE_DATA")
def handle_data(facts: Facts) -> Iterator[Problem]:
    """A variable whose handle a function takes is used as what the argument declares: its dtype and shape.

    Who breaks: reading the variable fails, or gives a tensor of another shape than the function was traced for.
    Instead: make `handle_data` of the argument what the variable is.
    """
    library = facts.meta_graph.library
    graph = facts.bodies.graph
    for node in graph.nodes.values():
        callee = graph.callee(node)
        taken = library[callee].signature.input_arg if callee in library else ()
        for name, argument in zip(graph.data_inputs(node), taken, strict=False):
            handle = graph.nodes.get(name)
            if handle is not None and handle.op == "VarHandleOp" and argument.handle_data:
                yield from _same_variable(f"{facts.where}.graph_def.library.function[{callee!r}]", argument, handle)
    for body, definition in facts.function_bodies():
        held = {each.name: each for each in definition.signature.input_arg if len(each.handle_data) == 1}
        for node in body.nodes.values() if held else ():
            for position, name in enumerate(node.input):
                if name not in held:
                    continue
                where = f"{body.where}.signature.input_arg[{name!r}].handle_data"
                if node.op in CALLS:
                    callee = body.callee(node)
                    inner = library[callee].signature.input_arg if callee in library else ()
                    yield from _same_handle(where, held[name], inner[position : position + 1], callee)
                elif position == 0 and node.op.endswith("VariableOp"):
                    yield from _same_use(where, held[name], body, node)


def _same_variable(where: str, argument: ArgDef, handle: NodeDef) -> Iterator[Problem]:
    held = argument.handle_data[0]
    dtype, shape = handle.attr("dtype"), handle.attr("shape")
    if dtype is None or dtype.type is None or shape is None or shape.shape is None:
        return
    if len(argument.handle_data) != 1 or (dtype.type, shape.shape) != (held.dtype, held.shape):
        place = f"{where}.signature.input_arg[{argument.name!r}].handle_data"
        expected = f"{dtype_name(dtype.type)} {shape_words(shape.shape.shape)}"
        got = f"{dtype_name(held.dtype)} {shape_words(held.shape.shape)}"
        yield Problem(place, f"the graph passes the variable {handle.name!r}", expected, got)


def _same_handle(where: str, outer: ArgDef, inner: Sequence[ArgDef], callee: str) -> Iterator[Problem]:
    for argument in inner:
        if argument.handle_data and argument.handle_data != outer.handle_data:
            first, second = argument.handle_data[0], outer.handle_data[0]
            expected = f"{dtype_name(first.dtype)} {shape_words(first.shape.shape)}"
            got = f"{dtype_name(second.dtype)} {shape_words(second.shape.shape)}"
            yield Problem(where, f"the variable that it passes on to {callee!r} as {argument.name!r}", expected, got)


def _same_use(where: str, argument: ArgDef, body: Body, node: NodeDef) -> Iterator[Problem]:
    declared = argument.handle_data[0]
    attribute = node.attr("dtype")
    used = attribute.type if attribute is not None else None
    if used and used != declared.dtype:
        yield Problem(where, f"the dtype that {node.name!r} uses it as", dtype_name(used), dtype_name(declared.dtype))
    if node.op == "ReadVariableOp":
        read = body.output(node, 0)
        if read is not None and not compatible(read.shape, declared.shape.shape):
            expected, got = shape_words(read.shape), shape_words(declared.shape.shape)
            yield Problem(where, f"the shape that {node.name!r} reads", expected, got)


def _at(body: Body, node: NodeDef) -> str:
    return f"{body.where}.{'node_def' if body.is_function else 'node'}[{node.name!r}]"


def _functions(node: NodeDef, attr: str) -> list[str]:
    value = node.attr(attr)
    if value is None:
        return []
    if value.func is not None:
        return [value.func.name]
    return [function.name for function in value.list.func] if value.list is not None else []


def _types(node: NodeDef, attr: str) -> list[int] | None:
    value = node.attr(attr)
    if value is None:
        return None
    return list(value.list.type) if value.list is not None else []


def _declared_shape(node: NodeDef) -> Shape | str:
    attribute = node.attr("shape")
    if attribute is not None and attribute.shape is not None:
        return attribute.shape.shape
    value = constant_type(node)
    return value.shape if value is not None else ANY
