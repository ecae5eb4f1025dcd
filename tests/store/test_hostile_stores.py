"""Stores that somebody damaged or built to do harm: everything is an error of ours, and verify tells what it is."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from store_making import NEW, NEXT, OLD, a_bundle, a_signature, a_store, begin, documents, start, touched

from trimtab.bundles.bundle import Bundle, decode_bundle
from trimtab.bundles.store import store as store_module
from trimtab.bundles.store.acknowledged import Acknowledgment, acknowledge, acknowledged
from trimtab.bundles.store.entry import Entry, Position, encode_entry, following
from trimtab.bundles.store.local import LocalStorage
from trimtab.bundles.store.opening import is_store, open_store
from trimtab.bundles.store.pointers import Pointer, Stage, Tier
from trimtab.bundles.store.publishing import publish
from trimtab.bundles.store.store import MARK, MAX_NUMBER, Settings, Store
from trimtab.bundles.store.verifying import Level, verify_store
from trimtab.errors import StoreError, TrimtabError


def sound_store(folder: Path) -> Store:
    store = a_store(folder)
    for bundle, names in ((OLD, "a"), (NEW, "ab")):
        publish(store, bundle, documents(a_signature(*names)).get)
    first = begin()
    assert store.append(first)
    second = start(first)
    assert store.append(second)
    assert store.append(touched(second))
    said = Acknowledgment(entry=2, in_force=Pointer(OLD.digest, NEW.digest))
    acknowledge(store, "ads", Tier.ROOT, Stage.CANARY, instance="root-1", said=said)
    return store


def entry_path(store: Store, number: int, name: str = "ads") -> Path:
    return Path(store.name) / "history" / name / f"{number:012}.json"


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def put_entry(store: Store, entry: Entry) -> None:
    put(entry_path(store, entry.number, entry.name), encode_entry(entry))


def bundle_path(store: Store, digest: str = OLD.digest) -> Path:
    return Path(store.name) / "bundles" / "sha256" / f"{digest.removeprefix('sha256:')}.json"


def signature_path(store: Store) -> Path:
    return Path(store.name) / "signatures" / "sha256" / f"{a_signature('a').digest.removeprefix('sha256:')}.json"


def said_path(store: Store) -> Path:
    return Path(store.name) / "acknowledged" / "ads" / "root" / "canary" / "root-1.json"


def shifted(store: Store, **pointers: Pointer) -> Entry:
    head = store.head("ads")
    assert head is not None
    return following(head, by="", why="", move="advance", pointers=replace(head.pointers, **pointers))


BOTH = Pointer(OLD.digest, NEW.digest)

DAMAGE: dict[str, tuple[Callable[[Store], object], str]] = {
    "bundle replaced by another": (
        lambda store: put(bundle_path(store), bundle_path(store, NEW.digest).read_bytes()),
        "another bundle lies there",
    ),
    "bundle cut": (lambda store: put(bundle_path(store), bundle_path(store).read_bytes()[:-20]), "JSON"),
    "bundle gone": (lambda store: bundle_path(store).unlink(), "is in force as ads, and is not in the store"),
    "bundle of other content": (
        lambda store: put(bundle_path(store), bundle_path(store).read_bytes().replace(b"ctr", b"ctx")),
        "digest does not fit",
    ),
    "signature replaced": (lambda store: put(signature_path(store), b'{"input_names": ["x"]}'), "output_names"),
    "signature of another": (
        lambda store: put(signature_path(store), documents(a_signature("z"))[a_signature("z").digest]),
        "another signature lies there",
    ),
    "entry edited": (
        lambda store: put(entry_path(store, 2), entry_path(store, 2).read_bytes().replace(b"somebody", b"nobody")),
        "does not follow from the entry before it",
    ),
    "entry with white space": (
        lambda store: put(entry_path(store, 3), b" " + entry_path(store, 3).read_bytes()),
        "not written as entries are",
    ),
    "entry with a key twice": (
        lambda store: put(entry_path(store, 3), entry_path(store, 3).read_bytes().replace(b'{"at"', b'{"at":"","at"')),
        "twice",
    ),
    "entry gone": (lambda store: entry_path(store, 2).unlink(), "a gap: there is no entry from 2 to 2"),
    "first entry gone": (lambda store: entry_path(store, 1).unlink(), "a gap: there is no entry from 1 to 1"),
    "entry of another number": (
        lambda store: put(entry_path(store, 4), entry_path(store, 3).read_bytes()),
        "another entry lies there",
    ),
    "entry number 0": (lambda store: put(entry_path(store, 0), entry_path(store, 3).read_bytes()), "no object"),
    "entry of a huge number": (
        lambda store: put(entry_path(store, MAX_NUMBER), b"{}"),
        f"no entry from 4 to {MAX_NUMBER - 1}",
    ),
    "entry without a number": (
        lambda store: put(entry_path(store, 0).with_name("latest.json"), b"{}"),
        "no object of a store",
    ),
    "entry of a newer form": (
        lambda store: put(
            entry_path(store, 3), entry_path(store, 3).read_bytes().replace(b'"entry_version":1', b'"entry_version":2')
        ),
        "expected 1, got 2",
    ),
    "entry as deep as can be": (lambda store: put(entry_path(store, 4), b"[" * 100_000), "JSON"),
    "entry as large as can be": (lambda store: put(entry_path(store, 4), bytes(2 << 20)), "at most"),
    "a second branch": (
        lambda store: put_entry(store, replace(touched(begin()), number=4)),
        "does not follow from the entry before it",
    ),
    "leaf before its root": (
        lambda store: put_entry(store, shifted(store, root_production=BOTH, leaf_production=Pointer(NEW.digest))),
        "while the root had only",
    ),
    "root drops what the leaf has": (
        lambda store: put_entry(
            store, shifted(store, root_production=Pointer(NEW.digest), leaf_production=Pointer(NEW.digest))
        ),
        "while the leaf had",
    ),
    "leaf that its root does not cover": (
        lambda store: put(
            entry_path(store, 4),
            msgspec.json.encode(
                {
                    **msgspec.to_builtins(touched(touched(start(begin())))),
                    "pointers": {"leaf_canary": {"current": NEW.digest}},
                },
                order="sorted",
            )
            + b"\n",
        ),
        "the root does not cover the leaf",
    ),
    "pointers that do not fit the position": (
        lambda store: put_entry(
            store,
            replace(
                shifted(store, leaf_canary=Pointer(NEW.digest)),
                rollout=replace(start(begin()).rollout, position=Position.ROOT_CANARY),  # type: ignore[type-var]
            ),
        ),
        "should have the former bundle in force",
    ),
    "a bundle in force that was never there": (
        lambda store: put_entry(store, start(begin(NEXT.digest))),
        "",
    ),
    "acknowledgment that says nothing": (lambda store: put(said_path(store), b""), "JSON"),
    "acknowledgment of what is to come": (
        lambda store: put(said_path(store), b'{"entry":9,"in_force":{}}'),
        "it follows entry 9, and the history ends with 3",
    ),
    "folder for a bundle": (
        lambda store: (bundle_path(store).unlink(), put(bundle_path(store) / "x.json", b"")),
        "is in force as ads, and is not in the store",
    ),
    "link for a bundle": (
        lambda store: (
            bundle_path(store).rename(Path(store.name).parent / "elsewhere"),
            bundle_path(store).symlink_to(Path(store.name).parent / "elsewhere"),
        ),
        "symbolic link",
    ),
    "pipe for a bundle": (
        lambda store: (bundle_path(store).unlink(), os.mkfifo(bundle_path(store))),
        "expected a file",
    ),
    "links for folders": (
        lambda store: (
            (Path(store.name) / "bundles").rename(Path(store.name).parent / "elsewhere"),
            (Path(store.name) / "bundles").symlink_to(Path(store.name).parent / "elsewhere"),
        ),
        "is in force as ads, and is not in the store",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_told(damage: str, tmp_path: Path) -> None:
    store = sound_store(tmp_path / "store")
    assert verify_store(store).sound
    do, told = DAMAGE[damage]
    do(store)
    found = verify_store(store)
    assert not found.sound
    errors = [f"{each.where}: {each.problem}" for each in found.flaws if each.level is Level.ERROR]
    assert any(told in each for each in errors), errors


FOREIGN = [
    ".DS_Store",
    "history/ads/-00000000001.json",
    "history/.DS_Store",
    "history/ads/.nfs0001",
    "bundles/Thumbs db",
    "lost+found/x",
    ".git/HEAD",
]


@pytest.mark.parametrize("name", FOREIGN)
def test_files_of_others_do_no_harm(name: str, tmp_path: Path) -> None:
    store = sound_store(tmp_path / "store")
    before = verify_store(store)
    put(tmp_path / "store" / name, b"something")
    if os.getuid():
        (tmp_path / "store" / name).parent.chmod(0o700)
    assert verify_store(store) == before
    assert store.names() == ["ads"]
    assert len(list(store.entries("ads"))) == 3


def test_a_folder_in_a_history_is_no_name_and_no_entry(tmp_path: Path) -> None:
    store = sound_store(tmp_path / "store")
    (tmp_path / "store" / "history" / "empty").mkdir()
    entry_path(store, 4).mkdir()
    assert store.names() == ["ads"]
    with pytest.raises(StoreError, match="expected a file, got something else"):
        store.head("ads")


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (b"", "expected JSON"),
        (b"[]", "expected 1, got None"),
        (b"{}", "expected 1, got None"),
        (b'{"store_version":2}', "Upgrade this one"),
        (b'{"store_version":1,"lease_s":"long"}', "Expected `float`"),
        (b'{"store_version":1,"lease_s":0}', "> 0"),
        (b'{"store_version":1,"lease_s":-1}', "> 0"),
        (b'{"store_version":1,"lease_s":1e999}', "overflows"),
        (b'{"store_version":1,"lease_s":NaN}', "NaN"),
        (b'{"store_version":1,"lease_s":1e9}', "<= 604800"),
        (b'{"store_version":1,"more":1}', "unknown field"),
        (b"\xff", "UTF-8"),
        (bytes(2 << 20), "at most"),
    ],
)
def test_settings_that_are_none_are_refused(tmp_path: Path, written: bytes, told: str) -> None:
    (tmp_path / MARK).write_bytes(written)
    assert is_store(tmp_path)
    with pytest.raises(StoreError) as raised:
        open_store(tmp_path)
    assert told in str(raised.value)


@pytest.mark.parametrize("lease_s", [0, -1, float("inf"), float("nan"), 1e9])
def test_a_store_is_not_begun_with_settings_that_are_none(tmp_path: Path, lease_s: float) -> None:
    with pytest.raises(StoreError):
        Store.create(LocalStorage(tmp_path / "new"), Settings(lease_s=lease_s))
    assert not (tmp_path / "new").exists()


def test_a_store_that_is_there_keeps_its_settings(tmp_path: Path) -> None:
    assert a_store(tmp_path, lease_s=5.0).settings.lease_s == 5
    assert a_store(tmp_path).settings.lease_s == 5
    with pytest.raises(StoreError, match="the store has other settings"):
        a_store(tmp_path, lease_s=6.0)


@pytest.mark.parametrize("place", ["none", "a/file"])
def test_where_there_is_no_store_the_error_says_how_to_begin_one(tmp_path: Path, place: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"")
    with pytest.raises(StoreError):
        open_store(tmp_path / place)
    assert not is_store(tmp_path / place)


def test_an_entry_comes_only_after_the_one_it_follows_from(tmp_path: Path) -> None:
    store = sound_store(tmp_path / "store")
    head = store.head("ads")
    assert head is not None
    other = touched(head, "another")
    for wrong in (
        replace(other, number=6),
        replace(other, previous=f"sha256:{'0' * 64}"),
        replace(other, previous=""),
        replace(other, number=1),
        replace(begin(name="home"), previous=head.hash),
        replace(other, name="home"),
    ):
        with pytest.raises(StoreError, match="does not follow from the one before it"):
            store.append(wrong)
    assert store.head("ads") == head
    assert store.append(other)
    assert not store.append(touched(head, "too late"))


@pytest.mark.parametrize(
    ("why", "told"),
    [("\x01" * 200_000, "at most 1048576 bytes"), ("\udcff", "texts in UTF-8")],
    ids=["longer than anybody reads", "no Unicode"],
)
def test_an_entry_that_nobody_could_read_is_not_written(tmp_path: Path, why: str, told: str) -> None:
    store = sound_store(tmp_path / "store")
    head = store.head("ads")
    assert head is not None
    with pytest.raises(StoreError, match=told) as caught:
        store.append(following(head, by="somebody", why=why, move="hold"))
    assert "--why" in caught.value.hint
    assert store.head("ads") == head
    assert verify_store(store).sound


def test_a_history_that_became_shorter_is_an_error(tmp_path: Path) -> None:
    store = sound_store(tmp_path / "store")
    with pytest.raises(StoreError, match="shorter than it was"):
        store.head("ads", 9)
    for number in (0, -1, MAX_NUMBER + 1, 2**60):
        with pytest.raises(StoreError, match="number of an entry"):
            store.entry("ads", number)
    for name in ("", "..", "a/b", ".hidden", "a" * 200, "a\n"):
        with pytest.raises(StoreError, match="name of a bundle"):
            store.entry(name, 1)


def test_the_newest_entries_are_held_to_the_chain(tmp_path: Path) -> None:
    store = sound_store(tmp_path / "store")
    assert [each.number for each in store.newest("ads", 2)] == [3, 2]
    assert [each.number for each in store.newest("ads", 9)] == [3, 2, 1]
    assert store.newest("none", 9) == []
    put(entry_path(store, 2), entry_path(store, 2).read_bytes().replace(b"somebody", b"nobody"))
    with pytest.raises(StoreError, match="does not follow"):
        store.newest("ads", 9)


def test_the_end_of_a_history_made_to_be_long_is_found(tmp_path: Path) -> None:
    """Entries that only exist where they are looked for: the search still ends, after few reads."""

    class Endless(LocalStorage):
        reads = 0

        def read(self, key: str, limit: int) -> bytes | None:
            self.reads += 1
            if key.startswith("history/"):
                number = int(key.rpartition("/")[2].removesuffix(".json"))
                return encode_entry(replace(begin(), number=number))
            return super().read(key, limit)

    store = Store(Endless(Path(a_store(tmp_path).name)))
    head = store.head("ads")
    assert head is not None
    assert head.number == MAX_NUMBER
    assert store.storage.reads < 2 * MAX_NUMBER.bit_length() + 5  # type: ignore[attr-defined]


def test_silence_is_no_consent(tmp_path: Path) -> None:
    """An acknowledgment that cannot be read is not taken for none."""
    store = sound_store(tmp_path / "store")
    for damage in (b"", b"{}", b"[" * 1000, b'{"entry":1}', b'{"entry":1,"in_force":{"current":"x"}}'):
        put(said_path(store), damage)
        with pytest.raises(StoreError):
            acknowledged(store, "ads", Tier.ROOT, Stage.CANARY)
    shutil.rmtree(said_path(store).parent)
    said_path(store).parent.symlink_to(tmp_path)
    with pytest.raises(StoreError, match="symbolic link"):
        acknowledged(store, "ads", Tier.ROOT, Stage.CANARY)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(sound_store(tmp_path_factory.mktemp("sound")).name)


@settings(max_examples=80)
@given(data=st.data())
def test_no_damage_is_anything_but_an_error_of_ours(
    data: st.DataObject, sound: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("damaged") / "store"
    shutil.copytree(sound, folder)
    store = open_store(folder)
    files = sorted(each for each in folder.rglob("*") if each.is_file())
    path = data.draw(st.sampled_from(files))
    content = bytearray(path.read_bytes())
    kind = data.draw(st.sampled_from(["flip", "cut", "insert", "replace"]))
    at = data.draw(st.integers(0, max(0, len(content) - 1)))
    if kind == "flip" and content:
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == "cut":
        del content[at:]
    elif kind == "insert":
        content[at:at] = data.draw(st.binary(min_size=1, max_size=5))
    else:
        content[:] = data.draw(st.sampled_from(files)).read_bytes()
    changed = bytes(content) != path.read_bytes()
    put(path, bytes(content))
    try:
        verified = verify_store(open_store(folder))
    except StoreError:
        assert path.name == MARK
        return
    head = path.name == f"{3:012}.json"  # nothing chains the last entry yet
    assert not (verified.sound and changed and "history" in path.parts) or head
    for call in (
        lambda: store.head("ads"),
        lambda: list(store.entries("ads")),
        lambda: store.bundle(OLD.digest),
        lambda: store.signature(a_signature("a").digest),
        lambda: acknowledged(store, "ads", Tier.ROOT, Stage.CANARY),
    ):
        try:
            call()
        except TrimtabError:
            continue


def test_a_history_names_only_bundles_of_its_name(tmp_path: Path) -> None:
    """Roots and leaves refuse others."""
    store = a_store(tmp_path)
    other = a_bundle("a", name="home")
    store.put_bundle(other)
    assert store.append(begin(other.digest))
    (flaw,) = [each for each in verify_store(store).flaws if each.level is Level.ERROR]
    assert flaw.problem == f"the bundle {other.digest} is in force, and its name is home"


def test_of_many_bundles_few_are_decoded_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes several times its size meanwhile, and a store may have many that are large."""
    store = a_store(tmp_path / "store")
    for serial in range(1, 13):
        store.put_bundle(a_bundle("a", serial=serial))
    now, most, lock = 0, 0, threading.Lock()

    def slowly(data: bytes, where: str) -> Bundle:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= 1
        return decode_bundle(data, where)

    monkeypatch.setattr(store_module, "decode_bundle", slowly)
    assert verify_store(store).sound
    assert most <= 2
