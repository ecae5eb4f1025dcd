"""What a shell offers at a tab, asked as the shell asks it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from trimtab.cli.main import main

DOCUMENT = json.dumps({"input_names": ["age", "item"], "output_names": ["score"]})

Tab = Callable[..., list[str]]


@pytest.fixture
def tab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tab:
    """What is offered for the last word of a line, in a folder with a repository and a store."""
    monkeypatch.chdir(tmp_path)
    for version in ("ctr/1", "ctr/2", "home/1"):
        folder = tmp_path / "models" / version
        folder.mkdir(parents=True)
        (folder / "signature.json").write_text(DOCUMENT)
    assert main(["store", "init", "store"]) == 0
    assert main(["bundle", "build", "models", "-o", "ads.json"]) == 0
    assert main(["rollout", "start", "ads.json", "--store", "store"]) == 0
    capsys.readouterr()

    def offered(*words: str) -> list[str]:
        monkeypatch.setenv("_TRIMTAB_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", " ".join(["trimtab", *words]))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        with pytest.raises(SystemExit):  # click ends the process
            main([])
        return [line.partition(",")[2] for line in capsys.readouterr().out.split()]

    return offered


def test_names_are_offered(tab: Tab, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tab("rules", "WAIVER") == ["WAIVER_EXPIRED", "WAIVER_UNMATCHED"]
    assert tab("rollout", "status", "--store", "store", "--name", "a") == ["ads"]
    assert tab("fork", "models", "c") == ["ctr"]
    monkeypatch.setenv("TRIMTAB_STORE", "store")
    assert tab("can-deploy", "ctr") == ["ctr:1", "ctr:2"]
    assert tab("store", "pr") == ["prune"]


def test_a_tab_that_cannot_be_answered_says_nothing(tab: Tab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRIMTAB_STORE", raising=False)
    assert tab("can-deploy", "ctr") == []
    assert tab("rollout", "status", "--store", "nowhere", "--name", "a") == []
    assert tab("fork", "nowhere", "c") == []
