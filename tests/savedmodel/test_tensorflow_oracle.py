"""The recorder reproduces the shared record, and builds and records a model of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorflow")

import tensorflow_oracle

SAMPLED = ("example", "polymorphic", "composites", "tf1_style")
KEPT = ("meta_graphs", "functions", "loaded_signatures", "bare_functions", "variables", "node_kinds", "v1_variables")


@pytest.mark.parametrize("name", SAMPLED)
def test_the_shared_record_is_reproduced(corpus: Path, name: str) -> None:
    folder = corpus / "savedmodel" / name
    recorded = json.loads((folder / "oracle.json").read_text())
    calls = json.loads((folder / "calls.json").read_text())
    step = max(1, len(calls) // 25)
    told = json.loads(json.dumps(tensorflow_oracle.record(folder / "model", calls[::step])))
    assert {key: told.get(key) for key in KEPT} == {key: recorded.get(key) for key in KEPT}
    for ours, theirs in zip(told["calls"], recorded["calls"][::step], strict=True):
        assert verdict(ours) == verdict(theirs), ours["call"]


def verdict(answer: dict[str, Any]) -> dict[str, Any]:
    """What a record must share: everything but the wording of an error, which names loads and dict orders."""
    return {key: value for key, value in answer.items() if key != "error"}


def test_a_model_is_built_and_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["tensorflow_oracle.py", "--small", "6", str(tmp_path), "parse_single"])
    assert tensorflow_oracle.main() == 0
    recorded = json.loads((tmp_path / "parse_single" / "oracle.json").read_text())
    assert set(recorded["loaded_signatures"]) == {"one", "each"}
    assert all("result" in answer or "error_type" in answer for answer in recorded["calls"])
    assert str(tmp_path).encode() not in (tmp_path / "parse_single" / "model" / "saved_model.pb").read_bytes()


def test_the_repository_carries_models_of_its_own(saved_model_corpus: list[Path]) -> None:
    assert {"captured_everything", "parse_example", "tf1_tables", "example_story_212"} <= {
        p.name for p in saved_model_corpus
    }
    for folder in saved_model_corpus:
        answers = json.loads((folder / "oracle.json").read_text())["calls"]
        assert [answer["call"] for answer in answers] == json.loads((folder / "calls.json").read_text()), folder.name
