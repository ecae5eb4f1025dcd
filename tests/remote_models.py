"""Models of a gigabyte that take no room on the disk: as the frameworks write them, with a hole where weights are."""

from __future__ import annotations

import struct
import warnings
from functools import cache
from pathlib import Path

import onnx
import torch

from trimtab.source.bytes import LocalFile
from trimtab.source.wire import encode_field, encode_tag, encode_varint
from trimtab.source.zip import ZipDirectory, ZipEntry

HOLE = 1 << 30
WEIGHTS = 410
INPUTS = 100


class Sum(torch.nn.Module):
    """A module of many weights and many inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = torch.nn.ParameterList(torch.nn.Parameter(torch.ones(3)) for _ in range(WEIGHTS))

    def forward(self, features: dict[str, torch.Tensor]) -> torch.Tensor:
        total = torch.zeros(1)
        for value in features.values():
            total = total + value.sum()
        for weight in self.weights:
            total = total + weight.sum()
        return total


def features() -> dict[str, torch.Tensor]:
    return {f"feature_number_{index}": torch.ones(4, 3) for index in range(INPUTS)}


@cache
def _traced() -> torch.jit.ScriptModule:
    return torch.jit.trace(Sum(), (features(),), strict=False)


@cache
def _program() -> torch.export.ExportedProgram:
    return torch.export.export(Sum(), (features(),))


def save_torchscript(path: Path, extra: dict[str, bytes] | None = None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(_traced(), str(path), _extra_files=extra or {})
    widen(path)


def save_program(path: Path, extra: dict[str, bytes] | None = None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(
            _program(), str(path), extra_files={name: data.decode() for name, data in (extra or {}).items()}
        )
    widen(path)


def save_onnx(path: Path) -> None:
    """A graph whose one initializer, between its node and its inputs, is a hole."""
    value = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node("Sum", ["item", "user", "weight"], ["score"])
    before = encode_field(1, node.SerializeToString()) + encode_field(2, b"graph")
    after = b"".join(
        encode_field(number, value(name, onnx.TensorProto.FLOAT, [HOLE // 4]).SerializeToString())
        for number, name in ((11, "user"), (11, "item"), (12, "score"))
    )
    tensor = onnx.TensorProto(dims=[HOLE // 4], data_type=1, name="weight").SerializeToString()
    tensor += encode_tag(9) + encode_varint(HOLE)
    before += encode_tag(5) + encode_varint(len(tensor) + HOLE) + tensor
    head = onnx.ModelProto(ir_version=10, producer_name="test").SerializeToString()
    head += encode_tag(7) + encode_varint(len(before) + HOLE + len(after)) + before
    opset = onnx.ModelProto(opset_import=[onnx.helper.make_opsetid("", 21)]).SerializeToString()
    with path.open("wb") as file:
        file.write(head)
        file.seek(HOLE, 1)
        file.write(after + opset)


def widen(path: Path) -> None:
    """Put a hole behind the content of a weight in the middle of an archive, which that weight then claims."""
    with LocalFile(path) as source:
        directory = ZipDirectory.open(source)
        entries = list(directory.entries.values())
        weights = [each for each in entries if "/data/" in each.name and each.name[-1].isdigit()]
        chosen = weights[len(weights) // 2]
        end = next(each.limit for each in entries if each.name == chosen.name)
        records = b"".join(_record(directory.raw[each.record], each, chosen) for each in entries)
    data = path.read_bytes()
    offset = directory.offset + HOLE
    end_64 = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, len(entries), len(entries), len(records), offset)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, offset + len(records), 1)
    full = 0xFFFFFFFF
    last = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, full, full, 0)
    with path.open("wb") as file:
        file.write(data[:end])
        file.seek(HOLE, 1)
        file.write(data[end : directory.offset] + records + end_64 + locator + last)


def _record(record: bytes, entry: ZipEntry, chosen: ZipEntry) -> bytes:
    """An entry's record in the directory, once the hole is there."""
    changed = bytearray(record)
    if entry.name == chosen.name:
        struct.pack_into("<2I", changed, 20, entry.compressed_size + HOLE, entry.size + HOLE)
    if entry.offset > chosen.offset:
        struct.pack_into("<I", changed, 42, entry.offset + HOLE)
    return bytes(changed)
