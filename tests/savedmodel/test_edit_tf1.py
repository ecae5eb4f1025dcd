"""Signatures of TF1 graphs: entries that name tensors, held against the graph before TensorFlow has to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trimtab.errors import ArtifactError
from trimtab.savedmodel import load
from trimtab.savedmodel.editing import edit
from trimtab.savedmodel.editing.draft import Draft
from trimtab.savedmodel.editing.editor import Editor
from trimtab.savedmodel.editing.graph_facts import tensor_facts
from trimtab.savedmodel.messages import classes

X = np.array([[1.0, 2.0], [3.0, 4.5]], np.float32)
EXAMPLES = np.array([b"a", b"c", b"zz"])
KEEP = np.float32(0.25)


@pytest.fixture(scope="session")
def tensorflow() -> Any:
    """TensorFlow, as what it computes with signatures."""
    pytest.importorskip("tensorflow")
    import signatures_in_tensorflow

    return signatures_in_tensorflow


@pytest.fixture(scope="session")
def model(corpus: Path) -> Path:
    return corpus / "savedmodel" / "tf1_style" / "model"


@pytest.fixture
def editor(model: Path) -> Any:
    with edit(model) as opened:
        yield opened


def several_steps(editor: Editor) -> Editor:
    """Every kind of edit that a TF1 graph knows."""
    return (
        editor.add_signature("renamed", "with_keep", rename={"x": "zz", "keep": "aa"}, rename_outputs={"y": "score"})
        .add_signature("inner", inputs={"x": "x:0"}, fetches={"product": "MatMul:0", "half": "mul"})
        .add_signature("from_inside", inputs={"product": "MatMul:0", "factor": "keep:0"}, fetches={"y": "y:0"})
        .add_signature("words", "classify", outputs=["classes"], rename={"inputs": "serialized"})
        .add_signature("both", "classify", inputs={"x": "x:0"}, fetches={"y": "y:0"})
        .add_signature("default_kept", "with_keep", drop=["keep"])
        .alias_signature("serving_default", "alias")
        .rename_signature("with_keep", "kept")
        .rename_inputs("kept", {"x": "keep", "keep": "x"})
        .remove_signature("regress")
        .subset_outputs("classify", "scores")
    )


def test_every_edit_computes_what_the_graph_computes(
    model: Path, editor: Editor, tmp_path: Path, tensorflow: Any
) -> None:
    """In TF2 and in TF1, bit for bit what the unedited signatures give for the same tensors."""
    made = tmp_path / "made"
    several_steps(editor).save(made)
    calls = {
        "renamed": ("with_keep", {"zz": X, "aa": KEEP}, {"x": X, "keep": KEEP}, {"y": "score"}),
        "words": ("classify", {"serialized": EXAMPLES}, {"inputs": EXAMPLES}, {"classes": "classes"}),
        "default_kept": ("serving_default", {"x": X}, {"x": X}, {"y": "y"}),
        "alias": ("serving_default", {"x": X}, {"x": X}, {"y": "y"}),
        "kept": ("with_keep", {"keep": X, "x": KEEP}, {"x": X, "keep": KEEP}, {"y": "y"}),
        "classify": ("classify", {"inputs": EXAMPLES}, {"inputs": EXAMPLES}, {"scores": "scores"}),
        "sparse": ("sparse", {}, {}, {}),
    }
    for run in (tensorflow.in_tf2, tensorflow.in_tf1):
        for key, (old_key, feeds, old_feeds, outputs) in calls.items():
            if not feeds:
                continue
            (expected,) = run(model, [(old_key, old_feeds)])
            (got,) = run(made, [(key, feeds)])
            assert tensorflow.same(got, {new: expected[old] for old, new in outputs.items()}), key
        inner, whole = run(made, [("inner", {"x": X}), ("renamed", {"zz": X, "aa": KEEP})])
        product, score = np.asarray(inner["product"]).reshape(-1, 1), np.asarray(whole["score"]).reshape(-1, 1)
        (inside,) = run(made, [("from_inside", {"product": product, "factor": KEEP})])
        assert np.asarray(inside["y"]).reshape(-1, 1).tobytes() == score.tobytes()
        (both,) = run(made, [("both", {"inputs": EXAMPLES, "x": X})])
        assert both.keys() == {"classes", "scores", "y"}
    assert set(tensorflow.loaded(made).signatures) == {
        *("serving_default", "alias", "kept", "renamed", "inner", "from_inside"),
        *("words", "both", "default_kept", "classify", "sparse"),
    }


def test_only_signature_defs_change(model: Path, editor: Editor, tmp_path: Path) -> None:
    plan = several_steps(editor).plan()
    assert {change.place for change in plan.changes} == {"signature_def"}
    editor.save(tmp_path / "made")
    with load(model) as before, load(tmp_path / "made") as after:
        graphs = [
            classes()["MetaGraphDef"].FromString(each.source.read(span.start, span.end - span.start))
            for each in (before, after)
            for span in [each.meta_graph.index.span]
        ]
    for graph in graphs:
        graph.ClearField("signature_def")
    assert graphs[0] == graphs[1]


def test_dtypes_and_shapes_are_those_of_the_graph(editor: Editor, tmp_path: Path) -> None:
    several_steps(editor).save(tmp_path / "made")
    with load(tmp_path / "made") as made:
        definitions = made.meta_graph.signature_def
        inner, inside = definitions["inner"], definitions["from_inside"]
        assert (inner.inputs["x"].dtype, inner.inputs["x"].tensor_shape.shape) == (1, (None, 2))
        assert (inner.outputs["product"].dtype, inner.outputs["product"].name) == (1, "MatMul:0")
        assert inner.outputs["half"].name == "mul:0"
        assert (inside.inputs["factor"].dtype, inside.inputs["factor"].tensor_shape.shape) == (1, ())
        assert definitions["words"].method_name == "tensorflow/serving/predict"
        assert definitions["classify"].method_name == "tensorflow/serving/classify"


FACTS = [
    ("x:0", 1, (None, 2)),
    ("examples", 7, (None,)),
    ("keep:0", 1, ()),
    ("hash_table:0", 20, None),
    ("hash_table_Lookup/LookupTableFindV2:0", 1, (None,)),
    ("AsString:0", 7, (None,)),
    ("sp/indices:0", 9, (None, 2)),
    ("save/RestoreV2:1", 1, None),
]


@pytest.mark.parametrize(("tensor", "dtype", "shape"), FACTS)
def test_the_graph_says_what_a_tensor_is(model: Path, tensor: str, dtype: int, shape: Any) -> None:
    with load(model) as loaded:
        facts = tensor_facts(Draft(loaded, loaded.meta_graph), tensor)
    assert (facts.name.partition(":")[0], facts.dtype) == (tensor.partition(":")[0], dtype)
    assert facts.shape == shape or shape is None


def test_facts_agree_with_tensorflow(model: Path, tensorflow: Any) -> None:
    """Every tensor of the graph: dtype equal, shape at least as wide as TensorFlow infers."""
    graph = tensorflow.Session(model).graph
    seen = 0
    with load(model) as loaded:
        draft = Draft(loaded, loaded.meta_graph)
        for operation in graph.get_operations():
            for tensor in operation.outputs:
                facts = tensor_facts(draft, tensor.name)
                assert facts.name == tensor.name
                assert facts.dtype == tensor.dtype.base_dtype.as_datatype_enum
                if facts.shape is not None:
                    assert tensor.shape.is_compatible_with(list(facts.shape))
                seen += 1
            with pytest.raises(ArtifactError):
                tensor_facts(draft, f"{operation.name}:{len(operation.outputs)}")
    assert seen > 40


ERRORS: dict[str, tuple[Any, str]] = {
    "placeholder that is no input": (lambda e: e.add_signature("bad", fetches={"y": "y:0"}), "'x:0'"),
    "dropped input that is used": (lambda e: e.drop_inputs("serving_default", "x"), "no input"),
    "lost with a subset": (
        lambda e: e.add_signature("bad", "serving_default", fetches={"d": "SparseToDense:0"}),
        "sp/",
    ),
    "unknown tensor": (lambda e: e.add_signature("bad", inputs={"x": "xx:0"}, fetches={"y": "y:0"}), "no such node"),
    "unknown output of a node": (lambda e: e.add_signature("bad", fetches={"y": "y:1"}), "from 0 to 0"),
    "no tensor": (lambda e: e.add_signature("bad", fetches={"y": "init:0"}), "with outputs"),
    "not a position": (lambda e: e.add_signature("bad", fetches={"y": "y:z"}), "from 0 to 0"),
    "unknown source": (lambda e: e.add_signature("bad", "serving"), "'serving_default'"),
    "no outputs": (lambda e: e.add_signature("bad", inputs={"x": "x:0"}), "at least one output"),
    "unknown input": (lambda e: e.rename_inputs("serving_default", {"y": "z"}), "'x'"),
    "unknown output": (lambda e: e.subset_outputs("serving_default", "x"), "'y'"),
    "nothing left": (lambda e: e.subset_outputs("serving_default"), "at least one output"),
    "name taken": (lambda e: e.rename_inputs("with_keep", {"x": "keep"}), "'keep'"),
    "two of one name": (lambda e: e.rename_inputs("with_keep", {"x": "a", "keep": "a"}), "'a'"),
    "names that differ in case": (lambda e: e.rename_inputs("with_keep", {"x": "Keep"}), "without case"),
    "a keyword": (lambda e: e.rename_inputs("with_keep", {"x": "class"}), "'class'"),
    "an empty output": (lambda e: e.rename_outputs("with_keep", {"y": ""}), "empty"),
    "bind": (lambda e: e.bind_input("with_keep", "keep", 1.0), "cannot be bound"),
    "bind in a new one": (lambda e: e.add_signature("bad", "with_keep", bind={"keep": 1.0}), "cannot be bound"),
    "wider than the placeholder": (lambda e: e.widen("with_keep", "x", (None, None)), "[?, 2]"),
    "narrower": (lambda e: e.widen("with_keep", "x", (7, 2)), "allows all that [?, 2]"),
    "of another rank": (lambda e: e.widen("with_keep", "x", None), "[?, 2]"),
    "key taken": (lambda e: e.add_signature("sparse", "with_keep"), "'sparse'"),
    "input given twice": (lambda e: e.add_signature("bad", "with_keep", inputs={"x": "x:0"}), "not taken"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_a_wrong_request_is_refused_before_anything_is_written(
    model: Path, editor: Editor, tmp_path: Path, case: str
) -> None:
    ask, message = ERRORS[case]
    with pytest.raises(ArtifactError) as refused:
        ask(editor).save(tmp_path / "made")
    assert message in str(refused.value)
    assert not (tmp_path / "made").exists()


def test_what_is_refused_would_have_kept_tf2_from_loading(model: Path, tmp_path: Path, tensorflow: Any) -> None:
    """The reason for the check: one such signature, and no other can be used either."""
    bad = tmp_path / "bad"
    with edit(model) as editor:
        editor.save(bad)
    proto = classes()["SavedModel"].FromString((bad / "saved_model.pb").read_bytes())
    proto.meta_graphs[0].signature_def["bad"].outputs["y"].CopyFrom(
        proto.meta_graphs[0].signature_def["serving_default"].outputs["y"]
    )
    (bad / "saved_model.pb").write_bytes(proto.SerializeToString())
    with pytest.raises(Exception, match="depends on a placeholder which is not an input"):
        tensorflow.loaded(bad)
    with edit(bad) as editor:
        editor.remove_signature("bad").save(tmp_path / "mended")
    assert "serving_default" in tensorflow.loaded(tmp_path / "mended").signatures


def test_a_narrow_declaration_is_widened_to_the_placeholder(model: Path, tmp_path: Path) -> None:
    proto = classes()["SavedModel"].FromString((model / "saved_model.pb").read_bytes())
    proto.meta_graphs[0].signature_def["with_keep"].inputs["x"].tensor_shape.dim[0].size = 7
    (tmp_path / "saved_model.pb").write_bytes(proto.SerializeToString())
    with edit(tmp_path) as editor:
        editor.widen("with_keep", "x", (None, 2)).save(tmp_path.parent / f"{tmp_path.name}-made")
    with load(tmp_path.parent / f"{tmp_path.name}-made") as made:
        assert made.meta_graph.signature_def["with_keep"].inputs["x"].tensor_shape.shape == (None, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda info: setattr(info, "dtype", 3), "float32"),
        (lambda info: setattr(info.tensor_shape.dim[1], "size", 5), "[?, 2]"),
        (lambda info: info.tensor_shape.dim.add(size=1), "[?, 2]"),
        (lambda info: setattr(info, "name", "nowhere:0"), "'nowhere:0'"),
        (lambda info: setattr(info, "name", "x:0:0"), "'x:0:0'"),
    ],
)
def test_a_signature_that_contradicts_its_graph_is_not_edited_on(
    model: Path, tmp_path: Path, change: Any, message: str
) -> None:
    proto = classes()["SavedModel"].FromString((model / "saved_model.pb").read_bytes())
    change(proto.meta_graphs[0].signature_def["with_keep"].inputs["x"])
    (tmp_path / "saved_model.pb").write_bytes(proto.SerializeToString())
    with edit(tmp_path) as editor, pytest.raises(ArtifactError) as refused:
        editor.rename_outputs("with_keep", {"y": "score"}).plan()
    assert message in str(refused.value)


def test_a_variable_may_be_declared_by_its_value(model: Path, tmp_path: Path) -> None:
    """As TensorFlow does it: the tensor is the handle, dtype and shape are those of what it holds."""
    proto = classes()["SavedModel"].FromString((model / "saved_model.pb").read_bytes())
    info = proto.meta_graphs[0].signature_def["with_keep"].outputs["variable"]
    info.name, info.dtype = "rv:0", 1
    (tmp_path / "saved_model.pb").write_bytes(proto.SerializeToString())
    with edit(tmp_path) as editor:
        assert editor.rename_outputs("with_keep", {"y": "score"}).plan().changes


def test_a_huge_number_of_outputs_is_no_trap(model: Path, tmp_path: Path) -> None:
    proto = classes()["SavedModel"].FromString((model / "saved_model.pb").read_bytes())
    graph = proto.meta_graphs[0]
    node = graph.graph_def.node.add(name="many", op="Many")
    node.attr["N"].i = 1 << 60
    node.attr["T"].type = 1
    op = graph.meta_info_def.stripped_op_list.op.add(name="Many")
    op.output_arg.add(name="y", type_attr="T", number_attr="N")
    (tmp_path / "saved_model.pb").write_bytes(proto.SerializeToString())
    with edit(tmp_path) as editor, pytest.raises(ArtifactError, match="at most"):
        editor.add_signature("bad", fetches={"y": "many:0"}).plan()
