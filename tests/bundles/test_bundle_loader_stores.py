"""Following a store, step by step: what is in force, what is kept, what is acknowledged, and until when it holds."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from bundle_making import bundle

from trimtab.bundles.bundle import Bundle, write_bundle
from trimtab.bundles.loading.following import Follow
from trimtab.bundles.loading.loader import BundleLoader
from trimtab.bundles.loading.status import BundleState, BundleStatus
from trimtab.bundles.loading.watcher import BundleWatcher
from trimtab.bundles.outcomes import Outcome
from trimtab.bundles.store.acknowledged import acknowledged
from trimtab.bundles.store.entry import first_entry, following
from trimtab.bundles.store.local import LocalStorage
from trimtab.bundles.store.pointers import Pointer, Pointers, Stage, Tier
from trimtab.bundles.store.store import Settings, Store
from trimtab.errors import BundleError, StoreError

A = bundle({"ctr": {1: ["age"]}}, serial=1)
B = bundle({"ctr": {1: ["age"], 2: ["age", "clicks"]}}, serial=2)
LEASE_S = 60.0
STAGE = Stage.CANARY


class Clock:
    """Seconds that go on when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Faulty(LocalStorage):
    """A storage that fails, hangs, or does something else before an operation, when it is told to."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.before: Callable[[str, str], None] = lambda operation, key: None
        self.calls: list[str] = []

    def read(self, key: str, limit: int) -> bytes | None:
        self.calls.append(f"read {key}")
        self.before("read", key)
        return super().read(key, limit)

    def replace(self, key: str, data: bytes) -> None:
        self.calls.append(f"replace {key}")
        self.before("replace", key)
        super().replace(key, data)

    def fail(self, *operations: str) -> None:
        def before(operation: str, key: str) -> None:
            if operation in operations:
                raise StoreError(where=key, got="the disk is on fire")

        self.before = before


class World:
    """A store with what moves in it, and a root that follows it."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.storage = Faulty(folder / "store")
        self.store = Store.create(LocalStorage(folder / "store"), settings)
        for each in (A, B):
            self.store.put_bundle(each)
        self.clock = Clock()

    def move(self, current: Bundle | None, pending: Bundle | None = None) -> int:
        """Another entry: the roots' pointers at the canary become these."""
        pointer = Pointer(current and current.digest, pending and pending.digest)
        head = self.store.head("ads")
        pointers = Pointers(root_canary=pointer)
        entry = (
            first_entry("ads", by="test", why="", move="start", pointers=pointers, rollout=None)
            if head is None
            else following(head, by="test", why="", move="advance", pointers=pointers)
        )
        assert self.store.append(entry)
        return entry.number

    def root(self, **more: object) -> BundleLoader:
        settings: dict[str, object] = {"state": self.folder / "state", "clock": self.clock, **more}
        follow = [Follow(store=self.storage, name="ads", stage=STAGE)]
        return BundleLoader(**{"follow": follow, **settings})  # type: ignore[arg-type]

    def said(self) -> list[tuple[int, Pointer]]:
        return [(each.said.entry, each.said.in_force) for each in acknowledged(self.store, "ads", Tier.ROOT, STAGE)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, Settings(lease_s=LEASE_S))


def unversioned(loader: BundleLoader) -> Outcome:
    return loader.current.lookup("ctr").outcome


def exact(loader: BundleLoader) -> Outcome:
    return loader.current.lookup("ctr", "1").outcome


def status(loader: BundleLoader) -> BundleStatus:
    (only,) = loader.statuses
    return only


def test_a_root_follows_keeps_and_acknowledges(world: World) -> None:
    world.move(A)
    root = world.root()
    assert dict(root.current.bundles) == {"ads": A}
    assert world.said() == [(1, Pointer(A.digest))]
    assert unversioned(root) is Outcome.LATEST_ATTESTED_UNVERSIONED
    stands = status(root)
    assert (stands.state, stands.serial, stands.error) == (BundleState.LOADED, 1, "")
    assert stands.following is not None
    assert (stands.following.entry, stands.following.acknowledged) == (1, 1)
    assert stands.following.lease_s == LEASE_S - 1


def test_a_transitional_pointer_puts_both_in_force(world: World) -> None:
    world.move(A)
    root = world.root()
    world.move(A, B)
    assert root.refresh()
    assert dict(root.current.bundles) == {"ads": A, "ads (pending)": B}
    assert root.current.lookup("ctr").allowlist == {"age", "clicks"}
    assert status(root).serial == A.serial


def test_the_word_waits_for_requests_that_began_with_the_map_before(world: World) -> None:
    world.move(A)
    root = world.root(in_flight_s=5.0)
    world.move(A, B)
    root.refresh()
    assert world.said() == [(1, Pointer(A.digest))]
    world.clock.now += 4.9
    root.refresh()
    assert world.said() == [(1, Pointer(A.digest))]
    world.clock.now += 0.2
    root.refresh()
    assert world.said() == [(2, Pointer(A.digest, B.digest))]


def test_the_lease_is_renewed_in_time_and_a_look_between_is_one_read(world: World) -> None:
    world.move(A)
    root = world.root()
    for _ in range(20):
        world.clock.now += LEASE_S / 4
        root.refresh()
        assert unversioned(root).trims
    world.clock.now += LEASE_S / 4 - 1
    root.refresh()
    renewed = status(root)
    world.storage.calls.clear()
    world.clock.now += 1
    root.refresh()
    assert world.storage.calls == ["read history/ads/000000000002.json"]
    assert renewed.following is not None
    assert (status(root).state, status(root).error) == (BundleState.UNCHANGED, "")


def test_without_renewal_only_exact_versions_are_trimmed(world: World) -> None:
    world.move(A)
    root = world.root()
    world.storage.fail("replace")
    world.clock.now += LEASE_S - 1.1
    root.refresh()
    assert unversioned(root).trims
    world.clock.now += 0.2
    assert unversioned(root) is Outcome.UNCONFIRMED
    assert exact(root) is Outcome.EXACT
    stands = status(root)
    assert "the disk is on fire" in stands.error
    assert stands.following is not None
    assert stands.following.lease_s == 0
    world.storage.fail()
    root.refresh()
    assert unversioned(root).trims


def test_a_store_that_hangs_extends_no_lease(world: World) -> None:
    world.move(A)
    root = world.root()
    hangs, goes_on = threading.Event(), threading.Event()

    def hang(operation: str, key: str) -> None:
        if operation == "replace":
            hangs.set()
            goes_on.wait(30)

    world.storage.before = hang
    world.clock.now += LEASE_S / 2
    look = threading.Thread(target=root.refresh)
    look.start()
    assert hangs.wait(30)
    world.clock.now += LEASE_S
    assert unversioned(root) is Outcome.UNCONFIRMED
    goes_on.set()
    look.join()
    assert unversioned(root) is Outcome.UNCONFIRMED  # the lease counts from before the word was written
    root.refresh()
    assert unversioned(root).trims


def test_a_move_behind_the_word_is_seen_before_there_is_a_lease(world: World) -> None:
    world.move(A)

    def move_meanwhile(operation: str, key: str) -> None:
        if operation == "replace" and key.startswith("acknowledged/"):
            world.storage.before = lambda operation, key: None
            world.move(A, B)

    world.storage.before = move_meanwhile
    root = world.root()
    assert dict(root.current.bundles) == {"ads": A, "ads (pending)": B}
    assert world.said() == [(2, Pointer(A.digest, B.digest))]


def test_a_root_that_starts_again_has_its_last_known_good_and_no_lease(world: World) -> None:
    world.move(A, B)
    before = world.root()
    name = status(before).following
    del before
    world.storage.fail("read")
    root = world.root()
    assert dict(root.current.bundles) == {"ads": A, "ads (pending)": B}
    assert (exact(root), unversioned(root)) == (Outcome.EXACT, Outcome.UNCONFIRMED)
    assert status(root).state is BundleState.KEPT_LAST_KNOWN_GOOD
    world.storage.fail()
    root.refresh()
    assert unversioned(root) is Outcome.UNCONFIRMED  # what was sent before it was killed may still be on its way
    world.clock.now += 1
    root.refresh()
    assert unversioned(root) is Outcome.UNION_UNVERSIONED
    stands = status(root).following
    assert name is not None
    assert stands is not None
    assert stands.instance == name.instance
    assert len(world.said()) == 1


def test_what_cannot_be_kept_is_not_acknowledged(world: World) -> None:
    world.move(A)
    root = world.root()
    kept = world.folder / "state" / "ads.canary.followed"
    away = world.folder / "away"
    kept.rename(away)
    kept.write_bytes(b"a file, not a folder")
    world.move(A, B)
    assert root.refresh()
    world.clock.now += 2
    assert not root.refresh()
    assert "ads (pending)" in root.current.bundles
    assert world.said() == [(1, Pointer(A.digest))]
    assert "could not be kept" in status(root).error
    kept.unlink()
    away.rename(kept)
    root.refresh()
    assert (world.said(), status(root).error) == ([(2, Pointer(A.digest, B.digest))], "")


DAMAGES = {
    "the entry is cut": lambda world: cut(world.folder / "store/history/ads/000000000002.json"),
    "the entry is another": lambda world: swap(world, "000000000002.json", "000000000001.json"),
    "the bundle is cut": lambda world: cut(world.folder / f"store/bundles/sha256/{B.digest[7:]}.json"),
    "the bundle is gone": lambda world: (world.folder / f"store/bundles/sha256/{B.digest[7:]}.json").unlink(),
    "the history was rewritten": lambda world: rewrite(world, current=A, pending=B),
}


def cut(path: Path) -> None:
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[:-9])


def swap(world: World, name: str, other: str) -> None:
    folder = world.folder / "store/history/ads"
    (folder / name).unlink()
    (folder / name).write_bytes((folder / other).read_bytes())


def rewrite(world: World, current: Bundle | None, pending: Bundle) -> None:
    """Another history with the same numbers: another time stamp is another hash."""
    for path in (world.folder / "store/history/ads").iterdir():
        path.unlink()
    world.move(current)
    world.move(current, pending)


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "after a restart"])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_what_must_not_be_followed_leaves_the_last_known_good_without_a_lease(
    world: World, damage: Callable[[World], None], restarted: bool
) -> None:
    world.move(A)
    root = world.root()
    world.move(A, B)
    damage(world)
    if restarted:
        del root
        root = world.root()
    world.clock.now += 2
    assert not root.refresh()
    assert dict(root.current.bundles) == {"ads": A}
    assert status(root).state is BundleState.KEPT_LAST_KNOWN_GOOD
    assert status(root).error
    world.clock.now += LEASE_S
    root.refresh()
    assert (exact(root), unversioned(root)) == (Outcome.EXACT, Outcome.UNCONFIRMED)
    assert world.said() == [(1, Pointer(A.digest))]


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "after a restart"])
def test_an_older_store_is_refused(world: World, restarted: bool) -> None:
    world.move(A)
    world.move(A, B)
    root = world.root()
    (world.folder / "store/history/ads/000000000002.json").unlink()
    if restarted:
        del root
        root = world.root()
    world.clock.now += LEASE_S / 3
    root.refresh()
    assert "the history is shorter than it was" in status(root).error
    assert "ads (pending)" in root.current.bundles
    assert unversioned(root) is Outcome.UNCONFIRMED  # at once: a leaf may have followed it


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff\x00"])
@pytest.mark.parametrize("which", ["entry.json", f"{A.digest[7:]}.bundle.json"])
def test_a_lost_last_known_good_is_reported_and_replaced(world: World, which: str, damage: bytes) -> None:
    world.move(A)
    world.root()
    kept = world.folder / "state" / "ads.canary.followed" / which
    good = kept.read_bytes()
    kept.write_bytes(damage)
    world.storage.fail("read")
    root = world.root()
    assert (status(root).state, dict(root.current.bundles)) == (BundleState.MISSING, {})
    assert "the last-known-good is lost" in status(root).error
    world.storage.fail()
    root.refresh()
    assert (dict(root.current.bundles), status(root).error) == ({"ads": A}, "")
    assert kept.read_bytes() == good


def test_bundles_that_are_followed_no_more_are_not_kept(world: World) -> None:
    world.move(A, B)
    root = world.root()
    world.move(B)
    root.refresh()
    names = {path.name for path in (world.folder / "state" / "ads.canary.followed").iterdir()}
    assert names == {"entry.json", f"{B.digest[7:]}.bundle.json"}


def test_a_bundle_that_must_not_be_used_is_not(world: World) -> None:
    def verify(store: Store, digest: str) -> None:
        if digest == B.digest:
            raise StoreError("nobody attests the bundle", where=store.name)

    world.move(A)
    root = world.root(follow=[Follow(store=world.storage, name="ads", stage=STAGE, verify=verify)])
    world.move(A, B)
    root.refresh()
    assert "nobody attests" in status(root).error
    assert (dict(root.current.bundles), world.said()) == ({"ads": A}, [(1, Pointer(A.digest))])


def test_a_history_that_has_not_begun_is_followed_from_its_beginning(world: World) -> None:
    root = world.root()
    assert status(root).state is BundleState.MISSING
    assert "nothing named 'ads' is in force" in status(root).error
    assert world.said() == [(0, Pointer())]
    world.move(None, A)
    assert root.refresh()
    assert dict(root.current.bundles) == {"ads (pending)": A}


def test_roots_that_do_not_acknowledge_count_their_lease_from_the_look(tmp_path: Path) -> None:
    world = World(tmp_path, Settings(lease_s=LEASE_S, acknowledge=False))
    world.move(A)
    root = world.root()
    world.clock.now += LEASE_S / 2
    root.refresh()
    world.clock.now += LEASE_S - 1.1
    assert unversioned(root).trims
    world.clock.now += 0.2
    assert unversioned(root) is Outcome.UNCONFIRMED
    assert world.said() == []
    assert not any(call.startswith("replace") for call in world.storage.calls)


def test_a_lease_that_is_no_longer_than_a_request_is_of_no_use_and_says_so(tmp_path: Path) -> None:
    world = World(tmp_path, Settings(lease_s=2.0))
    world.move(A)
    root = world.root(in_flight_s=2.0)
    assert "--lease SECONDS" in status(root).error
    assert (exact(root), unversioned(root)) == (Outcome.EXACT, Outcome.UNCONFIRMED)


def test_closing_withdraws_the_word_and_the_lease(world: World) -> None:
    world.move(A)
    root = world.root()
    root.close()
    assert (world.said(), unversioned(root)) == ([], Outcome.UNCONFIRMED)
    world.clock.now += LEASE_S
    assert not root.refresh()
    assert world.said() == []
    world.root()  # the state folder is free again


def test_closing_does_not_wait_for_a_store_that_hangs(world: World) -> None:
    world.move(A)
    root = world.root()
    goes_on = threading.Event()
    hangs = threading.Event()

    def hang(operation: str, key: str) -> None:
        hangs.set()
        goes_on.wait(30)

    world.storage.before = hang
    watcher = BundleWatcher(root, 0.001).start()
    assert hangs.wait(30)
    watcher.stop(0.01)
    root.close(0.01)
    assert unversioned(root) is Outcome.UNCONFIRMED
    goes_on.set()


def test_two_roots_do_not_share_a_state_folder(world: World) -> None:
    world.move(A)
    first = world.root()
    with pytest.raises(BundleError, match="another root has the state folder"):
        world.root()
    assert world.root(state=world.folder / "other").current.bundles
    assert len(world.said()) == 2
    assert first.current.bundles


def test_files_and_stores_are_isolated_but_for_the_lease(world: World) -> None:
    write_bundle(world.folder / "home.json", bundle({"rank": {3: ["x"], 4: ["y"]}}, name="home"))
    world.move(A)
    root = world.root(paths=[world.folder / "home.json"])
    assert sorted(root.current.bundles) == ["ads", "home"]
    world.storage.fail("read")
    world.clock.now += LEASE_S
    write_bundle(world.folder / "home.json", bundle({"rank": {5: ["z"]}}, name="home", serial=2))
    assert root.refresh()
    assert root.current.lookup("rank", "5").outcome is Outcome.EXACT
    assert [each.state for each in root.statuses] == [BundleState.LOADED, BundleState.KEPT_LAST_KNOWN_GOOD]


def test_a_store_that_hangs_holds_up_neither_start_nor_files(world: World) -> None:
    goes_on = threading.Event()
    world.storage.before = lambda operation, key: goes_on.wait(30) and None
    world.move(A)
    path = world.folder / "home.json"
    write_bundle(path, bundle({"rank": {3: ["x"]}}, name="home"))
    root = world.root(paths=[path], first_look_s=0.01)
    seen = threading.Event()
    with_home = BundleWatcher(root, 0.001, lambda new: seen.set() if new.latest("rank") == "4" else None).start()
    write_bundle(path, bundle({"rank": {4: ["x"]}}, name="home", serial=2))
    assert seen.wait(30)
    assert "ads" not in root.current.bundles
    goes_on.set()
    with_home.stop()
    root.refresh()
    assert "ads" in root.current.bundles


def test_looks_come_less_often_while_a_store_fails(world: World) -> None:
    world.move(A)
    root = world.root()
    (only,) = root.rounds()
    assert 0.8 <= only.pause_s(1.0) <= 1.2
    world.storage.fail("read")
    pauses = []
    for _ in range(10):
        root.refresh()
        pauses.append(only.pause_s(1.0))
    assert pauses[1] > pauses[0]
    assert max(pauses) <= 1.2 * LEASE_S / 6
    world.storage.fail()
    root.refresh()
    assert only.pause_s(1.0) <= 1.2


@pytest.mark.parametrize("names", [["ads", "ads"], ["../ads"], [""]])
def test_names_that_cannot_be_told_apart_are_refused(world: World, names: list[str]) -> None:
    with pytest.raises(BundleError):
        world.root(follow=[Follow(store=world.storage, name=name, stage=STAGE) for name in names])


def test_a_store_that_is_made_later_is_followed_then(tmp_path: Path) -> None:
    place, clock = tmp_path / "store", Clock()
    loader = BundleLoader(follow=[Follow(store=place, name="ads", stage=STAGE)], instance="one", clock=clock)
    assert "trimtab store init" in loader.statuses[0].error
    os.makedirs(place)
    store = Store.create(LocalStorage(place), Settings())
    store.put_bundle(A)
    pointers = Pointers(root_canary=Pointer(A.digest))
    store.append(first_entry("ads", by="test", why="", move="start", pointers=pointers, rollout=None))
    assert loader.refresh()
    assert acknowledged(store, "ads", Tier.ROOT, STAGE) == []
    clock.now += 1
    loader.refresh()
    assert [each.instance for each in acknowledged(store, "ads", Tier.ROOT, STAGE)] == ["one"]


def test_a_renewal_that_became_due_during_a_slow_look_waits_for_the_next(world: World) -> None:
    world.move(A)
    world.move(A, B)
    root = world.root()

    def slow(operation: str, key: str) -> None:
        world.storage.before = lambda operation, key: None
        world.clock.now += LEASE_S / 2

    world.storage.before = slow
    (world.folder / "store/history/ads/000000000002.json").unlink()  # restored from an older copy, meanwhile
    world.clock.now += LEASE_S / 4
    root.refresh()
    world.clock.now += LEASE_S / 2
    assert unversioned(root) is Outcome.UNCONFIRMED


def test_what_is_acknowledged_is_on_the_disk(world: World) -> None:
    kept = []

    def look_at_the_disk(operation: str, key: str) -> None:
        if operation == "replace":
            kept.append((world.folder / "state" / "ads.canary.followed" / "entry.json").read_bytes())

    world.move(A)
    world.storage.before = look_at_the_disk
    root = world.root()
    world.move(A, B)
    root.refresh()
    world.clock.now += 2
    root.refresh()
    assert kept == [(world.folder / f"store/history/ads/00000000000{n}.json").read_bytes() for n in (1, 2)]
