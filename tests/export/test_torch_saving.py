"""Saving from torch: the file leaves the exporter with its signature inside, and torch loads it as before."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from torch_models import KeywordOnly, NotAscii, Ranker, ReadsByVariable, Renamed, TwoInputs

import trimtab.torch
from trimtab.artifacts import read_signature
from trimtab.errors import ArtifactError, ContradictionError, SignatureError
from trimtab.signature.document import FILE_NAME, decode_document
from trimtab.signature.dtypes import DType
from trimtab.signature.model import Learned, Presence, Range
from trimtab.signature.types import Literal, Mapping, Scalar, Tensor
from trimtab.torch import LossyExportWarning

warnings.filterwarnings("ignore", category=DeprecationWarning, module="torch")

F32 = DType.FLOAT32
USER = torch.ones(3, 4)
FEATS = {"age": torch.ones(3, 1), "item.price": torch.ones(3, 2)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.pt"


def save_scripted(path: Path, **more: Any) -> Any:
    return trimtab.torch.save(torch.jit.script(Ranker()), path, example_inputs=(USER, FEATS), **more)


def test_dict_entries_become_inputs_of_their_own(path: Path) -> None:
    signature = save_scripted(path, output_names=["score", "rank"])
    assert {it.name: (it.call_path, it.type) for it in signature.inputs} == {
        "user": ("user", Tensor(F32, ("batch", 4))),
        "age": ('feats["age"]', Tensor(F32, ("batch", 1))),
        "item.price": ('feats["item.price"]', Tensor(F32, ("batch", 2))),
        "temperature": ("temperature", Scalar(DType.FLOAT64)),
    }
    assert signature.inputs[-1].presence is Presence.DEFAULT
    assert signature.inputs[-1].default == Literal(0.5)
    assert {it.name: (it.return_path, it.type) for it in signature.outputs} == {
        "score": ("[0]", Tensor(F32, ("batch",))),
        "rank": ("[1]", Tensor(F32, ("batch",))),
    }
    assert signature.entry_point("embed").input_names == ("user",)
    assert signature.provenance.learned is Learned.DECLARED
    assert read_signature(path) == signature


def test_torch_loads_the_file_and_sees_the_document(path: Path) -> None:
    signature = save_scripted(path)
    extra = {FILE_NAME: ""}
    loaded = torch.jit.load(str(path), _extra_files=extra)
    assert torch.equal(loaded(USER, FEATS)[0], Ranker()(USER, FEATS)[0])
    assert decode_document(extra[FILE_NAME]).digest == signature.digest  # type: ignore[arg-type]  # torch puts bytes


def test_traced_modules(path: Path) -> None:
    class Traced(torch.nn.Module):
        def forward(self, user: Any, feats: Any) -> Any:
            return {"score": user.sum(1) + feats["age"].sum(1)}

    traced = torch.jit.trace(Traced(), (USER, FEATS), strict=False)
    signature = trimtab.torch.save(traced, path, example_inputs=(USER, FEATS))
    assert signature.input_names == ("user", "age", "item.price")
    assert signature.output_names == ("score",)
    assert signature.inputs[1].type == Tensor(F32, ("batch", 1))


def test_without_examples_an_open_dict_is_warned_of(path: Path) -> None:
    with pytest.warns(LossyExportWarning, match="'feats'"):
        signature = trimtab.torch.save(torch.jit.script(ReadsByVariable()), path)
    assert signature.inputs[0].type == Mapping(DType.STRING, Tensor())


def test_without_examples_the_entries_that_the_code_reads_are_known(path: Path) -> None:
    signature = trimtab.torch.save(torch.jit.script(Ranker()), path)
    assert [it.name for it in signature.inputs[1].features] == ["age", "item.price"]


def test_renamed_arguments_keep_their_names_in_requests(path: Path) -> None:
    with pytest.warns(LossyExportWarning, match="fork to fork0, nan to nan0") as warned:
        signature = trimtab.torch.save(torch.jit.script(Renamed()), path, example_inputs=(USER, USER))
    assert warned[-1].filename == __file__
    assert {it.name: it.call_path for it in signature.inputs} == {"fork": "fork0", "nan": "nan0"}
    assert torch.jit.load(str(path)).forward.schema.arguments[1].name == "fork0"
    with pytest.warns(LossyExportWarning):
        derived = trimtab.torch.save(torch.jit.script(Renamed()), path)
    assert {it.name: it.call_path for it in derived.inputs} == {"fork": "fork0", "nan": "nan0"}


def test_lost_keyword_only_markers_are_warned_of(path: Path) -> None:
    with pytest.warns(LossyExportWarning, match="scale must be given by keyword"):
        trimtab.torch.save(torch.jit.script(KeywordOnly()), path)


def test_names_that_torch_cannot_load_are_refused(path: Path) -> None:
    with pytest.raises(ArtifactError, match="ASCII"):
        trimtab.torch.save(torch.jit.script(NotAscii()), path)
    assert not path.exists()


def exported(batch: Any) -> Any:
    return torch.export.export(TwoInputs(), (USER, USER), dynamic_shapes={"user": {0: batch}, "item": {0: batch}})


def test_exported_programs_get_their_batch_back(path: Path) -> None:
    signature = trimtab.torch.save(exported(torch.export.Dim("batch", min=2, max=99)), path)
    assert [it.type for it in signature.inputs] == [Tensor(F32, ("batch", 4))] * 2
    assert [it.type for it in signature.outputs] == [Tensor(F32, ("batch",))]
    assert signature.entry_point().overloads[0].dimensions == {"batch": Range(minimum=2, maximum=99)}
    extra = {FILE_NAME: ""}
    loaded = torch.export.load(str(path), extra_files=extra).module()
    assert torch.equal(loaded(USER, USER)["score"], (USER * USER).sum(1))
    assert decode_document(extra[FILE_NAME].encode()).digest == signature.digest


def test_dimensions_and_outputs_are_named_as_asked(path: Path) -> None:
    program = exported(torch.export.Dim("batch", min=2))
    symbol = trimtab.torch.save(program, path, dynamic=None).inputs[0].type.shape[0]  # type: ignore[union-attr,index]  # a tensor
    signature = trimtab.torch.save(program, path, dimension_names={str(symbol): "rows"}, output_names=["ctr"])
    assert signature.inputs[0].type == Tensor(F32, ("rows", 4))
    assert [(it.name, it.return_path) for it in signature.outputs] == [("ctr", '["score"]')]


def test_a_given_signature_is_declared(path: Path) -> None:
    given = trimtab.torch.describe(Ranker(), (USER, FEATS), output_names=["a", "b"], dynamic=None)
    signature = trimtab.torch.save(torch.jit.script(Ranker()), path, given)
    assert signature.output_names == ("a", "b")
    assert signature.inputs[0].type == Tensor(F32, (3, 4))


def test_a_contradiction_leaves_the_old_file(path: Path) -> None:
    path.write_bytes(b"old")
    given = trimtab.torch.describe(TwoInputs(), (USER, USER))
    with pytest.raises(ContradictionError):
        trimtab.torch.save(torch.jit.script(Ranker()), path, given)
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == [path.name]


REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "a plain module": (Ranker, {}, "Export it first"),
    "too few names": (
        lambda: torch.jit.script(Ranker()),
        {"example_inputs": (USER, FEATS), "output_names": ["a"]},
        "2 names",
    ),
    "too few names for a program": (
        lambda: torch.export.export(TwoInputs(), (USER, USER)),
        {"output_names": ["a", "b"]},
        "1 names",
    ),
    "an argument that is no tuple": (
        lambda: torch.jit.script(Ranker()),
        {"example_inputs": USER},
        r"Write \(argument,\)",
    ),
}


@pytest.mark.parametrize(("model", "options", "says"), REFUSED.values(), ids=list(REFUSED))
def test_what_cannot_be_saved_says_why(path: Path, model: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises((ArtifactError, SignatureError), match=says):
        trimtab.torch.save(model(), path, **options)
    assert os.listdir(path.parent) == []


def test_describe_takes_structures_apart() -> None:
    class Anything(torch.nn.Module):
        def forward(self, pair: Any, flag: Any, text: Any, nothing: Any = None) -> Any:
            return [pair[0], {"count": 3}]

    signature = trimtab.torch.describe(Anything(), ((USER, torch.ones(7)), True, "x"), {"nothing": None})
    assert {it.name: str(it.type) for it in signature.inputs} == {
        "pair[0]": "float32 [batch, 4]",
        "pair[1]": "float32 [7]",
        "flag": "bool",
        "text": "string",
        "nothing": "optional any dtype [...]",
    }
    assert {it.name: it.return_path for it in signature.outputs} == {"output_0": "[0]", "count": '[1]["count"]'}
    assert msgspec.json.encode(signature.entry_points)
