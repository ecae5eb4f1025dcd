"""Graphs and functions, decoded when asked for: attributes, and the weights among them, are not touched before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from trimtab.errors import ArtifactError
from trimtab.savedmodel.graph_protos import AttrValue, OpDef
from trimtab.savedmodel.message import BYTES, decode, fields, text

if TYPE_CHECKING:
    from trimtab.savedmodel.index import Span, Spans
    from trimtab.source.bytes import ByteSource

MAX_NODE_BYTES = 256 << 20
"""How much of one node is read into memory, when its attributes are asked for."""

_BIG_NODE = 64 << 10
_FUNC_TAG, _LIST_TAG = b"\x52", b"\x0a"
_FUNC_OF_LIST = 9


class TensorName(NamedTuple):
    """An input of a node: `node`, the name of its output argument (in functions only) and the position.

    control: it only orders the two nodes; no value flows.
    """

    node: str
    output: str = ""
    position: int = 0
    control: bool = False

    @classmethod
    def parse(cls, name: str) -> TensorName:
        """From `node`, `node:1` (graphs), `node:output:0` (functions) or `^node` (control)."""
        if name.startswith("^"):
            return cls(name[1:], control=True)
        if ":" not in name:
            return cls(name)
        parts = name.split(":")
        position = int(parts[-1]) if len(parts) > 1 and parts[-1].isdecimal() and len(parts[-1]) < 10 else 0
        return cls(parts[0], parts[1] if len(parts) == 3 else "", position)


class NodeDef:
    """A node: its name, op and inputs; attributes are decoded one by one, on demand."""

    __slots__ = ("_attr", "_callees", "_data", "_where", "input", "name", "op")

    def __init__(self, data: bytes, start: int, end: int, where: str) -> None:
        self._data = data
        self._where = where
        self.name = ""
        self.op = ""
        inputs: list[str] = []
        self._attr: dict[str, tuple[int, int]] = {}
        self._callees: tuple[str, ...] | None = None
        for number, wire_type, begin, stop in fields(data, start, end, where):
            if wire_type != BYTES:
                continue
            if number == 1:
                self.name = text(data, begin, stop, where)
            elif number == 2:
                self.op = text(data, begin, stop, where)
            elif number == 3:
                inputs.append(text(data, begin, stop, where))
            elif number == 5:
                key, value = _entry(data, begin, stop, where)
                self._attr[key] = value
        self.input: tuple[str, ...] = tuple(inputs)

    @property
    def attr_names(self) -> tuple[str, ...]:
        """The names of its attributes."""
        return tuple(self._attr)

    def attr(self, name: str) -> AttrValue | None:
        """The attribute of that name, or None."""
        span = self._attr.get(name)
        return decode(AttrValue, self._data, f"{self._where} {self.name!r}: attr {name!r}", *span) if span else None

    def attr_bytes(self, name: str) -> bytes:
        """The attribute of that name as it is serialized; empty when there is none."""
        start, end = self._attr.get(name, (0, 0))
        return self._data[start:end]

    @property
    def callees(self) -> tuple[str, ...]:
        """The names of the functions that it calls, by the order of their attributes."""
        if self._callees is None:
            self._callees = tuple(self._called())
        return self._callees

    def _called(self) -> list[str]:
        found: list[str] = []
        for name, (start, end) in self._attr.items():
            tag = self._data[start : start + 1]
            if tag == _FUNC_TAG or (tag == _LIST_TAG and self._lists_functions(start, end)):
                value = self.attr(name)
                if value is not None and value.func is not None:
                    found.append(value.func.name)
                elif value is not None and value.list is not None:
                    found += [function.name for function in value.list.func]
        return found

    def _lists_functions(self, start: int, end: int) -> bool:
        """Whether a list value holds functions: most hold dtypes and shapes, and need not be decoded to see that."""
        lists = fields(self._data, start, end, self._where)
        return any(
            number == _FUNC_OF_LIST
            for _, wire_type, begin, stop in lists
            if wire_type == BYTES
            for number, *_ in fields(self._data, begin, stop, self._where)
        )

    def __repr__(self) -> str:
        return f"NodeDef({self.name!r}, {self.op!r}, {list(self.input)!r})"


class FunctionDef:
    """A function of the library: its signature, its nodes and what it returns."""

    def __init__(self, source: ByteSource, span: Span, name: str) -> None:
        self.name = name
        self._source = source
        self._span = span
        self._where = f"{source.name}: function {name!r}"

    @cached_property
    def signature(self) -> OpDef:
        """The flat arguments and results."""
        from trimtab.source.wire import Wire

        for field in Wire(self._source).fields(self._span.start, self._span.end):
            if field.number == 1:
                content = _read(self._source, field.start, field.end, self._where)
                return decode(OpDef, content, f"{self._where}: signature")
        return OpDef()

    @cached_property
    def node_def(self) -> Mapping[str, NodeDef]:
        """The nodes by name, in the proto's order."""
        data = self._data
        nodes = (NodeDef(data, start, end, self._where) for start, end in self._parts(3))
        return {node.name: node for node in nodes}

    @cached_property
    def ret(self) -> Mapping[str, str]:
        """By the name of each result, the tensor that it is."""
        return self._texts(4)

    @cached_property
    def control_ret(self) -> Mapping[str, str]:
        """By the name of each control output, its node."""
        return self._texts(6)

    @cached_property
    def attr(self) -> Mapping[str, AttrValue]:
        """Attributes of the function."""
        return _attributes(self._data, self._parts(5), self._where)

    @cached_property
    def arg_attr(self) -> Mapping[int, Mapping[str, AttrValue]]:
        """Attributes of the arguments, by position: `_user_specified_name`, `_output_shapes`."""
        data, found = self._data, {}
        for start, end in self._parts(7):
            position, attributes = 0, []
            for number, wire_type, begin, stop in fields(data, start, end, self._where):
                if number == 1:
                    position = begin
                elif number == 2 and wire_type == BYTES:
                    inner = fields(data, begin, stop, self._where)
                    attributes += [(at, until) for number, kind, at, until in inner if number == 1 and kind == BYTES]
            found[position] = _attributes(data, attributes, self._where)
        return found

    @property
    def callees(self) -> tuple[str, ...]:
        """The names of the functions that its nodes call, each once."""
        return tuple(dict.fromkeys(name for node in self.node_def.values() for name in node.callees))

    @cached_property
    def _data(self) -> bytes:
        return _read(self._source, self._span.start, self._span.end, self._where)

    def _parts(self, wanted: int) -> list[tuple[int, int]]:
        data = self._data
        walk = fields(data, 0, len(data), self._where)
        return [(start, end) for number, kind, start, end in walk if number == wanted and kind == BYTES]

    def _texts(self, number: int) -> dict[str, str]:
        data, found = self._data, {}
        for start, end in self._parts(number):
            key, value = _entry(data, start, end, self._where)
            found[key] = text(data, *value, self._where)
        return found

    @property
    def size(self) -> int:
        """Bytes in the proto."""
        return self._span.end - self._span.start

    def __repr__(self) -> str:
        return f"FunctionDef({self.name!r})"


class Library(Mapping[str, FunctionDef]):
    """The functions of a graph by name; each is decoded when asked for."""

    def __init__(self, source: ByteSource, spans: Mapping[str, Span]) -> None:
        self._source = source
        self._spans = spans
        self._made: dict[str, FunctionDef] = {}

    def __getitem__(self, name: str) -> FunctionDef:
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = FunctionDef(self._source, self._spans[name], name)
        return made

    def __contains__(self, name: object) -> bool:
        return name in self._spans

    def __iter__(self) -> Iterator[str]:
        return iter(self._spans)

    def __len__(self) -> int:
        return len(self._spans)


class GraphDef:
    """The graph of a MetaGraph: its nodes by name, and its library of functions."""

    def __init__(self, source: ByteSource, nodes: Spans, library: Library) -> None:
        self.library = library
        self._source = source
        self._spans = nodes
        self._where = f"{source.name}: graph_def"

    @cached_property
    def node(self) -> Mapping[str, NodeDef]:
        """The nodes by name, in the proto's order. Costs one read of the graph, without its library."""
        nodes = map(self._node, self._spans)
        return {node.name: node for node in nodes}

    def _node(self, span: Span) -> NodeDef:
        if span.end - span.start > _BIG_NODE:
            return _big_node(self._source, span, self._where)
        return NodeDef(self._source.read(span.start, span.end - span.start), 0, span.end - span.start, self._where)


def _big_node(source: ByteSource, span: Span, where: str) -> NodeDef:
    """A node with a large constant in it: the attributes' values that are large are left out."""
    from trimtab.source.wire import Wire

    kept = [
        source.read(field.at, field.end - field.at)
        for field in Wire(source).fields(span.start, span.end)
        if field.end - field.at <= _BIG_NODE
    ]
    data = b"".join(kept)
    return NodeDef(data, 0, len(data), where)


def _read(source: ByteSource, start: int, end: int, where: str) -> bytes:
    if end - start > MAX_NODE_BYTES:
        raise ArtifactError(where=where, expected=f"at most {MAX_NODE_BYTES} bytes", got=str(end - start))
    return source.read(start, end - start)


def _entry(data: bytes, start: int, end: int, where: str) -> tuple[str, tuple[int, int]]:
    """An entry of a map with text keys: the key, and where the value lies."""
    key, value = "", (end, end)
    for number, wire_type, begin, stop in fields(data, start, end, where):
        if wire_type == BYTES and number == 1:
            key = text(data, begin, stop, where)
        elif wire_type == BYTES and number == 2:
            value = begin, stop
    return key, value


def _attributes(data: bytes, spans: list[tuple[int, int]], where: str) -> dict[str, AttrValue]:
    found = {}
    for start, end in spans:
        key, value = _entry(data, start, end, where)
        found[key] = decode(AttrValue, data, f"{where}: attr {key!r}", *value)
    return found
