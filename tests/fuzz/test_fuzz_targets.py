"""The fuzz targets over what fuzzing begins with, and some mutations; and that fuzzing sees what it looks for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "artifacts"))

import fuzz_artifacts
from fuzz_targets import ERRORS, LONGEST_SEED, TARGETS, seeds

from trimtab.artifacts.kinds import KINDS
from trimtab.errors import ArtifactError
from trimtab.testing.damage import damaged


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_takes_its_seeds_and_some_mutations(name: str) -> None:
    run = fuzz_artifacts.bounded(TARGETS[name], ERRORS)
    begins = seeds(name)
    assert begins
    for data in begins:
        assert len(data) <= LONGEST_SEED
        run(data)
    for number in range(60):
        ((_, data),) = damaged(begins[number % len(begins)], 1, seed=number, cut=False)
        run(data)


def test_every_format_is_a_target() -> None:
    assert {kind.module for kind in KINDS} <= set(TARGETS)


def refuse(data: bytes) -> None:
    raise ArtifactError("no")


def escape(data: bytes) -> None:
    raise KeyError(data)


def hang(data: bytes) -> None:
    while True:
        pass


def test_what_a_target_must_not_do_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz_artifacts, "SECONDS", 0.1)
    fuzz_artifacts.bounded(refuse, ERRORS)(b"")
    for bad, error in ((escape, KeyError), (hang, fuzz_artifacts.HangError)):
        with pytest.raises(error):
            fuzz_artifacts.bounded(bad, ERRORS)(b"")


def test_memory_is_seen() -> None:
    script = "import fuzz_artifacts\nfuzz_artifacts.bounded(lambda data: len(bytes([1]) * (300 << 20)), (), 10)(b'')"
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True, cwd=Path(__file__).parent
    )
    assert "HungryError" in done.stderr


def test_an_unknown_target_is_wrong_usage() -> None:
    script = Path(__file__).with_name("fuzz_artifacts.py")
    command = [sys.executable, str(script), "--target", "nothing"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "there are pt2" in done.stderr


def test_fuzzing_runs(tmp_path: Path) -> None:
    script = Path(__file__).with_name("fuzz_artifacts.py")
    command = [sys.executable, str(script), "--target", "path", "--target", "safetensors", "--runs", "100"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "100 inputs for each of 2 targets" in done.stdout
