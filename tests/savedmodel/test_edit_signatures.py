"""Alias, rename and remove a signature, drop a trace: TensorFlow computes the same with all that stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trimtab.errors import ArtifactError
from trimtab.savedmodel import load
from trimtab.savedmodel.editing import edit
from trimtab.savedmodel.editing.plan import Step
from trimtab.savedmodel.editing.signature_steps import AliasSignature, RemoveSignature, RenameSignature
from trimtab.savedmodel.editing.trace_steps import DropTrace
from trimtab.savedmodel.messages import classes
from trimtab.savedmodel.model import INIT_OPS, SavedModel

SERVED = ["captures", "composites", "example", "keras3_export", "kwonly_defaults", "multi_sigs", "nested", "pbtxt"]
SERVED += ["shapes", "strings", "tf1_style", "training_flag"]
TRACED = ["example", "composites", "kwonly_defaults", "no_signatures", "polymorphic", "shapes", "training_flag"]


@pytest.fixture(scope="session")
def tensorflow() -> Any:
    """TensorFlow, as what it computes with signatures."""
    pytest.importorskip("tensorflow")
    import signatures_in_tensorflow

    return signatures_in_tensorflow


def model_of(corpus: Path, name: str) -> Path:
    return corpus / "savedmodel" / name


def edited(source: Path, target: Path, *steps: Step) -> Path:
    with edit(source) as editor:
        editor.add(*steps).save(target)
    return target


def parsed(folder: Path) -> Any:
    """The proto, by protobuf."""
    with load(folder) as model:
        return classes()["SavedModel"].FromString(model.source.read(0, model.source.size))


def calls_by_path(folder: Path) -> list[Any]:
    """What was recorded of calls of functions with eager arguments."""
    answers = json.loads((folder / "oracle.json").read_text())["calls"]
    return [each for each in answers if "path" in each["call"] and '"symbolic"' not in json.dumps(each["call"])]


def keys_of(model: SavedModel) -> list[str]:
    return list(model.meta_graph.signatures)


# With TensorFlow


@pytest.mark.parametrize("name", SERVED)
def test_other_keys_compute_the_same(corpus: Path, tmp_path: Path, tensorflow: Any, name: str) -> None:
    """TF2, TF1 and what TensorFlow saves again agree with the unedited model, under the old keys and the new."""
    folder = model_of(corpus, name)
    feeds = tensorflow.signature_feeds(folder)
    assert feeds
    first, *others = feeds
    renamed = others[0] if others else first
    steps = [AliasSignature(first, "an alias/1"), RenameSignature(renamed, "renamed")]
    made = edited(folder / "model", tmp_path / "made", *steps)
    pairs = [(first, "an alias/1"), (renamed, "renamed"), *((key, key) for key in feeds if key != renamed)]
    old = [(key, given) for key, _ in pairs for given in feeds[key]]
    new = [(key, given) for old_key, key in pairs for given in feeds[old_key]]
    assert any(isinstance(each, dict) for each in tensorflow.in_tf2(made, new))
    compare(tensorflow, folder / "model", old, made, new)
    assert set(tensorflow.in_tf2(made, [(renamed, feeds[renamed][0])])) == {"KeyError"}
    if name != "tf1_style":  # TensorFlow itself cannot save it again
        again = tensorflow.resave(made, tmp_path / "again")
        assert tensorflow.same(tensorflow.in_tf2(again, new), tensorflow.in_tf2(folder / "model", old))


@pytest.mark.parametrize("name", SERVED)
def test_what_stays_computes_the_same_when_a_signature_goes(
    corpus: Path, tmp_path: Path, tensorflow: Any, name: str
) -> None:
    folder = model_of(corpus, name)
    feeds = tensorflow.signature_feeds(folder)
    with load(folder / "model") as model:
        keys = keys_of(model)
    for number, removed in enumerate(keys[:2]):
        made = edited(folder / "model", tmp_path / f"made{number}", RemoveSignature(removed))
        assert set(tensorflow.loaded(made).signatures) == set(keys) - {removed}
        calls = [(key, given) for key in feeds if key != removed for given in feeds[key][:2]]
        compare(tensorflow, folder / "model", calls, made, calls)
        if name != "tf1_style" and number == 0:
            again = tensorflow.resave(made, tmp_path / "again")
            assert tensorflow.same(tensorflow.in_tf2(again, calls), tensorflow.in_tf2(folder / "model", calls))


def compare(tensorflow: Any, one: Path, calls: list[Any], other: Path, other_calls: list[Any]) -> None:
    """Two models give the same for calls, in TF2 and in TF1."""
    for run in (tensorflow.in_tf2, tensorflow.in_tf1):
        assert tensorflow.same(run(other, other_calls), run(one, calls))


@pytest.mark.parametrize("name", ["captures", "example", "multi_sigs", "nested"])
def test_without_signatures_the_functions_still_work(corpus: Path, tmp_path: Path, tensorflow: Any, name: str) -> None:
    folder = model_of(corpus, name)
    with load(folder / "model") as model:
        steps = [RemoveSignature(key) for key in keys_of(model)]
    made = edited(folder / "model", tmp_path / "made", *steps)
    assert not tensorflow.loaded(made).signatures
    answers = calls_by_path(folder)[:6]
    expected = tensorflow.path_results(folder / "model", answers)
    assert tensorflow.same(tensorflow.path_results(made, answers), expected)


@pytest.mark.parametrize("name", TRACED)
def test_calls_of_other_traces_are_as_before_when_a_trace_goes(
    corpus: Path, tmp_path: Path, tensorflow: Any, name: str
) -> None:
    """A call whose trace stays gives what it gave; what is left loads, serves and is saved again."""
    folder = model_of(corpus, name)
    answers = calls_by_path(folder)
    with load(folder / "model") as model:
        functions = {path: list(each.saved.concrete_functions) for path, each in model.functions.items()}
    path, traces = max(functions.items(), key=lambda item: len(item[1]))
    for dropped in {0, len(traces) - 1}:
        made = edited(folder / "model", tmp_path / f"made{dropped}", DropTrace(path, dropped))
        kept = [
            each for each in answers if each["chosen"] and each["chosen"] != traces[dropped] and "error" not in each
        ]
        kept = [each for each in kept if each["call"]["path"] == path][:6]
        expected = tensorflow.path_results(folder / "model", kept)
        assert tensorflow.same(tensorflow.path_results(made, kept), expected)
        feeds = tensorflow.signature_feeds(folder)
        calls = [(key, given) for key in feeds for given in feeds[key][:2]]
        compare(tensorflow, folder / "model", calls, made, calls)
        tensorflow.loaded(tensorflow.resave(made, tmp_path / f"again{dropped}"))


# Without TensorFlow


@pytest.mark.parametrize("name", SERVED)
def test_an_alias_is_the_same_signature_in_every_place(corpus: Path, tmp_path: Path, name: str) -> None:
    folder = model_of(corpus, name) / "model"
    with load(folder) as before:
        key = keys_of(before)[0]
        made = edited(folder, tmp_path / "made", AliasSignature(key, "other"))
        with load(made) as after:
            signatures = after.meta_graph.signatures
            assert signatures["other"].signature_def == signatures[key].signature_def
            assert signatures["other"].node_id == signatures[key].node_id
            assert list(after.meta_graph.library) == list(before.meta_graph.library)
            assert list(after.meta_graph.graph_def.node) == list(before.meta_graph.graph_def.node)


@pytest.mark.parametrize("name", SERVED)
def test_renaming_there_and_back_gives_the_old_proto(corpus: Path, tmp_path: Path, name: str) -> None:
    folder = model_of(corpus, name) / "model"
    with load(folder) as model:
        key = keys_of(model)[0]
    made = edited(folder, tmp_path / "there", RenameSignature(key, "another"))
    back = edited(made, tmp_path / "back", RenameSignature("another", key))
    assert parsed(back) == parsed(folder)
    with edit(folder) as editor:
        steps = RenameSignature(key, "another"), RenameSignature("another", key)
        assert editor.add(*steps).plan().changes == ()


@pytest.mark.parametrize("name", ["captures", "composites", "example", "multi_sigs", "nested", "pbtxt", "strings"])
def test_removing_a_signature_leaves_nothing_of_it(corpus: Path, tmp_path: Path, name: str) -> None:
    folder = model_of(corpus, name) / "model"
    with load(folder) as before:
        for number, key in enumerate(keys_of(before)):
            served = before.meta_graph.signatures[key]
            definition = served.signature_def
            assert served.wrapper
            assert definition
            made = edited(folder, tmp_path / str(number), RemoveSignature(key))
            with load(made) as after:
                graph = after.meta_graph
                assert key not in graph.signatures
                assert served.wrapper.name not in graph.library
                assert graph.object_graph_def
                assert before.meta_graph.object_graph_def
                assert served.wrapper.name not in graph.object_graph_def.concrete_functions
                assert served.callee in graph.library or served.callee not in (
                    trace.name for function in before.functions.values() for trace in function.traces
                )
                kinds = list(before.meta_graph.object_graph_def.kinds)
                assert served.node_id is not None
                kinds[served.node_id] = "user_object"
                assert list(graph.object_graph_def.kinds) == kinds
                gone = {name for name in before.meta_graph.graph_def.node if name not in graph.graph_def.node}
                inputs = {str(info.name).partition(":")[0] for info in definition.inputs.values() if info.name}
                assert inputs <= gone
                assert served.wrapper.name.encode() not in after.source.read(0, after.source.size)
                assert dangling(graph) == dangling(before.meta_graph)


def dangling(graph: Any) -> list[str]:
    """References that lead nowhere: callees, node inputs, bare functions, tensors of signatures."""
    nodes, library = graph.graph_def.node, graph.library
    lost = [f"{name}: {callee}" for name in library for callee in library[name].callees if callee not in library]
    lost += [f"{each.name}: {callee}" for each in nodes.values() for callee in each.callees if callee not in library]
    for each in nodes.values():
        lost += [f"{each.name}: {name}" for name in each.input if name.lstrip("^").partition(":")[0] not in nodes]
    for key, definition in graph.signature_def.items():
        infos = (*definition.inputs.values(), *definition.outputs.values())
        lost += [f"{key}: {info.name}" for info in infos if info.name and info.name.partition(":")[0] not in nodes]
    objects = graph.object_graph_def
    for name in objects.concrete_functions:
        lost += [] if name in library else [name]
    for node in objects.nodes:
        names = [node.bare_concrete_function.concrete_function_name] if node.bare_concrete_function else []
        names += node.function.concrete_functions if node.function else []
        lost += [name for name in names if name not in objects.concrete_functions]
    return lost


@pytest.mark.parametrize("name", TRACED)
def test_dropping_traces_leaves_nothing_dangling(corpus: Path, tmp_path: Path, name: str) -> None:
    """Every trace of every function that has another, one after the other, from the first."""
    folder = model_of(corpus, name) / "model"
    with load(folder) as before:
        functions = {path: len(each.traces) for path, each in before.functions.items() if len(each.traces) > 1}
        steps = [DropTrace(path, 0) for path, count in functions.items() for _ in range(count - 1)]
        made = edited(folder, tmp_path / "made", *steps)
        with load(made) as after:
            assert dangling(after.meta_graph) == dangling(before.meta_graph)
            for path in functions:
                kept = [trace.name for trace in after.function(path).traces]
                assert kept == [before.function(path).traces[-1].name]
                objects = after.meta_graph.object_graph_def
                assert objects
                children = objects.children[after.function(path).node_id]
                assert set(children) <= {"trace_0"}
            assert len(after.meta_graph.library) < len(before.meta_graph.library)


def test_a_trace_that_something_else_uses_stays(corpus: Path, tmp_path: Path) -> None:
    """An attribute of the model that is the trace itself keeps it alive, though the function loses it."""
    folder = model_of(corpus, "no_signatures") / "model"
    data = parsed(folder)
    objects = data.meta_graphs[0].object_graph_def
    bare = next(edge.node_id for edge in objects.nodes[2].children if edge.local_name == "trace_0")
    objects.nodes[0].children.add(node_id=bare, local_name="kept")
    name = objects.nodes[2].function.concrete_functions[0]
    source = tmp_path / "source"
    source.mkdir()
    (source / "saved_model.pb").write_bytes(data.SerializeToString(deterministic=True))
    made = edited(source, tmp_path / "made", DropTrace("a", 0))
    with load(made) as after:
        graph = after.meta_graph
        assert name in graph.library
        assert graph.object_graph_def
        assert name in graph.object_graph_def.concrete_functions
        assert [trace.name for trace in after.function("a").traces] == list(
            objects.nodes[2].function.concrete_functions
        )[1:]


def test_a_path_may_begin_with_the_model(corpus: Path, tmp_path: Path) -> None:
    folder = model_of(corpus, "example") / "model"
    one = edited(folder, tmp_path / "one", DropTrace("model.polymorphic_fn", 1))
    other = edited(folder, tmp_path / "other", DropTrace("polymorphic_fn", 1))
    assert parsed(one) == parsed(other)


def test_an_alias_outlives_its_signature(corpus: Path, tmp_path: Path) -> None:
    folder = model_of(corpus, "multi_sigs") / "model"
    made = edited(folder, tmp_path / "one", AliasSignature("embed", "other"), RemoveSignature("embed"))
    renamed = edited(folder, tmp_path / "two", RenameSignature("embed", "other"))
    protos = [parsed(each) for each in (made, renamed)]
    for proto in protos:
        proto.meta_graphs[0].object_graph_def.nodes[6].children.sort(key=lambda child: child.local_name)
    assert protos[0] == protos[1]


def test_only_changed_parts_change(corpus: Path, tmp_path: Path) -> None:
    folder = model_of(corpus, "multi_sigs") / "model"
    made = edited(folder, tmp_path / "made", RemoveSignature("train"))
    before, after = parsed(folder).meta_graphs[0], parsed(made).meta_graphs[0]
    for each in (before, after):
        each.graph_def.Clear()
        each.object_graph_def.Clear()
    del before.signature_def["train"]
    assert before == after


ERRORS: list[tuple[str, Step, str]] = [
    ("multi_sigs", AliasSignature("embde", "x"), "'embed'"),
    ("multi_sigs", AliasSignature("embed", "train"), "'train'"),
    ("multi_sigs", AliasSignature("embed", "embed"), "'embed'"),
    ("multi_sigs", AliasSignature("embed", ""), "key"),
    ("multi_sigs", RenameSignature("embed", "__saved_model_init_op"), "__saved_model_init_op"),
    ("multi_sigs", RemoveSignature("__saved_model_init_op"), "no signature"),
    ("multi_sigs", RemoveSignature("nothing"), "'serving_default'"),
    ("polymorphic", RemoveSignature("serving_default"), "a model with signatures"),
    ("tf1_style", RenameSignature("classify", "regress"), "'regress'"),
    ("example", DropTrace("capture_fn", 0), "only trace"),
    ("example", DropTrace("polymorphic_fn", 2), "0: __inference_polymorphic_fn_71, 1: __inference_polymorphic_fn_77"),
    ("example", DropTrace("polymorphic_fn", -1), "no such trace"),
    ("example", DropTrace("polymorphic", 0), "'polymorphic_fn'"),
    ("no_signatures", DropTrace("untraced", 0), "none"),
    ("tf1_style", DropTrace("f", 0), "functions"),
]


@pytest.mark.parametrize(("name", "step", "message"), ERRORS, ids=[step.describe() for _, step, _ in ERRORS])
def test_a_wrong_request_is_told_what_there_is(
    corpus: Path, tmp_path: Path, name: str, step: Step, message: str
) -> None:
    with edit(model_of(corpus, name) / "model") as editor:
        with pytest.raises(ArtifactError) as refused:
            editor.add(step).save(tmp_path / "made")
        assert message in str(refused.value)
        assert step.describe() in str(refused.value)
    assert not (tmp_path / "made").exists()


def test_the_init_op_is_no_signature(corpus: Path) -> None:
    with load(model_of(corpus, "captures") / "model") as model:
        assert INIT_OPS & set(model.meta_graph.signature_def)
        assert not INIT_OPS & set(keys_of(model))
