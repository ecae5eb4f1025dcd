"""The wire walk agrees with protobuf's own parser, field by field, and skips what it is not asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.errors import ArtifactError
from trimtab.source.bytes import LocalFile, MemorySource
from trimtab.source.wire import BYTES, Wire, encode_field


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


@st.composite
def fields(draw: st.DrawFn) -> bytes:
    number = draw(st.integers(1, 5000))
    kind = draw(st.sampled_from([0, 1, 2, 5]))
    tag = varint(number << 3 | kind)
    if kind == 0:
        return tag + varint(draw(st.integers(0, 2**64 - 1)))
    if kind == 2:
        data = draw(st.binary(max_size=300))
        return tag + varint(len(data)) + data
    return tag + draw(st.binary(min_size=8 if kind == 1 else 4, max_size=8 if kind == 1 else 4))


def ours(data: bytes) -> list[tuple[int, int, int | bytes]]:
    source = MemorySource(data)
    return [
        (it.number, it.wire_type, data[it.start : it.end] if it.wire_type == BYTES else it.value)
        for it in Wire(source).fields(0, len(data))
    ]


def protobufs(data: bytes) -> list[tuple[int, int, int | bytes]]:
    message = Empty.FromString(data)
    return [(it.field_number, it.wire_type, it.data) for it in UnknownFieldSet(message)]


@given(st.lists(fields(), max_size=8).map(b"".join))
def test_agrees_with_protobuf(data: bytes) -> None:
    assert ours(data) == protobufs(data)


@given(
    st.one_of(
        st.binary(max_size=40),
        st.tuples(st.lists(fields(), max_size=4).map(b"".join), st.binary(max_size=6)).map(b"".join),
    )
)
@settings(max_examples=500)
def test_arbitrary_bytes_are_read_as_protobuf_reads_them_or_refused(data: bytes) -> None:
    try:
        read = ours(data)
    except ArtifactError:
        return  # groups, and what protobuf refuses as well
    try:
        assert read == protobufs(data)
    except DecodeError:
        # protobuf also checks the tenth byte of a varint, which never decides what a signature says.
        assert any(byte >= 0x80 for byte in data)


@pytest.mark.parametrize(
    "data",
    [
        b"\x0b",
        b"\x08",
        b"\x0a\x05abc",
        b"\x00\x01",
        b"\x0d\x01\x02",
        b"\x09" + bytes(7),
        b"\x0a" + b"\xff" * 10 + b"\x01",
    ],
)
def test_malformed_fields_are_refused_with_their_place(data: bytes) -> None:
    with pytest.raises(ArtifactError, match=r"model\.onnx at offset 0"):
        list(Wire(MemorySource(data, "model.onnx")).fields(0, len(data)))


def test_a_gigabyte_is_skipped_not_read(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    size = 1 << 30
    with path.open("wb") as file:
        file.write(b"\x0a" + varint(size))
        file.seek(size, 1)
        file.write(b"\x12\x02ok")
    with LocalFile(path) as source:
        wire = Wire(source)
        weights, name = wire.fields(0, source.size)
        assert weights.value == size
        assert wire.text(name, limit=10) == "ok"
        assert source.bytes_read < 10_000


def test_a_bomb_of_fields_runs_out_of_budget() -> None:
    with pytest.raises(ArtifactError, match="too many"):
        list(Wire(MemorySource(b"\x08\x00" * 100), max_fields=99).fields(0, 200))


def test_text_must_be_utf8_and_short() -> None:
    source = MemorySource(b"\x0a\x02\xff\xfe")
    wire = Wire(source)
    (field,) = wire.fields(0, 4)
    with pytest.raises(ArtifactError, match="UTF-8"):
        wire.text(field, limit=10)
    with pytest.raises(ArtifactError, match="at most 1 bytes"):
        wire.text(field, limit=1)


@given(st.binary(max_size=300), st.integers(0, 3), st.integers(1, 3))
def test_leading_text_is_what_the_walk_gives(content: bytes, before: int, number: int) -> None:
    """Or None, where only the walk can tell."""
    message = encode_field(number, content)
    data = b"\0" * before + message + b"\0"
    at_once = Wire(MemorySource(data)).leading_text(before, before + len(message), limit=200)
    if at_once is not None:
        wire = Wire(MemorySource(data))
        [field] = wire.fields(before, before + len(message))
        assert field.number == 1
        assert at_once == wire.text(field, limit=200)
    elif number == 1 and len(content) < 128:
        assert content.decode(errors="replace").encode() != content


entry_fields = st.builds(
    lambda name, content: encode_field(11, encode_field(1, name.encode()) + encode_field(2, content)),
    st.text(max_size=31),
    st.binary(max_size=127),
)


def field_with_padded_length(number: int, content: bytes, padding: int) -> bytes:
    """The length in more bytes than it takes, which is no error."""
    padded = bytearray(varint(len(content)))
    for _ in range(padding):
        padded[-1] |= 0x80
        padded.append(0)
    return varint(number << 3 | BYTES) + padded + content


unlike_entries = st.builds(
    lambda name, content, more, padding: field_with_padded_length(
        11,
        field_with_padded_length(1, name.encode(), padding[0])
        + field_with_padded_length(2, content, padding[1])
        + more,
        padding[2],
    ),
    st.text(max_size=10),
    st.binary(max_size=10),
    st.one_of(st.just(b""), fields()),
    st.tuples(*[st.integers(0, 3)] * 3),
)


@st.composite
def messages_of_entries(draw: st.DrawFn) -> bytes:
    """Entries and other fields; sometimes with a byte that is another, or cut short."""
    data = bytearray(b"".join(draw(st.lists(st.one_of(entry_fields, unlike_entries, fields()), max_size=6))))
    if data and draw(st.booleans()):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)


@given(messages_of_entries(), st.integers(0, 3), st.sampled_from([100, 7, 2]))
def test_entries_are_what_the_walk_gives_at_its_price(message: bytes, before: int, budget: int) -> None:
    source = MemorySource(b"\0" * before + message + b"\x5a\x04\x0a\x00\x12\x00")
    at_once, walked = Wire(source, max_fields=budget), Wire(source, max_fields=budget)
    found, stop = at_once.entries(before, before + len(message), 11)
    end = before
    for each in found:
        entry = next(walked.fields(end, before + len(message)))
        text, content = walked.fields(entry.start, entry.end)
        assert (entry.number, text.number, content.number, content.wire_type) == (11, 1, 2, BYTES)
        assert each.text == walked.text(text, limit=1 << 14)
        assert (each.start, each.content) == (content.start, source.read(content.start, content.end - content.start))
        end = entry.end
    assert stop == end
    assert remaining(at_once) == remaining(walked)


def remaining(wire: Wire) -> tuple[int, int]:
    return wire._fields_left, wire._text_left


@given(st.lists(entry_fields, max_size=6))
def test_entries_as_protobuf_writes_them_are_all_found(written: list[bytes]) -> None:
    data = b"".join(written)
    found, stop = Wire(MemorySource(data)).entries(0, len(data), 11)
    assert (len(found), stop) == (len(written), len(data))


@pytest.mark.parametrize(
    ("message", "cut", "text_left"),
    [
        pytest.param(encode_field(1, b"x" * 132 + b"\x12") + encode_field(2, bytes(17)), 0, 1000, id="a long text"),
        pytest.param(b"\x0a\x01x\x12\x80\x01" + bytes(127), 0, 1000, id="more content than there is"),
        pytest.param(encode_field(1, b"x") + encode_field(2, b"content"), 1, 1000, id="behind the end"),
        pytest.param(encode_field(1, b"name") + encode_field(2, b"content"), 0, 3, id="more text than allowed"),
        pytest.param(encode_field(1, b"\xff") + encode_field(2, b"content"), 0, 1000, id="no text"),
    ],
)
def test_other_entries_are_left_to_the_walk(message: bytes, cut: int, text_left: int) -> None:
    data = encode_field(11, message)
    wire = Wire(MemorySource(data + bytes(20)))
    wire._text_left = text_left
    assert wire.entries(0, len(data) - cut, 11) == ([], 0)
    assert wire._text_left == text_left
