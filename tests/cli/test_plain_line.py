"""`trimtab inspect FILE` without click prints and returns what click's way does."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from trimtab.cli.commands import run
from trimtab.cli.main import main
from trimtab.cli.plain import run_plain
from trimtab.errors import TrimtabError

ARTIFACTS = (
    "ts_traced_dict.pt",
    "pt2_two_models.pt2",
    "onnx_varied_types.onnx",
    "xgb_cat.json",
    "refuse_sklearn.joblib",
)


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize("name", ARTIFACTS)
def test_both_ways_are_equal(corpus: Path, name: str, options: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    line = ["inspect", str(corpus / "formats" / name), *options]
    outcomes = []
    for way in (run_plain, run):
        try:
            outcomes.append((way(line), *capfd.readouterr()))
        except TrimtabError as error:
            outcomes.append((str(error), *capfd.readouterr()))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize(
    "line",
    [
        [],
        ["inspect"],
        ["inspect", "--help"],
        ["inspect", "missing.onnx"],
        ["inspect", "."],
        ["inspect", "https://host/model.onnx"],
        ["inspect", __file__, "-v"],
        ["inspect", "--json", __file__],
        ["inspect", __file__, __file__],
        ["verify", __file__],
    ],
)
def test_other_lines_are_left_to_click(line: list[str]) -> None:
    assert run_plain(line) is None


def test_completion_is_left_to_click(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "_TRIMTAB_COMPLETE", "bash_complete")
    assert run_plain(["inspect", __file__]) is None


def test_what_the_encoding_lacks_is_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "signature.json"
    path.write_text('{"input_names": ["país"], "output_names": []}')
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    assert main(["inspect", str(path)]) == 0
    assert rb"pa\xeds" in written.getvalue()
