"""What results depend on: against TensorFlow's numbers, against a slow obvious version, and on hand-made bodies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab import savedmodel
from trimtab.savedmodel.examples import Body, examples
from trimtab.savedmodel.flow import Dependencies, Flow, dependencies, unused_arguments
from trimtab.savedmodel.graph import Library
from trimtab.savedmodel.index import Span
from trimtab.savedmodel.messages import classes, serialize
from trimtab.source.bytes import MemorySource

Node = tuple[str, str, list[str], dict[str, Any]]
"""Name, op, inputs, and attributes that name functions (`f=g`, `branches=[g, h]`)."""


class Function:
    """A function to be: arguments, nodes, results (tensors) and nodes that run for their effects."""

    def __init__(self, arguments: str, nodes: list[Node], results: list[str], effects: tuple[str, ...] = ()) -> None:
        self.arguments = arguments.split()
        self.nodes = nodes
        self.results = results
        self.effects = effects


def library(**functions: Function) -> Library:
    data = b""
    spans = {}
    for name, function in functions.items():
        message = serialize(function_def(name, function))
        spans[name] = Span(len(data), len(data), len(data) + len(message))
        data += message
    return Library(MemorySource(data), spans)


def function_def(name: str, function: Function) -> Any:
    message = classes()["FunctionDef"]()
    message.signature.name = name
    for argument in function.arguments:
        message.signature.input_arg.add(name=argument, type=1)
    for position, tensor in enumerate(function.results):
        message.signature.output_arg.add(name=f"r{position}", type=1)
        message.ret[f"r{position}"] = tensor
    for node in function.effects:
        message.control_ret[node] = node
    for node_name, op, inputs, attrs in function.nodes:
        node = message.node_def.add(name=node_name, op=op, input=inputs)
        for key, value in attrs.items():
            if isinstance(value, list):
                for each in value:
                    node.attr[key].list.func.add(name=each)
            else:
                node.attr[key].func.name = value
    return message


def call(name: str, function: str, *inputs: str, op: str = "PartitionedCall") -> Node:
    return (name, op, list(inputs), {"f": function})


FIRST_OF_TWO = Function("x y", [("id", "Identity", ["x"], {})], ["id:output:0", "y"])
PRINTS = Function("x y", [("say", "PrintV2", ["y"], {})], ["x"], effects=("say",))

TABLE = {
    "an operation needs all of its inputs": (
        {"main": Function("a b c", [("n", "AddV2", ["a", "b"], {})], ["n:z:0"])},
        [{0, 1}],
        {2},
    ),
    "a call is followed output by output": (
        {"main": Function("a b", [call("c", "g", "a", "b")], ["c:output:1", "c:output:0"]), "g": FIRST_OF_TWO},
        [{1}, {0}],
        set(),
    ),
    "a call into a call": (
        {
            "main": Function("a b", [call("c", "mid", "b", "a")], ["c:output:0"]),
            "mid": Function("p q", [call("c", "g", "q", "p")], ["c:output:1"]),
            "g": FIRST_OF_TWO,
        },
        [{1}],
        {0},
    ),
    "a function as an operation, outputs by name": (
        {"main": Function("a b", [("n", "g", ["a", "b"], {})], ["n:r1:0"]), "g": FIRST_OF_TWO},
        [{1}],
        {0},
    ),
    "a control dependency counts for what it waits for": (
        {"main": Function("a b", [("w", "Print", ["b"], {}), ("n", "Identity", ["a", "^w"], {})], ["n:output:0"])},
        [{0, 1}],
        set(),
    ),
    "of a call it waits for the effects": (
        {
            "main": Function(
                "a b c", [call("w", "p", "a", "b"), ("n", "Identity", ["c", "^w"], {})], ["n:output:0", "w:output:0"]
            ),
            "p": PRINTS,
        },
        [{1, 2}, {0}],
        set(),
    ),
    "effects count as use": ({"main": PRINTS}, [{0}], set()),
    "IdentityN keeps its tensors apart": (
        {"main": Function("a b", [("n", "IdentityN", ["a", "b"], {})], ["n:output:1"])},
        [{1}],
        {0},
    ),
    "a branch unites its sides and what decides": (
        {
            "main": Function(
                "p a b c",
                [("n", "StatelessIf", ["p", "a", "b", "c"], {"then_branch": "one", "else_branch": "two"})],
                ["n:output:0"],
            ),
            "one": Function("a b c", [], ["a"]),
            "two": Function("a b c", [], ["b"]),
        },
        [{0, 1, 2}],
        {3},
    ),
    "a case unites all of its branches": (
        {
            "main": Function("i a b", [("n", "Case", ["i", "a", "b"], {"branches": ["one", "two"]})], ["n:output:0"]),
            "one": Function("a b", [], ["a"]),
            "two": Function("a b", [], ["b"]),
        },
        [{0, 1, 2}],
        set(),
    ),
    "a loop carries what changes, and keeps what does not": (
        {
            "main": Function(
                "i x kept never",
                [("n", "While", ["i", "x", "kept", "never"], {"cond": "cond", "body": "body"})],
                ["n:output:1", "n:output:2"],
            ),
            "cond": Function("i x k n", [("less", "Less", ["i", "k"], {})], ["less:z:0"]),
            "body": Function(
                "i x k n",
                [
                    ("next", "AddV2", ["i", "i"], {}),
                    ("y", "Mul", ["x", "x"], {}),
                    ("same", "Identity", ["k"], {}),
                    ("also", "Identity", ["n"], {}),
                ],
                ["next:z:0", "y:z:0", "same:output:0", "also:output:0"],
            ),
        },
        [{0, 1, 2}, {2}],
        {3},
    ),
    "a loop whose values wander": (
        {
            "main": Function(
                "a b c d", [("n", "While", ["a", "b", "c", "d"], {"cond": "cond", "body": "turn"})], ["n:output:0"]
            ),
            "cond": Function("a b c d", [("less", "Less", ["d", "d"], {})], ["less:z:0"]),
            "turn": Function("a b c d", [("n", "Identity", ["c"], {})], ["b", "n:output:0", "a", "d"]),
        },
        [{0, 1, 2, 3}],
        set(),
    ),
    "what calls itself depends on everything": (
        {"main": Function("a b", [call("c", "main", "a", "b")], ["c:output:0"])},
        [{0, 1}],
        set(),
    ),
    "a function that the library lacks depends on everything": (
        {"main": Function("a b", [call("c", "nowhere", "a", "b")], ["c:output:0"])},
        [{0, 1}],
        set(),
    ),
    "a branch that the library lacks, too": (
        {
            "main": Function(
                "p a b", [("n", "If", ["p", "a", "b"], {"then_branch": "one", "else_branch": "no"})], ["n:output:0"]
            ),
            "one": Function("a b", [], ["a"]),
        },
        [{0, 1, 2}],
        set(),
    ),
    "a loop of single nodes, as TF1 makes them": (
        {
            "main": Function(
                "a b",
                [
                    ("enter", "Enter", ["a"], {}),
                    ("merge", "Merge", ["enter:output:0", "next:output:0"], {}),
                    ("add", "AddV2", ["merge:output:0", "b"], {}),
                    ("next", "NextIteration", ["add:z:0"], {}),
                    ("exit", "Exit", ["merge:output:0"], {}),
                ],
                ["exit:output:0"],
            )
        },
        [{0, 1}],
        set(),
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_dependencies_by_hand(case: str) -> None:
    functions, outputs, unused = TABLE[case]
    found = Flow(library(**functions)).function("main")
    assert [set(each) for each in found.outputs] == outputs
    assert set(range(len(functions["main"].arguments))) - found.used == unused


def test_a_function_that_is_not_there_has_no_dependencies() -> None:
    assert Flow(library()).function("nothing") == Dependencies()


def test_calls_nested_deep_are_followed_without_recursion() -> None:
    deep = {f"f{at}": Function("a b", [call("c", f"f{at + 1}", "a", "b")], ["c:output:0"]) for at in range(3000)}
    found = Flow(library(**deep, f3000=FIRST_OF_TWO)).function("f0")
    assert found.outputs == (frozenset({0}),)


def test_calls_that_multiply_are_worked_out_once() -> None:
    """Sixty functions that each call the next one twice: 2**60 paths."""
    twice = {
        f"f{at}": Function(
            "s", [call("a", f"f{at + 1}", "s"), call("b", f"f{at + 1}", "s")], ["a:output:0", "b:output:0"]
        )
        for at in range(60)
    }
    functions = library(**twice, f60=Function("s", [], ["s", "s"]))
    assert Flow(functions).function("f0").outputs == (frozenset({0}),) * 2
    assert "?" in examples(functions, Body.of(functions["f0"]), ["s"]).others


def test_functions_too_large_to_follow_are_said_to_be_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimtab.savedmodel.flow.MAX_FUNCTION_BYTES", 200)
    functions = TABLE["a call into a call"][0]
    found = Flow(library(**functions)).function("main")
    assert not found.known
    assert found.outputs == (frozenset({0, 1}),)


@st.composite
def libraries(draw: st.DrawFn) -> dict[str, Function]:
    """Acyclic libraries: each function calls later ones only, each node reads earlier ones."""
    count = draw(st.integers(1, 5))
    made: dict[str, Function] = {}
    for at in reversed(range(count)):
        arguments = [f"a{position}" for position in range(draw(st.integers(1, 4)))]
        tensors = list(arguments)
        nodes: list[Node] = []
        for number in range(draw(st.integers(0, 6))):
            name = f"n{number}"
            inputs = draw(st.lists(st.sampled_from(tensors), min_size=1, max_size=3))
            control = [f"^n{before}" for before in draw(st.sets(st.integers(0, 5), max_size=1)) if before < number]
            callable_ = [each for each in made if len(made[each].arguments) <= len(tensors)]
            if callable_ and draw(st.booleans()):
                callee = draw(st.sampled_from(callable_))
                given_ = [draw(st.sampled_from(tensors)) for _ in made[callee].arguments]
                nodes.append((name, "StatefulPartitionedCall", [*given_, *control], {"f": callee}))
                tensors += [f"{name}:output:{position}" for position in range(len(made[callee].results))]
            else:
                nodes.append((name, draw(st.sampled_from(["AddN", "IdentityN"])), [*inputs, *control], {}))
                tensors += [f"{name}:output:{position}" for position in range(len(inputs))]
        results = draw(st.lists(st.sampled_from(tensors), min_size=1, max_size=3))
        effects = (
            tuple(sorted(draw(st.sets(st.sampled_from([node[0] for node in nodes]), max_size=1)))) if nodes else ()
        )
        made[f"f{at}"] = Function(" ".join(arguments), nodes, results, effects)
    return made


@settings(max_examples=200)
@given(libraries())
def test_flow_equals_walking_every_path(functions: dict[str, Function]) -> None:
    flow = Flow(library(**functions))
    for name, function in functions.items():
        slow = [obvious(functions, name, tensor) for tensor in function.results]
        found = flow.function(name)
        assert [set(each) for each in found.outputs] == slow
        assert set(found.effects) == set().union(*(obvious(functions, name, f"^{each}") for each in function.effects))


def obvious(functions: dict[str, Function], name: str, tensor: str) -> set[int]:
    """The arguments that a tensor depends on: every path, walked anew every time."""
    function = functions[name]
    if tensor in function.arguments:
        return {function.arguments.index(tensor)}
    control = tensor.startswith("^")
    node_name, _, rest = tensor.removeprefix("^").partition(":")
    _, op, inputs, attrs = next(node for node in function.nodes if node[0] == node_name)
    data = [each for each in inputs if not each.startswith("^")]
    read = data
    if "f" in attrs:
        callee = functions[attrs["f"]]
        inner = [f"^{each}" for each in callee.effects] if control else [callee.results[int(rest.split(":")[-1])]]
        positions = set().union(*(obvious(functions, attrs["f"], each) for each in inner))
        read = [data[at] for at in positions]
    elif op == "IdentityN" and not control:
        read = [data[int(rest.split(":")[-1])]]
    waits = [each for each in inputs if each.startswith("^")]
    return set().union(*(obvious(functions, name, each) for each in [*read, *waits]))


DEAD = {
    "f": {"dead", "nested"},
    "looped": {"never"},
    "branched": {"c"},
}
"""Of the model `unused_inputs`, by signature: what its author meant not to be used."""


@pytest.fixture(scope="module")
def unused_inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("tensorflow")
    import tensorflow_models_signatures  # noqa: F401  # registers the models
    from saved_model_calls import MODELS

    folder = tmp_path_factory.mktemp("flow") / "unused_inputs"
    MODELS["unused_inputs"](str(folder))
    return folder


def test_inputs_that_nothing_uses_are_those_that_the_author_left_unused(unused_inputs: Path) -> None:
    with savedmodel.load(unused_inputs) as model:
        for key, dead in DEAD.items():
            served = model.signatures[key]
            keywords = served.bare.argument_keywords
            unused = unused_arguments(model.meta_graph, served.wrapper.name)
            assert {keywords[at] for at in unused} == dead


def test_tensorflow_computes_the_same_whatever_an_unused_input_is(unused_inputs: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    loaded = tf.saved_model.load(str(unused_inputs))
    for key, dead in DEAD.items():
        signature = loaded.signatures[key]
        specs = signature.structured_input_signature[1]
        ones = {name: tf.ones([2] * spec.shape.rank, spec.dtype) for name, spec in specs.items()}
        before = signature(**ones)
        for name in dead:
            after = signature(**{**ones, name: ones[name] * 7})
            assert all(bool(tf.reduce_all(before[each] == after[each])) for each in before)


def test_outputs_of_a_served_model_depend_on_what_their_graph_shows(corpus: Path) -> None:
    """The wrapper's own answer and that of the graph around it, by way of the SignatureDef, are one."""
    for folder in sorted((corpus / "savedmodel").iterdir()):
        with savedmodel.load(folder / "model") as model:
            for served in model.signatures.values():
                if served.wrapper is None or served.signature_def is None:
                    continue
                definition = served.signature_def
                feeds = [definition.inputs[name].name or "" for name in served.bare.argument_keywords]
                fetches = {name: info.name for name, info in definition.outputs.items() if info.name}
                inside = dependencies(model.meta_graph, served.wrapper.name)
                flow = Flow(model.meta_graph.library)
                outside = flow.graph(model.meta_graph.graph_def.node, feeds, list(fetches.values()))
                by_position = [int(name.partition(":")[2]) for name in fetches.values()]
                for mask, position in zip(outside.masks, by_position, strict=True):
                    assert mask == inside.masks[position] & ((1 << len(feeds)) - 1)
