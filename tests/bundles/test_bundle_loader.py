"""Loading: each bundle in isolation, last-known-good, restarts. First as a table, then as a law over any history."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from bundle_making import bundle
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from trimtab.bundles.bundle import Bundle, encode_bundle, read_bundle, write_bundle
from trimtab.bundles.loading.loader import BundleLoader
from trimtab.bundles.loading.status import BundleState
from trimtab.errors import BundleError

FIRST = bundle({"ctr": {7: ["age"]}}, serial=3)
NEWER = bundle({"ctr": {7: ["age"], 8: ["age"]}}, serial=4)
OLDER = bundle({"ctr": {6: ["age"]}}, serial=2)
RIVAL = bundle({"ctr": {9: ["age"]}}, serial=3)
FOREIGN = bundle({"ctr": {9: ["age"]}}, serial=9, name="home")

KEPT = BundleState.KEPT_LAST_KNOWN_GOOD
FILES = [
    ("newer", encode_bundle(NEWER), NEWER, BundleState.LOADED, ""),
    ("the same", encode_bundle(FIRST), FIRST, BundleState.UNCHANGED, ""),
    ("the same, created later", encode_bundle(FIRST).replace(b"2026", b"2027"), FIRST, BundleState.UNCHANGED, ""),
    ("older", encode_bundle(OLDER), FIRST, KEPT, "an older bundle than the one in force: expected serial 4 or higher"),
    ("same serial", encode_bundle(RIVAL), FIRST, KEPT, "another bundle with the serial of the one in force"),
    ("another bundle", encode_bundle(FOREIGN), FIRST, KEPT, "expected a bundle named 'ads', got 'home'"),
    ("cut", encode_bundle(NEWER)[:-20], FIRST, KEPT, "expected JSON"),
    ("corrupt", encode_bundle(NEWER).replace(b'"age"', b'"agf"'), FIRST, KEPT, "digest does not fit"),
    ("empty", b"", FIRST, KEPT, "expected JSON"),
    ("missing", None, FIRST, KEPT, "the file is missing"),
]


def put(path: Path, data: bytes | None) -> None:
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)


@pytest.mark.parametrize("restart", [False, True], ids=["running", "after a restart"])
@pytest.mark.parametrize(
    ("data", "in_force", "state", "error"), [row[1:] for row in FILES], ids=[row[0] for row in FILES]
)
def test_what_a_file_comes_to(
    tmp_path: Path, restart: bool, data: bytes | None, in_force: Bundle, state: BundleState, error: str
) -> None:
    path, other = tmp_path / "ads.json", tmp_path / "home.json"
    write_bundle(path, FIRST)
    write_bundle(other, FOREIGN)
    paths = {"ads": path, "home": other}
    loader = BundleLoader(paths, tmp_path / "state")
    assert [status.state for status in loader.statuses] == [BundleState.LOADED, BundleState.LOADED]
    put(path, data)
    if restart:
        loader = BundleLoader(paths, tmp_path / "state")
    else:
        assert loader.refresh() == (in_force is not FIRST)
    assert loader.current.bundles == {"ads": in_force, "home": FOREIGN}
    ads, home = loader.statuses
    assert (ads.name, ads.state, ads.serial, ads.digest) == ("ads", state, in_force.serial, in_force.digest)
    assert error in ads.error
    assert bool(ads.error) == bool(error)
    assert ads.loaded_at is not None
    assert (home.state, home.error) == (BundleState.UNCHANGED, "")
    assert read_bundle(tmp_path / "state" / "ads.last-known-good.json") == in_force


@pytest.mark.parametrize("data", [None, b"{", encode_bundle(FOREIGN)])
def test_without_a_last_known_good_the_bundle_is_missing(tmp_path: Path, data: bytes | None) -> None:
    if data is not None:
        (tmp_path / "ads.json").write_bytes(data)
    loader = BundleLoader({"ads": tmp_path / "ads.json"}, tmp_path / "state")
    (status,) = loader.statuses
    assert (status.state, status.serial, status.loaded_at) == (BundleState.MISSING, None, None)
    assert status.error
    assert loader.current.bundles == {}
    assert not (tmp_path / "state").exists()
    write_bundle(tmp_path / "ads.json", FIRST)
    assert loader.refresh()
    assert loader.statuses[0].state is BundleState.LOADED


def test_states_settle(tmp_path: Path) -> None:
    write_bundle(tmp_path / "ads.json", FIRST)
    loader = BundleLoader([tmp_path / "ads.json"])
    before = loader.current
    assert not loader.refresh()
    assert loader.current is before
    assert loader.statuses[0].state is BundleState.UNCHANGED
    (tmp_path / "ads.json").write_bytes(b"{")
    for _ in range(2):
        assert not loader.refresh()
        assert loader.statuses[0].state is KEPT
    write_bundle(tmp_path / "ads.json", FIRST)
    assert not loader.refresh()
    assert (loader.statuses[0].state, loader.statuses[0].error) == (BundleState.UNCHANGED, "")


def test_a_rewrite_within_the_clock_of_the_file_system_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "ads.json"
    path.write_bytes(encode_bundle(FIRST))
    loader = BundleLoader([path])
    status = path.stat()
    with path.open("r+b") as file:  # same inode, same size, same time stamp
        file.write(encode_bundle(RIVAL))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    loader.refresh()
    assert loader.statuses[0].state is KEPT


def test_a_settled_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ads.json"
    write_bundle(path, FIRST)
    os.utime(path, (1, 1))
    loader = BundleLoader([path])
    monkeypatch.setattr(Path, "open", None)
    assert not loader.refresh()
    assert loader.statuses[0].error == ""


def test_a_lost_last_known_good_is_reported_and_replaced(tmp_path: Path) -> None:
    state = tmp_path / "state" / "ads.last-known-good.json"
    write_bundle(tmp_path / "ads.json", FIRST)
    BundleLoader([tmp_path / "ads.json"], tmp_path / "state")
    state.write_bytes(state.read_bytes()[:50])
    (tmp_path / "ads.json").unlink()
    lost = BundleLoader([tmp_path / "ads.json"], tmp_path / "state")
    assert lost.statuses[0].state is BundleState.MISSING
    assert "the last-known-good is lost" in lost.statuses[0].error
    write_bundle(tmp_path / "ads.json", FIRST)
    assert lost.refresh()
    assert lost.statuses[0].error == ""
    assert read_bundle(state) == FIRST


def test_a_state_folder_that_cannot_be_written_does_not_stop_loading(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"a file, not a folder")
    write_bundle(tmp_path / "ads.json", FIRST)
    loader = BundleLoader([tmp_path / "ads.json"], tmp_path / "state")
    assert loader.current.bundles == {"ads": FIRST}
    assert "could not be kept" in loader.statuses[0].error
    (tmp_path / "state").unlink()
    assert not loader.refresh()
    assert loader.statuses[0].error == ""
    assert read_bundle(tmp_path / "state" / "ads.last-known-good.json") == FIRST


def test_a_path_that_is_no_file_is_reported(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    loader = BundleLoader([tmp_path / "pipe.json", tmp_path])
    assert ["not a regular file" in status.error for status in loader.statuses] == [True, True]


@pytest.mark.parametrize("paths", [["a/ads.json", "b/ads.v2.json"], {"../ads": "ads.json"}, {"": "ads.json"}])
def test_names_that_cannot_be_told_apart_are_refused(paths: list[str] | dict[str, str]) -> None:
    with pytest.raises(BundleError):
        BundleLoader(paths)


NAMES = ("ads", "home")


class AnyHistory(RuleBasedStateMachine):
    """Files come, go, break and are replayed; processes restart. In force is always the newest that was ever good."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name)
        self.files: dict[str, Bundle | None] = dict.fromkeys(NAMES)
        self.in_force: dict[str, Bundle] = {}
        self.restart()

    def path(self, name: str) -> Path:
        return self.root / f"{name}.json"

    @rule(name=st.sampled_from(NAMES), serial=st.integers(1, 6), salt=st.sampled_from(["", "other"]))
    def publish(self, name: str, serial: int, salt: str) -> None:
        self.files[name] = bundle({"ctr": {serial: ["age"]}}, name=name, serial=serial, salt=salt)
        write_bundle(self.path(name), self.files[name])

    @rule(name=st.sampled_from(NAMES), share=st.floats(0, 0.99))
    def cut(self, name: str, share: float) -> None:
        if self.path(name).exists():
            data = self.path(name).read_bytes().rstrip()
            self.path(name).write_bytes(data[: int(len(data) * share)])
            self.files[name] = None

    @rule(name=st.sampled_from(NAMES), data=st.binary(max_size=20))
    def corrupt(self, name: str, data: bytes) -> None:
        self.path(name).write_bytes(data)
        self.files[name] = None

    @rule(name=st.sampled_from(NAMES))
    def delete(self, name: str) -> None:
        self.path(name).unlink(missing_ok=True)
        self.files[name] = None

    def expect(self) -> None:
        for name, held in self.files.items():
            before = self.in_force.get(name)
            if held is not None and (before is None or held.serial > before.serial):
                self.in_force[name] = held

    @rule()
    def refresh(self) -> None:
        before = dict(self.in_force)
        self.expect()
        assert self.loader.refresh() == (before != self.in_force)

    @rule()
    def restart(self) -> None:
        self.expect()
        self.loader = BundleLoader({name: self.path(name) for name in NAMES}, self.root / "state")

    @invariant()
    def the_newest_good_is_in_force(self) -> None:
        if hasattr(self, "loader"):
            assert self.loader.current.bundles == self.in_force

    @invariant()
    def statuses_tell_what_is_in_force(self) -> None:
        for status in self.loader.statuses if hasattr(self, "loader") else ():
            held = self.in_force.get(status.name)
            assert status.serial == (held.serial if held else None)
            assert status.digest == (held.digest if held else None)
            assert (status.state is BundleState.MISSING) == (held is None)
            assert bool(status.error) == (status.state in (BundleState.MISSING, KEPT))

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
