"""The tour: the story that the post tells, every model of the corpus, and what a tour says of damaged ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab import savedmodel
from trimtab.errors import TrimtabError
from trimtab.savedmodel.messages import classes, serialize
from trimtab.savedmodel.touring import Tour, tour
from trimtab.savedmodel.touring.agreement import plain
from trimtab.savedmodel.touring.chain import MAX_CALLEES
from trimtab.savedmodel.touring.outline import MAX_LINE, Branch
from trimtab.savedmodel.touring.telling import MANY_FUNCTIONS, MANY_SIGNATURES, MAX_NAMED
from trimtab.source.bytes import MemorySource

WRAPPER, CALLEE = "__inference_signature_wrapper_capture_fn_65", "__inference_capture_fn_57"
GRAPH = "meta_graphs[0]"
OBJECTS = f"{GRAPH}.object_graph_def"

STORY = [
    ("SignatureDef", f'{GRAPH}.signature_def["capture_fn"]', "method tensorflow/serving/predict"),
    ("signatures map", f"{OBJECTS}.nodes[4].children", "node 8"),
    ("SavedBareConcreteFunction", f"{OBJECTS}.nodes[8].bare_concrete_function", WRAPPER),
    ("SavedConcreteFunction", f'{OBJECTS}.concrete_functions["{WRAPPER}"]', "captures"),
    ("FunctionDef", f"{GRAPH}.graph_def.library.function[0]", WRAPPER),
    ("FunctionDef", f"{GRAPH}.graph_def.library.function[2]", CALLEE),
    ("SavedFunction", f"{OBJECTS}.nodes[2].function", "capture_fn(x), trace 1 of 1 in trial order"),
    ("capture", f"{OBJECTS}.nodes[1].variable", 'weight: variable float32 [] "weight"'),
]
"""The chain that the post walks: place, where it lies, and what it says."""


def open_model(corpus: Path, name: str) -> savedmodel.SavedModel:
    return savedmodel.load(corpus / "savedmodel" / name / "model")


def models(corpus: Path) -> Iterator[savedmodel.SavedModel]:
    for folder in sorted((corpus / "savedmodel").iterdir()):
        with savedmodel.load(folder / "model") as model:
            yield model


def changed(corpus: Path, name: str, change: Callable[[Any], object]) -> savedmodel.SavedModel:
    """A model of the corpus with one thing in its proto changed."""
    with open_model(corpus, name) as model:
        proto = classes()["SavedModel"].FromString(model.source.read(0, model.source.size))
    change(proto.meta_graphs[0])
    return savedmodel.SavedModel(MemorySource(serialize(proto), "changed.pb"))


def lines(branch: Branch) -> Iterator[Branch]:
    yield branch
    for child in branch.below:
        yield from lines(child)


def test_the_example_tells_the_story_of_the_post(corpus: Path) -> None:
    told = open_model(corpus, "example").tour().meta_graphs[0]
    (signature,) = told.signatures
    assert [(step.place, step.where) for step in signature.steps] == [(place, where) for place, where, _ in STORY]
    assert all(said in step.title for step, (_, _, said) in zip(signature.steps, STORY, strict=True))
    assert signature.served_by == ("TF2", "TF1 and C++")
    assert signature.agrees
    capture_fn, polymorphic_fn = told.functions
    assert [trace.name for trace in capture_fn.traces] == [CALLEE]
    assert [[str(value.type) for value in trace.arguments] for trace in polymorphic_fn.traces] == [
        ["float32 []"],
        ["float32 [3]"],
    ]
    assert [held.path for held in capture_fn.traces[0].captures] == ["weight"]
    assert not any(trace.captures for trace in polymorphic_fn.traces)


def test_every_place_that_a_tour_names_is_there(corpus: Path) -> None:
    for model in models(corpus):
        proto = classes()["SavedModel"].FromString(model.source.read(0, model.source.size))
        for branch in lines(model.tour().outline()):
            if branch.where:
                assert resolve(proto, branch.where) is not None, branch.where


def resolve(proto: Any, where: str) -> Any:
    """What lies at a path in the proto."""
    at, rest = proto, where
    while rest:
        if rest.startswith('["'):
            key, rest = (
                json.JSONDecoder().raw_decode(rest[1:])[0],
                rest[1 + json.JSONDecoder().raw_decode(rest[1:])[1] + 1 :],
            )
            assert key in at
            at = at[key]
        elif rest.startswith("["):
            number, _, rest = rest[1:].partition("]")
            at = at[int(number)]
        else:
            name = rest.lstrip(".")
            end = min((name.find(each) for each in ".[" if each in name), default=len(name))
            at, rest = getattr(at, name[:end]), name[end:]
    return at


def test_functions_have_the_traces_of_tensorflow_in_its_order(corpus: Path) -> None:
    for folder in sorted((corpus / "savedmodel").iterdir()):
        oracle = json.loads((folder / "oracle.json").read_text())
        with savedmodel.load(folder / "model") as model:
            told = {each.path: each for each in model.tour().meta_graphs[0].functions}
        for path, theirs in (oracle.get("functions") or {}).items():
            ours = told[path.removeprefix("root.")]
            assert [trace.name for trace in ours.traces] == [trace["name"] for trace in theirs["concrete"]]
            assert [[held.node_id for held in trace.captures] for trace in ours.traces] == [
                trace["captures"] for trace in theirs["concrete"]
            ]
            assert ours.jit_compile == theirs["jit_compile"]
            assert (ours.input_signature is None) == (theirs["input_signature"] is None)


def test_what_tensorflow_wrote_agrees_with_itself(corpus: Path) -> None:
    for model in models(corpus):
        for graph in model.tour().meta_graphs:
            assert not [(each.key, each.declared) for each in graph.signatures if not each.agrees]
            assert not [step for each in graph.signatures for step in each.steps if step.place == "damage"]
            assert not [each.problem for each in graph.functions if each.problem]


def wrong_dtype(graph: Any) -> None:
    graph.signature_def["capture_fn"].inputs["x"].dtype = 3


def wrong_shape(graph: Any) -> None:
    graph.object_graph_def.concrete_functions[WRAPPER].canonicalized_input_signature.tuple_value.values[
        1
    ].dict_value.fields["x"].tensor_spec_value.shape.dim.add(size=7)


def wrong_keyword(graph: Any) -> None:
    graph.object_graph_def.nodes[8].bare_concrete_function.argument_keywords[0] = "y"


def wrong_argument(graph: Any) -> None:
    function = next(each for each in graph.graph_def.library.function if each.signature.name == WRAPPER)
    function.signature.input_arg[0].type = 2


def extra_input(graph: Any) -> None:
    graph.signature_def["capture_fn"].inputs["z"].CopyFrom(graph.signature_def["capture_fn"].inputs["x"])


def wrong_output(graph: Any) -> None:
    graph.signature_def["capture_fn"].outputs["output_0"].dtype = 9


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (wrong_dtype, "dtype: SignatureDef int32, NodeDef float32"),
        (wrong_shape, "SavedConcreteFunction [7]"),
        (wrong_keyword, "SavedBareConcreteFunction does not declare it"),
        (wrong_argument, "FunctionDef float64"),
        (extra_input, "SavedConcreteFunction does not declare it"),
        (wrong_output, "dtype: SignatureDef int64"),
    ],
)
def test_copies_that_disagree_are_told(corpus: Path, change: Callable[[Any], None], difference: str) -> None:
    told = changed(corpus, "example", change).tour()
    (signature,) = told.meta_graphs[0].signatures
    assert not signature.agrees
    assert any(difference in each for value in signature.declared for each in value.differences)
    assert difference in str(told)


def test_swapped_feeds_are_told_by_their_positions(corpus: Path) -> None:
    """TF1 follows the graph and TF2 the sorted keywords: same types, and still another argument."""

    def swap(graph: Any) -> None:
        inputs = graph.signature_def["train"].inputs
        one, other = sorted(inputs)[:2]
        inputs[one].name, inputs[other].name = inputs[other].name, inputs[one].name

    differences = [
        each
        for signature in changed(corpus, "multi_sigs", swap).tour(signature="train").meta_graphs[0].signatures
        for value in signature.declared
        for each in value.differences
    ]
    assert any(each.startswith("argument: NodeDef") for each in differences)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda graph: graph.object_graph_def.concrete_functions.pop(WRAPPER), "missing: TF2 cannot load the model"),
        (lambda graph: graph.object_graph_def.nodes[8].ClearField("kind"), "not a SavedBareConcreteFunction"),
        (lambda graph: graph.graph_def.library.ClearField("function"), "not in the library"),
        (lambda graph: graph.object_graph_def.nodes[4].children.pop(), "served by TF1 and C++"),
        (lambda graph: graph.signature_def.pop("capture_fn"), "served by TF2\n"),
        (
            lambda graph: graph.object_graph_def.nodes[3].function.ClearField("concrete_functions"),
            "0 traces: never called",
        ),
    ],
)
def test_what_is_missing_is_told_and_not_raised(corpus: Path, change: Callable[[Any], object], told: str) -> None:
    assert told in str(changed(corpus, "example", change).tour())


def test_damage_in_one_place_does_not_end_the_chain(corpus: Path) -> None:
    def unstructured(graph: Any) -> None:
        graph.object_graph_def.concrete_functions[WRAPPER].ClearField("canonicalized_input_signature")

    (signature,) = changed(corpus, "example", unstructured).tour().meta_graphs[0].signatures
    places = [step.place for step in signature.steps]
    assert places[3] == "damage"
    assert places[4:] == ["FunctionDef", "FunctionDef", "SavedFunction", "capture"]
    assert "changed.pb" not in signature.steps[3].where + signature.steps[3].title


def test_calls_that_never_end_are_cut_and_counted() -> None:
    proto = classes()["SavedModel"](saved_model_schema_version=1)
    graph = proto.meta_graphs.add()
    for number in range(1000):
        function = graph.graph_def.library.function.add()
        function.signature.name = f"f_{number}"
        for ahead in (1, 2, -number):
            call = function.node_def.add(name=f"call{ahead}", op="PartitionedCall")
            call.attr["f"].func.name = f"f_{number + ahead}"
    nodes = graph.object_graph_def.nodes
    nodes.add().children.add(node_id=1, local_name="signatures")
    nodes.add().children.add(node_id=2, local_name="key")
    nodes.add().bare_concrete_function.concrete_function_name = "f_0"
    model = savedmodel.SavedModel(MemorySource(serialize(proto), "calls.pb"))
    (signature,) = model.tour().meta_graphs[0].signatures
    followed = [step for step in signature.steps if step.place == "FunctionDef"]
    assert len(followed) == MAX_CALLEES
    assert "more functions below are not followed" in followed[-1].title


def test_captures_of_every_kind_are_told_with_their_object_paths(corpus: Path) -> None:
    graph = open_model(corpus, "captures").tour().meta_graphs[0]
    held = {(each.kind, each.path, each.type) for signature in graph.signatures for each in signature.captures}
    assert {kind for kind, _, _ in held} >= {"variable", "constant", "resource"}
    assert all(path and type_ for _, path, type_ in held)


def test_a_tf1_graph_is_told_by_what_is_fed_and_fetched(corpus: Path) -> None:
    graph = open_model(corpus, "tf1_style").tour().meta_graphs[0]
    assert not graph.tf2
    assert {each.name for each in graph.collections} >= {"variables", "saved_model_main_op"}
    assert all({step.place for step in each.steps} == {"SignatureDef", "NodeDef"} for each in graph.signatures)
    assert {each.served_by for each in graph.signatures} == {("TF1 and C++",)}


@pytest.mark.parametrize(("name", "made_by"), [("keras3_export", "Keras 3, model.export"), ("example", "")])
def test_keras_is_recognized(corpus: Path, name: str, made_by: str) -> None:
    assert open_model(corpus, name).tour().meta_graphs[0].made_by == made_by


def test_many_entry_points_are_named_and_the_rest_counted() -> None:
    proto = classes()["SavedModel"](saved_model_schema_version=1)
    graph = proto.meta_graphs.add()
    root = graph.object_graph_def.nodes.add()
    root.user_object.identifier = "_generic_user_object"
    for number in range(2 * MAX_NAMED):
        graph.signature_def[f"signature_{number:03}"].method_name = "predict"
        root.children.add(node_id=number + 1, local_name=f"function_{number}")
        graph.object_graph_def.nodes.add().function.concrete_functions.append("missing")
    model = savedmodel.SavedModel(MemorySource(serialize(proto), "many.pb"))
    assert MANY_SIGNATURES < MAX_NAMED > MANY_FUNCTIONS
    short, whole = tour(model, everything=False), tour(model)
    assert short.meta_graphs[0].left_out == {"signatures": MAX_NAMED, "functions": MAX_NAMED}
    assert f"and {MAX_NAMED} more signatures: --all names every one" in str(short)
    assert not any(each.told for each in short.meta_graphs[0].signatures)
    assert len(whole.meta_graphs[0].signatures) == len(whole.meta_graphs[0].functions) == 2 * MAX_NAMED
    assert "more signatures" not in str(whole)


@given(st.text(min_size=1))
def test_names_of_any_kind_are_printed_and_escaped(name: str) -> None:
    proto = classes()["SavedModel"]()
    graph = proto.meta_graphs.add()
    try:
        graph.meta_info_def.tags.append(name)
        graph.signature_def[name].inputs[name].name = name
    except UnicodeEncodeError:  # a lone surrogate is no text in protobuf either
        return
    graph.object_graph_def.nodes.add().children.add(node_id=1, local_name=name)
    graph.object_graph_def.nodes.add().function.concrete_functions.append(name)
    told = savedmodel.SavedModel(MemorySource(serialize(proto), "names.pb")).tour()
    assert all(line.isprintable() and len(line) < 3 * MAX_LINE for line in str(told).split("\n"))
    assert all(branch.text.isprintable() for branch in lines(told.outline()))
    assert "<script" not in told._repr_html_()


@given(st.data())
def test_a_damaged_proto_is_told_or_refused_in_our_own_words(corpus: Path, data: st.DataObject) -> None:
    content = bytearray((corpus / "savedmodel" / "example" / "model" / "saved_model.pb").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        told = savedmodel.SavedModel(MemorySource(bytes(content), "damaged.pb")).tour()
        assert str(told)
        assert told.as_dict()
    except TrimtabError:
        pass


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"dtype": 3, "int_val": [3]}, "tensor(3, int32)"),
        ({"dtype": 7, "string_val": [b"a"]}, "tensor(b'a', string)"),
        ({"dtype": 1, "tensor_shape": {"dim": [{"size": 1000}]}, "float_val": [0.0]}, "tensor([1000], float32)"),
    ],
)
def test_defaults_are_told_by_their_values_where_those_are_short(
    corpus: Path, value: dict[str, Any], words: str
) -> None:
    def default(graph: Any) -> None:
        graph.signature_def["capture_fn"].defaults["x"].CopyFrom(classes()["TensorProto"](**value))

    (signature,) = changed(corpus, "example", default).tour().meta_graphs[0].signatures
    assert f"default x = {words}" in signature.steps[0].facts


def test_a_notebook_gets_an_escaped_fragment(corpus: Path) -> None:
    for model in models(corpus):
        fragment = model.tour()._repr_html_()
        assert fragment.startswith("<div>")
        assert fragment.count("<details") == fragment.count("</details>")
        assert "<script" not in fragment


def test_a_tour_is_a_value(corpus: Path) -> None:
    one, other = open_model(corpus, "example").tour(), open_model(corpus, "example").tour()
    assert isinstance(one, Tour)
    assert one == other
    assert json.loads(json.dumps(one.as_dict())) == json.loads(json.dumps(other.as_dict()))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("My-Name", "My_Name", True),
        ("1abc", "arg_1abc", True),
        ("CamelCase", "camelcase", True),
        ("a", "b", False),
        ("arg_x", "x", False),
    ],
)
def test_names_are_compared_as_their_copies_are_spelled(one: str, other: str, same: bool) -> None:
    assert (plain(one) == plain(other)) is same
