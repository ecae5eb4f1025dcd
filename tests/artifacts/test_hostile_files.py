"""Damaged and malicious files: each is read or refused as told, soon, and nothing else ever happens."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hostile_artifacts import FILES, MARK

SECONDS = 2
"""Of the processor's time, for one file."""

MIB = 256


def read_all(root: Path, paths: list[Path], folder: Path) -> dict[str, dict[str, Any]]:
    """What came of each file, in one process of its own that works in `folder` and records what it does."""
    child = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("hostile_reading.py")), *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        cwd=folder,
        env={"PYTHONPATH": str(root / "src")},
    )
    assert child.returncode == 0, child.stderr[-2000:]
    told = [json.loads(line) for line in child.stdout.splitlines()]
    assert not (folder / MARK).exists()
    return {each["path"]: each for each in told}


def wrong(told: dict[str, Any], expect: str) -> list[str]:
    """What is not as it should be."""
    found = []
    # A file of a kind that is refused on purpose may be damaged as well: both are errors of one family.
    wanted = {"either": {"read", "error", "refused"}, "error": {"error", "refused"}}.get(expect, {expect})
    if told["outcome"] not in wanted:
        found.append(f"expected {expect}, got {told['outcome']}: {told['text'][:300]}")
    if told["seconds"] > SECONDS:
        found.append(f"{told['seconds']:.1f} s")
    if told["mib"] > MIB:
        found.append(f"{told['mib']} MiB")
    if told["outcome"] != "read" and len(told["text"]) > 4_000:
        found.append(f"an error of {len(told['text'])} characters")
    return [*found, *told["seen"]]


def test_hostile_files_behave_as_the_manifest_says(corpus: Path, root: Path, tmp_path: Path) -> None:
    folder = corpus / "hostile"
    manifest = json.loads((folder / "MANIFEST.json").read_text())
    told = read_all(root, [folder / name for name in manifest], tmp_path)
    assert len(told) == len(manifest)
    bad = {name: wrong(told[str(folder / name)], wanted["expect"]) for name, wanted in manifest.items()}
    assert {name: each for name, each in bad.items() if each} == {}


PARTS = 4
"""The made ones are read by so many processes, one after the other: a few hundred files in one take long to repeat."""


@pytest.mark.parametrize("part", range(PARTS))
def test_hostile_files_of_every_format(root: Path, tmp_path: Path, part: int) -> None:
    names = {tmp_path / f"{number:03}.model": name for number, name in enumerate([*FILES][part::PARTS])}
    for path, name in names.items():
        path.write_bytes(FILES[name].make())
    told = read_all(root, [*names], tmp_path)
    bad = {name: wrong(told[str(path)], FILES[name].expect) for path, name in names.items()}
    assert {name: each for name, each in bad.items() if each} == {}


def test_reading_real_artifacts_imports_no_framework_and_executes_nothing(
    corpus: Path, root: Path, tmp_path: Path
) -> None:
    paths = [path for path in sorted((corpus / "formats").iterdir()) if not path.name.endswith(".oracle.json")]
    told = read_all(root, paths, tmp_path)
    assert {Path(path).name: each["seen"] for path, each in told.items() if each["seen"]} == {}
    assert {each["outcome"] for each in told.values()} == {"read", "refused", "error"}
    assert [path for path, each in told.items() if each["seconds"] > SECONDS or each["mib"] > MIB] == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty file"),
        (b"PK", "no model file of a kind that is read"),
        (b"PK\x05\x06" + bytes(18), "no model file of a kind that is read"),
        (b"{}", "no model file of a kind that is read"),
        (b'{"input_names": [', "expected JSON"),
        (b'{"input_names": ["a"], "output_names": 3}', "expected a list of strings"),
        (b"\x80\x05\x95", "pickle"),
        (b"\x08\x08\x3a\x05ab", "expected field 7 of 5 bytes, got the end after 2"),
    ],
)
def test_small_files_say_what_is_wrong(tmp_path: Path, content: bytes, says: str) -> None:
    from trimtab.artifacts import read_signature
    from trimtab.errors import ArtifactError

    path = tmp_path / "model.pt"
    path.write_bytes(content)
    with pytest.raises(ArtifactError) as error:
        read_signature(path)
    assert says in str(error.value)
    assert str(path) in str(error.value)


def test_what_is_no_file_says_so(tmp_path: Path) -> None:
    import os

    from trimtab.artifacts import read_signature
    from trimtab.errors import ArtifactError

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, says in (
        (tmp_path, "a directory"),
        (pipe, "pipe"),
        (tmp_path / "none", "no such file"),
        ("a\0b", "null"),
    ):
        with pytest.raises(ArtifactError, match=says):
            read_signature(path)
