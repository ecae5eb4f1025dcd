"""What a plan changes, without TensorFlow: all five places, together, and not a byte of anything else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trimtab.errors import ArtifactError
from trimtab.savedmodel import load, verify
from trimtab.savedmodel.editing import Editor, edit
from trimtab.savedmodel.messages import classes
from trimtab.savedmodel.model import MetaGraph
from trimtab.savedmodel.structure import TensorSpec


def model_of(corpus: Path, name: str) -> Path:
    return corpus / "savedmodel" / name / "model"


def test_a_new_signature_is_written_in_all_five_places(corpus: Path, tmp_path: Path) -> None:
    """The post's own model: the second trace of `polymorphic_fn` gets the signature that it never had."""
    with edit(model_of(corpus, "example")) as editor:
        plan = editor.add_signature("scores", "polymorphic_fn:1", rename={"x": "features"}).save(tmp_path / "made")
    assert {edit.proto for edit in plan.steps[0].edits} >= {
        "FunctionDef",
        "SignatureDef",
        "SavedBareConcreteFunction",
        "SavedConcreteFunction",
    }
    with load(tmp_path / "made") as model:
        signature = model.signatures["scores"]
        trace = model.function("polymorphic_fn").traces[1]
        assert signature.callee == trace.name
        assert [(function.path, position) for function, position in signature.traces] == [("polymorphic_fn", 1)]
        assert signature.bare is not None
        assert signature.wrapper is not None
        assert signature.bare.argument_keywords == ("features",)
        assert signature.bare.allowed_positional_arguments == 1
        assert signature.wrapper.arguments == ((), {"features": TensorSpec("float32", (3,), "features")})
        assert signature.wrapper.outputs == {"output_0": TensorSpec("float32", (3,), "output_0")}
        definition = signature.signature_def
        assert definition is not None
        assert definition.method_name == "tensorflow/serving/predict"
        (fed,) = definition.inputs.values()
        (fetched,) = definition.outputs.values()
        nodes = model.meta_graph.graph_def.node
        call = nodes[str(fetched.name).partition(":")[0]]
        assert call.callees == (signature.wrapper.name,)
        assert call.input == (str(fed.name).partition(":")[0],)
        assert nodes[call.input[0]].op == "Placeholder"
    assert verify(tmp_path / "made") == ()


def test_what_an_edit_does_not_name_stays_byte_for_byte(corpus: Path, tmp_path: Path) -> None:
    for name in ("captures", "keras3_export", "multi_sigs"):
        with edit(model_of(corpus, name)) as editor:
            key = next(iter(editor.meta_graph.signatures))
            plan = editor.add_signature("new", f"signatures.{key}").save(tmp_path / name)
            before = parts_of(editor.meta_graph)
        with load(tmp_path / name) as model:
            after = parts_of(model.meta_graph)
        changed = {(change.place, change.key) for change in plan.changes}
        assert changed
        assert {part: content for part, content in before.items() if part not in changed} == {
            part: content for part, content in after.items() if part not in changed
        }
        assert {part for part in after if after[part] != before.get(part)} == changed


def parts_of(meta_graph: MetaGraph) -> dict[tuple[str, Any], bytes]:
    """The bytes of every part that can be edited, and of the others under their field."""
    index, source = meta_graph.index, meta_graph.source
    found: dict[tuple[str, Any], bytes] = {}
    for place in ("function", "signature_def", "concrete_functions", "collection_def"):
        for key, span in getattr(index, place).items():
            found[place, key] = source.read(span.start, span.end - span.start)
    for node_id, span in enumerate(index.nodes):
        found["nodes", node_id] = source.read(span.start, span.end - span.start)
    for span in index.node:
        content = source.read(span.start, span.end - span.start)
        found["node", classes()["NodeDef"].FromString(content).name] = content
    for field in ("meta_info_def", "saver_def"):
        span = getattr(index, field)
        found[field, None] = source.read(span.start, span.end - span.start)
    return found


def test_a_model_without_a_map_of_signatures_gets_one(corpus: Path, tmp_path: Path) -> None:
    """TensorFlow always writes the map; other writers do not."""
    source = model_of(corpus, "example")
    proto = classes()["SavedModel"].FromString((source / "saved_model.pb").read_bytes())
    nodes = proto.meta_graphs[0].object_graph_def.nodes
    kept = [edge for edge in nodes[0].children if edge.local_name != "signatures"]
    del nodes[0].children[:]
    nodes[0].children.extend(kept)
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "saved_model.pb").write_bytes(proto.SerializeToString(deterministic=True))
    with edit(tmp_path / "bare") as editor:
        editor.add_signature("first", "polymorphic_fn:0").add_signature("second", "polymorphic_fn:1")
        editor.save(tmp_path / "made")
    with load(tmp_path / "made") as model:
        objects = model.meta_graph.object_graph_def
        assert objects is not None
        signature_map = objects.find("signatures")
        assert signature_map is not None
        assert list(objects.children[signature_map]) == ["first", "second"]


def test_steps_see_what_the_ones_before_have_done(corpus: Path, tmp_path: Path) -> None:
    with edit(model_of(corpus, "multi_sigs")) as editor:
        editor.add_signature("new", "predict", rename={"ids": "a"})
        editor.alias_signature("new", "other").remove_signature("new")
        editor.rename_inputs("other", {"a": "identifiers"}).bind_input("other", "identifiers", [7, 8])
        editor.rename_outputs("other", {"scores": "s", "ids": "scores"}).subset_outputs("other", "scores")
        plan = editor.save(tmp_path / "made")
    with load(tmp_path / "made") as model:
        signature = model.signatures["other"]
        assert signature.wrapper is not None
        assert list(signature.wrapper.arguments[1]) == ["features"]
        assert signature.wrapper.outputs == {"scores": TensorSpec("int64", (None,), "scores")}
        assert set(model.signatures) == {"serving_default", "embed", "train", "other"}
    added = [change for change in plan.changes if change.verb == "add"]
    assert {change.place for change in added} == {"function", "signature_def", "concrete_functions", "node", "nodes"}
    assert [change.place for change in added].count("function") == 1  # of the wrappers in between none is left
    assert verify(tmp_path / "made") == ()


def test_an_edited_wrapper_calls_the_function_and_no_wrapper(corpus: Path, tmp_path: Path) -> None:
    """However often a signature is edited, its wrapper stays one call deep, with its constants."""
    with edit(model_of(corpus, "multi_sigs")) as editor:
        callee = editor.meta_graph.signatures["serving_default"].callee
        editor.bind_input("serving_default", "ids", [7, 8]).save(tmp_path / "one")
    with edit(tmp_path / "one") as editor:
        editor.rename_inputs("serving_default", {"features": "x"}).save(tmp_path / "two")
    with load(tmp_path / "two") as model:
        signature = model.signatures["serving_default"]
        assert signature.callee == callee
        assert signature.wrapper is not None
        definition = signature.wrapper.function_def
        assert definition is not None
        (value,) = (node.attr("value") for node in definition.node_def.values() if node.op == "Const")
        assert value is not None
        assert value.tensor is not None
        assert value.tensor.tensor_content == bytes([7] + [0] * 7 + [8] + [0] * 7)


def test_an_edit_in_place_of_nothing_changes_nothing(corpus: Path) -> None:
    with edit(model_of(corpus, "example")) as editor:
        assert editor.plan().changes == ()
        assert str(editor.plan()) == ""


def test_a_plan_says_what_it_does_to_a_person_and_to_a_program(corpus: Path) -> None:
    with edit(model_of(corpus, "example")) as editor:
        plan = editor.rename_inputs("capture_fn", {"x": "features"}).plan()
    told = str(plan)
    assert told.startswith("1. rename inputs of 'capture_fn': x to features\n")
    order = [line.split()[0] for line in told.splitlines()[1:]]
    places = ["FunctionDef", "SignatureDef", "SavedBareConcreteFunction", "SavedConcreteFunction", "NodeDef"]
    assert sorted(set(order), key=order.index) == places
    program = json.loads(json.dumps(plan.as_dict()))
    assert program["steps"][0]["title"] == "rename inputs of 'capture_fn': x to features"
    assert {change["verb"] for change in program["changes"]} == {"add", "remove", "change"}


def test_a_shape_may_be_given_as_a_list(corpus: Path) -> None:
    with edit(model_of(corpus, "multi_sigs")) as editor:
        plan = editor.widen("embed", "x", [None, None]).add_signature("new", "train", widen={"x": [None, None]}).plan()
    wide = [change.after for change in plan.changes if change.place == "signature_def"]
    assert all(classes()["SignatureDef"].FromString(each).inputs["x"].tensor_shape.dim[1].size == -1 for each in wide)


def test_nothing_is_written_where_it_should_not_be(corpus: Path, tmp_path: Path) -> None:
    with edit(model_of(corpus, "example")) as editor:
        for arguments in ({}, {"output": tmp_path / "made", "in_place": True}):
            with pytest.raises(ArtifactError, match="a directory to write to, or in_place"):
                editor.save(**arguments)
    assert not (tmp_path / "made").exists()


WRONG = [
    # signature, what is asked, what the answer names
    (lambda e: e.add_signature("train", "predict"), "'train'"),
    (lambda e: e.add_signature("__saved_model_init_op", "predict"), "reserve"),
    (lambda e: e.add_signature("", "predict"), "got none"),
    (lambda e: e.add_signature("new"), "a function to make the signature from"),
    (lambda e: e.add_signature("new", "predict", fetches={"y": "b:0"}), "Only a TF1 graph"),
    (lambda e: e.rename_inputs("nope", {"x": "y"}), "one of 'serving_default', 'embed', 'train'"),
    (lambda e: e.rename_inputs("train", {"z": "y"}), "one of 'x', 'y'"),
    (lambda e: e.rename_inputs("train", {"x": "y"}), "two inputs of one name"),
    (lambda e: e.rename_inputs("train", {"x": "Y"}), "'Y' and 'y'"),
    (lambda e: e.rename_inputs("train", {"x": "a/b", "y": "a_b"}), "'a/b' and 'a_b'"),
    *(
        (lambda e, name=name: e.rename_inputs("train", {"x": name}), repr(name))
        for name in ("", "_x", "a b", "a:0", "if")
    ),
    (lambda e: e.rename_outputs("train", {"output_2": "loss"}), "'output_1', 'output_0'"),
    (lambda e: e.rename_outputs("train", {"output_0": "output_1"}), "two outputs of one name"),
    (lambda e: e.rename_outputs("train", {"output_0": ""}), "a name for the output 'output_0'"),
    (lambda e: e.rename_outputs("train", {"output_0": "\ud800"}), "text in UTF-8"),
    (lambda e: e.add_signature("\ud800", "predict"), "text in UTF-8"),
    (lambda e: e.subset_outputs("train"), "at least one output"),
    (lambda e: e.subset_outputs("train", "loss"), "one of 'output_0', 'output_1'"),
    (lambda e: e.drop_inputs("train", "x"), "an output or an effect depends on it"),
    (lambda e: e.bind_input("train", "x", [[1, 2]]), "a value of shape [?, 3], got one of [1, 2]"),
    (lambda e: e.bind_input("train", "x", [[1, 2, "3"]]), "a value of dtype float32, got '3'"),
    (lambda e: e.bind_input("train", "x", [[1, 2, 3], [4]]), "lists of equal lengths"),
    (lambda e: e.widen("embed", "x", (None, 4)), "sizes may become unknown"),
    (lambda e: e.widen("embed", "nope", (None, 4)), "one of 'x'"),
]


@pytest.mark.parametrize(("wrong", "named"), WRONG)
def test_a_wrong_request_is_answered_with_what_would_be_right(corpus: Path, wrong: Any, named: str) -> None:
    with edit(model_of(corpus, "multi_sigs")) as editor:
        wrong(editor)
        with pytest.raises(ArtifactError) as caught:
            editor.plan()
    assert named in str(caught.value)
    assert str(caught.value).startswith("step 1, ")


def test_functions_that_cannot_be_served_say_why(tmp_path: Path) -> None:
    """A function whose captures nobody has written down, one that takes a table, and one that returns nothing."""
    editor = made_of(tmp_path, returns=0)
    with pytest.raises(ArtifactError, match="a function that returns tensors, got one that returns none"):
        editor.add_signature("new", "takes_float").plan()
    editor = made_of(tmp_path, returns=1)
    with pytest.raises(ArtifactError, match="captures are not recorded"):
        editor.add_signature("new", "takes_resource").plan()
    plan = made_of(tmp_path, returns=1).add_signature("new", "takes_float").plan()
    assert [change.place for change in plan.changes].count("function") == 1


def made_of(folder: Path, returns: int) -> Editor:
    """A model of two functions that only a library knows, with or without a result."""
    proto = classes()["SavedModel"](saved_model_schema_version=1)
    graph = proto.meta_graphs.add()
    graph.meta_info_def.tags.append("serve")
    for name, dtype in (("takes_float", 1), ("takes_resource", 20)):
        function = graph.graph_def.library.function.add()
        function.signature.name = name
        function.signature.input_arg.add(name="x", type=dtype)
        for _ in range(returns):
            function.signature.output_arg.add(name="y", type=1)
    graph.object_graph_def.nodes.add().user_object.identifier = "_generic_user_object"
    (folder / "saved_model.pb").write_bytes(proto.SerializeToString(deterministic=True))
    return edit(folder)
