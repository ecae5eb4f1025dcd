"""Many processes at one store: of those who append the same number one wins, and nobody loses anything else."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import store_making
from s3_server import environment, small_s3
from store_making import NEW, OLD, a_signature, a_store, begin, documents, touched

from trimtab.bundles.store import local
from trimtab.bundles.store.local import LocalStorage
from trimtab.bundles.store.opening import open_store, storage_at
from trimtab.bundles.store.publishing import publish
from trimtab.bundles.store.store import Store
from trimtab.bundles.store.verifying import verify_store

WRITER = """
import sys
from store_making import begin, touched
from trimtab.bundles.store.opening import open_store

place, who, wins = sys.argv[1], sys.argv[2], int(sys.argv[3])
store, won, tried = open_store(place), 0, 0
print("ready", flush=True)
sys.stdin.readline()
while won < wins:
    head = store.head("ads")
    tried += 1
    won += store.append(touched(head, who) if head is not None else begin())
print(tried)
"""


def race(place: str, writers: int, wins: int, more: dict[str, str]) -> int:
    """How often all writers together tried, until each had won so often."""
    source = Path(local.__file__).resolve().parents[3]
    path = os.pathsep.join([str(source), str(Path(store_making.__file__).parent)])
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, place, f"writer-{number}", str(wins)],
            env={**os.environ, **more, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(writers)
    ]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    tried = 0
    for process in processes:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        tried += int(out)
    return tried


def check_history(store: Store, entries: int, wins: int) -> None:
    history = list(store.entries("ads"))
    assert [each.number for each in history] == list(range(1, entries + 1))
    won = [each.by for each in history[1:]]
    assert sum(map(won.count, set(won))) == entries - 1
    assert {won.count(each) for each in set(won)} <= {wins, wins - 1}
    assert store.head("ads") == history[-1]


def test_of_processes_that_append_to_a_folder_one_wins_each_number(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    store.put_bundle(OLD)
    tried = race(str(tmp_path), writers=4, wins=20, more={})
    assert tried > 80  # else nobody ever lost, and it was no race
    check_history(store, 80, 20)
    assert verify_store(store).sound
    assert LocalStorage(tmp_path).leftovers() == 0


def test_of_processes_that_append_to_an_object_store_one_wins_each_number(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("obstore")
    with small_s3() as server:
        for name, value in environment(server.url).items():
            monkeypatch.setenv(name, value)
        store = Store.create(storage_at("s3://bucket/store"))
        store.put_bundle(OLD)
        # Answers that are lost: the writer finds its own entry where it wrote it, and has won.
        server.trouble.puts += ["", "lost", "", "", "503"] * 6
        tried = race("s3://bucket/store", writers=3, wins=10, more=environment(server.url))
        assert tried >= 30
        check_history(store, 30, 10)
        assert verify_store(store).sound


def test_two_who_publish_the_same_bundle_both_succeed(tmp_path: Path) -> None:
    a_store(tmp_path)
    named = documents(a_signature("a", "b"))
    for number in range(20):
        place = tmp_path / str(number)
        a_store(place)
        with ThreadPoolExecutor(4) as pool:
            done = list(pool.map(lambda _, place=place: publish(open_store(place), NEW, named.get), range(4)))
        assert sum(each.new for each in done) == 1
        assert sum(each.written for each in done) == 1
        assert verify_store(open_store(place)).sound


def test_two_who_begin_a_store_make_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: Store.create(LocalStorage(tmp_path / "a" / "b")), range(4)))
    assert len({each.settings for each in stores}) == 1


def test_a_reader_never_sees_half_an_entry(tmp_path: Path) -> None:
    """Readers beside a writer: every entry that is there is whole, and the head never goes back."""
    store = a_store(tmp_path)
    head = begin()
    assert store.append(head)
    stop = False

    def read() -> int:
        seen, reader = 0, open_store(tmp_path)
        while not stop:
            found = reader.head("ads", seen)
            assert found is not None
            assert found.number >= seen
            seen = found.number
        return seen

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        for _ in range(100):
            head = touched(head)
            assert store.append(head)
        stop = True
        assert all(1 <= each.result() <= 101 for each in readers)
