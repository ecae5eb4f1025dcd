"""A million look-ups while the map is swapped a thousand times: none blocked, none torn, none lost, nothing kept."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bundle_making import bundle

from trimtab import BundleLoader, Outcome, Trimmer
from trimtab.bundles.bundle import Bundle, encode_bundle
from trimtab.bundles.consolidated import ConsolidatedMap
from trimtab.protocols import oip

SWAPS, LOOKUPS, READERS = 1_000, 1_000_000, 4
FEATURES = [f"feature_{number}" for number in range(200)]


def content(odd: bool, serial: int = 1) -> Bundle:
    """Two contents whose every answer differs: other lists, other versions, another attestation."""
    first = FEATURES[int(odd) :: 2]
    models = {f"model_{n}": {1 + odd: first[n:], 3: first[n:] if odd else FEATURES[n::3]} for n in range(20)}
    return bundle({**models, "only" if odd else "other": {1: first}}, serial=serial)


REQUESTS = [
    (model, version)
    for model in (*(f"model_{n}" for n in range(20)), "only", "other", "nobody")
    for version in ("", "1", "2", "3", "4")
]
MAPS = [ConsolidatedMap({"ads": content(odd)}) for odd in (False, True)]
ANSWERS = [[each.compiled.lookup(*request) for request in REQUESTS] for each in MAPS]
LOOKUPS_IN_FULL = [[each.lookup(*request) for request in REQUESTS] for each in MAPS]


def payload(version: str) -> bytes:
    """Larger than what the kernel trims with the GIL held."""
    request = oip.ModelInferRequest(model_name="model_7", model_version=version)
    for name in FEATURES:
        request.inputs.add(name=name, datatype="FP32", shape=[64])
        request.raw_input_contents.append(name.encode().ljust(256))
    return bytes(request.SerializeToString())


PAYLOADS = [payload(version) for version in ("", "1", "2", "3", "4")]
TRIMMED = [[Trimmer(each).trim_explained(payload) for payload in PAYLOADS] for each in MAPS]


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Threads take turns many times per map."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(interval)


class Reader(threading.Thread):
    """Looks up and trims by whatever map is in force, and holds every answer against those of the two maps in whole."""

    def __init__(self, loader: BundleLoader, done: threading.Event) -> None:
        super().__init__(daemon=True)
        self.loader = loader
        self.done = done
        self.trimmer = Trimmer(lambda: loader.current)
        self.turns = 0
        self.turns_at_most = 0.0
        self.seen = [0, 0]
        self.wrong: list[object] = []

    def run(self) -> None:
        while not self.done.is_set() and not self.wrong:
            if self.turns > self.turns_at_most:  # else the swapping thread would hardly ever get its turn
                time.sleep(1e-4)
                continue
            try:
                self.turn()
            except Exception as failure:  # noqa: BLE001  # whatever it is, the test shows it
                self.wrong.append(failure)

    def turn(self) -> None:
        models = self.loader.current
        look = models.compiled.lookup
        answers = [look(*request) for request in REQUESTS]
        which = ANSWERS.index(answers) if answers in ANSWERS else None
        in_full, trimmed = self.turns % len(REQUESTS), self.turns % len(PAYLOADS)
        if which is None or models.lookup(*REQUESTS[in_full]) != LOOKUPS_IN_FULL[which][in_full]:
            self.wrong.append(answers)
        elif self.trimmer.trim_explained(PAYLOADS[trimmed]) not in [of_map[trimmed] for of_map in TRIMMED]:
            self.wrong.append(PAYLOADS[trimmed])
        else:
            self.seen[which] += 1
            self.turns += 1

    @property
    def lookups(self) -> int:
        return self.turns * len(REQUESTS)


@pytest.mark.usefixtures("eager_threads")
def test_a_million_lookups_across_a_thousand_swaps(tmp_path: Path) -> None:
    documents = [encode_bundle(content(bool(serial % 2), serial)) for serial in range(1, SWAPS + 2)]
    file = tmp_path / "ads.json"
    file.write_bytes(documents[0])
    loader, done = BundleLoader([file]), threading.Event()
    readers = [Reader(loader, done) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    for swap in range(1, SWAPS + 1):
        for reader in readers:
            reader.turns_at_most = (swap + 1) * LOOKUPS / SWAPS / READERS / len(REQUESTS)
        file.write_bytes(documents[swap])
        assert loader.refresh()
        while sum(reader.lookups for reader in readers) < swap * LOOKUPS // SWAPS and not any(r.wrong for r in readers):
            time.sleep(5e-5)
    done.set()
    for reader in readers:
        reader.join(60)
    assert [reader.wrong for reader in readers] == [[]] * READERS
    assert sum(reader.lookups for reader in readers) >= LOOKUPS
    assert all(min(reader.seen) > 10 for reader in readers), "every reader met both maps, again and again"
    for reader in readers:
        assert sum(reader.trimmer.counts.values()) == reader.turns
        assert reader.trimmer.counts[Outcome.INTERNAL_ERROR] == 0
    assert loader.current.bundles["ads"].serial == SWAPS + 1


def test_whoever_reads_waits_for_no_rebuild(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "ads.json"
    file.write_bytes(encode_bundle(content(odd=False, serial=1)))
    loader = BundleLoader([file])
    building, go_on = threading.Event(), threading.Event()

    def build(bundles: dict[str, Bundle]) -> ConsolidatedMap:
        building.set()
        assert go_on.wait(60)
        return ConsolidatedMap(bundles)

    monkeypatch.setattr("trimtab.bundles.loading.loader.ConsolidatedMap", build)
    file.write_bytes(encode_bundle(content(odd=True, serial=2)))
    refreshing = threading.Thread(target=loader.refresh)
    refreshing.start()
    try:
        assert building.wait(60)
        reader = Reader(loader, threading.Event())
        reading = threading.Thread(target=lambda: [reader.turn() for _ in range(10)])
        reading.start()
        reading.join(60)
        assert (reader.wrong, reader.seen, refreshing.is_alive()) == ([], [10, 0], True)
    finally:
        go_on.set()
        refreshing.join(60)
    reader.turn()
    assert (reader.wrong, reader.seen) == ([], [10, 1])


ALTERNATE = """
import gc, os, sys
from pathlib import Path
from bundle_making import bundle
from trimtab import Trimmer
from trimtab.bundles.consolidated import ConsolidatedMap
from trimtab.protocols import oip

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

payload = oip.ModelInferRequest(model_name="m1", model_version="1").SerializeToString()
names = [f"feature {number}" for number in range(2000)]
bundles = [
    bundle({f"m{n}": {1: names[n + odd :: 40], 2: names[n::40]} for n in range(40)}, attested=False) for odd in (0, 1)
]
gc.disable()
for swap in range(1000):
    current = ConsolidatedMap({"ads": bundles[swap % 2]})
    for each in (current, current.exact_only):
        for n in range(40):
            each.lookup(f"m{n}", "1"), each.lookup(f"m{n}")
        Trimmer(each).trim(payload)
    if swap == 100:
        before = resident()
print(resident() - before)
"""


def test_maps_that_are_swapped_out_are_freed_at_once() -> None:
    """In a process of its own, whose allocator nobody has tuned; without garbage collection, so that no cycle hides."""
    done = subprocess.run(
        [sys.executable, "-c", ALTERNATE], check=True, capture_output=True, text=True, cwd=Path(__file__).parent
    )
    one_map = 100_000
    assert int(done.stdout) < 40 * one_map, "of 900 maps"
