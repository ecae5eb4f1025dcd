"""Embedding: torch, onnx and onnxruntime still load the file, give the same scores, and see the document."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from msgspec.structs import replace

from trimtab.artifacts import embed_signature, read_signature
from trimtab.artifacts.formats.onnx import metadata
from trimtab.errors import ArtifactError, ContradictionError
from trimtab.signature.document import FILE_NAME, encode_document
from trimtab.signature.dtypes import DType
from trimtab.signature.model import Learned, Signature
from trimtab.signature.types import Tensor

warnings.filterwarnings("ignore", category=DeprecationWarning, module="torch")


class Pair(NamedTuple):
    score: torch.Tensor
    rank: torch.Tensor


class Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.arange(3.0))

    def forward(self, user: torch.Tensor, item: torch.Tensor) -> Pair:
        score = (user * self.weight + item).sum(1)
        return Pair(score, score * 2)


X = torch.ones(2, 3)


class Kind(NamedTuple):
    """One kind of artifact: how it is made, and what its framework makes of it."""

    suffix: str
    make: Any
    scores: Any
    document: Any


def make_script(path: Path) -> None:
    torch.jit.save(torch.jit.script(Model()), str(path))


def script_scores(path: Path) -> list[float]:
    scores: list[float] = torch.jit.load(str(path))(X, X).score.tolist()
    return scores


def script_document(path: Path) -> bytes:
    extra = {FILE_NAME: ""}
    torch.jit.load(str(path), _extra_files=extra)
    return bytes(extra[FILE_NAME])  # type: ignore[arg-type]  # torch puts bytes there


class Exported(torch.nn.Module):
    def forward(self, user: torch.Tensor, item: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"score": (user + item).sum(1)}


def make_exported(path: Path) -> None:
    torch.export.save(torch.export.export(Exported(), (X, X)), str(path))


def exported_scores(path: Path) -> list[float]:
    scores: list[float] = torch.export.load(str(path)).module()(X, X)["score"].tolist()
    return scores


def exported_document(path: Path) -> bytes:
    extra = {FILE_NAME: ""}
    torch.export.load(str(path), extra_files=extra)
    return extra[FILE_NAME].encode()


def make_onnx(path: Path) -> None:
    x = onnx.helper.make_tensor_value_info("user", onnx.TensorProto.FLOAT, ["n", 3])
    w = onnx.numpy_helper.from_array(np.arange(3, dtype=np.float32), "w")
    y = onnx.helper.make_tensor_value_info("score", onnx.TensorProto.FLOAT, ["n", 3])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Mul", ["user", "w"], ["score"])], "g", [x], [y], [w])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    onnx.helper.set_model_props(model, {"author": "someone"})
    onnx.save(model, path)


def onnx_scores(path: Path) -> list[float]:
    session = onnxruntime.InferenceSession(path)
    scores: list[float] = session.run(None, {"user": X.numpy()})[0].tolist()
    return scores


def onnx_document(path: Path) -> bytes:
    props = [it for it in onnx.load(path).metadata_props if it.key == FILE_NAME]
    assert len(props) == 1
    assert {it.key for it in onnx.load(path).metadata_props} == {"author", FILE_NAME}
    custom = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
    assert custom[FILE_NAME] == props[0].value
    return props[0].value.encode()


KINDS = {
    "torchscript": Kind("pt", make_script, script_scores, script_document),
    "pt2": Kind("pt2", make_exported, exported_scores, exported_document),
    "onnx": Kind("onnx", make_onnx, onnx_scores, onnx_document),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("made")
    for name, kind in KINDS.items():
        kind.make(folder / f"{name}.{kind.suffix}")
    return {name: folder / f"{name}.{kind.suffix}" for name, kind in KINDS.items()}


@pytest.fixture(params=list(KINDS))
def artifact(request: pytest.FixtureRequest, made: dict[str, Path], tmp_path: Path) -> tuple[Path, Kind]:
    original = made[request.param]
    return Path(shutil.copy(original, tmp_path)), KINDS[request.param]


def test_frameworks_load_the_file_and_see_the_document(artifact: tuple[Path, Kind]) -> None:
    path, kind = artifact
    scores = kind.scores(path)
    derived = read_signature(path)
    embed_signature(path, derived)
    assert kind.scores(path) == scores
    assert kind.document(path) == encode_document(declared(derived))
    assert read_signature(path) == declared(derived)


def test_embedding_again_replaces_the_document(artifact: tuple[Path, Kind]) -> None:
    path, kind = artifact
    first = read_signature(path)
    for text in ("one", "two", "three"):
        changed = with_doc(first, text)
        embed_signature(path, changed)
        assert kind.document(path) == encode_document(declared(changed))
        assert read_signature(path).inputs[0].doc == text


def declared(signature: Signature) -> Signature:
    """The same signature as an artifact states it, however it was learned before."""
    return replace(signature, provenance=replace(signature.provenance, learned=Learned.DECLARED))


def with_doc(signature: Signature, text: str) -> Signature:
    entry_point = signature.entry_point()
    overload = entry_point.overloads[0]
    inputs = (replace(overload.inputs[0], doc=text), *overload.inputs[1:])
    return replace(signature, entry_points=(replace(entry_point, overloads=(replace(overload, inputs=inputs),)),))


def test_names_alone_are_completed_from_the_graph(artifact: tuple[Path, Kind], tmp_path: Path) -> None:
    path, _ = artifact
    derived = read_signature(path)
    names = tmp_path / "module_info.json"
    names.write_text(json.dumps({"input_names": derived.input_names, "output_names": derived.output_names}))
    embed_signature(path, read_signature(names))
    read = read_signature(path)
    assert read.provenance.learned == "declared"
    assert read.input_digest == derived.input_digest
    assert [it.type for it in read.inputs] == [it.type for it in derived.inputs]


def test_a_contradiction_is_refused_before_anything_is_written(artifact: tuple[Path, Kind]) -> None:
    path, _ = artifact
    before = path.read_bytes()
    signature = read_signature(path)
    overload = signature.entry_point().overloads[0]
    wrong = replace(overload, inputs=(replace(overload.inputs[0], name="usr", path="usr"), *overload.inputs[1:]))
    entry_points = (replace(signature.entry_point(), overloads=(wrong,)),)
    with pytest.raises(ContradictionError, match="usr"):
        embed_signature(path, replace(signature, entry_points=entry_points))
    assert path.read_bytes() == before


def test_a_document_that_contradicts_the_graph_is_refused_when_read(made: dict[str, Path], tmp_path: Path) -> None:
    path = Path(shutil.copy(made["onnx"], tmp_path))
    signature = read_signature(path)
    overload = signature.entry_point().overloads[0]
    inputs = (replace(overload.inputs[0], type=Tensor(DType.INT64, ("n", 3))),)
    wrong = replace(
        signature, entry_points=(replace(signature.entry_point(), overloads=(replace(overload, inputs=inputs),)),)
    )
    metadata.write_document(str(path), encode_document(wrong))
    with pytest.raises(ContradictionError) as error:
        read_signature(path)
    assert "float32" in error.value.expected
    assert "int64" in error.value.got


def test_large_onnx_models_are_appended_to_in_place(
    made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "COPY_BELOW", 0)
    path = Path(shutil.copy(made["onnx"], tmp_path))
    old, inode = path.read_bytes(), path.stat().st_ino
    signature = read_signature(path)
    embed_signature(path, signature)
    new = path.read_bytes()
    assert path.stat().st_ino == inode
    assert new.startswith(old)
    assert onnx_document(path) == encode_document(declared(signature))
    for cut in range(len(old) + 1, len(new)):
        path.write_bytes(new[:cut])
        with pytest.raises(ArtifactError, match=f"truncate -s {len(old)} "):
            read_signature(path)
    embed_again = path.with_name("again.onnx")
    embed_again.write_bytes(new)
    embed_signature(embed_again, signature)
    assert onnx_document(embed_again) == encode_document(declared(signature))


def test_a_document_in_a_large_onnx_model_is_replaced_in_place(
    made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "COPY_BELOW", 0)
    path = Path(shutil.copy(made["onnx"], tmp_path))
    first = read_signature(path)
    embed_signature(path, first)
    size, inode, scores = path.stat().st_size, path.stat().st_ino, onnx_scores(path)
    for text in ("one", "two", "three"):
        embed_signature(path, with_doc(first, text))
        assert path.stat().st_ino == inode
        assert path.stat().st_size > size
        size = path.stat().st_size
        assert onnx_document(path) == encode_document(declared(with_doc(first, text)))
        assert read_signature(path).inputs[0].doc == text
        assert len(onnx.load(path).metadata_props) == len(onnx.load(made["onnx"]).metadata_props) + 1
        onnx.checker.check_model(path)
    assert onnx_scores(path) == scores


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_failed_replacement_in_a_large_onnx_model_is_taken_back(
    made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    monkeypatch.setattr(metadata, "COPY_BELOW", 0)
    path = Path(shutil.copy(made["onnx"], tmp_path))
    signature = read_signature(path)
    embed_signature(path, signature)
    old = path.read_bytes()
    real, calls = os.fsync, iter(range(10))

    def fsync(descriptor: int) -> None:
        if next(calls) == failing:
            raise OSError(5, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(ArtifactError, match="Input/output error"):
        embed_signature(path, with_doc(signature, "new"))
    assert path.read_bytes() == old


def test_a_crash_at_any_moment_of_a_replacement_leaves_a_model_that_embedding_mends(
    made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "COPY_BELOW", 0)
    path = Path(shutil.copy(made["onnx"], tmp_path))
    signature = read_signature(path)
    embed_signature(path, signature)
    states: list[bytes] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (real(descriptor), states.append(path.read_bytes())))
    embed_signature(path, with_doc(signature, "new"))
    monkeypatch.undo()
    appended, both, done = states
    for state, doc in ((appended, ""), (done, "new")):
        path.write_bytes(state)
        assert read_signature(path).inputs[0].doc == doc
    path.write_bytes(both)
    onnx.load(path)
    with pytest.raises(ArtifactError, match="embed"):
        read_signature(path)
    embed_signature(path, with_doc(signature, "mended"))
    assert read_signature(path).inputs[0].doc == "mended"


def test_a_failed_onnx_append_is_taken_back(
    made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "COPY_BELOW", 0)
    path = Path(shutil.copy(made["onnx"], tmp_path))
    old = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(ArtifactError, match="Input/output error"):
        embed_signature(path, read_signature(path))
    assert path.read_bytes() == old


def test_a_failed_onnx_replacement_leaves_the_old_file(
    made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(shutil.copy(made["onnx"], tmp_path))
    old = path.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(ArtifactError, match="Input/output error"):
        embed_signature(path, read_signature(path))
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == [path.name]


def test_two_documents_in_one_onnx_model_are_refused(made: dict[str, Path], tmp_path: Path) -> None:
    model = onnx.load(made["onnx"])
    for _ in range(2):
        entry = model.metadata_props.add()
        entry.key, entry.value = FILE_NAME, '{"input_names": ["user"], "output_names": ["score"]}'
    path = tmp_path / "two.onnx"
    onnx.save(model, path)
    with pytest.raises(ArtifactError, match="2 times"):
        read_signature(path)
    metadata.write_document(str(path), b'{"input_names": ["user"], "output_names": ["score"]}')
    assert onnx_document(path)


def test_a_signature_document_has_no_place_for_another(tmp_path: Path) -> None:
    path = tmp_path / "signature.json"
    path.write_text('{"input_names": ["a"], "output_names": []}')
    with pytest.raises(ArtifactError, match="signature document"):
        embed_signature(path, read_signature(path))


def test_aotinductor_packages_are_read_by_their_document_alone(tmp_path: Path) -> None:
    import zipfile

    path = tmp_path / "compiled.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("compiled/archive_format", "pt2")
        archive.writestr("compiled/data/aotinductor/model/code.wrapper.so", b"\x7fELF")
    with pytest.raises(ArtifactError, match="compiled code"):
        read_signature(path)
    names = tmp_path / "module_info.json"
    names.write_text('{"input_names": ["user"], "output_names": ["score"]}')
    embed_signature(path, read_signature(names))
    assert read_signature(path).input_names == ("user",)
