"""Files of equal bytes are read once, and what the gate says of them is what it says of those that are read twice."""

from __future__ import annotations

import os
import shutil
from itertools import product
from pathlib import Path

import pytest
from onnx import TensorProto, helper

from trimtab.artifacts import embed_signature, read_signature
from trimtab.artifacts.sidecar import sidecar_path, write_sidecar
from trimtab.bundles.comparing import checking
from trimtab.bundles.comparing.checking import _compare_batch, _Task
from trimtab.bundles.comparing.equal_files import MOST_BYTES, equal_files
from trimtab.bundles.comparing.versions import InArtifact, Opened
from trimtab.signature.model import Signature
from trimtab.stability.category import Category


def model(path: Path, name: str) -> Path:
    values = [helper.make_tensor_value_info(each, TensorProto.FLOAT, ["n", 1]) for each in (name, "score")]
    graph = helper.make_graph([helper.make_node("Abs", [name], ["score"])], "g", values[:1], values[1:])
    path.write_bytes(helper.make_model(graph, ir_version=8).SerializeToString())
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Models that say one thing or another, with a document inside or beside or of another file; and what is none."""
    folder = tmp_path_factory.mktemp("files")
    one, other = model(folder / "one.onnx", "a"), model(folder / "other.onnx", "b")
    inside, beside = model(folder / "inside.onnx", "a"), model(folder / "beside.onnx", "a")
    embed_signature(inside, read_signature(one))
    write_sidecar(str(beside), read_signature(one))
    stale = model(folder / "stale.onnx", "b")
    shutil.copy(sidecar_path(str(beside)), sidecar_path(str(stale)))
    damaged, text = folder / "damaged.onnx", folder / "text.onnx"
    damaged.write_bytes(one.read_bytes()[:-9])
    text.write_text("no model")
    copies = [Path(shutil.copy(each, folder / f"again-{each.name}")) for each in (one, other, inside, damaged)]
    return [one, other, inside, beside, stale, damaged, text, folder / "missing.onnx", *copies]


def task(old: Path, new: Path) -> _Task:
    sources = {"old": InArtifact(str(old)), "new": InArtifact(str(new))}
    return _Task(model="m", **sources, old_is_new=False, old_digest="", same=False, category=Category.FREEZE)


def test_the_gate_says_what_it_says_when_both_are_read(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = [task(old, new) for old, new in product(files, repeat=2)]
    at_once = [str(_compare_batch([each])) for each in tasks]
    monkeypatch.setattr(checking, "equal_files", lambda old, new: False)
    assert at_once == [str(_compare_batch([each])) for each in tasks]
    assert len(set(at_once)) > 6


def test_equal_files_are_read_once(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def reading(self: InArtifact, opened: Opened) -> Signature:
        del opened
        read.append(self.path)
        return read_signature(self.path)

    monkeypatch.setattr(InArtifact, "read", reading)
    assert _compare_batch([task(files[-4], files[0])]) == [([], "")]
    assert read == [str(files[0])]


@pytest.mark.parametrize(
    ("name", "content", "equal"),
    [
        ("model.onnx", b"content", True),
        ("model.onnx", b"contenT", False),
        ("model.onnx", b"contents", False),
        ("MLmodel", b"content", False),
        ("saved_model.pb", b"content", False),
    ],
)
def test_what_counts_as_equal(tmp_path: Path, name: str, content: bytes, equal: bool) -> None:
    for each, written in (("one", b"content"), ("other", content)):
        (tmp_path / each).mkdir()
        (tmp_path / each / name).write_bytes(written)
    one, other = (str(tmp_path / each / name) for each in ("one", "other"))
    assert equal_files(one, other) == equal_files(other, one) == equal
    Path(sidecar_path(other)).write_text("")
    assert not equal_files(one, other)
    assert not equal_files(other, one)


def test_what_is_large_or_no_file_is_left_to_its_reader(tmp_path: Path) -> None:
    largest, larger = tmp_path / "largest", tmp_path / "larger"
    largest.write_bytes(bytes(MOST_BYTES))
    larger.write_bytes(bytes(MOST_BYTES + 1))
    os.mkfifo(tmp_path / "pipe")
    assert equal_files(str(largest), str(largest))
    for path in (larger, tmp_path, tmp_path / "pipe", tmp_path / "missing", Path("x\0")):
        assert not equal_files(str(path), str(path))
