"""Lines that are not as trimtab has them: what is meant is told, and to programs as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from trimtab.cli.main import main
from trimtab.cli.other_words import _COMMANDS, _OPTIONS
from trimtab.observing.canary.configuration import read_configuration

MEANT = [
    (["promote"], "trimtab rollout advance"),
    (["rollout", "promote"], "trimtab rollout advance"),
    (["rollout", "advnce"], "trimtab rollout advance"),
    (["rollout", "resume"], "trimtab rollout hold --release"),
    (["rollout", "undo"], "trimtab rollout rollback"),
    (["rollout", "history"], "trimtab store history"),
    (["store", "log"], "trimtab store history"),
    (["history"], "trimtab store history"),
    (["publish"], "trimtab store publish"),
    (["status"], "trimtab rollout status"),
    (["show"], "trimtab bundle show"),
    (["store", "shwo"], "trimtab store show"),
]


@pytest.mark.parametrize(("words", "meant"), MEANT, ids=[" ".join(words) for words, _ in MEANT])
def test_an_unknown_command_is_answered_with_the_one_that_is_meant(
    words: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert f"No such command {words[-1]!r}. Did you mean: {meant}?" in capsys.readouterr().err


def test_a_word_that_nobody_knows_is_answered_with_all_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rollout", "xyzzy"]) == 2
    assert "There are: start, status, advance, hold, abort, rollback." in capsys.readouterr().err


@pytest.mark.parametrize("command", _COMMANDS)
def test_what_is_advised_is_there(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for word in command.split() if not word.startswith("-")]
    assert main([*words, "--help"]) == 0
    printed = capsys.readouterr().out
    assert all(word in printed for word in command.split())


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["rollout", "advance", "--reason", "x"], "--why"),
        (["rollout", "advance", "--who", "x"], "--by"),
        (["rollout", "advance", "--timeout", "9"], "--wait"),
        (["can-deploy", "ctr:1", "--stage", "canary"], "--to"),
        (["check", "models", "--baseline", "x"], "--against"),
        (["serve", "leaf", "--env", "canary"], "--stage"),
    ],
)
def test_an_unknown_option_is_answered_with_the_one_that_is_meant(
    words: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert f"Did you mean {meant}?" in capsys.readouterr().err


def test_no_word_is_told_of_as_another_command_or_option_of_ours() -> None:
    words = [word for words in _COMMANDS.values() for word in words]
    assert len(words) == len(set(words))
    assert all(option.startswith("--") for option in _OPTIONS)


def test_wrong_usage_is_json_where_json_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rollout", "hold", "--store", "s", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error == {
        "kind": "UsageError",
        "problem": "hold needs --why: whoever wants to advance is told.",
        "hint": "trimtab rollout hold --help",
    }


def test_the_variable_that_stands_for_a_missing_store_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRIMTAB_STORE", raising=False)
    assert main(["rollout", "status"]) == 2
    assert "TRIMTAB_STORE" in capsys.readouterr().err


def test_a_store_that_is_not_there_is_answered_with_the_command_that_makes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = str(tmp_path / "my store")
    assert main(["store", "show", "--store", place]) == 1
    assert f"trimtab store init '{place}'" in capsys.readouterr().err


def test_a_canary_configuration_that_is_not_there_is_answered_with_a_first_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["canary", "analyze", "canary.toml"]) == 1
    _, _, given = capsys.readouterr().err.partition("these stages:\n")
    Path("canary.toml").write_text(given)
    assert [each.name for each in read_configuration("canary.toml").metrics] == ["p99 latency"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["bundle", "build", "models", "-o", "out/ads.json"], "mkdir -p out"),
        (["check", "models/ctr", "--against", "models"], "Name a version of it: models/ctr/10"),
        (["rollout", "start", "ads.json", "--store", "store"], "trimtab bundle build REPOSITORY -o ads.json"),
        (["rollout", "start", "sha256:12", "--store", "store"], "trimtab store list --store store"),
    ],
)
def test_what_is_missing_is_answered_with_what_to_type(
    words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["store", "init", "store"]) == 0
    for version in (9, 10):
        folder = Path("models", "ctr", str(version))
        folder.mkdir(parents=True)
        (folder / "signature.json").write_text('{"input_names": ["age"], "output_names": ["score"]}')
    capsys.readouterr()
    assert main(words) == 1
    printed = capsys.readouterr()
    assert says in printed.out + printed.err


@pytest.mark.parametrize("words", [["rules"], ["rules", "input_no_delete"], ["--help"], ["store", "--help"]])
def test_output_that_takes_no_more_is_an_error_of_one_sentence(words: list[str]) -> None:
    line = f"import sys; from trimtab.cli.main import main; sys.exit(main({words!r}))"
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", line], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("error: standard output: cannot be written")
