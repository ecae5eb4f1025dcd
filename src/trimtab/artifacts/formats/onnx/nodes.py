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

_LONGEST_PLAIN = 16 << 10
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


class NodeReader:
    """Reads the nodes of one file."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._window_start = 0
        self._window = b""
        self._without_subgraph: set[bytes] = set()

    def read(self, start: int, end: int) -> Node:
        """The NodeProto that lies in `start` to `end`. ArtifactError when it is malformed, TooLargeError for a bomb."""
        if 0 < end - start <= _LONGEST_PLAIN:
            begin = start - self._window_start
            if begin < 0 or end - self._window_start > len(self._window):
                self._window_start, self._window = self._wire.source.window(start, end - start)
                begin = start - self._window_start
            try:
                node = self._as_written(self._window, begin, end - self._window_start)
            except IndexError:
                node = None
            if node is not None:
                return node
        return self._walked(start, end)

    def _as_written(self, data: bytes, at: int, end: int) -> Node | None:
        """A node without subgraphs whose tags are single bytes and whose lengths are of one or two; None of others."""
        inputs: list[bytes] = []
        outputs: list[bytes] = []
        operator = domain = overload = b""
        while at < end:
            tag, length, begin = data[at], data[at + 1], at + 2
            if length >= 0x80:
                length, begin = length & 0x7F | data[begin] << 7, begin + 1
                if data[begin - 1] >= 0x80:
                    return None
            at = begin + length
            if tag == _INPUT_TAG:
                inputs.append(data[begin:at])
            elif tag == _OUTPUT_TAG:
                outputs.append(data[begin:at])
            elif tag == _ATTRIBUTE_TAG:
                attribute = data[begin:at]
                if attribute not in self._without_subgraph:
                    if not _BEGINS_SUBGRAPH.isdisjoint(attribute) and self._has_subgraph(begin, at):
                        return None
                    if length <= _LONGEST_ATTRIBUTE and len(self._without_subgraph) < _MOST_ATTRIBUTES:
                        self._without_subgraph.add(attribute)
            elif tag == _OPERATOR_TAG:
                operator = data[begin:at]
            elif tag == _DOMAIN_TAG:
                domain = data[begin:at]
            elif tag == _OVERLOAD_TAG:
                overload = data[begin:at]
            elif tag & 7 != BYTES or not 8 <= tag < 0x80:
                return None
        return Node(inputs, outputs, operator, domain, overload, _NO_SUBGRAPHS) if at == end else None

    def _has_subgraph(self, begin: int, end: int) -> bool:
        """Whether the attribute in that part of the window holds a graph."""
        fields = self._wire.fields(self._window_start + begin, self._window_start + end)
        return any(field.number in (_SUBGRAPH, _SUBGRAPHS) for field in fields)

    def _walked(self, start: int, end: int) -> Node:
        """A node in any form that protobuf reads."""
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
                single: list[Span] = []
                for inner in wire.fields(*message(wire, field)):
                    if inner.number == _SUBGRAPH:
                        single.append(message(wire, inner))
                    elif inner.number == _SUBGRAPHS:
                        subgraphs.append([message(wire, inner)])
                if single:
                    subgraphs.append(single)
        operator, domain, overload = ((texts[each] or [b""])[-1] for each in (_OPERATOR, _DOMAIN, _OVERLOAD))
        return Node(texts[_INPUT], texts[_OUTPUT], operator, domain, overload, subgraphs)


_NO_SUBGRAPHS: list[list[Span]] = []
