"""Which bundles must not be rolled out: each case with what it says, and what is let through beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
from rollout_stores import new_store, put
from small_bundles import Models

from trimtab.bundles.store.entry import Position
from trimtab.bundles.store.store import Store
from trimtab.errors import MoveRefusedError, StoreError
from trimtab.rollout.rollouts import Rollouts
from trimtab.stability import Category
from trimtab.stability.configuration import Configuration

WHO = {"by": "ada", "why": "because"}
FREEZE = Configuration()
LIVE: Models = {"ctr": {1: "x", 2: "x"}, "cvr": {1: "xy"}}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with one bundle in force."""
    store = new_store(tmp_path / "store")
    settle(store, LIVE)
    return store


def settle(store: Store, models: Models, *, serial: int = 1, name: str = "ads") -> None:
    rollouts = Rollouts(store, name)
    head, _ = rollouts.start(put(store, models, serial=serial, name=name), configuration=FREEZE, **WHO)
    while head.rollout is not None and head.rollout.position is not Position.SETTLED:
        head = rollouts.advance(without_analysis=head.rollout.position is Position.LEAF_CANARY, **WHO)


def start(store: Store, models: Models, configuration: Configuration | None = FREEZE, **how: object) -> None:
    bundle = put(store, models, **{"serial": 2, **how})  # type: ignore[arg-type]
    Rollouts(store, "ads").start(bundle, configuration=configuration, **WHO)


STARTED: dict[str, Models] = {
    "a new version": {**LIVE, "ctr": {1: "x", 2: "x", 3: "x"}},
    "a new model": {**LIVE, "new": {1: "z"}},
    "a version less": {**LIVE, "ctr": {2: "x"}},
}


@pytest.mark.parametrize("models", STARTED.values(), ids=STARTED.keys())
def test_started(store: Store, models: Models) -> None:
    start(store, models)
    head = store.head("ads")
    assert head is not None
    assert head.rollout is not None
    assert head.rollout.position is Position.ROOT_CANARY


def test_a_bundle_that_is_not_in_the_store_is_not_started(store: Store, tmp_path: Path) -> None:
    elsewhere = put(new_store(tmp_path / "elsewhere"), LIVE, serial=2)
    before = store.head("ads")
    with pytest.raises(StoreError, match="not in the store"):
        Rollouts(store, "ads").start(elsewhere, configuration=FREEZE, **WHO)
    assert store.head("ads") == before


def test_a_bundle_that_is_damaged_in_the_store_is_neither_published_nor_started(store: Store) -> None:
    bundle = put(store, LIVE, serial=2)
    path = Path(store.name) / "bundles" / "sha256" / f"{bundle.digest[7:]}.json"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(StoreError, match="publish a good copy") as caught:
        store.put_bundle(bundle)
    assert str(path.name) in caught.value.where
    with pytest.raises(StoreError, match="publish a good copy"):
        Rollouts(store, "ads").start(bundle, configuration=FREEZE, **WHO)
    path.unlink()
    assert store.put_bundle(bundle)
    Rollouts(store, "ads").start(bundle, configuration=FREEZE, **WHO)


def test_a_model_may_leave_with_its_past(store: Store) -> None:
    start(store, {"ctr": {1: "x", 2: "x"}}, published={"cvr": "xy"})


REFUSED: dict[str, tuple[Models, dict[str, object], str]] = {
    "inputs changed in place": (
        {**LIVE, "cvr": {1: "xyz"}},
        {"published": {"cvr": "xy"}},
        "changed its inputs in place",
    ),
    "an older serial": ({**LIVE, "new": {1: "z"}}, {"serial": 1}, "serial 2 or higher"),
    "a lost past": ({"ctr": {1: "x", 2: "x"}}, {}, "not built on the one in force"),
    "a changed signature": ({**LIVE, "ctr": {1: "x", 2: "x", 3: "xz"}}, {}, "the gate refuses it"),
}


@pytest.mark.parametrize(("models", "how", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(store: Store, models: Models, how: dict[str, object], says: str) -> None:
    before = store.head("ads")
    with pytest.raises(MoveRefusedError, match=says):
        start(store, models, **how)
    assert store.head("ads") == before


def test_without_the_gate_a_changed_signature_is_started_and_one_in_place_is_not(store: Store) -> None:
    with pytest.raises(MoveRefusedError, match="in place"):
        start(store, {**LIVE, "cvr": {1: "xyz"}}, None, published={"cvr": "xy"})
    start(store, {**LIVE, "ctr": {1: "x", 2: "x", 3: "xz"}}, None)


def test_the_gate_is_as_strict_as_its_configuration(store: Store) -> None:
    models = {**LIVE, "cvr": {1: "xy", 2: "x"}}
    with pytest.raises(MoveRefusedError, match="the gate refuses it"):
        start(store, models)
    start(store, models, Configuration(category=Category.WIRE))


def test_a_changed_signature_whose_document_is_not_there_is_an_error(store: Store) -> None:
    with pytest.raises(StoreError, match="trimtab store publish"):
        start(store, {**LIVE, "ctr": {1: "x", 2: "x", 3: "xz"}}, documents=False)


def test_a_version_that_was_rolled_back_does_not_return_with_other_inputs(store: Store) -> None:
    """Some root may still hold the bundle that was rolled back."""
    start(store, {**LIVE, "new": {1: "z"}})
    Rollouts(store, "ads").go_back("abort", **WHO)
    with pytest.raises(MoveRefusedError, match=r"new changed its inputs in place.*rolled back \(entry 7\)"):
        start(store, {**LIVE, "new": {1: "zy"}}, serial=3)
    start(store, {**LIVE, "new": {2: "zy"}}, serial=3)


def test_a_bundle_that_was_rolled_back_again_and_again_is_read_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    back = put(store, {**LIVE, "new": {1: "z"}}, serial=2)
    rollouts = Rollouts(store, "ads")
    for _ in range(3):
        rollouts.start(back, configuration=FREEZE, **WHO)
        rollouts.go_back("abort", **WHO)
    read: list[str] = []
    bundle = Store.bundle
    monkeypatch.setattr(Store, "bundle", lambda self, digest: (read.append(digest), bundle(self, digest))[1])
    start(store, {**LIVE, "other": {1: "z"}}, serial=3)
    assert sorted(read) == sorted(set(read))
    assert back.digest in read


def test_nor_after_others_were_rolled_out_since(store: Store) -> None:
    start(store, {**LIVE, "new": {1: "z"}})
    Rollouts(store, "ads").go_back("abort", **WHO)
    settle(store, {**LIVE, "other": {1: "z"}}, serial=2)
    with pytest.raises(MoveRefusedError, match="new changed its inputs in place"):
        start(store, {**LIVE, "other": {1: "z"}, "new": {1: "zy"}}, serial=3)


def test_a_version_means_the_same_in_all_bundles_of_a_store(store: Store) -> None:
    settle(store, {"shared": {1: "z"}}, name="home")
    with pytest.raises(MoveRefusedError, match="the bundle home of this store"):
        start(store, {**LIVE, "shared": {1: "zy"}})
    start(store, {**LIVE, "shared": {1: "z"}})
