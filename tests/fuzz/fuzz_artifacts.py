"""Fuzz every format and every parser below them, led by coverage: each input gives a result or one of our errors.

    python tests/fuzz/fuzz_artifacts.py [--target NAME ...] [--runs N] [--seed S]

Without `--target` all of them run, two at a time. Inputs depend on the seed and the sources alone. An input that fails
is kept as build/fuzz/NAME-...; `--input FILE` repeats it. Atheris leads by coverage; where there is none for this
Python, inputs are mutated blindly, and the last line says so.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from trimtab.testing.damage import damaged, mutated
from trimtab.testing.subject import Cost, measured

try:
    import atheris
except ImportError:  # no wheel for this Python
    atheris = None

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "build" / "fuzz"

SECONDS = 2
"""Of the processor's time, for one input."""

MIB = 256
LONGEST = 64 << 10
SLOWER = 10
"""How many times as long an instrumented reader takes at most."""


class HangError(BaseException):
    """An input took too long; no reader can catch this as an error of its own."""


class HungryError(BaseException):
    """An input took too much memory."""


def bounded(run: Any, errors: tuple[type[Exception], ...], factor: int = 1) -> Any:
    """`run`, which may raise only these errors, within time and memory."""

    def hang(*_: object) -> None:
        raise HangError(f"more than {SECONDS * factor} s")

    signal.signal(signal.SIGVTALRM, hang)

    def one(data: bytes) -> None:
        costs: list[Cost] = []
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS * factor)
        try:
            with measured(costs):
                run(data)
        except errors:
            pass
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        if costs[0].mebibytes > MIB:
            raise HungryError(f"{costs[0].mebibytes} MiB")

    return one


def fuzz(name: str, runs: int, seed: int) -> None:
    """Fuzz one target in this process: half as many inputs blindly, then the rest led by coverage, which ends it.

    Led by coverage alone, what is large and adds nothing new is hardly ever changed, and real artifacts are large.
    """
    if atheris is None:
        from fuzz_targets import ERRORS, TARGETS, seeds

        blindly(name, bounded(TARGETS[name], ERRORS), seeds(name), runs, seed)
        return
    with atheris.instrument_imports(include=["trimtab.artifacts", "trimtab.source", "trimtab.signature"]):
        from fuzz_targets import ERRORS, TARGETS, seeds

    KEPT.mkdir(parents=True, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="trimtab-fuzz-")
    begins = seeds(name)
    run = bounded(TARGETS[name], ERRORS, SLOWER)
    blindly(name, run, begins, runs // 2, seed)
    for number, data in enumerate(begins):
        Path(folder, f"{number:04}").write_bytes(data)
    options = [
        f"-runs={runs - runs // 2 + len(begins)}",
        f"-seed={seed or 1}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={KEPT}/{name.replace(' ', '_')}-",
        "-rss_limit_mb=2048",
        "-timeout=120",
        "-print_final_stats=1",
        "-verbosity=1",
    ]
    atheris.Setup([sys.argv[0], *options, folder], run, custom_mutator=mutator())
    atheris.Fuzz()


def mutator() -> Any:
    """libFuzzer's own changes; of zip archives, mostly inside of an entry of an archive that stays sound."""

    def change(data: bytes, max_size: int, seed: int) -> bytes:
        dice = random.Random(seed)
        if data[:4] == b"PK\x03\x04" and dice.random() < 0.7:
            try:
                with zipfile.ZipFile(io.BytesIO(data)) as archive:
                    entries = [(each.filename, archive.read(each)) for each in archive.infolist()]
                at = dice.randrange(len(entries))
                name, content = entries[at]
                inside = atheris.Mutate(content, max_size) if dice.random() < 0.5 else mutated(content, dice)
                entries[at] = (name, bytes(inside))
                target = io.BytesIO()
                with zipfile.ZipFile(target, "w") as archive:
                    for each, content in entries:
                        archive.writestr(zipfile.ZipInfo(each), content)
                return target.getvalue()[: max(max_size, len(data) + 1000)]
            except Exception:  # noqa: BLE001  # the archive is damaged already: change it as it is
                pass
        if dice.random() < 0.4:
            return mutated(data, dice)[:max_size]
        return bytes(atheris.Mutate(data, max_size))

    return change


def blindly(name: str, run: Any, begins: list[bytes], runs: int, seed: int) -> None:
    """The same without knowing what an input reaches; what lies in zip archives is changed inside of sound ones."""
    for number in range(runs):
        ((_, data),) = damaged(begins[number % len(begins)], 1, seed=seed * 1_000_000 + number, cut=False)
        try:
            run(data)
        except BaseException:
            KEPT.mkdir(parents=True, exist_ok=True)
            kept = KEPT / f"{name.replace(' ', '_')}-{seed}-{number}"
            kept.write_bytes(data)
            print(f"kept as {kept}", file=sys.stderr)
            raise


def repeat(name: str, path: Path) -> int:
    from fuzz_targets import ERRORS, TARGETS

    try:
        bounded(TARGETS[name], ERRORS)(path.read_bytes())
    except BaseException:  # noqa: BLE001  # whatever it is, it is what we look for
        traceback.print_exc()
        return 1
    print("read or refused")
    return 0


def run_apart(name: str, runs: int, seed: int) -> tuple[str, int, str, float]:
    """One target in a process of its own: its name, exit code, what it printed and how long it took."""
    started = time.perf_counter()
    command = [sys.executable, __file__, "--target", name, "--runs", str(runs), "--seed", str(seed), "--here"]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "0"}
    )
    return name, done.returncode, done.stdout + done.stderr, time.perf_counter() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", action="append", default=[], help="a format or parser; all without it")
    parser.add_argument("--runs", type=int, default=5_000, help="how many inputs for each (default 5000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="how many targets at a time (default 2)")
    parser.add_argument("--input", type=Path, help="only this input, for one target")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        fuzz(arguments.target[0], arguments.runs, arguments.seed)
        return 0
    if arguments.input:
        return repeat(arguments.target[0], arguments.input)
    from fuzz_targets import TARGETS

    unknown = [name for name in arguments.target if name not in TARGETS]
    if unknown:
        parser.error(f"no target is called {unknown[0]!r}; there are {', '.join(TARGETS)}")
    started, failed = time.perf_counter(), 0
    with ThreadPoolExecutor(arguments.jobs) as pool:
        waiting = [pool.submit(run_apart, name, arguments.runs, arguments.seed) for name in arguments.target or TARGETS]
        for each in waiting:
            name, code, text, seconds = each.result()
            failed += code != 0
            print(f"{name:20} {'failed' if code else 'sound'} {seconds:6.1f} s", flush=True)
            if code:
                print(text[-4000:], file=sys.stderr, flush=True)
    led = "led by coverage" if atheris else "blindly: there is no atheris for this Python"
    seconds = time.perf_counter() - started
    print(f"{arguments.runs} inputs for each of {len(waiting)} targets, {led}: {failed} failures, {seconds:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
