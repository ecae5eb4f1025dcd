"""UBJSON: what is written is read, what is skipped is stepped over exactly, and no bytes escape the error family."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.errors import ArtifactError
from trimtab.source.bytes import MemorySource
from trimtab.source.ubjson import UbjsonWalk


def walk(data: bytes, **more: Any) -> UbjsonWalk:
    return UbjsonWalk(MemorySource(data), **more)


def integer(value: int) -> bytes:
    for marker, layout in ((b"i", ">b"), (b"U", ">B"), (b"I", ">h"), (b"l", ">i"), (b"L", ">q")):
        try:
            return marker + struct.pack(layout, value)
        except struct.error:
            continue
    raise AssertionError(value)


def text(value: str) -> bytes:
    data = value.encode()
    return integer(len(data)) + data


class Typed(list[int]):
    """A list to be written as a typed array."""


def encode(value: Any, counted: bool) -> bytes:
    match value:
        case None:
            return b"Z"
        case bool():
            return b"T" if value else b"F"
        case int():
            return integer(value)
        case float():
            return b"D" + struct.pack(">d", value)
        case str():
            return b"S" + text(value)
        case Typed():
            return b"[$l#" + integer(len(value)) + b"".join(struct.pack(">i", it) for it in value)
        case list():
            items = b"".join(encode(it, counted) for it in value)
            return b"[#" + integer(len(value)) + items if counted else b"[" + items + b"]"
        case dict():
            items = b"".join(text(key) + encode(it, counted) for key, it in value.items())
            return b"{#" + integer(len(value)) + items if counted else b"{" + items + b"}"
    raise AssertionError(value)


SMALL_INTEGERS = st.integers(-(2**31), 2**31 - 1)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.lists(SMALL_INTEGERS).map(Typed),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


@given(VALUES, st.booleans())
def test_what_is_written_is_read(value: Any, counted: bool) -> None:
    reader = walk(encode(value, counted))
    assert reader.value() == value
    assert reader.position == reader.source.size


@given(VALUES, st.booleans(), st.binary(max_size=9))
def test_skipping_ends_where_reading_does(value: Any, counted: bool, rest: bytes) -> None:
    data = encode(value, counted)
    reader = walk(data + rest)
    reader.skip()
    assert reader.position == len(data)


@given(VALUES, st.booleans())
def test_every_cut_is_refused(value: Any, counted: bool) -> None:
    data = encode(value, counted)
    for length in range(len(data)):
        for take in (UbjsonWalk.value, UbjsonWalk.skip):
            with pytest.raises(ArtifactError):
                take(walk(data[:length]))


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for take in (UbjsonWalk.value, UbjsonWalk.skip):
        try:
            take(walk(data))
        except ArtifactError:
            continue


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"[$l#L" + struct.pack(">q", 1 << 60), "a length of at most"),
        (b"[$l#i\x7f", "127|508 bytes|the end"),
        (b"[#L" + struct.pack(">q", -1), "a length"),
        (b"SL" + struct.pack(">q", 1 << 40), "a length of at most"),
        (b"[" * 100, "nested at most 64 deep"),
        (b"[$[#i\x01", "a fixed size"),
        (b"[$l]", "the count"),
        (b"S?", "a length"),
        (b"SU\x02\xff\xfe", "UTF-8"),
        (b"{$i#i\x01i\x01ax", "plain values"),
        (b"N", "a UBJSON value"),
        (b"", "the end"),
    ],
)
def test_refusals_name_what_is_wrong(data: bytes, problem: str) -> None:
    with pytest.raises(ArtifactError, match=problem):
        walk(data).value()


def test_the_budget_bounds_the_walk() -> None:
    data = b"[" + b"Z" * 1000 + b"]"
    for take in (UbjsonWalk.value, UbjsonWalk.skip):
        with pytest.raises(ArtifactError, match="fewer values"):
            take(walk(data, max_steps=999))
        take(walk(data, max_steps=1001))


def test_weights_are_stepped_over_without_being_read() -> None:
    source = MemorySource(b"{" + text("w") + b"[$d#" + integer(1 << 20) + bytes(4 << 20) + text("n") + b"i\x07}")
    reader = UbjsonWalk(source)
    assert [reader.value() if key == "n" else reader.skip() for key in reader.members()] == [None, 7]


def test_members_and_elements_stand_before_their_values() -> None:
    reader = walk(encode({"a": [1, "x"], "b": math.pi}, counted=False))
    seen: dict[str, Any] = {}
    for key in reader.members():
        seen[key] = [reader.value() for _ in reader.elements()] if key == "a" else reader.value()
    assert seen == {"a": [1, "x"], "b": math.pi}
