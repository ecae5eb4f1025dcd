"""Whether a function refuses what it is fed when it runs, as far as shapes tell.

A signature is called by names alone where its structure does not fit, so that shapes are compared by no one before the
operations inside see them. Here they are followed through the function: what an operation is certain to refuse is
foretold, everything else is taken to run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from trimtab.savedmodel.dispatching.op_shapes import NOTHING, Known, result_of
from trimtab.savedmodel.graph import TensorName

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trimtab.savedmodel.graph import NodeDef
    from trimtab.savedmodel.graph_protos import SignatureDef
    from trimtab.savedmodel.links import ConcreteFunction
    from trimtab.savedmodel.model import MetaGraph

MAX_NODES = 5000
"""How many nodes are looked at; of a larger function, only the first ones."""

_MAX_DEPTH = 30
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})


class Budget:
    """How many nodes are left to look at."""

    def __init__(self) -> None:
        self.nodes = MAX_NODES


def run_function(function: ConcreteFunction, inputs: list[Known]) -> None:
    """Follow a concrete function that is fed `inputs`. Raises the error with which it refuses them."""
    captured = [Known(each.shape) if each.kind in ("variable", "constant") else NOTHING for each in function.captures]
    _called(function.meta_graph, function.name, inputs + captured, Budget(), 0)


def run_signature(meta_graph: MetaGraph, signature: SignatureDef, fed: Mapping[str, Known]) -> None:
    """Follow the graph of a TF1 model to what a signature fetches. fed: by tensor. Raises as `run_function` does."""
    values = {
        (tensor.node, tensor.position): known for tensor, known in ((TensorName.parse(n), k) for n, k in fed.items())
    }
    wanted = [info.name.partition(":")[0] for info in signature.outputs.values() if info.name]
    _Body(meta_graph, meta_graph.graph_def.node, values, Budget(), 0).run(wanted)


def _called(meta_graph: MetaGraph, name: str, inputs: list[Known], budget: Budget, depth: int) -> list[Known]:
    """What is known of the results of a function of the library."""
    definition = meta_graph.library.get(name)
    if definition is None or depth > _MAX_DEPTH:
        return []
    arguments = definition.signature.input_arg
    fed = {(argument.name, 0): known for argument, known in zip(arguments, inputs, strict=False)}
    results = [TensorName.parse(definition.ret.get(each.name, "")) for each in definition.signature.output_arg]
    body = _Body(meta_graph, definition.node_def, fed, budget, depth)
    body.run([*definition.control_ret.values(), *(each.node for each in results)])
    return [body.value(each) for each in results]


class _Body(Struct):
    """The nodes of a function or graph, and what is known of their outputs so far."""

    meta_graph: MetaGraph
    nodes: Mapping[str, NodeDef]
    values: dict[tuple[str, int], Known]
    budget: Budget
    depth: int
    seen: set[str] = set()

    def run(self, wanted: Iterable[str]) -> None:
        """Look at every node that these need, inputs first."""
        waiting = [(name, False) for name in wanted]
        while waiting and self.budget.nodes > 0:
            name, ready = waiting.pop()
            node = self.nodes.get(name)
            if node is None or (not ready and (name in self.seen or (name, 0) in self.values)):
                continue
            if ready:
                self._look(node)
                continue
            self.seen.add(name)
            self.budget.nodes -= 1
            waiting.append((name, True))
            waiting += [(TensorName.parse(each).node, False) for each in node.input]

    def value(self, tensor: TensorName) -> Known:
        """What is known of a tensor: only the first output of an operation, or any result of a call."""
        position = tensor.position
        return self.values.get((tensor.node, position), NOTHING)

    def _look(self, node: NodeDef) -> None:
        tensors = [TensorName.parse(each) for each in node.input]
        inputs = [self.value(each) for each in tensors if not each.control]
        if node.op in _CALLS:
            for name in node.callees[:1]:
                results = _called(self.meta_graph, name, inputs, self.budget, self.depth + 1)
                self.values.update({(node.name, at): known for at, known in enumerate(results)})
        else:
            self.values[node.name, 0] = result_of(node, inputs)
