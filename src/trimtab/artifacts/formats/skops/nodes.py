"""The nodes of skops' `schema.json`: objects, containers, plain values and arrays, decoded where they are asked for.

The description of a forest is megabytes of JSON of which a few hundred bytes name the inputs, so a node keeps its
content as text. Layout: the `*_get_state` functions in skops/io/_general.py and _numpy.py; protocols 0 to 2 agree in
all that is read here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec
from msgspec import Raw, Struct, field

from trimtab.artifacts.limits import MAX_VALUES, check_count, check_json
from trimtab.errors import ArtifactError
from trimtab.signature.dtypes import DType

if TYPE_CHECKING:
    from trimtab.source.zip import ZipDirectory

SCHEMA = "schema.json"
MAX_SCHEMA_BYTES = 64 << 20
_MAX_PARTS = 1_000_000
_MAX_DECODED_BYTES = 768 << 20
"""Nodes inside of nodes are decoded again and again: so much in all."""

_MAX_NPY_HEADER = 4096

_T = TypeVar("_T")


class _State(Struct):
    """A node as it is written."""

    cls: str = field(name="__class__", default="")
    module: str = field(name="__module__", default="")
    loader: str = field(name="__loader__", default="")
    content: Raw = Raw(b"null")
    shape: Raw = Raw(b"null")
    type: str = ""
    file: str = ""


class _Root(Struct):
    version: str = field(name="_skops_version", default="")


class ArrayFacts(NamedTuple):
    """What is known of an array without its values; dtype None for what JSON holds other than text."""

    dtype: DType | None
    shape: tuple[int, ...]


class _Description:
    """The description as a whole, and how much of it may still be decoded."""

    def __init__(self, archive: ZipDirectory) -> None:
        self.archive = archive
        self._left = _MAX_DECODED_BYTES

    def decoded(self, text: Raw | bytes, type_: type[_T], place: str) -> _T:
        where = f"{self.archive.source.name}: {SCHEMA} at {place}"
        self._left -= len(memoryview(text))
        if self._left < 0:
            raise ArtifactError(
                where=where, expected="less nesting", got=f"more than {_MAX_DECODED_BYTES} bytes to decode"
            )
        try:
            return msgspec.json.decode(text, type=type_)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
            raise ArtifactError(where=where, expected="JSON as skops writes it", got=str(failure)) from None


class Node:
    """One node. ArtifactError from every member where the text is not what skops writes."""

    def __init__(self, description: _Description, text: Raw | bytes, place: str) -> None:
        self._description = description
        self._place = place
        self._state = self._decoded(text, _State)
        self._members: dict[str, Raw] | None = None

    @property
    def class_name(self) -> str:
        """The dotted name of the object's class."""
        return f"{self._state.module}.{self._state.cls}"

    @property
    def is_object(self) -> bool:
        """Whether this is an object with attributes."""
        return self._state.loader == "ObjectNode"

    def attribute(self, name: str) -> Node | None:
        """An object's attribute, or None where it has none of that name."""
        if self._members is None:
            self._members = self._attributes()
        text = self._members.get(name)
        return None if text is None else Node(self._description, text, f"{self._place}.{name}")

    def items(self) -> list[Node]:
        """The items of a list or tuple; none where it is something else."""
        if self._state.loader not in ("ListNode", "TupleNode"):
            return []
        texts = self._decoded(self._state.content, list[Raw])
        check_count(len(texts), MAX_VALUES, "items", self._place)
        return [Node(self._description, each, f"{self._place}[{index}]") for index, each in enumerate(texts)]

    def members(self) -> dict[str, Node]:
        """The values of a dict by key; none where it is something else."""
        if self._state.loader != "DictNode":
            return {}
        texts = self._decoded(self._state.content, dict[str, Raw])
        check_count(len(texts), MAX_VALUES, "items", self._place)
        return {key: Node(self._description, each, f"{self._place}[{key!r}]") for key, each in texts.items()}

    def plain(self) -> Any:
        """The value of a text, number, flag or None; None where it is something else."""
        if self._state.loader != "JsonNode":
            return None
        text = self._decoded(self._state.content, str)
        check_json(text, self._place)
        return self._decoded(text.encode(), Any)

    def texts(self) -> tuple[str, ...] | None:
        """The items of a one-dimensional array of text objects; None where it is something else."""
        if self._state.loader != "NdArrayNode" or self._state.type != "json":
            return None
        check_count(len(self._decoded(self._state.content, list[Raw])), MAX_VALUES, "items", self._place)
        states = self._decoded(self._state.content, list[_State])
        if any(each.loader != "JsonNode" for each in states):
            return None
        values = [self._decoded(self._decoded(each.content, str).encode(), Any) for each in states]
        texts = tuple(each for each in values if isinstance(each, str))
        return texts if len(texts) == len(values) else None

    def array(self) -> ArrayFacts | None:
        """An array's dtype and shape; None where this is no array."""
        if self._state.loader != "NdArrayNode":
            return None
        if self._state.type == "json":
            texts = self.texts()
            count = len(self._decoded(self._state.content, list[Raw])) if texts is None else len(texts)
            return ArrayFacts(None if texts is None else DType.STRING, (count,))
        head = self._description.archive.read_prefix(self._state.file, _MAX_NPY_HEADER)
        match = _NPY.match(head)
        if match is None:
            raise ArtifactError(
                where=f"{self._description.archive.source.name}: {self._state.file}",
                expected="an array in numpy's format",
                got=repr(head[:16]),
            )
        shape = tuple(int(each) for each in match[2].decode().replace(" ", "").split(",") if each)
        return ArrayFacts(_NPY_DTYPES.get(match[1].decode()[1:], _text_dtype(match[1])), shape)

    def _attributes(self) -> dict[str, Raw]:
        if not self.is_object:
            return {}
        state = self._decoded(self._state.content, _State)
        if state.loader != "DictNode":
            return {}
        return self._decoded(state.content, dict[str, Raw])

    def _decoded(self, text: Raw | bytes, type_: type[_T]) -> _T:
        return self._description.decoded(text, type_, self._place)


class Schema(NamedTuple):
    """The description: its root object, and the version of skops that wrote it."""

    root: Node
    version: str


def read_schema(archive: ZipDirectory) -> Schema:
    """The description in an archive. ArtifactError where it is damaged, or larger than 64 MiB."""
    text = archive.read(SCHEMA, limit=MAX_SCHEMA_BYTES)
    check_json(text, f"{archive.source.name}: {SCHEMA}", _MAX_PARTS)
    description = _Description(archive)
    return Schema(Node(description, text, "root"), description.decoded(text, _Root, "root").version)


_NPY = re.compile(
    rb"\x93NUMPY[\x01-\x03]\x00.{2,4}?\{'descr': '([<>|=][a-zA-Z]\d{1,6})', 'fortran_order': (?:False|True), "
    rb"'shape': \(((?:\d{1,18},? ?)*)\),? *\}",
    re.DOTALL,
)
"""The header that numpy.save writes: versions 1 to 3, with the length in two or four bytes."""

_NPY_DTYPES = {
    "b1": DType.BOOL,
    **{f"i{size}": DType(f"int{size * 8}") for size in (1, 2, 4, 8)},
    **{f"u{size}": DType(f"uint{size * 8}") for size in (1, 2, 4, 8)},
    **{f"f{size}": DType(f"float{size * 8}") for size in (2, 4, 8)},
}


def _text_dtype(descr: bytes) -> DType | None:
    return {b"U": DType.STRING, b"S": DType.BYTES}.get(descr[1:2])
