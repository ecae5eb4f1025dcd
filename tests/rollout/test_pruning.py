"""`trimtab store prune`: what goes, what stays, and that nothing in force goes, whoever meets it, killed or not."""

from __future__ import annotations

import functools
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rollout_stores import new_store, put, signature_of

from trimtab.bundles.bundle import Bundle
from trimtab.bundles.store.acknowledged import Acknowledgment, acknowledge
from trimtab.bundles.store.claims import Mark, claimed, is_marked, marked
from trimtab.bundles.store.pointers import Pointer, Stage, Tier
from trimtab.bundles.store.pruning import prunable, prune
from trimtab.bundles.store.publishing import publish
from trimtab.bundles.store.store import Settings, Store
from trimtab.bundles.store.verifying import verify_store
from trimtab.cli.main import main
from trimtab.errors import StoreError
from trimtab.rollout.rollouts import Rollouts
from trimtab.signature.document import encode_document
from trimtab.stability.configuration import Configuration

WHO: dict[str, Any] = {"by": "ada", "why": "because"}
DAY_S = 86400.0
OLD_S = 100 * DAY_S


def rolled_out(store: Store, bundle: Bundle) -> None:
    rollouts = Rollouts(store, bundle.name)
    rollouts.start(bundle, configuration=Configuration(), **WHO)
    for step in range(5):
        rollouts.advance(without_analysis=step == 1, **WHO)


def serials(*numbers: int) -> list[dict[str, dict[int, str]]]:
    return [{"ctr": dict.fromkeys(range(1, number + 1), "x")} for number in numbers]


def aged(folder: Path) -> None:
    """Everything in a store was written a hundred days ago; what follows is written now."""
    for path in folder.rglob("*.json"):
        changed = path.stat().st_mtime - OLD_S
        os.utime(path, (changed, changed))


def history(folder: Path) -> tuple[Store, dict[int, Bundle]]:
    """Bundles 1 to 6: 1, 2 and 4 were in force, 3 was rolled back, 4 is in force; 5 was never started, 6 is new."""
    store = new_store(folder)
    bundles = {}
    for serial in range(1, 5):
        (models,) = serials(serial)
        bundles[serial] = put(store, models, serial=serial)
        if serial == 3:
            Rollouts(store, "ads").start(bundles[3], configuration=Configuration(), **WHO)
            Rollouts(store, "ads").go_back("abort", **WHO)
        else:
            rolled_out(store, bundles[serial])
    bundles[5] = put(store, {"ctr": dict.fromkeys(range(1, 6), "xy")}, serial=5)
    aged(folder)
    bundles[6] = put(store, *serials(6), serial=6)
    return store, bundles


def test_what_nobody_needs_goes_and_the_rest_stays(tmp_path: Path) -> None:
    store, bundles = history(tmp_path)
    plan = prunable(store, 30 * DAY_S)
    # 2 is what a rollback restores, 3 was rolled back, 4 is in force, 6 is young. Only 5 names the signature "xy".
    assert [each.serial for each in plan.bundles] == [1, 5]
    assert [each.until for each in plan.bundles] == [("ads", 11), None]
    assert (plan.signatures, plan.kept) == (1, 4)
    assert len(store.bundles()) == 6, "a plan removes nothing"
    done = prune(store, 30 * DAY_S)
    assert ([each.serial for each in done.bundles], done.signatures, done.kept, done.spared) == ([1, 5], 1, 4, ())
    assert set(store.bundles()) == {bundles[serial].digest for serial in (2, 3, 4, 6)}
    assert store.signatures() == [signature_of("x").digest]
    assert verify_store(store).sound
    rolled_out(store, bundles[6])
    Rollouts(store, "ads").go_back("rollback", **WHO)
    assert verify_store(store).sound


@pytest.mark.parametrize(("keep_days", "going"), [(99, [1, 5]), (101, [])])
def test_what_is_young_or_was_in_force_lately_stays(tmp_path: Path, keep_days: float, going: list[int]) -> None:
    store, _ = history(tmp_path)
    assert [each.serial for each in prunable(store, keep_days * DAY_S).bundles] == going


def test_a_bundle_that_was_dropped_a_moment_ago_stays(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    one, two, three, four = (put(store, models, serial=serial) for serial, models in enumerate(serials(1, 2, 3, 4), 1))
    rolled_out(store, one)
    rolled_out(store, two)
    aged(tmp_path)
    rolled_out(store, three)
    rolled_out(store, four)
    assert [each.serial for each in prunable(store, 30 * DAY_S).bundles] == [1]
    assert [each.serial for each in prunable(store, 0).bundles] == [1, 2]


def test_what_a_root_or_leaf_says_it_has_stays(tmp_path: Path) -> None:
    store, bundles = history(tmp_path)
    said = Acknowledgment(entry=6, in_force=Pointer(bundles[1].digest))
    acknowledge(store, "ads", Tier.LEAF, Stage.PRODUCTION, instance="leaf-1", said=said)
    assert [each.serial for each in prunable(store, 30 * DAY_S).bundles] == [5]


def test_a_store_that_cannot_be_read_is_not_pruned(tmp_path: Path) -> None:
    store, _ = history(tmp_path)
    entry = tmp_path / "history" / "ads" / "000000000002.json"
    entry.chmod(0o644)
    entry.write_text("{}")
    with pytest.raises(StoreError):
        prune(store, 0)
    assert len(store.bundles()) == 6


def test_marks_of_the_killed_go_after_an_hour(tmp_path: Path) -> None:
    store, bundles = history(tmp_path)
    for mark in Mark:
        store.storage.create(f"{mark}/sha256/{bundles[1].digest[7:]}/ab.json", b"{}")
    assert prune(store, 30 * DAY_S).spared == (bundles[1].digest,), "a start may be under way"
    with pytest.raises(StoreError, match="being pruned"), claimed(store, bundles[1].digest):
        pass
    aged(tmp_path)
    assert [each.serial for each in prune(store, 30 * DAY_S).bundles] == [1, 6]
    assert not any(is_marked(store, bundles[1].digest, mark) for mark in Mark)


def test_a_prune_that_was_killed_keeps_nobody_from_starting_for_more_than_an_hour(tmp_path: Path) -> None:
    store = new_store(tmp_path / "store")
    bundle = put(store, {"ctr": {1: "a"}})
    left = marked(store, bundle.digest, Mark.CONDEMNED)
    left.__enter__()
    with pytest.raises(StoreError, match="is being pruned"), claimed(store, bundle.digest):
        pass
    (mark,) = (tmp_path / "store" / "condemned").rglob("*.json")
    os.utime(mark, (mark.stat().st_mtime - 3700,) * 2)
    with claimed(store, bundle.digest):
        assert is_marked(store, bundle.digest, Mark.CLAIMED)
    assert mark.exists()


def test_a_publish_puts_back_what_a_prune_took_from_under_it(tmp_path: Path) -> None:
    store, _ = history(tmp_path)
    bundle = put(new_store(tmp_path / "other"), {"new": {1: "xy"}}, serial=9, name="home")
    document = encode_document(signature_of("xy"))

    class Pruning(Store):
        def put_bundle(self, bundle: Bundle) -> bool:
            prune(store, 30 * DAY_S)  # the signature is there, and no bundle names it yet
            return super().put_bundle(bundle)

    done = publish(Pruning(store.storage), bundle, {signature_of("xy").digest: document}.get)
    assert (done.written, done.missing) == (1, ())
    assert store.has_signature(signature_of("xy").digest)


class Memory:
    """A store's place in memory, by a clock that is set by hand."""

    name = "memory"

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, float]] = {}
        self.time = 0.0

    def prepare(self) -> None:
        """Nothing to make."""

    def read(self, key: str, limit: int) -> bytes | None:
        found = self.objects.get(key)
        return None if found is None else found[0][:limit]

    def create(self, key: str, data: bytes) -> bool:
        ours = (data, self.time)
        return self.objects.setdefault(key, ours) is ours

    def replace(self, key: str, data: bytes) -> None:
        self.objects[key] = (data, self.time)

    def delete(self, key: str) -> None:
        self.objects.pop(key, None)

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in [*self.objects] if key.startswith(prefix))

    def folders(self, prefix: str) -> list[str]:
        return sorted({key.removeprefix(prefix).split("/")[0] for key in self.keys(prefix)})

    def changed_at(self, key: str) -> float | None:
        found = self.objects.get(key)
        return None if found is None else found[1]


class KilledError(Exception):
    """The process ends here."""


class Watched:
    """One process's way to a storage. before: called with the number of each operation, from 1."""

    def __init__(self, storage: Memory, before: Callable[[int], None]) -> None:
        self._storage = storage
        self._before = before
        self._lock = threading.Lock()
        self.operations = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._storage, name)
        if not callable(found):
            return found

        def operation(*arguments: Any) -> Any:
            with self._lock:  # a prune reads in several threads
                self.operations += 1
                self._before(self.operations)
            return found(*arguments)

        return operation


def world() -> tuple[Memory, Bundle]:
    """A store in memory with bundle 1 in force, and 2, which is old and was never started."""
    memory = Memory()
    store = Store.create(memory, Settings())
    rolled_out(store, put(store, *serials(1), serial=1))
    pending = put(store, *serials(2), serial=2)
    memory.time = OLD_S
    return memory, pending


def pruned(storage: object) -> None:
    prune(opened(storage), DAY_S)


def started(storage: object, pending: Bundle) -> None:
    """What `rollout start` of a digest does; refused where the bundle is going, or gone."""
    try:
        Rollouts(opened(storage), "ads").start(pending, configuration=Configuration(), **WHO)
    except StoreError as refused:
        if "is being pruned" not in str(refused) and "is not in the store" not in str(refused):
            raise


def opened(storage: Any) -> Store:
    """The store on a Memory, or on a Watched, which passes everything through."""
    return Store(storage)


def assert_sound(memory: Memory) -> None:
    found = verify_store(opened(memory))
    assert found.sound, found.flaws


@functools.cache
def starting() -> int:
    """How many operations a start is."""
    memory, pending = world()
    watched = Watched(memory, lambda _number: None)
    started(watched, pending)
    return watched.operations


@functools.cache
def pruning() -> int:
    """How many operations a prune is."""
    watched = Watched(world()[0], lambda _number: None)
    pruned(watched)
    return watched.operations


def test_a_start_and_a_prune_that_meet_at_any_two_operations_leave_what_is_in_force() -> None:
    outcomes = set()
    for at in range(1, pruning() + 1):
        for held in range(1, starting() + 2):
            memory, pending = world()
            meet(memory, pending, at, held)
            assert_sound(memory)
            head = opened(memory).head("ads")
            outcomes.add((pending.digest in opened(memory).bundles(), head.number if head is not None else 0))
    # Started, and so there; gone, and not started; or each has seen the other, and both let it be.
    assert outcomes == {(True, 7), (False, 6), (True, 6)}


def meet(memory: Memory, pending: Bundle, at: int, held: int) -> None:
    """A start runs from just before a prune's operation `at` up to its own `held`, and ends after the prune."""
    paused, go_on = threading.Event(), threading.Event()

    def before_start(number: int) -> None:
        if number == held:
            paused.set()
            go_on.wait()

    def start() -> None:
        started(Watched(memory, before_start), pending)
        paused.set()

    thread = threading.Thread(target=start)

    def before_prune(number: int) -> None:
        if number == at:
            thread.start()
            paused.wait()

    try:
        pruned(Watched(memory, before_prune))
    finally:
        go_on.set()
        if thread.ident is not None:
            thread.join()


def test_a_prune_that_is_killed_anywhere_leaves_a_sound_store_and_goes_on_when_done_again() -> None:
    for at in range(1, pruning() + 1):
        memory, pending = world()

        def killed(number: int, at: int = at) -> None:
            if number >= at:
                raise KilledError

        with pytest.raises(KilledError):
            pruned(Watched(memory, killed))
        assert_sound(memory)
        started(memory, pending)
        assert_sound(memory)
        memory.time += DAY_S
        pruned(memory)
        assert_sound(memory)


def test_a_start_that_is_killed_anywhere_keeps_its_bundle_or_has_begun_nothing() -> None:
    for at in range(1, starting() + 1):
        memory, pending = world()

        def killed(number: int, at: int = at) -> None:
            if number >= at:
                raise KilledError

        with pytest.raises(KilledError):
            started(Watched(memory, killed), pending)
        pruned(memory)
        assert_sound(memory)


def test_two_marks_of_one_kind_do_not_undo_each_other(tmp_path: Path) -> None:
    store, bundles = history(tmp_path)
    digest = bundles[1].digest
    with marked(store, digest, Mark.CONDEMNED):
        with marked(store, digest, Mark.CONDEMNED):
            pass
        assert is_marked(store, digest, Mark.CONDEMNED)
    assert not is_marked(store, digest, Mark.CONDEMNED)


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    history(tmp_path / "store")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRIMTAB_STORE", "store")
    capsys.readouterr()

    def printed(*words: str) -> list[str]:
        assert main(["store", *words]) == 0
        return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]

    lines = printed("list")
    assert [line.split()[1] for line in lines[1:]] == ["1", "2", "3", "4", "5", "6"]
    assert lines[1].endswith("was in force until entry 11 of ads")
    assert lines[2].endswith("is what a rollback of ads restores")
    assert lines[3].endswith("was rolled back (entry 14 of ads), and new ones are held to it")
    assert lines[4].endswith("is in force as ads")
    assert lines[5].endswith("never started")
    lines = printed("prune", "--keep", "60")
    assert lines[-2:] == [
        "2 bundles and 1 signature may be removed; 4 bundles stay",
        "Remove them: trimtab store prune --keep 60 --delete",
    ]
    assert main(["store", "list", "--json"]) == 0
    before = json.loads(capsys.readouterr().out)["bundles"]
    assert [each["needed"] != [] for each in before] == [False, True, True, True, False, False]
    assert main(["store", "prune", "--delete", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["deleted"], [each["serial"] for each in found["bundles"]], found["kept"]) == (True, [1, 5], 4)
    assert printed("prune", "--delete") == ["0 bundles and 0 signatures removed; 4 bundles stay"]
    beginning = before[5]["digest"][:19]
    assert main(["rollout", "start", beginning]) == 0
    capsys.readouterr()
    assert main(["rollout", "start", before[0]["digest"][:19]]) == 1
    assert "trimtab store list" in capsys.readouterr().err
