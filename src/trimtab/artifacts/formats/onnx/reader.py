"""Read the signature of an ONNX model without onnx: a walk over the protobuf wire format that skips every weight.

Field numbers: onnx/onnx.proto. The file has no magic number and no checksum; the walk refuses what the format cannot
contain. Repeated singular messages merge, as protobuf has it and onnx.load does. The signature document lies in the
model's `metadata_props` under `module_info.json`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trimtab.artifacts.limits import MAX_VALUES, check_count
from trimtab.errors import ArtifactError
from trimtab.signature.document import FILE_NAME, MAX_DOCUMENT_BYTES
from trimtab.signature.dtypes import DType, dtype_of
from trimtab.signature.model import (
    EntryPoint,
    Input,
    Learned,
    Output,
    Overload,
    Presence,
    Provenance,
    Signature,
)
from trimtab.signature.types import Dim, Mapping, Opaque, Optional, Sequence, Sparse, Tensor, Type
from trimtab.source.wire import BYTES, VARINT, Wire, WireField, encode_field

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.source.bytes import ByteSource

name = "onnx"

ENTRY_POINT = "main"
MAX_TEXT = 64 << 10
MAX_TYPE_DEPTH = 16

_Span = tuple[int, int]

# ModelProto
_IR_VERSION, _PRODUCER_NAME, _PRODUCER_VERSION, _GRAPH, _OPSET, _METADATA = 1, 2, 3, 7, 8, 14
_BEFORE_GRAPH = {1: VARINT, 5: VARINT, **dict.fromkeys((2, 3, 4, 6, 8, 14, 20, 25, 26), BYTES)}
# GraphProto
_INITIALIZER, _INPUT, _OUTPUT, _SPARSE_INITIALIZER = 5, 11, 12, 15
# TensorProto and SparseTensorProto
_TENSOR_NAME, _SPARSE_VALUES = 8, 1
# TypeProto
_TENSOR, _SEQUENCE, _MAP, _OPAQUE, _SPARSE, _OPTIONAL = 1, 4, 5, 7, 8, 9
_KINDS = (_TENSOR, _SEQUENCE, _MAP, _OPAQUE, _SPARSE, _OPTIONAL)

_FIRST_IR_WITH_DEFAULTS = 4
"""From this IR version on, an initializer named among the inputs is a default; before, every initializer is named."""


def match(source: ByteSource) -> bool:
    """Whether the fields up to the graph are those of an ONNX model.

    CoreML and SavedModel files begin alike; neither has a length-delimited field 7 after nothing but ONNX's own.
    """
    wire = Wire(source, max_fields=10_000)
    try:
        for field in wire.fields(0, source.size):
            if field.number == _GRAPH:
                return field.wire_type == BYTES
            if _BEFORE_GRAPH.get(field.number) != field.wire_type:
                return False
    except ArtifactError:
        return _breaks_in_graph(source)
    return False


def derive(source: ByteSource) -> Signature:
    """One entry point, `main`: the graph's inputs and outputs."""
    model = _read_model(source)
    graph = _Graph(model)
    inputs = tuple(graph.inputs())
    outputs = tuple(graph.outputs())
    return Signature(
        entry_points=(EntryPoint(name=ENTRY_POINT, overloads=(Overload(inputs=inputs, outputs=outputs),)),),
        default_entry_point=ENTRY_POINT,
        provenance=Provenance(
            format=name,
            producer=" ".join(filter(None, (model.producer_name, model.producer_version))),
            learned=Learned.DERIVED,
            notes=(model.versions(), *graph.notes),
        ),
    )


def declared(source: ByteSource) -> bytes | None:
    """The value of `module_info.json` in the model's metadata."""
    documents = document_fields(source)
    if len(documents) > 1:
        raise ArtifactError(
            where=f"{source.name}: metadata_props",
            expected=f"{FILE_NAME} once",
            got=f"{len(documents)} times",
            hint="Readers differ on which one counts, so the model is refused. "
            "Embed one again, and it is the only one: trimtab embed MODEL --derive",
        )
    return documents[0].read(source) if documents else None


def embed(path: str, document: bytes) -> None:
    """Write the document into the model's metadata."""
    from trimtab.artifacts.formats.onnx.metadata import write_document

    write_document(path, document)


class Document(NamedTuple):
    """One metadata entry that holds a signature document: where its field lies, and where the value in it."""

    at: int
    end: int
    value: _Span

    def read(self, source: ByteSource) -> bytes:
        """The document."""
        start, end = self.value
        return source.read(start, end - start)


def document_fields(source: ByteSource) -> list[Document]:
    """Every metadata entry under our key, in the file's order."""
    wire = Wire(source)
    found = []
    for field in _model_fields(wire):
        if field.number != _METADATA:
            continue
        entry = {it.number: it for it in wire.fields(*_span(wire, field))}
        key = entry.get(1)
        if key is None or key.end - key.start != len(FILE_NAME) or wire.text(key, limit=MAX_TEXT) != FILE_NAME:
            continue
        value = _span(wire, entry[2]) if 2 in entry else (field.end, field.end)
        if value[1] - value[0] > MAX_DOCUMENT_BYTES:
            raise ArtifactError(
                where=f"{source.name}: {FILE_NAME}",
                expected=f"at most {MAX_DOCUMENT_BYTES} bytes",
                got=str(value[1] - value[0]),
            )
        found.append(Document(field.at, field.end, value))
    return found


def metadata_entry(document: bytes) -> bytes:
    """The bytes of a `metadata_props` field that holds the document, ready to be appended to a model."""
    key = FILE_NAME.encode()
    return encode_field(_METADATA, encode_field(1, key) + encode_field(2, document))


def _breaks_in_graph(source: ByteSource) -> bool:
    """Whether a walk that failed did so in the graph: then this is a damaged ONNX model, to be reported as such."""
    wire = Wire(source, max_fields=10_000)
    position = 0
    try:
        for field in wire.fields(0, source.size):
            position = field.end
    except ArtifactError:
        return position > 0 and source.head(1) == b"\x08" and source.read(position, 1) == b"\x3a"
    return False


def _model_fields(wire: Wire) -> Iterator[WireField]:
    """The model's own fields. A model cut after its graph is reported with the size that makes it whole again."""
    intact = 0
    try:
        for field in wire.fields(0, wire.source.size):
            yield field
            intact = field.end if intact or field.number == _GRAPH else 0
    except ArtifactError as failure:
        hint = f"Was it cut while a signature was embedded? Restore it: truncate -s {intact} {wire.source.name}"
        raise ArtifactError(
            failure.problem,
            where=failure.where,
            expected=failure.expected,
            got=failure.got,
            hint=failure.hint or (hint if intact else ""),
        ) from None


def _span(wire: Wire, field: WireField) -> _Span:
    if field.wire_type != BYTES:
        raise ArtifactError(
            where=f"{wire.source.name} at offset {field.at}",
            expected=f"a message in field {field.number}",
            got=f"wire type {field.wire_type}",
        )
    return field.start, field.end


class _Model:
    """The model's own fields, and where its graph lies."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.ir_version = 0
        self.producer_name = ""
        self.producer_version = ""
        self.opsets: list[str] = []
        self.graph: list[_Span] = []

    def versions(self) -> str:
        return f"IR version {self.ir_version}" + (f", opset {', '.join(self.opsets)}" if self.opsets else "")


def _read_model(source: ByteSource) -> _Model:
    wire = Wire(source)
    model = _Model(wire)
    for field in _model_fields(wire):
        if field.number == _IR_VERSION and field.wire_type == VARINT:
            model.ir_version = field.value
        elif field.number == _PRODUCER_NAME:
            model.producer_name = wire.text(field, limit=MAX_TEXT)
        elif field.number == _PRODUCER_VERSION:
            model.producer_version = wire.text(field, limit=MAX_TEXT)
        elif field.number == _GRAPH:
            model.graph.append(_span(wire, field))
        elif field.number == _OPSET:
            model.opsets.append(_opset(wire, _span(wire, field)))
    if not model.graph:
        raise ArtifactError(where=source.name, expected="an ONNX model with a graph", got="none")
    return model


def _opset(wire: Wire, span: _Span) -> str:
    domain, version = "", 0
    for field in wire.fields(*span):
        if field.number == 1:
            domain = wire.text(field, limit=MAX_TEXT)
        elif field.number == 2 and field.wire_type == VARINT:
            version = field.value
    return f"{domain} {version}".strip()


class _Graph:
    """The graph's inputs and outputs."""

    def __init__(self, model: _Model) -> None:
        self._wire = model.wire
        self._ir_version = model.ir_version
        self._inputs: list[_Span] = []
        self._outputs: list[_Span] = []
        self._initializers: list[_Span] = []
        self._sparse_initializers: list[_Span] = []
        self.notes: list[str] = []
        wanted = {
            _INPUT: self._inputs,
            _OUTPUT: self._outputs,
            _INITIALIZER: self._initializers,
            _SPARSE_INITIALIZER: self._sparse_initializers,
        }
        for span in model.graph:
            for field in self._wire.fields(*span):
                if field.number in wanted:
                    wanted[field.number].append(_span(self._wire, field))
        where = f"{self._wire.source.name}: graph"
        check_count(len(self._inputs) + len(self._outputs), MAX_VALUES, "inputs and outputs", where)

    def inputs(self) -> Iterator[Input]:
        constants = self._initializer_names() if self._inputs else frozenset()
        for span in self._inputs:
            input_name, type_ = self._value(span)
            if input_name not in constants:
                yield Input(name=input_name, type=type_, nullable=isinstance(type_, Optional))
            elif self._ir_version >= _FIRST_IR_WITH_DEFAULTS:
                yield Input(name=input_name, type=type_, presence=Presence.DEFAULT)

    def outputs(self) -> Iterator[Output]:
        for span in self._outputs:
            output_name, type_ = self._value(span)
            yield Output(name=output_name, type=type_)

    def _initializer_names(self) -> frozenset[str]:
        names = {self._tensor_name(span) for span in self._initializers}
        for span in self._sparse_initializers:
            names.update(
                self._tensor_name(_span(self._wire, field))
                for field in self._wire.fields(*span)
                if field.number == _SPARSE_VALUES
            )
        return frozenset(names)

    def _tensor_name(self, span: _Span) -> str:
        tensor_name = ""
        for field in self._wire.fields(*span):
            if field.number == _TENSOR_NAME:
                tensor_name = self._wire.text(field, limit=MAX_TEXT)
        return tensor_name

    def _value(self, span: _Span) -> tuple[str, Type]:
        """Name and type of a ValueInfoProto."""
        value_name = ""
        types: list[_Span] = []
        for field in self._wire.fields(*span):
            if field.number == 1:
                value_name = self._wire.text(field, limit=MAX_TEXT)
            elif field.number == 2:
                types.append(_span(self._wire, field))
        return value_name, self._type(types, value_name, 0)

    def _type(self, spans: list[_Span], value_name: str, depth: int) -> Type:
        """A TypeProto. Its kinds exclude each other: the last one counts, and merges with its own earlier ones."""
        if depth > MAX_TYPE_DEPTH:
            raise ArtifactError(
                where=f"{self._wire.source.name}: {value_name!r}",
                expected=f"a type nested at most {MAX_TYPE_DEPTH} deep",
                got="deeper nesting",
            )
        kind = 0
        inner: list[_Span] = []
        for span in spans:
            for field in self._wire.fields(*span):
                if field.number in _KINDS:
                    inner = inner if field.number == kind else []
                    kind = field.number
                    inner.append(_span(self._wire, field))
        if kind in (_TENSOR, _SPARSE):
            return self._tensor(inner, value_name, sparse=kind == _SPARSE)
        if kind == _SEQUENCE:
            return Sequence(self._type(self._parts(inner, 1), value_name, depth + 1))
        if kind == _OPTIONAL:
            return Optional(self._type(self._parts(inner, 1), value_name, depth + 1))
        if kind == _MAP:
            key = self._dtype(self._number(inner, 1), value_name) or DType.STRING
            return Mapping(key, self._type(self._parts(inner, 2), value_name, depth + 1))
        if kind == _OPAQUE:
            parts = [self._text(inner, number) for number in (1, 2)]
            return Opaque(".".join(filter(None, parts)) or "opaque")
        return Tensor()

    def _tensor(self, spans: list[_Span], value_name: str, *, sparse: bool) -> Tensor | Sparse:
        dtype = self._dtype(self._number(spans, 1), value_name)
        shapes = self._parts(spans, 2)
        dims = [
            self._dim(_span(self._wire, field), value_name)
            for shape in shapes
            for field in self._wire.fields(*shape)
            if field.number == 1
        ]
        shape = tuple(dims) if shapes else None
        return Sparse(dtype, shape) if sparse else Tensor(dtype, shape)

    def _dim(self, span: _Span, value_name: str) -> Dim:
        dim: Dim = None
        for field in self._wire.fields(*span):
            if field.number == 1 and field.wire_type == VARINT:
                dim = field.value
            elif field.number == 2:
                dim = self._wire.text(field, limit=MAX_TEXT) or None
        if isinstance(dim, int) and dim >= 1 << 63:
            self.notes.append(f"{value_name!r} has the size {dim - (1 << 64)}, which is taken for an unknown one")
            return None
        return dim

    def _dtype(self, code: int, value_name: str) -> DType | None:
        dtype = dtype_of("onnx", code)
        if dtype is None and code:
            raise ArtifactError(
                where=f"{self._wire.source.name}: {value_name!r}",
                expected="an ONNX element type (1-28)",
                got=str(code),
                hint="Written by a newer onnx? Upgrade trimtab, or save the model for an older opset.",
            )
        return dtype

    def _parts(self, spans: list[_Span], number: int) -> list[_Span]:
        return [
            _span(self._wire, field) for span in spans for field in self._wire.fields(*span) if field.number == number
        ]

    def _number(self, spans: list[_Span], number: int) -> int:
        value = 0
        for span in spans:
            for field in self._wire.fields(*span):
                if field.number == number and field.wire_type == VARINT:
                    value = field.value
        return value

    def _text(self, spans: list[_Span], number: int) -> str:
        value = ""
        for span in spans:
            for field in self._wire.fields(*span):
                if field.number == number:
                    value = self._wire.text(field, limit=MAX_TEXT)
        return value
