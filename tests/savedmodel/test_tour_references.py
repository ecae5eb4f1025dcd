"""The links of a model backwards, and the traces that a signature's callee is a copy of."""

from __future__ import annotations

from pathlib import Path

import pytest

from trimtab import savedmodel
from trimtab.savedmodel.twins import forwarded, stem, twins

TWINS = [
    ("training_flag", "serving_default", [("__call__", 2)]),
    ("nested", "f", [("h", 0), ("h", 1)]),  # arguments of other names; two traces that only differ in list and tuple
    ("shapes", "part", [("f", 0)]),  # traces that only differ in their shapes
    ("composites", "sp", [("sp", 0)]),
    ("example", "capture_fn", [("capture_fn", 0)]),
    ("keras3_export", "serving_default", [("serve", 0)]),
]


def load(corpus: Path, name: str) -> savedmodel.SavedModel:
    return savedmodel.load(corpus / "savedmodel" / name / "model")


@pytest.mark.parametrize(("name", "key", "traces"), TWINS)
def test_the_trace_behind_a_signature_is_found(
    corpus: Path, name: str, key: str, traces: list[tuple[str, int]]
) -> None:
    found = load(corpus, name).signatures[key].traces
    assert [(function.path, position) for function, position in found] == traces


def test_every_signature_of_the_corpus_that_has_a_wrapper_has_a_trace(corpus: Path) -> None:
    for folder in sorted((corpus / "savedmodel").iterdir()):
        for signature in savedmodel.load(folder / "model").signatures.values():
            assert signature.wrapper is None or signature.traces


def test_a_function_is_its_own_twin_and_twins_are_mutual(corpus: Path) -> None:
    for folder in sorted((corpus / "savedmodel").iterdir()):
        library = savedmodel.load(folder / "model").meta_graph.library
        for name in library:
            alike = twins(library, name, library)
            assert alike[0] == name
            assert all(name in twins(library, other, library) for other in alike)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("__inference_f_57", "__inference_f"), ("f", "f"), ("f_1_2", "f_1"), ("while_body", "while_body"), ("_5", "")],
)
def test_a_stem_is_the_name_without_its_number(name: str, expected: str) -> None:
    assert stem(name) == expected


def test_a_wrapper_only_forwards_and_a_body_does_not(corpus: Path) -> None:
    library = load(corpus, "example").meta_graph.library
    assert forwarded(library, "__inference_signature_wrapper_capture_fn_65") == "__inference_capture_fn_57"
    assert forwarded(library, "__inference_capture_fn_57") is None
    assert forwarded(library, "nothing") is None


def test_from_a_variable_one_reaches_the_signatures_that_need_it(corpus: Path) -> None:
    graph = load(corpus, "example").meta_graph
    weight = graph.object_graph_def.find("weight")
    wrapper, body = "__inference_signature_wrapper_capture_fn_65", "__inference_capture_fn_57"
    assert set(graph.references.captured_by(weight)) == {wrapper, body}
    assert graph.references.signatures_capturing(weight) == ("capture_fn",)
    assert {(each.what, each.does) for each in graph.references.to_node(weight)} == {
        ("root", "has it as weight"),
        (wrapper, "captures it"),
        (body, "captures it"),
    }


def test_from_a_function_one_reaches_all_that_names_it(corpus: Path) -> None:
    graph = load(corpus, "example").meta_graph
    found = [(each.what, each.does, each.where) for each in graph.references.to_function("__inference_capture_fn_57")]
    objects = "meta_graphs[0].object_graph_def"
    assert found == [
        ("capture_fn", "tries it as trace 1 of 1", f"{objects}.nodes[2].function"),
        ("capture_fn.trace_0", "is it as an object", f"{objects}.nodes[5].bare_concrete_function"),
        (
            "SavedConcreteFunction",
            "structures its arguments",
            f'{objects}.concrete_functions["__inference_capture_fn_57"]',
        ),
        ("__inference_signature_wrapper_capture_fn_65", "calls it", "meta_graphs[0].graph_def.library.function[0]"),
    ]
    assert graph.references.signatures_running("__inference_capture_fn_57") == ("capture_fn",)
    assert graph.references.signatures_running("__inference_polymorphic_fn_71") == ()
    in_graph = graph.references.to_function("__inference_signature_wrapper_capture_fn_65")
    assert ("StatefulPartitionedCall", "calls it in the graph") in {(each.what, each.does) for each in in_graph}


def test_backwards_and_forwards_say_the_same(corpus: Path) -> None:
    for folder in sorted((corpus / "savedmodel").iterdir()):
        graph = savedmodel.load(folder / "model").meta_graph
        for key, signature in graph.signatures.items():
            for capture in signature.wrapper.captures if signature.wrapper else ():
                assert key in graph.references.signatures_capturing(capture.node_id)
            if signature.callee is not None:
                assert key in graph.references.signatures_running(signature.callee)
        for function in graph.functions.values():
            for name in function.trace_names:
                assert function.path in {each.what for each in graph.references.to_function(name)}
