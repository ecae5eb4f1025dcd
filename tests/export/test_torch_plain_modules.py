"""Saving a plain module from torch: it is exported here, by its example, with exactly the features that it reads."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch_models import (
    AsksForMore,
    CountsFeatures,
    OneRow,
    Ranker,
    ReadsByVariable,
    ReadsInBranches,
    Renamed,
    RenamedDict,
    Scorer,
    TwoInputs,
    Untraceable,
    WalksOverFeatures,
)

import trimtab.torch
from trimtab.artifacts import read_signature
from trimtab.errors import ArtifactError, SignatureError
from trimtab.signature.dtypes import DType
from trimtab.signature.model import Live, Presence
from trimtab.signature.types import Literal, Tensor
from trimtab.torch import LossyExportWarning
from trimtab.torch.recording import RecordingDict, differences, recorded, reduced

warnings.filterwarnings("ignore", category=DeprecationWarning, module="torch")

F32 = DType.FLOAT32


def features() -> dict[str, Any]:
    names = ("age", "price", "unread", "item.price")
    user = {"rank": torch.randn(3, 1), "unread": torch.randn(3, 1)}
    return {**{name: torch.randn(3, 2) for name in names}, "user": user}


def test_a_program_takes_the_features_that_are_read(tmp_path: Path) -> None:
    path, feats, module = tmp_path / "model.pt2", features(), Scorer()
    with pytest.warns(LossyExportWarning) as warned:
        signature = trimtab.torch.save(module, path, example_inputs=(feats,), example_kwargs={"bias": torch.ones(3)})
    assert {it.name: (it.call_path, it.type) for it in signature.inputs} == {
        "age": ('feats["age"]', Tensor(F32, ("batch", 2))),
        "price": ('feats["price"]', Tensor(F32, ("batch", 2))),
        "rank": ('feats["user"]["rank"]', Tensor(F32, ("batch", 1))),
        "bias": ("bias", Tensor(F32, ("batch",))),
    }
    assert {it.live for it in signature.inputs} == {Live.YES}
    assert signature.output_names == ("score",)
    said = [str(it.message) for it in warned]
    assert said == [
        'forward does not read feats["unread"], feats["item.price"], feats["user"]["unread"]: '
        "neither file nor signature has such an input.",
        "torch.export drops arguments that the example does not pass: the file always uses scale=1.0. Pass them in "
        "example_inputs or example_kwargs to keep them.",
    ]
    assert {it.filename for it in warned} == {__file__}
    read = {"age": feats["age"], "price": feats["price"], "user": {"rank": feats["user"]["rank"]}}
    loaded = torch.export.load(str(path)).module()
    assert torch.equal(loaded(read, bias=torch.ones(3))["score"], module(feats, bias=torch.ones(3))["score"])
    more = {"age": torch.randn(7, 2), "price": torch.randn(7, 2), "user": {"rank": torch.randn(7, 1)}}
    assert loaded(more, bias=torch.ones(7))["score"].shape == (7,)


def test_values_that_are_no_tensors_are_baked_in(tmp_path: Path) -> None:
    with pytest.warns(LossyExportWarning, match="bakes in arguments that are no tensors: scale = 2.0"):
        signature = trimtab.torch.save(
            Scorer(), tmp_path / "model.pt2", example_inputs=(features(), 2.0), example_kwargs={"bias": torch.ones(3)}
        )
    (scale,) = (it for it in signature.inputs if it.name == "scale")
    assert (scale.presence, scale.default) == (Presence.DEFAULT, Literal(2.0))


@pytest.mark.parametrize("module", [WalksOverFeatures(), CountsFeatures()])
def test_who_walks_over_a_dict_or_counts_it_reads_all(tmp_path: Path, module: Any) -> None:
    feats = {"age": torch.randn(3, 2), "b": torch.randn(3, 2)}
    with warnings.catch_warnings():
        warnings.simplefilter("error", LossyExportWarning)
        signature = trimtab.torch.save(module, tmp_path / "model.pt2", example_inputs=(feats,))
    assert set(signature.input_names) == {"age", "b"}


def test_what_is_asked_for_and_not_there_is_warned_of(tmp_path: Path) -> None:
    with pytest.warns(LossyExportWarning, match=r'asks for feats\["extra"\]'):
        trimtab.torch.save(AsksForMore(), tmp_path / "model.pt2", example_inputs=({"age": torch.randn(3, 2)},))


def test_sizes_that_torch_fixes_are_warned_of(tmp_path: Path) -> None:
    with pytest.warns(LossyExportWarning, match="leading size of x is fixed"):
        signature = trimtab.torch.save(OneRow(), tmp_path / "model.pt2", example_inputs=(torch.randn(6, 2),))
    assert signature.inputs[0].type == Tensor(F32, (6, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error", LossyExportWarning)
        trimtab.torch.save(OneRow(), tmp_path / "model.pt2", example_inputs=(torch.randn(6, 2),), dynamic=None)


def test_typed_modules_are_scripted(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    feats = {"age": torch.ones(3, 1), "item.price": torch.ones(3, 2), "unread": torch.ones(3)}
    with pytest.warns(LossyExportWarning, match=r'does not read feats\["unread"\]') as warned:
        signature = trimtab.torch.save(Ranker(), path, example_inputs=(torch.ones(3, 4), feats))
    assert warned[-1].filename == __file__
    assert signature.input_names == ("user", "age", "item.price", "temperature")
    assert signature.inputs[-1].default == Literal(0.5)
    assert {it.name for it in signature.entry_points} == {"forward", "embed"}
    assert torch.equal(torch.jit.load(str(path))(torch.ones(3, 4), feats)[0], Ranker()(torch.ones(3, 4), feats)[0])


def test_features_of_a_branch_not_taken_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    signature = trimtab.torch.save(ReadsInBranches(), path, example_inputs=({"age": torch.ones(3, 1)},))
    assert {it.name: it.type for it in signature.inputs} == {"age": Tensor(F32, ("batch", 1)), "price": Tensor()}
    assert read_signature(path) == signature


def test_features_under_computed_names_are_all_kept(tmp_path: Path) -> None:
    feats = {"a": torch.ones(3, 1), "b": torch.ones(3, 1)}
    scripted = torch.jit.script(ReadsByVariable())
    with warnings.catch_warnings():
        warnings.simplefilter("error", LossyExportWarning)
        signature = trimtab.torch.save(scripted, tmp_path / "model.pt", example_inputs=(feats, ["a"]))
    assert signature.input_names[:2] == ("a", "b")


def test_what_cannot_be_scripted_is_traced(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    user, item = torch.randn(3, 4), torch.randn(3, 4)
    feats = {"age": torch.randn(3, 2), "unread": torch.randn(3, 1)}
    with pytest.warns(LossyExportWarning, match="the file is a trace") as warned:
        signature = trimtab.torch.save(CountsAge(), path, example_inputs=(feats, user))
    assert any('does not read feats["unread"]' in str(it.message) for it in warned)
    assert signature.input_names == ("age", "user")
    assert torch.equal(torch.jit.load(str(path))({"age": feats["age"]}, item), CountsAge()(feats, item))


class CountsAge(torch.nn.Module):
    def forward(self, feats: Any, user: Any) -> Any:
        return feats["age"].sum() + user


def test_traces_by_keyword(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with pytest.warns(LossyExportWarning, match="trace"):
        signature = trimtab.torch.save(
            CountsAge(), path, example_kwargs={"feats": {"age": torch.randn(3)}, "user": torch.randn(3)}
        )
    assert signature.input_names == ("age", "user")


def test_renamed_arguments_of_plain_modules_keep_their_names(tmp_path: Path) -> None:
    with pytest.warns(LossyExportWarning, match="fork to fork0"):
        signature = trimtab.torch.save(
            Renamed(), tmp_path / "model.pt", example_inputs=(torch.ones(3, 1), torch.ones(3, 1))
        )
    assert {it.name: it.call_path for it in signature.inputs} == {"fork": "fork0", "nan": "nan0"}


def test_features_of_a_renamed_dict(tmp_path: Path) -> None:
    feats = {"a": torch.ones(3, 1), "b": torch.ones(3, 1), "c": torch.ones(3, 1)}
    with pytest.warns(LossyExportWarning, match=r'fork\["c"\]'):
        signature = trimtab.torch.save(RenamedDict(), tmp_path / "model.pt", example_inputs=(feats,))
    assert {it.name: it.call_path for it in signature.inputs} == {"a": 'fork0["a"]', "b": 'fork0["b"]'}


class Variadic(torch.nn.Module):
    def forward(self, *rest: Any, **named: Any) -> Any:
        return rest[0] + named["feats"]["a"]


def test_arguments_without_names_of_their_own(tmp_path: Path) -> None:
    row = torch.ones(3, 1)
    feats = {"a": row, "b": row.clone()}
    with pytest.warns(LossyExportWarning, match=r'does not read feats\["b"\]'):
        signature = trimtab.torch.save(
            Variadic(), tmp_path / "model.pt2", example_inputs=(row,), example_kwargs={"feats": feats}
        )
    assert {it.name: it.call_path for it in signature.inputs} == {"rest_0": "rest_0", "a": 'feats["a"]'}


REFUSED: dict[str, tuple[Any, str, dict[str, Any], str]] = {
    "no example": (TwoInputs(), "model.pt2", {}, "the arguments of one call"),
    "no tuple": (TwoInputs(), "model.pt2", {"example_inputs": torch.ones(3)}, r"Write \(argument,\)"),
    "too few arguments": (TwoInputs(), "model.pt2", {"example_inputs": (torch.ones(3),)}, "the arguments of forward"),
    "what torch cannot export": (Untraceable(), "model.pt2", {"example_inputs": (torch.ones(3),)}, "torch.export can"),
    "what torch cannot script": (Scorer(), "model.pt", {"example_inputs": (features(), 2.0)}, r"Save it as \.pt2"),
}


@pytest.mark.filterwarnings("ignore::trimtab.errors.LossyExportWarning")
@pytest.mark.parametrize(("module", "name", "options", "says"), REFUSED.values(), ids=list(REFUSED))
def test_what_cannot_be_exported_says_why(tmp_path: Path, module: Any, name: str, options: Any, says: str) -> None:
    with pytest.raises((ArtifactError, SignatureError), match=says):
        trimtab.torch.save(module, tmp_path / name, **options)
    assert not (tmp_path / name).exists()


READS: dict[str, tuple[Any, set[str]]] = {
    "a subscript": (lambda it: it["a"], {"a"}),
    "get": (lambda it: it.get("b", 3), {"b"}),
    "in": (lambda it: "a" in it, {"a"}),
    "not there": (lambda it: it.get("z"), {"z"}),
    "pop": (lambda it: it.pop("a"), {"a"}),
    "setdefault": (lambda it: it.setdefault("a", 3), {"a"}),
    "iteration": (list, {"a", "b"}),
    "backwards": (lambda it: list(reversed(it)), {"a", "b"}),
    "length": (len, {"a", "b"}),
    "truth": (bool, {"a", "b"}),
    "a copy": (dict, {"a", "b"}),
    "its copy": (lambda it: it.copy(), {"a", "b"}),
    "a display": (lambda it: {**it}, {"a", "b"}),
    "keywords": (lambda it: dict(**it), {"a", "b"}),
    "an update": ({}.update, {"a", "b"}),
    "a union": (lambda it: it | {}, {"a", "b"}),
    "a union from the right": (lambda it: {} | it, {"a", "b"}),
    "equality": (lambda it: it == {}, {"a", "b"}),
    "popitem": (lambda it: it.popitem(), {"a", "b"}),
    "entries": (lambda it: it.items(), {"a", "b"}),
    "nothing": (id, set()),
}


@pytest.mark.parametrize(("read", "noted"), READS.values(), ids=list(READS))
def test_every_way_to_read_a_dict_is_noted(read: Any, noted: set[str]) -> None:
    entries = RecordingDict({"a": 1, "b": 2})
    read(entries)
    assert entries.read == noted


def test_what_is_recorded_is_given_back_without_what_was_not_read() -> None:
    call = recorded(({"a": 1, "b": {"c": 2, "d": 3}, "e": 4}, [{"f": 5}], {6: 7}, "text"))
    assert call[0]["a"] + call[0]["b"]["c"] == 3
    assert reduced(call) == ({"a": 1, "b": {"c": 2}}, [{}], {6: 7}, "text")
    assert list(differences(call, "it")) == [
        ('it[0]["e"]', False),
        ('it[0]["b"]["d"]', False),
        ('it[1][0]["f"]', False),
    ]
