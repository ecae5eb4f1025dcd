"""Read an ONNX TypeProto as a signature's type. Repeated singular messages merge, as protobuf has it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from trimtab.artifacts.formats.onnx.model import MAX_TEXT, message
from trimtab.errors import ArtifactError
from trimtab.signature.dtypes import DType, dtype_of
from trimtab.signature.types import Dim, Mapping, Opaque, Optional, Sequence, Sparse, Tensor, Type
from trimtab.source.bytes import MemorySource
from trimtab.source.wire import VARINT, Wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from trimtab.artifacts.formats.onnx.model import Span

MAX_TYPE_DEPTH = 16

# TypeProto
_TENSOR, _SEQUENCE, _MAP, _DENOTATION, _OPAQUE, _SPARSE, _OPTIONAL = 1, 4, 5, 6, 7, 8, 9
_KINDS = (_TENSOR, _SEQUENCE, _MAP, _OPAQUE, _SPARSE, _OPTIONAL)
# TypeProto.Tensor and TensorShapeProto.Dimension
_ELEMENT, _SHAPE = 1, 2
_SIZE, _SYMBOL, _DIM_DENOTATION = 1, 2, 3


def read_type(wire: Wire, spans: list[Span], value_name: str, note: Callable[[str], None]) -> Type:
    """The type whose parts lie at `spans`.

    value_name: what errors and notes call the value. note: takes a sentence on what a type cannot say: the meaning of a
    value or dimension (its denotation), a size that is none.
    """
    return _TypeReader(wire, value_name, note).type(spans, 0)


@lru_cache(maxsize=1000)
def plain_type(content: bytes) -> Type | None:
    """`read_type` of a type whose bytes are at hand; None where it says more than a type can, or is malformed.

    Which it is, the same bytes always are: those of thousands of values are few.
    """
    notes: list[str] = []
    try:
        type_ = read_type(Wire(MemorySource(content)), [(0, len(content))], "", notes.append)
    except ArtifactError:
        return None
    return None if notes else type_


class _TypeReader:
    def __init__(self, wire: Wire, value_name: str, note: Callable[[str], None]) -> None:
        self._wire = wire
        self._value_name = value_name
        self._note = note

    def type(self, spans: list[Span], depth: int) -> Type:
        """A TypeProto. Its kinds exclude each other: the last one counts, and merges with its own earlier ones."""
        if depth > MAX_TYPE_DEPTH:
            raise ArtifactError(
                where=f"{self._wire.source.name}: {self._value_name!r}",
                expected=f"a type nested at most {MAX_TYPE_DEPTH} deep",
                got="deeper nesting",
            )
        kind = 0
        inner: list[Span] = []
        for span in spans:
            for field in self._wire.fields(*span):
                if field.number in _KINDS:
                    inner = inner if field.number == kind else []
                    kind = field.number
                    inner.append(message(self._wire, field))
                elif field.number == _DENOTATION and field.value:
                    self._note(f"{self._value_name!r} denotes {self._wire.text(field, limit=MAX_TEXT)}")
        if kind in (_TENSOR, _SPARSE):
            return self._tensor(inner, sparse=kind == _SPARSE)
        if kind == _SEQUENCE:
            return Sequence(self.type(self._parts(inner, 1), depth + 1))
        if kind == _OPTIONAL:
            return Optional(self.type(self._parts(inner, 1), depth + 1))
        if kind == _MAP:
            key = self._dtype(self._number(inner, 1)) or DType.STRING
            return Mapping(key, self.type(self._parts(inner, 2), depth + 1))
        if kind == _OPAQUE:
            parts = [self._text(inner, number) for number in (1, 2)]
            return Opaque(".".join(filter(None, parts)) or "opaque")
        return Tensor()

    def _tensor(self, spans: list[Span], *, sparse: bool) -> Tensor | Sparse:
        code = 0
        shapes: list[Span] = []
        for span in spans:
            for field in self._wire.fields(*span):
                if field.number == _ELEMENT and field.wire_type == VARINT:
                    code = field.value
                elif field.number == _SHAPE:
                    shapes.append(message(self._wire, field))
        dtype = self._dtype(code)
        dims: list[Dim] = []
        meanings: list[str] = []
        for dim, meaning in (
            self._dim(message(self._wire, field))
            for shape in shapes
            for field in self._wire.fields(*shape)
            if field.number == 1
        ):
            dims.append(dim)
            meanings.append(meaning)
        if any(meanings):
            self._note(f"the dimensions of {self._value_name!r} denote {', '.join(it or '?' for it in meanings)}")
        shape = tuple(dims) if shapes else None
        return Sparse(dtype, shape) if sparse else Tensor(dtype, shape)

    def _dim(self, span: Span) -> tuple[Dim, str]:
        """A size and its denotation."""
        dim: Dim = None
        meaning = ""
        for field in self._wire.fields(*span):
            if field.number == _SIZE and field.wire_type == VARINT:
                dim = field.value
            elif field.number == _SYMBOL:
                dim = self._wire.text(field, limit=MAX_TEXT) or None
            elif field.number == _DIM_DENOTATION:
                meaning = self._wire.text(field, limit=MAX_TEXT)
        if isinstance(dim, int) and dim >= 1 << 63:
            self._note(f"{self._value_name!r} has the size {dim - (1 << 64)}, which is taken for an unknown one")
            return None, meaning
        return dim, meaning

    def _dtype(self, code: int) -> DType | None:
        dtype = dtype_of("onnx", code)
        if dtype is None and code:
            raise ArtifactError(
                where=f"{self._wire.source.name}: {self._value_name!r}",
                expected="an ONNX element type (1-28)",
                got=str(code),
                hint="Written by a newer onnx? Upgrade trimtab, or save the model for an older opset.",
            )
        return dtype

    def _parts(self, spans: list[Span], number: int) -> list[Span]:
        return [
            message(self._wire, field) for span in spans for field in self._wire.fields(*span) if field.number == number
        ]

    def _number(self, spans: list[Span], number: int) -> int:
        value = 0
        for span in spans:
            for field in self._wire.fields(*span):
                if field.number == number and field.wire_type == VARINT:
                    value = field.value
        return value

    def _text(self, spans: list[Span], number: int) -> str:
        value = ""
        for span in spans:
            for field in self._wire.fields(*span):
                if field.number == number:
                    value = self._wire.text(field, limit=MAX_TEXT)
        return value
