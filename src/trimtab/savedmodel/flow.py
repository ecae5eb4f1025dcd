"""Which arguments each result of a function depends on, through calls, branches and loops, without running anything.

A result depends on an argument when a path of tensors leads from one to the other. Calls are followed into what is
called, output by output; of every other operation each output depends on all of its inputs. A control dependency counts
for what it waits for: all of a plain operation, of a call only what it does besides returning (assign, print, assert).
The answer errs to one side only: an argument that it leaves out is one that nothing can depend on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from trimtab.savedmodel.graph import TensorName
from trimtab.savedmodel.reachability import MAX_ROUNDS, WHOLE, Body, positions_in, union_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trimtab.savedmodel.graph import FunctionDef, NodeDef
    from trimtab.savedmodel.model import MetaGraph

MAX_MASK_BYTES = 64 << 20
"""How much the answers for one library may take while they are worked out."""

MAX_GRAPH_NODES = 50_000
"""How many nodes of the graph are walked over for all signatures together: beyond that, what they use is not known."""

MAX_FUNCTION_BYTES = 64 << 20
"""How much of one library is read."""


class Dependencies(Struct, frozen=True):
    """Of one function, by the positions of its arguments (captures included, they are the last).

    Sets of positions are kept as bits: of `masks` one number for each result. `outputs`, `effects` and `used` are sets.
    known: False where the functions are too large to be followed; everything is then taken to depend on everything.
    """

    masks: tuple[int, ...] = ()
    effects_mask: int = 0
    known: bool = True

    @property
    def outputs(self) -> tuple[frozenset[int], ...]:
        """For each result, the arguments that it depends on."""
        return tuple(map(positions_in, self.masks))

    @property
    def effects(self) -> frozenset[int]:
        """The arguments on which depends what the function does besides returning results."""
        return positions_in(self.effects_mask)

    @property
    def used(self) -> frozenset[int]:
        """The arguments that anything depends on."""
        return positions_in(self.used_mask)

    @property
    def used_mask(self) -> int:
        """`used` as bits."""
        mask = self.effects_mask
        for each in self.masks:
            mask |= each
        return mask


def dependencies(meta_graph: MetaGraph, name: str) -> Dependencies:
    """The dependencies of one function. To ask for many, keep a `Flow`."""
    return Flow(meta_graph.library).function(name)


def unused_arguments(meta_graph: MetaGraph, name: str) -> tuple[int, ...]:
    """The positions of a function's arguments that neither a result nor an effect depends on, in order."""
    arguments = len(meta_graph.library[name].signature.input_arg) if name in meta_graph.library else 0
    used = dependencies(meta_graph, name).used
    return tuple(position for position in range(arguments) if position not in used)


class Flow:
    """The dependencies of the functions of one library; what has been worked out is remembered.

    A function is decoded when something that is asked for calls it. One that calls itself, or that the library lacks,
    is taken to use everything for everything.
    """

    def __init__(self, library: Mapping[str, FunctionDef]) -> None:
        self._library = library
        self._found: dict[str, Dependencies] = {}
        self._bytes_left = MAX_FUNCTION_BYTES
        self._mask_bytes_left = MAX_MASK_BYTES
        self.nodes_left = MAX_GRAPH_NODES

    def function(self, name: str) -> Dependencies:
        """The dependencies of a function; none at all of one that the library lacks."""
        if name not in self._library:
            return Dependencies()
        self._work_out([name])
        return self._found[name]

    def graph(self, nodes: Mapping[str, NodeDef], feeds: Sequence[str], fetches: Sequence[str]) -> Dependencies:
        """The dependencies of the fetched tensors of a graph, by the positions of the fed ones.

        feeds, fetches: tensors as `node:0`, or operations as `node`. What leads to a fed tensor is cut off there, as a
        session does.
        """
        sources = {(tensor.node, tensor.position): at for at, tensor in enumerate(map(TensorName.parse, feeds))}
        self._work_out(callee for node in nodes.values() for callee in self._callees(node))
        body = Body(nodes, sources, self._node, self._output)
        targets = [body.key(TensorName.parse(fetch)) for fetch in fetches]
        if not self._allowed(len(sources) * (len(nodes) + len(targets))):
            return _everything(len(sources), len(targets))
        masks = body.solve(targets)
        known = all(found.known for found in self._found.values())
        return Dependencies(tuple(masks), 0, known)

    def _work_out(self, names: Iterable[str]) -> None:
        """Callees before callers, without recursion."""
        waiting = [(name, False) for name in names if name in self._library]
        entered = set()
        while waiting:
            name, callees_done = waiting.pop()
            if name in self._found:
                continue
            function = self._library[name]
            if callees_done:
                self._found[name] = self._function(function)
            elif name not in entered:  # else it calls itself in the end; who asks meanwhile is told "everything"
                entered.add(name)
                self._bytes_left -= function.size
                if self._bytes_left < 0:
                    self._found[name] = _everything(*_arity(function))
                    continue
                callees = [each for node in function.node_def.values() for each in self._callees(node)]
                waiting.append((name, True))
                waiting += [(each, False) for each in dict.fromkeys(callees) if each in self._library]

    def _function(self, function: FunctionDef) -> Dependencies:
        arguments, results = _arity(function)
        nodes = function.node_def
        if not self._allowed(arguments * (len(nodes) + results)):
            return _everything(arguments, results)
        sources = {(argument.name, 0): at for at, argument in enumerate(function.signature.input_arg)}
        body = Body(nodes, sources, self._node, self._output)
        targets = [
            body.key(TensorName.parse(function.ret.get(result.name, ""))) for result in function.signature.output_arg
        ]
        effects = [(node, WHOLE) for node in function.control_ret.values()]
        masks = body.solve([*targets, *effects])
        callees = (self._found.get(each) for node in nodes.values() for each in self._callees(node))
        known = all(each is None or each.known for each in callees)
        return Dependencies(tuple(masks[:results]), union_at(range(results, len(masks)), masks), known)

    def _allowed(self, bits: int) -> bool:
        self._mask_bytes_left -= bits // 8
        return self._mask_bytes_left >= 0

    def _callees(self, node: NodeDef) -> Sequence[str]:
        """The functions that a node runs if it is followed: a call, a branch, a loop, a function that is an op."""
        if node.op in _FOLLOWED:
            return node.callees
        return (node.op,) if node.op in self._library else ()

    def _output(self, node: NodeDef, tensor: TensorName) -> int:
        """Which of a node's outputs, counted through, a tensor in a function is."""
        if tensor.output and node.op in self._library:
            names = [result.name for result in self._library[node.op].signature.output_arg]
            return names.index(tensor.output) if tensor.output in names else tensor.position
        return tensor.position

    def _node(self, node: NodeDef) -> Dependencies | None:
        """By the positions of a node's own inputs, where its outputs are told apart; None where each depends on all."""
        if node.op == "IdentityN":
            return Dependencies(tuple(1 << at for at in range(len(node.input))), (1 << len(node.input)) - 1)
        found = [self._found.get(name) for name in self._callees(node)]
        callees = [each for each in found if each is not None]
        if not callees or len(callees) < len(found):
            return None
        if node.op in _LOOPS:
            return self._loop(node)
        return _choice(callees, 1 if node.op in _CHOICES else 0)

    def _loop(self, node: NodeDef) -> Dependencies | None:
        """Condition and body over the loop's variables, until nothing is added any more."""
        cond, body = (self._callee(node, each) for each in ("cond", "body"))
        if cond is None or body is None:
            return None
        width, results = _arity(body)
        if width != results or not self._allowed(2 * width * width):
            return None
        decides, step = self._found[cond.name].used_mask, self._found[body.name]
        changing = sorted(set(range(width)) - _passed_through(body))
        sets = [positions_in(mask) for mask in step.masks]
        masks = [1 << at for at in range(width)]
        for _ in range(MAX_ROUNDS):
            control = union_at(positions_in(decides), masks)
            before = list(masks)
            for at in changing:
                masks[at] |= control | union_at(sets[at], before)
            if masks == before:
                return Dependencies(tuple(masks), control | union_at(step.effects, masks))
        return None

    def _callee(self, node: NodeDef, attr: str) -> FunctionDef | None:
        value = node.attr(attr)
        name = value.func.name if value is not None and value.func is not None else ""
        return self._library[name] if name in self._found and name in self._library else None


_CHOICES = frozenset({"If", "StatelessIf", "Case", "StatelessCase"})
_LOOPS = frozenset({"While", "StatelessWhile"})
_FOLLOWED = frozenset({"PartitionedCall", "StatefulPartitionedCall"}) | _CHOICES | _LOOPS


def _arity(function: FunctionDef) -> tuple[int, int]:
    return len(function.signature.input_arg), len(function.signature.output_arg)


def _everything(arguments: int, results: int) -> Dependencies:
    everything = (1 << arguments) - 1
    return Dependencies((everything,) * results, everything, known=False)


def _choice(callees: Sequence[Dependencies], chooser: int) -> Dependencies:
    """One of several functions over the same arguments; `chooser` inputs before them (one or none) decide which."""
    decides = (1 << chooser) - 1
    masks = []
    for position in range(max(len(each.masks) for each in callees)):
        mask = decides
        for each in callees:
            mask |= (each.masks[position] if position < len(each.masks) else each.used_mask) << chooser
        masks.append(mask)
    effects = decides
    for each in callees:
        effects |= each.effects_mask << chooser
    return Dependencies(tuple(masks), effects)


def _passed_through(body: FunctionDef) -> frozenset[int]:
    """The positions at which the body of a loop returns its argument as it came."""
    arguments = [argument.name for argument in body.signature.input_arg]
    found = set()
    for position, result in enumerate(body.signature.output_arg):
        tensor = TensorName.parse(body.ret.get(result.name, ""))
        for _ in range(MAX_ROUNDS):
            node = body.node_def.get(tensor.node)
            if node is None or node.op != "Identity" or not node.input:
                break
            tensor = TensorName.parse(node.input[0])
        if position < len(arguments) and tensor.node == arguments[position] and not tensor.control:
            found.add(position)
    return frozenset(found)
