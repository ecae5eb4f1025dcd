"""`trimtab bundle build`, `show` and `lookup`, as a person and as a program call them."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bundle_making import bundle, signature

from trimtab.bundles.bundle import read_bundle, write_bundle
from trimtab.cli.main import main
from trimtab.signature.document import encode_document
from trimtab.signature.dtypes import DType
from trimtab.signature.model import Input
from trimtab.signature.types import Tensor


@pytest.fixture
def models(tmp_path: Path) -> Path:
    lay(tmp_path / "models", "ctr/7", "user_age", "price")
    lay(tmp_path / "models", "ranker/1", "user_age")
    return tmp_path / "models"


def lay(models: Path, version: str, *inputs: str | Input) -> None:
    (models / version).mkdir(parents=True)
    (models / version / "signature.json").write_bytes(encode_document(signature(*inputs)))


def test_build_show_lookup(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ads.json"
    assert main(["bundle", "build", str(models), "-o", str(file)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert f"{file}: written: bundle 'ads', serial 1, {read_bundle(file).digest}" in printed.out.replace("\n", " ")
    assert "ctr" in printed.out
    assert main(["bundle", "show", str(file)]) == 0
    assert "attested stable" in capsys.readouterr().out
    assert main(["bundle", "lookup", str(file), "ctr:7"]) == 0
    assert capsys.readouterr().out == "exact: 2 names, of version 7\n  price\n  user_age\n"
    assert main(["bundle", "lookup", str(file), "nobody"]) == 0
    assert capsys.readouterr().out == "unknown_model: passes through untrimmed\n"


def test_json(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ads.json"
    assert main(["bundle", "build", str(models), "-o", str(file), "--json"]) == 0
    built = json.loads(capsys.readouterr().out)
    assert (built["name"], built["serial"], built["unchanged"]) == ("ads", 1, False)
    assert main(["bundle", "show", str(file), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["models"]["ctr"]["versions"]["7"]["allowed"] == 2
    assert shown["digest"] == built["digest"] == read_bundle(file).digest
    assert main(["bundle", "lookup", str(file), "ctr", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["outcome"], found["version_used"]) == ("latest_attested_unversioned", "7")
    assert found["allowlist"] == ["price", "user_age"]
    assert found["expected_digest"] == signature("user_age", "price").digest


def test_building_again_follows_the_output(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ads.json"
    build = ["bundle", "build", str(models), "-o", str(file)]
    assert main([*build, "--name", "campaigns"]) == 0
    written = file.read_bytes()
    assert main(build) == 0
    assert "nothing changed, left as it is" in capsys.readouterr().out
    assert file.read_bytes() == written
    lay(models, "ranker/2", "user_age")
    assert main(build) == 0
    assert (read_bundle(file).name, read_bundle(file).serial) == ("campaigns", 2)
    other = tmp_path / "next.json"
    assert main(["bundle", "build", str(models), "-o", str(other), "--previous", str(file)]) == 0
    assert read_bundle(other) == read_bundle(file)


def test_a_changed_signature_exits_100(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ads.json"
    build = ["bundle", "build", str(models), "-o", str(file)]
    assert main(build) == 0
    before = file.read_bytes()
    lay(models, "ctr/8", Input(name="user_age", type=Tensor(DType.INT64, ("batch", 1))), "price")
    capsys.readouterr()
    assert main(build) == 100
    refused = capsys.readouterr()
    assert refused.out == ""
    assert "input user_age: the dtype changed: float32 [batch, 1] -> int64 [batch, 1]" in refused.err
    assert f"trimtab fork {models} ctr ctr_v2 --version 8 --move" in refused.err
    assert file.read_bytes() == before
    assert main([*build, "--json"]) == 100
    assert json.loads(capsys.readouterr().out)["error"]["comparisons"][0]["version"] == "8"
    assert main([*build, "--gate", "none"]) == 0
    assert not read_bundle(file).models["ctr"].attested_stable


def test_errors_exit_1(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (models / "ctr" / "7" / "signature.json").write_bytes(b"{")
    assert main(["bundle", "build", str(models), "-o", str(tmp_path / "ads.json")]) == 1
    assert "ctr/7/signature.json" in capsys.readouterr().err
    assert not (tmp_path / "ads.json").exists()
    assert main(["bundle", "show", str(tmp_path / "ads.json")]) == 1
    assert main(["bundle", "build", str(tmp_path / "none"), "-o", str(tmp_path / "ads.json")]) == 1
    assert main(["bundle", "build", str(models)]) == 2


@pytest.mark.parametrize("option", ["--output", "--index"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["a pipe", "a folder"])
def test_what_is_no_file_is_not_written_and_not_waited_for(
    models: Path, tmp_path: Path, make: Callable[[Path], None], option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "odd")
    files = {"--output": str(tmp_path / "ads.json"), "--index": str(tmp_path / "index"), option: str(tmp_path / "odd")}
    options = [word for each in files.items() for word in each]
    assert main(["bundle", "build", str(models), *options]) in (1, 2)
    assert "file" in capsys.readouterr().err
    assert {each.name for each in tmp_path.iterdir()} == {"models", "odd"}


@pytest.mark.parametrize("name", ["é", ".ads", "a b", "\udcff", "a" * 129])
def test_a_name_that_no_bundle_can_have_is_refused_before_anything_is_read(
    models: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (models / "ctr" / "7" / "signature.json").write_bytes(b"{")
    assert main(["bundle", "build", str(models), "-o", str(tmp_path / "ads.json"), "--name", name]) == 1
    told = capsys.readouterr().err
    assert "a bundle's name" in told
    assert "--name NAME" in told


def test_a_file_whose_name_is_too_long_is_an_error_of_ours(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a" * 300, "a/" * 3000 + "b", "b" * 250 + ".json"):
        assert main(["bundle", "build", str(models), "--name", "ads", "-o", str(tmp_path / name)]) == int(
            len(name) > 255
        )
    assert "File name too long" in capsys.readouterr().err


def test_lookup_over_several_bundles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [tmp_path / "ads.json", tmp_path / "home.json"]
    write_bundle(files[0], bundle({"ctr": {7: ["age"]}, "a:7": {1: ["x"]}}))
    write_bundle(files[1], bundle({"ctr": {7: ["clicks"]}}, name="home"))
    names = [str(file) for file in files]
    assert main(["bundle", "lookup", *names, "ctr:7"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "exact: 2 names, of version 7\n  age\n  clicks\n"
    assert printed.err.startswith("note: ctr:7: the bundles")
    assert main(["bundle", "lookup", *names, "ctr:9", "--policy", "strict"]) == 0
    assert capsys.readouterr().out.startswith("strict_latest: 2 names")
    assert main(["bundle", "lookup", *names, "ctr"]) == 0
    assert capsys.readouterr().out.startswith("union_unversioned: 2 names, of all versions together")
    assert main(["bundle", "lookup", *names, "a:7"]) == 0
    assert capsys.readouterr().out == "latest_attested_unversioned: 1 names, of version 1\n  x\n"


def test_a_repository_of_real_artifacts(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    artifacts = {"dynamic/1": "pt2_dynamic.pt2", "ranker/3": "ts_multi_method.pt", "varied/2": "onnx_external.onnx"}
    for version, name in artifacts.items():
        (tmp_path / "models" / version).mkdir(parents=True)
        shutil.copy(corpus / "formats" / name, tmp_path / "models" / version)
    assert main(["bundle", "build", str(tmp_path / "models"), "-o", str(tmp_path / "real.json")]) == 0
    built = read_bundle(tmp_path / "real.json")
    for version, name in artifacts.items():
        model, number = version.split("/")
        capsys.readouterr()
        assert main(["inspect", str(corpus / "formats" / name), "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        stated = built.models[model].versions[number]
        assert stated.digest == document["digest"]
        assert {*document["input_names"]} <= {*built.allowlist_names(stated.allowlist)}


def test_progress_is_shown_on_a_terminal_only(tmp_path: Path) -> None:
    for number in range(1, 121):
        lay(tmp_path / "models", f"ctr/{number}", "user_age")
    command = [sys.executable, "-m", "trimtab", "bundle", "build", "models", "-o", "ads.json", "--no-index"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "100", "TERM": "xterm"}
    terminal, end = pty.openpty()
    try:
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, stdout=subprocess.PIPE, stderr=end)
        shown = os.read(terminal, 1 << 16).decode()
    finally:
        os.close(terminal)
        os.close(end)
    assert "reading artifacts" in shown
    assert "120/120" in shown
    assert "per second" in shown
    quiet = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert quiet.stderr == b""
