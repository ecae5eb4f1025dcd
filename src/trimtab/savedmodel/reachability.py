"""Which of its sources each tensor of one graph or function body depends on, loops included."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from trimtab.savedmodel.graph import TensorName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from trimtab.savedmodel.flow import Dependencies
    from trimtab.savedmodel.graph import NodeDef

MAX_ROUNDS = 64
"""How often the nodes of one body are gone over; more than one round is needed for loops only."""

WHOLE = -1
"""In place of an output's position: that the node has run."""

Key: TypeAlias = "tuple[str, int]"
"""A node and one of its outputs, or WHOLE. Nodes whose outputs are not told apart have one key, with WHOLE."""


class Body:
    """The nodes of one graph or function.

    sources: the tensors from which dependence is counted, by key: arguments, or what is fed.
    summarize: by the positions of a node's inputs what its outputs depend on; None where each depends on all.
    output: which of a node's outputs, counted through, a tensor is.
    """

    def __init__(
        self,
        nodes: Mapping[str, NodeDef],
        sources: Mapping[Key, int],
        summarize: Callable[[NodeDef], Dependencies | None],
        output: Callable[[NodeDef, TensorName], int],
    ) -> None:
        self._nodes = nodes
        self._sources = sources
        self._summarize = summarize
        self._output = output
        self._summaries: dict[str, Dependencies | None] = {}

    def key(self, tensor: TensorName) -> Key:
        """The key under which the tensor is looked up."""
        node = self._nodes.get(tensor.node)
        if node is None:
            return tensor.node, tensor.position  # an argument, a fed tensor whose node is not here, or nothing
        if tensor.control:
            return self._folded((tensor.node, WHOLE))
        return self._folded((tensor.node, self._output(node, tensor)))

    def solve(self, targets: Sequence[Key]) -> list[int]:
        """For each target, the sources that it depends on, as bits."""
        targets = [self._folded(target) for target in targets]
        walk = self._walk(targets)
        masks: dict[Key, int] = {key: 1 << at for key, at in self._sources.items()}
        for _ in range(MAX_ROUNDS):
            changed = False
            for key in walk.order:
                mask = before = masks.get(key, 0)
                for edge in walk.edges[key]:
                    mask |= masks.get(edge, 0)
                if mask != before:
                    masks[key] = mask
                    changed = True
            if not (walk.cyclic and changed):
                return [masks.get(target, 0) for target in targets]
        return [(1 << len(self._sources)) - 1] * len(targets)

    def _walk(self, targets: Sequence[Key]) -> _Walk:
        edges: dict[Key, tuple[Key, ...]] = {}
        order: list[Key] = []
        done: set[Key] = set()
        cyclic = False
        waiting = [(target, False) for target in targets]
        while waiting:
            key, finished = waiting.pop()
            if finished:
                done.add(key)
                order.append(key)
            elif key in edges:
                cyclic = cyclic or key not in done
            else:
                edges[key] = tuple(dict.fromkeys(self._edges(key)))
                waiting.append((key, True))
                waiting += [(edge, False) for edge in edges[key] if edge not in done]
        return _Walk(order, edges, cyclic)

    def _edges(self, key: Key) -> Iterator[Key]:
        """What an output of a node, or that it has run, depends on."""
        name, position = key
        if key in self._sources or name not in self._nodes:
            return
        node = self._nodes[name]
        inputs = [TensorName.parse(each) for each in node.input]
        summary = self._summary(node)
        if summary is None:
            yield from map(self.key, inputs)
            return
        data = [each for each in inputs if not each.control]
        mask = summary.effects_mask
        if 0 <= position < len(summary.masks):
            mask = summary.masks[position]
        elif position != WHOLE:
            mask = (1 << len(data)) - 1  # an output that the callee does not have: nothing is known of it
        yield from (self.key(tensor) for at, tensor in enumerate(data) if mask >> at & 1)
        yield from (self.key(tensor) for tensor in inputs if tensor.control)

    def _folded(self, key: Key) -> Key:
        name, _ = key
        if key in self._sources or name not in self._nodes or self._summary(self._nodes[name]) is not None:
            return key
        return name, WHOLE

    def _summary(self, node: NodeDef) -> Dependencies | None:
        if node.name not in self._summaries:
            self._summaries[node.name] = self._summarize(node)
        return self._summaries[node.name]


class _Walk(NamedTuple):
    """What the targets reach, each key after those that it depends on where there is no loop (`cyclic`)."""

    order: list[Key]
    edges: dict[Key, tuple[Key, ...]]
    cyclic: bool


def positions_in(mask: int) -> frozenset[int]:
    """The positions of the bits that are set."""
    return frozenset(at for at, bit in enumerate(reversed(f"{mask:b}")) if bit == "1")


def union_at(positions: Iterable[int], masks: Sequence[int]) -> int:
    """The union of the masks at these positions; those outside count for nothing."""
    found = 0
    for at in positions:
        found |= masks[at] if at < len(masks) else 0
    return found
