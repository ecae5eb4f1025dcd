"""The dtype and shape of every tensor in a graph or a function, from the op definitions that the SavedModel carries.

`meta_info_def.stripped_op_list` defines each op that a graph uses, so that nothing has to be known about ops here but
how calls of functions look. An op that is not listed, or an attribute that is left out, leaves a dtype unknown; what is
unknown is never compared.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from trimtab.savedmodel.graph import TensorName
from trimtab.savedmodel.graph_protos import ArgDef, OpDef, TensorShapeProto
from trimtab.savedmodel.message import BYTES, decode, fields
from trimtab.savedmodel.shapes import compatible as shapes_compatible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trimtab.savedmodel.graph import FunctionDef, NodeDef
    from trimtab.savedmodel.graph_protos import Shape
    from trimtab.savedmodel.model import MetaGraph

ANY = "any shape"
"""Where a shape is not written down: not even that it is unknown."""

MAX_SLOTS = 100_000
"""How many tensors one node takes or gives, before an attribute that says so is taken for damage."""


class Tensor(NamedTuple):
    """One tensor: dtype by number, 0 where nothing says, and shape, or ANY where nothing says."""

    dtype: int
    shape: Shape | str


UNKNOWN = Tensor(0, ANY)


class Slot(NamedTuple):
    """One input or output of a node, flat: the op's name for it, its position below that name, and its dtype."""

    name: str
    position: int
    dtype: int


_CALL = OpDef(
    input_arg=(ArgDef(name="args", type_list_attr="Tin"),), output_arg=(ArgDef(name="output", type_list_attr="Tout"),)
)
CALLS = ("PartitionedCall", "StatefulPartitionedCall")
"""The ops that call a function with exactly their inputs and give exactly its outputs."""


def op_definitions(meta_graph: MetaGraph) -> dict[str, OpDef]:
    """The definitions of the ops by name: those of the MetaGraph's own list, and those of calls."""
    found = dict.fromkeys(CALLS, _CALL)
    span = meta_graph.index.meta_info_def
    if span is None:
        return found
    where = f"{meta_graph.where}.meta_info_def.stripped_op_list"
    data = meta_graph.source.read(span.start, span.end - span.start)
    for number, wire_type, begin, end in fields(data, 0, len(data), where):
        if number != 2 or wire_type != BYTES:
            continue
        for inner, inner_type, at, until in fields(data, begin, end, where):
            if inner == 1 and inner_type == BYTES:
                definition = decode(OpDef, data, where, at, until)
                found[definition.name] = definition
    return found


class Body:
    """The nodes of a graph or function with what is known of their tensors.

    where: the body's place. arguments: of a function, its arguments by name.
    """

    def __init__(
        self,
        where: str,
        nodes: Mapping[str, NodeDef],
        arguments: Mapping[str, Tensor],
        ops: Mapping[str, OpDef],
        *,
        is_function: bool,
    ) -> None:
        self.where = where
        self.nodes = nodes
        self.arguments = arguments
        self.is_function = is_function
        self._ops = ops
        self._outputs: dict[str, list[Slot] | None] = {}
        self._shapes: dict[str, tuple[TensorShapeProto, ...]] = {}

    @cached_property
    def callees(self) -> dict[str, tuple[str, ...]]:
        """The functions that nodes call, by the name of the node; nodes that call none are not there."""
        return {node.name: callees for node in self.nodes.values() if (callees := node.callees)}

    def callee(self, node: NodeDef) -> str:
        """The function that a call is of; empty for every other node."""
        return next(iter(self.callees.get(node.name, ())), "") if node.op in CALLS else ""

    def inputs(self, node: NodeDef) -> list[Slot] | None:
        """What the node takes, by its op's definition and its attributes; None when that is not known."""
        definition = self._ops.get(node.op)
        return None if definition is None else _slots(node, definition.input_arg)

    def outputs(self, node: NodeDef) -> list[Slot] | None:
        """What the node gives; None when that is not known."""
        if node.name not in self._outputs:
            definition = self._ops.get(node.op)
            self._outputs[node.name] = None if definition is None else _slots(node, definition.output_arg)
        return self._outputs[node.name]

    def tensor(self, reference: str) -> Tensor | None:
        """What is known of the tensor that an input or a `ret` names; None when there is no such tensor."""
        if not self._well_formed(reference):
            return None
        name = TensorName.parse(reference)
        if self.is_function and ":" not in reference and name.node in self.arguments:
            return self.arguments[name.node]
        node = self.nodes.get(name.node)
        if node is None:
            return None
        position = self.position(node, name)
        if position is None:
            return UNKNOWN if self.outputs(node) is None else None
        return self.output(node, position)

    def _well_formed(self, reference: str) -> bool:
        """`argument` or `node:output:0` in functions, `node` or `node:0` in the graph."""
        _, *place = reference.split(":")
        if not place:
            return not self.is_function or reference in self.arguments
        return len(place) == 1 + self.is_function and place[-1].isdecimal() and len(place[-1]) < 10

    def position(self, node: NodeDef, name: TensorName) -> int | None:
        """The flat position among the node's outputs of the tensor that is named; None when it is not known."""
        if not name.output:
            return name.position
        slots = self.outputs(node)
        if slots is None:
            return None
        return next((at for at, slot in enumerate(slots) if (slot.name, slot.position) == name[1:3]), None)

    def output(self, node: NodeDef, position: int) -> Tensor | None:
        """What is known of a node's output by its flat position; None when there is no such output."""
        slots = self.outputs(node)
        if slots is not None and position >= len(slots):
            return None
        count = None if slots is None else len(slots)
        return Tensor(slots[position].dtype if slots is not None else 0, self._shape(node, position, count))

    def data_inputs(self, node: NodeDef) -> list[str]:
        """The inputs that carry values: control inputs come after them."""
        return [name for name in node.input if not name.startswith("^")]

    def _shape(self, node: NodeDef, position: int, count: int | None) -> Shape | str:
        shapes = self._shapes.get(node.name)
        if shapes is None:
            attribute = node.attr("_output_shapes")
            shapes = attribute.list.shape if attribute is not None and attribute.list is not None else ()
            self._shapes[node.name] = shapes
        if count not in (None, len(shapes)) or position >= len(shapes):
            return ANY
        return shapes[position].shape


class Bodies:
    """The bodies of a MetaGraph: its graph's and, by name, its functions'."""

    def __init__(self, meta_graph: MetaGraph) -> None:
        self._meta_graph = meta_graph
        self._functions: dict[str, Body] = {}

    @cached_property
    def _ops(self) -> dict[str, OpDef]:
        return op_definitions(self._meta_graph)

    @cached_property
    def graph(self) -> Body:
        """The graph."""
        where = f"{self._meta_graph.where}.graph_def"
        return Body(where, self._meta_graph.graph_def.node, {}, self._ops, is_function=False)

    def function(self, name: str) -> Body:
        """The body of a FunctionDef that exists."""
        if name not in self._functions:
            definition = self._meta_graph.library[name]
            where = f"{self._meta_graph.where}.graph_def.library.function[{name!r}]"
            self._functions[name] = Body(where, definition.node_def, arguments(definition), self._ops, is_function=True)
        return self._functions[name]


def arguments(definition: FunctionDef) -> dict[str, Tensor]:
    """The arguments of a function by name."""
    found = {}
    for position, argument in enumerate(definition.signature.input_arg):
        shape = definition.arg_attr.get(position, {}).get("_output_shapes")
        shapes = shape.list.shape if shape is not None and shape.list is not None else ()
        found[argument.name] = Tensor(argument.type, shapes[0].shape if shapes else ANY)
    return found


def constant_type(node: NodeDef) -> Tensor | None:
    """The dtype and shape of a Const's value, without its elements; None where it has none."""
    data = node.attr_bytes("value")
    where = f"the constant {node.name!r}"
    for number, wire_type, begin, end in fields(data, 0, len(data), where):
        if number != _TENSOR or wire_type != BYTES:
            continue
        dtype, shape = 0, TensorShapeProto()
        for inner, inner_type, at, until in fields(data, begin, end, where):
            if inner == 1:
                dtype = at
            elif inner == 2 and inner_type == BYTES:
                shape = decode(TensorShapeProto, data, where, at, until)
            elif inner > 2:  # elements: they come last, and may be many
                break
        return Tensor(dtype, shape.shape)
    return None


_TENSOR = 8


def compatible(one: Shape | str, other: Shape | str) -> bool:
    """Whether one value can have both shapes."""
    if not isinstance(one, tuple) or not isinstance(other, tuple):
        return True
    return shapes_compatible(one, other)


def _slots(node: NodeDef, declared: Sequence[ArgDef]) -> list[Slot] | None:
    slots: list[Slot] = []
    for argument in declared:
        if argument.type_list_attr:
            listed = node.attr(argument.type_list_attr)
            if listed is None:
                return None
            types = list(listed.list.type) if listed.list is not None else []
        else:
            count = 1
            if argument.number_attr:
                number = node.attr(argument.number_attr)
                if number is None or number.i is None or not 0 <= number.i <= MAX_SLOTS:
                    return None
                count = number.i
            types = [_type(node, argument)] * count
        slots += [Slot(argument.name, position, dtype) for position, dtype in enumerate(types)]
    return slots


def _type(node: NodeDef, argument: ArgDef) -> int:
    if not argument.type_attr:
        return argument.type
    attribute = node.attr(argument.type_attr)
    return attribute.type or 0 if attribute is not None else 0
