"""ONNX files made to exhaust or mislead whoever reads them: each is answered or refused, soon and in little memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_models import BUILDERS
from test_onnx_agreement import check_with_onnx

from trimtab.artifacts import read_signature
from trimtab.errors import ArtifactError
from trimtab.signature.model import Live
from trimtab.source.bytes import MemorySource
from trimtab.source.wire import encode_field, encode_tag, encode_varint

SECONDS, KIBIBYTES = 2, 256 << 10

A_AND_Y = encode_field(11, encode_field(1, b"a")) + encode_field(12, encode_field(1, b"y"))


def onnx_file(graph: bytes, functions: bytes = b"") -> bytes:
    return b"\x08\x0a" + encode_field(7, graph) + functions


def nested_branches(depth: int) -> bytes:
    graph = encode_field(12, encode_field(1, b"r"))
    for _ in range(depth):
        attribute = encode_field(6, graph)
        graph = encode_field(1, encode_field(2, b"r") + encode_field(5, attribute))
    return graph


def function(name: str, calls: list[str]) -> bytes:
    nodes = b"".join(
        encode_field(7, encode_field(1, b"p") + encode_field(2, b"r") + encode_field(4, it.encode()) + MINE_NODE)
        for it in calls
    )
    return encode_field(
        25, encode_field(1, name.encode()) + encode_field(4, b"p") + encode_field(5, b"r") + nodes + MINE
    )


MINE, MINE_NODE = encode_field(10, b"mine"), encode_field(7, b"mine")
CALL_F0 = encode_field(1, encode_field(1, b"a") + encode_field(2, b"y") + encode_field(4, b"F0") + MINE_NODE)

BOMBS: dict[str, Callable[[], bytes]] = {
    "a million empty nodes": lambda: onnx_file(b"\x0a\x00" * 1_000_000 + A_AND_Y),
    "nodes with a name each": lambda: onnx_file(
        b"".join(encode_field(1, encode_field(2, b"%d" % i)) for i in range(400_000)) + A_AND_Y
    ),
    "one node of a million names": lambda: onnx_file(encode_field(1, b"\x0a\x01a\x12\x01y" * 500_000) + A_AND_Y),
    "one name read and written everywhere": lambda: onnx_file(b"\x0a\x06\x0a\x01a\x12\x01y" * 300_000 + A_AND_Y),
    "long names": lambda: onnx_file(
        b"".join(encode_field(1, encode_field(1, b"%06d" % i * 2000)) for i in range(4000)) + A_AND_Y
    ),
    "one name of 64 MiB": lambda: onnx_file(encode_field(1, encode_field(1, b"x" * (64 << 20))) + A_AND_Y),
    "branches in branches": lambda: onnx_file(nested_branches(2000) + A_AND_Y),
    "a thousand attributes with a graph each": lambda: onnx_file(
        encode_field(1, encode_field(5, encode_field(6, b"\x0a\x00" * 500)) * 1000) + A_AND_Y
    ),
    "functions in a chain": lambda: onnx_file(
        CALL_F0 + A_AND_Y, b"".join(function(f"F{i}", [f"F{i + 1}"]) for i in range(20_000))
    ),
    "functions that double": lambda: onnx_file(
        CALL_F0 + A_AND_Y, b"".join(function(f"F{i}", [f"F{i + 1}"] * 2) for i in range(1000))
    ),
    "a function that calls itself": lambda: onnx_file(CALL_F0 + A_AND_Y, function("F0", ["F0", "F0"])),
    "functions with long names": lambda: onnx_file(
        CALL_F0 + A_AND_Y, b"".join(function(f"{i}" * 20_000, []) for i in range(1000))
    ),
    "results with long names": lambda: onnx_file(
        encode_field(1, encode_field(5, encode_field(6, encode_field(12, encode_field(1, b"r" * 60_000)) * 1000)))
        + A_AND_Y
    ),
    "initializers without end": lambda: onnx_file(
        b"".join(encode_field(5, encode_field(8, b"%d" % i)) for i in range(450_000)) + A_AND_Y
    ),
    "dimensions without end": lambda: onnx_file(
        encode_field(5, b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f" * 400_000 + encode_field(8, b"a")) + A_AND_Y
    ),
    "packed dimensions": lambda: onnx_file(
        encode_field(5, encode_field(1, b"\x01" * (16 << 20)) + encode_field(8, b"a")) + A_AND_Y
    ),
    "documentation without end": lambda: onnx_file(
        b"".join(encode_field(11, encode_field(3, b"d" * 4096)) for _ in range(20_000)) + A_AND_Y
    ),
    "sizes without end": lambda: onnx_file(
        encode_field(11, encode_field(2, encode_field(1, encode_field(2, b"\x0a\x02\x08\x01" * 400_000))))
    ),
    "ranges without end": lambda: onnx_file(
        encode_field(16, encode_field(1, RANGES_KEY) + encode_field(2, b"{" + b"s0" * 32_000 + b"}")) + A_AND_Y
    ),
    "notes without end": lambda: onnx_file(
        b"".join(encode_field(11, encode_field(1, b"%d" % i) + NEGATIVE) for i in range(40_000))
    ),
}
RANGES_KEY = b"pkg.torch.export.ExportedProgram.range_constraints"
NEGATIVE = encode_field(2, encode_field(1, encode_field(2, encode_field(1, b"\x08" + encode_varint((1 << 64) - 5)))))

CHILD = """
import sys, time
from trimtab.artifacts import read_signature
from trimtab.errors import ArtifactError
started = time.process_time()
try:
    signature = read_signature(sys.argv[1])
    print("read", len(signature.inputs), len(signature.provenance.notes))
except ArtifactError as error:
    print("error", str(error)[:200].replace("\\n", " "))
print(time.process_time() - started)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_answered_or_refused_soon_and_in_little_memory(name: str, root: Path, tmp_path: Path) -> None:
    path = tmp_path / "bomb.onnx"
    path.write_bytes(BOMBS[name]())
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={"PYTHONPATH": str(root / "src")},
    )
    outcome, seconds, peak = child.stdout.splitlines()
    assert outcome.startswith(("read", "error"))
    assert float(seconds) < SECONDS, outcome
    assert int(peak) < KIBIBYTES, outcome


@pytest.mark.parametrize(
    "name", ["branches in branches", "one node of a million names", "a thousand attributes with a graph each"]
)
def test_what_cannot_be_followed_is_never_dead(name: str) -> None:
    signature = read_signature(MemorySource(BOMBS[name]()))
    assert {it.live for it in signature.inputs} <= {Live.YES, Live.UNKNOWN}


fields = st.builds(
    encode_field,
    st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 20, 25]),
    st.binary(max_size=6),
)
numbers = st.builds(
    lambda number, value: encode_tag(number, 0) + encode_varint(value),
    st.sampled_from([1, 2, 3, 5, 14, 20]),
    st.integers(0, (1 << 64) - 1),
)
messages = st.recursive(
    st.lists(fields | numbers, max_size=4).map(b"".join),
    lambda inner: st.lists(
        st.builds(encode_field, st.sampled_from([1, 2, 4, 5, 6, 7, 8, 11, 12, 15, 16]), inner) | numbers, max_size=4
    ).map(b"".join),
    max_leaves=24,
)


@settings(max_examples=400)
@given(messages, messages)
def test_any_nest_of_messages_is_refused_or_read_as_onnx_reads_it(graph: bytes, function: bytes) -> None:
    data = onnx_file(graph + A_AND_Y, encode_field(25, function))
    loaded = onnx.ModelProto()
    try:
        signature = read_signature(MemorySource(data))
        loaded.ParseFromString(data)
        check_with_onnx(signature, loaded)
    except (ArtifactError, DecodeError):
        return
    unused = {it.name for it in signature.inputs if it.live is Live.NO}
    assert not unused & reached({it.name for it in loaded.graph.output}, [*uses(loaded.graph)])


def uses(graph: onnx.GraphProto) -> Iterator[tuple[set[str], set[str]]]:
    """What each node writes, and what it reads, in a graph and in all the graphs inside of it."""
    for each in graph.node:
        writes, reads = {*each.output}, {*each.input}
        for inner in (graph for it in each.attribute for graph in (it.g, *it.graphs)):
            yield from uses(inner)
            writes.update(it.name for it in inner.input)
            reads.update(it.name for it in inner.output)
        yield writes, reads


def reached(names: set[str], between: list[tuple[set[str], set[str]]]) -> set[str]:
    before = -1
    while before < len(names):
        before = len(names)
        names = names.union(*(reads for writes, reads in between if names & writes))
    return names


@settings(max_examples=300)
@given(st.sampled_from(sorted(BUILDERS)), st.integers(0, 1 << 16), st.integers(0, 255), st.booleans())
def test_a_changed_byte_is_answered_or_refused(name: str, position: int, byte: int, cut: bool) -> None:
    data = bytearray(BUILDERS[name]().SerializeToString())
    data[position % len(data)] = byte
    changed = bytes(data[: position % len(data)] if cut else data)
    with suppress(ArtifactError):
        read_signature(MemorySource(changed))
