"""The top level of an ONNX file: versions, producer, functions, where the graphs lie, and the embedded documents.

Field numbers here and in the modules beside this one: onnx/onnx.proto. Weights lie inside of the graph, so that
everything at this level costs a read before the graph and one behind it, whatever the size of the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trimtab.errors import ArtifactError
from trimtab.signature.document import FILE_NAME, MAX_DOCUMENT_BYTES
from trimtab.source.wire import BYTES, VARINT, Wire, WireField, encode_field

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.source.bytes import ByteSource

Span = tuple[int, int]
"""Where a message lies in the file: its first byte, and the one after its last."""

MAX_TEXT = 64 << 10

# ModelProto
IR_VERSION, _PRODUCER_NAME, _PRODUCER_VERSION, GRAPH, _OPSET, METADATA, _FUNCTION = 1, 2, 3, 7, 8, 14, 25
_BEFORE_GRAPH = {1: VARINT, 5: VARINT, **dict.fromkeys((2, 3, 4, 6, 8, 14, 20, 25, 26), BYTES)}


class Model:
    """The top level of a file. A repeated graph merges: `graphs` are its parts."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.ir_version = 0
        self.producer_name = ""
        self.producer_version = ""
        self.opsets: list[str] = []
        self.graphs: list[Span] = []
        self.functions: list[Span] = []

    def versions(self) -> str:
        """The versions of the format and of the operators, as a note for people."""
        return f"IR version {self.ir_version}" + (f", opset {', '.join(self.opsets)}" if self.opsets else "")


class Document(NamedTuple):
    """One metadata entry that holds a signature document: where its field lies, and where the value in it."""

    at: int
    end: int
    value: Span

    def read(self, source: ByteSource) -> bytes:
        """The document."""
        start, end = self.value
        return source.read(start, end - start)


def is_model(source: ByteSource) -> bool:
    """Whether the fields up to the graph are those of an ONNX model.

    CoreML and SavedModel files begin alike; neither has a length-delimited field 7 after nothing but ONNX's own.
    """
    wire = Wire(source, max_fields=10_000)
    try:
        for field in wire.fields(0, source.size):
            if field.number == GRAPH:
                return field.wire_type == BYTES
            if _BEFORE_GRAPH.get(field.number) != field.wire_type:
                return False
    except ArtifactError:
        return _breaks_in_graph(source)
    return False


def read_model(source: ByteSource) -> Model:
    """The top level of the file. ArtifactError when it is damaged or has no graph."""
    wire = Wire(source)
    model = Model(wire)
    for field in _model_fields(wire):
        if field.number == IR_VERSION and field.wire_type == VARINT:
            model.ir_version = field.value
        elif field.number == _PRODUCER_NAME:
            model.producer_name = wire.text(field, limit=MAX_TEXT)
        elif field.number == _PRODUCER_VERSION:
            model.producer_version = wire.text(field, limit=MAX_TEXT)
        elif field.number == GRAPH:
            model.graphs.append(message(wire, field))
        elif field.number == _OPSET:
            model.opsets.append(_opset(wire, message(wire, field)))
        elif field.number == _FUNCTION:
            model.functions.append(message(wire, field))
    if not model.graphs:
        raise ArtifactError(where=source.name, expected="an ONNX model with a graph", got="none")
    return model


def document_fields(source: ByteSource) -> list[Document]:
    """Every metadata entry under our key, in the file's order."""
    wire = Wire(source)
    found = []
    for field in _model_fields(wire):
        if field.number != METADATA:
            continue
        entry = {it.number: it for it in wire.fields(*message(wire, field))}
        key = entry.get(1)
        if key is None or key.end - key.start != len(FILE_NAME) or wire.text(key, limit=MAX_TEXT) != FILE_NAME:
            continue
        value = message(wire, entry[2]) if 2 in entry else (field.end, field.end)
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
    return encode_field(METADATA, encode_field(1, key) + encode_field(2, document))


def message(wire: Wire, field: WireField) -> Span:
    """Where the message in a field lies. ArtifactError when the field is a number."""
    if field.wire_type != BYTES:
        raise ArtifactError(
            where=f"{wire.source.name} at offset {field.at}",
            expected=f"a message in field {field.number}",
            got=f"wire type {field.wire_type}",
        )
    return field.start, field.end


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
            intact = field.end if intact or field.number == GRAPH else 0
    except ArtifactError as failure:
        hint = f"Was it cut while a signature was embedded? Restore it: truncate -s {intact} {wire.source.name}"
        raise ArtifactError(
            failure.problem,
            where=failure.where,
            expected=failure.expected,
            got=failure.got,
            hint=failure.hint or (hint if intact else ""),
        ) from None


def _opset(wire: Wire, span: Span) -> str:
    domain, version = "", 0
    for field in wire.fields(*span):
        if field.number == 1:
            domain = wire.text(field, limit=MAX_TEXT)
        elif field.number == 2 and field.wire_type == VARINT:
            version = field.value
    return f"{domain} {version}".strip()
