"""The object model of a SavedModel against what TensorFlow said of the same files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trimtab import savedmodel
from trimtab.errors import ArtifactError, RefusedArtifactError
from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.function_spec import CallSpec
from trimtab.savedmodel.graph_protos import TensorInfo
from trimtab.savedmodel.messages import format_text
from trimtab.savedmodel.structure import NamedTuple, RaggedTensorSpec, SparseTensorSpec, TensorSpec
from trimtab.source.bytes import MemorySource
from trimtab.source.wire import encode_field

KINDS = ("functions", "bare_functions")


@pytest.fixture(scope="module", params=range(14))
def case(request: pytest.FixtureRequest, corpus: Path) -> tuple[savedmodel.SavedModel, dict[str, Any]]:
    folders = sorted((corpus / "savedmodel").iterdir())
    if request.param >= len(folders):
        pytest.skip("the corpus has fewer models")
    folder = folders[request.param]
    return savedmodel.load(folder / "model"), json.loads((folder / "oracle.json").read_text())


def test_every_meta_graph_has_the_signature_defs_of_tensorflow(case: Any) -> None:
    model, oracle = case
    assert model.saved_model_schema_version == oracle["schema_version"]
    assert len(model.meta_graphs) == len(oracle["meta_graphs"])
    for ours, theirs in zip(model.meta_graphs, oracle["meta_graphs"], strict=True):
        assert list(ours.tags) == theirs["tags"]
        assert ours.is_tf2 == theirs["has_object_graph"]
        assert {key: _signature_def(each) for key, each in ours.signature_def.items()} == {
            key: (
                value["method_name"],
                {name: _their_info(info) for name, info in value["inputs"].items()},
                {name: _their_info(info) for name, info in value["outputs"].items()},
                set(value["defaults"]),
            )
            for key, value in theirs["signature_defs"].items()
        }


def test_nodes_have_the_kinds_and_paths_of_tensorflow(case: Any) -> None:
    model, oracle = case
    objects = model.meta_graph.object_graph_def
    for node_id, theirs in (oracle.get("node_kinds") or {}).items():
        assert objects.kinds[int(node_id)] == objects.nodes[int(node_id)].kind == theirs["kind"]
        assert objects.paths.get(int(node_id)) == theirs["path"]
        assert theirs["path"] is None or objects.find(theirs["path"]) == int(node_id)


def test_functions_have_the_parameters_traces_and_captures_of_tensorflow(case: Any) -> None:
    model, oracle = case
    functions = oracle.get("functions") or {}
    shown = {path: function for path, function in model.functions.items() if f"root.{path}" in functions}
    assert {f"root.{path}" for path in shown} == set(functions)
    for path, function in shown.items():
        theirs = functions[f"root.{path}"]
        assert function.node_id == theirs["node"]
        assert _argspec(function.spec) == theirs["fullargspec"] or "tf.Tensor" in theirs["fullargspec"]
        assert function.spec.jit_compile == theirs["jit_compile"]
        assert [trace.name for trace in function.traces] == [each["name"] for each in theirs["concrete"]]
        for trace, concrete in zip(function.traces, theirs["concrete"], strict=True):
            _same_function(trace, concrete)


def test_bare_functions_are_those_of_tensorflow(case: Any) -> None:
    model, oracle = case
    objects = model.meta_graph.object_graph_def
    for theirs in (oracle.get("bare_functions") or {}).values():
        bare = objects.nodes[theirs["node"]].bare_concrete_function
        assert bare.concrete_function_name == theirs["name"]
        _same_function(model.meta_graph.concrete_function(theirs["name"]), theirs)


def test_variables_are_those_of_tensorflow(case: Any) -> None:
    model, oracle = case
    objects = model.meta_graph.object_graph_def
    for path, theirs in (oracle.get("variables") or {}).items():
        if objects is None or "node" not in theirs:
            continue
        variable = objects.nodes[objects.find(path)].variable
        shape = variable.shape.shape
        assert (dtype_name(variable.dtype), list(shape)) == (theirs["dtype"], theirs["shape"])
        assert variable.trainable == theirs["trainable"]
        assert f"{variable.name}:0" == theirs["name"]


def test_the_chain_of_a_signature(corpus: Path) -> None:
    """The walk of "A Tour of SavedModel Signatures", step by step."""
    with savedmodel.load(corpus / "savedmodel" / "example" / "model") as model:
        signature = model.signatures["capture_fn"]
        assert signature.node_id == 8
        assert signature.bare.argument_keywords == ("x",)
        assert signature.wrapper.name == "__inference_signature_wrapper_capture_fn_65"
        assert signature.callee == "__inference_capture_fn_57"
        assert [(function.path, position) for function, position in signature.traces] == [("capture_fn", 0)]
        [weight] = signature.wrapper.captures
        assert (weight.kind, weight.name, weight.dtype, weight.shape) == ("variable", "weight", "float32", ())
        assert (weight.path, weight.argument, weight.position) == ("root.weight", "unknown", 1)
        [weight] = signature.traces[0][0].traces[0].captures
        assert (weight.path, weight.argument, weight.position) == ("root.weight", "mul_readvariableop_resource", 1)
        polymorphic = model.function("polymorphic_fn")
        assert [trace.arguments for trace in polymorphic.traces] == [
            ((TensorSpec("float32", (), "x"),), {}),
            ((TensorSpec("float32", (3,), "x"),), {}),
        ]


def test_text_and_binary_are_the_same_model(corpus: Path, tmp_path: Path) -> None:
    data = (corpus / "savedmodel" / "multi_sigs" / "model" / "saved_model.pb").read_bytes()
    (tmp_path / "saved_model.pbtxt").write_bytes(format_text(data))
    with savedmodel.load(tmp_path) as model:
        assert model.source.read(0, model.source.size) == data
        (tmp_path / "saved_model.pb").write_bytes(b"")
        with pytest.raises(ArtifactError, match="at least one MetaGraph"):
            savedmodel.load(tmp_path)  # TensorFlow looks for the binary first, too


def test_an_unknown_function_is_answered_with_the_nearest(corpus: Path) -> None:
    with (
        savedmodel.load(corpus / "savedmodel" / "example" / "model") as model,
        pytest.raises(ArtifactError, match="'polymorphic_fn'"),
    ):
        model.function("polymorfic_fn")


def test_split_protos_are_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "saved_model.cpb").write_bytes(b"riegeli")
    with pytest.raises(RefusedArtifactError, match="split into chunks"):
        savedmodel.load(tmp_path)


def test_protos_over_two_gigabytes_are_refused(tmp_path: Path) -> None:
    with (tmp_path / "saved_model.pb").open("wb") as file:
        file.truncate(1 << 31)
    with pytest.raises(RefusedArtifactError, match="2 GiB"):
        savedmodel.load(tmp_path)


def test_a_directory_without_a_proto_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"saved_model\.pb or saved_model\.pbtxt"):
        savedmodel.load(tmp_path)


def test_function_bodies_written_twice_are_told_apart(corpus: Path) -> None:
    """A graph_def in two parts would be merged by some readers and cut by others."""
    data = (corpus / "savedmodel" / "example" / "model" / "saved_model.pb").read_bytes()
    model = savedmodel.SavedModel(MemorySource(data))
    span = model.index.meta_graphs[0].graph_def
    twice = data[span.at : span.end] * 2
    with pytest.raises(ArtifactError, match="graph_def once"):
        savedmodel.SavedModel(MemorySource(encode_field(2, twice)))


def _signature_def(ours: Any) -> tuple[Any, ...]:
    return (
        ours.method_name,
        {name: _our_info(info) for name, info in ours.inputs.items()},
        {name: _our_info(info) for name, info in ours.outputs.items()},
        set(ours.defaults),
    )


def _our_info(info: TensorInfo) -> tuple[Any, ...]:
    shape = info.tensor_shape.shape
    fact = (dtype_name(info.dtype), None if shape is None else [-1 if dim is None else dim for dim in shape])
    if info.coo_sparse is not None:
        return ("coo_sparse", *fact)
    if info.composite_tensor is not None:
        return ("composite_tensor", *fact, [_our_info(each) for each in info.composite_tensor.components])
    return ("name", *fact, info.name)


def _their_info(info: dict[str, Any]) -> tuple[Any, ...]:
    fact = (info["encoding"], info["dtype"], info["shape"])
    if info["encoding"] == "name":
        return (*fact, info["name"])
    if info["encoding"] == "composite_tensor":
        return (*fact, [_their_info(each) for each in info["components"]])
    return fact


def _argspec(spec: CallSpec) -> str:
    """As `inspect` prints it."""
    defaults = tuple(spec.defaults) or None
    return (
        f"FullArgSpec(args={list(spec.args)}, varargs={spec.varargs!r}, varkw={spec.varkw!r}, defaults={defaults}, "
        f"kwonlyargs={list(spec.kwonlyargs)}, kwonlydefaults={spec.kwonlydefaults or None}, annotations={{}})"
    )


def _same_function(ours: Any, theirs: dict[str, Any]) -> None:
    assert ours.name == theirs["name"]
    assert _plain(ours.arguments) == _theirs(theirs["structured_input_signature"])
    assert _plain(ours.outputs) == _theirs(theirs["structured_outputs"])
    assert [capture.node_id for capture in ours.captures] == theirs["captures"]


def _plain(value: Any) -> Any:
    """A structure in the oracle's terms, without the names that TensorFlow fills in."""
    if isinstance(value, TensorSpec):
        return ("TensorSpec", value.dtype, None if value.shape is None else list(value.shape))
    if isinstance(value, RaggedTensorSpec):
        shape = None if value.shape is None else list(value.shape)
        dtypes = f"tf.{value.dtype}, {value.ragged_rank}, tf.{value.row_splits_dtype}"
        return f"RaggedTensorSpec(TensorShape({shape}), {dtypes})"
    if isinstance(value, SparseTensorSpec):
        return f"SparseTensorSpec(TensorShape({list(value.shape)}), tf.{value.dtype})"
    if isinstance(value, NamedTuple):
        return ("namedtuple", value.type_name, {key: _plain(item) for key, item in value.fields})
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return (type(value).__name__, [_plain(item) for item in value])
    return value


def _theirs(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get("spec") == "TensorSpec":
            return ("TensorSpec", value["dtype"], value["shape"])
        if "spec" in value:
            return value["repr"]
        [(kind, inside)] = value.items() if len(value) == 1 else [("", value)]
        if kind in ("tuple", "list"):
            return (kind, [_theirs(item) for item in inside])
        if kind == "dict":
            return {key: _theirs(item) for key, item in inside.items()}
        if kind == "py":
            return inside
        if "namedtuple" in value:
            return ("namedtuple", value["namedtuple"], {key: _theirs(item) for key, item in value["fields"]})
    return value
