"""Captured objects find their tensors in the graph in every way there is, with the others taken away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trimtab.errors import ArtifactError
from trimtab.savedmodel import load
from trimtab.savedmodel.editing import edit
from trimtab.savedmodel.editing.draft import Draft
from trimtab.savedmodel.editing.graph_tensors import GraphTensors
from trimtab.savedmodel.editing.wrapper import CALLS
from trimtab.savedmodel.messages import classes

WITH_CAPTURES = ["captures", "example", "multi_sigs"]


def without_calls(source: Path, target: Path) -> Path:
    """The same model, in whose graph no function is called but those that save and restore."""
    proto = classes()["SavedModel"].FromString((source / "saved_model.pb").read_bytes())
    graph = proto.meta_graphs[0]
    saver = graph.saver_def
    spared = {saver.restore_op_name, saver.save_tensor_name.partition(":")[0]}
    kept = [node for node in graph.graph_def.node if node.op not in CALLS or node.name in spared]
    del graph.graph_def.node[:]
    graph.graph_def.node.extend(kept)
    return written(proto, target)


def written(proto: Any, target: Path) -> Path:
    target.mkdir()
    (target / "saved_model.pb").write_bytes(proto.SerializeToString(deterministic=True))
    return target


@pytest.mark.parametrize("name", WITH_CAPTURES)
def test_objects_are_found_without_the_calls_that_use_them(corpus: Path, tmp_path: Path, name: str) -> None:
    """Every signature's captures: the tensors that its own call is fed with are found again from the objects alone."""
    folder = corpus / "savedmodel" / name / "model"
    with load(folder) as model, load(without_calls(folder, tmp_path / "bare")) as bare:
        tensors = GraphTensors(Draft(bare, bare.meta_graph))
        compared = 0
        for signature in model.signatures.values():
            assert signature.wrapper is not None
            assert signature.signature_def is not None
            fetched = next(iter(signature.signature_def.outputs.values())).name or ""
            given = model.meta_graph.graph_def.node[fetched.partition(":")[0]].input
            captures = signature.wrapper.captures
            fed = given[len(given) - len(captures) :]
            assert [tensors.tensor(capture.node_id) for capture in captures] == list(fed)
            compared += len(captures)
    assert compared


def test_an_asset_is_read_from_the_variable_that_holds_its_path(corpus: Path) -> None:
    """And never from its placeholder, which only the loader feeds, nor from a read that assigns it anew."""
    with load(corpus / "savedmodel" / "captures" / "model") as model:
        (capture,) = model.function("read").traces[0].captures
        assert capture.kind == "asset"
        draft = Draft(model, model.meta_graph)
        node = draft.nodes[GraphTensors(draft).tensor(capture.node_id)]
    assert node.op == "ReadVariableOp"
    assert not any(each.startswith("^") for each in node.input)


def test_a_variable_of_a_model_without_a_saver_is_found_by_a_call_or_not_at_all(corpus: Path, tmp_path: Path) -> None:
    proto = classes()["SavedModel"].FromString((corpus / "savedmodel/multi_sigs/model/saved_model.pb").read_bytes())
    proto.meta_graphs[0].ClearField("saver_def")
    with edit(written(proto, tmp_path / "called")) as editor:
        assert editor.add_signature("new", "predict").plan().changes
    with (
        edit(without_calls(tmp_path / "called", tmp_path / "bare")) as editor,
        pytest.raises(ArtifactError, match="no tensor of the graph stands for an object") as caught,
    ):
        editor.add_signature("new", "predict").plan()
    assert "a variable w" in str(caught.value)


def test_a_capture_that_does_not_exist_is_refused(corpus: Path, tmp_path: Path) -> None:
    proto = classes()["SavedModel"].FromString((corpus / "savedmodel/multi_sigs/model/saved_model.pb").read_bytes())
    for saved in proto.meta_graphs[0].object_graph_def.concrete_functions.values():
        if saved.bound_inputs:
            saved.bound_inputs[0] = 999
    with (
        edit(written(proto, tmp_path / "dangling")) as editor,
        pytest.raises(ArtifactError, match="a function captures a node that does not exist"),
    ):
        editor.add_signature("new", "predict").plan()


def test_a_handle_that_nothing_restores_is_not_used(corpus: Path, tmp_path: Path) -> None:
    """Keras 3 models saved by `tf.saved_model.save` are like this: no call of theirs works in TF1. The new one does."""
    proto = classes()["SavedModel"].FromString((corpus / "savedmodel/multi_sigs/model/saved_model.pb").read_bytes())
    graph = proto.meta_graphs[0].graph_def
    (handle,) = (node for node in graph.node if node.name == "w")
    graph.node.add().CopyFrom(handle)
    graph.node[-1].name = "stale"
    for node in graph.node:
        if node.op in CALLS and node.attr["f"].func.name.startswith("__inference_signature_wrapper"):
            node.input[:] = ["stale" if each == "w" else each for each in node.input]
    with edit(written(proto, tmp_path / "stale")) as editor:
        plan = editor.add_signature("new", "embed").plan()
    (call,) = (change.after for change in plan.changes if str(change.key).startswith("StatefulPartitionedCall"))
    assert list(classes()["NodeDef"].FromString(call).input) == ["new_x", "w"]


def test_a_handle_in_use_is_shared(corpus: Path) -> None:
    """A Keras 3 export has each variable twice: what one signature assigns, the others read."""
    with edit(corpus / "savedmodel" / "keras3_export" / "model") as editor:
        nodes = editor.meta_graph.graph_def.node
        plan = editor.add_signature("new", "serve").plan()
    (call,) = (change.after for change in plan.changes if str(change.key).startswith("StatefulPartitionedCall"))
    assert list(classes()["NodeDef"].FromString(call).input)[2:] == list(nodes["StatefulPartitionedCall"].input)[2:]
