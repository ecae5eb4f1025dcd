"""can-deploy, as a table: what is asked while a second rollout is at some position, and what the answer is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from rollout_stores import follow, new_store, put, signature_of

from trimtab.bundles.store.entry import Position
from trimtab.bundles.store.pointers import Stage, Tier
from trimtab.bundles.store.store import Store
from trimtab.rollout.deploying import CanDeploy, Question, can_deploy, can_deploy_within
from trimtab.rollout.rollouts import Rollouts
from trimtab.stability.configuration import Configuration

WHO = {"by": "ada", "why": "because"}
CANARY, PRODUCTION = Stage.CANARY, Stage.PRODUCTION
ROOT_CANARY, LEAF_CANARY, SETTLED = Position.ROOT_CANARY, Position.LEAF_CANARY, Position.SETTLED
ROOT_PRODUCTION = Position.ROOT_PRODUCTION


def store_at(folder: Path, position: Position, **settings: object) -> Store:
    """ctr:1 is in force; ctr:2 is being rolled out; root-1 of each stage has followed up to the first only."""
    store = new_store(folder, **settings)
    rollouts = Rollouts(store, "ads")
    rollouts.start(put(store, {"ctr": {1: "x"}}), configuration=Configuration(), **WHO)
    bring(rollouts, SETTLED)
    rollouts.start(put(store, {"ctr": {1: "x", 2: "x"}}, serial=2), configuration=Configuration(), **WHO)
    bring(rollouts, position)
    return store


def bring(rollouts: Rollouts, to: Position) -> None:
    head = rollouts.head
    while head is not None and head.rollout is not None and head.rollout.position is not to:
        head = rollouts.advance(without_analysis=head.rollout.position is LEAF_CANARY, **WHO)


def ask(store: Store, version: int, stage: Stage, tier: Tier = Tier.LEAF, digest: str = "") -> CanDeploy:
    return can_deploy(store, Question(model="ctr", version=str(version), stage=stage, tier=tier, digest=digest))


@pytest.mark.parametrize(
    ("position", "version", "stage", "yes", "says"),
    [
        (ROOT_CANARY, 1, PRODUCTION, True, "roots of production know ctr:1"),
        (ROOT_CANARY, 2, CANARY, True, "roots of canary know ctr:2"),
        (ROOT_CANARY, 2, PRODUCTION, False, "being rolled out, at root_canary"),
        (LEAF_CANARY, 2, PRODUCTION, False, "being rolled out, at leaf_canary"),
        (ROOT_PRODUCTION, 2, PRODUCTION, True, "roots of production know ctr:2"),
        (SETTLED, 2, PRODUCTION, True, "roots of production know ctr:2"),
        (SETTLED, 3, PRODUCTION, False, "no bundle in force, or being rolled out, has ctr:3"),
    ],
)
def test_where_a_version_may_be_deployed(
    tmp_path: Path, position: Position, version: int, stage: Stage, yes: bool, says: str
) -> None:
    found = ask(store_at(tmp_path, position), version, stage)
    assert found.yes is yes
    assert says in found.reasons[0]
    assert bool(found.what_to_do) is not yes


def test_leaves_wait_for_roots_that_have_not_followed(tmp_path: Path) -> None:
    store = store_at(tmp_path, SETTLED)
    follow(store, Tier.ROOT, CANARY, "root-1")
    pending = put(store, {"ctr": {1: "x", 2: "x", 3: "x"}}, serial=3)
    Rollouts(store, "ads").start(pending, configuration=Configuration(), **WHO)
    assert ask(store, 2, CANARY).yes
    assert ask(store, 3, CANARY, Tier.ROOT).yes
    behind = ask(store, 3, CANARY)
    assert not behind.yes
    assert "root root-1 has" in behind.reasons[1]
    follow(store, Tier.ROOT, CANARY, "root-1")
    assert ask(store, 3, CANARY).yes


def test_the_answer_is_waited_for(tmp_path: Path) -> None:
    store = store_at(tmp_path, LEAF_CANARY)
    asked: list[float] = []

    def sleep(seconds: float) -> None:
        asked.append(seconds)
        if len(asked) == 3:
            bring(Rollouts(store, "ads"), ROOT_PRODUCTION)

    question = Question(model="ctr", version="2", stage=PRODUCTION)
    assert can_deploy_within(store, question, 60, sleep=sleep).yes
    assert asked == [1.0, 1.0, 1.0]
    never = Question(model="ctr", version="9", stage=PRODUCTION)
    assert not can_deploy_within(store, never, 0, sleep=sleep).yes
    assert len(asked) == 3


def test_leaves_do_not_wait_for_a_root_without_a_lease(tmp_path: Path) -> None:
    store = store_at(tmp_path, SETTLED)
    follow(store, Tier.ROOT, CANARY, "root-1")
    pending = put(store, {"ctr": {1: "x", 2: "x", 3: "x"}}, serial=3)
    Rollouts(store, "ads").start(pending, configuration=Configuration(), **WHO)
    assert not ask(store, 3, CANARY).yes
    (word,) = (tmp_path / "acknowledged").rglob("root-1.json")
    os.utime(word, (1e9, 1e9))
    assert ask(store, 3, CANARY).yes


def test_leaves_wait_for_a_lease_where_roots_do_not_acknowledge(tmp_path: Path) -> None:
    store = new_store(tmp_path, acknowledge=False, lease_s=0.001)
    rollouts = Rollouts(store, "ads")
    rollouts.start(put(store, {"ctr": {1: "x"}}), configuration=Configuration(), **WHO)
    first = ask(store, 1, CANARY)
    assert not first.yes
    assert "do not acknowledge" in first.reasons[1]


def test_a_held_rollout_and_one_on_its_way_back(tmp_path: Path) -> None:
    store = store_at(tmp_path, LEAF_CANARY)
    rollouts = Rollouts(store, "ads")
    rollouts.hold(by="ada", why="lunch")
    assert "the rollout is held: lunch" in ask(store, 2, PRODUCTION).reasons
    follow(store, Tier.LEAF, CANARY, "leaf-1")
    with pytest.raises(Exception, match="leaf-1"):
        rollouts.go_back("abort", **WHO)
    assert "the rollout is on its way back" in ask(store, 2, PRODUCTION).reasons
    taken_back = ask(store, 2, CANARY)
    assert (taken_back.yes, taken_back.position) == (False, "leaves_back"), "roots trim by it, and soon do not"
    assert "the rollout is on its way back" in taken_back.reasons
    assert ask(store, 1, CANARY).yes


def test_an_artifact_must_have_the_signature_that_roots_know(tmp_path: Path) -> None:
    store = store_at(tmp_path, SETTLED)
    assert ask(store, 2, PRODUCTION, digest=signature_of("x").digest).yes
    other = ask(store, 2, PRODUCTION, digest=signature_of("xy").digest)
    assert not other.yes
    assert signature_of("xy").digest in other.reasons[0]


def test_every_bundle_of_the_store_is_asked(tmp_path: Path) -> None:
    store = store_at(tmp_path, LEAF_CANARY)
    rollouts = Rollouts(store, "home")
    rollouts.start(put(store, {"ctr": {2: "x"}}, name="home"), configuration=Configuration(), **WHO)
    bring(rollouts, SETTLED)
    assert ask(store, 2, PRODUCTION).bundle == "home"


def test_an_empty_store(tmp_path: Path) -> None:
    found = ask(new_store(tmp_path), 1, PRODUCTION)
    assert (found.yes, found.bundle) == (False, "")
