"""Which inputs of an ONNX graph are dead: never one that an output depends on, and every one that nothing reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from onnx_models import BOOL, BUILDERS, FLOAT, INT64, OPSETS, array, model, node, value

from trimtab.artifacts import read_signature
from trimtab.artifacts.formats.onnx import liveness
from trimtab.signature.model import Live, Signature
from trimtab.source.bytes import MemorySource

onnxruntime.set_default_logger_severity(4)


def read(made: onnx.ModelProto) -> Signature:
    return read_signature(MemorySource(made.SerializeToString()))


def by_liveness(made: onnx.ModelProto, live: Live) -> set[str]:
    return {it.name for it in read(made).inputs if it.live is live}


def dead(made: onnx.ModelProto) -> set[str]:
    return by_liveness(made, Live.NO)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain", set()),
        ("input_is_output", {"unused"}),
        ("branches", {"unused"}),
        ("loop", {"unused"}),
        ("scan", set()),
        ("functions", {"b"}),
        ("dead_chain", {"a"}),
        ("shape_of_an_input", {"unused"}),
        ("optional_operator_inputs", {"unused"}),
        ("overridable_defaults", set()),
        ("default_text", {"x"}),
        ("sparse_input", {"sparse"}),
        ("maps", set()),
        ("many_domains", set()),
        ("unicode_and_odd_names", set()),
        ("two_hundred_inputs", {f"feature_{i}" for i in range(190, 200)}),
    ],
)
def test_dead_inputs_are_those_that_no_output_depends_on(name: str, expected: set[str]) -> None:
    made = BUILDERS[name]()
    assert dead(made) == expected
    assert by_liveness(made, Live.YES) == {it.name for it in made.graph.input} - expected


def unused_call(*functions: onnx.FunctionProto, domain: str = "mine", operator: str = "F") -> onnx.ModelProto:
    """`b` is read by a call of `F` alone, whose result nobody reads; `a` is the output."""
    nodes = [node("Identity", ["a"], ["y"]), node(operator, ["b"], ["lost"], domain=domain)]
    opsets = (("", 21), ("mine", 1), ("other", 1))
    return model(nodes, [value("a"), value("b")], [value("y")], opsets=opsets, functions=list(functions))


def function(name: str, nodes: list[onnx.NodeProto], domain: str = "mine") -> onnx.FunctionProto:
    return helper.make_function(domain, name, ["p"], ["r"], nodes, OPSETS)


PURE = function("F", [node("Neg", ["p"], ["r"])])
CALLS_ITSELF = function("F", [node("F", ["p"], ["r"], domain="mine")])
CAN_FAIL = function("F", [node("Range", ["p", "p", "p"], ["r"])])
HAS_EFFECTS = function("F", [node("Neg", ["p"], ["r"]), node("Print", ["p"], ["q"], domain="other")])
NAMED_AS_AN_OPERATOR = function("Neg", [node("Identity", ["p"], ["r"])], domain="")


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        pytest.param(unused_call(PURE), Live.NO, id="a function without effects"),
        pytest.param(unused_call(domain="", operator="Neg"), Live.NO, id="an operator that cannot fail"),
        pytest.param(unused_call(domain="", operator="Gather"), Live.UNKNOWN, id="an operator that can fail"),
        pytest.param(unused_call(domain="", operator="Newer"), Live.UNKNOWN, id="an operator that is not known"),
        pytest.param(unused_call(), Live.UNKNOWN, id="an operator of another domain"),
        pytest.param(unused_call(HAS_EFFECTS), Live.UNKNOWN, id="a function that calls one"),
        pytest.param(unused_call(CAN_FAIL), Live.UNKNOWN, id="a function that can fail"),
        pytest.param(unused_call(CALLS_ITSELF), Live.UNKNOWN, id="a function that calls itself"),
        pytest.param(unused_call(PURE, PURE), Live.UNKNOWN, id="a function that is defined twice"),
        pytest.param(
            unused_call(NAMED_AS_AN_OPERATOR, domain="", operator="Neg"), Live.UNKNOWN, id="an operator's name"
        ),
        pytest.param(unused_call(PURE, domain="other"), Live.UNKNOWN, id="a function of another domain"),
    ],
)
def test_what_may_fail_or_have_effects_is_not_certainly_dead(made: onnx.ModelProto, expected: Live) -> None:
    assert {it.name: it.live for it in read(made).inputs} == {"a": Live.YES, "b": expected}


def test_runtimes_stop_where_what_leads_nowhere_fails() -> None:
    """Why an index that only an unused look-up reads is not called dead."""
    table = array("table", np.float32([1, 2]))
    nodes = [node("Gather", ["table", "i"], ["lost"]), node("Neg", ["x"], ["y"])]
    made = model(nodes, [value("x"), value("i", INT64, ["k"])], [value("y")], [table])
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument):
        session.run(None, {"x": np.float32([1]), "i": np.int64([99])})
    assert [it.live for it in read(made).inputs] == [Live.YES, Live.UNKNOWN]


def test_effects_inside_of_a_branch_use_all_that_the_branch_reads() -> None:
    lost = node("Print", ["b"], ["lost"], domain="other")
    same = node("Identity", ["c"], ["r"])
    then = helper.make_graph([lost, same], "then", [], [value("r")])
    otherwise = helper.make_graph([same], "else", [], [value("r")])
    nodes = [node("If", ["flag"], ["unused"], then_branch=then, else_branch=otherwise), node("Neg", ["a"], ["y"])]
    inputs = [value("flag", BOOL, []), value("a"), value("b"), value("c"), value("d")]
    made = model(nodes, inputs, [value("y")], opsets=(("", 21), ("other", 1)))
    assert dead(made) == {"d"}
    assert by_liveness(made, Live.YES) == {"a"}


def test_names_that_bodies_share_count_wherever_they_are_used() -> None:
    """Both branches call their result `r`, and one names a value of its own as an input is named."""
    then = helper.make_graph([node("Neg", ["a"], ["r"])], "then", [], [value("r")])
    otherwise = helper.make_graph([node("Neg", ["b"], ["c"]), node("Abs", ["c"], ["r"])], "else", [], [value("r")])
    nodes = [node("If", ["flag"], ["y"], then_branch=then, else_branch=otherwise)]
    inputs = [value("flag", BOOL, []), value("a"), value("b"), value("c"), value("d")]
    assert dead(model(nodes, inputs, [value("y")])) == {"d"}


def test_subgraphs_are_found_in_attributes_of_any_form() -> None:
    """A graph without the attribute's type, in two parts, or in a list of graphs."""
    inner = helper.make_graph([node("Neg", ["b"], ["r"])], "then", [], [value("r")])
    for attribute in (
        onnx.AttributeProto(name="then_branch", g=inner),
        onnx.AttributeProto(name="then_branch", graphs=[inner]),
        onnx.AttributeProto(name="then_branch", g=inner, type=onnx.AttributeProto.INT, i=1),
    ):
        holder = node("If", ["a"], ["y"])
        holder.attribute.append(attribute)
        assert dead(model([holder], [value("a"), value("b"), value("c")], [value("y")])) == {"c"}
    data = model([node("If", ["a"], ["y"])], [value("a"), value("b"), value("c")], [value("y")])
    halves = [helper.make_graph(inner.node, "", [], []), helper.make_graph([], "", [], [value("r")])]
    halves_joined = b"".join(onnx.AttributeProto(g=it).SerializeToString() for it in halves)
    data.graph.node[0].attribute.add().MergeFromString(halves_joined)
    assert dead(data) == {"c"}


def test_nodes_need_no_order() -> None:
    nodes = [node("Identity", ["n"], ["y"]), node("Neg", ["a"], ["n"])]
    assert dead(model(nodes, [value("a"), value("b")], [value("y")])) == {"b"}


def test_long_nodes_are_walked_without_their_weights() -> None:
    weights = array("", np.zeros(1 << 20, np.float32))
    nodes = [node("Constant", [], [f"w{i}"], value=weights) for i in range(8)]
    nodes.append(node("Sum", [f"w{i}" for i in range(8)] + ["a"], ["y"]))
    source = MemorySource(model(nodes, [value("a"), value("b")], [value("y")]).SerializeToString())
    signature = read_signature(source)
    assert [it.live for it in signature.inputs] == [Live.YES, Live.NO]
    assert source.bytes_read < 1 << 16


@pytest.mark.parametrize("limit", ["MAX_NODES", "MAX_NAMES", "MAX_BYTES", "_MAX_FIELDS", "_MAX_DEPTH"])
def test_of_a_graph_too_large_nothing_is_said(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, limit, 0)
    signature = read(BUILDERS["branches"]())
    assert {it.live for it in signature.inputs} == {Live.UNKNOWN}
    assert any("too large" in it for it in signature.provenance.notes)


# Laws, with onnxruntime as the judge


@st.composite
def graphs(draw: st.DrawFn) -> onnx.ModelProto:
    """Random graphs over float[2], with branches, loops, functions and shapes in them."""
    inputs = [f"x{i}" for i in range(draw(st.integers(2, 6)))]
    names = [*inputs]
    nodes: list[onnx.NodeProto] = []

    def pick() -> str:
        return draw(st.sampled_from(names))

    def binary(result: str) -> onnx.NodeProto:
        return node(draw(st.sampled_from(["Add", "Sub", "Max"])), [pick(), pick()], [result])

    def condition(result: str) -> list[onnx.NodeProto]:
        return [
            node("ReduceSum", [pick()], [f"{result}_sum"], keepdims=0),
            node("Greater", [f"{result}_sum", "zero"], [result]),
        ]

    for number in range(draw(st.integers(1, 8))):
        result = f"n{number}"
        match draw(st.sampled_from(["unary", "binary", "if", "loop", "function", "shape"])):
            case "unary":
                nodes.append(node(draw(st.sampled_from(["Neg", "Abs", "Identity"])), [pick()], [result]))
            case "binary":
                nodes.append(binary(result))
            case "shape":
                nodes += [node("Shape", [pick()], [f"{result}_s"]), node("ConstantOfShape", [f"{result}_s"], [result])]
            case "function":
                nodes.append(node("First", [pick(), pick()], [result], domain="mine"))
            case "if":
                branches = [
                    helper.make_graph([binary(f"{result}_{side}")], side, [], [value(f"{result}_{side}", FLOAT, None)])
                    for side in ("then", "else")
                ]
                nodes += condition(f"{result}_c")
                nodes.append(node("If", [f"{result}_c"], [result], then_branch=branches[0], else_branch=branches[1]))
            case "loop":
                nodes.append(node("Loop", ["two", "", pick()], [result], body=loop_body(result, pick())))
        names.append(result)
    outputs = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
    first = helper.make_function(
        "mine", "First", ["p", "q"], ["r"], [node("Neg", ["p"], ["r"]), node("Abs", ["q"], ["lost"])], OPSETS
    )
    return model(
        nodes,
        [value(each, FLOAT, [2]) for each in inputs],
        [value(each, FLOAT, None) for each in outputs],
        [array("zero", np.float32(0)), array("two", np.int64(2))],
        opsets=(("", 21), ("mine", 1)),
        functions=[first],
    )


def loop_body(result: str, captured: str) -> onnx.GraphProto:
    return helper.make_graph(
        [
            node("Identity", [f"{result}_going"], [f"{result}_still"]),
            node("Add", [f"{result}_state", captured], [f"{result}_next"]),
        ],
        "body",
        [value(f"{result}_i", INT64, []), value(f"{result}_going", BOOL, []), value(f"{result}_state", FLOAT, None)],
        [value(f"{result}_still", BOOL, []), value(f"{result}_next", FLOAT, None)],
    )


@settings(max_examples=150)
@given(graphs(), st.integers(0, 2**32 - 1))
def test_changing_a_dead_input_never_changes_an_output(made: onnx.ModelProto, seed: int) -> None:
    check_dead_inputs(made, lambda name, numbers: numbers.standard_normal(2).astype(np.float32), seed)


@settings(max_examples=150)
@given(graphs())
def test_live_inputs_are_those_that_backward_reachability_meets(made: onnx.ModelProto) -> None:
    inputs = {it.name for it in made.graph.input}
    assert by_liveness(made, Live.YES) == inputs & reached_by_onnx(made)
    read_by_any = {
        name for it in made.graph.node for name in (*it.input, *(n for a in it.attribute for n in names_in(a.g)))
    }
    assert inputs - reached_by_onnx(made) - read_by_any <= dead(made)


def names_in(graph: onnx.GraphProto) -> set[str]:
    return {name for each in graph.node for name in each.input}


def reached_by_onnx(made: onnx.ModelProto) -> set[str]:
    """The slow and obvious way, over onnx's own objects. Names are unique in the graphs that are drawn."""
    reached = {it.name for it in made.graph.output}
    while True:
        before = len(reached)
        for each in made.graph.node:
            if not reached.isdisjoint(each.output):
                reached.update(each.input[:1] if each.op_type == "First" else each.input)
                for attribute in each.attribute:
                    for inner in attribute.g.node:
                        reached.update(inner.input)
        if len(reached) == before:
            return reached


REAL_NAMES = ("input_is_output", "branches", "functions", "dead_chain", "shape_of_an_input", "two_hundred_inputs")


@pytest.mark.parametrize("name", REAL_NAMES)
def test_changing_a_dead_input_of_a_written_model_changes_nothing(name: str) -> None:
    def draw(input_name: str, numbers: np.random.Generator) -> Any:
        if input_name == "flag":
            return np.asarray(True)
        return numbers.standard_normal(3).astype(np.float32)

    check_dead_inputs(BUILDERS[name](), draw, 0)


def test_the_columns_that_a_pipeline_drops_are_dead() -> None:
    pytest.importorskip("sklearn")
    skl2onnx = pytest.importorskip("skl2onnx")
    import pandas
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = pandas.DataFrame(np.random.default_rng(0).random((8, 4)), columns=["a", "b", "c", "d"])
    used = ColumnTransformer([("n", StandardScaler(), ["a", "c"])])
    pipeline = make_pipeline(used, LinearRegression()).fit(rows, rows["a"] * 2 + rows["c"])
    made = skl2onnx.to_onnx(pipeline, initial_types=[(name, FloatTensorType([None, 1])) for name in rows.columns])
    check_dead_inputs(made, lambda name, numbers: numbers.random((3, 1)).astype(np.float32), 0)
    assert dead(made) == {"b", "d"}


def check_dead_inputs(made: onnx.ModelProto, draw: Callable[[str, np.random.Generator], Any], seed: int) -> None:
    """Run a model twice, the second time with other values for what is dead."""
    numbers = np.random.default_rng(seed)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {it.name: draw(it.name, numbers) for it in session.get_inputs()}
    unused = dead(made)
    changed = {name: draw(name, numbers) if name in unused else values for name, values in feed.items()}
    for before, after in zip(session.run(None, feed), session.run(None, changed), strict=True):
        np.testing.assert_array_equal(before, after)
