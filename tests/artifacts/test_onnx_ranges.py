"""How much of a large ONNX file is read, as a local file and by ranges: 1 GB, whose weights are a hole."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import helper
from onnx_models import FLOAT, node, value

from trimtab.artifacts import embed_signature, read_signature
from trimtab.artifacts.formats.onnx import reader
from trimtab.artifacts.registry import find_format
from trimtab.signature.document import decode_document
from trimtab.source.bytes import ByteSource, LocalFile
from trimtab.source.wire import encode_field, encode_tag, encode_varint

INITIALIZERS, INPUTS, GIGABYTE = 250, 200, 1 << 30


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A model of 1 GB as onnx would write it, except that its weights were never written: they read as zeros."""
    names = [f"feature_{i}" for i in range(INPUTS)]
    weight = GIGABYTE // INITIALIZERS
    nodes = [node("Sum", names[:-1], ["x"]), *(node("Add", ["x", f"w{i}"], [f"y{i}"]) for i in range(INITIALIZERS))]
    before = helper.make_graph(nodes, "graph", [], []).SerializeToString()
    values = onnx.GraphProto(input=[value(each) for each in names], output=[value("y0", FLOAT, ["n"])])
    after = values.SerializeToString()
    heads = []
    for index in range(INITIALIZERS):
        head = onnx.TensorProto(name=f"w{index}", data_type=FLOAT, dims=[weight // 4]).SerializeToString()
        head += encode_tag(9) + encode_varint(weight)
        heads.append(encode_tag(5) + encode_varint(len(head) + weight) + head)
    length = len(before) + sum(map(len, heads)) + weight * INITIALIZERS + len(after)
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.write(onnx.ModelProto(ir_version=10).SerializeToString() + encode_tag(7) + encode_varint(length) + before)
        for head in heads:
            file.write(head)
            file.seek(weight, 1)
        file.write(after + encode_field(8, helper.make_opsetid("", 21).SerializeToString()))
    return path


class Ranges(ByteSource):
    """A file behind range requests of 64 KiB, whose answers are kept."""

    def __init__(self, path: Path) -> None:
        self._file = LocalFile(path)
        self._kept: list[tuple[int, bytes]] = []
        super().__init__(str(path), self._file.size)

    def _read(self, offset: int, length: int) -> bytes:
        start, data = self.window(offset, length)
        return data[offset - start : offset - start + length]

    def window(self, offset: int, length: int) -> tuple[int, bytes]:
        for start, data in self._kept:
            if start <= offset and offset + length <= start + len(data):
                return start, data
        data = self._file.read(offset, min(max(length, 64 << 10), self.size - offset))
        self.reads += 1
        self.bytes_read += len(data)
        self._kept.append((offset, data))
        return offset, data

    def close(self) -> None:
        self._file.close()


def test_a_gigabyte_costs_a_window_per_tensor(large: Path) -> None:
    with LocalFile(large) as source:
        signature = read_signature(source)
        assert len(signature.inputs) == INPUTS
        assert [it.name for it in signature.inputs if it.live == "no"] == [f"feature_{INPUTS - 1}"]
        assert source.reads <= INITIALIZERS + 20
        assert source.bytes_read < 2 << 20


def test_an_embedded_document_costs_two_ranges_of_a_gigabyte(large: Path) -> None:
    signature = read_signature(large)
    embed_signature(large, signature)
    assert large.stat().st_size > GIGABYTE
    with Ranges(large) as source:
        assert find_format(source).name == "onnx"
        document = reader.declared(source)
        assert document is not None
        assert decode_document(document).digest == signature.digest
        assert source.reads <= 3
        assert source.bytes_read <= 128 << 10
    assert read_signature(large).digest == signature.digest
