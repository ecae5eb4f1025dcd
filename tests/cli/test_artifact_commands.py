"""`trimtab inspect` and `trimtab embed`, as they are typed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from trimtab.artifacts import read_signature
from trimtab.cli.main import main
from trimtab.signature.document import decode_document

FILES = ["ts_multi_method.pt", "pt2_dynamic.pt2", "onnx_varied_types.onnx"]


@pytest.fixture
def artifact(request: pytest.FixtureRequest, corpus: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(corpus / "formats" / request.param, tmp_path))


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code = main([str(each) for each in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("artifact", FILES, indirect=True)
def test_inspect_prints_the_signature_document(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "inspect", artifact, "--json")
    assert (code, err) == (0, "")
    assert list(json.loads(out))[:2] == ["input_names", "output_names"]
    assert decode_document(out.encode()) == read_signature(artifact)


@pytest.mark.parametrize("artifact", FILES, indirect=True)
def test_inspect_shows_every_input(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "inspect", artifact)
    assert code == 0
    assert all(f"  {name}  " in out for name in read_signature(artifact).input_names)


@pytest.mark.parametrize("artifact", FILES, indirect=True)
def test_embed_derives_and_declares(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    derived = read_signature(artifact)
    code, out, err = run(capsys, "embed", artifact)
    assert (code, err) == (0, "")
    assert "declared" in out
    assert read_signature(artifact).digest == derived.digest


@pytest.mark.parametrize("artifact", FILES[:1], indirect=True)
def test_derive_mends_a_file_whose_document_is_wrong(
    artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from trimtab.source.append import append_entry

    append_entry(
        str(artifact), "ts_multi_method/extra/module_info.json", b'{"input_names": ["no_such"], "output_names": ["y"]}'
    )
    code, _, err = run(capsys, "inspect", artifact)
    assert code == 1
    assert "trimtab embed" in err
    assert run(capsys, "embed", artifact, "--derive")[0] == 0
    assert run(capsys, "inspect", artifact)[0] == 0


@pytest.mark.parametrize("artifact", FILES[:1], indirect=True)
def test_a_contradiction_is_refused_and_nothing_is_written(
    artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = artifact.read_bytes()
    names = tmp_path / "module_info.json"
    names.write_text('{"input_names": ["another"], "output_names": ["score"]}')
    code, out, _ = run(capsys, "embed", artifact, "--signature", names, "--json")
    assert code == 1
    assert json.loads(out)["error"]["kind"] == "ContradictionError"
    assert artifact.read_bytes() == before


def test_both_sources_are_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "embed", tmp_path / "x.pt", "--signature", tmp_path / "y.json", "--derive")
    assert code == 2
    assert "exclude each other" in err


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "inspect", tmp_path / "none.onnx")
    assert (code, out) == (1, "")
    assert "none.onnx" in err


def test_a_pickle_is_refused_by_name(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "inspect", corpus / "formats" / "refuse_sklearn.joblib")
    assert code == 1
    assert "sklearn.pipeline.Pipeline" in err


# Where a document goes


NAMES = '{"input_names": ["user_age"], "output_names": ["score"]}'


@pytest.fixture
def names(tmp_path: Path) -> Path:
    path = tmp_path / "names.json"
    path.write_text(NAMES)
    return path


@pytest.mark.parametrize("artifact", FILES[:2], indirect=True)
def test_embed_says_where_the_document_went(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "embed", artifact, "--beside")
    assert code == 0
    assert out.startswith(f"written beside {artifact}, into {artifact}.signature.json: ")
    assert run(capsys, "inspect", artifact)[0] == 0
    code, out, _ = run(capsys, "embed", artifact)
    assert code == 0
    assert out.startswith(f"embedded into {artifact}: ")


def test_embed_says_when_a_file_has_no_room(
    corpus: Path, names: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(shutil.copy(corpus / "formats" / "refuse_sklearn.joblib", tmp_path / "model.joblib"))
    code, out, err = run(capsys, "embed", path, "--signature", names)
    assert (code, err) == (0, "")
    assert f"has no room for a document; written beside it, into {path}.signature.json" in out
    code, out, err = run(capsys, "embed", path, "--signature", names, "--json")
    assert code == 0
    assert json.loads(out)["input_names"] == ["user_age"]
    assert "has no room" in err
    code, out, _ = run(capsys, "inspect", path, "--json")
    assert code == 0
    assert json.loads(out)["input_names"] == ["user_age"]


def test_embed_refuses_where_there_is_nothing_to_derive(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "embed", corpus / "formats" / "weights.safetensors")
    assert code == 1
    assert "--signature" in err


def test_embed_into_weights(corpus: Path, names: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(shutil.copy(corpus / "formats" / "weights.safetensors", tmp_path))
    code, out, _ = run(capsys, "embed", path, "--signature", names)
    assert code == 0
    assert out.startswith(f"embedded into {path}: ")
    assert read_signature(path).input_names == ("user_age",)
