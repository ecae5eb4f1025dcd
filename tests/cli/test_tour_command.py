"""`trimtab tour`: what it prints for people and programs, its exit codes, and what it does not import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from trimtab.cli.main import main


@pytest.fixture
def example(corpus: Path) -> str:
    return str(corpus / "savedmodel" / "example" / "model")


def test_piped_output_is_plain_and_tells_the_story(example: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tour", example]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    for part in (
        'signature "capture_fn" (x: float32 []) -> (output_0: float32 [])',
        "meta_graphs[0].object_graph_def.nodes[8].bare_concrete_function",
        "weight: variable float32 []",
        "function polymorphic_fn(x): 2 traces in trial order",
        "the copies agree",
    ):
        assert part in shown


def test_json_is_the_tour(example: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tour", example, "--json"]) == 0
    graph = json.loads(capsys.readouterr().out)["meta_graphs"][0]
    assert [step["place"] for step in graph["signatures"][0]["steps"]] == [
        "SignatureDef",
        "signatures map",
        "SavedBareConcreteFunction",
        "SavedConcreteFunction",
        "FunctionDef",
        "FunctionDef",
        "SavedFunction",
        "capture",
    ]


@pytest.mark.parametrize(
    ("arguments", "told", "not_told"),
    [
        (["--signature", "capture_fn"], 'signature "capture_fn"', "function polymorphic_fn"),
        (["--function", "polymorphic_fn"], "function polymorphic_fn", "signature"),
    ],
)
def test_one_entry_point_can_be_asked_for(
    example: str, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str, not_told: str
) -> None:
    assert main(["tour", example, *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(told in line for line in lines)
    assert not any(line.startswith(("   ├─ ", "   └─ ")) and line[6:].startswith(not_told) for line in lines)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--signature", "capture"], 1, "expected one of 'capture_fn'"),
        (["--function", "polymorph"], 1, "expected one of 'polymorphic_fn'"),
        (["--signature", "a", "--function", "b"], 2, "exclude each other"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(
    example: str, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    assert main(["tour", example, *arguments]) == code
    assert message in capsys.readouterr().err


def test_the_page_is_written_and_nothing_is_printed(
    example: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "tour.html"
    assert main(["tour", example, "--html", str(page)]) == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", f"wrote {page}\n")
    assert page.read_text().startswith("<!doctype html>")


def test_a_terminal_gets_colors_within_its_width(
    example: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"FORCE_COLOR": "1", "COLUMNS": "60", "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert main(["tour", example]) == 0
    shown = capsys.readouterr().out
    assert "\x1b[" in shown
    assert "capture_fn" in shown


def test_a_piped_tour_imports_neither_rich_nor_protobuf(example: str) -> None:
    code = (
        f"from trimtab.cli.main import main; main(['tour', {example!r}]);"
        "import sys; print([each for each in ('rich', 'google.protobuf', 'numpy', 'html') if each in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"
