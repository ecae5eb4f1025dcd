"""AOTInductor packages: what torch's generated code says of the call, from packages recorded without their libraries.

Made by torch 2.13 with torch._inductor.aoti_compile_and_package and package_pt2, of `Nested` and the like below.
"""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from trimtab.artifacts import derive_signature, embed_signature, read_signature
from trimtab.artifacts.formats.pt2.compiled import compiled_overload
from trimtab.errors import ArtifactError, ContradictionError, RefusedArtifactError
from trimtab.signature.dtypes import DType
from trimtab.signature.model import Presence, Range
from trimtab.signature.types import Opaque, Tensor


@pytest.fixture
def recorded(root: Path) -> Path:
    return root / "tests" / "data" / "aotinductor"


def test_nested_arguments(recorded: Path) -> None:
    """`forward({"a b", "ids", "unused"}, y, flag=None, *, scale)`, rows of 2 to 64, with a document in its metadata."""
    signature = derive_signature(recorded / "nested.pt2")
    assert {it.name: (it.call_path, it.type) for it in signature.inputs} == {
        "a b": ('args[0]["a b"]', Tensor(DType.FLOAT32, ("s17", 4))),
        "ids": ('args[0]["ids"]', Tensor(DType.INT64, ("s17", 2))),
        "unused": ('args[0]["unused"]', Tensor(DType.BOOL, ("dim0", 7))),
        "input_3": ("args[1]", Tensor(DType.FLOAT64, ("s17",))),
        "flag": ("flag", Opaque("constant")),
        "scale": ("scale", Tensor(DType.BFLOAT16, (2,))),
    }
    assert [it.name for it in signature.inputs if it.presence is Presence.DEFAULT] == ["flag"]
    assert [it.return_path for it in signature.outputs] == ['["score"]', '["parts"][0]', '["parts"][1]', '["parts"][2]']
    assert {it.type for it in signature.outputs} == {Tensor()}
    limits = Range(minimum=2, maximum=64)
    assert signature.entry_point().overloads[0].dimensions == {"s17": limits, "dim0": limits}
    assert "generated code" in signature.provenance.notes[0]


def test_the_document_in_the_metadata_is_declared(recorded: Path, tmp_path: Path) -> None:
    with pytest.raises(ContradictionError, match=r"not in the graph: a;"):
        read_signature(recorded / "nested.pt2")  # its metadata name the input "a", which the code does not have
    path = tmp_path / "nested.pt2"
    shutil.copy(recorded / "nested.pt2", path)
    derived = derive_signature(path)
    embed_signature(path, derived)  # the embedded document counts instead
    assert read_signature(path).digest == derived.digest


def test_arguments_that_are_compiled_in_without_a_trace(recorded: Path) -> None:
    """`forward(None, x, 3, *rest, mode="b", w=w)`: three tensors, which may be any three of six leaves."""
    signature = derive_signature(recorded / "baked_in.pt2")
    assert {it.name: it.type for it in signature.inputs} == {
        "input_0": Tensor(DType.FLOAT32, ("s77", 4)),
        "input_1": Tensor(DType.FLOAT32, (3,)),
        "input_2": Tensor(DType.FLOAT32, ()),
    }
    assert any("compiled in" in note for note in signature.provenance.notes)


def test_several_models_are_several_entry_points(recorded: Path) -> None:
    signature = read_signature(recorded / "two_models.pt2")
    assert [it.name for it in signature.entry_points] == ["comp", "other"]
    (image,) = signature.entry_point("other").overloads[0].inputs
    assert image.type == Tensor(DType.UINT8, ("s85", "s34"))


def test_a_program_beside_compiled_models(recorded: Path) -> None:
    signature = read_signature(recorded / "with_a_program.pt2")
    assert {it.name: it.input_names for it in signature.entry_points} == {
        "prog": ("a", "b"),
        "comp": ("input_0", "input_1"),
        "other/one": ("input_0",),
    }


def edited(recorded: Path, target: Path, change: Any) -> Path:
    """A copy of the nested package whose generated code went through `change`; None leaves it out."""
    with zipfile.ZipFile(recorded / "nested.pt2") as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            if entry.filename.endswith(".wrapper.cpp"):
                data = change(data)
                if data is None:
                    continue
            if not entry.filename.endswith("metadata.json"):
                new.writestr(zipfile.ZipInfo(entry.filename), data)
        new.writestr("nested/data/aotinductor/model/x.wrapper.so", b"\x7fELF")
    return target


@pytest.mark.parametrize(
    "change",
    [lambda _: None, lambda it: it.replace(b"in_spec_ =", b"spec ="), lambda it: it.replace(b'"arg3_1"', b"other()")],
    ids=["no code", "no specification", "another form"],
)
def test_code_that_does_not_tell_is_refused(recorded: Path, tmp_path: Path, change: Any) -> None:
    with pytest.raises(RefusedArtifactError, match="compiled code"):
        read_signature(edited(recorded, tmp_path / "edited.pt2", change))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda it: it.replace(b"dtype_bfloat16()", b"dtype_complex9()"), "a dtype of torch for arg7_1"),
        (lambda it: it.replace(b'in_spec_ = R"([1,', b'in_spec_ = R"([2,'), "version 1"),
        (
            lambda it: it.replace(b'"builtins.dict", "context": "[', b'"builtins.dict", "context": "{'),
            "strict JSON|JSON",
        ),
    ],
    ids=["a dtype that is none", "a tree of a newer version", "keys that are no JSON"],
)
def test_code_that_is_wrong_is_an_error(recorded: Path, tmp_path: Path, change: Any, says: str) -> None:
    with pytest.raises(ArtifactError, match=says) as error:
        read_signature(edited(recorded, tmp_path / "edited.pt2", change))
    assert "wrapper.cpp" in error.value.where


def test_sizes_that_are_not_checked_leave_the_rank_open() -> None:
    nodes = '[1, {"type": "builtins.tuple", "context": null, "children_spec": [%s, %s]}]'
    positional = '{"type": "builtins.tuple", "context": null, "children_spec": [{"type": null}, {"type": null}]}'
    keywords = '{"type": "builtins.dict", "context": "[]", "children_spec": []}'
    code = "\n".join(
        (
            'inputs_info_[0].name = "arg0_1";',
            'inputs_info_[1].name = "arg1_1";',
            f'in_spec_ = R"({nodes % (positional, keywords)})";',
            'out_spec_ = R"([1, {"type": null}])";',
            "if (4 != arg0_1_size[1]) {",
            'assert_size_stride(arg1_1, {c10::div_floor_integer(s0, 2L), 2L*s0 + 1L}, {1L}, "input");',
            "if (arg1_1_size[0] > 9) {",
        )
    )
    found = compiled_overload(code, "code")
    assert found is not None
    first, second = found[0].inputs
    assert first.type == Tensor()
    assert second.type == Tensor(None, ("dim0", "2*s0 + 1"))
    assert found[0].dimensions == {"dim0": Range(minimum=0, maximum=9)}
