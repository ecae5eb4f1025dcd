"""The laws of storage, the same for every kind of place."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from s3_server import SmallS3, environment, google, small_s3

from trimtab.bundles.store.local import LocalStorage
from trimtab.bundles.store.objects import ObjectStorage, object_storage
from trimtab.bundles.store.storage import Storage
from trimtab.errors import StoreError

obstore_store = pytest.importorskip("obstore.store")


@pytest.fixture(scope="module")
def server() -> Iterator[SmallS3]:
    with small_s3() as server:
        yield server


def memory(prefix: str = "below/this") -> ObjectStorage:
    place = obstore_store.MemoryStore()
    return ObjectStorage("memory", place, once=place, prefix=prefix)


@pytest.fixture(params=["folder", "memory", "memory without a prefix", "s3", "gs"])
def storage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    if request.param == "folder":
        place: Storage = LocalStorage(tmp_path / "made" / "here")
    elif request.param in ("s3", "gs"):
        server = request.getfixturevalue("server")
        server.objects.clear()
        for name, value in {**environment(server.url), **google(server.url, tmp_path)}.items():
            monkeypatch.setenv(name, value)
        place = object_storage(f"{request.param}://bucket/a/prefix")
    else:
        place = memory("" if "without" in request.param else "below/this")
    place.prepare()
    place.prepare()
    return place


def test_an_object_is_created_once(storage: Storage) -> None:
    assert storage.create("a/b/c.json", b"first")
    assert not storage.create("a/b/c.json", b"second")
    assert not storage.create("a/b/c.json", b"first")
    assert storage.read("a/b/c.json", 100) == b"first"


def test_an_object_is_replaced_and_deleted(storage: Storage) -> None:
    storage.replace("a/b.json", b"first")
    storage.replace("a/b.json", b"")
    assert storage.read("a/b.json", 100) == b""
    assert not storage.create("a/b.json", b"second")
    storage.delete("a/b.json")
    storage.delete("a/b.json")
    storage.delete("nowhere/at.all")
    assert storage.read("a/b.json", 100) is None
    assert storage.create("a/b.json", b"second")


def test_what_is_not_there_is_nothing(storage: Storage) -> None:
    assert storage.read("none", 10) is None
    assert storage.read("no/folder/none", 10) is None
    assert storage.changed_at("no/folder/none") is None
    assert storage.keys("no/folder/") == []
    assert storage.folders("no/") == []


def test_keys_are_sorted_and_of_their_prefix_alone(storage: Storage) -> None:
    for key in ("b/2", "b/10/x.json", "b/1", "bc/1", "a", "b.json", "b-1/x"):
        assert storage.create(key, b"")
    assert storage.keys("b/") == ["b/1", "b/10/x.json", "b/2"]
    assert storage.keys("b/10/") == ["b/10/x.json"]
    assert set(storage.keys("")) >= {"a", "b-1/x", "b.json", "b/1", "b/10/x.json", "b/2", "bc/1"}
    assert storage.keys("") == sorted(storage.keys(""))
    assert storage.folders("b/") == ["10"]
    assert set(storage.folders("")) >= {"b", "b-1", "bc"}


def test_an_object_is_read_up_to_its_limit(storage: Storage) -> None:
    storage.create("a", b"12345")
    assert storage.read("a", 5) == b"12345"
    with pytest.raises(StoreError, match="expected at most 4 bytes"):
        storage.read("a", 4)


def test_the_time_of_a_write_does_not_go_back(storage: Storage) -> None:
    times = []
    for content in range(5):
        storage.replace("clock", str(content).encode())
        times.append(storage.changed_at("clock"))
    assert None not in times
    assert times == sorted(times)


NO_KEYS = [
    "",
    "/",
    "/absolute",
    "../outside",
    "a/../../outside",
    "a/./b",
    "a//b",
    "a/",
    ".partial/x",
    "a/.hidden",
    "a\\b",
    "a b",
    "a\n",
    "a\0b",
    "ä",
    "a%2e",
    "a?b",
    "a#b",
    "x" * 300,
    "/".join("a" * 500),
]


@pytest.mark.parametrize("key", NO_KEYS, ids=repr)
def test_nothing_leads_out_of_the_place(storage: Storage, key: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: storage.read(key, 10),
        lambda: storage.create(key, b""),
        lambda: storage.replace(key, b""),
        lambda: storage.delete(key),
        lambda: storage.changed_at(key),
        lambda: storage.keys(f"{key}/"),
        lambda: storage.folders(f"{key}/"),
    ]
    for call in calls:
        with pytest.raises(StoreError, match=r"expected a (key|prefix)"):
            call()
    with pytest.raises(StoreError, match="prefix that ends in a slash"):
        storage.keys("a")


def test_of_many_who_create_one_succeeds(storage: Storage) -> None:
    for number in range(5):
        begin = threading.Barrier(8)
        created: list[int] = []

        def create(writer: int, key: str = f"race/{number}", begin: threading.Barrier = begin) -> None:
            begin.wait()
            if storage.create(key, f"{writer}".encode()):
                created.append(writer)  # noqa: B023  # joined before the next round

        threads = [threading.Thread(target=create, args=(writer,)) for writer in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [str(each).encode() for each in created] == [storage.read(f"race/{number}", 10)]


class AgainstDict(RuleBasedStateMachine):
    """A storage does what a dict does."""

    storage: Storage

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, bytes] = {}

    keys = st.sampled_from(["a", "b/a", "b/b", "b/c/a", "b/c/b", "d.json", "e-1/x"])
    data = st.binary(max_size=20)

    @rule(key=keys, data=data)
    def create(self, key: str, data: bytes) -> None:
        assert self.storage.create(key, data) == (key not in self.model)
        self.model.setdefault(key, data)

    @rule(key=keys, data=data)
    def replace(self, key: str, data: bytes) -> None:
        self.storage.replace(key, data)
        self.model[key] = data

    @rule(key=keys)
    def delete(self, key: str) -> None:
        self.storage.delete(key)
        self.model.pop(key, None)

    @rule(key=keys)
    def read(self, key: str) -> None:
        assert self.storage.read(key, 100) == self.model.get(key)
        assert (self.storage.changed_at(key) is None) == (key not in self.model)

    @invariant()
    def lists_what_there_is(self) -> None:
        assert self.storage.keys("") == sorted(self.model)
        for prefix in ("b/", "b/c/", "z/"):
            assert self.storage.keys(prefix) == sorted(key for key in self.model if key.startswith(prefix))


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_a_storage_is_a_dict(kind: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    class Machine(AgainstDict):
        def __init__(self) -> None:
            super().__init__()
            self.storage = LocalStorage(tmp_path_factory.mktemp("store")) if kind == "folder" else memory()

    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(Machine, settings=settings(max_examples=40, stateful_step_count=20, deadline=None))
