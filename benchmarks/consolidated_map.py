"""A root's map of 10,000 models with 1,000 features each: to load, to rebuild, to hold and to look up in.

    python benchmarks/consolidated_map.py [--json FILE]

Ten bundles of 1,000 models. "100 lists": all models share 100 allowlists. "no list twice": each has its own 1,000 of
5,000 names. "own names": and each bundle has names that the others do not. "rollout": as "no list twice", no model is
attested, and one bundle is there as current and pending, whose further version of each model has yet another list.

Each case has a process of its own. "peak" is that of decoding, of building, and of building once more while the first
map is in force. "pause" is the longest that another thread, which does nothing but look up, went without an answer
while the map was rebuilt; "python" is the same beside a plain loop in Python. "refresh" is a loader's, one of ten
bundles being new. The peer is what one would write instead: a dict of frozensets by model and version, equal sets
shared, from the same files.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from timing import arguments, least_us

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trimtab.bundles.bundle import Bundle

BUNDLES, MODELS, FEATURES = 10, 1_000, 1_000
CASES = ("100 lists", "no list twice", "own names", "rollout")
BUILT_WITHIN_S, PEAK_WITHIN_MIB = 1.0, 400


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        print(json.dumps(WORKERS[sys.argv[2]](sys.argv[3], Path(sys.argv[4]))))
        return
    given = arguments(__doc__)
    rows = {}
    print(
        f"{'':15}{'decode':>9}{'build':>9}{'refresh':>9}{'holds':>11}{'peak':>11}{'look-up':>10}{'pause':>10}{'python':>10}"
    )
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            worker("publish", case, folder)
            ours, peer = worker("ours", case, folder), worker("peer", case, folder)
        ratios = {key: peer[key] / ours[key] for key in ("build_s", "held_mib", "peak_mib", "lookup_ns")}
        rows[case] = {"trimtab": ours, "dict of frozensets": peer, "ratios": ratios}
        print(
            f"{case:15}{ours['decode_s']:>7.2f} s{ours['build_s']:>7.2f} s{ours['refresh_s']:>7.2f} s"
            f"{ours['held_mib']:>7.0f} MiB{ours['peak_mib']:>7.0f} MiB{ours['lookup_ns']:>7.0f} ns"
            f"{ours['pause_ms']:>7.1f} ms{ours['python_ms']:>7.1f} ms\n"
            f"{'  dict':15}{peer['decode_s']:>7.2f} s{peer['build_s']:>7.2f} s{'':9}"
            f"{peer['held_mib']:>7.0f} MiB{peer['peak_mib']:>7.0f} MiB{peer['lookup_ns']:>7.0f} ns\n"
            f"{'  ratio':15}{'':9}{ratios['build_s']:>7.1f} x{'':9}{ratios['held_mib']:>7.1f} x  "
            f"{ratios['peak_mib']:>7.1f} x  {ratios['lookup_ns']:>7.1f} x",
            flush=True,
        )
    print(f"claimed: built within {BUILT_WITHIN_S} s, with a peak within {PEAK_WITHIN_MIB} MiB")
    if given.json:
        figures = {"benchmark": "consolidated_map", "models": BUNDLES * MODELS, "features": FEATURES, "cases": rows}
        given.json.write_text(json.dumps(figures, indent=2) + "\n")


def worker(task: str, case: str, folder: str) -> Any:
    command = [sys.executable, __file__, "--worker", task, case, folder]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def publish(case: str, folder: Path) -> None:
    """Write the bundles of a case, and the next serial of the first one beside them."""
    from trimtab.bundles.bundle import encode_bundle

    for number in range(BUNDLES):
        (folder / f"{number}.json").write_bytes(encode_bundle(make(case, number, pending=False)))
    if case == "rollout":
        (folder / "pending.json").write_bytes(encode_bundle(make(case, 0, pending=True)))
    (folder / "next").write_bytes(encode_bundle(make(case, 0, pending=False, serial=3)))


def make(case: str, number: int, pending: bool, serial: int = 1) -> Bundle:
    from trimtab.bundles.bundle import Bundle, BundledModel, BundledVersion
    from trimtab.bundles.indices import Indices

    draw = random.Random(f"{number} {serial}")
    own = number if case == "own names" else 0
    names = sorted(f"feature.group_{i % 50}.name_{i if i % 10 else (i, own)}" for i in range(5_000))
    distinct = 10 if case == "100 lists" else MODELS * (1 + pending)
    drawn = [Indices(sorted(draw.sample(range(len(names)), FEATURES))) for _ in range(distinct)]
    allowlists = sorted(drawn)
    place = {each: index for index, each in enumerate(allowlists)}

    def version(model: int, text: int) -> BundledVersion:
        which = (model + text * MODELS) % distinct
        contract = f"sha256:{hashlib.sha256(f'{number} {serial} {which}'.encode()).hexdigest()}"
        return BundledVersion(digest=contract, input_digest=contract, allowlist=place[drawn[which]], format="onnx")

    models = {}
    for model in range(MODELS):
        versions = {str(1 + text): version(model, text) for text in range(1 + pending)}
        published = {each.input_digest: text for text, each in versions.items()}
        models[f"model_{number}_{model}"] = BundledModel(
            attested_stable=case != "rollout", versions=versions, published=published
        )
    return Bundle(
        name=f"bundle-{number}",
        serial=serial + pending,
        created="2026-01-02T03:04:05Z",
        names=tuple(names),
        allowlists=tuple(allowlists),
        models=models,
    )


def ours(_: str, folder: Path) -> dict[str, float]:
    paths = {path.stem: path for path in sorted(folder.glob("*.json"))}
    return {**of_map(paths), "refresh_s": refresh(paths, folder / "next")}


def of_map(paths: Mapping[str, Path]) -> dict[str, float]:
    from trimtab.bundles.bundle import read_bundle
    from trimtab.bundles.consolidated import ConsolidatedMap

    decode_s, bundles = timed(lambda: {name: read_bundle(path) for name, path in paths.items()})
    resident = resident_mib()
    build_s, models = timed(lambda: ConsolidatedMap(bundles))
    held_mib = resident_mib() - resident
    rebuild_s, models = timed(lambda: ConsolidatedMap(bundles))
    look = models.compiled.lookup
    return {
        "decode_s": decode_s,
        "build_s": min(build_s, rebuild_s),
        "held_mib": held_mib,
        "lookup_ns": 1e3 * least_us(lambda: [look("model_7_77", "1") for _ in range(1000)]) / 1000,
        "python_ms": longest_wait_ms(look, plain_loop),
        "pause_ms": longest_wait_ms(look, lambda: ConsolidatedMap(bundles)),
        "peak_mib": peak_of_process_mib(),
    }


def refresh(paths: Mapping[str, Path], following: Path) -> float:
    from trimtab.bundles.loading.loader import BundleLoader

    loader = BundleLoader(paths.values())
    following.replace(next(iter(paths.values())))
    seconds, changed = timed(loader.refresh)
    assert changed
    return seconds


def plain_loop() -> None:
    for _ in range(10_000_000):
        pass


def peer(_: str, folder: Path) -> dict[str, float]:
    import msgspec

    documents = []
    decode_s, _ = timed(
        lambda: documents.extend(msgspec.json.decode(path.read_bytes()) for path in sorted(folder.glob("*.json")))
    )
    resident = resident_mib()
    build_s, sets = timed(lambda: sets_by_version(documents))
    held_mib = resident_mib() - resident
    _, sets = timed(lambda: sets_by_version(documents))
    return {
        "decode_s": decode_s,
        "build_s": build_s,
        "held_mib": held_mib,
        "peak_mib": peak_of_process_mib(),
        "lookup_ns": 1e3 * least_us(lambda: [sets.get(("model_7_77", "1")) for _ in range(1000)]) / 1000,
    }


def sets_by_version(documents: list[Mapping[str, Any]]) -> dict[tuple[str, str], frozenset[str]]:
    sets: dict[tuple[str, str], frozenset[str]] = {}
    shared: dict[frozenset[str], frozenset[str]] = {}
    for document in documents:
        names = document["names"]
        lists = [frozenset(map(names.__getitem__, allowlist)) for allowlist in document["allowlists"]]
        lists = [shared.setdefault(each, each) for each in lists]
        for model, bundled in document["models"].items():
            for version, stated in bundled["versions"].items():
                for key in ((model, version), (model, "")):
                    allowed, known = lists[stated["allowlist"]], sets.get(key)
                    sets[key] = allowed if known is None or known == allowed else known | allowed
    return sets


def longest_wait_ms(look: Callable[[str, str], object], work: Callable[[], object]) -> float:
    """The longest that another thread waits between two look-ups while `work` goes on."""
    waits, done = [0.0], threading.Event()

    def look_up() -> None:
        last = time.perf_counter()
        while not done.is_set():
            look("model_7_77", "1")
            now = time.perf_counter()
            waits.append(now - last)
            last = now
            if len(waits) > 10_000:
                waits[:] = [max(waits)]

    thread = threading.Thread(target=look_up)
    thread.start()
    time.sleep(0.1)
    waits[:] = [0.0]
    work()
    done.set()
    thread.join()
    return 1e3 * max(waits)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def peak_of_process_mib() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


WORKERS = {"publish": publish, "ours": ours, "peer": peer}

if __name__ == "__main__":
    main()
