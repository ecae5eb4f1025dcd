"""Repositories as they are met: half written, linked, vanishing, unreadable. Each oddity says what it is, and where."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from bundle_making import signature

from trimtab.bundles.building import reading
from trimtab.bundles.building.build import Built, derive_bundle
from trimtab.bundles.building.refusals import RefusedBuildError
from trimtab.bundles.repository import ModelRepository
from trimtab.cli.main import main
from trimtab.errors import ArtifactError, BundleError, TrimtabError
from trimtab.signature.document import decode_document, encode_document
from trimtab.signature.model import Signature

AGE = signature("age")


def lay(root: Path, *versions: str) -> Path:
    for version in versions:
        (root / version).mkdir(parents=True)
        (root / version / "signature.json").write_bytes(encode_document(AGE))
    return root


def build(root: Path, read: Callable[[Path], Signature] | None = None) -> Built:
    return derive_bundle(ModelRepository(root), name="ads", read=read)


def test_what_is_odd_is_told_and_what_is_good_is_built(tmp_path: Path) -> None:
    root = lay(tmp_path / "models", "m/1")
    (root / "no-version" / "config").mkdir(parents=True)
    (root / "m" / "2").symlink_to(tmp_path / "nowhere")
    (root / "circle").symlink_to(root / "circle")
    (root / "linked").mkdir()
    (root / "linked" / "5").symlink_to(root / "m" / "1")
    built = build(root)
    assert {name: list(model.versions) for name, model in built.bundle.models.items()} == {"linked": ["5"], "m": ["1"]}
    assert list(built.notes) == [
        f"{root}/circle: a link that cannot be followed",
        f"{root}/m/2: a link that cannot be followed",
        f"{root}/no-version: no version (a folder that is named by a positive integer)",
    ]


def test_a_version_whose_model_is_a_broken_link(tmp_path: Path) -> None:
    root = lay(tmp_path / "models", "m/1")
    (root / "m" / "1" / "signature.json").unlink()
    (root / "m" / "1" / "model.onnx").symlink_to(tmp_path / "blobs" / "gone")
    with pytest.raises(BundleError, match=r"has no artifact.*got model\.onnx \(a link that cannot be followed\)"):
        build(root)


def test_a_repository_of_nothing_but_odd_things_says_which(tmp_path: Path) -> None:
    (tmp_path / "models" / "ctr").mkdir(parents=True)
    with pytest.raises(BundleError, match=r"no version of any model.*ctr: no version"):
        build(tmp_path / "models")


def test_a_version_that_vanishes_is_left_out(tmp_path: Path) -> None:
    root = lay(tmp_path / "models", "m/1", "m/2")

    def read(path: Path) -> Signature:
        shutil.rmtree(root / "m" / "2", ignore_errors=True)
        return decode_document(path.read_bytes(), str(path))

    built = build(root, read)
    assert list(built.bundle.models["m"].versions) == ["1"]
    assert built.notes == (f"{root}/m/2: gone since the repository was listed, and left out",)


def test_a_version_that_is_being_written_is_refused(tmp_path: Path) -> None:
    root = lay(tmp_path / "models", "m/1")

    def read(path: Path) -> Signature:
        found = decode_document(path.read_bytes(), str(path))
        path.write_bytes(path.read_bytes() + b" ")
        return found

    with pytest.raises(BundleError, match=r"version 1 of .m. changed while it was read") as caught:
        build(root, read)
    assert "rename it into place" in caught.value.hint


def test_folders_that_cannot_be_listed_are_named_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = lay(tmp_path / "models", "a/1", "b/1", "c/1")
    scandir = os.scandir

    def refusing(folder: Path) -> object:
        if Path(folder).name == "a" or Path(folder) == root / "b" / "1":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr("trimtab.bundles.repository.os", SimpleNamespace(scandir=refusing, path=os.path))
    with pytest.raises(RefusedBuildError) as caught:
        build(root)
    assert [(each.where, each.got) for each in caught.value.refusals] == [
        (str(root / "a"), "Permission denied"),
        (str(root / "b" / "1"), "Permission denied"),
    ]
    with pytest.raises(BundleError):
        ModelRepository(root).scan()


def unreadable(path: Path) -> Signature:
    raise OSError(5, "Input/output error")


def cut(path: Path) -> Signature:
    raise ArtifactError("cut", where=f"{path}: entry")


@pytest.mark.parametrize("failure", [unreadable, cut])
def test_every_artifact_that_cannot_be_read_is_named(tmp_path: Path, failure: Callable[[Path], Signature]) -> None:
    root = lay(tmp_path / "models", *(f"m/{number}" for number in range(1, 6)))
    with pytest.raises(RefusedBuildError) as caught:
        build(root, failure)
    assert [each.where.partition(": ")[0] for each in caught.value.refusals] == [
        f"{root}/m/{number}/signature.json" for number in range(1, 6)
    ]


def test_errors_of_other_processes_read_like_those_of_this_one(tmp_path: Path) -> None:
    root = lay(tmp_path / "models", *(f"m/{number}" for number in range(1, 121)))
    (root / "m" / "7" / "signature.json").write_bytes(b'{"input_names": 1, "output_names": []}')
    (root / "m" / "8" / "signature.json").unlink()
    (root / "m" / "8" / "model.pt").write_bytes(b"PK\x03\x04cut")
    problems: list[list[TrimtabError]] = []
    for jobs in (1, 2):
        with pytest.raises(RefusedBuildError) as caught:
            derive_bundle(ModelRepository(root), name="ads", jobs=jobs)
        problems.append(list(caught.value.refusals))
    assert [(type(each), str(each)) for each in problems[0]] == [(type(each), str(each)) for each in problems[1]]
    assert [each.where.partition(": ")[0] for each in problems[0]] == [
        f"{root}/m/7/signature.json",
        f"{root}/m/8/model.pt",
    ]


def test_a_thousand_versions_of_one_model(tmp_path: Path) -> None:
    root = lay(tmp_path / "models", *(f"m/{number}" for number in range(1, 1001)))
    index = tmp_path / "ads.index.sqlite"
    first = derive_bundle(ModelRepository(root), name="ads", index=index, jobs=1)
    assert (first.read, len(first.bundle.models["m"].versions)) == (1000, 1000)
    assert first.bundle.models["m"].attested_stable


def test_the_command_says_what_is_odd_on_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "time", SimpleNamespace(time_ns=lambda: time.time_ns() + 10_000_000_000))
    root = lay(tmp_path / "models", "m/1")
    (root / "empty").mkdir()
    build = ["bundle", "build", str(root), "-o", str(tmp_path / "ads.json")]
    assert main(build) == 0
    printed = capsys.readouterr()
    assert printed.err == f"note: {root}/empty: no version (a folder that is named by a positive integer)\n"
    assert "1 read, 0 known from the index" in printed.out
    assert main(build) == 0
    assert "0 read, 1 known from the index" in capsys.readouterr().out
    assert main([*build, "--no-index"]) == 0
    assert "1 read, 0 known from the index" in capsys.readouterr().out
    assert main([*build, "--index", str(root / "m" / "1" / "signature.json")]) == 1
    assert "expected an index, or no file" in capsys.readouterr().err
    assert main([*build, "--index", str(tmp_path / "other"), "--no-index"]) == 2
    assert main(["bundle", "build", str(root), "-o", str(tmp_path / "none" / "ads.json")]) == 1
    assert "expected a folder that is there" in capsys.readouterr().err
