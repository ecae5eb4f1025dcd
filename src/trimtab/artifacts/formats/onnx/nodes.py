"""What liveness needs of an ONNX node: the names it reads and writes, its operator, and the subgraphs inside of it.

Graphs have tens of thousands of nodes, so nodes in the form in which protobuf writes them are read by a walk of their
own, in a fraction of the time that the walk over any wire format takes. That one reads all others: long nodes, whose
tensors it skips without reading them, and nodes with subgraphs. No attribute is decoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trimtab.artifacts.formats.onnx.model import message
from trimtab.source.wire import BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.artifacts.formats.onnx.model import Span
    from trimtab.source.wire import Wire

# NodeProto and AttributeProto
_INPUT, _OUTPUT, _OPERATOR, _ATTRIBUTE, _DOMAIN, _OVERLOAD = 1, 2, 4, 5, 7, 8
_SUBGRAPH, _SUBGRAPHS = 6, 11

_INPUT_TAG, _OUTPUT_TAG, _OPERATOR_TAG, _ATTRIBUTE_TAG, _DOMAIN_TAG, _OVERLOAD_TAG = (
    number << 3 | BYTES for number in (_INPUT, _OUTPUT, _OPERATOR, _ATTRIBUTE, _DOMAIN, _OVERLOAD)
)
_BEGINS_SUBGRAPH = frozenset(
    byte for number in (_SUBGRAPH, _SUBGRAPHS) for byte in (number << 3 | BYTES, number << 3 | BYTES | 0x80)
)
"""The first byte of a subgraph's tag, also where that is written in more bytes than it takes."""

_LEAST_AHEAD = 4 << 10
_MOST_AHEAD = 64 << 10
_LONGEST_ATTRIBUTE = 256
_MOST_ATTRIBUTES = 10_000
_MAX_NAMES = 100_000
_MAX_NAME_BYTES = 4 << 20


class TooLargeError(Exception):
    """The graph is larger than what is followed. Never leaves this package."""


class Node(NamedTuple):
    """Names as bytes: they are compared, never shown. subgraphs: the parts of each, for a repeated one merges."""

    inputs: list[bytes]
    outputs: list[bytes]
    operator: bytes
    domain: bytes
    overload: bytes
    subgraphs: list[list[Span]]


PlainNode = tuple[list[bytes], list[bytes], bytes, bytes, bytes]
"""A node without subgraphs: what a Node holds but them."""


class NodeReader:
    """Reads the nodes of one file."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._without_subgraph: set[bytes] = set()
        self._ahead = _LEAST_AHEAD

    def plain_nodes(self, start: int, end: int, number: int) -> tuple[list[PlainNode], int]:
        """Nodes that follow each other from offset `start`, and where that ends.

        end: of the graph or function. number: of its field that holds nodes. Found are those that lie in the next few
        kilobytes, are written as protobuf writes them and hold no subgraph. The stretch that is read grows while it is
        full of such nodes, and shrinks again where weights lie between them.
        """
        base, window = self._wire.source.window(start, min(self._ahead, end - start))
        stop = min(len(window), end - base)
        nodes, whole = self._plain_nodes(window, base, start - base, stop, number << 3 | BYTES)
        half_used = 2 * (whole + base - start) > self._ahead
        self._ahead = min(2 * self._ahead, _MOST_AHEAD) if half_used else _LEAST_AHEAD
        return nodes, base + whole

    def read(self, start: int, end: int) -> Node:
        """Any node: the content of one that lies in `start` to `end`.

        ArtifactError when it is malformed, TooLargeError when it names more than any node does.
        """
        wire = self._wire
        texts: dict[int, list[bytes]] = {_INPUT: [], _OUTPUT: [], _OPERATOR: [], _DOMAIN: [], _OVERLOAD: []}
        subgraphs: list[list[Span]] = []
        names_left, bytes_left = _MAX_NAMES, _MAX_NAME_BYTES
        for field in wire.fields(start, end):
            if field.number in texts:
                names_left -= 1
                bytes_left -= field.end - field.start
                if names_left < 0 or bytes_left < 0:
                    raise TooLargeError
                texts[field.number].append(wire.content(field, limit=_MAX_NAME_BYTES))
            elif field.number == _ATTRIBUTE:
                subgraphs.extend(self._subgraphs(message(wire, field)))
        operator, domain, overload = ((texts[each] or [b""])[-1] for each in (_OPERATOR, _DOMAIN, _OVERLOAD))
        return Node(texts[_INPUT], texts[_OUTPUT], operator, domain, overload, subgraphs)

    def _subgraphs(self, attribute: Span) -> Iterator[list[Span]]:
        single: list[Span] = []
        for field in self._wire.fields(*attribute):
            if field.number == _SUBGRAPH:
                single.append(message(self._wire, field))
            elif field.number == _SUBGRAPHS:
                yield [message(self._wire, field)]
        if single:
            yield single

    def _plain_nodes(self, data: bytes, base: int, at: int, end: int, node_tag: int) -> tuple[list[PlainNode], int]:
        """`plain_nodes` in `data[at:end]`, of a window at `base`: tags of one byte, lengths of one or two."""
        nodes: list[PlainNode] = []
        known = self._without_subgraph
        whole = at
        try:
            while at < end and data[at] == node_tag:
                length, at = data[at + 1], at + 2
                if length >= 0x80:
                    length, at = length & 0x7F | data[at] << 7, at + 1
                    if data[at - 1] >= 0x80:
                        break
                stop = at + length
                if stop > end:
                    break
                inputs: list[bytes] = []
                outputs: list[bytes] = []
                operator = domain = overload = b""
                while at < stop:
                    tag, length, begin = data[at], data[at + 1], at + 2
                    if length >= 0x80:
                        length, begin = length & 0x7F | data[begin] << 7, begin + 1
                        if data[begin - 1] >= 0x80:
                            return nodes, whole
                    at = begin + length
                    if tag == _INPUT_TAG:
                        inputs.append(data[begin:at])
                    elif tag == _OUTPUT_TAG:
                        outputs.append(data[begin:at])
                    elif tag == _OPERATOR_TAG:
                        operator = data[begin:at]
                    elif tag == _ATTRIBUTE_TAG:
                        attribute = data[begin:at]
                        if attribute not in known and self._holds_subgraph(base + begin, base + at, attribute):
                            return nodes, whole
                    elif tag == _DOMAIN_TAG:
                        domain = data[begin:at]
                    elif tag == _OVERLOAD_TAG:
                        overload = data[begin:at]
                    elif tag & 7 != BYTES or not 8 <= tag < 0x80:
                        return nodes, whole
                if at != stop:
                    break
                nodes.append((inputs, outputs, operator, domain, overload))
                whole = at
        except IndexError:
            pass
        return nodes, whole

    def _holds_subgraph(self, start: int, end: int, attribute: bytes) -> bool:
        """Whether the attribute that lies there holds a graph."""
        if not _BEGINS_SUBGRAPH.isdisjoint(attribute):
            for field in self._wire.fields(start, end):
                if field.number in (_SUBGRAPH, _SUBGRAPHS):
                    return True
        if len(attribute) <= _LONGEST_ATTRIBUTE and len(self._without_subgraph) < _MOST_ATTRIBUTES:
            self._without_subgraph.add(attribute)
        return False
