"""Files of a few kilobytes that claim millions of anything: refused by count, before the claim becomes objects."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from functools import cache
from typing import TYPE_CHECKING

import pytest
import torch

from trimtab.artifacts import embed_signature, read_signature
from trimtab.artifacts.compare_names import join_names
from trimtab.errors import ArtifactError, ContradictionError
from trimtab.signature.model import EntryPoint, Input, Overload, Signature
from trimtab.signature.types import Tensor
from trimtab.source.bytes import MemorySource

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MODULE = "class M(Module):\n  def forward(self: __torch__.M, x: {type}{default}) -> Tensor:\n    return x\n"


def archive(entries: dict[str, str | bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(f"m/{name}", content)
    return target.getvalue()


def torchscript(code: str, constants: bytes = b")", **others: str | bytes) -> bytes:
    data = b"\x80\x02c__torch__\nM\n)\x81}b."
    code_file = "code/__torch__.py"
    return archive(
        {"data.pkl": data, code_file: code, "constants.pkl": b"\x80\x02" + constants + b".", "version": "3\n", **others}
    )


def doubled(times: int) -> str:
    """A named tuple of 2^times empty named tuples."""
    classes = "".join(
        f"class A{level}(NamedTuple):\n  a : __torch__.A{level + 1}\n  b : __torch__.A{level + 1}\n"
        for level in range(times)
    )
    return f"{classes}class A{times}(NamedTuple):\n  pass\n" + MODULE.format(type="__torch__.A0", default="")


SHARED = b"K\x01" + b"".join(b"q%ch%c\x86" % (level, level) for level in range(60)) + b"\x85"
"""A constant whose two halves are one object, sixty times over."""

DEFAULT = MODULE.format(type="int", default="=CONSTANTS.c0")

TORCHSCRIPT: dict[str, tuple[Callable[[], bytes], str]] = {
    "arguments": (lambda: torchscript(MODULE.format(type="T" + ", x: T" * 100_000, default="")), "65536 arguments"),
    "lines": (lambda: torchscript("\n" * 400_000), "300000 lines"),
    "methods": (
        lambda: torchscript("class M(Module):\n" + "".join(f"  def f{i}(self: M) -> T:\n    x\n" for i in range(2000))),
        "1000 methods",
    ),
    "empty named tuples, doubled": (lambda: torchscript(doubled(25)), "131072 values in arguments"),
    "tuples in many arguments": (
        lambda: torchscript(
            MODULE.format(
                type="T, " + ", ".join(f"x{i}: Tuple[{'T, ' * 1000}T]" for i in range(200)), default=", y: int"
            )
        ),
        "131072 values in arguments",
    ),
    "brackets": (lambda: torchscript(MODULE.format(type="List[" * 5000, default="")), "nested at most 256 deep"),
    "bytes of code": (lambda: torchscript(" " * (13 << 20)), "at most 12582912 bytes"),
    "a written default": (
        lambda: torchscript(MODULE.format(type="int", default="=(" + "1, " * 20_000 + "1)")),
        "10000",
    ),
    "a shared default": (lambda: torchscript(DEFAULT, SHARED), "10000 elements of a default"),
    "a default inside of itself": (lambda: torchscript(DEFAULT, b"]q\x00h\x00a\x85"), "10000 elements of a default"),
    "names in the document": (
        lambda: torchscript(
            MODULE.format(type="Dict[str, Tensor]", default=""),
            **{"extra/module_info.json": json.dumps({"input_names": ["a"] * 300_000, "output_names": []})},
        ),
        "200000 items",
    ),
    "objects in the document": (
        lambda: torchscript(
            MODULE.format(type="Tensor", default=""),
            **{"extra/module_info.json": '{"input_names": [' + "{}," * 300_000 + '{}], "output_names": []}'},
        ),
        "200000 items",
    ),
}


@cache
def program() -> str:
    class Double(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2

    target = io.BytesIO()
    torch.export.save(torch.export.export(Double(), (torch.ones(2),)), target)
    with zipfile.ZipFile(target) as file:
        return file.read("archive/models/model.json").decode()


def exported(old: str, new: str) -> bytes:
    assert old in program()
    return archive({"archive_format": "pt2", "models/model.json": program().replace(old, new, 1)})


TREE = r"[1, {\"type\": \"builtins.tuple\", \"context\": \"null\", \"children_spec\": ["

EXPORTED: dict[str, tuple[Callable[[], bytes], str]] = {
    "specs": (
        lambda: exported('"input_specs": [', '"input_specs": [' + "{}," * 600_000),
        "signature: expected at most",
    ),
    "tensors": (
        lambda: exported(
            '"tensor_values": {',
            '"tensor_values": {' + "".join(f'"a{i}":{{"dtype":1,"sizes":[]}},' for i in range(700_000)),
        ),
        "graph.tensor_values: expected at most",
    ),
    "calls": (
        lambda: exported('"module_call_graph": [', '"module_call_graph": [' + '{"fqn":"a"},' * 600_000),
        "module_call_graph: expected at most",
    ),
    "symbols": (
        lambda: exported(
            '"range_constraints": {', '"range_constraints": {' + ",".join(f'"s{i}":{{}}' for i in range(70_000))
        ),
        "65536 symbolic sizes",
    ),
    "tree": (
        lambda: exported('"in_spec": "', '"in_spec": "' + TREE + ",".join(["{}"] * 300_000) + "]}]"),
        "module_call_graph: expected at most",
    ),
    "program": (lambda: exported('{"', '{"a": "' + "a" * (81 << 20) + '", "'), "at most 83886080 bytes"),
}


def field(number: int, content: bytes) -> bytes:
    def varint(value: int) -> bytes:
        low = value & 0x7F
        return bytes([low]) if value < 0x80 else bytes([low | 0x80]) + varint(value >> 7)

    return varint(number << 3 | 2) + varint(len(content)) + content


def onnx(graph: bytes, *others: bytes) -> bytes:
    return b"\x08\x0a" + field(7, graph) + b"".join(others)


def document_entry(content: bytes) -> bytes:
    return field(14, field(1, b"module_info.json") + field(2, content))


ONNX: dict[str, tuple[Callable[[], bytes], str]] = {
    "inputs": (lambda: onnx(b"\x5a\x00" * 70_000), "65536 inputs and outputs"),
    "nodes": (lambda: onnx(b"\x0a\x00" * 600_000), "sane number of fields"),
    "text": (lambda: onnx(b"", field(8, field(1, b"a" * 60_000)) * 300), "16777216 bytes of names"),
    "documents": (lambda: onnx(b"", document_entry(bytes(1 << 20)) * 40), "once, got 40 times"),
    "document": (lambda: onnx(b"", document_entry(bytes(17 << 20))), "at most 16777216 bytes"),
}


@pytest.mark.parametrize(
    ("made", "says"),
    [
        pytest.param(*row, id=f"{kind}: {name}")
        for kind, table in (("TorchScript", TORCHSCRIPT), ("torch.export", EXPORTED), ("ONNX", ONNX))
        for name, row in table.items()
    ],
)
def test_what_no_model_has_so_many_of_is_refused(made: Callable[[], bytes], says: str) -> None:
    with pytest.raises(ArtifactError, match=says) as error:
        read_signature(MemorySource(made(), "model"))
    assert str(error.value).startswith("model")


def test_a_mismatch_of_many_names_is_found_without_comparing_every_pair() -> None:
    document = json.dumps({"input_names": [f"f{i}" for i in range(60_000)], "output_names": ["y"]})
    arguments = "Tensor, " + ", ".join(f"x{i}: Tensor" for i in range(30_000))
    data = torchscript(MODULE.format(type=arguments, default=""), **{"extra/module_info.json": document})
    with pytest.raises(ArtifactError, match="not those of the artifact's graph"):
        read_signature(MemorySource(data, "model"))


class CountedName(str):
    """A name that counts how often one is compared with another; looking it up by its hash compares next to never."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        CountedName.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


@pytest.mark.parametrize("stated", [200, 500])
def test_names_are_looked_up_and_not_compared_one_by_one(stated: int) -> None:
    CountedName.compared = 0
    names = Overload(inputs=tuple(Input(name=CountedName(f"f{i}"), type=Tensor()) for i in range(stated)))
    graph = Overload(inputs=tuple(Input(name=CountedName(f"x{i}"), type=Tensor()) for i in range(400)))
    named, derived = (
        Signature(entry_points=(EntryPoint(name="forward", overloads=(each,)),), default_entry_point="forward")
        for each in (names, graph)
    )
    raised: list[ContradictionError] = []
    join_names(named, derived, "model.pt", raised.append)
    assert raised
    assert CountedName.compared < 10_000


def test_a_document_that_could_not_be_read_back_is_not_embedded(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(torchscript(MODULE.format(type="Dict[str, Tensor]", default="")))
    inputs = tuple(Input(name=f"f{i}", path=f'x["f{i}"]', type=Tensor()) for i in range(70_000))
    forward = EntryPoint(name="forward", overloads=(Overload(inputs=inputs),))
    before = path.read_bytes()
    with pytest.raises(ArtifactError, match="the signature to embed"):
        embed_signature(path, Signature(entry_points=(forward,), default_entry_point="forward"))
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", [b"\xed\xa0\x80", b"\xff"])
def test_text_in_a_pickle_that_no_document_can_hold_is_refused(text: bytes) -> None:
    constant = b"X" + struct.pack("<I", len(text)) + text + b"\x85"
    with pytest.raises(ArtifactError, match="text in UTF-8"):
        read_signature(MemorySource(torchscript(DEFAULT, constant), "model"))


@pytest.mark.parametrize("size", [b"\x88", b"\x8a\x09" + b"\xff" * 8 + b"\x7f"], ids=["a flag", "beyond 64 bits"])
def test_a_size_in_an_example_that_no_tensor_has_is_left_out(size: bytes) -> None:
    storage = b"((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x00tQK\x00"
    tensor = (
        b"ctorch._utils\n_rebuild_tensor_v2\n" + storage + size + b"\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR"
    )
    examples = b"\x80\x02}X\x07\0\0\0forward]" + tensor + b"as."
    data = torchscript(MODULE.format(type="Tensor", default=""), **{"traced_inputs.pkl": examples})
    (value,) = read_signature(MemorySource(data, "model")).inputs
    assert value.type == Tensor()
