"""What a leaf says to its store, and when: before it serves anything, and when it serves nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from trimtab.bundles.bundle import Bundle, BundledModel, BundledVersion
from trimtab.bundles.indices import Indices
from trimtab.bundles.loading.following import Follow, Follower
from trimtab.bundles.store.acknowledged import acknowledged
from trimtab.bundles.store.entry import first_entry, following
from trimtab.bundles.store.local import LocalStorage
from trimtab.bundles.store.pointers import Pointer, Pointers, Stage, Tier
from trimtab.bundles.store.store import Settings, Store
from trimtab.cli.commands import trimtab
from trimtab.errors import StoreError
from trimtab.serving.leaf.following import StoreDigests


def digest_of(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def bundle(serial: int, *versions: int) -> Bundle:
    entry = {
        str(v): BundledVersion(digest=digest_of(f"ctr:{v}"), input_digest=digest_of("x"), allowlist=0) for v in versions
    }
    model = BundledModel(attested_stable=True, versions=entry, published={digest_of("x"): "1"})
    return Bundle(
        name="ads",
        serial=serial,
        created="2026-01-02T03:04:05Z",
        names=("x",),
        allowlists=(Indices([0]),),
        models={"ctr": model},
    )


A, B, C = bundle(1, 1), bundle(2, 1, 2), bundle(3, 3)


class Tripwire(LocalStorage):
    """A storage that does something before it is written to, or fails."""

    before_writing: Callable[[], None] = staticmethod(lambda: None)

    def replace(self, key: str, data: bytes) -> None:
        self.before_writing()
        super().replace(key, data)


class Leaf:
    """A leaf over a pretended repository: `look` is one round of its model loader."""

    def __init__(self, folder: Path) -> None:
        self.store = Store.create(LocalStorage(folder), Settings(lease_s=60))
        for each in (A, B, C):
            self.store.put_bundle(each)
        self.storage = Tripwire(folder)
        self.now = 0.0
        follow = Follow(store=self.storage, name="ads", stage=Stage.CANARY)
        self.digests = StoreDigests(Follower(follow, Tier.LEAF), "leaf-1", lambda: self.now)
        self.served: dict[tuple[str, int], str] = {}

    def point(self, to: Bundle | None) -> None:
        pointer = Pointer(to and to.digest)
        pointers = Pointers(root_canary=pointer, leaf_canary=pointer)
        who = {"by": "test", "why": "", "move": "advance"}
        head = self.store.head("ads")
        entry = (
            first_entry("ads", pointers=pointers, rollout=None, **who)
            if head is None
            else following(head, pointers=pointers, **who)
        )
        assert self.store.append(entry)

    def look(self, *broken: int) -> list[int]:
        """Which versions are served after it."""
        self.digests.refresh()
        self._forget()
        for version in (1, 2, 3):
            if version not in broken and self.digests.wants("ctr", version):
                self.served["ctr", version] = digest_of(f"ctr:{version}")
        if self.digests.settle(self.served):
            self._forget()
        self.digests.confirm()
        return [version for _, version in self.served]

    def said(self) -> list[tuple[int, Pointer]]:
        return [
            (each.said.entry, each.said.in_force) for each in acknowledged(self.store, "ads", Tier.LEAF, Stage.CANARY)
        ]

    def _forget(self) -> None:
        self.served = {key: digest for key, digest in self.served.items() if self.digests.wants(*key)}


@pytest.fixture
def leaf(tmp_path: Path) -> Leaf:
    return Leaf(tmp_path / "store")


def test_a_leaf_says_what_it_is_about_to_serve_and_then_that_it_serves_it(leaf: Leaf) -> None:
    leaf.point(A)
    assert leaf.look(1) == []
    assert leaf.said() == [(0, Pointer(None, A.digest))]
    assert leaf.digests.missing == ("ctr:1",)
    assert leaf.look() == [1]
    assert leaf.said() == [(1, Pointer(A.digest))]
    assert leaf.digests.entry == 1


def test_old_and_new_are_served_until_all_that_is_new_is(leaf: Leaf) -> None:
    leaf.point(B)
    leaf.look()
    leaf.point(C)
    assert leaf.look(3) == [1, 2]
    assert leaf.said() == [(1, Pointer(B.digest, C.digest))]
    assert leaf.look() == [3]
    assert leaf.said() == [(2, Pointer(C.digest))]


def test_what_was_half_loaded_goes_before_a_third_bundle_comes(leaf: Leaf) -> None:
    leaf.point(A)
    leaf.look()
    leaf.point(B)
    leaf.look(2)
    leaf.point(C)
    assert leaf.look(3) == [1]
    assert leaf.said() == [(1, Pointer(A.digest))]
    assert leaf.look(3) == [1]
    assert leaf.said() == [(1, Pointer(A.digest, C.digest))]
    assert leaf.look() == [3]
    assert leaf.said() == [(3, Pointer(C.digest))]


def test_a_move_behind_the_word_is_seen_before_anything_is_served(leaf: Leaf) -> None:
    leaf.point(B)

    def move_meanwhile() -> None:
        leaf.storage.before_writing = lambda: None
        leaf.point(A)

    leaf.storage.before_writing = move_meanwhile
    assert leaf.look() == [1]
    assert leaf.said() == [(2, Pointer(A.digest))]


def test_nothing_is_served_without_the_word(leaf: Leaf) -> None:
    def fail() -> None:
        raise StoreError(got="the disk is full")

    leaf.point(A)
    leaf.storage.before_writing = fail
    with pytest.raises(StoreError, match="the disk is full"):
        leaf.look()
    leaf.storage.before_writing = lambda: None
    assert leaf.look() == [1]
    leaf.storage.before_writing = fail
    leaf.point(C)
    assert leaf.look() == [1]
    leaf.storage.before_writing = lambda: None
    assert leaf.look() == [3]


def test_what_is_loaded_stays_while_the_store_is_away_and_older_ones_are_refused(leaf: Leaf, tmp_path: Path) -> None:
    leaf.point(A)
    leaf.point(B)
    leaf.look()
    (tmp_path / "store").rename(tmp_path / "away")
    assert leaf.look() == [1, 2]
    (tmp_path / "away").rename(tmp_path / "store")
    for number in (1, 2):
        (tmp_path / f"store/history/ads/00000000000{number}.json").unlink()
    for to in (C, C, C):
        leaf.point(to)
    assert leaf.look() == [1, 2]


def test_a_word_is_said_again_in_time_and_withdrawn_at_the_end(leaf: Leaf) -> None:
    leaf.point(A)
    leaf.look()
    leaf.digests.close()
    assert leaf.said() == []
    leaf.look()
    assert leaf.said() == []
    leaf.now += 60 / 3
    leaf.look()
    assert leaf.said() == [(1, Pointer(A.digest))]


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--store", "x"], "--store needs --stage"),
        (["--stage", "canary"], "--stage needs --store"),
        (["--name", "ads"], "belong to --store and --stage"),
        (["--store", "x", "--stage", "canary", "--bundle", "b.json"], "not by both"),
    ],
)
def test_flags_that_do_not_go_together_are_wrong_usage(flags: list[str], text: str) -> None:
    ran = CliRunner().invoke(trimtab, ["serve", "leaf", "--repository", "models", *flags], env={"TRIMTAB_STORE": None})
    assert ran.exit_code == 2
    assert text in ran.output


def test_a_leaf_without_a_store_does_not_start(tmp_path: Path) -> None:
    flags = ["--repository", str(tmp_path), "--store", str(tmp_path), "--stage", "canary", "--name", "ads"]
    ran = CliRunner().invoke(trimtab, ["serve", "leaf", *flags, "--grpc-port", "0", "--http-port", "0"])
    assert isinstance(ran.exception, StoreError)
    assert "trimtab store init" in str(ran.exception)
