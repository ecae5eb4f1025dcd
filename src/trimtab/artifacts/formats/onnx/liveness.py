"""Find the inputs of an ONNX graph that no output depends on.

A name depends on everything that the nodes that write it read, and these on theirs: what is met on the way back from
the graph's outputs is live. Whatever is not certain counts as a use. Bodies of loops and branches are taken for parts
of the graph around them, with every name one and the same wherever it is used; calls of model-local functions use what
the function's outputs depend on, and everything where the function cannot be followed. Reading a shape is a use.

Runtimes also run what leads to no output, and that may have effects, where the operator is not ONNX's own, or fail. An
input that leads only there is neither live nor dead for certain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trimtab.artifacts.formats.onnx.model import message
from trimtab.artifacts.formats.onnx.nodes import Node, NodeReader, TooLargeError
from trimtab.artifacts.formats.onnx.operators import NEVER_FAIL
from trimtab.errors import ArtifactError
from trimtab.signature.model import Live
from trimtab.source.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

    from trimtab.artifacts.formats.onnx.model import Span
    from trimtab.artifacts.formats.onnx.nodes import PlainNode
    from trimtab.source.bytes import ByteSource
    from trimtab.source.wire import WireField

MAX_NODES = 100_000
MAX_NAMES = 500_000
MAX_BYTES = 128 << 20
"""How much of a graph is followed; of a larger one, no input is known to be dead."""

_MAX_FIELDS = 1_000_000
_LONG_NODE = 4 << 10
_MAX_DEPTH = 32

# GraphProto, FunctionProto and ValueInfoProto
NODE, _GRAPH_INPUT, _GRAPH_OUTPUT = 1, 11, 12
_NAME, _FUNCTION_INPUT, _FUNCTION_OUTPUT, _FUNCTION_NODE, _DOMAIN, _OVERLOAD = 1, 4, 5, 7, 10, 13

_DOMAINS = frozenset((b"", b"ai.onnx", b"ai.onnx.ml"))
"""ONNX's own, whose operators have no effects."""


class Liveness:
    """The nodes of a model's graph, and which of its inputs its outputs depend on."""

    def __init__(self, source: ByteSource, functions: Iterable[Span]) -> None:
        self._nodes = _Nodes(source)
        self._functions = _Functions(self._nodes, functions)
        self._flow = _Flow(self._nodes, self._functions)

    def add(self, start: int, end: int) -> int:
        """Take in the nodes that follow each other from offset `start` on in a graph that ends at `end`.

        Gives the offset behind them. TooLargeError when there is too much: then no more can be said.
        """
        try:
            self._functions.find()
            return self._flow.add(start, end, NODE, 0)
        except ArtifactError:
            if self._nodes.wire.exhausted:
                raise TooLargeError from None
            raise

    def live(self, inputs: Iterable[str], outputs: Iterable[str]) -> dict[str, Live]:
        """Of each of the graph's inputs, whether any of its outputs may depend on it."""
        names = {it: it.encode() for it in inputs}
        reached = self._flow.reached(it.encode() for it in outputs)
        live = {it: Live.YES for it, name in names.items() if name in reached}
        if len(live) < len(names):
            used = self._flow.reached_by_effects(reached)
            live |= {it: Live.UNKNOWN if names[it] in used else Live.NO for it in names.keys() - live.keys()}
        return live


class _Nodes:
    """Reads nodes for all the graphs and functions of a file, up to the limits that they share."""

    def __init__(self, source: ByteSource) -> None:
        self.wire = Wire(source, max_fields=_MAX_FIELDS)
        self._reader = NodeReader(self.wire)
        self._nodes_left = MAX_NODES
        self._names_left = MAX_NAMES
        self._bytes_left = MAX_BYTES

    def plain_nodes(self, start: int, end: int, number: int) -> tuple[list[PlainNode], int]:
        """`NodeReader.plain_nodes`."""
        nodes, stop = self._reader.plain_nodes(start, end, number)
        self._count(len(nodes), sum([len(it[0]) + len(it[1]) for it in nodes]), stop - start)
        return nodes, stop

    def read(self, start: int, end: int) -> Node:
        """`NodeReader.read`."""
        node = self._reader.read(start, end)
        self._count(1, len(node.inputs) + len(node.outputs), min(end - start, _LONG_NODE))
        return node

    def text(self, field: WireField) -> bytes:
        """The name in a field."""
        self._count(0, 1, field.end - field.start)
        return self.wire.content(field, limit=MAX_BYTES)

    def value_name(self, field: WireField) -> bytes:
        """The name of the ValueInfoProto in a field."""
        name = b""
        for each in self.wire.fields(*message(self.wire, field)):
            if each.number == _NAME:
                name = self.text(each)
        return name

    def _count(self, nodes: int, names: int, size: int) -> None:
        self._nodes_left -= nodes
        self._names_left -= names
        self._bytes_left -= size
        if self._nodes_left < 0 or self._names_left < 0 or self._bytes_left < 0:
            raise TooLargeError


class _Flow:
    """Which node writes which name, and what each node reads, in one graph with all that is nested in it."""

    def __init__(self, nodes: _Nodes, functions: _Functions) -> None:
        self._nodes = nodes
        self._functions = functions
        self._reads: list[list[bytes]] = []
        self._writers: dict[bytes, int] = {}
        self._other_writers: dict[bytes, list[int]] = {}
        self._used_by_effects: list[list[bytes]] = []

    @property
    def has_effects(self) -> bool:
        """Whether any node may fail, or do more than write its outputs."""
        return bool(self._used_by_effects)

    def add(self, start: int, end: int, number: int, depth: int) -> int:
        """Take in the nodes that follow each other from `start` on, and give where they end.

        end: of the graph or function that they are in. number: of the field of it that holds them.
        """
        while start < end:
            nodes, stop = self._nodes.plain_nodes(start, end, number)
            for inputs, outputs, operator, domain, overload in nodes:
                if domain or self._functions.known:
                    self._add_node(Node(inputs, outputs, operator, domain, overload, []), depth)
                else:
                    self._add_use(inputs, outputs, effects=operator not in NEVER_FAIL)
            if stop == start:
                field = next(self._nodes.wire.fields(start, end))
                if field.number != number:
                    break
                self._add_node(self._nodes.read(*message(self._nodes.wire, field)), depth)
                stop = field.end
            start = stop
        return start

    def _add_node(self, node: Node, depth: int) -> None:
        reads, writes = node.inputs, node.outputs
        call = self._functions.call(node, depth + 1)
        if call is None:
            effects = node.domain not in _DOMAINS or node.operator not in NEVER_FAIL
        else:
            reads, effects = call
        if node.subgraphs:
            reads, writes = [*reads], [*writes]
            before = len(self._used_by_effects)
            for parts in node.subgraphs:
                self._add_subgraph(parts, reads, writes, depth + 1)
            effects = effects or len(self._used_by_effects) > before
        self._add_use(reads, writes, effects=effects)

    def _add_use(self, reads: list[bytes], writes: list[bytes], *, effects: bool) -> None:
        number = len(self._reads)
        self._reads.append(reads)
        if effects:
            self._used_by_effects.append(reads)
        for name in writes:
            if self._writers.setdefault(name, number) != number:
                self._other_writers.setdefault(name, []).append(number)

    def reached_by_effects(self, reached: set[bytes]) -> set[bytes]:
        """What is reached already, and every name that an effect or a failure may depend on."""
        return self.reached((name for used in self._used_by_effects for name in used), reached)

    def reached(self, names: Iterable[bytes], before: AbstractSet[bytes] = frozenset()) -> set[bytes]:
        """Every name that any of `names` may depend on, and these names themselves. before: what is reached already."""
        reached = {*before}
        waiting = [*names]
        followed = bytearray(len(self._reads))
        while waiting:
            name = waiting.pop()
            if name in reached:
                continue
            reached.add(name)
            writer = self._writers.get(name)
            if writer is None:
                continue
            for number in (writer, *self._other_writers.get(name, ())):
                if not followed[number]:
                    followed[number] = True
                    waiting += self._reads[number]
        return reached

    def _add_subgraph(self, parts: list[Span], reads: list[bytes], writes: list[bytes], depth: int) -> None:
        """Take in a body. Its results are read by the node that it belongs to, which writes its parameters."""
        if depth > _MAX_DEPTH:
            raise TooLargeError
        for start, end in parts:
            at = start
            while (at := self.add(at, end, NODE, depth)) < end:
                field = next(self._nodes.wire.fields(at, end))
                if field.number == _GRAPH_OUTPUT:
                    reads.append(self._nodes.value_name(field))
                elif field.number == _GRAPH_INPUT:
                    writes.append(self._nodes.value_name(field))
                at = field.end


class _Functions:
    """The functions that a model defines: which of their arguments their results depend on."""

    def __init__(self, nodes: _Nodes, spans: Iterable[Span]) -> None:
        self._nodes = nodes
        self._unnamed = [*spans]
        self._spans: dict[_FunctionKey, Span | None] = {}
        self._uses: dict[_FunctionKey, _Use | None] = {}

    def find(self) -> None:
        """Read their names, once, before any node is taken in."""
        while self._unnamed:
            span = self._unnamed.pop()
            key = self._key(span)
            self._spans[key] = None if key in self._spans else span

    @property
    def known(self) -> bool:
        """Whether there are any."""
        return bool(self._spans)

    def call(self, node: Node, depth: int) -> tuple[list[bytes], bool] | None:
        """What a call reads, and whether it may fail or have effects; None where the node calls no known function."""
        key = (_domain(node.domain), node.operator, node.overload)
        if key not in self._spans:
            return None
        use = self._use(key, depth)
        if use is None or key[0] in _DOMAINS:  # an operator of this name may be what is run
            return node.inputs, True
        reads = [name for position, name in enumerate(node.inputs) if position >= use.arguments or position in use.used]
        return reads, use.effects

    def _use(self, key: _FunctionKey, depth: int) -> _Use | None:
        """How a function uses its arguments. None: it is defined twice, calls itself, or calls go too deep."""
        if key in self._uses:
            return self._uses[key]
        span = self._spans[key]
        if span is None or depth > _MAX_DEPTH:
            return None
        self._uses[key] = None  # while it is followed
        use = self._uses[key] = self._follow(span, depth)
        return use

    def _follow(self, span: Span, depth: int) -> _Use:
        flow = _Flow(self._nodes, self)
        arguments: list[bytes] = []
        results: list[bytes] = []
        at, end = span
        while (at := flow.add(at, end, _FUNCTION_NODE, depth)) < end:
            field = next(self._nodes.wire.fields(at, end))
            if field.number == _FUNCTION_INPUT:
                arguments.append(self._nodes.text(field))
            elif field.number == _FUNCTION_OUTPUT:
                results.append(self._nodes.text(field))
            at = field.end
        reached = flow.reached_by_effects(flow.reached(results))
        used = frozenset(position for position, name in enumerate(arguments) if name in reached)
        return _Use(len(arguments), used, flow.has_effects)

    def _key(self, span: Span) -> _FunctionKey:
        texts = {_NAME: b"", _DOMAIN: b"", _OVERLOAD: b""}
        for field in self._nodes.wire.fields(*span):
            if field.number in texts:
                texts[field.number] = self._nodes.text(field)
        return _domain(texts[_DOMAIN]), texts[_NAME], texts[_OVERLOAD]


class _Use(NamedTuple):
    """How many arguments a function has, which of them it depends on, and whether it may fail or have effects."""

    arguments: int
    used: frozenset[int]
    effects: bool


_FunctionKey = tuple[bytes, bytes, bytes]


def _domain(name: bytes) -> bytes:
    return b"" if name == b"ai.onnx" else name
