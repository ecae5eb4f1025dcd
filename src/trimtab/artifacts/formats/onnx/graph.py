"""An ONNX graph's inputs and outputs: names, types, defaults, documentation, and whether any output depends on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from trimtab.artifacts.formats.onnx.constants import MAX_ELEMENTS, is_small, small_tensor, tensor_name
from trimtab.artifacts.formats.onnx.liveness import NODE, Liveness
from trimtab.artifacts.formats.onnx.model import MAX_TEXT, message
from trimtab.artifacts.formats.onnx.nodes import TooLargeError
from trimtab.artifacts.formats.onnx.torch_export import RANGES_KEY, size_limits
from trimtab.artifacts.formats.onnx.value_types import plain_type, read_type
from trimtab.artifacts.limits import MAX_VALUES, check_count
from trimtab.signature.model import Input, Live, Output, Overload, Presence
from trimtab.signature.types import Literal, Mapping, Optional, Sequence, Sparse, Tensor, Type
from trimtab.source.wire import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.artifacts.formats.onnx.model import Model, Span
    from trimtab.signature.model import Range

# GraphProto
_INITIALIZER, _INPUT, _OUTPUT, _SPARSE_INITIALIZER, _METADATA = 5, 11, 12, 15, 16
# ValueInfoProto, SparseTensorProto and StringStringEntryProto
_NAME, _TYPE, _DOC, _SPARSE_VALUES, _KEY, _VALUE = 1, 2, 3, 1, 1, 2

_FIRST_IR_WITH_DEFAULTS = 4
"""From this IR version on, an initializer named among the inputs is a default; before, every initializer is named."""

_SPARSE = -1
_MAX_NOTES = 50
_MAX_KEPT_TYPE = 256
_MAX_KEPT_TYPES = 1000
_MAX_DOC = 4 << 10


def read_graph(model: Model) -> tuple[Overload, tuple[str, ...]]:
    """The graph as one way to call the model, and notes on what a signature cannot say.

    ArtifactError where the graph is malformed, or has more inputs and outputs than any model.
    """
    graph = _Graph(model)
    outputs = tuple(graph.outputs())
    inputs = tuple(graph.inputs(outputs))
    overload = Overload(inputs=inputs, outputs=outputs, dimensions=graph.dimensions((*inputs, *outputs)))
    return overload, graph.notes()


_ValueAt: TypeAlias = "Span | Entry"
"""Where a ValueInfoProto lies; or, where it holds nothing else, its name and its type."""


class _ValueInfo(NamedTuple):
    name: str
    type: Type
    doc: str


class _Graph:
    """The graph's parts, and what they say."""

    def __init__(self, model: Model) -> None:
        self._wire = model.wire
        self._ir_version = model.ir_version
        self._inputs: list[_ValueAt] = []
        self._outputs: list[_ValueAt] = []
        self._metadata: list[Span] = []
        self._initializers: dict[str, int] = {}  # at which offset each tensor's field begins; _SPARSE for sparse ones
        self._types: dict[bytes, Type | None] = {}
        self._notes: dict[str, None] = {}
        self._elements_left = MAX_VALUES
        self._liveness: Liveness | None = Liveness(model.wire.source, model.functions)
        for span in model.graphs:
            self._read_parts(span)
        where = f"{self._wire.source.name}: graph"
        check_count(len(self._inputs) + len(self._outputs), MAX_VALUES, "inputs and outputs", where)

    def inputs(self, outputs: tuple[Output, ...]) -> Iterator[Input]:
        """What a caller gives. outputs: the graph's, for what they depend on is live."""
        values = [self._value(each) for each in self._inputs]
        live = self._live([it.name for it in values], [it.name for it in outputs]) if values else {}
        weights = self._lists_weights({it.name for it in values})
        for value in values:
            if value.name not in self._initializers:
                yield Input(
                    name=value.name,
                    type=value.type,
                    nullable=isinstance(value.type, Optional),
                    live=live.get(value.name, Live.UNKNOWN),
                    doc=value.doc,
                )
            elif self._ir_version >= _FIRST_IR_WITH_DEFAULTS:
                yield Input(
                    name=value.name,
                    type=value.type,
                    presence=Presence.DEFAULT,
                    default=None if weights else self._default(value.name),
                    live=live.get(value.name, Live.UNKNOWN),
                    doc=value.doc,
                )

    def outputs(self) -> Iterator[Output]:
        """What the model returns."""
        for each in self._outputs:
            value = self._value(each)
            yield Output(name=value.name, type=value.type, doc=value.doc)

    def dimensions(self, values: tuple[Input | Output, ...]) -> dict[str, Range]:
        """The limits of the sizes in the shapes of `values`, where torch.onnx.export states them."""
        ranges = self._torch_ranges() if self._metadata else ""
        if not ranges:
            return {}
        return size_limits(ranges, {dim for it in values for dim in _symbols(it.type)})

    def notes(self) -> tuple[str, ...]:
        """What was noted, each once."""
        notes = tuple(self._notes)
        return notes if len(notes) <= _MAX_NOTES else (*notes[:_MAX_NOTES], f"and {len(notes) - _MAX_NOTES} more notes")

    def _note(self, text: str) -> None:
        self._notes[text] = None

    def _read_parts(self, span: Span) -> None:
        values = {_INPUT: self._inputs, _OUTPUT: self._outputs}
        at, end = span
        while at < end:
            for field in self._wire.fields(at, end):
                if field.number == NODE and self._liveness is not None:
                    at = self._follow_nodes(self._liveness, field.at, end)
                    break
                if field.number in values:
                    plain, stop = self._wire.entries(field.at, end, field.number)
                    if plain:
                        values[field.number].extend(plain)
                        at = stop
                        break
                    values[field.number].append(message(self._wire, field))
                elif field.number == _METADATA:
                    self._metadata.append(message(self._wire, field))
                elif field.number == _INITIALIZER:  # its name now, while the file's window is on it
                    self._initializers[tensor_name(self._wire, message(self._wire, field))] = field.at
                elif field.number == _SPARSE_INITIALIZER:
                    self._add_sparse_initializer(message(self._wire, field))
                at = field.end

    def _follow_nodes(self, liveness: Liveness, start: int, end: int) -> int:
        try:
            return liveness.add(start, end)
        except TooLargeError:
            self._liveness = None
            return start

    def _live(self, inputs: list[str], outputs: list[str]) -> dict[str, Live]:
        """Which inputs are live; nothing of any where the graph is too large to tell."""
        if self._liveness is None:
            self._note("the graph is too large to say which inputs its outputs depend on")
            return {}
        return self._liveness.live(inputs, outputs)

    def _add_sparse_initializer(self, span: Span) -> None:
        """Its name is that of the tensor of its values."""
        name = ""
        for field in self._wire.fields(*span):
            if field.number == _SPARSE_VALUES:
                name = tensor_name(self._wire, message(self._wire, field)) or name
        self._initializers[name] = _SPARSE

    def _lists_weights(self, names: set[str]) -> bool:
        """Whether the exporter lists every tensor of the graph as an input, weights and all.

        Then their values are no defaults that anyone chose, and change with every training.
        """
        tensors = self._initializers
        if self._ir_version < _FIRST_IR_WITH_DEFAULTS or not tensors or not names.issuperset(tensors):
            return False
        if all(at == _SPARSE or is_small(self._wire, self._tensor(at)) for at in tensors.values()):
            return False
        self._note("every weight is listed as an input with a default; the values are not shown")
        return True

    def _default(self, name: str) -> Literal | None:
        at = self._initializers[name]
        if at == _SPARSE or self._elements_left <= 0:
            return None
        self._elements_left -= MAX_ELEMENTS
        return small_tensor(self._wire, self._tensor(at))

    def _tensor(self, at: int) -> Span:
        return message(self._wire, next(self._wire.fields(at, self._wire.source.size)))

    def _value(self, at: _ValueAt) -> _ValueInfo:
        if isinstance(at, Entry):
            return _ValueInfo(at.text, self._type(at.content, at.start, at.text), "")
        name, doc = "", ""
        types: list[Span] = []
        for field in self._wire.fields(*at):
            if field.number == _NAME:
                name = self._wire.text(field, limit=MAX_TEXT)
            elif field.number == _TYPE:
                types.append(message(self._wire, field))
            elif field.number == _DOC and field.value <= _MAX_DOC:
                doc = self._wire.text(field, limit=_MAX_DOC, errors="replace")
        if len(types) != 1 or types[0][1] - types[0][0] > _MAX_KEPT_TYPE:
            return _ValueInfo(name, read_type(self._wire, types, name, self._note), doc)
        start, end = types[0]
        return _ValueInfo(name, self._type(self._wire.source.read(start, end - start), start, name), doc)

    def _type(self, content: bytes, start: int, value_name: str) -> Type:
        """The type that is written in `content`, which begins at `start`. Hundreds of values share a few."""
        if len(content) <= _MAX_KEPT_TYPE:
            known = self._types.get(content)
            if known is None and len(self._types) < _MAX_KEPT_TYPES:
                known = self._types[content] = plain_type(content)
            if known is not None:
                return known
        return read_type(self._wire, [(start, start + len(content))], value_name, self._note)

    def _torch_ranges(self) -> str:
        for span in self._metadata:
            entry = {it.number: it for it in self._wire.fields(*span)}
            key, value = entry.get(_KEY), entry.get(_VALUE)
            if key is None or value is None or key.end - key.start != len(RANGES_KEY) or value.value > MAX_TEXT:
                continue
            if self._wire.text(key, limit=MAX_TEXT, errors="replace") == RANGES_KEY:
                return self._wire.text(value, limit=MAX_TEXT, errors="replace")
        return ""


def _symbols(type_: Type) -> Iterator[str]:
    """The sizes in a type's shapes that are symbols or expressions."""
    while isinstance(type_, Sequence | Optional | Mapping):
        type_ = type_.value if isinstance(type_, Mapping) else type_.element
    if isinstance(type_, Tensor | Sparse):
        yield from (dim for dim in type_.shape or () if isinstance(dim, str))
