"""A document beside a file counts for that very file, and for no other."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from trimtab.artifacts import derive_signature, embed_signature, read_signature, sidecar
from trimtab.artifacts.sidecar import read_sidecar, sidecar_path
from trimtab.errors import ArtifactError, ContradictionError
from trimtab.source.bytes import LocalFile

NAMES = '{"input_names": ["user_age"], "output_names": ["score"]}'


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "model.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(1000))
    names = tmp_path / "names.json"
    names.write_text(NAMES)
    embed_signature(path, read_signature(names))
    names.unlink()
    return path


def beside(path: Path) -> Path:
    return Path(sidecar_path(str(path)))


def test_the_document_states_the_file_and_is_read(weights: Path) -> None:
    document = json.loads(beside(weights).read_text())
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert document["artifact"] == {"digest": f"sha256:{digest}", "size": weights.stat().st_size}
    assert list(document)[:2] == ["input_names", "output_names"]
    read = read_signature(weights)
    assert read.input_names == ("user_age",)
    assert (read.provenance.format, read.provenance.learned) == ("hdf5", "declared")


def test_the_document_alone_is_a_signature_too(weights: Path) -> None:
    assert read_signature(beside(weights)).digest == read_signature(weights).digest


def test_embedding_again_replaces_it(weights: Path, tmp_path: Path) -> None:
    names = tmp_path / "other.json"
    names.write_text(NAMES.replace("user_age", "item_price"))
    assert embed_signature(weights, read_signature(names)) == sidecar_path(str(weights))
    assert read_signature(weights).input_names == ("item_price",)
    assert sorted(os.listdir(tmp_path)) == ["model.h5", "model.h5.signature.json", "other.json"]


CHANGES = {
    "a byte": lambda data: data[:-1] + b"x",
    "longer": lambda data: data + b"x",
    "shorter": lambda data: data[:-1],
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_stale_document_is_refused(case: str, weights: Path) -> None:
    weights.write_bytes(CHANGES[case](weights.read_bytes()))
    with pytest.raises(ArtifactError, match="not of this file") as error:
        read_signature(weights)
    assert "trimtab embed" in error.value.hint


def test_a_file_of_another_size_is_told_without_reading_it(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with weights.open("ab") as file:
        file.truncate(8 << 30)
    monkeypatch.setattr(sidecar, "bind", lambda _: pytest.fail("the file was read"))
    with pytest.raises(ArtifactError, match="not of this file"):
        read_signature(weights)


def test_a_document_of_another_file_is_refused(weights: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.h5"
    other.write_bytes(weights.read_bytes()[:-1] + b"y")
    shutil.copy(beside(weights), beside(other))
    with pytest.raises(ArtifactError, match="not of this file"):
        read_signature(other)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (NAMES, "names no artifact"),
        ("[1, 2]", "Expected `object`"),
        ("{", "truncated"),
        ('{"artifact": {"digest": 3, "size": 1}}', "Expected `str`"),
        ("[" * 100_000, "recursion|depth|Expected"),
        ("", "truncated"),
    ],
)
def test_a_document_that_is_none_is_refused(text: str, says: str, weights: Path) -> None:
    beside(weights).write_text(text)
    with pytest.raises(ArtifactError, match=says):
        read_signature(weights)


def test_a_document_that_goes_on_is_refused(weights: Path) -> None:
    with beside(weights).open("ab") as file:
        file.truncate(1 << 30)
    with pytest.raises(ArtifactError, match="at most 16777216 bytes"):
        read_signature(weights)


def test_a_folder_or_a_pipe_in_its_place_is_refused(weights: Path) -> None:
    beside(weights).unlink()
    os.mkfifo(beside(weights))
    with pytest.raises(ArtifactError, match="regular file"):
        read_signature(weights)
    beside(weights).unlink()
    beside(weights).symlink_to("nowhere")
    with pytest.raises(ArtifactError, match="readable file"):
        read_signature(weights)


@pytest.mark.parametrize("failing", ["replace", "fsync"])
def test_a_failed_write_leaves_the_old_document(failing: str, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, names = beside(weights).read_bytes(), sorted(os.listdir(weights.parent))
    signature = read_signature(weights)

    def fails(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, fails)
    with pytest.raises(ArtifactError, match="No space left"):
        embed_signature(weights, signature)
    assert beside(weights).read_bytes() == old
    assert sorted(os.listdir(weights.parent)) == names


# Formats that have room


@pytest.fixture
def onnx(corpus: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(corpus / "formats" / "onnx_external.onnx", tmp_path / "model.onnx"))


def test_beside_leaves_the_file_as_it_is(onnx: Path) -> None:
    before = onnx.read_bytes()
    derived = derive_signature(onnx)
    assert embed_signature(onnx, derived, beside=True) == sidecar_path(str(onnx))
    assert onnx.read_bytes() == before
    read = read_signature(onnx)
    assert read.provenance.learned == "declared"
    assert read.digest == derived.digest


def test_a_document_inside_counts_and_one_beside_is_refused(onnx: Path) -> None:
    embed_signature(onnx, derive_signature(onnx))
    with pytest.raises(ArtifactError, match="counts before one beside"):
        embed_signature(onnx, derive_signature(onnx), beside=True)
    assert not beside(onnx).exists()


def test_a_document_inside_counts_though_a_stale_one_lies_beside(onnx: Path) -> None:
    derived = derive_signature(onnx)
    embed_signature(onnx, derived, beside=True)
    embed_signature(onnx, derived)
    assert read_signature(onnx).digest == derived.digest


def test_a_document_beside_must_not_contradict_the_graph(onnx: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.json"
    names.write_text(NAMES.replace("user_age", "no_such"))
    with pytest.raises(ContradictionError, match="no_such"):
        embed_signature(onnx, read_signature(names), beside=True)
    assert not beside(onnx).exists()


def test_no_document_is_no_document(tmp_path: Path) -> None:
    assert read_sidecar(str(tmp_path / "model")) is None


def test_a_source_in_memory_has_none(onnx: Path) -> None:
    embed_signature(onnx, derive_signature(onnx), beside=True)
    with LocalFile(onnx) as source:
        assert read_signature(source).provenance.learned == "declared"
