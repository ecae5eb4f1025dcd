"""Whether a function refuses what it is fed when it runs, as far as shapes and small data tell.

A signature is called by names alone where its structure does not fit, so that shapes are compared by no one before the
operations inside see them. Here they are followed through the function: what an operation is certain to refuse is
foretold, everything else is taken to run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from trimtab.savedmodel.dispatching.op_shapes import NOTHING, Failure, Known
from trimtab.savedmodel.dispatching.operations import STATEFUL, result_of
from trimtab.savedmodel.dispatching.parsing import PARSING, parse_failure
from trimtab.savedmodel.dispatching.refusing import Raises
from trimtab.savedmodel.graph import TensorName
from trimtab.savedmodel.shapes import compatible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trimtab.savedmodel.graph import FunctionDef, NodeDef
    from trimtab.savedmodel.graph_protos import Shape, SignatureDef, TensorInfo
    from trimtab.savedmodel.links import ConcreteFunction
    from trimtab.savedmodel.model import MetaGraph

MAX_NODES = 3000
"""How many nodes are looked at; what a larger function refuses after those is not foretold."""

MAX_BYTES = 4 << 20
"""How many bytes of the library are read for it, each function once."""

_MAX_DEPTH = 30
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_XLA = "_XlaMustCompile"


def run_function(function: ConcreteFunction, inputs: Sequence[Known]) -> None:
    """Follow a concrete function that is fed `inputs`. Raises the error with which it refuses them."""
    captured = [
        Known(each.shape, each.shape) if each.kind in ("variable", "constant") else NOTHING
        for each in function.captures
    ]
    running = _Running(function.meta_graph)
    for each in running.call(function.name, [*inputs, *captured], 0):
        running.check(each.failure)


def run_signature(meta_graph: MetaGraph, signature: SignatureDef, fed: Mapping[str, Known]) -> None:
    """Follow the graph of a TF1 model to what a signature fetches. fed: by tensor. Raises as `run_function` does."""
    if len(meta_graph.index.node) > MAX_NODES:
        return
    nodes = meta_graph.graph_def.node
    values = {}
    for name, known in fed.items():
        tensor = TensorName.parse(name)
        values[tensor.node, tensor.position] = _fed(nodes.get(tensor.node), tensor.position, known)
    fetched = [TensorName.parse(name) for info in signature.outputs.values() for name in _tensors(info)]
    running = _Running(meta_graph)
    body = _Body(running, nodes, values, 0)
    body.run(each.node for each in fetched)
    for each in fetched:
        running.check(body.value(each).failure)


def _fed(node: NodeDef | None, position: int, known: Known) -> Known:
    """What is fed in place of a tensor, with the shape that the graph says the tensor has."""
    shape, every = (node.attr("shape"), node.attr("_output_shapes")) if node is not None else (None, None)
    if node is not None and node.op.startswith("Placeholder") and shape is not None and shape.shape is not None:
        return replace(known, believed=shape.shape.shape)
    if every is not None and every.list is not None and position < len(every.list.shape):
        return replace(known, believed=every.list.shape[position].shape)
    return NOTHING


def _tensors(info: TensorInfo) -> list[str]:
    if info.coo_sparse is not None:
        sparse = info.coo_sparse
        return [sparse.indices_tensor_name, sparse.values_tensor_name, sparse.dense_shape_tensor_name]
    if info.composite_tensor is not None:
        return [each.name for each in info.composite_tensor.components if each.name]
    return [info.name] if info.name else []


class _Running:
    """One run: what of its budget is left, and the functions that it calls."""

    def __init__(self, meta_graph: MetaGraph) -> None:
        self.meta_graph = meta_graph
        self.nodes = MAX_NODES
        self.bytes = MAX_BYTES
        self.read: set[str] = set()

    def call(self, name: str, inputs: Sequence[Known], depth: int) -> list[Known]:
        """What is known of the results of a function of the library."""
        definition = self.meta_graph.library.get(name)
        if definition is None or depth > _MAX_DEPTH or not self._affordable(definition):
            return []
        arguments = definition.signature.input_arg
        compiled = definition.attr.get(_XLA)
        if len(arguments) != len(inputs) or (compiled is not None and compiled.b):
            return []
        fed = {
            (argument.name, 0): _passed(definition, position, known, depth)
            for position, (argument, known) in enumerate(zip(arguments, inputs, strict=True))
        }
        results = [TensorName.parse(definition.ret.get(each.name, "")) for each in definition.signature.output_arg]
        body = _Body(self, definition.node_def, fed, depth)
        body.run([*(each.node for each in results), *definition.control_ret.values()])
        return [body.value(each) for each in results]

    def check(self, failure: Failure | None) -> None:
        """Raise what TensorFlow raises of a failure that nothing can hide any more."""
        if failure is not None:
            raise Raises("InvalidArgumentError", f"Detected at node {failure.node}: {failure.problem}")

    def _affordable(self, definition: FunctionDef) -> bool:
        if definition.name not in self.read:
            self.read.add(definition.name)
            self.bytes -= definition.size
        return self.bytes >= 0 and self.nodes > 0


def _passed(definition: FunctionDef, position: int, known: Known, depth: int) -> Known:
    """An argument, with the shape that the function declares for it if it declares one."""
    declared = _declared(definition, position)
    if declared is None or known.shape is None or known.failure is not None:
        return known
    if not compatible(known.shape, known.believed):
        return replace(known, before=(*known.before, declared))
    return replace(known, believed=declared, before=(*known.before, known.believed) if depth else known.before)


def _declared(definition: FunctionDef, position: int) -> Shape:
    shapes = definition.arg_attr.get(position, {}).get("_output_shapes")
    if shapes is not None and shapes.list is not None and shapes.list.shape:
        return shapes.list.shape[0].shape
    every = definition.attr.get("_input_shapes")
    if every is not None and every.list is not None and position < len(every.list.shape):
        return every.list.shape[position].shape
    return None


class _Body(Struct):
    """The nodes of a function or graph, and what is known of their outputs so far."""

    running: _Running
    nodes: Mapping[str, NodeDef]
    values: dict[tuple[str, int], Known]
    depth: int
    seen: set[str] = set()

    def run(self, wanted: Iterable[str]) -> None:
        """Look at every node that these need, inputs first."""
        waiting = [(name, False) for name in wanted]
        while waiting and self.running.nodes > 0:
            name, ready = waiting.pop()
            node = self.nodes.get(name)
            if node is None or (not ready and (name in self.seen or (name, 0) in self.values)):
                continue
            if ready:
                self._look(node)
                continue
            self.seen.add(name)
            self.running.nodes -= 1
            waiting.append((name, True))
            waiting += [(TensorName.parse(each).node, False) for each in node.input]

    def value(self, tensor: TensorName) -> Known:
        """What is known of a tensor: of the first output of an operation, of any result of a call, of any failure."""
        found = self.values.get((tensor.node, tensor.position))
        if found is not None:
            return found
        first = self.values.get((tensor.node, 0), NOTHING)
        node = self.nodes.get(tensor.node)
        return Known(failure=first.failure) if node is not None and node.op in PARSING else NOTHING

    def _look(self, node: NodeDef) -> None:
        tensors = [TensorName.parse(each) for each in node.input]
        inputs = [self.value(each) for each in tensors if not each.control]
        if node.op in _CALLS:
            compiled = node.attr(_XLA)
            if compiled is not None and compiled.b:
                return
            for name in node.callees[:1]:
                results = self.running.call(name, inputs, self.depth + 1)
                self.values.update({(node.name, at): known for at, known in enumerate(results)})
            return
        if node.op in PARSING:
            known = Known(failure=parse_failure(node, inputs, self.nodes))
        else:
            known = result_of(node, inputs)
        self.values[node.name, 0] = known
        if node.op in STATEFUL:
            self.running.check(known.failure)
