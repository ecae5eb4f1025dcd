"""`trimtab fork`: a new model out of a version, whole or not at all, and the old one as it was."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.artifacts import read_signature
from trimtab.bundles.forking import leftovers
from trimtab.bundles.forking.fork import fork_command, fork_model, fork_name
from trimtab.bundles.forking.forked_config import renamed
from trimtab.bundles.repository import ModelRepository
from trimtab.cli.main import main
from trimtab.errors import BundleError, TrimtabError
from trimtab.source.text_proto import parse_text

CONFIG = """# the ranker of the ads
name: "ctr"   platform: "onnxruntime_onnx"
parameters { key: "name" value { string_value: "ctr" } }
"""


def document(path: Path, *names: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"input_names": names, "output_names": ["score"]}))
    return path


@pytest.fixture
def models(tmp_path: Path) -> Path:
    root = tmp_path / "models"
    document(root / "ctr" / "7" / "signature.json", "age")
    document(root / "ctr" / "8" / "signature.json", "age", "country")
    (root / "ctr" / "8" / "assets").mkdir()
    (root / "ctr" / "8" / "assets" / "countries.txt").write_text("AT\nBE\n")
    (root / "ctr" / "config.pbtxt").write_text(CONFIG)
    (root / "ctr" / "labels.txt").write_text("no\nyes\n")
    document(root / "ranker" / "1" / "signature.json", "age")
    return root


def contents(folder: Path) -> dict[str, bytes]:
    return {str(it.relative_to(folder)): it.read_bytes() for it in sorted(folder.rglob("*")) if it.is_file()}


def visible(root: Path) -> list[tuple[str, int]]:
    return [(each.model, each.version) for each in ModelRepository(root).scan()]


def test_the_highest_version_becomes_the_first(models: Path) -> None:
    before = contents(models / "ctr")
    done = fork_model(models, "ctr", "ctr_v2", by="ads", why="takes the country")
    assert (done.folder, done.moved) == (models / "ctr_v2", False)
    assert contents(models / "ctr") == before
    assert contents(models / "ctr_v2" / "1") == contents(models / "ctr" / "8")
    assert (models / "ctr_v2" / "labels.txt").read_text() == "no\nyes\n"
    assert (models / "ctr_v2" / "config.pbtxt").read_text() == CONFIG.replace('name: "ctr" ', "name: 'ctr_v2' ")
    lineage = json.loads((models / "ctr_v2" / "trimtab-lineage.json").read_text())
    signature = read_signature(models / "ctr" / "8" / "signature.json")
    assert lineage["versions"] == {
        "1": {"model": "ctr", "version": 8, "digest": signature.digest, "input_digest": signature.input_digest}
    }
    assert (lineage["model"], lineage["by"], lineage["why"]) == ("ctr_v2", "ads", "takes the country")
    assert visible(models) == [("ctr", 7), ("ctr", 8), ("ctr_v2", 1), ("ranker", 1)]
    assert [each.name for each in models.iterdir() if each.name.startswith(".")] == []


def test_moved_versions_leave_their_model(models: Path) -> None:
    fork_model(models, "ctr", "ctr_v2", [8, 7], move=True)
    assert visible(models) == [("ctr_v2", 1), ("ctr_v2", 2), ("ranker", 1)]
    assert read_signature(models / "ctr_v2" / "1" / "signature.json").input_names == ("age", "country")
    assert sorted(contents(models / "ctr")) == ["config.pbtxt", "labels.txt"]


def test_a_move_that_was_cut_short_is_finished_by_the_same_command(models: Path) -> None:
    fork_model(models, "ctr", "ctr_v2", [7, 8])
    (models / "ctr" / "7").rename(models / "ctr" / ".7.moved")
    assert fork_model(models, "ctr", "ctr_v2", [7, 8], move=True).moved
    assert visible(models) == [("ctr_v2", 1), ("ctr_v2", 2), ("ranker", 1)]
    document(models / "ctr" / "8" / "signature.json", "age", "other")
    with pytest.raises(BundleError, match="when it was forked"):
        fork_model(models, "ctr", "ctr_v2", [8], move=True)
    assert ("ctr", 8) in visible(models)


def test_versions_that_a_killed_move_left_go_with_the_next(models: Path) -> None:
    moved, theirs = (models / "ctr" / name for name in (".6.0123456789abcdef.moved", ".cache.moved"))
    for each in (moved, theirs):
        document(each / "signature.json", "age")
    fork_model(models, "ctr", "ctr_v2", move=True)
    assert (moved.exists(), theirs.exists()) == (False, True)
    assert visible(models) == [("ctr", 7), ("ctr_v2", 1), ("ranker", 1)]


def test_a_fork_that_was_killed_goes_when_nothing_was_written_in_it_for_long(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, hidden, working = (models / f".{name}.0123456789abcdef.fork" for name in ("left", "hidden", "working"))
    document(left / "1" / "signature.json", "age")
    document(working / "1" / "signature.json", "age")
    while not hidden.exists() or hidden.stat().st_ctime <= left.stat().st_ctime:  # a clock's tick later
        shutil.rmtree(hidden, ignore_errors=True)
        hidden.mkdir()
    document(working / "1" / "labels.txt")
    (models / ".git").mkdir()
    monkeypatch.setattr(leftovers, "LEFT_OVER_S", 0.0)
    leftovers.sweep(models, hidden)
    assert sorted(each.name for each in models.glob(".*")) == sorted([".git", hidden.name, working.name])


def test_a_fork_of_a_fork_has_its_own_lineage_and_name(models: Path) -> None:
    fork_model(models, "ctr", "ctr_v2")
    fork_model(models, "ctr_v2", "ctr_v3")
    assert json.loads((models / "ctr_v3" / "trimtab-lineage.json").read_text())["versions"]["1"]["model"] == "ctr_v2"
    assert "name: 'ctr_v3' " in (models / "ctr_v3" / "config.pbtxt").read_text()


@pytest.mark.parametrize(
    ("model", "name", "versions", "problem"),
    [
        ("ctr", "ranker", [], "name is taken.*\n.*free: ctr_v2"),
        ("ctr", "ctr", [8], "name is taken"),
        ("crt", "x", [], "Did you mean 'ctr'"),
        ("ctr", "x", [9], r"expected version 9, got versions 7, 8"),
        *[
            ("ctr", name, [], "cannot have that name")
            for name in ("", ".x", "..", "-x", "a/b", "a:1", "a\n", "x" * 201)
        ],
    ],
)
def test_refused_with_nothing_changed(models: Path, model: str, name: str, versions: list[int], problem: str) -> None:
    before = contents(models)
    with pytest.raises(BundleError, match=f"(?s){problem}"):
        fork_model(models, model, name, versions)
    assert contents(models) == before
    assert sorted(it.name for it in models.iterdir()) == ["ctr", "ranker"]


def test_what_cannot_be_copied_leaves_nothing(models: Path) -> None:
    os.mkfifo(models / "ctr" / "8" / "pipe")
    with pytest.raises(BundleError, match="a file or a folder"):
        fork_model(models, "ctr", "x")
    os.unlink(models / "ctr" / "8" / "pipe")
    (models / "ctr" / "8" / "again").symlink_to("..")
    with pytest.raises(BundleError, match="folders at most"):
        fork_model(models, "ctr", "x")
    assert sorted(it.name for it in models.iterdir()) == ["ctr", "ranker"]


def test_the_copy_shares_nothing_with_the_original(models: Path, tmp_path: Path) -> None:
    document(tmp_path / "blob.json", "age", "country")
    (models / "ctr" / "8" / "signature.json").unlink()
    (models / "ctr" / "8" / "signature.json").symlink_to(tmp_path / "blob.json")
    fork_model(models, "ctr", "ctr_v2")
    copy = models / "ctr_v2" / "1" / "signature.json"
    assert not copy.is_symlink()
    assert copy.stat().st_ino != (tmp_path / "blob.json").stat().st_ino


CALLS = ("mkdir", "open", "fsync", "rename", "utime", "copy_file_range", "fchmod")


def test_a_failure_at_any_call_leaves_the_old_state_or_the_new_one(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call that changes something fails once, in turn, until none fails any more."""
    before, failed = contents(models), 0
    while True:
        left = [failed]

        def failing(name: str, real: Callable[..., object], left: list[int] = left) -> Callable[..., object]:
            def call(*arguments: object, **options: object) -> object:
                if left[0] == 0:
                    left[0] -= 1
                    raise OSError(28, "No space left on device", name)
                left[0] -= 1
                return real(*arguments, **options)

            return call

        with monkeypatch.context() as patch:
            for name in CALLS:
                patch.setattr(os, name, failing(name, getattr(os, name)))
            try:
                fork_model(models, "ctr", "ctr_v2")
            except TrimtabError:
                pass
            else:
                if left[0] >= 0:
                    break
        there = models / "ctr_v2"
        if there.exists():
            assert contents(there / "1") == contents(models / "ctr" / "8")
            assert (there / "trimtab-lineage.json").exists()
            for path in sorted(there.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            there.rmdir()
        assert contents(models) == before
        failed += 1
    assert failed > 20


WRITES = ("mkdir", "copy_file_range", "fchmod", "fsync", "rename")


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("call", WRITES)
def test_killed_at_any_call_that_writes_a_scan_sees_nothing_or_all(models: Path, call: str) -> None:
    command = [sys.executable, "-m", "trimtab", "fork", str(models), "ctr", "ctr_v2"]
    before, environment = contents(models), {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    for number in itertools.count(1):
        traced = ["strace", "-f", "-o", os.devnull, "-e", f"trace={call}"]
        traced += ["-e", f"inject={call}:signal=KILL:when={number}"]
        done = subprocess.run([*traced, *command], check=False, capture_output=True, env=environment)
        for left in models.glob(".*"):
            shutil.rmtree(left)
        if (models / "ctr_v2").exists():
            assert contents(models / "ctr_v2" / "1") == contents(models / "ctr" / "8")
            assert (models / "ctr_v2" / "trimtab-lineage.json").exists()
            shutil.rmtree(models / "ctr_v2")
        assert contents(models) == before
        if done.returncode == 0:
            break
    assert number > 1


# --- Triton's configuration


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('name: "ctr" name: "ctr"', "name once"),
        ("name: 7", "a string in quotes"),
        ('name: "ctr', "a value"),
        ("version_policy { specific { versions: [7, 8] } }", "names no versions"),
        ("version_policy { latest { num_versions: 2 }", "at the end"),
    ],
)
def test_a_configuration_that_cannot_be_taken_along(models: Path, text: str, problem: str) -> None:
    (models / "ctr" / "config.pbtxt").write_text(text)
    with pytest.raises(BundleError, match=f"(?s){problem}.*--without-config"):
        fork_model(models, "ctr", "ctr_v2")
    assert not (models / "ctr_v2").exists()
    fork_model(models, "ctr", "ctr_v2", with_config=False)
    assert not (models / "ctr_v2" / "config.pbtxt").exists()


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_renamed_configuration_says_the_new_name_and_all_else_as_before(name: str) -> None:
    text = "# name: 'x'\nplatform: 'p' name: \"a\" 'b' # and a comment\nmax_batch_size: 8\n"
    changed = renamed(text.encode(), name, "config.pbtxt").decode()
    assert parse_text(changed, "").text("name") == name
    assert (changed[: text.index('"a"')], changed[changed.index(" # and") :]) == (
        text[: text.index('"a"')],
        text[text.index(" # and") :],
    )


def test_a_configuration_without_a_name_stays() -> None:
    assert renamed(b"platform: 'p'\n", "ctr_v2", "") == b"platform: 'p'\n"


# --- names, and the command


@pytest.mark.parametrize(
    ("model", "taken", "fork"),
    [("ctr", [], "ctr_v2"), ("ctr", ["ctr_v2"], "ctr_v3"), ("ctr_v2", [], "ctr_v3"), ("a_v9", ["a_v10"], "a_v11")],
)
def test_the_next_free_name(model: str, taken: list[str], fork: str) -> None:
    assert fork_name(model, taken) == fork


@given(st.text(min_size=1, max_size=120).filter(lambda text: text.strip(".") and not set(text) & set("/\0")))
def test_the_name_that_is_proposed_can_be_had(model: str) -> None:
    """Also for a folder that someone could make and that no fork can be called like: `-a`, `a:b`, or very long."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        document(root / "ctr" / "1" / "signature.json", "age")
        name = fork_name(model, [])
        assert fork_model(root, "ctr", name).folder == root / name
    assert fork_name(model, [name]) != name


def test_the_name_that_is_proposed_is_no_folder_that_lies_there(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (models / "ctr_v2").mkdir()
    assert main(["check", str(models), "--against", str(models), "--json"]) == 100
    printed = json.loads(capsys.readouterr().out)
    assert {each["fork"] for each in printed["changes"]} == {f"trimtab fork {models} ctr ctr_v3 --version 8 --move"}
    assert main(["bundle", "build", str(models), "-o", str(models.parent / "ads.json")]) == 100
    assert f"trimtab fork {models} ctr ctr_v3 --version 8 --move" in "".join(capsys.readouterr())


def test_the_command_that_is_named_does_it(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(models.parent)
    (models / "ctr").rename(models / "-c t'r")
    command = fork_command(Path("models"), "-c t'r", "ctr_v2", 8)
    line = command.replace("trimtab", f"{sys.executable} -m trimtab", 1)
    subprocess.run(line, shell=True, check=True, capture_output=True)
    assert visible(models) == [("-c t'r", 7), ("ctr_v2", 1), ("ranker", 1)]
    assert fork_command("models", "ctr", "ctr_v2", 8) == "trimtab fork models ctr ctr_v2 --version 8 --move"


def test_it_says_what_is_to_follow(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fork", str(models), "ctr", "ctr_v2", "--by", "ads"]) == 0
    out = capsys.readouterr().out
    assert f"{models}/ctr_v2/1: forked from ctr:8 (" in out
    assert f"ctr still has version 8. Take it away:\n  trimtab fork {models} ctr ctr_v2 --version 8 --move\n" in out
    assert main(["fork", str(models), "ctr", "ctr_v2", "--version", "8", "--move", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["moved"], printed["lineage"]["by"]) == (True, "ads")
    assert printed["next"] == [f"trimtab check {models} --against {models}"]
    assert main(["check", str(models), "--against", str(models)]) == 0


def test_taken_and_unknown_are_errors(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fork", str(models), "ctr", "ranker"]) == 1
    assert main(["fork", str(models / "none"), "ctr", "x"]) == 1
    assert main(["fork", str(models), "ctr", "x", "--version", "0"]) == 2
