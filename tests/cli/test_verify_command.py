"""`trimtab verify`, as it is typed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from trimtab.artifacts import derive_signature
from trimtab.artifacts.verifying import rules
from trimtab.cli.main import main
from trimtab.savedmodel.messages import classes, serialize
from trimtab.signature.dtypes import DType
from trimtab.signature.model import EntryPoint, Signature
from trimtab.signature.types import Tensor


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code = main(["verify", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def model(corpus: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(corpus / "savedmodel" / "multi_sigs" / "model", tmp_path / "model"))


def change(model: Path) -> Any:
    """The model's only MetaGraphDef, and how to write it back."""
    proto = model / "saved_model.pb"
    proto.chmod(0o644)
    message = classes()["SavedModel"].FromString(proto.read_bytes())
    return message.meta_graphs[0], lambda: proto.write_bytes(serialize(message))


@pytest.fixture
def mislabelled(model: Path) -> Path:
    graph, write = change(model)
    outputs = graph.signature_def["train"].outputs
    outputs["output_0"].name, outputs["output_1"].name = outputs["output_1"].name, outputs["output_0"].name
    write()
    return model


@pytest.fixture
def warned(model: Path) -> Path:
    graph, write = change(model)
    graph.signature_def["train"].method_name = "predict"
    write()
    return model


def test_a_model_that_agrees(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, model) == (0, f"{model}: the five places agree\n", "")
    code, out, _ = run(capsys, model, "--strict", "--notes", "--ignore", "DOCUMENT_MISSING", "--json")
    assert (code, json.loads(out)) == (
        0,
        {
            "model": str(model),
            "format": "savedmodel",
            "document": "",
            "refused": False,
            "findings": [],
        },
    )


def test_errors_are_refused_and_say_where(mislabelled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, mislabelled)
    assert (code, err) == (100, "")
    assert "error SIGNATURE_FETCH: the tensor: expected 'StatefulPartitionedCall_2:0'" in out
    assert "saved_model.pb: meta_graphs[0].signature_def['train'].outputs['output_0']" in out
    code, out, _ = run(capsys, mislabelled, "--json")
    found = json.loads(out)
    assert (code, found["refused"]) == (100, True)
    assert "SIGNATURE_FETCH" in {each["rule"] for each in found["findings"]}
    assert set(found["findings"][0]) <= {"rule", "level", "where", "problem", "expected", "got"}


@pytest.mark.parametrize(("options", "code"), [((), 0), (("--strict",), 100), (("--ignore", "SIGNATURE_METHOD"), 0)])
def test_warnings_are_refused_on_demand(
    warned: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], code: int
) -> None:
    assert run(capsys, warned, *options)[0] == code


def test_rules_are_chosen_by_name(mislabelled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, mislabelled, "--rule", "SIGNATURE_FEED")[0] == 0
    assert run(capsys, mislabelled, "--rule", "SIGNATURE_FETCH")[0] == 100


def test_a_rule_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--explain", "SIGNATURE_FEED")
    assert code == 0
    assert out.startswith("SIGNATURE_FEED (error)\n\nWhat a SignatureDef feeds")
    assert "Instead: " in out
    code, out, _ = run(capsys, "--explain", "all")
    assert [line.split()[0] for line in out.splitlines()] == list(rules())
    code, out, _ = run(capsys, "--explain", "all", "--json")
    assert [each["rule"] for each in json.loads(out)["rules"]] == list(rules())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Missing argument 'MODEL'"),
        (("model", "--rule", "SIGNATURE_FEET"), "Did you mean SIGNATURE_FEED?"),
        (("--explain", "nothing"), "trimtab verify --explain all"),
    ],
)
def test_wrong_usage(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str) -> None:
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert said in err


def test_what_cannot_be_read_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"\x12\x05")
    code, out, _ = run(capsys, tmp_path, "--json")
    assert code == 1
    assert json.loads(out)["error"]["kind"] == "ArtifactError"


@pytest.fixture
def onnx(tmp_path: Path) -> Path:
    """A model of two inputs, of which one is used, without a document."""
    from onnx import TensorProto, helper, save

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("x", "unused", "y")]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", values[:2], values[2:])
    save(helper.make_model(graph, ir_version=8), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def declare(path: Path, dtype: str) -> None:
    """Give an ONNX file, behind the back of `embed`, a document in which x is of this dtype."""
    from onnx import load, save

    from trimtab.signature.document import decode_document, encode_document

    signature = decode_document(encode_document(derive_signature(path)))
    x, *others = signature.inputs
    overload = replace(signature.entry_point().overloads[0], inputs=(replace(x, type=Tensor(DType(dtype))), *others))
    signature = Signature(
        entry_points=(EntryPoint(name=signature.default_entry_point, overloads=(overload,)),),
        default_entry_point=signature.default_entry_point,
    )
    model = load(path)
    model.metadata_props.add(key="module_info.json", value=encode_document(signature).decode())
    save(model, path)


def test_any_artifact_is_verified(onnx: Path, capsys: pytest.CaptureFixture[str]) -> None:
    declare(onnx, "float32")
    code, out, _ = run(capsys, onnx, "--ignore", "INPUT_UNUSED")
    assert (code, out) == (0, f"{onnx}: the document and the graph agree\n")


def test_a_contradiction_is_a_finding_and_shows_both_sides(onnx: Path, capsys: pytest.CaptureFixture[str]) -> None:
    declare(onnx, "int64")
    code, out, err = run(capsys, onnx)
    assert (code, err) == (100, "")
    assert "error SIGNATURE_CONTRADICTED" in out
    assert "expected float32 [n] as in the graph, got int64 [...] in the document" in out
    found = json.loads(run(capsys, onnx, "--json")[1])
    assert [each["rule"] for each in found["findings"]] == ["SIGNATURE_CONTRADICTED", "INPUT_UNUSED"]
    assert (found["format"], found["refused"], found["document"]) == ("onnx", True, f"{onnx}: module_info.json")
    assert run(capsys, onnx, "--ignore", "SIGNATURE_CONTRADICTED")[0] == 0


def test_what_is_refused_by_name_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04cposix\nsystem\n.")
    code, _, err = run(capsys, tmp_path / "model.pkl")
    assert code == 1
    assert "pickle" in err
    assert "posix.system" in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "no document is embedded"),
        (("--rule", "SIGNATURE_CONTRADICTED"), "nothing against SIGNATURE_CONTRADICTED"),
        (("--notes", "--ignore", "INPUT_UNUSED"), "note DOCUMENT_MISSING"),
    ],
)
def test_the_verdict_says_what_was_compared(
    onnx: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    code, out, _ = run(capsys, onnx, "--ignore", "INPUT_UNUSED", *options)
    assert code == 0
    assert said in out
