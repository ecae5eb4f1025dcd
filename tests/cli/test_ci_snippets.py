"""What the hook and the CI snippets of the documentation state is run, as it is written, in a small git repository."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from signature_places import repository
from trimtab.bundles.repository import ARTIFACT_FOLDERS, ARTIFACT_NAMES, ARTIFACT_SUFFIXES, DOCUMENT_NAMES, FOLDER_MARKS

GOOD, CHANGED = ["age", "item"], ["age", "user"]


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone on a branch, of a repository whose main has two models; `trimtab` is on the path."""
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "trimtab"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m trimtab "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "t")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "t@example.org")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    origin = repository(tmp_path / "origin" / "models", {"ctr": {7: GOOD}, "ranker": {1: ["item"]}}).parent
    git(origin, "init", "-q", "-b", "main")
    git(origin, "add", ".")
    git(origin, "commit", "-qm", "models")
    git(tmp_path, "clone", "-q", "origin", "clone")
    git(tmp_path / "clone", "switch", "-qc", "branch")
    return tmp_path / "clone"


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def committed(clone: Path, models: dict[str, dict[int, list[str]]]) -> None:
    repository(clone / "models", models)
    git(clone, "add", ".")
    git(clone, "commit", "-qm", "change")


def snippet(root: Path, key: str) -> dict[str, Any]:
    """The block of docs/stability.md that has a key at its top."""
    blocks = re.findall(r"```yaml\n(.*?)```", (root / "docs" / "stability.md").read_text(), re.DOTALL)
    (found,) = [read for read in map(yaml.safe_load, blocks) if key in read]
    assert isinstance(found, dict)
    return found


def run(clone: Path, script: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """The lines of a script in one shell that stops at the first that fails; what installs is left out."""
    lines = ["set -e", *(line for line in script if not line.startswith("pip install "))]
    assert len(lines) < len(script) + 1
    return subprocess.run(
        ["bash", "-c", "\n".join(lines)],
        cwd=clone,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


# --- pre-commit


def hook(root: Path) -> dict[str, Any]:
    (found,) = yaml.safe_load((root / ".pre-commit-hooks.yaml").read_text())
    assert isinstance(found, dict)
    return found


def pre_commit(root: Path, clone: Path) -> int | None:
    """What pre-commit does with the hook and the args of the documentation; None where it does not run it."""
    (configured,) = snippet(root, "repos")["repos"][0]["hooks"]
    declared = hook(root)
    assert configured["id"] == declared["id"]
    assert not declared["pass_filenames"]
    staged = git(clone, "diff", "--cached", "--name-only").splitlines()
    if not any(re.search(declared["files"], name) for name in staged):
        return None
    words = [*shlex.split(declared["entry"]), *configured.get("args", declared["args"])]
    return subprocess.run(words, cwd=clone, capture_output=True, check=False).returncode


def test_the_hook_refuses_a_changed_version(root: Path, clone: Path) -> None:
    repository(clone / "models", {"ctr": {8: GOOD}})
    git(clone, "add", ".")
    assert pre_commit(root, clone) == 0
    repository(clone / "models", {"ctr": {9: CHANGED}})
    git(clone, "add", ".")
    assert pre_commit(root, clone) == 100
    git(clone, "reset", "-q")
    (clone / "README.md").write_text("x")
    git(clone, "add", "README.md")
    assert pre_commit(root, clone) is None


@pytest.mark.parametrize(
    "name",
    [
        *(f"model{suffix}" for suffix in sorted(ARTIFACT_SUFFIXES)),
        *sorted({*ARTIFACT_NAMES, *DOCUMENT_NAMES, *FOLDER_MARKS}),
        *(f"model{suffix}/x.pb" for suffix in ARTIFACT_FOLDERS),
        "trimtab.toml",
    ],
)
def test_the_hook_looks_at_every_file_that_may_be_a_model(root: Path, name: str) -> None:
    for path in (f"models/ctr/1/{name}", name):
        assert re.search(hook(root)["files"], path)


@pytest.mark.parametrize("name", ["README.md", "x/trimtab.tomlx", "model.onnx.lock", "MLmodels", "a.py"])
def test_the_hook_leaves_other_files_alone(root: Path, name: str) -> None:
    assert not re.search(hook(root)["files"], name)


# --- GitHub and GitLab


def github(root: Path, clone: Path) -> subprocess.CompletedProcess[str]:
    job = snippet(root, "jobs")["jobs"]["check"]
    script = [step["run"].replace("${{ github.base_ref }}", "main") for step in job["steps"] if "run" in step]
    assert "${{" not in "".join(script)
    return run(clone, script)


def gitlab(root: Path, clone: Path) -> subprocess.CompletedProcess[str]:
    job = snippet(root, "model signatures")["model signatures"]
    return run(clone, job["script"], CI_MERGE_REQUEST_TARGET_BRANCH_NAME="main")


@pytest.mark.parametrize("system", [github, gitlab])
@pytest.mark.parametrize(
    ("models", "exit_code"),
    [
        ({"ctr": {8: GOOD}, "new": {1: CHANGED}}, 0),
        ({"ctr": {8: CHANGED}}, 100),
        ({"ctr": {7: CHANGED}}, 100),
    ],
    ids=["unchanged", "changed", "changed in place"],
)
def test_ci_refuses_what_changed(
    root: Path, clone: Path, system: Any, models: dict[str, dict[int, list[str]]], exit_code: int
) -> None:
    committed(clone, models)
    done = system(root, clone)
    assert done.returncode == exit_code, done.stderr
    (changed,) = [(model, version) for model, versions in models.items() for version in versions][-1:]
    path = f"models/{changed[0]}/{changed[1]}/signature.json"
    if system is github:
        assert (f"::error file={path}," in done.stdout) == bool(exit_code)
    else:
        report = snippet(root, "model signatures")["model signatures"]["artifacts"]["reports"]["codequality"]
        issues = json.loads((clone / report).read_text())
        assert {each["location"]["path"] for each in issues} == ({path} if exit_code else set())
