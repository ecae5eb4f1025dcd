"""`trimtab diff` and `trimtab rules`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trimtab.cli.main import main

OLD = {"input_names": ["age", "item"], "output_names": ["score"]}
NEW = {"input_names": ["age", "user"], "output_names": ["score"]}


@pytest.fixture
def documents(tmp_path: Path) -> tuple[str, str]:
    paths = tmp_path / "old.json", tmp_path / "new.json"
    for path, value in zip(paths, (OLD, NEW), strict=True):
        path.write_text(json.dumps(value))
    return str(paths[0]), str(paths[1])


def test_changes_are_listed_with_who_breaks(documents: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", *documents]) == 100
    out = capsys.readouterr().out
    assert "error INPUT_NO_DELETE\n    forward: input item: the input is gone" in out
    assert "error INPUT_NO_ADD_REQUIRED\n    forward: input user: the input is new" in out
    assert "who breaks  Callers of the old version do not send it" in out
    assert "trimtab fork REPOSITORY MODEL NEW_NAME" in out
    assert out.endswith("2 changes. What a rule is about: trimtab rules INPUT_NO_DELETE\n")


def test_json_and_category(documents: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", *documents, "--category", "feed", "--json"]) == 100
    printed = json.loads(capsys.readouterr().out)
    assert (printed["category"], [it["rule"] for it in printed["changes"]]) == ("FEED", ["INPUT_NO_ADD_REQUIRED"])


def test_nothing_changed(documents: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", documents[0], documents[0]]) == 0
    assert capsys.readouterr().out == "nothing changed under FREEZE\n"
    assert main(["diff", *documents, "--category", "WIRE"]) == 0


@pytest.mark.parametrize("form", ["github", "sarif", "junit", "gitlab"])
def test_forms_of_other_tools(documents: tuple[str, str], form: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", *documents, "--format", form]) == 100
    assert "INPUT_NO_ADD_REQUIRED" in capsys.readouterr().out


def test_what_cannot_be_read_is_an_error(documents: tuple[str, str], tmp_path: Path) -> None:
    assert main(["diff", documents[0], str(tmp_path / "missing.onnx")]) == 1


def test_rules_are_listed_and_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "--category", "wire"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == [
        *("INPUT_SAME_KIND", "INPUT_SAME_DTYPE", "INPUT_DTYPE_NOT_NARROWED"),
        *("FEATURE_SAME_KIND", "FEATURE_SAME_DTYPE", "FEATURE_DTYPE_NOT_NARROWED"),
        *("SIGNATURE_PRESENT", "SIGNATURE_MATCHES_GRAPH", "WAIVER_EXPIRED", "WAIVER_UNMATCHED"),
    ]
    assert main(["rules", "INPUT_NO_DELETE"]) == 0
    assert "Categories: FREEZE, SCHEMA." in capsys.readouterr().out
    assert main(["rules", "INPUT_NO_DELETE", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rules"][0]["notice"] == "an error at once"
    assert main(["rules", "INPUT_NO_DELET"]) == 2
    assert "Did you mean INPUT_NO_DELETE?" in capsys.readouterr().err
