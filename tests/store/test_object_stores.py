"""Stores in object stores: lost answers, servers that hang, refuse or lie, and errors without secrets."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest
from s3_server import SmallS3, azure, environment, small_s3
from store_making import NEW, OLD, a_signature, begin, documents, start, touched

from trimtab.bundles.store.acknowledged import Acknowledgment, acknowledge, acknowledged
from trimtab.bundles.store.objects import TRIES, ObjectStorage, object_storage
from trimtab.bundles.store.opening import open_store, storage_at
from trimtab.bundles.store.pointers import Pointer, Stage, Tier
from trimtab.bundles.store.pruning import prune
from trimtab.bundles.store.publishing import publish
from trimtab.bundles.store.store import Store
from trimtab.bundles.store.verifying import verify_store
from trimtab.cli.main import main
from trimtab.errors import MissingExtraError, StoreError

pytest.importorskip("obstore")

SECRET = "hidden"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallS3]:
    with small_s3() as server:
        for name, value in environment(server.url).items():
            monkeypatch.setenv(name, value)
        yield server


def quick() -> ObjectStorage:
    return object_storage("s3://bucket/store", timeout=3)


def test_http_goes_to_other_machines_only_where_it_is_allowed(server: SmallS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url.replace("127.0.0.1", "0.0.0.0"))
    with pytest.raises(StoreError, match="plain http where https was asked for"):
        quick().read("key", 1)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    assert quick().read("key", 1) is None


@pytest.mark.parametrize(
    "troubles",
    [["lost"], ["lost", "lost"], ["cut"], ["409"], ["503", "409", "500"], ["503", "lost"], ["hang"]],
    ids=" then ".join,
)
def test_a_put_whose_answer_is_lost_finds_its_own_object(server: SmallS3, troubles: list[str]) -> None:
    server.trouble.puts += troubles
    server.hang_s = 6
    assert quick().create("a", b"mine")
    assert server.objects["store/a"][0] == b"mine"
    assert not quick().create("a", b"mine")


@pytest.mark.parametrize("theirs", [b"theirs", b"longer than mine", b""])
@pytest.mark.parametrize("troubles", [[], ["cut"], ["503"], ["lost"], ["409"], ["409", "409"]])
def test_a_put_that_finds_another_object_has_lost(server: SmallS3, troubles: list[str], theirs: bytes) -> None:
    storage = quick()
    assert storage.create("a", theirs)
    server.trouble.puts += troubles
    assert not storage.create("a", b"mine")
    assert server.objects["store/a"][0] == theirs


@pytest.mark.parametrize("trouble", ["503", "cut", "hang"])
def test_a_server_that_never_answers_ends_in_an_error(server: SmallS3, trouble: str) -> None:
    server.trouble.puts += [trouble] * 50
    server.trouble.gets += [trouble] * 50
    server.hang_s = 600
    storage = object_storage("s3://bucket/store", timeout=0.4 if trouble == "hang" else 10)
    begun = time.monotonic()
    for call in (lambda: storage.create("a", b"mine"), lambda: storage.read("a", 10), lambda: storage.changed_at("a")):
        with pytest.raises(StoreError) as raised:
            call()
        assert SECRET not in str(raised.value)
        assert "127.0.0.1" not in str(raised.value)
        assert str(raised.value).startswith("s3://bucket/store: a: ")
    assert sum(method == "PUT" for method, _ in server.asked) == TRIES
    assert time.monotonic() - begun < 300


@pytest.mark.parametrize("status", ["403", "401", "400"])
def test_a_refusal_is_told_at_once_and_without_the_servers_words(server: SmallS3, status: str) -> None:
    server.trouble.puts += [status] * 9
    with pytest.raises(StoreError) as raised:
        quick().create("a", b"mine")
    assert sum(method == "PUT" for method, _ in server.asked) == 1
    assert SECRET not in str(raised.value)
    assert f"{status} TestCode" in str(raised.value)
    assert ("AWS_ACCESS_KEY_ID" in raised.value.hint) == (status != "400")
    assert "anonymous" not in str(raised.value)


def test_a_server_without_conditional_puts_is_refused(server: SmallS3) -> None:
    server.overwrites = True
    with pytest.raises(StoreError, match=r"conditional puts \(If-None-Match\)"):
        Store.create(quick())
    with pytest.raises(StoreError, match="expected a store"):
        open_store("s3://bucket/store")


def test_azure_says_in_its_own_way_that_an_object_is_there(server: SmallS3, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in azure(server.url).items():
        monkeypatch.setenv(name, value)
    server.taken = 409
    storage = object_storage("az://bucket/store", timeout=20)
    assert storage.create("a", b"mine")
    assert not storage.create("a", b"theirs")
    assert sum(method == "PUT" for method, _ in server.asked) == 2
    assert storage.read("a", 10) == b"mine"
    server.trouble.puts += ["lost"]
    assert storage.create("b", b"mine")
    server.trouble.puts += ["503"]
    assert not storage.create("b", b"theirs")


def test_no_server_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment("http://127.0.0.1:1").items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StoreError, match="no connection"):
        Store(quick())


@pytest.mark.parametrize(
    "address",
    [
        "s3://user:hidden@bucket/store",
        "s3://bucket/store?token=hidden",
        "s3://bucket/../hidden",
        "s3:///hidden",
        "http://user:hidden@host/store",
        "https://host/store?token=hidden",
        "ftp://user:hidden@host/x",
        "s3://bucket/a b/hidden",
    ],
)
def test_an_address_that_is_no_place_is_refused_without_its_secrets(address: str) -> None:
    with pytest.raises(StoreError) as raised:
        storage_at(address)
    assert SECRET not in str(raised.value)


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'trimtab\[remote\]'"):
        open_store("s3://bucket/store")


def test_a_whole_store_in_an_object_store(server: SmallS3, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["store", "init", "s3://bucket/team/store/", "--lease", "60"]) == 0
    store = open_store("s3://bucket/team/store")
    assert store.settings.lease_s == 60
    for bundle, names in ((OLD, "a"), (NEW, "ab")):
        assert publish(store, bundle, documents(a_signature(*names)).get).new
    first = begin()
    assert store.append(first)
    assert store.append(start(first))
    said = Acknowledgment(entry=2, in_force=Pointer(OLD.digest, NEW.digest))
    acknowledge(store, "ads", Tier.ROOT, Stage.CANARY, instance="root-1", said=said)
    (word,) = acknowledged(store, "ads", Tier.ROOT, Stage.CANARY)
    assert word.said == said
    assert 0 <= word.age_s <= 2
    assert store.names() == ["ads"]
    assert verify_store(store).sound
    capsys.readouterr()
    assert main(["store", "show", "--store", "s3://bucket/team/store", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["names"]["ads"]
    assert shown["pointers"]["root_canary"]["acknowledged"][0]["instance"] == "root-1"


def test_the_end_of_a_long_history_takes_few_requests(server: SmallS3) -> None:
    store = Store.create(quick())
    entry = begin()
    for _ in range(300):
        assert store.append(entry)
        entry = touched(entry)
    server.asked.clear()
    head = store.head("ads")
    assert head is not None
    assert head.number == 300
    assert len(server.asked) <= 2 * (300).bit_length() + 2
    server.asked.clear()
    assert store.head("ads", 300) == head
    assert len(server.asked) == 2


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    pytest.importorskip("moto.server", reason="moto is not installed, the other S3 of these tests")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def test_a_server_that_is_not_ours_agrees(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(moto).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StoreError, match=r"expected a bucket, got none of that name \(404 NoSuchBucket\)"):
        Store.create(storage_at("s3://bucket/store"))
    urllib.request.urlopen(urllib.request.Request(f"{moto}/bucket", method="PUT"))
    store = Store.create(storage_at("s3://bucket/store"))
    publish(store, OLD, documents(a_signature("a")).get)
    assert not store.put_bundle(OLD)
    assert store.append(begin())
    assert not store.append(begin())
    assert store.head("ads") is not None
    assert store.names() == ["ads"]
    store.storage.delete("probe")
    assert store.storage.read("probe", 10) is None
    assert verify_store(store).sound


@pytest.mark.usefixtures("server")
def test_what_nobody_needs_is_pruned() -> None:
    store = Store.create(quick())
    for bundle, names in ((OLD, "a"), (NEW, "ab")):
        publish(store, bundle, documents(a_signature(*names)).get)
    assert store.append(begin())
    time.sleep(1.1)  # most servers tell the time to the second
    done = prune(store, 0)
    assert ([each.digest for each in done.bundles], done.signatures, done.kept) == ([NEW.digest], 1, 1)
    assert store.bundles() == [OLD.digest]
    assert verify_store(store).sound
    assert not [key for key in store.storage.keys("") if key.startswith(("claimed/", "condemned/"))]
