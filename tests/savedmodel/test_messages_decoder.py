"""Our decoder of SavedModel messages gives what protobuf's own gives, for every message, in every form of the wire."""

from __future__ import annotations

import contextlib
import math
import struct
from functools import cache
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_messages import BYTES, messages, tagged, varint

import trimtab.savedmodel.object_protos  # noqa: F401  # with graph_protos: declares every message
from trimtab.errors import ArtifactError
from trimtab.savedmodel.graph_protos import AttrValue, SignatureDef
from trimtab.savedmodel.message import MAX_DEPTH, MAX_FIELDS, Message, decode
from trimtab.savedmodel.object_protos import SavedConcreteFunction, SavedObject, StructuredValue
from trimtab.savedmodel.schema import SCHEMA
from trimtab.source.descriptors import message_classes
from trimtab.source.proto import Field

DECLARED: dict[str, type[Message]] = {cls.proto or cls.__name__: cls for cls in Message.__subclasses__()}


@cache
def protobuf_classes() -> dict[str, Any]:
    """Protobuf's classes of the declared fields alone: the others are as unknown to it as they are to us."""
    kept: dict[str, tuple[Field, ...]] = {}
    for name, cls in DECLARED.items():
        for outer in outers(name):
            kept.setdefault(outer, ())
        kept[name] = tuple(row for row in SCHEMA.messages[name] if row.name in cls.__struct_fields__)
    top = message_classes(SCHEMA._replace(name="declared.proto", messages=kept), __name__)
    return {name: nested(top, name) for name in DECLARED}


def outers(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]


def nested(top: dict[str, Any], name: str) -> Any:
    outermost, *rest = name.split(".")
    found = top[outermost]
    for part in rest:
        found = getattr(found, part)
    return found


def test_every_declared_field_is_one_of_the_schema() -> None:
    for name, cls in DECLARED.items():
        assert set(cls.__struct_fields__) <= {row.name for row in SCHEMA.messages[name]}, name


@pytest.mark.parametrize("name", DECLARED)
@given(data=st.data())
@settings(max_examples=40)
def test_values_are_those_of_protobuf(name: str, data: st.DataObject) -> None:
    content = data.draw(messages(name))
    assert values(decode(DECLARED[name], content, "message")) == expected(name, content)


def expected(name: str, content: bytes) -> object:
    return protobuf_values(protobuf_classes()[name].FromString(content), DECLARED[name])


def values(message: Message) -> dict[str, object]:
    """Every field, with floats by their bits, so that NaN equals itself."""
    return {name: value_of(getattr(message, name)) for name in message.__struct_fields__}


def value_of(value: object) -> object:
    match value:
        case Message():
            return values(value)
        case tuple():
            return [value_of(item) for item in value]
        case dict():
            return {key: value_of(item) for key, item in value.items()}
        case float():
            return struct.pack("<d", value) if not math.isnan(value) else "nan"
    return value


def protobuf_values(message: Any, cls: type[Message]) -> dict[str, object]:
    found: dict[str, object] = {}
    defaults = values(cls())
    fields = message.DESCRIPTOR.fields_by_name
    for name in cls.__struct_fields__:
        field = fields[name]
        if not field.is_repeated and field.has_presence and not message.HasField(name):
            found[name] = defaults[name]
        else:
            found[name] = protobuf_value(getattr(message, name), field)
    return found


def protobuf_value(value: Any, field: Any) -> object:
    if field.message_type is None:
        return [value_of(item) for item in value] if field.is_repeated else value_of(value)
    if field.message_type.GetOptions().map_entry:
        inner = field.message_type.fields_by_name["value"]
        return {key: protobuf_value(value[key], inner) for key in value}
    cls = DECLARED[field.message_type.full_name.removeprefix(f"{SCHEMA.package}.")]
    return [protobuf_values(item, cls) for item in value] if field.is_repeated else protobuf_values(value, cls)


@pytest.mark.parametrize("name", DECLARED)
@given(data=st.data())
@settings(max_examples=40)
def test_what_protobuf_refuses_is_refused(name: str, data: st.DataObject) -> None:
    content = data.draw(st.binary(max_size=30) | damaged(messages(name)))
    try:
        protobuf_classes()[name].FromString(content)
    except DecodeError:
        with pytest.raises(ArtifactError, match="message at byte"):
            decode(DECLARED[name], content, "message")
    else:
        with contextlib.suppress(ArtifactError):  # groups, which no message of ours has
            decode(DECLARED[name], content, "message")


@st.composite
def damaged(draw: st.DrawFn, contents: st.SearchStrategy[bytes]) -> bytes:
    content = bytearray(draw(contents))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(content)))
        match draw(st.sampled_from(["cut", "insert", "flip"])):
            case "cut":
                del content[at : at + draw(st.integers(1, 8))]
            case "insert":
                content[at:at] = draw(st.binary(max_size=4))
            case "flip":
                content[at : at + 1] = bytes(byte ^ 1 << draw(st.integers(0, 7)) for byte in content[at : at + 1])
    return bytes(content)


def test_an_empty_message_in_a_map_or_a_list_counts() -> None:
    assert decode(SignatureDef, tagged(1, BYTES, b""), "s").inputs.keys() == {""}
    assert decode(StructuredValue, tagged(51, BYTES, tagged(1, BYTES, b"")), "s").list_value is not None


def test_parts_of_a_message_merge_and_another_of_its_oneof_unsets_it() -> None:
    one, other = tagged(51, BYTES, tagged(1, BYTES, b"\x60\x02")), tagged(51, BYTES, tagged(1, BYTES, b"\x60\x04"))
    merged = decode(StructuredValue, one + other, "s").list_value
    assert merged is not None
    assert [item.int64_value for item in merged.values] == [1, 2]
    assert decode(StructuredValue, one + b"\x60\x02" + other, "s").int64_value is None
    again = decode(StructuredValue, one + b"\x60\x02" + other, "s").list_value
    assert again is not None
    assert [item.int64_value for item in again.values] == [2]


def deep(levels: int) -> bytes:
    """Lists in lists: two messages a level."""
    content = b""
    for _ in range(levels):
        content = tagged(51, BYTES, tagged(1, BYTES, content))
    return content


@pytest.mark.parametrize("levels", range(40, 60))
def test_nesting_is_refused_where_protobuf_refuses_it(levels: int) -> None:
    try:
        expected("StructuredValue", deep(levels))
    except DecodeError:
        with pytest.raises(ArtifactError, match=f"nested at most {MAX_DEPTH} deep"):
            decode(StructuredValue, deep(levels), "value")
    else:
        decode(StructuredValue, deep(levels), "value")


@pytest.mark.parametrize(
    ("cls", "content", "says"),
    [
        pytest.param(SavedObject, tagged(1, BYTES, b"") * (MAX_FIELDS + 1), "500000 fields", id="many children"),
        pytest.param(SavedConcreteFunction, tagged(2, BYTES, bytes(MAX_FIELDS + 1)), "500000 fields", id="packed"),
        pytest.param(
            SignatureDef, tagged(1, BYTES, tagged(9, BYTES, b"") * (MAX_FIELDS + 1)), "500000 fields", id="in an entry"
        ),
        pytest.param(StructuredValue, b"\x0b\x0c", "a known wire type", id="group"),
        pytest.param(StructuredValue, tagged(13, BYTES, b"\xff"), "text in UTF-8", id="no UTF-8"),
        pytest.param(AttrValue, tagged(1, BYTES, tagged(4, BYTES, b"123")), "numbers of 4 bytes", id="three quarters"),
        pytest.param(AttrValue, tagged(1, BYTES, tagged(3, BYTES, b"\x80")), "a whole number", id="cut, packed"),
        pytest.param(AttrValue, b"\x18" + b"\xff" * 10, "a whole field", id="endless"),
        pytest.param(AttrValue, b"\x00\x00", "a field inside its message", id="field 0"),
        pytest.param(AttrValue, varint(2**32 | 1 << 3) + b"\x00", "a field inside its message", id="tag of 33 bits"),
        pytest.param(AttrValue, b"\x12\xff\xff\xff\xff\x0f", "a field inside its message", id="endless bytes"),
    ],
)
def test_a_refusal_says_what_was_expected(cls: type[Message], content: bytes, says: str) -> None:
    with pytest.raises(ArtifactError, match=says):
        decode(cls, content, "message")


def test_many_parts_of_one_message_cost_what_their_bytes_cost() -> None:
    part = tagged(33, BYTES, tagged(1, BYTES, b"n" * 20_000))
    message = decode(StructuredValue, part * 500, "value")
    assert message.tensor_spec_value is not None
    assert len(message.tensor_spec_value.name) == 20_000
