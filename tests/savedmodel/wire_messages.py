"""Messages of the SavedModel's schema as wire bytes: Hypothesis strategies that write every form the encoding has."""

from __future__ import annotations

import struct
from functools import cache

from hypothesis import strategies as st

from trimtab.savedmodel.schema import SCHEMA
from trimtab.source.proto import Field

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

FIXED = {"float": ("<f", FIXED32), "fixed32": ("<I", FIXED32), "double": ("<d", FIXED64), "fixed64": ("<Q", FIXED64)}

numbers = st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 127, 128, 2**31 - 1, 2**31, 2**32, 2**63, 2**64 - 1])
texts = st.text(max_size=5).map(str.encode)


def varint(value: int, longer: int = 0) -> bytes:
    """A number as a varint, with `longer` bytes more than it needs."""
    value &= 2**64 - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    for _ in range(min(longer, 10 - len(out))):
        out[-1] |= 0x80
        out.append(0)
    return bytes(out)


def tagged(number: int, wire_type: int, content: bytes) -> bytes:
    """A field; `content` of wire type BYTES gets its length before it."""
    length = varint(len(content)) if wire_type == BYTES else b""
    return varint(number << 3 | wire_type) + length + content


@cache
def messages(name: str, depth: int = 3) -> st.SearchStrategy[bytes]:
    """A serialized message: its fields in any order, repeated, left out, in parts, between fields that nobody knows."""
    rows = [row for row in SCHEMA.messages[name] if depth or is_scalar(row.type)]
    return st.lists(st.one_of(*(fields(row, depth) for row in rows), unknown), max_size=6).map(b"".join)


def fields(row: Field, depth: int) -> st.SearchStrategy[bytes]:
    """One occurrence of a field."""
    if row.type.startswith("map<"):
        key, _, value = row.type[4:-1].partition(", ")
        # No unknown fields: for one in an entry, upb takes the whole entry for unknown, and protobuf for C++ does not.
        parts = st.one_of(fields(Field(1, "key", key), 0), fields(Field(2, "value", value), depth))
        return st.lists(parts, max_size=3).map(lambda entry: tagged(row.number, BYTES, b"".join(entry)))
    if not is_scalar(row.type):
        return messages(row.type, depth - 1).map(lambda content: tagged(row.number, BYTES, content))
    wire_type, contents = scalar(row.type)
    one = contents.map(lambda content: tagged(row.number, wire_type, content))
    if not row.repeated or wire_type == BYTES:
        return one
    return one | st.lists(contents, max_size=3).map(lambda packed: tagged(row.number, BYTES, b"".join(packed)))


def is_scalar(type_name: str) -> bool:
    return type_name not in SCHEMA.messages and not type_name.startswith("map<")


def scalar(kind: str) -> tuple[int, st.SearchStrategy[bytes]]:
    """The wire type of a scalar, and its encoded values."""
    if kind == "string":
        return BYTES, texts
    if kind == "bytes":
        return BYTES, st.binary(max_size=5)
    if kind in FIXED:
        form, wire_type = FIXED[kind]
        return wire_type, st.binary(min_size=struct.calcsize(form), max_size=struct.calcsize(form))
    return VARINT, st.builds(varint, numbers, st.sampled_from([0, 0, 0, 1, 5]))


unknown = st.one_of(
    st.builds(tagged, st.integers(500, 2**29 - 1), st.just(VARINT), numbers.map(varint)),
    st.builds(tagged, st.integers(500, 2**29 - 1), st.just(BYTES), st.binary(max_size=5)),
    st.builds(tagged, st.integers(500, 2**29 - 1), st.just(FIXED32), st.binary(min_size=4, max_size=4)),
    st.builds(tagged, st.integers(500, 2**29 - 1), st.just(FIXED64), st.binary(min_size=8, max_size=8)),
)
"""Fields that the schema does not have."""
