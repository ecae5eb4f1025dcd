"""What a scan of a model repository finds, and what it leaves alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trimtab.bundles.repository import ModelRepository
from trimtab.errors import BundleError


def lay(root: Path, *files: str) -> ModelRepository:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"weights")
    return ModelRepository(root)


LAYOUTS = [
    ("one", ["ctr/7/model.onnx"], [("ctr", 7, "model.onnx")]),
    ("sorted by number", ["m/10/model.pt", "m/9/model.pt"], [("m", 9, "model.pt"), ("m", 10, "model.pt")]),
    ("any name of a known kind", ["m/1/ranker.pt2"], [("m", 1, "ranker.pt2")]),
    ("other servers' files", ["m/config.pbtxt", "m/1/model.onnx", "m/1/w.data", "README"], [("m", 1, "model.onnx")]),
    ("dot names", [".git/1/model.pt", "m/1/.model.pt.swp", "m/1/model.pt"], [("m", 1, "model.pt")]),
    ("not versions", ["m/0/model.pt", "m/007/model.pt", "m/-1/model.pt", "m/v2/model.pt", "m/٣/model.pt"], []),
    ("a version too long", ["m/99999999999999999999/model.pt"], []),
    (
        "a document for an artifact of another kind",
        ["m/1/model.plan", "m/1/signature.json"],
        [("m", 1, "signature.json")],
    ),
    ("an artifact beside its document", ["m/1/model.pt", "m/1/module_info.json"], [("m", 1, "model.pt")]),
    (
        "kinds of their own names",
        ["x/1/xgboost.json", "l/1/model.txt", "k/1/model.keras", "o/1/model.xml", "o/1/model.bin"],
        [("k", 1, "model.keras"), ("l", 1, "model.txt"), ("o", 1, "model.xml"), ("x", 1, "xgboost.json")],
    ),
    ("an MLflow model with a model inside", ["m/3/MLmodel", "m/3/model.onnx"], [("m", 3, "3")]),
    ("a SavedModel as TF Serving has it", ["m/3/saved_model.pb", "m/3/variables/variables.index"], [("m", 3, "3")]),
    ("a SavedModel as Triton has it", ["m/3/model.savedmodel/saved_model.pb"], [("m", 3, "model.savedmodel")]),
    (
        "any file that has its document beside it",
        ["m/1/model.joblib", "m/1/model.joblib.signature.json"],
        [("m", 1, "model.joblib")],
    ),
    ("model names of any kind", ["ctr v2+é/1/model.pt"], [("ctr v2+é", 1, "model.pt")]),
]


@pytest.mark.parametrize(("files", "found"), [row[1:] for row in LAYOUTS], ids=[row[0] for row in LAYOUTS])
def test_scan(tmp_path: Path, files: list[str], found: list[tuple[str, int, str]]) -> None:
    scanned = lay(tmp_path, *files).scan()
    assert [(each.model, each.version, each.path.name) for each in scanned] == found


def test_several_artifacts_in_one_version_are_named(tmp_path: Path) -> None:
    (version,) = lay(tmp_path, "ctr/7/model.pt", "ctr/7/model.onnx").scan()
    with pytest.raises(BundleError, match=r"several artifacts") as caught:
        _ = version.path
    assert caught.value.where == str(tmp_path / "ctr" / "7")
    assert caught.value.got == "model.onnx, model.pt"


def test_a_version_without_an_artifact_says_what_is_there(tmp_path: Path) -> None:
    (version,) = lay(tmp_path, "ctr/7/model.pt.part").scan()
    with pytest.raises(BundleError, match=r"has no artifact.*got model\.pt\.part"):
        _ = version.path


def test_nothing_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = lay(tmp_path, "ctr/7/model.pt")
    (tmp_path / "ctr" / "7" / "model.pt").chmod(0)
    monkeypatch.setattr("builtins.open", None)
    monkeypatch.setattr(os, "open", None)
    assert len(repository.scan()) == 1


@pytest.mark.parametrize("change", ["append", "rewrite", "replace", "add", "remove"])
def test_identity_shows_every_change(tmp_path: Path, change: str) -> None:
    repository = lay(tmp_path, "m/1/model.onnx", "m/1/model.data")
    (before,) = repository.scan()
    assert repository.scan() == [before]
    data = tmp_path / "m" / "1" / "model.data"
    if change == "append":
        data.write_bytes(b"weights and more")
    elif change == "rewrite":
        os.utime(data, ns=(1, 1))
    elif change == "replace":
        data.with_name(".new").write_bytes(b"weights")
        os.utime(data.with_name(".new"), ns=(data.stat().st_atime_ns, data.stat().st_mtime_ns))
        data.with_name(".new").rename(data)
    elif change == "add":
        data.with_name("more.data").write_bytes(b"")
    else:
        data.unlink()
    (after,) = repository.scan()
    assert after.identity != before.identity


@pytest.mark.parametrize("folder", ["m/1/variables", "m/1/assets/deep/down"])
def test_identity_of_a_folder_shows_changes_below(tmp_path: Path, folder: str) -> None:
    repository = lay(tmp_path, "m/1/saved_model.pb", f"{folder}/file")
    (before,) = repository.scan()
    (tmp_path / folder / "file").write_bytes(b"other weights")
    (after,) = repository.scan()
    assert after.identity != before.identity
    assert after.path == before.path


def test_links_are_followed_and_broken_ones_left_out(tmp_path: Path) -> None:
    lay(tmp_path / "store", "blob/model.pt")
    (tmp_path / "repo" / "m").mkdir(parents=True)
    (tmp_path / "repo" / "m" / "1").symlink_to(tmp_path / "store" / "blob")
    (tmp_path / "repo" / "m" / "2").symlink_to(tmp_path / "nowhere")
    assert [each.version for each in ModelRepository(tmp_path / "repo").scan()] == [1]


@pytest.mark.parametrize("kind", ["missing", "a file"])
def test_a_root_that_cannot_be_listed(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "repo"
    if kind == "a file":
        root.write_bytes(b"")
    with pytest.raises(BundleError) as caught:
        ModelRepository(root).scan()
    assert caught.value.where == str(root)
