"""`verify_artifact`: which rule sees what, on real artifacts and on the facts of signatures that no exporter writes."""

from __future__ import annotations

import json
import shutil
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from trimtab.artifacts import derive_signature, embed_signature
from trimtab.artifacts.sidecar import write_sidecar
from trimtab.artifacts.verifying import ARTIFACT_RULES, rules, verify_artifact
from trimtab.artifacts.verifying.facts import Document, Facts
from trimtab.errors import ArtifactError, RefusedArtifactError
from trimtab.findings import Level
from trimtab.signature.dtypes import DType
from trimtab.signature.model import (
    Constraints,
    EntryPoint,
    Feature,
    Input,
    Learned,
    Live,
    Output,
    Overload,
    Presence,
    Range,
    Signature,
)
from trimtab.signature.types import Literal, Sparse, Tensor, Type

if TYPE_CHECKING:
    from pathlib import Path

F32 = Tensor(DType.FLOAT32, ("n",))


def value(name: str, type_: Type = F32, **more: Any) -> Input:
    return Input(name=name, type=type_, **more)


def signature(*inputs: Input, outputs: tuple[str, ...] = (), dimensions: dict[str, Range] | None = None) -> Signature:
    named = tuple(Output(name=name, type=F32) for name in outputs)
    overload = Overload(inputs=inputs, outputs=named, dimensions=dimensions or {})
    return Signature(entry_points=(EntryPoint(name="main", overloads=(overload,)),), default_entry_point="main")


def facts(declared: Signature, derived: Signature | None = None) -> Facts:
    return Facts("m", "onnx", derived, Document("m: module_info.json", declared), "", (), declared)


def ranged(low: float, high: float, default: float | None = None) -> Input:
    literal = None if default is None else Literal(default)
    return value("x", constraints=Constraints(range=Range(minimum=low, maximum=high)), default=literal)


def chosen(default: str) -> Input:
    return value("x", constraints=Constraints(categories=("a", "b")), default=Literal(default))


SEEN: dict[str, tuple[str, Signature, int]] = {
    "used": ("INPUT_UNUSED", signature(value("x", live=Live.YES), value("y")), 0),
    "unused": ("INPUT_UNUSED", signature(value("x", live=Live.NO), value("y", live=Live.NO)), 2),
    "distinct names": ("NAME_NOT_UNIQUE", signature(value("x", aliases=("x",)), value("y"), outputs=("x",)), 0),
    "a name twice": ("NAME_NOT_UNIQUE", signature(value("x"), value("x"), outputs=("y", "y")), 2),
    "an alias that is a name": ("NAME_NOT_UNIQUE", signature(value("x", aliases=("y",)), value("y")), 1),
    "features of a name": (
        "NAME_NOT_UNIQUE",
        signature(value("x", features=(Feature(name="a", type=F32), Feature(name="a", type=F32)))),
        1,
    ),
    "plain names": ("NAME_UNPRINTABLE", signature(value("user age"), value("größe"), outputs=("a.b[0]",)), 0),
    "controls": ("NAME_UNPRINTABLE", signature(value("a\x1b[31m"), value("a\u202eb"), value("")), 3),
    "spaces at the ends": ("NAME_UNPRINTABLE", signature(value(" a"), outputs=("b ",)), 2),
    "a name of a feature": (
        "NAME_UNPRINTABLE",
        signature(value("x", features=(Feature(name="a\n", type=F32, aliases=("\t",)),))),
        2,
    ),
    "a range": ("CONSTRAINT_IMPOSSIBLE", signature(ranged(0, 1, 0.5), dimensions={"n": Range(minimum=1)}), 0),
    "an empty range": ("CONSTRAINT_IMPOSSIBLE", signature(ranged(2, 1, 0.5)), 1),
    "an empty range of a size": (
        "CONSTRAINT_IMPOSSIBLE",
        signature(value("x"), dimensions={"n": Range(minimum=3, maximum=2)}),
        1,
    ),
    "a default below": ("CONSTRAINT_IMPOSSIBLE", signature(ranged(0, 1, -1)), 1),
    "a default above": ("CONSTRAINT_IMPOSSIBLE", signature(ranged(0, 1, 2)), 1),
    "a category": ("CONSTRAINT_IMPOSSIBLE", signature(chosen("a")), 0),
    "no category": ("CONSTRAINT_IMPOSSIBLE", signature(chosen("c")), 1),
    "a feature": (
        "CONSTRAINT_IMPOSSIBLE",
        signature(value("x", features=(Feature(name="a", type=F32, constraints=ranged(2, 1).constraints),))),
        1,
    ),
    "dtypes": ("TYPE_UNKNOWN", signature(value("x"), value("y", Tensor()), value("z", Sparse())), 2),
    "examples": ("TYPE_FROM_EXAMPLE", signature(value("x", learned={"type": Learned.EXAMPLE}), value("y")), 1),
}


@pytest.mark.parametrize(("rule", "declared", "count"), SEEN.values(), ids=list(SEEN))
def test_what_a_rule_about_values_sees(rule: str, declared: Signature, count: int) -> None:
    found = list(ARTIFACT_RULES[rule](facts(declared)))
    assert len(found) == count
    assert all(each.where.startswith("m: main") and each.problem for each in found)


@pytest.mark.parametrize(
    ("declared", "graph", "count"),
    [
        (value("x", presence=Presence.OPTIONAL), value("x"), 1),
        (value("x", presence=Presence.OPTIONAL, default=Literal(1)), value("x"), 0),
        (value("x", presence=Presence.OPTIONAL), value("x", presence=Presence.OPTIONAL), 0),
        (value("x"), value("x"), 0),
    ],
)
def test_an_input_that_only_the_document_calls_optional(declared: Input, graph: Input, count: int) -> None:
    assert len([*ARTIFACT_RULES["INPUT_OPTIONAL"](facts(signature(declared), signature(graph)))]) == count


def test_no_two_rules_share_a_name() -> None:
    from trimtab.savedmodel.verifying import RULES

    assert len(rules()) == len(RULES) + len(ARTIFACT_RULES)


# Real artifacts


@pytest.fixture
def model(corpus: Path, tmp_path: Path) -> Path:
    path = tmp_path / "model.pt2"
    shutil.copyfile(corpus / "formats" / "pt2_dynamic.pt2", path)
    return path


def names_of(path: Path, **options: Any) -> list[str]:
    return [each.rule for each in verify_artifact(path, **options).findings]


def write_document(path: Path, document: bytes) -> None:
    """Put a document into a torch archive, behind the back of `embed_signature`."""
    with zipfile.ZipFile(path, "a") as archive:
        root = archive.namelist()[0].partition("/")[0]
        archive.writestr(f"{root}/extra/module_info.json", document)


def contradicting(path: Path) -> Signature:
    """The derived signature with every dtype another, an input too many, and an output of another rank."""
    derived = derive_signature(path)
    overload = derived.entry_point().overloads[0]
    inputs = tuple(replace(it, type=Tensor(DType.BOOL)) for it in overload.inputs)
    outputs = tuple(replace(it, type=Tensor(DType.FLOAT32, (1, 2, 3, 4, 5))) for it in overload.outputs)
    changed = replace(overload, inputs=(*inputs, value("more")), outputs=outputs)
    entry_point = EntryPoint(name=derived.default_entry_point, overloads=(changed,))
    return Signature(entry_points=(entry_point,), default_entry_point=entry_point.name)


def test_every_contradiction_is_listed_with_both_sides(model: Path) -> None:
    from trimtab.signature.document import encode_document

    declared = contradicting(model)
    write_document(model, encode_document(declared))
    verified = verify_artifact(model)
    found = [each for each in verified.findings if each.rule == "SIGNATURE_CONTRADICTED"]
    assert len(found) == len(declared.inputs) + len(declared.outputs)
    assert all(each.expected and each.got and each.level is Level.ERROR for each in found)
    assert (verified.graph, verified.document) == (True, f"{model}: module_info.json")


@pytest.mark.parametrize(
    ("document", "rule"),
    [
        (b"{", "DOCUMENT_UNREADABLE"),
        (b'{"input_names": [1], "output_names": []}', "DOCUMENT_UNREADABLE"),
        (b'{"input_names": [], "output_names": [], "document_version": 99}', "DOCUMENT_UNREADABLE"),
        (b'{"input_names": [' + b"1," * 300_000 + b'1], "output_names": []}', "DOCUMENT_UNREADABLE"),
        (b'{"names": []}', "DOCUMENT_FOREIGN"),
        (b'{"input_names": ["no_such"], "output_names": []}', "SIGNATURE_CONTRADICTED"),
    ],
)
def test_a_document_that_is_none(model: Path, document: bytes, rule: str) -> None:
    write_document(model, document)
    assert rule in names_of(model)


def test_a_document_of_another_file(model: Path) -> None:
    beside = write_sidecar(str(model), derive_signature(model))
    assert names_of(model) == []
    with model.open("ab") as file:
        file.write(b"\0")
    (only,) = verify_artifact(model).findings
    assert (only.rule, only.where) == ("DOCUMENT_STALE", beside)
    model.with_name("model.pt2.signature.json").write_text("[]")
    assert names_of(model) in (["DOCUMENT_STALE"], ["DOCUMENT_UNREADABLE"])


def test_a_document_that_another_one_hides(model: Path) -> None:
    derived = derive_signature(model)
    embed_signature(model, derived)
    assert names_of(model, notes=True, ignore=["TYPE_UNKNOWN"]) == []
    write_sidecar(str(model), derived)
    assert names_of(model) == ["DOCUMENT_SHADOWED"]


def test_notes_are_for_who_asks(model: Path) -> None:
    assert names_of(model) == []
    assert names_of(model, notes=True) == ["DOCUMENT_MISSING"]
    assert names_of(model, only=["DOCUMENT_MISSING"]) == ["DOCUMENT_MISSING"]
    assert names_of(model, notes=True, ignore=["DOCUMENT_MISSING"]) == []


def test_what_is_refused_stays_refused_without_a_document(corpus: Path) -> None:
    with pytest.raises(RefusedArtifactError, match="pickle"):
        verify_artifact(corpus / "formats" / "refuse_sklearn.joblib")
    with pytest.raises(ArtifactError):
        verify_artifact(corpus / "hostile" / "truncated_zip.pt")


def test_a_savedmodel_is_held_to_both_sets_of_rules(corpus: Path, tmp_path: Path) -> None:
    from trimtab.signature.document import encode_document

    folder = tmp_path / "model"
    shutil.copytree(corpus / "savedmodel" / "multi_sigs" / "model", folder)
    folder.chmod(0o755)
    assert names_of(folder) == []
    assert names_of(folder, only=["SIGNATURE_FEED"]) == []
    wrong = Signature(entry_points=(EntryPoint(name="no", overloads=(Overload(),)),), default_entry_point="no")
    (folder / "assets.extra").mkdir()
    (folder / "assets.extra" / "module_info.json").write_bytes(encode_document(wrong))
    (only,) = verify_artifact(folder).findings
    assert (only.rule, only.got) == ("SIGNATURE_CONTRADICTED", "'no'")
    proto = folder / "saved_model.pb"
    proto.chmod(0o644)
    proto.write_bytes(proto.read_bytes().replace(b"StatefulPartitionedCall_2:", b"StatefulPartitionedCall_9:"))
    assert {"SIGNATURE_CONTRADICTED", "SIGNATURE_DEF_TENSOR"} <= set(names_of(folder))


def test_every_artifact_of_the_corpus_is_verified_or_refused(corpus: Path) -> None:
    for path in sorted((corpus / "formats").iterdir()):
        if path.name.endswith(".oracle.json"):
            continue
        try:
            verified = verify_artifact(path, notes=True)
        except ArtifactError:
            continue
        assert json.dumps([each.as_dict() for each in verified.findings])
        assert not [each for each in verified.findings if each.level is Level.ERROR], path


def test_every_contradiction_between_a_configuration_and_its_model_is_listed(tmp_path: Path) -> None:
    from onnx import TensorProto, helper, save

    (tmp_path / "ranker" / "1").mkdir(parents=True)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in ("a", "b", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["y"])], "g", values[:2], values[2:])
    save(helper.make_model(graph, ir_version=8), tmp_path / "ranker" / "1" / "model.onnx")
    (tmp_path / "ranker" / "config.pbtxt").write_text(
        'name: "ranker"\nbackend: "onnxruntime"\nmax_batch_size: 8\n'
        'input [{ name: "a" data_type: TYPE_INT64 dims: [4] }, { name: "c" data_type: TYPE_FP32 dims: [4] }]\n'
        'output [{ name: "y" data_type: TYPE_FP32 dims: [5] }]\n'
    )
    found = verify_artifact(tmp_path / "ranker").findings
    assert {each.rule for each in found} == {"SIGNATURE_CONTRADICTED"}
    assert len(found) == 4  # a's dtype, c, y's size, and b, which nobody gives
    assert all(each.expected and each.got for each in found)


def test_every_contradiction_between_mlflow_and_its_model_is_listed(tmp_path: Path) -> None:
    from onnx import TensorProto, helper, save

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in ("a", "b", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["y"])], "g", values[:2], values[2:])
    save(helper.make_model(graph, ir_version=8), tmp_path / "model.onnx")
    tensors = [{"type": "tensor", "name": name, "tensor-spec": {"dtype": "float32", "shape": [-1, 5]}} for name in "ac"]
    (tmp_path / "MLmodel").write_text(
        "flavors:\n  onnx:\n    data: model.onnx\n  python_function:\n    loader_module: mlflow.onnx\n"
        f"model_uuid: a\nsignature:\n  inputs: '{json.dumps(tensors)}'\n  outputs: null\n"
    )
    found = verify_artifact(tmp_path).findings
    assert {each.rule for each in found} == {"SIGNATURE_CONTRADICTED"}
    assert len(found) == 2  # a's size, and b, which nobody gives


def test_objects_under_urls_are_verified(model: Path, corpus: Path) -> None:
    pytest.importorskip("obstore")
    from range_server import serving
    from trimtab.signature.document import encode_document

    write_document(model, encode_document(contradicting(model)))
    shutil.copyfile(
        corpus / "savedmodel" / "multi_sigs" / "model" / "saved_model.pb", model.with_name("saved_model.pb")
    )
    with serving(model.parent) as server:
        verified = verify_artifact(f"{server.url}/model.pt2?token=secret")
        assert {each.rule for each in verified.findings} == {"SIGNATURE_CONTRADICTED"}
        assert "secret" not in verified.artifact
        assert not [each for each in verified.findings if "secret" in each.where]
        assert verify_artifact(f"{server.url}/saved_model.pb").findings == ()
