"""What trimming means, written for the reader: the specification that the kernel is held to.

Slow and obvious: every message is taken apart into a list of fields, and the request is put together again from the
fields that stay. Nothing is shared with the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trimtab.protocols.tables import PayloadTable, TensorFields

VARINT, FIXED64, LEN, FIXED32 = 0, 1, 2, 5


class MalformedError(Exception):
    """The bytes are no message that every parser reads alike."""


@dataclass(frozen=True)
class Field:
    number: int
    kind: int
    value: int  # of a varint
    content: bytes  # of every other kind
    encoded: bytes  # all of it, tag and length included
    begin: int  # where `encoded` starts

    @property
    def content_begin(self) -> int:
        return self.begin + len(self.encoded) - len(self.content)

    @property
    def end(self) -> int:
        return self.begin + len(self.encoded)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for length in range(1, 11):
        if at + length > len(data):
            raise MalformedError("a varint reaches past the end")
        byte = data[at + length - 1]
        value |= (byte & 0x7F) << (7 * (length - 1))
        if byte < 0x80:
            if value >= 1 << 64:
                raise MalformedError("a varint of more than 64 bits")
            return value, at + length
    raise MalformedError("a varint of more than 10 bytes")


def fields(data: bytes, base: int = 0) -> list[Field]:
    """All fields of a message. base: the offset of `data` in the payload."""
    found, at = [], 0
    while at < len(data):
        begin = at
        tag, at = read_varint(data, at)
        number, kind = tag >> 3, tag & 7
        if not 1 <= number < 1 << 29:
            raise MalformedError("no field has this number")
        value, size = 0, {FIXED64: 8, FIXED32: 4}.get(kind, 0)
        if kind == VARINT:
            value, at = read_varint(data, at)
        elif kind == LEN:
            size, at = read_varint(data, at)
        elif not size:
            raise MalformedError("a group, or no wire type at all")
        if at + size > len(data):
            raise MalformedError("a field reaches past the end")
        content, at = data[at : at + size], at + size
        found.append(Field(number, kind, value, content, data[begin:at], base + begin))
    return found


def values(message: Sequence[Field], path: Sequence[int], kind: int) -> list[Field]:
    """The fields at the end of `path`, through every occurrence of the submessages on the way, in order."""
    if not path:
        return []
    here = [field for field in message if field.number == path[0]]
    if len(path) == 1:
        return [field for field in here if field.kind == kind]
    inside = (values(fields(field.content), path[1:], kind) for field in here if field.kind == LEN)
    return [field for found in inside for field in found]


@dataclass(frozen=True)
class Request:
    """A request taken apart: all its fields in order, and which of them are elements and parallel entries."""

    parts: list[Field]
    elements: list[Field]
    keys: list[bytes]
    parallel: list[Field]
    model: bytes
    version: bytes

    @property
    def aligned(self) -> bool:
        return not self.parallel or len(self.parallel) == len(self.elements)

    def pair(self, index: int) -> list[Field]:
        """Element `index` and what belongs to it."""
        paired = self.parallel and len(self.parallel) == len(self.elements)
        return [self.elements[index], *([self.parallel[index]] if paired else [])]

    def without(self, dropped: Iterable[int]) -> bytes:
        gone = {id(field) for index in dropped for field in self.pair(index)}
        return b"".join(field.encoded for field in self.parts if id(field) not in gone)


def read(payload: bytes, table: PayloadTable) -> Request:
    parts = fields(payload)
    elements = [field for field in parts if field.number == table.elements and field.kind == LEN]
    keys = [last(values(fields(element.content), table.key, LEN)) for element in elements]
    # A number of its own: an element is never also a parallel entry, nor the name of the model.
    others = [field for field in parts if field.number != table.elements or field.kind != LEN]
    parallel = [field for field in others if field.number == table.parallel and field.kind == LEN]
    others = [field for field in others if field.number != table.parallel or field.kind != LEN]
    model = last(values(others, table.model_name, LEN))
    if table.version_is_varint:
        numbers = values(others, table.model_version, VARINT)
        version = str(signed(numbers[-1].value)).encode() if numbers else b""
    else:
        version = last(values(others, table.model_version, LEN))
    return Request(parts, elements, keys, parallel, model, version)


def last(found: Sequence[Field]) -> bytes:
    return found[-1].content if found else b""


def signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


@dataclass(frozen=True)
class Model:
    attested_stable: bool
    latest: str
    versions: Mapping[str, frozenset[str]]


def lookup(
    models: Mapping[str, Model], name: bytes, version: bytes, strict: bool, exact_only: bool = False
) -> tuple[str, frozenset[str] | None]:
    """The table of docs/design.md: (outcome, allowlist or None)."""
    model = {known.encode(): value for known, value in models.items()}.get(name)
    if model is None:
        return "unknown_model", None
    latest = model.versions[model.latest]
    if (known := {text.encode(): names for text, names in model.versions.items()}.get(version)) is not None:
        return "exact", known
    if exact_only and not strict:
        return "unconfirmed", None
    if not version:
        if model.attested_stable:
            return "latest_attested_unversioned", latest
        return "union_unversioned", frozenset().union(*model.versions.values())
    if model.attested_stable:
        return "latest_attested_version", latest
    return ("strict_latest", latest) if strict else ("unknown_version", None)


def trim(
    payload: bytes, table: PayloadTable, models: Mapping[str, Model], strict: bool = False, exact_only: bool = False
) -> tuple[bytes, str, int, int]:
    try:
        request = read(payload, table)
    except MalformedError:
        return payload, "malformed", 0, 0
    outcome, allowlist = lookup(models, request.model, request.version, strict, exact_only)
    if allowlist is None:
        return payload, outcome, len(request.elements), 0
    if not request.aligned:
        return payload, "misaligned", len(request.elements), 0
    dropped = dropped_by(request, allowlist)
    return request.without(dropped), outcome, len(request.elements) - len(dropped), len(dropped)


def dropped_by(request: Request, allowlist: Iterable[str]) -> list[int]:
    allowed = {name.encode() for name in allowlist}
    return [index for index, key in enumerate(request.keys) if key not in allowed]


def accounts(payload: bytes, table: PayloadTable, dropped: Iterable[int]) -> dict[str, tuple[int, int, int, int]]:
    """Elements kept, bytes kept, elements dropped, bytes dropped, by name."""
    request, gone = read(payload, table), set(dropped)
    sums: dict[str, list[int]] = {}
    for index, key in enumerate(request.keys):
        account = sums.setdefault(key.decode(errors="backslashreplace"), [0, 0, 0, 0])
        place = 2 if index in gone else 0
        account[place] += 1
        account[place + 1] += sum(len(field.encoded) for field in request.pair(index))
    return {name: (a, b, c, d) for name, (a, b, c, d) in sums.items()}


def locate(
    payload: bytes, table: PayloadTable, tensor: TensorFields, names: Sequence[str]
) -> tuple[str | None, bytes, list[tuple[object, ...]], int]:
    """What the converter asks for: refusal, shell, inputs that `names` has, number of elements."""
    try:
        request = read(payload, table)
        if not request.aligned:
            return "misaligned", b"", [], 0
        positions = {name.encode(): position for position, name in enumerate(names)}
        inputs = [
            (positions[key], *head(element, tensor), *place(request, index))
            for index, (element, key) in enumerate(zip(request.elements, request.keys, strict=True))
            if key in positions
        ]
    except MalformedError:
        return "malformed", b"", [], 0
    located = [
        (position, datatype, shape, *places, parameters, contents)
        for position, datatype, shape, parameters, contents, *places in inputs
    ]
    return None, request.without(range(len(request.elements))), located, len(request.elements)


def head(element: Field, tensor: TensorFields) -> tuple[bytes, tuple[int, ...], object, object]:
    inside = fields(element.content, element.content_begin)
    shape: list[int] = []
    for field in inside:
        if field.number == tensor.shape and field.kind == VARINT:
            shape.append(signed(field.value))
        elif field.number == tensor.shape and field.kind == LEN:
            at = 0
            while at < len(field.content):
                value, at = read_varint(field.content, at)
                shape.append(signed(value))

    def ranges(number: int) -> tuple[tuple[int, int], ...]:
        found = (field for field in inside if field.number == number and field.kind == LEN)
        return tuple((field.content_begin, field.end) for field in found)

    datatype = last([field for field in inside if field.number == tensor.datatype and field.kind == LEN])
    return datatype, tuple(shape), ranges(tensor.parameters), ranges(tensor.contents)


def place(request: Request, index: int) -> tuple[int, int, int, int]:
    element, *parallel = request.pair(index)
    begin, end = (parallel[0].content_begin, parallel[0].end) if parallel else (-1, -1)
    return element.content_begin, element.end, begin, end
