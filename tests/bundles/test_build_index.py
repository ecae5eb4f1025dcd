"""The index beside a bundle: what did not change is not read again, and nothing that it holds makes a build wrong."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from bundle_making import signature
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.bundles.building import indexing, reading
from trimtab.bundles.building.build import Built, Gate, derive_bundle
from trimtab.bundles.building.index import SignatureIndex, index_path
from trimtab.bundles.building.indexing import check_index_path
from trimtab.bundles.bundle import Bundle
from trimtab.bundles.repository import ModelRepository
from trimtab.errors import BundleError
from trimtab.signature.document import decode_document, encode_document
from trimtab.signature.model import Signature

AGE, PRICE, BOTH = signature("age"), signature("price"), signature("age", "price")
TICK_S = 0.011
"""Longer than a tick of the clock that file systems take their time stamps from."""


@pytest.fixture(autouse=True)
def _later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that a test has just written count as settled."""
    monkeypatch.setattr(reading, "time", SimpleNamespace(time_ns=lambda: time.time_ns() + 10_000_000_000))


class Repository:
    """Signature documents as artifacts, and a count of how often they are read."""

    def __init__(self, folder: Path) -> None:
        self.models = folder / "models"
        self.models.mkdir(parents=True)
        self.index = folder / "ads.index.sqlite"
        self.read: list[str] = []

    def put(self, version: str, content: Signature) -> Path:
        (self.models / version).mkdir(parents=True, exist_ok=True)
        path = self.models / version / "signature.json"
        path.write_bytes(padded(content))
        return path

    def build(self, previous: Bundle | None = None, *, index: bool = True, gate: Gate = Gate.NONE) -> Built:
        self.read = []
        return derive_bundle(
            ModelRepository(self.models),
            name="ads",
            previous=previous,
            gate=gate,
            index=self.index if index else None,
            read=self._read,
        )

    def _read(self, path: Path) -> Signature:
        self.read.append(str(path.parent.relative_to(self.models)))
        return decode_document(path.read_bytes(), str(path))

    def same(self, built: Built) -> bool:
        return built.bundle.same_content(self.build(index=False).bundle)


def padded(content: Signature) -> bytes:
    """The documents of a test are of one size, so that only time stamps tell them apart."""
    return encode_document(content).ljust(1000)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path)
    made.put("ctr/1", AGE)
    made.put("ctr/2", AGE)
    made.put("ranker/1", BOTH)
    return made


def test_what_did_not_change_is_not_read_again(repository: Repository) -> None:
    first = repository.build()
    assert (first.read, first.indexed, sorted(repository.read)) == (3, 0, ["ctr/1", "ctr/2", "ranker/1"])
    again = repository.build(first.bundle)
    assert (again.read, again.indexed, repository.read, again.changed) == (0, 3, [], False)
    repository.put("ctr/3", AGE)
    repository.put("ranker/1", PRICE)
    third = repository.build(first.bundle)
    assert (third.read, third.indexed, repository.read) == (2, 2, ["ctr/3", "ranker/1"])
    shutil.rmtree(repository.models / "ctr")
    fourth = repository.build()
    assert (fourth.indexed, list(fourth.bundle.models)) == (1, ["ranker"])
    assert repository.same(fourth)


def test_young_files_are_read_again(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "time", time)
    repository.build()
    assert repository.build().read == 3
    old = time.time_ns() - 10_000_000_000
    for path in repository.models.rglob("signature.json"):
        os.utime(path, ns=(old, old))
    assert repository.build().read == 3  # the time of modification can be set, that of change cannot


def test_a_time_of_modification_in_the_future_says_nothing(repository: Repository) -> None:
    for path in repository.models.rglob("signature.json"):
        os.utime(path, (4e9, 4e9))
    repository.build()
    assert repository.build().read == 0


def test_other_readers_read_everything_again(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.build()
    monkeypatch.setattr(indexing, "reader_fingerprint", lambda: "another version")
    assert repository.build().read == 3
    assert repository.build().read == 0


def test_a_folder_deeper_than_the_scan_looks_is_read_every_time(tmp_path: Path) -> None:
    made = Repository(tmp_path)
    deep = made.models / "m" / "1" / "a" / "b" / "c" / "d" / "e"
    deep.mkdir(parents=True)
    (deep / "part").write_bytes(b"")
    (made.models / "m" / "1" / "saved_model.pb").write_bytes(b"")
    for _ in range(2):
        built = derive_bundle(ModelRepository(made.models), name="ads", index=made.index, read=lambda _: AGE)
        assert built.read == 1


MODELS = ("ctr/1", "ctr/2", "m/1")
CHANGES = st.one_of(
    st.tuples(st.sampled_from(["put", "rewrite"]), st.sampled_from(MODELS), st.sampled_from([AGE, PRICE, BOTH])),
    st.tuples(st.sampled_from(["delete", "touch", "back-date"]), st.sampled_from(MODELS), st.just(AGE)),
    st.tuples(st.sampled_from(["move", "swap", "link"]), st.sampled_from(MODELS), st.sampled_from(MODELS)),
)


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.lists(CHANGES, min_size=1, max_size=3), min_size=1, max_size=5))
def test_building_with_an_index_equals_building_without(
    tmp_path_factory: pytest.TempPathFactory, steps: list[list[tuple[str, str, Signature | str]]]
) -> None:
    repository = Repository(tmp_path_factory.mktemp("histories"))
    for version in ("always/1", *MODELS):
        repository.put(version, AGE)
    repository.build()
    for changes in steps:
        time.sleep(TICK_S)
        for what, version, other in changes:
            change(repository, what, version, other)
        assert outcome(repository, index=True) == outcome(repository, index=False)
        again = outcome(repository, index=True)
        assert repository.read == [] or isinstance(again, str)
        assert again == outcome(repository, index=False)


@pytest.mark.parametrize(
    ("what", "other"),
    [("put", PRICE), ("rewrite", PRICE), ("delete", AGE), ("move", "m/2"), ("swap", "m/1"), ("link", "m/1")],
)
def test_no_change_is_overlooked(repository: Repository, what: str, other: Signature | str) -> None:
    repository.put("m/1", PRICE)
    before = repository.build()
    time.sleep(TICK_S)
    change(repository, what, "ctr/1", other)
    built = repository.build()
    assert repository.same(built)
    assert not built.bundle.same_content(before.bundle)


def test_a_file_less_is_a_change(repository: Repository) -> None:
    beside = repository.put("ctr/1", AGE).with_name("notes.txt")
    beside.write_bytes(b"")
    time.sleep(TICK_S)
    repository.put("ctr/1", AGE)
    repository.build()
    beside.unlink()
    assert repository.build().read == 1


def outcome(repository: Repository, *, index: bool) -> object:
    """The bundle, or why there is none."""
    try:
        return repository.build(index=index).bundle._content()
    except BundleError as failure:
        return str(failure)


def change(repository: Repository, what: str, version: str, other: Signature | str) -> None:
    path = repository.models / version / "signature.json"
    if what == "put" and isinstance(other, Signature):
        shutil.rmtree(path.parent, ignore_errors=True)
        repository.put(version, other)
    elif not path.exists():
        return
    elif what == "rewrite" and isinstance(other, Signature):  # in place, of the same size, and dated back
        before = path.stat()
        with path.open("r+b") as file:
            file.write(padded(other))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif what == "delete":
        shutil.rmtree(path.parent)
    elif what == "touch":
        os.utime(path)
    elif what == "back-date":
        os.utime(path, ns=(1, 1))
    elif isinstance(other, str) and other != version:
        place = repository.models / other / "signature.json"
        if what == "link":
            shutil.rmtree(place.parent, ignore_errors=True)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(path)
        elif what == "move" and not place.exists():
            shutil.rmtree(place.parent, ignore_errors=True)
            place.parent.parent.mkdir(exist_ok=True)
            path.parent.rename(place.parent)
        elif what == "swap" and place.is_file():
            path.rename(path.with_name("aside"))
            place.rename(path)
            path.with_name("aside").rename(place)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5000])


def foreign(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE versions (name TEXT)")


def older(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 0")


def without_a_table(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE signatures")


def false_statements(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE signatures SET input_digest = 'sha256:' || hex(zeroblob(32)), names = '[\"no\"]'")


def other_documents(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE signatures SET document = x'7b7d'")


def swapped(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE versions SET document_hash = (SELECT max(document_hash) FROM signatures)")


def texts(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE signatures SET names = 7, document = 'text', seal = 'seal'")


@pytest.mark.parametrize(
    "damage",
    [empty, garbage, cut, foreign, older, without_a_table, false_statements, other_documents, swapped, texts],
    ids=lambda each: each.__name__,
)
def test_an_index_that_is_no_good_is_made_anew(repository: Repository, damage: Callable[[Path], None]) -> None:
    before = repository.build()
    damage(repository.index)
    built = repository.build()
    assert built.bundle.same_content(before.bundle)
    assert repository.build().read == 0


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_damaged_byte_makes_a_build_wrong(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    repository = Repository(tmp_path_factory.mktemp("damaged"))
    for version, content in (("ctr/1", AGE), ("m/1", BOTH), ("m/2", PRICE)):
        repository.put(version, content)
    good = repository.build().bundle
    size = repository.index.stat().st_size
    with repository.index.open("r+b") as file:
        for _ in range(data.draw(st.integers(1, 20))):
            file.seek(data.draw(st.integers(0, size - 1)))
            file.write(data.draw(st.binary(min_size=1, max_size=8)))
    assert repository.build().bundle.same_content(good)
    assert repository.build().bundle.same_content(good)
    with SignatureIndex.beside(repository.index.with_name("ads.json")) as index:
        assert all(index.signature(each.digest) == each for each in (AGE, BOTH, PRICE))


@pytest.mark.parametrize("lock", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_an_index_that_somebody_holds_is_done_without(
    repository: Repository, lock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.build()
    monkeypatch.setattr(indexing, "PATIENCE_S", 0.05)
    holder = sqlite3.connect(repository.index, isolation_level=None)
    holder.execute(lock)
    built = repository.build()
    assert built.read == 3
    assert "the index is not used: database is locked" in built.notes[0]
    holder.execute("ROLLBACK")
    holder.close()
    assert repository.build().read == 0


@pytest.mark.parametrize("obstacle", ["a folder", "a folder above that is a file"])
def test_a_place_for_no_index_is_done_without(repository: Repository, obstacle: str) -> None:
    if obstacle == "a folder":
        repository.index.mkdir()
    else:
        (repository.index.parent / "file").write_bytes(b"")
        repository.index = repository.index.parent / "file" / "ads.index.sqlite"
    built = repository.build()
    assert built.read == 3
    assert "the index is not used" in built.notes[0]
    assert repository.same(built)


KILLED = """
import os, sys
from pathlib import Path
from trimtab.bundles.building import indexing, reading
from trimtab.bundles.building.build import derive_bundle
from trimtab.bundles.repository import ModelRepository
from trimtab.signature.document import decode_document

indexing._BATCH = 4
reading._SETTLED_AFTER_NS = -(1 << 62)
models, index, left = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])

def step(statement):
    global left
    left -= 1
    if left == 0:
        os._exit(9)

opened = indexing._opened
def traced(path):
    connection = opened(path)
    connection.set_trace_callback(step)
    return connection
indexing._opened = traced
derive_bundle(ModelRepository(models), name="ads", index=index, read=lambda path: decode_document(path.read_bytes()))
"""


def test_a_build_that_is_killed_leaves_an_index_of_what_it_had_read(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    for number in range(1, 13):
        repository.put(f"m{number}/1", signature(f"x{number}"))
    whole = repository.build(index=False).bundle
    left_to_read = []
    for statements in (1, 5, 9, 14, 22, 27):
        repository.index.unlink(missing_ok=True)
        command = [sys.executable, "-c", KILLED, str(repository.models), str(repository.index), str(statements)]
        killed = subprocess.run(command, check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
        assert killed.returncode == 9
        built = repository.build()
        assert built.bundle.same_content(whole)
        left_to_read.append(built.read)
        assert repository.build().read == 0
    assert left_to_read == sorted(left_to_read, reverse=True)
    assert left_to_read[0] == 12
    assert 0 < left_to_read[-1] < 12


def test_builds_may_share_an_index(repository: Repository) -> None:
    first = indexing.BuildIndex.open(repository.index)
    first.known()
    built = repository.build()
    with first:
        facts, document = reading.facts_of(PRICE)
        first.remember(facts, document)
        first.trust("other/1", b"identity", facts)
        first.flush()
        assert first.known()["other/1"] == (b"identity", facts)
        assert len(first.known()) == 1 + built.read


def test_the_index_beside_a_bundle_gives_documents(repository: Repository) -> None:
    repository.build()
    bundle = repository.index.with_name("ads.json")
    assert index_path(bundle) == repository.index
    with SignatureIndex.beside(bundle) as index:
        assert index.document(BOTH.digest) == encode_document(BOTH)
        assert index.signature(BOTH.digest) == BOTH
        assert index.signature_of_inputs(AGE.input_digest) == AGE
        assert index.signature(PRICE.digest) is None
    assert index.document(BOTH.digest) is None  # closed


def test_a_build_that_was_killed_while_it_wrote_hides_no_documents(repository: Repository) -> None:
    """It leaves a journal, by which whoever opens the file next puts it right: not only the next build."""
    repository.build()
    killed = f"""
import os, signal, sqlite3
connection = sqlite3.connect({str(repository.index)!r}, isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN IMMEDIATE")
for number in range(500):
    connection.execute("INSERT INTO versions VALUES (?, ?, ?, ?)", (f"x/{{number}}", b"i" * 200, b"h", b"s"))
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", killed], check=False).returncode == -signal.SIGKILL
    assert repository.index.with_name("ads.index.sqlite-journal").stat().st_size > 512
    with SignatureIndex.beside(repository.index.with_name("ads.json")) as index:
        assert index.note == ""
        assert index.document(BOTH.digest) == encode_document(BOTH)


@pytest.mark.parametrize("damage", [None, garbage, foreign, texts, other_documents])
def test_documents_of_no_index(repository: Repository, damage: Callable[[Path], None] | None) -> None:
    if damage is not None:
        repository.build()
        damage(repository.index)
    with SignatureIndex.beside(repository.index.with_name("ads.json")) as index:
        assert index.document(BOTH.digest) is None
        assert index.signature(BOTH.digest) is None


def files(folder: Path) -> Iterator[tuple[Path, bool]]:
    yield folder / "none", True
    (folder / "empty").write_bytes(b"")
    yield folder / "empty", True
    indexing.BuildIndex.open(folder / "index").close()
    yield folder / "index", True
    (folder / "model.onnx").write_bytes(b"weights" * 100)
    yield folder / "model.onnx", False
    with sqlite3.connect(folder / "other.sqlite") as connection:
        connection.execute("CREATE TABLE precious (data TEXT)")
    yield folder / "other.sqlite", False
    yield folder, False


def test_a_file_that_is_no_index_is_not_overwritten_when_named(tmp_path: Path) -> None:
    for path, good in files(tmp_path):
        if good:
            check_index_path(path)
        else:
            with pytest.raises(BundleError) as caught:
                check_index_path(path)
            assert caught.value.where == str(path)
