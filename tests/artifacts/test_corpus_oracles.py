"""Every artifact of the shared corpus, read without its framework, agrees with what its framework says of it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from trimtab.artifacts import read_signature
from trimtab.errors import RefusedArtifactError
from trimtab.signature.dtypes import dtype_of
from trimtab.signature.model import EntryPoint, Input, Learned, Output, Presence, Signature
from trimtab.signature.path import Field, Key, parse_path
from trimtab.signature.types import (
    Literal,
    Mapping,
    Opaque,
    Optional,
    Scalar,
    Sequence,
    Sparse,
    Tensor,
    Type,
)

CORPUS = Path(os.environ.get("TRIMTAB_CORPUS", Path(__file__).resolve().parents[3] / "shared" / "corpus"))


def files(*patterns: str) -> list[str]:
    found = {path.name for pattern in patterns for path in (CORPUS / "formats").glob(pattern)}
    return sorted(name for name in found if not name.endswith(".json"))


def oracle_of(corpus: Path, name: str) -> dict[str, Any]:
    oracle: dict[str, Any] = json.loads((corpus / "formats" / f"{name}.oracle.json").read_text())
    return oracle


# TorchScript


@pytest.mark.parametrize("name", files("ts_*"))
def test_torchscript_agrees_with_torch(corpus: Path, name: str) -> None:
    oracle = oracle_of(corpus, name)
    signature = read_signature(corpus / "formats" / name)
    assert signature.provenance.format == "torchscript"
    assert signature.default_entry_point == "forward"
    methods = {key: value for key, value in oracle["methods"].items() if not re.fullmatch(r"__.*_getter", key)}
    assert {it.name for it in signature.entry_points} == set(methods)
    for method, stated in methods.items():
        entry_point = signature.entry_point(method)
        check_arguments(entry_point, stated["args"])
        check_returns(entry_point, stated["returns"])
    for method, examples in oracle.get("traced_inputs", {}).items():
        check_examples(signature.entry_point(method), examples)


def check_arguments(entry_point: EntryPoint, stated: list[dict[str, Any]]) -> None:
    by_root: dict[str, list[Input]] = {}
    for value in entry_point.overloads[0].inputs:
        by_root.setdefault(parse_path(value.call_path)[0], []).append(value)
    assert list(by_root) == [argument["name"] for argument in stated]
    for argument in stated:
        values = by_root[argument["name"]]
        types = tuple_elements(argument["type"])
        assert [torchscript_spelling(it.type) for it in values] == types
        assert [parse_path(it.call_path)[1] for it in values] == steps_of(argument["type"])
        for value in values:
            assert value.nullable == argument["type"].startswith("Optional")
            if "default" in argument:
                assert value.presence is Presence.DEFAULT
                assert value.default is not None
                assert value.default.to_python() == argument["default"]
            else:
                assert value.presence is Presence.REQUIRED


def check_returns(entry_point: EntryPoint, stated: str) -> None:
    outputs = entry_point.overloads[0].outputs
    if stated.startswith("Dict") and outputs and outputs[0].return_path.startswith("["):
        value = stated.removeprefix("Dict[str, ").removesuffix("]")  # the keys of a dict literal are known too
        assert {torchscript_spelling(it.type) for it in outputs} == {value}
    else:
        assert [torchscript_spelling(it.type) for it in outputs] == tuple_elements(stated)


def check_examples(entry_point: EntryPoint, stated: list[Any]) -> None:
    wanted: dict[str, dict[str, Any]] = {}
    roots = list(dict.fromkeys(parse_path(it.call_path)[0] for it in entry_point.overloads[0].inputs))

    def walk(path: str, example: Any) -> None:
        if "tensor" in example:
            wanted[path] = example
        elif "tuple" in example:
            for index, item in enumerate(example["tuple"]):
                walk(f"{path}[{index}]", item)
        else:
            for key, item in example.items():
                walk(f"{path}[{json.dumps(key)}]", item)

    for root, example in zip(roots, stated, strict=True):
        walk(root, example)
    seen = {}
    for value in entry_point.overloads[0].inputs:
        if isinstance(value.type, Tensor):
            assert value.learned["type"] is Learned.EXAMPLE
            seen[value.call_path] = value.type
        for feature in value.features:
            seen[f"{value.call_path}[{json.dumps(feature.name)}]"] = feature.type
    assert seen == {path: Tensor(dtype_of("torch", it["tensor"]), tuple(it["shape"])) for path, it in wanted.items()}


def tuple_elements(text: str) -> list[str]:
    if not text.startswith("Tuple["):
        return [text]
    return [item for item in re.split(r", (?![^\[]*\])", text.removeprefix("Tuple[").removesuffix("]")) if item]


def steps_of(text: str) -> list[tuple[Key, ...]]:
    return [(Key(i),) for i in range(len(tuple_elements(text)))] if text.startswith("Tuple[") else [()]


def torchscript_spelling(type_: Type) -> str:
    scalars = {"int64": "int", "float64": "float", "bool": "bool", "string": "str", "complex128": "complex"}
    match type_:
        case Tensor():
            return "Tensor"
        case Scalar():
            return scalars[type_.dtype]
        case Optional():
            return f"Optional[{torchscript_spelling(type_.element)}]"
        case Sequence():
            return f"List[{torchscript_spelling(type_.element)}]"
        case Mapping():
            return f"Dict[{scalars[type_.key]}, {torchscript_spelling(type_.value)}]"
        case Literal(value=None):
            return "NoneType"
        case Opaque():
            return type_.name
    raise AssertionError(type_)


# torch.export


@pytest.mark.parametrize("name", files("pt2_*"))
def test_torch_export_agrees_with_torch(corpus: Path, name: str) -> None:
    oracle = oracle_of(corpus, name)
    signature = read_signature(corpus / "formats" / name)
    assert signature.provenance.format == "pt2"
    assert signature.provenance.producer == f"torch {oracle['by']['torch']}"
    assert {it.name for it in signature.entry_points} == set(oracle["models"])
    for model, stated in oracle["models"].items():
        overload = signature.entry_point(model).overloads[0]
        assert [path_values(it.call_path)[1:] for it in overload.inputs] == [path[2:] for path in stated["in_paths"]]
        keyword = {it.call_path: path for it, path in zip(overload.inputs, stated["in_paths"], strict=True)}
        assert all(path_values(text)[0] == path[1] for text, path in keyword.items() if path[0] == 1)
        assert [path_values(it.return_path)[1:] for it in overload.outputs] == stated["out_paths"]
        for value, wanted in zip(
            (*overload.inputs, *overload.outputs), (*stated["inputs"], *stated["outputs"]), strict=True
        ):
            check_exported(value, wanted)
        limits = {key: [it.minimum, it.maximum] for key, it in overload.dimensions.items()}
        assert limits == stated["ranges"]


def path_values(text: str) -> list[Any]:
    root, steps = parse_path(text)
    return [root, *(step.name if isinstance(step, Field) else step.value for step in steps)]


def check_exported(value: Input | Output, wanted: dict[str, Any]) -> None:
    if "const" in wanted:
        assert value.type == Literal(wanted["const"])
        if isinstance(value, Input):
            assert value.presence is Presence.DEFAULT
            assert value.default == Literal(wanted["const"])
    elif "scalar" in wanted:
        assert value.type == Scalar({"int": dtype_of("torch", "int64")}[wanted["scalar"]])
        assert value.doc == wanted["expr"]
    else:
        assert value.type == Tensor(dtype_of("torch", wanted["dtype"]), tuple(wanted["shape"]))


# ONNX


@pytest.mark.parametrize("name", files("onnx_*.onnx"))
def test_onnx_agrees_with_onnx_and_onnxruntime(corpus: Path, name: str) -> None:
    oracle = oracle_of(corpus, name)
    signature = read_signature(corpus / "formats" / name)
    assert signature.provenance.format == "onnx"
    check_values(signature.inputs, oracle["inputs"])
    check_values(signature.outputs, oracle["outputs"])
    overridable = {it["name"] for it in oracle["inputs"] if it["has_default"]}
    assert {it.name for it in signature.inputs if it.presence is Presence.DEFAULT} == overridable
    assert set(oracle["ort"]["overridable"]) <= overridable
    assert [name for name, _, _ in oracle["ort"]["inputs"]] == [
        it.name for it in signature.inputs if it.presence is Presence.REQUIRED
    ]
    (versions, *_) = signature.provenance.notes
    assert versions.startswith(f"IR version {oracle['ir_version']}")
    assert all(f"{domain} {version}".strip() in versions for domain, version in oracle["opset"].items())


def check_values(values: tuple[Input, ...] | tuple[Output, ...], stated: list[dict[str, Any]]) -> None:
    assert [it.name for it in values] == [it["name"] for it in stated]
    for value, wanted in zip(values, stated, strict=True):
        assert value.type == onnx_type(wanted), value.name


def onnx_type(stated: dict[str, Any]) -> Type:
    import onnx

    def dtype(text: str) -> Any:
        return dtype_of("onnx", onnx.TensorProto.DataType.Value(text))

    match stated["kind"]:
        case "tensor" | "sparse" as kind:
            shape = stated["shape"] if stated["shape"] is None else tuple(stated["shape"])
            return (Tensor if kind == "tensor" else Sparse)(dtype(stated["elem"]), shape)
        case "sequence":
            return Sequence(onnx_type(stated["elem"]))
        case "optional":
            return Optional(onnx_type(stated["elem"]))
        case "map":
            return Mapping(dtype(stated["key"]), onnx_type(stated["value"]))
    raise AssertionError(stated)


# What is refused


@pytest.mark.parametrize("name", files("refuse_*"))
def test_pickles_and_the_like_are_refused_by_name(corpus: Path, name: str) -> None:
    with pytest.raises(RefusedArtifactError, match=r"pickle|checkpoint|HDF5") as refusal:
        read_signature(corpus / "formats" / name)
    assert refusal.value.hint


def test_reading_is_deterministic(corpus: Path) -> None:
    def all_digests() -> list[str]:
        return [
            signature.digest
            for name in files("ts_*", "pt2_*", "onnx_*.onnx")
            if isinstance(signature := read_signature(corpus / "formats" / name), Signature)
        ]

    assert all_digests() == all_digests()
