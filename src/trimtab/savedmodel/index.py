"""Where each part of a SavedModel lies in its proto, found by one walk that skips what bears no signature.

Nothing is decoded but the keys and names by which parts are looked up. Edits replace parts by these very spans.
"""

from __future__ import annotations

from array import array
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct, field

from trimtab.errors import ArtifactError
from trimtab.savedmodel.message import fields, text
from trimtab.source.wire import BYTES, VARINT, Wire, WireField

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.source.bytes import ByteSource

MAX_PARTS = 100_000
"""How many nodes, functions and objects a SavedModel has in all, before it is taken for a bomb."""

MAX_ENTRIES = 10_000
"""How many MetaGraphs, signatures, collections and assets it has in all."""

MAX_OBJECT_GRAPH_BYTES = 64 << 20
"""How large an object graph is; that of 4,000 objects is of a megabyte."""

_MAX_NAME = 64 << 10
_MAX_ENTRY_FIELDS = 64


class Span(NamedTuple):
    """A length-delimited field: its tag begins at `at`, its content lies in `start` to `end`."""

    at: int
    start: int
    end: int


class Spans:
    """Many spans, compactly."""

    def __init__(self) -> None:
        self._numbers = array("q")

    def append(self, span: Span) -> None:
        """Add one at the end."""
        self._numbers.extend(span)

    def __len__(self) -> int:
        return len(self._numbers) // 3

    def __getitem__(self, position: int) -> Span:
        if not 0 <= position < len(self):
            raise IndexError(position)
        return Span(*self._numbers[3 * position : 3 * position + 3])

    def __iter__(self) -> Iterator[Span]:
        return map(self.__getitem__, range(len(self)))


class MetaGraphIndex(Struct):
    """The parts of one MetaGraphDef, by the names of the proto's fields.

    span, graph_def, library, object_graph_def: the enclosing messages, whose lengths an edit must mend.
    node: GraphDef.node. function: FunctionDefLibrary.function by name. nodes, concrete_functions: of the object graph.
    """

    span: Span
    meta_info_def: Span | None = None
    graph_def: Span | None = None
    library: Span | None = None
    object_graph_def: Span | None = None
    saver_def: Span | None = None
    node: Spans = field(default_factory=Spans)
    function: dict[str, Span] = field(default_factory=dict)
    signature_def: dict[str, Span] = field(default_factory=dict)
    collection_def: dict[str, Span] = field(default_factory=dict)
    asset_file_def: Spans = field(default_factory=Spans)
    nodes: Spans = field(default_factory=Spans)
    concrete_functions: dict[str, Span] = field(default_factory=dict)


class SavedModelIndex(Struct):
    """The parts of a SavedModel."""

    schema_version: int
    meta_graphs: tuple[MetaGraphIndex, ...]


def index_saved_model(source: ByteSource) -> SavedModelIndex:
    """Walk the proto in `source`. ArtifactError where it is malformed or no SavedModel."""
    return _Walk(source).saved_model()


def looks_like_saved_model(source: ByteSource) -> bool:
    """Whether the bytes begin as those of a SavedModel do: perhaps a version, then a MetaGraphDef, and nothing else."""
    wire = Wire(source, max_fields=16)
    found = False
    try:
        for field_ in wire.fields(0, source.size):
            if field_.number == 1 and field_.wire_type == VARINT:
                continue
            if field_.number != 2 or field_.wire_type != BYTES:
                return False
            if found:
                return True
            first = next(wire.fields(field_.start, field_.end), None)
            if first is None or first.number not in (1, 2, 7) or first.wire_type != BYTES:
                return False
            found = True  # unless a field of another message comes next: CoreML's begin alike
    except ArtifactError:
        return found
    return found


def _entry_key(data: bytes, start: int, end: int, where: str) -> str:
    """The key of a map's entry; empty when its first few fields hold none."""
    for number, wire_type, begin, stop in islice(fields(data, start, end, where), _MAX_ENTRY_FIELDS):
        if number == 1 and wire_type == BYTES:
            if stop - begin > _MAX_NAME:
                raise ArtifactError(where=where, expected=f"a key of at most {_MAX_NAME} bytes", got=str(stop - begin))
            return text(data, begin, stop, where)
    return ""


class _Walk:
    def __init__(self, source: ByteSource) -> None:
        self._wire = Wire(source, max_fields=4 * MAX_PARTS)
        self._name = source.name
        self._parts_left = MAX_PARTS
        self._entries_left = MAX_ENTRIES

    def saved_model(self) -> SavedModelIndex:
        version = 0
        meta_graphs = []
        for field_ in self._wire.fields(0, self._wire.source.size):
            if field_.number == 1 and field_.wire_type == VARINT:
                version = field_.value
            elif field_.number == 2:
                meta_graphs.append(self._meta_graph(self._entry(field_)))
        if not meta_graphs:
            raise ArtifactError(where=self._name, expected="a SavedModel with at least one MetaGraph", got="none")
        return SavedModelIndex(version, tuple(meta_graphs))

    def _meta_graph(self, span: Span) -> MetaGraphIndex:
        index = MetaGraphIndex(span)
        for field_ in self._wire.fields(span.start, span.end):
            match field_.number:
                case 1:
                    index.meta_info_def = self._once(index.meta_info_def, field_, "meta_info_def")
                case 2:
                    index.graph_def = self._once(index.graph_def, field_, "graph_def")
                    self._graph(index, index.graph_def)
                case 3:
                    index.saver_def = self._once(index.saver_def, field_, "saver_def")
                case 4:
                    index.collection_def[self._key(field_)] = self._entry(field_)
                case 5:
                    index.signature_def[self._key(field_)] = self._entry(field_)
                case 6:
                    index.asset_file_def.append(self._entry(field_))
                case 7:
                    index.object_graph_def = self._once(index.object_graph_def, field_, "object_graph_def")
                    self._objects(index, index.object_graph_def)
        return index

    def _graph(self, index: MetaGraphIndex, span: Span) -> None:
        for field_ in self._wire.fields(span.start, span.end):
            if field_.number == 1:
                index.node.append(self._part(field_))
            elif field_.number == 2:
                index.library = self._once(index.library, field_, "library")
                for function in self._wire.fields(index.library.start, index.library.end):
                    if function.number == 1:
                        index.function[self._function_name(function)] = self._part(function)

    def _objects(self, index: MetaGraphIndex, span: Span) -> None:
        """Read at once: the object graph is a small part of a model, and of many small parts."""
        size = span.end - span.start
        where = f"{self._name}: object_graph_def"
        if size > MAX_OBJECT_GRAPH_BYTES:
            raise ArtifactError(where=where, expected=f"at most {MAX_OBJECT_GRAPH_BYTES} bytes", got=str(size))
        data = self._wire.source.read(span.start, size)
        at = span.start
        for number, wire_type, begin, stop in fields(data, 0, size, where):
            field_ = WireField(number, wire_type, at, span.start + begin, span.start + stop, stop - begin)
            if number not in (1, 2):
                self._spend(field_)
            else:
                part = self._part(field_)
                if number == 1:
                    index.nodes.append(part)
                else:
                    index.concrete_functions[_entry_key(data, begin, stop, where)] = part
            at = span.start + stop

    def _function_name(self, function: WireField) -> str:
        """FunctionDef.signature.name: its first field's first field in every proto that TensorFlow wrote."""
        span = self._span(function)
        signature = self._wire.leading(span.start, span.end)
        name = self._wire.leading_text(*signature, limit=_MAX_NAME) if signature is not None else None
        if name is not None:
            return name
        for field_ in self._wire.fields(span.start, span.end):
            if field_.number == 1:
                return self._key(field_)
        return ""

    def _key(self, entry: WireField) -> str:
        """Field 1 of a message as text: a map entry's key, an OpDef's name."""
        span = self._span(entry)
        at_once = self._wire.leading_text(span.start, span.end, limit=_MAX_NAME)
        if at_once is not None:
            return at_once
        for field_ in self._wire.fields(span.start, span.end):
            if field_.number == 1:
                return self._wire.text(field_, limit=_MAX_NAME)
        return ""

    def _part(self, field_: WireField) -> Span:
        """One of the things that a model has very many of."""
        self._spend(field_)
        return Span(field_.at, field_.start, field_.end) if field_.wire_type == BYTES else self._span(field_)

    def _spend(self, field_: WireField) -> None:
        self._parts_left -= 1
        if self._parts_left < 0:
            raise self._too_many(field_, f"at most {MAX_PARTS} nodes, functions and objects")

    def _entry(self, field_: WireField) -> Span:
        """One of the things that a model has few of."""
        self._entries_left -= 1
        if self._entries_left < 0:
            raise self._too_many(field_, f"at most {MAX_ENTRIES} MetaGraphs, signatures, collections and assets")
        return self._span(field_)

    def _too_many(self, field_: WireField, expected: str) -> ArtifactError:
        return ArtifactError(
            where=f"{self._name} at offset {field_.at}",
            expected=expected,
            got="more",
            hint="No model needs so many: the file is damaged, or made to exhaust whoever reads it.",
        )

    def _once(self, before: Span | None, field_: WireField, name: str) -> Span:
        if before is not None:
            raise ArtifactError(
                where=f"{self._name} at offset {field_.at}",
                expected=f"{name} once in a MetaGraph",
                got="a second part of it",
                hint="TensorFlow writes it in one piece. Has the file been put together from others?",
            )
        return self._span(field_)

    def _span(self, field_: WireField) -> Span:
        if field_.wire_type != BYTES:
            raise ArtifactError(
                where=f"{self._name} at offset {field_.at}",
                expected=f"a message in field {field_.number}",
                got=f"wire type {field_.wire_type}",
            )
        return Span(field_.at, field_.start, field_.end)
