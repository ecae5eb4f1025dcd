"""The symbolic pickle reader gives the data that pickle gives, and records what pickle would run."""

from __future__ import annotations

import pickle
import pickletools
from collections import OrderedDict
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.errors import ArtifactError
from trimtab.source.pickle import Call, Global, pickled_names, read_pickle

plain = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.one_of(st.text(max_size=5), st.integers()), inner, max_size=4),
    ),
    max_leaves=20,
)


@given(plain)
def test_plain_data_is_read_as_pickle_reads_it(value: Any) -> None:
    assert read_pickle(pickle.dumps(value, protocol=2), "data.pkl") == value


class Runs:
    """What a malicious pickle does: names a function to be called."""

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, ("exit 1",)


def test_calls_are_recorded_not_made() -> None:
    call = read_pickle(pickle.dumps(Runs(), protocol=2), "data.pkl")
    assert isinstance(call, Call)
    assert str(call.function) == "posix.system"
    assert call.arguments == ("exit 1",)


@pytest.mark.parametrize("protocol", range(6))
def test_names_of_every_protocol_are_found(protocol: int) -> None:
    names = [str(it) for it in pickled_names(pickle.dumps([Runs(), OrderedDict(a=1)], protocol=protocol))]
    assert names[0] == "posix.system"
    assert "collections.OrderedDict" in names


def test_names_are_found_in_a_pickle_that_is_cut_short() -> None:
    data = pickle.dumps([Runs(), "x" * 1000], protocol=2)
    assert pickled_names(data[:60]) == [Global("posix", "system")]


def test_the_opcode_table_is_that_of_pickletools() -> None:
    from trimtab.source.pickle import _ARGUMENTS

    assert set(_ARGUMENTS) == {ord(it.code) for it in pickletools.opcodes}
    for opcode in pickletools.opcodes:
        ours = _ARGUMENTS[ord(opcode.code)]
        theirs = 0 if opcode.arg is None else opcode.arg.n
        match theirs:
            case pickletools.UP_TO_NEWLINE:
                assert isinstance(ours, str), opcode.name
            case pickletools.TAKEN_FROM_ARGUMENT1:
                assert ours == -1, opcode.name
            case pickletools.TAKEN_FROM_ARGUMENT4 | pickletools.TAKEN_FROM_ARGUMENT4U:
                assert ours == -4, opcode.name
            case pickletools.TAKEN_FROM_ARGUMENT8U:
                assert ours == -8, opcode.name
            case _:
                assert ours == theirs, opcode.name


@given(plain, st.data())
@settings(max_examples=300)
def test_damage_raises_nothing_foreign(value: Any, data: st.DataObject) -> None:
    mutated = bytearray(pickle.dumps(value, protocol=2))
    for _ in range(data.draw(st.integers(1, 4))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    for read in (lambda it: read_pickle(it, "data.pkl"), pickled_names):
        with suppress(ArtifactError):
            read(bytes(mutated))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"\x80\x02",
        b"\x80\x02K\x01K\x02.",
        b"\x80\x02h\x05.",
        b"\x80\x02}]K\x01s.",
        b"\x80\x02t.",
        b"\x80\x02(K\x01.",
        b"\x80\x04\x8c\x01a.",
        b"\x80\x02X\xff\xff\xff\xffa.",
        b"\x80\x02}(K\x01u.",
        b"\x80\x02R.",
    ],
)
def test_malformed_pickles_are_refused(data: bytes) -> None:
    with pytest.raises(ArtifactError):
        read_pickle(data, "data.pkl")


def test_deep_nesting_neither_recurses_nor_hashes() -> None:
    data = b"\x80\x02" + b"(" * 300_000 + b"t" * 300_000 + b"."
    value = read_pickle(data, "data.pkl")
    assert isinstance(value, tuple)
    with pytest.raises(ArtifactError, match="text or a number as the key"):
        read_pickle(b"\x80\x02}" + data[2:-1] + b"K\x01s.", "data.pkl")
