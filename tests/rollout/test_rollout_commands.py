"""`trimtab rollout` and `trimtab can-deploy` from the command line: what they print, and how they exit."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rollout_stores import follow, new_store, put

from trimtab.bundles.bundle import write_bundle
from trimtab.bundles.store.pointers import Stage, Tier
from trimtab.bundles.store.store import Store
from trimtab.cli.main import main

Type = Callable[..., tuple[int, str]]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRIMTAB_STORE", "store")
    monkeypatch.setenv("COLUMNS", "120")
    return new_store(tmp_path / "store")


@pytest.fixture
def typed(store: Store, capsys: pytest.CaptureFixture[str]) -> Type:
    """Type a command; its exit code and what it printed."""

    def run(*words: str) -> tuple[int, str]:
        code = main([*words])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run


def settled(typed: Type, store: Store) -> None:
    assert typed("rollout", "start", put(store, {"ctr": {1: "x"}}).digest)[0] == 0
    for step in ([], ["--without-analysis", "--why", "the first"], [], [], []):
        assert typed("rollout", "advance", *step)[0] == 0


def pending(store: Store, serial: int = 2) -> str:
    return put(store, {"ctr": dict.fromkeys(range(1, serial + 1), "x")}, serial=serial).digest


def test_a_rollout_step_by_step(typed: Type, store: Store) -> None:
    settled(typed, store)
    digest = pending(store)
    assert typed("rollout", "start", digest, "--why", "ctr:2") == (0, "ads: entry 7: start: root_canary\n")
    assert typed("rollout", "start", digest) == (0, "ads: nothing to do: it is at root_canary already (entry 7)\n")
    assert typed("rollout", "advance") == (0, "ads: entry 8: advance: leaf_canary\n")
    assert typed("rollout", "hold", "--why", "lunch") == (0, "ads: entry 9: hold: leaf_canary, held: lunch\n")
    code, said = typed("rollout", "advance")
    assert (code, "held: lunch" in said) == (100, True)
    assert typed("rollout", "hold", "--release")[0] == 0
    code, said = typed("rollout", "advance")
    assert (code, "trimtab canary analyze" in said) == (100, True)
    made = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    report = {"report_version": 1, "verdict": "pass", "bundle": digest, "made_at": made, "metrics": []}
    Path("report.json").write_text(json.dumps(report))
    assert typed("rollout", "advance", "--analysis", "report.json")[0] == 0
    code, said = typed("rollout", "abort", "--why", "no")
    assert (code, said) == (0, "ads: entry 12: abort: leaves_back\nads: entry 13: abort: rolled_back\n")
    code, said = typed("rollout", "rollback")
    assert (code, "no rollout to undo" in said) == (100, True)


def test_a_start_from_a_file_publishes_it(typed: Type, store: Store) -> None:
    bundle = put(new_store(Path("other")), {"ctr": {1: "x"}})
    write_bundle("ads.json", bundle)
    assert typed("rollout", "start", "ads.json", "--name", "home")[0] == 1
    assert typed("rollout", "start", "ads.json")[0] == 0
    assert store.bundle(bundle.digest) == bundle


def test_status_while_a_root_is_awaited(typed: Type, store: Store) -> None:
    settled(typed, store)
    follow(store, Tier.ROOT, Stage.CANARY, "root-1")
    typed("rollout", "start", pending(store), "--why", "ctr:2", "--by", "ada")
    code, said = typed("rollout", "advance")
    assert (code, "root root-1 (canary)" in said) == (100, True)
    code, said = typed("rollout", "status")
    assert code == 0
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert lines[0].startswith("ads: root_canary since 0 s: serial 2 (")
    assert lines[0].endswith("ago by ada: ctr:2")
    assert "now root canary serial 1 + 2 0 of 1" in lines
    assert "to come leaf canary serial 1 nobody" in lines
    assert any(
        line.startswith("root-1 root canary serial 1 6 ") and line.endswith("has not followed") for line in lines
    )
    assert lines[-3] == "next: leaf_canary waits for"
    assert lines[-2].startswith("root root-1 (canary) has ")
    assert lines[-1] == "back: rolled_back: trimtab rollout abort"
    follow(store, Tier.ROOT, Stage.CANARY, "root-1")
    assert "next: leaf_canary: trimtab rollout advance\n" in typed("rollout", "status")[1]
    found = json.loads(typed("rollout", "status", "--json")[1])
    assert (found["position"], found["can_move"], found["awaited"]) == ("root_canary", True, [])
    assert [step["mark"] for step in found["steps"]] == ["now", *["to come"] * 4]


STATUSES = {
    "settled, the first": ([], ["done"] * 5, "The rollout is over."),
    "started": (["start"], ["now", *["to come"] * 4], "next: leaf_canary: trimtab rollout advance"),
    "held": (["start", "hold"], ["held", *["to come"] * 4], "next: leaf_canary needs to be released"),
    "at the canary": (["start", "advance"], ["done", "now", *["to come"] * 3], "next: analyzed needs the report"),
    "undone": (["start", "abort"], ["undone"] * 5, "The rollout is over."),
}


@pytest.mark.parametrize(("moves", "marks", "says"), STATUSES.values(), ids=STATUSES.keys())
def test_status(typed: Type, store: Store, moves: list[str], marks: list[str], says: str) -> None:
    settled(typed, store)
    for move in moves:
        assert typed("rollout", move, *([pending(store)] if move == "start" else []), "--why", "because")[0] == 0
    assert [step["mark"] for step in json.loads(typed("rollout", "status", "--json")[1])["steps"]] == marks
    assert says in typed("rollout", "status")[1]


def test_status_tells_the_whole_name_of_an_instance_however_narrow_the_terminal(
    typed: Type, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(typed, store)
    name = "root-17.serving.ads.prod.example.internal"
    follow(store, Tier.ROOT, Stage.CANARY, name)
    monkeypatch.setenv("COLUMNS", "30")
    assert f"\n{name}  root canary  serial 1      6  0 s ago  follows\n" in typed("rollout", "status")[1]


def test_status_tells_how_to_go_back_and_who_is_awaited_then(typed: Type, store: Store) -> None:
    settled(typed, store)
    assert "back:" not in typed("rollout", "status")[1], "nothing was in force before the first bundle"
    typed("rollout", "start", pending(store))
    typed("rollout", "advance")
    assert "back: leaves_back: trimtab rollout abort\n" in typed("rollout", "status")[1]
    assert "abort --store store --name ads\n" in typed("rollout", "status", "--store", "store", "--name", "ads")[1]
    for step in (["--without-analysis", "--why", "x"], [], [], []):
        typed("rollout", "advance", *step)
    follow(store, Tier.LEAF, Stage.PRODUCTION, "leaf-1")
    assert "back: covering_back: trimtab rollout rollback\n" in typed("rollout", "status")[1]
    typed("rollout", "rollback")
    said = typed("rollout", "status")[1]
    marks = [step["mark"] for step in json.loads(typed("rollout", "status", "--json")[1])["steps"]]
    assert marks == ["undoing", "undone", "undone", "undoing", "undone"]
    assert "next: rolled_back waits for\n  leaf leaf-1 (production) has " in said
    assert "back:" not in said


def test_the_first_canary_is_not_analyzed_before_its_leaf_serves_it(typed: Type, store: Store) -> None:
    typed("rollout", "start", put(store, {"ctr": {1: "x"}}).digest)
    follow(store, Tier.LEAF, Stage.CANARY, "leaf-1")
    typed("rollout", "advance")
    done = ["rollout", "advance", "--without-analysis", "--why", "the first"]
    code, said = typed(*done)
    assert (code, "leaf leaf-1 (canary) has nothing" in said) == (100, True)
    follow(store, Tier.LEAF, Stage.CANARY, "leaf-1")
    assert typed(*done) == (0, "ads: entry 3: advance: analyzed\n")


def test_status_tells_where_nobody_has_ever_spoken(typed: Type, store: Store) -> None:
    settled(typed, store)
    typed("rollout", "start", pending(store))
    assert "note: no root of canary has acknowledged anything" in typed("rollout", "status")[1]
    follow(store, Tier.ROOT, Stage.CANARY, "root-1")
    assert "note:" not in typed("rollout", "status")[1]
    typed("rollout", "advance")
    assert "note: no leaf of canary has acknowledged anything" in typed("rollout", "status")[1]


def test_status_tells_since_when_it_is_where_it_is(typed: Type, store: Store, tmp_path: Path) -> None:
    settled(typed, store)
    typed("rollout", "start", pending(store))
    typed("rollout", "hold", "--why", "lunch")
    started = tmp_path / "store" / "history" / "ads" / "000000000007.json"
    os.utime(started, (started.stat().st_mtime - 7200,) * 2)
    assert typed("rollout", "status")[1].startswith("ads: root_canary since 2 h: serial 2")


def test_what_was_moved_before_a_wait_is_told(typed: Type, store: Store) -> None:
    settled(typed, store)
    typed("rollout", "start", pending(store))
    typed("rollout", "advance")
    follow(store, Tier.LEAF, Stage.CANARY, "leaf-1")
    code, said = typed("rollout", "abort", "--json")
    error = json.loads(said)["error"]
    assert (code, error["moved"], error["awaited"][0]["instance"]) == (100, [9], "leaf-1")
    code, said = typed("rollout", "abort", "--gone", "leaf-1")
    assert (code, said) == (0, "ads: entry 10: abort: rolled_back\n")
    typed("rollout", "start", pending(store))
    typed("rollout", "advance")
    follow(store, Tier.LEAF, Stage.CANARY, "leaf-1")
    code, said = typed("rollout", "abort")
    assert (code, said.splitlines()[0]) == (100, "ads: entry 13: abort: leaves_back")


def test_a_step_that_is_named_is_made_once_however_often_it_is_typed(typed: Type, store: Store) -> None:
    settled(typed, store)
    typed("rollout", "start", pending(store))
    step = ["rollout", "advance", "--to", "leaf_canary"]
    assert typed(*step) == (0, "ads: entry 8: advance: leaf_canary\n")
    assert typed(*step) == (0, "ads: nothing to do: it is at leaf_canary already (entry 8)\n")
    assert json.loads(typed(*step, "--json")[1])["moved"] == []
    code, said = typed("rollout", "advance", "--to", "leaf_production")
    assert (code, "the next step leads to analyzed, and not to leaf_production" in said) == (100, True)
    assert typed("rollout", "advance", "--to", "analyzed", "--without-analysis", "--why", "x")[0] == 0


def test_status_tells_who_holds_it_and_why(typed: Type, store: Store) -> None:
    settled(typed, store)
    typed("rollout", "start", pending(store))
    typed("rollout", "hold", "--why", "lunch", "--by", "ada")
    said = typed("rollout", "status")[1]
    assert "; held by ada at 20" in said
    assert "Z: lunch\n" in said


def test_a_name_that_the_store_does_not_have(typed: Type, store: Store) -> None:
    settled(typed, store)
    for words in (["rollout", "status"], ["rollout", "advance"], ["store", "history"]):
        code, said = typed(*words, "--name", "home")
        assert (code, "expected the name of a bundle with a history (ads), got 'home'" in said) == (1, True)


def test_moves_as_json(typed: Type, store: Store) -> None:
    settled(typed, store)
    found = json.loads(typed("rollout", "start", pending(store), "--json")[1])
    assert (found["entry"], found["position"], found["moved"]) == (7, "root_canary", [7])
    assert json.loads(typed("rollout", "start", pending(store), "--json")[1])["moved"] == []
    follow(store, Tier.ROOT, Stage.CANARY, "root-1", "ads")
    typed("rollout", "rollback")
    typed("rollout", "start", pending(store, 3))
    code, said = typed("rollout", "advance", "--json")
    assert code == 100
    assert [each["instance"] for each in json.loads(said)["error"]["awaited"]] == ["root-1"]


WRONG = {
    "two ways past the canary": ["rollout", "advance", "--analysis", "r.json", "--without-analysis", "--why", "x"],
    "without analysis and why": ["rollout", "advance", "--without-analysis"],
    "a model without version": ["can-deploy", "ctr", "--to", "canary"],
    "a hold without why": ["rollout", "hold"],
    "no stage": ["can-deploy", "ctr:1"],
}


@pytest.mark.parametrize("words", WRONG.values(), ids=WRONG.keys())
def test_wrong_usage(typed: Type, words: list[str]) -> None:
    assert typed(*words)[0] == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "r.json"),
        ("[]", "report_version"),
        ('{"report_version": 2}', "expected 1, got 2"),
        ('{"report_version": 1, "verdict": 1}', "verdict"),
        ("[" * 100_000, "r.json"),
    ],
)
def test_what_is_no_report(typed: Type, store: Store, content: str, says: str) -> None:
    settled(typed, store)
    typed("rollout", "start", pending(store))
    typed("rollout", "advance")
    Path("r.json").write_text(content)
    code, said = typed("rollout", "advance", "--analysis", "r.json")
    assert (code, says in said) == (1, True)


def test_only_attested_bundles_are_started_where_keys_are_given(typed: Type, store: Store) -> None:
    digest = put(store, {"ctr": {1: "x"}}).digest
    assert typed("store", "keygen", "release")[0] == 0
    code, said = typed("rollout", "start", digest, "--public-key", "release.pub.pem")
    assert (code, "must not be used" in said) == (1, True)
    assert typed("store", "attest", digest, "--key", "release.pem")[0] == 0
    assert typed("rollout", "start", digest, "--public-key", "release.pub.pem")[0] == 0


def test_can_deploy(typed: Type, store: Store) -> None:
    settled(typed, store)
    typed("rollout", "start", pending(store))
    assert typed("can-deploy", "ctr:2", "--to", "canary") == (
        0,
        "yes: ctr:2 to leaf canary\n  roots of canary know ctr:2 from the bundle ads.\n",
    )
    code, said = typed("can-deploy", "ctr:2", "--to", "production")
    assert code == 100
    assert said.splitlines()[0] == "no: ctr:2 to leaf production"
    assert "trimtab rollout advance --name ads" in said
    found = json.loads(typed("can-deploy", "ctr:2", "--to", "production", "--json")[1])
    assert (found["yes"], found["position"]) == (False, "root_canary")
