"""`trimtab dispatch` gives TensorFlow's recorded answers, through the command line as a person or a program uses it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trimtab.cli.main import main


def test_a_call_on_the_command_line(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(corpus / "savedmodel" / "example" / "model")
    assert main(["dispatch", model, "polymorphic_fn", "--arg", "float32[3]"]) == 0
    assert "runs __inference_polymorphic_fn_77, trace 2" in capsys.readouterr().out
    assert main(["dispatch", model, "polymorphic_fn", "--arg", "x=float32[2]", "--json"]) == 100
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["tensorflow"] == "ValueError"
    assert error["candidates"][0]["differences"][0]["kind"] == "dimension"


def test_every_recorded_call_by_file(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One call of each kind of outcome per model goes through the command; all of them are tested below it."""
    for folder in sorted((corpus / "savedmodel").iterdir()):
        seen = set()
        for record in json.loads((folder / "oracle.json").read_text())["calls"]:
            kind = (record["call"].get("path"), record.get("error_type"))
            if kind in seen or "Graph execution error" in record.get("error", ""):
                continue
            seen.add(kind)
            file = tmp_path / "call.json"
            file.write_text(json.dumps(record["call"]))
            code = main(["dispatch", str(folder / "model"), "--call", str(file), "--json"])
            _agrees(record, code, json.loads(capsys.readouterr().out))


def _agrees(record: dict[str, Any], code: int, printed: dict[str, Any]) -> None:
    if "error_type" in record:
        assert (code, printed["error"]["tensorflow"]) == (100, record["error_type"]), record["call"]
    else:
        assert code == 0
        assert record.get("chosen") in (None, printed["trace"]), record["call"]


USAGE = [
    ([], "Name what is called"),
    (["f", "--signature", "g"], "Name what is called"),
    (["f", "--arg", "x=1", "--arg", "2"], "goes by position"),
    (["f", "--arg", "x=1", "--arg", "x=2"], "given twice"),
]


@pytest.mark.parametrize(("arguments", "text"), USAGE)
def test_wrong_usage(arguments: list[str], text: str, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dispatch", str(corpus / "savedmodel" / "example" / "model"), *arguments]) == 2
    assert text in capsys.readouterr().err


def test_an_unknown_function_is_an_error_that_names_what_there_is(
    corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dispatch", str(corpus / "savedmodel" / "example" / "model"), "capture_fm"]) == 1
    assert "'capture_fn'" in capsys.readouterr().err


def test_a_file_that_holds_no_call(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "call.json"
    for text in ("{", "[]", '{"path": "f", "args": [{"k": "unheard of"}]}'):
        file.write_text(text)
        assert main(["dispatch", str(corpus / "savedmodel" / "example" / "model"), "--call", str(file)]) == 1
        assert "expected" in capsys.readouterr().err
