"""The flatbuffer walk agrees with the `flatbuffers` package that wrote the bytes, and no bytes make it stray."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.errors import ArtifactError
from trimtab.source.bytes import LocalFile, MemorySource
from trimtab.source.flatbuffer import (
    BOOL,
    FLOAT32,
    FLOAT64,
    INT8,
    INT16,
    INT32,
    INT64,
    MAX_DEPTH,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
    FlatBuffer,
    FlatTable,
    ScalarKind,
)

flatbuffers = pytest.importorskip("flatbuffers")
number_types = pytest.importorskip("flatbuffers.number_types")

KINDS: dict[str, tuple[ScalarKind, str, st.SearchStrategy[Any]]] = {
    "bool": (BOOL, "Bool", st.booleans()),
    "int8": (INT8, "Int8", st.integers(-(2**7), 2**7 - 1)),
    "uint8": (UINT8, "Uint8", st.integers(0, 2**8 - 1)),
    "int16": (INT16, "Int16", st.integers(-(2**15), 2**15 - 1)),
    "uint16": (UINT16, "Uint16", st.integers(0, 2**16 - 1)),
    "int32": (INT32, "Int32", st.integers(-(2**31), 2**31 - 1)),
    "uint32": (UINT32, "Uint32", st.integers(0, 2**32 - 1)),
    "int64": (INT64, "Int64", st.integers(-(2**63), 2**63 - 1)),
    "uint64": (UINT64, "Uint64", st.integers(0, 2**64 - 1)),
    "float32": (FLOAT32, "Float32", st.floats(width=32, allow_nan=False)),
    "float64": (FLOAT64, "Float64", st.floats(allow_nan=False)),
}
REAL = ("float32", "float64")

# A value is (kind, content): what a field of a table holds.
numbers = st.one_of([st.tuples(st.just(kind), draw) for kind, (_, _, draw) in KINDS.items()])
vectors = st.one_of(
    [st.tuples(st.just(f"[{kind}]"), st.lists(draw, max_size=5)) for kind, (_, _, draw) in KINDS.items()]
)
leaves = st.one_of(
    st.none(),
    numbers,
    vectors,
    st.tuples(st.just("text"), st.text(max_size=20)),
    st.tuples(st.just("[text]"), st.lists(st.text(max_size=8), max_size=4)),
)
tables = st.recursive(
    st.lists(leaves, max_size=6),
    lambda inner: st.lists(
        st.one_of(
            leaves,
            st.tuples(st.just("table"), inner),
            st.tuples(st.just("[table]"), st.lists(inner, max_size=3)),
        ),
        max_size=6,
    ),
    max_leaves=20,
)


def write(fields: list[Any], identifier: bytes = b"TEST") -> bytes:
    builder = flatbuffers.Builder(0)
    builder.Finish(build(builder, fields), file_identifier=identifier)
    return bytes(builder.Output())


def build(builder: Any, fields: list[Any]) -> int:
    """Write a table and give its offset. A field's default is one that the field never has, so that all are written."""
    offsets = [offset_of(builder, each) for each in fields]
    builder.StartObject(len(fields))
    for slot, (each, offset) in enumerate(zip(fields, offsets, strict=True)):
        if each is None:
            continue
        if offset is not None:
            builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
        else:
            getattr(builder, f"Prepend{KINDS[each[0]][1]}")(each[1])
            builder.Slot(slot)
    return int(builder.EndObject())


def offset_of(builder: Any, value: Any) -> int | None:
    if value is None or value[0] in KINDS:
        return None
    kind, content = value
    if kind == "table":
        return build(builder, content)
    if kind == "text":
        return int(builder.CreateString(content))
    if kind in ("[table]", "[text]"):
        parts = [builder.CreateString(it) if kind == "[text]" else build(builder, it) for it in content]
        builder.StartVector(4, len(parts), 4)
        for part in reversed(parts):
            builder.PrependUOffsetTRelative(part)
        return int(builder.EndVector())
    scalar, spelled, _ = KINDS[kind[1:-1]]
    builder.StartVector(scalar.width, len(content), scalar.width)
    for item in reversed(content):
        getattr(builder, f"Prepend{spelled}")(item)
    return int(builder.EndVector())


def check(table: FlatTable, fields: list[Any]) -> None:
    for slot, value in enumerate(fields):
        assert table.has(slot) == (value is not None)
        if value is None:
            continue
        kind, content = value
        if kind == "table":
            inner = table.table(slot)
            assert inner is not None
            check(inner, content)
        elif kind == "[table]":
            found = list(table.tables(slot))
            assert len(found) == table.count(slot) == len(content)
            for position, (inner, wanted) in enumerate(zip(found, content, strict=True)):
                check(inner, wanted)
                assert table.table_in(slot, position).at == inner.at
        elif kind == "text":
            assert table.text(slot) == content
            span = table.span(slot)
            assert span is not None
            assert span[1] - span[0] == len(content.encode())
        elif kind == "[text]":
            assert list(table.texts(slot)) == content
        elif kind == "bool":
            assert table.flag(slot) == content
        elif kind in REAL:
            assert table.real(slot, KINDS[kind][0]) == content
        elif kind in KINDS:
            assert table.number(slot, KINDS[kind][0]) == content
        elif kind[1:-1] in REAL:
            assert table.reals(slot, KINDS[kind[1:-1]][0]) == tuple(content)
        else:
            assert table.numbers(slot, KINDS[kind[1:-1]][0]) == tuple(content)
            assert table.count(slot, KINDS[kind[1:-1]][0].width) == len(content)


@given(tables, st.integers(0, 9))
def test_reads_what_flatbuffers_wrote(fields: list[Any], before: int) -> None:
    data = write(fields)
    buffer = FlatBuffer(MemorySource(b"#" * before + data + b"#"), before, before + len(data))
    assert buffer.identifier == b"TEST"
    check(buffer.root(), fields)


def test_absent_fields_have_the_schemas_default() -> None:
    table = FlatBuffer(MemorySource(write([None, ("int32", 3)]))).root()
    for field in (0, 2, 600):
        assert not table.has(field)
        assert table.number(field, INT32, -1) == -1
        assert table.real(field, FLOAT32, 0.5) == 0.5
        assert table.flag(field, default=True)
        assert table.text(field, "none") == "none"
        assert table.table(field) is None
        assert table.span(field) is None
        assert table.numbers(field, INT32) == table.reals(field, FLOAT32) == ()
        assert not list(table.tables(field))
        assert not list(table.texts(field))
        assert table.count(field) == 0


def walk(table: FlatTable) -> None:
    """Ask every field for everything: whatever the bytes are, an answer or our error."""
    for field in range(6):
        for ask in (
            lambda field=field: table.number(field, INT64),
            lambda field=field: table.real(field, FLOAT64),
            lambda field=field: table.flag(field),
            lambda field=field: table.text(field),
            lambda field=field: table.span(field),
            lambda field=field: table.numbers(field, INT32),
            lambda field=field: list(table.texts(field)),
            lambda field=field: table.table_in(field, 0),
            lambda field=field: walk_all(table.tables(field)),
            lambda field=field: walk_all(filter(None, [table.table(field)])),
        ):
            with suppress(ArtifactError):
                ask()


def walk_all(inner: Iterable[FlatTable]) -> None:
    for each in inner:
        walk(each)


@settings(max_examples=300)
@given(st.data(), tables)
def test_no_bytes_make_it_stray(data: st.DataObject, fields: list[Any]) -> None:
    written = bytearray(write(fields))
    for at in data.draw(st.lists(st.integers(0, len(written) - 1), max_size=4)):
        written[at] = data.draw(st.integers(0, 255))
    end = data.draw(st.one_of(st.just(len(written)), st.integers(0, len(written))))
    with suppress(ArtifactError):
        walk(FlatBuffer(MemorySource(bytes(written[:end])), max_tables=300).root())


def shared(levels: int, width: int) -> bytes:
    """Tables each of which is `width` times in the vector of the one above: `width ** levels` visits."""
    builder = flatbuffers.Builder(0)
    inner = build(builder, [])
    for _ in range(levels):
        builder.StartVector(4, width, 4)
        for _ in range(width):
            builder.PrependUOffsetTRelative(inner)
        vector = builder.EndVector()
        builder.StartObject(1)
        builder.PrependUOffsetTRelativeSlot(0, vector, 0)
        inner = builder.EndObject()
    builder.Finish(inner)
    return bytes(builder.Output())


def visit(table: FlatTable) -> int:
    return 1 + sum(map(visit, table.tables(0))) if table.count(0) else 1


def test_a_file_that_unfolds_without_end_is_stopped() -> None:
    assert visit(FlatBuffer(MemorySource(shared(2, 9))).root()) == 1 + 9 + 81
    with pytest.raises(ArtifactError, match="a sane number of tables"):
        visit(FlatBuffer(MemorySource(shared(6, 50)), max_tables=10_000).root())
    with pytest.raises(ArtifactError, match=f"at most {MAX_DEPTH} deep"):
        visit(FlatBuffer(MemorySource(shared(MAX_DEPTH + 1, 1))).root())


def test_a_vector_shared_by_many_tables_is_paid_each_time() -> None:
    def ask(times: int, fields: list[Any], question: Callable[[FlatTable], object]) -> None:
        table = FlatBuffer(MemorySource(write(fields)), max_tables=50).root()
        for _ in range(times):
            question(table)

    for times, fields, question, problem in (
        (1000, [("[int32]", [7] * 1000)], lambda table: table.numbers(0, INT32), "numbers"),
        (16, [("text", "x" * (1 << 20))], lambda table: table.text(0), "names and texts"),
        (2, [("[text]", [""] * 20)], lambda table: list(table.texts(0)), "tables and strings"),
    ):
        ask(times, fields, question)
        with pytest.raises(ArtifactError, match=problem):
            ask(times + 1, fields, question)


@pytest.mark.parametrize(
    ("bytes_", "expected"),
    [
        (b"", "at least 12 bytes"),
        (struct.pack("<I4sI", 99, b"TEST", 0), "points forward"),
        (struct.pack("<I4sI", 0, b"TEST", 0), "points forward"),
        (struct.pack("<I4si", 8, b"TEST", 100), "vtable inside"),
        (struct.pack("<I4siHH", 8, b"TEST", -4, 3, 4), "a vtable of 4"),
        (struct.pack("<I4siHH", 8, b"TEST", -4, 4000, 4), "a vtable of 4"),
        (struct.pack("<I4siHH", 8, b"TEST", -4, 4, 4000), "a table inside"),
        (struct.pack("<I4siHH", 8, b"TEST", -4, 60, 4), "60 bytes"),
    ],
)
def test_what_is_wrong_is_said(bytes_: bytes, expected: str) -> None:
    with pytest.raises(ArtifactError, match=expected):
        FlatBuffer(MemorySource(bytes_)).root()


def test_weights_are_not_read(tmp_path: Path) -> None:
    builder = flatbuffers.Builder(0)
    weights = builder.CreateByteVector(bytes(32 << 20))
    name = builder.CreateString("name")
    builder.StartObject(2)
    builder.PrependUOffsetTRelativeSlot(0, name, 0)
    builder.PrependUOffsetTRelativeSlot(1, weights, 0)
    builder.Finish(builder.EndObject())
    path = tmp_path / "big.bin"
    path.write_bytes(builder.Output())
    with LocalFile(path) as source:
        table = FlatBuffer(source).root()
        assert table.text(0) == "name"
        span = table.span(1)
        assert span is not None
        assert span[1] - span[0] == 32 << 20
        assert source.bytes_read < 64 << 10
