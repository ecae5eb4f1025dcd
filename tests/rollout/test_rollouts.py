"""Rollouts in a store: from start to settled and back, waiting, racing, and killed at any moment."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rollout_stores import follow, new_store, put

from trimtab.bundles.store.acknowledged import acknowledged
from trimtab.bundles.store.entry import Entry, Position
from trimtab.bundles.store.local import LocalStorage
from trimtab.bundles.store.pointers import Stage, Tier
from trimtab.bundles.store.store import Store
from trimtab.bundles.store.verifying import verify_store
from trimtab.errors import MoveRefusedError, StoreError
from trimtab.rollout.awaited import AwaitedError
from trimtab.rollout.reports import Report
from trimtab.rollout.rollouts import Rollouts
from trimtab.stability.configuration import Configuration

WHO = {"by": "ada", "why": "because"}
ROOT, LEAF = Tier.ROOT, Tier.LEAF
CANARY, PRODUCTION = Stage.CANARY, Stage.PRODUCTION
FREEZE = Configuration()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new_store(tmp_path / "store")


def bring(rollouts: Rollouts, to: Position) -> Entry:
    head = rollouts.head
    assert head is not None
    while head.rollout is not None and head.rollout.position is not to:
        head = rollouts.advance(without_analysis=head.rollout.position is Position.LEAF_CANARY, **WHO)
    return head


def rollout(store: Store, to: Position = Position.ROOT_CANARY) -> Rollouts:
    """A second rollout, brought to a position; nobody acknowledges."""
    rollouts = Rollouts(store, "ads", sleep=lambda _: None)
    rollouts.start(put(store, {"ctr": {1: "x"}}), configuration=FREEZE, **WHO)
    bring(rollouts, Position.SETTLED)
    pending = put(store, {"ctr": {1: "x", 2: "x"}}, serial=2)
    rollouts.start(pending, configuration=FREEZE, **WHO)
    bring(rollouts, to)
    return rollouts


def in_force(store: Store) -> set[int]:
    head = store.head("ads")
    assert head is not None
    return {store.bundle(digest).serial for digest in head.pointers.bundles}


def test_from_start_to_settled_and_back(store: Store) -> None:
    rollouts = rollout(store, Position.SETTLED)
    assert in_force(store) == {2}
    head, made = rollouts.go_back("rollback", **WHO)
    assert [each.rollout and each.rollout.position for each in made] == [
        Position.COVERING_BACK,
        Position.LEAVES_BACK,
        Position.ROLLED_BACK,
    ]
    assert in_force(store) == {1}
    assert [entry.number for entry in store.entries("ads")] == list(range(1, head.number + 1))
    assert verify_store(store).sound


@pytest.mark.parametrize("position", [each for each in Position if not each.back])
def test_back_from_any_position(store: Store, position: Position) -> None:
    rollouts = rollout(store, position)
    rollouts.go_back("rollback", **WHO)
    assert in_force(store) == {1}
    assert verify_store(store).sound


def test_starting_again_finds_it_done(store: Store) -> None:
    rollouts = rollout(store)
    head = rollouts.head
    assert head is not None
    assert rollouts.start(store.bundle(head.rollout.pending), configuration=FREEZE, **WHO) == (head, False)  # type: ignore[union-attr]


def test_a_step_waits_for_a_root_and_goes_on_when_it_has_followed(store: Store) -> None:
    rollouts = rollout(store, Position.SETTLED)
    follow(store, ROOT, CANARY, "root-1")
    pending = put(store, {"ctr": {1: "x", 2: "x", 3: "x"}}, serial=3)
    rollouts.start(pending, configuration=FREEZE, **WHO)
    with pytest.raises(AwaitedError, match="root root-1"):
        rollouts.advance(**WHO)
    polls = []

    def sleep(seconds: float) -> None:
        polls.append(seconds)
        if len(polls) == 3:
            follow(store, ROOT, CANARY, "root-1")

    waiting = Rollouts(store, "ads", sleep=sleep)
    entry = waiting.advance(wait_s=3600, **WHO)
    assert entry.rollout is not None
    assert (entry.rollout.position, len(polls)) == (Position.LEAF_CANARY, 3)


def test_a_pointer_that_returns_has_moved_again(store: Store) -> None:
    """A root that said it had both bundles on the way there has yet to say so on the way back."""
    rollouts = rollout(store)
    follow(store, ROOT, CANARY, "root-1")
    bring(rollouts, Position.SETTLED)
    with pytest.raises(AwaitedError, match="root root-1"):
        rollouts.go_back("rollback", **WHO)
    follow(store, ROOT, CANARY, "root-1")
    rollouts.go_back("rollback", **WHO)
    assert in_force(store) == {1}


def test_a_leaf_that_has_ended_is_awaited_no_longer(store: Store) -> None:
    rollouts = rollout(store, Position.LEAF_CANARY)
    head = rollouts.head
    assert head is not None
    follow(store, LEAF, PRODUCTION, "leaf-2")  # it serves the former bundle
    bring(rollouts, Position.LEAF_PRODUCTION)
    with pytest.raises(AwaitedError, match="--gone leaf-2"):
        rollouts.advance(**WHO)
    with pytest.raises(MoveRefusedError, match="a leaf that has acknowledged"):
        rollouts.advance(gone=["leaf-3"], **WHO)
    entry = rollouts.advance(gone=["leaf-2"], by="ada", why="scaled down")
    assert entry.rollout is not None
    assert entry.rollout.position is Position.SETTLED
    assert entry.why == "scaled down; ended for good: leaf-2"


def test_a_leaf_stays_awaited_where_the_move_is_refused(store: Store) -> None:
    """What somebody answers for is in the history, or it is not answered for."""
    rollouts = rollout(store, Position.LEAF_PRODUCTION)
    follow(store, LEAF, CANARY, "leaf-1")
    follow(store, LEAF, PRODUCTION, "leaf-2")
    rollouts.hold(**WHO)
    with pytest.raises(MoveRefusedError, match="held"):
        rollouts.advance(gone=["leaf-1"], **WHO)
    assert [each.instance for each in acknowledged(store, "ads", LEAF, CANARY)] == ["leaf-1"]
    rollouts.release(**WHO)
    rollouts.advance(gone=["leaf-1"], **WHO)
    assert not acknowledged(store, "ads", LEAF, CANARY)


def test_nobody_answers_for_a_root(store: Store) -> None:
    rollouts = rollout(store)
    follow(store, ROOT, PRODUCTION, "root-1")
    with pytest.raises(MoveRefusedError, match="nobody can answer for a root"):
        rollouts.advance(gone=["root-1"], **WHO)


def test_going_back_stops_where_a_leaf_is_awaited_and_goes_on_later(store: Store) -> None:
    rollouts = rollout(store, Position.LEAF_CANARY)
    follow(store, LEAF, CANARY, "leaf-1")
    with pytest.raises(AwaitedError, match="leaf-1"):
        rollouts.go_back("abort", **WHO)
    head = rollouts.head
    assert head is not None
    assert head.rollout is not None
    assert head.rollout.position is Position.LEAVES_BACK
    follow(store, LEAF, CANARY, "leaf-1")
    assert [each.move for each in rollouts.go_back("abort", **WHO)[1]] == ["abort"]
    assert in_force(store) == {1}


class Hasty(LocalStorage):
    """Somebody else appends an entry just before we do."""

    other: Entry | None = None

    def create(self, key: str, data: bytes) -> bool:
        if key.startswith("history/") and self.other is not None:
            other, self.other = self.other, None
            Store(LocalStorage(self.name)).append(other)
        return super().create(key, data)


def test_a_lost_race_says_what_the_other_one_did(tmp_path: Path) -> None:
    store = new_store(tmp_path / "store")
    rollout(store)
    storage = Hasty(tmp_path / "store")
    from trimtab.rollout import machine

    head = store.head("ads")
    assert head is not None
    storage.other = machine.hold(head, by="bob", why="wait for me")
    with pytest.raises(StoreError, match=r"hold by bob at .*: wait for me"):
        Rollouts(Store(storage), "ads").advance(**WHO)


class Lossy(LocalStorage):
    """Says once that an entry was there already, though it has written it itself: the answer was lost."""

    lost = False

    def create(self, key: str, data: bytes) -> bool:
        created = super().create(key, data)
        if key.startswith("history/") and not self.lost:
            self.lost = True
            return False
        return created


def test_our_own_entry_is_not_somebody_else(tmp_path: Path) -> None:
    rollout(new_store(tmp_path / "store"))
    entry = Rollouts(Store(Lossy(tmp_path / "store")), "ads").advance(**WHO)
    assert entry.rollout is not None
    assert entry.rollout.position is Position.LEAF_CANARY


class Killed(BaseException):
    """As if the process had gone."""


class Deadly(LocalStorage):
    """Dies at one of its calls, before or after what the call does."""

    def __init__(self, root: Path, at: int, *, after: bool) -> None:
        super().__init__(root)
        self.left, self.after = at, after

    def _count(self) -> Iterator[None]:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Killed
        yield
        if self.left == 0:
            raise Killed

    def read(self, key: str, limit: int) -> bytes | None:
        for _ in self._count():
            found = super().read(key, limit)
        return found

    def create(self, key: str, data: bytes) -> bool:
        for _ in self._count():
            created = super().create(key, data)
        return created

    def delete(self, key: str) -> None:
        for _ in self._count():
            super().delete(key)

    def replace(self, key: str, data: bytes) -> None:
        for _ in self._count():
            super().replace(key, data)


def deliver(store: Store) -> None:
    """Roll the second bundle out and back, wherever it is, as somebody types it who does not know what was done."""
    rollouts = Rollouts(store, "ads")
    pending = put(store, {"ctr": {1: "x", 2: "x"}}, serial=2)
    head = rollouts.head
    assert head is not None
    assert head.rollout is not None
    if not head.rollout.position.back:
        rollouts.start(pending, configuration=FREEZE, **WHO)
        bring(rollouts, Position.LEAF_PRODUCTION)
    if head.rollout.position is not Position.ROLLED_BACK:
        rollouts.go_back("abort", **WHO)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_at_any_call_leaves_what_every_command_goes_on_from(tmp_path: Path, after: bool) -> None:
    settled = new_store(tmp_path / "settled")
    Rollouts(settled, "ads").start(put(settled, {"ctr": {1: "x"}}), configuration=FREEZE, **WHO)
    bring(Rollouts(settled, "ads"), Position.SETTLED)
    killed, at, every = True, 0, 3
    while killed:
        at += every
        folder = tmp_path / str(at)
        shutil.copytree(settled.name, folder)
        first = Store(LocalStorage(folder))
        killed = False
        try:
            deliver(Store(Deadly(folder, at, after=after)))
        except Killed:
            killed = True
            deliver(first)
        assert in_force(first) == {1}
        assert verify_store(first).sound
    assert at > 100


HOUR = timedelta(hours=1)
REPORTS = {
    "a pass": ({}, None),
    "a fail": ({"verdict": "fail"}, "rollout abort"),
    "inconclusive": ({"verdict": "inconclusive"}, "Measure longer"),
    "of another bundle": ({"bundle": f"sha256:{'0' * 64}"}, "about another bundle"),
    "of no bundle": ({"bundle": ""}, "about another bundle"),
    "made before": ({"made_at": (datetime.now(UTC) - HOUR).isoformat()}, "made before the canary served"),
    "made at no time": ({"made_at": "yesterday"}, "a time with its zone"),
    "made in no zone": ({"made_at": "2126-01-01T00:00:00"}, "a time with its zone"),
}


@pytest.mark.parametrize(("changed", "says"), REPORTS.values(), ids=REPORTS.keys())
def test_the_canary_passes_by_a_report(store: Store, changed: dict[str, str], says: str | None) -> None:
    rollouts = rollout(store, Position.LEAF_CANARY)
    head = rollouts.head
    assert head is not None
    assert head.rollout is not None
    facts = {"verdict": "pass", "bundle": head.rollout.pending, "made_at": (datetime.now(UTC) + HOUR).isoformat()}
    report = Report(**{**facts, **changed}, hash="sha256:abc", where="report.json")
    if says is not None:
        with pytest.raises(StoreError, match=says):
            rollouts.advance(report=report, **WHO)
        return
    entry = rollouts.advance(report=report, **WHO)
    assert entry.rollout is not None
    assert entry.rollout.analysis is not None
    assert (entry.rollout.position, entry.rollout.analysis.report) == (Position.ANALYZED, "sha256:abc")


def test_nothing_was_ever_rolled_out(store: Store) -> None:
    with pytest.raises(MoveRefusedError, match="nothing was ever rolled out"):
        Rollouts(store, "ads").advance(**WHO)


def test_without_acknowledgments_a_leaf_waits_for_a_lease(tmp_path: Path) -> None:
    rollouts = Rollouts(new_store(tmp_path, acknowledge=False, lease_s=30.0), "ads")
    rollouts.start(put(rollouts.store, {"ctr": {1: "x"}}), configuration=FREEZE, **WHO)
    with pytest.raises(AwaitedError, match="do not acknowledge") as caught:
        rollouts.advance(**WHO)
    (awaited,) = caught.value.awaited
    assert awaited.expires_s is not None
    assert 0 < awaited.expires_s <= 31
