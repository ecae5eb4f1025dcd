"""`trimtab check`: a repository, or an incoming artifact, held against what is live."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from trimtab.cli.main import main


def save(path: Path, *inputs: str, document: str = "") -> Path:
    """An ONNX model that adds its inputs up; with an embedded document where one is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in (*inputs, "score")]
    graph = helper.make_graph([helper.make_node("Sum", inputs, ["score"])], "g", values[:-1], values[-1:])
    model = helper.make_model(graph, ir_version=8)
    if document:
        model.metadata_props.add(key="module_info.json", value=document)
    onnx.save(model, path)
    return path


@pytest.fixture
def live(tmp_path: Path) -> Path:
    save(tmp_path / "live" / "ctr" / "7" / "model.onnx", "age", "item")
    save(tmp_path / "live" / "related" / "1" / "model.onnx", "item")
    return tmp_path / "live"


def rules(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [each["rule"] for each in json.loads(capsys.readouterr().out)["changes"]]


def test_an_unchanged_version_passes(live: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = save(tmp_path / "incoming" / "ctr" / "8" / "model.onnx", "age", "item")
    assert main(["check", str(new), "--against", str(live)]) == 0
    assert capsys.readouterr().out == "1 compared: nothing is refused\n"


def test_a_changed_version_is_refused(live: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = save(tmp_path / "incoming" / "ctr" / "8" / "model.onnx", "age", "user")
    assert main(["check", str(new), "--against", str(live)]) == 100
    out = capsys.readouterr().out
    assert out.startswith(f"ctr: {new} against {live}/ctr/7/model.onnx\nerror INPUT_NO_DELETE\n")
    command = f"trimtab fork {tmp_path}/incoming ctr ctr_v2 --version 8 --move"
    assert f"Or: Publish it under a new name: {command}\n" in out
    assert out.endswith("1 compared: refused\n")


def test_a_repository_is_held_against_itself(live: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(live / "ctr" / "8" / "model.onnx", "age", "item")
    save(live / "ctr" / "9" / "model.onnx", "age")
    assert main(["check", str(live), "--against", str(live), "--json"]) == 100
    printed = json.loads(capsys.readouterr().out)
    pairs = [
        (Path(each["new"]).parent.name, each["old"] and Path(each["old"]).parent.name) for each in printed["compared"]
    ]
    assert pairs == [("7", None), ("8", "7"), ("9", "8"), ("1", None)]
    assert [(each["model"], each["rule"]) for each in printed["changes"]] == [("ctr", "INPUT_NO_DELETE")]


def test_new_versions_of_another_repository(live: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(live, tmp_path / "next")
    save(tmp_path / "next" / "ctr" / "8" / "model.onnx", "age", "item", "user")
    save(tmp_path / "next" / "brand_new" / "1" / "model.onnx", "x")
    assert main(["check", str(tmp_path / "next"), "--against", str(live), "--category", "feed", "--json"]) == 100
    assert rules(capsys) == ["INPUT_NO_ADD_REQUIRED"]


def test_the_configuration_is_found_above(live: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "trimtab.toml").write_text('[stability]\ncategory = "FEED"\n')
    new = save(tmp_path / "incoming" / "ctr" / "8" / "model.onnx", "age")
    assert main(["check", str(new), "--against", str(live)]) == 0
    (tmp_path / "trimtab.toml").write_text("[stability]\ncategory = 7\n")
    assert main(["check", str(new), "--against", str(live)]) == 1


def test_what_cannot_be_checked_is_a_finding(live: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = '{"input_names": ["age", "items"], "output_names": ["score"]}'
    contradicted = save(tmp_path / "ctr" / "8" / "model.onnx", "age", "item", document=document)
    assert main(["check", str(contradicted), "--against", str(live), "--json"]) == 100
    assert rules(capsys) == ["SIGNATURE_MATCHES_GRAPH"]
    silent = tmp_path / "ctr" / "9" / "model.pkl"
    silent.parent.mkdir()
    silent.write_bytes(pickle.dumps(complex(1, 2)))
    assert main(["check", str(silent), "--against", str(live), "--json"]) == 100
    assert rules(capsys) == ["SIGNATURE_PRESENT"]


@pytest.mark.parametrize("form", ["github", "sarif", "junit", "gitlab"])
def test_forms_of_other_tools(live: Path, tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    new = save(tmp_path / "incoming" / "ctr" / "8" / "model.onnx", "age")
    assert main(["check", str(new), "--against", str(live), "--format", form]) == 100
    assert "INPUT_NO_DELETE" in capsys.readouterr().out


def test_a_repository_needs_a_repository(live: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(live), "--against", str(live / "ctr" / "7" / "model.onnx")]) == 1
    assert "many versions cannot be held against one" in capsys.readouterr().err
