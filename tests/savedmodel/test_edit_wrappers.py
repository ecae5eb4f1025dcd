"""Edits of signatures that exist: TensorFlow computes with the edited one what it does with the unedited.

Names are chosen so that every rename turns the sorted order around, by which TensorFlow binds inputs and outputs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from trimtab.errors import ArtifactError
from trimtab.savedmodel import verify
from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.editing import Editor, edit
from trimtab.savedmodel.editing.draft import Draft
from trimtab.savedmodel.editing.names import keyword_of
from trimtab.savedmodel.editing.wiring import read_served
from trimtab.savedmodel.editing.wrapper import Input, Wrapper
from trimtab.savedmodel.flow import unused_arguments

MODELS = ["captures", "composites", "example", "keras3_export", "kwonly_defaults", "multi_sigs", "nested", "pbtxt"]
MODELS += ["shapes", "strings", "training_flag"]


class Case(NamedTuple):
    """An edited signature: its key, the key that it was, and the names of its inputs and outputs by the old ones."""

    key: str
    was: str
    inputs: dict[str, str]
    outputs: dict[str, str]


@pytest.mark.parametrize("name", MODELS)
def test_an_edited_signature_computes_what_it_did(corpus: Path, tmp_path: Path, name: str) -> None:
    """Renamed, bound, selected from, dropped from and widened: in TF2, TF1 and saved again, bit for bit."""
    tf = pytest.importorskip("tensorflow")
    import signatures_in_tensorflow as served
    from traces_in_tensorflow import arrays, random_tensor

    def component(given: Input, random: Any) -> Any:
        if name == "composites" and dtype_name(given.dtype) == "int64" and len(given.shape or ()) == 1:
            return tf.constant(SPARSE_SHAPE if given.shape == (2,) else ROW_SPLITS, tf.int64)
        return random_tensor(dtype_name(given.dtype), given.shape, random)

    folder = corpus / "savedmodel" / name / "model"
    random = np.random.RandomState(7)
    with edit(folder) as editor:
        draft = Draft(editor.saved_model, editor.meta_graph)
        wrappers = {key: read_served(draft, key) for key, each in editor.meta_graph.signatures.items() if each.bare}
        feeds = {
            key: {each.name: component(each, random) for each in wrapper.inputs} for key, wrapper in wrappers.items()
        }
        cases = [case for key in wrappers for case in cases_of(editor, key, wrappers[key], feeds[key])]
        editor.save(tmp_path / "made")
    assert verify(tmp_path / "made") == ()
    served.resave(tmp_path / "made", tmp_path / "again")

    original = served.loaded(folder)
    expected = []  # some calls change variables: the two models are called alike, from the start
    for case in cases:
        given = {keyword_of(each): value for each, value in feeds[case.was].items()}
        results = original.signatures[case.was](**given)
        expected.append({new: arrays(results[old]) for old, new in case.outputs.items()})
    for made in (tmp_path / "made", tmp_path / "again"):
        model = served.loaded(made)
        for case, wanted in zip(cases, expected, strict=True):
            given = {keyword_of(case.inputs[old]): feeds[case.was][old] for old in case.inputs}
            results = model.signatures[case.key](**given)
            assert served.same({each: arrays(value) for each, value in results.items()}, wanted), (made, case)

    before, after = served.Session(folder), served.Session(tmp_path / "made")
    for case in cases:
        whole = before.run(case.was, {each: value.numpy() for each, value in feeds[case.was].items()})
        got = after.run(case.key, {new: feeds[case.was][old].numpy() for old, new in case.inputs.items()})
        assert served.same(got, {new: whole[old] for old, new in case.outputs.items()}), case


SPARSE_SHAPE, ROW_SPLITS = [3, 3], [0, 2]
"""Components of composite inputs that fit each other, where random numbers would not."""


def cases_of(editor: Editor, key: str, wrapper: Wrapper, feeds: dict[str, Any]) -> list[Case]:
    """Add to the editor what is to be tried of one signature; its own key is renamed at last."""
    names = sorted(feeds)
    keys = sorted(output.key for output in wrapper.outputs)
    stay_in, stay_out = {each: each for each in names}, {each: each for each in keys}
    turned_in, turned_out = turned(names), turned(keys)
    source = f"signatures.{key}"
    cases = [Case(f"{key} anew", key, turned_in, turned_out)]
    editor.add_signature(f"{key} anew", source, rename=turned_in, rename_outputs=turned_out)
    for each in names[:2]:
        cases.append(Case(f"{key} bound {each}", key, without(stay_in, each), stay_out))
        editor.add_signature(f"{key} bound {each}", source, bind={each: feeds[each].numpy()})
    cases.append(Case(f"{key} one output", key, stay_in, {keys[-1]: keys[-1]}))
    editor.add_signature(f"{key} one output", source, outputs=keys[-1:])
    cases.append(Case(f"{key} wide", key, stay_in, stay_out))
    shapes = {each.name: None if each.shape is None else (None,) * len(each.shape) for each in wrapper.inputs}
    editor.add_signature(f"{key} wide", source, widen=shapes)
    unused = unused_arguments(editor.meta_graph, wrapper.callee)
    dropped = {each.name for at, each in enumerate(wrapper.arguments) if at in unused and isinstance(each, Input)}
    if dropped:
        cases.append(Case(f"{key} dropped", key, without(stay_in, *dropped), stay_out))
        editor.add_signature(f"{key} dropped", source, drop=dropped)
    # An alias shares its wrapper; the step that edits it must leave the other key's alone.
    editor.alias_signature(key, f"{key} alias").rename_inputs(f"{key} alias", turned_in)
    cases.append(Case(f"{key} alias", key, turned_in, stay_out))
    editor.rename_outputs(key, turned_out).rename_inputs(key, turned_in).rename_signature(key, f"{key} last")
    cases.append(Case(f"{key} last", key, turned_in, turned_out))
    return cases


def turned(names: list[str]) -> dict[str, str]:
    """New names in the opposite order."""
    return {each: f"{chr(ord('z') - at)}{at}" for at, each in enumerate(names)}


def without(names: dict[str, str], *gone: str) -> dict[str, str]:
    return {old: new for old, new in names.items() if old not in gone}


def test_swapped_names_swap_what_is_fed(corpus: Path, tmp_path: Path) -> None:
    """The trap of renaming in place: both inputs have one dtype and shape, and no loader would say a word."""
    pytest.importorskip("tensorflow")
    import signatures_in_tensorflow as served

    with edit(corpus / "savedmodel" / "multi_sigs" / "model") as editor:
        editor.add_signature("pair", "signatures.train").save(tmp_path / "plain")
    feeds = {"x": np.ones((2, 3), np.float32), "y": np.zeros((2, 2), np.float32)}
    expected = served.in_tf2(tmp_path / "plain", [("pair", feeds)])
    with edit(tmp_path / "plain") as editor:
        editor.rename_inputs("pair", {"x": "y", "y": "x"}).save(tmp_path / "swapped")
    swapped = {"y": feeds["x"], "x": feeds["y"]}
    assert served.same(served.in_tf2(tmp_path / "swapped", [("pair", swapped)]), expected)
    assert served.same(
        served.in_tf1(tmp_path / "swapped", [("pair", swapped)]), served.in_tf1(tmp_path / "plain", [("pair", feeds)])
    )


def test_a_widened_input_takes_other_sizes(tmp_path: Path) -> None:
    """A trace for one row computes for four what TensorFlow computes for them, and says so of its outputs."""
    tf = pytest.importorskip("tensorflow")
    import signatures_in_tensorflow as served

    class Model(tf.Module):  # type: ignore[misc,name-defined,unused-ignore]  # TensorFlow has no types
        def __init__(self) -> None:
            self.w = tf.Variable([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])

        @tf.function
        def score(self, x: Any, shift: Any) -> Any:
            y = tf.nn.softmax(tf.matmul(x, self.w) + 1.0)
            return {"y": y, "rows": tf.reduce_sum(x, axis=1), "shift": shift * 2.0, "twice": tf.concat([x, x], 0)}

        @tf.function
        def fixed(self, x: Any) -> Any:
            return tf.reshape(tf.nn.relu(x), [2])

        @tf.function
        def folded(self, x: Any) -> Any:
            return x * tf.constant([1.0, 2.0])

    model = Model()
    model.score.get_concrete_function(tf.TensorSpec([1, 2]), tf.TensorSpec([]))
    model.fixed.get_concrete_function(tf.TensorSpec([1, 2]))
    model.folded.get_concrete_function(tf.TensorSpec([2]))
    tf.saved_model.save(model, str(tmp_path / "model"), signatures={})
    with edit(tmp_path / "model") as editor:
        editor.add_signature("wide", "score", widen={"x": (None, 2)}).save(tmp_path / "wide")
    rows = np.random.RandomState(0).standard_normal((4, 2)).astype(np.float32)
    feeds = {"x": rows, "shift": np.float32(3)}
    results = Model.score.python_function(model, tf.constant(rows), tf.constant(3.0))
    expected = {key: value.numpy() for key, value in results.items()}
    (two,) = served.in_tf2(tmp_path / "wide", [("wide", feeds)])
    (one,) = served.in_tf1(tmp_path / "wide", [("wide", feeds)])
    assert served.same({key: value[0] for key, value in two.items()}, expected)
    assert served.same(one, expected)
    outputs = served.loaded(tmp_path / "wide").signatures["wide"].structured_outputs
    assert {key: spec.shape.as_list() for key, spec in outputs.items()} == {
        "y": [None, None],
        "rows": [None],
        "shift": [],
        "twice": [None, None],
    }
    for source, shape, reason in (
        ("fixed", (None, 2), "'Reshape' reshapes it to [2]"),
        ("folded", (None,), "'mul' combines it with the constant"),
        ("score", (None, None, None), "another size or rank needs another trace"),
        ("score", (3, 2), "another size or rank needs another trace"),
    ):
        with edit(tmp_path / "model") as editor, pytest.raises(ArtifactError) as caught:
            editor.add_signature("wide", source, widen={"x": shape}).plan()
        assert reason in str(caught.value)


def test_defaults_of_inputs_stay(tmp_path: Path) -> None:
    """An input that TF1 need not feed keeps its default under its new name, in a signature that is otherwise edited."""
    tf = pytest.importorskip("tensorflow")
    import signatures_in_tensorflow as served

    model = tf.Module()
    seven = tf.constant(7.0)
    specs = [tf.TensorSpec([], name="x"), tf.TensorSpec([], name="k")]
    model.f = tf.function(lambda x, k=seven: {"sum": x + k, "product": x * k}, input_signature=specs)
    tf.saved_model.save(model, str(tmp_path / "model"), signatures={"f": model.f})
    with edit(tmp_path / "model") as editor:
        had_defaults = dict(editor.meta_graph.signature_def["f"].defaults)
        editor.rename_inputs("f", {"k": "a"}).subset_outputs("f", "sum").save(tmp_path / "made")
    assert set(had_defaults) == {"k"}
    session = served.Session(tmp_path / "made")
    assert session.run("f", {"x": np.float32(1)}) == {"sum": 8.0}
    assert session.run("f", {"x": np.float32(1), "a": np.float32(2)}) == {"sum": 3.0}
    assert verify(tmp_path / "made") == ()
