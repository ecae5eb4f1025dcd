"""Artifacts under URLs: the same signatures as of files, for a few requests."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import remote_models
from range_server import Behavior, RangeServer, serving
from trimtab.artifacts import derive_signature, embed_signature, read_signature
from trimtab.artifacts.read import opened
from trimtab.errors import ArtifactError, ContradictionError, RefusedArtifactError
from trimtab.signature.document import encode_document
from trimtab.source.remote import RemoteObject

pytest.importorskip("obstore")

SAVERS = {"model.pt": remote_models.save_torchscript, "model.pt2": remote_models.save_program}


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RangeServer]:
    """Models of a gigabyte: as saved, with a document that torch wrote, and with one embedded afterwards."""
    folder = tmp_path_factory.mktemp("large")
    for name, save in SAVERS.items():
        save(folder / f"plain_{name}")
        signature = derive_signature(folder / f"plain_{name}")
        save(folder / f"written_{name}", {"module_info.json": encode_document(signature)})
        save(folder / f"embedded_{name}")
        embed_signature(folder / f"embedded_{name}", signature)
    remote_models.save_onnx(folder / "plain_model.onnx")
    remote_models.save_onnx(folder / "embedded_model.onnx")
    embed_signature(folder / "embedded_model.onnx", derive_signature(folder / "plain_model.onnx"))
    with serving(folder) as running:
        yield running


@pytest.mark.parametrize(
    ("name", "requests"),
    [
        ("written_model.pt", 2),
        ("embedded_model.pt", 2),
        ("written_model.pt2", 2),
        ("embedded_model.pt2", 2),
        ("embedded_model.onnx", 3),
    ],
)
def test_a_document_in_a_gigabyte_costs_few_requests(large: RangeServer, name: str, requests: int) -> None:
    path = large.folder / name
    assert path.stat().st_size > 1 << 30
    large.reset()
    with RemoteObject(f"{large.url}/{name}") as source:
        signature = read_signature(source)
    assert len(large.asked) == source.reads <= requests
    assert large.sent == source.bytes_read <= 128 << 10
    local = read_signature(path)
    assert signature.digest == local.digest
    assert signature.provenance.format == local.provenance.format
    assert signature.provenance.learned == local.provenance.learned
    assert f"this does: trimtab verify {large.url}/{name}" in signature.provenance.notes[-1]


@pytest.mark.parametrize("name", ["plain_model.pt", "plain_model.pt2", "plain_model.onnx"])
def test_without_a_document_the_graph_is_read(large: RangeServer, name: str) -> None:
    large.reset()
    assert read_signature(f"{large.url}/{name}") == read_signature(large.folder / name)
    assert large.sent < 4 << 20


@pytest.mark.parametrize("name", ["embedded_model.pt", "embedded_model.pt2", "embedded_model.onnx"])
def test_the_document_is_compared_where_asked_to(large: RangeServer, name: str) -> None:
    assert read_signature(f"{large.url}/{name}", compare=True) == read_signature(large.folder / name)


def test_an_archive_of_this_size_is_as_torch_saves_it(large: RangeServer) -> None:
    import torch

    from trimtab.source.bytes import LocalFile
    from trimtab.source.zip import ZipDirectory

    with LocalFile(large.folder / "embedded_model.pt") as source:
        assert len(ZipDirectory.open(source).entries) > 400
    assert torch._C.PyTorchFileReader(str(large.folder / "embedded_model.pt")).has_record("extra/module_info.json")


@pytest.fixture
def corpus_server(corpus: Path) -> Iterator[RangeServer]:
    with serving(corpus / "formats") as running:
        yield running


def test_urls_give_what_files_give(corpus: Path, corpus_server: RangeServer) -> None:
    files = [path for path in sorted((corpus / "formats").iterdir()) if path.is_file()]
    assert len(files) > 40
    for path in files:
        assert outcome(f"{corpus_server.url}/{path.name}") == outcome(str(path)), path.name


def outcome(place: str) -> object:
    try:
        return read_signature(place, compare=True).digest
    except ArtifactError as error:
        return type(error)


def test_hostile_objects_are_refused(corpus: Path) -> None:
    expected = json.loads((corpus / "hostile" / "MANIFEST.json").read_text())
    with serving(corpus / "hostile") as running:
        for path in sorted((corpus / "hostile").iterdir()):
            if path.is_file() and path.name in json.dumps(expected):
                assert outcome(f"{running.url}/{path.name}") == outcome(str(path)), path.name
        assert running.sent < 64 << 20


@pytest.fixture
def small(corpus: Path, tmp_path: Path) -> Iterator[RangeServer]:
    shutil.copy(corpus / "formats" / "onnx_varied_types.onnx", tmp_path / "model.onnx")
    shutil.copy(corpus / "formats" / "refuse_sklearn.joblib", tmp_path / "model.joblib")
    with serving(tmp_path) as running:
        yield running


def test_a_contradiction_is_seen_where_the_graph_is_compared(small: RangeServer) -> None:
    from trimtab.artifacts.formats.onnx.metadata import write_document

    write_document(str(small.folder / "model.onnx"), b'{"input_names": ["no_such"], "output_names": ["y"]}')
    assert read_signature(f"{small.url}/model.onnx").input_names == ("no_such",)
    with pytest.raises(ContradictionError):
        read_signature(f"{small.url}/model.onnx", compare=True)
    with pytest.raises(ContradictionError):
        read_signature(small.folder / "model.onnx")
    assert read_signature(small.folder / "model.onnx", compare=False).input_names == ("no_such",)


def test_a_pickle_is_refused_under_a_url_too(small: RangeServer) -> None:
    with pytest.raises(RefusedArtifactError, match=f"{small.url}/model.joblib: this is a pickle"):
        read_signature(f"{small.url}/model.joblib?token=secret")


def test_nothing_is_embedded_into_an_object(small: RangeServer) -> None:
    signature = derive_signature(small.folder / "model.onnx")
    with pytest.raises(ArtifactError, match="not into an object of a store"):
        embed_signature(f"{small.url}/model.onnx", signature)


def test_an_error_inside_names_no_secret(small: RangeServer) -> None:
    (small.folder / "module_info.json").write_text('{"input_names": [1], "output_names": []}')
    with pytest.raises(ArtifactError) as caught, opened(f"{small.url}/module_info.json?token=secret") as (format_, it):
        format_.derive(it)
    assert caught.value.where.startswith(f"{small.url}/module_info.json")
    assert "secret" not in str(caught.value)


def test_a_file_may_be_named_like_a_url(small: RangeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    (small.folder / "http:").mkdir()
    shutil.copy(small.folder / "model.onnx", small.folder / "http:" / "model.onnx")
    monkeypatch.chdir(small.folder)
    assert read_signature("http://model.onnx").provenance.format == "onnx"


def test_a_server_that_hangs_up_is_an_error_of_ours(small: RangeServer) -> None:
    small.behavior["model.onnx"] = Behavior(cut=100)
    with pytest.raises(ArtifactError, match="cut"):
        read_signature(f"{small.url}/model.onnx")
