"""Watching: swaps under readers, and a watcher that nothing kills."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bundle_making import bundle

from trimtab.bundles.bundle import Bundle, write_bundle
from trimtab.bundles.consolidated import ConsolidatedMap
from trimtab.bundles.loading.loader import BundleLoader
from trimtab.bundles.loading.watcher import BundleWatcher
from trimtab.bundles.outcomes import Outcome


def numbered(serial: int) -> Bundle:
    """A bundle whose every fact tells its serial."""
    names = [f"{letter}{serial}" for letter in "abc"]
    return bundle({"ctr": {serial: names}, "ranker": {serial: [*names, "more"]}}, serial=serial)


def until(fact: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Threads take turns after 50 us: more interleavings, and no waiting for readers that spin."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(50e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("eager_threads")
def test_readers_see_whole_maps_only_while_200_swaps_happen(tmp_path: Path) -> None:
    path = tmp_path / "ads.json"
    write_bundle(path, numbered(1))
    loader = BundleLoader([path], tmp_path / "state")
    wrong: list[str] = []
    done = threading.Event()

    def read() -> None:
        seen = 0
        while not done.is_set():
            held = loader.current
            serial = held.bundles["ads"].serial
            found = held.lookup("ctr", str(serial))
            latest = held.lookup("ranker")
            names = {f"{letter}{serial}" for letter in "abc"}
            if found.outcome is not Outcome.EXACT or found.allowlist != names or latest.allowlist != {*names, "more"}:
                wrong.append(f"torn at {serial}: {found} {latest}")
            if serial < seen:
                wrong.append(f"went back from {seen} to {serial}")
            seen = serial

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    swapped: list[int] = []
    with BundleWatcher(loader, 0.0005, lambda new: swapped.append(new.bundles["ads"].serial)) as watcher:
        for serial in range(2, 202):
            write_bundle(path, numbered(serial))
            until(lambda expected=serial: loader.current.bundles["ads"].serial == expected)
        until(lambda: len(swapped) == 200)
    done.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert swapped == list(range(2, 202))
    assert watcher.status.error == ""


def test_a_watcher_outlives_what_the_callback_raises(tmp_path: Path) -> None:
    path = tmp_path / "ads.json"
    write_bundle(path, numbered(1))

    serials: list[int] = []

    def fail(new: ConsolidatedMap) -> None:
        serials.append(new.bundles["ads"].serial)
        raise RuntimeError("the caller's own")

    loader = BundleLoader([path])
    with BundleWatcher(loader, 0.001, fail) as watcher:
        write_bundle(path, numbered(2))
        until(lambda: serials == [2])
        rounds = watcher.status.rounds
        until(lambda: watcher.status.rounds > rounds)
        assert watcher.status.running
        write_bundle(path, numbered(3))
        until(lambda: serials == [2, 3])
    assert loader.current.bundles["ads"].serial == 3


def test_what_the_callback_raises_is_the_error_of_its_round(tmp_path: Path) -> None:
    path = tmp_path / "ads.json"
    write_bundle(path, numbered(1))

    def fail(new: ConsolidatedMap) -> None:
        watcher.interval_s = 3600  # no other round follows, which would clear the error
        raise RuntimeError("the caller's own")

    watcher = BundleWatcher(BundleLoader([path]), 0.001, fail)
    write_bundle(path, numbered(2))
    with watcher:
        until(lambda: bool(watcher.status.error))
        assert watcher.status.error == "RuntimeError: the caller's own"


def test_a_watcher_outlives_a_loader_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ads.json"
    write_bundle(path, numbered(1))
    loader = BundleLoader([path])
    refresh = loader.refresh
    failures = iter([MemoryError("once"), OSError("twice")])

    def flaky() -> bool:
        for failure in failures:
            raise failure
        return refresh()

    monkeypatch.setattr(loader, "refresh", flaky)
    write_bundle(path, numbered(2))
    with BundleWatcher(loader, 0.001) as watcher:
        until(lambda: loader.current.bundles["ads"].serial == 2)
        until(lambda: watcher.status.error == "")


def test_start_and_stop(tmp_path: Path) -> None:
    loader = BundleLoader([tmp_path / "ads.json"])
    watcher = BundleWatcher(loader, 0.001)
    watcher.stop()
    assert (watcher.status.running, watcher.status.rounds, watcher.status.last_round) == (False, 0, None)
    for _ in range(2):
        assert watcher.start() is watcher.start()
        rounds = watcher.status.rounds
        until(lambda before=rounds: watcher.status.rounds > before)
        assert watcher.status.running
        watcher.stop()
        assert not watcher.status.running
    assert watcher.status.last_round is not None


def test_stopping_does_not_wait_for_the_interval(tmp_path: Path) -> None:
    watcher = BundleWatcher(BundleLoader([tmp_path / "ads.json"]), 3600).start()
    watcher.stop()
    assert not watcher.status.running
