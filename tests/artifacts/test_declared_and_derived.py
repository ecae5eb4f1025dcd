"""What a document declares against what the graph says: joined where they fit, refused where they do not."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from trimtab.artifacts.compare import MAX_CONTRADICTIONS, contradictions, reconcile
from trimtab.errors import ArtifactError, ContradictionError
from trimtab.signature.document import decode_document
from trimtab.signature.dtypes import DType
from trimtab.signature.model import (
    EntryPoint,
    Feature,
    Input,
    Learned,
    Live,
    Output,
    Overload,
    Presence,
    Provenance,
    Quantization,
    Signature,
)
from trimtab.signature.types import Literal, Mapping, Opaque, Optional, Scalar, Sequence, Tensor, Type

F32 = Tensor(DType.FLOAT32, ("n", 3))
ANY = Tensor()
FEATS = Input(name="feats", type=Mapping(DType.STRING, ANY))


def signature(inputs: tuple[Input, ...], outputs: tuple[Output, ...] = (), name: str = "forward") -> Signature:
    return Signature(
        entry_points=(EntryPoint(name=name, overloads=(Overload(inputs=inputs, outputs=outputs),)),),
        default_entry_point=name,
        provenance=Provenance(format="torchscript", producer="torch", learned=Learned.DERIVED),
    )


def names(inputs: str, outputs: str = "") -> Signature:
    import json

    return decode_document(json.dumps({"input_names": inputs.split(), "output_names": outputs.split()}).encode())


def value(name: str, type_: Type = ANY, path: str | None = None, **more: Any) -> Input:
    return Input(name=name, type=type_, path=path, **more)


def generic(*types: Type) -> tuple[Output, ...]:
    path = (lambda _: "") if len(types) == 1 else (lambda index: f"[{index}]")
    return tuple(Output(name=f"output_{i}", type=it, path=path(i)) for i, it in enumerate(types))


TEMP = value("temp", Scalar(DType.FLOAT64), presence=Presence.DEFAULT, default=Literal(0.5))

JOINED = {
    "the same names": (names("a b"), (value("a", F32), value("b")), {"a": "a", "b": "b"}),
    "the document's order": (names("b a"), (value("a", F32), value("b")), {"b": "b", "a": "a"}),
    "paths for names": (
        names("feats.a x"),
        (value("a", F32, 'feats["a"]'), value("x")),
        {"feats.a": 'feats["a"]', "x": "x"},
    ),
    "a default left out": (names("a"), (value("a"), TEMP), {"a": "a", "temp": "temp"}),
    "entries of an open dict": (names("x p q"), (value("x"), FEATS), {"x": "x", "p": 'feats["p"]', "q": 'feats["q"]'}),
    "an entry with brackets": (names("p[0]"), (FEATS,), {"p[0]": 'feats["p[0]"]'}),
    "entries with the dict's name": (
        names("feats.p more.q"),
        (FEATS, replace(FEATS, name="more")),
        {"feats.p": 'feats["p"]', "more.q": 'more["q"]'},
    ),
    "an open dict that stays open": (names("x"), (value("x"), FEATS), {"x": "x", "feats": "feats"}),
    "columns of the only tensor": (names("p q r"), (value("x", F32),), {"x": "x"}),
}


@pytest.mark.parametrize(("declared", "graph", "wanted"), JOINED.values(), ids=list(JOINED))
def test_names_are_joined_with_the_graph(declared: Signature, graph: tuple[Input, ...], wanted: dict[str, str]) -> None:
    joined = reconcile(declared, signature(graph), "model.pt")
    assert {it.name: it.call_path for it in joined.inputs} == wanted
    assert joined.provenance == Provenance(format="torchscript", producer="torch", learned=Learned.DECLARED)


def test_columns_become_features() -> None:
    (tensor,) = reconcile(names("p q r"), signature((value("x", F32),)), "model.pt").inputs
    assert tensor.type == F32
    assert [it.name for it in tensor.features] == ["p", "q", "r"]


@pytest.mark.parametrize("learned", [Learned.EXAMPLE, Learned.DERIVED])
def test_examples_and_code_give_types_to_the_entries_of_a_dict(learned: Learned) -> None:
    stated = {"features": learned} if learned is Learned.EXAMPLE else {}
    graph = replace(FEATS, features=(Feature(name="p", type=F32),), learned=stated)
    p, q = reconcile(names("p q"), signature((graph,)), "model.pt").inputs
    assert (p.type, p.learned) == (F32, {"type": learned})
    assert (q.type, q.learned) == (ANY, {"type": Learned.DERIVED})


CONTRADICTED_NAMES = {
    "a name too many": (names("a c"), (value("a", presence=Presence.REQUIRED), TEMP)),
    "a name too few": (names("a"), (value("a"), value("b"))),
    "another name": (names("a c"), (value("a"), value("b", Scalar(DType.INT64)))),
    "fewer columns than the matrix has": (names("p q"), (value("x", F32),)),
    "a misspelled name of the only tensor": (names("y"), (value("x", F32),)),
    "a name twice": (names("a a"), (value("a"),)),
    "two dicts that could hold it": (names("p"), (FEATS, replace(FEATS, name="more"))),
    "none": (names(""), (value("a"),)),
}


@pytest.mark.parametrize(("declared", "graph"), CONTRADICTED_NAMES.values(), ids=list(CONTRADICTED_NAMES))
def test_names_that_do_not_fit_are_refused(declared: Signature, graph: tuple[Input, ...]) -> None:
    with pytest.raises(ContradictionError) as error:
        reconcile(declared, signature(graph), "model.pt")
    assert error.value.where.startswith("model.pt")
    assert error.value.expected
    assert error.value.got


OUTPUTS: dict[str, tuple[str, tuple[Output, ...], dict[str, str] | None]] = {
    "by position": ("s t", generic(F32, ANY), {"s": "[0]", "t": "[1]"}),
    "one value": ("s", generic(F32), {"s": ""}),
    "by name": (
        "t s",
        (Output(name="s", type=F32, path=".s"), Output(name="t", type=ANY, path=".t")),
        {"t": ".t", "s": ".s"},
    ),
    "entries of a dict": ("s t", generic(Mapping(DType.STRING, ANY)), {"s": '["s"]', "t": '["t"]'}),
    "items of a list": ("s t", generic(Sequence(ANY)), {"s": "[0]", "t": "[1]"}),
    "columns of one tensor": ("s t", generic(F32), {"s": "", "t": ""}),
    "too few": ("s", generic(F32, ANY), None),
    "too many": ("s t u", generic(F32, ANY), None),
    "other names": ("s u", (Output(name="s", type=F32, path=".s"), Output(name="t", type=ANY, path=".t")), None),
}


@pytest.mark.parametrize(("declared", "graph", "wanted"), OUTPUTS.values(), ids=list(OUTPUTS))
def test_output_names(declared: str, graph: tuple[Output, ...], wanted: dict[str, str] | None) -> None:
    derived = signature((), graph)
    if wanted is None:
        with pytest.raises(ContradictionError, match="output_names"):
            reconcile(names("", declared), derived, "model.pt")
    else:
        joined = reconcile(names("", declared), derived, "model.pt")
        assert {it.name: it.return_path for it in joined.outputs} == wanted


I64 = Tensor(DType.INT64, ("n", 3))
FITTING: dict[str, tuple[Type, Type]] = {
    "the same": (F32, F32),
    "more than the graph knows": (F32, ANY),
    "less than the graph knows": (ANY, F32),
    "other symbols": (Tensor(DType.FLOAT32, ("batch", 3)), F32),
    "a size for a symbol": (Tensor(DType.FLOAT32, (8, 3)), F32),
    "unknown for a size": (Tensor(DType.FLOAT32, (None, None)), F32),
    "text for bytes": (Tensor(DType.BYTES, ("n",)), Tensor(DType.STRING, ("n",))),
    "optional or not": (F32, Optional(F32)),
    "a class that only the framework knows": (F32, Opaque("Any")),
    "sequences": (Sequence(F32), Sequence(ANY)),
}
CLASHING: dict[str, tuple[Type, Type]] = {
    "dtype": (I64, F32),
    "rank": (Tensor(DType.FLOAT32, ("n",)), F32),
    "a size": (Tensor(DType.FLOAT32, ("n", 4)), F32),
    "a symbol for a size": (Tensor(DType.FLOAT32, ("n", "m")), F32),
    "scalar and tensor": (Scalar(DType.FLOAT32), F32),
    "scalars": (Scalar(DType.INT64), Scalar(DType.FLOAT64)),
    "elements": (Sequence(I64), Sequence(F32)),
    "values of a map": (Mapping(DType.STRING, I64), Mapping(DType.STRING, F32)),
    "keys of a map": (Mapping(DType.INT64, F32), Mapping(DType.STRING, F32)),
    "a constant": (Literal(1), Literal(2)),
    "a value for a constant": (Scalar(DType.INT64), Literal(2)),
}


@pytest.mark.parametrize(("declared", "graph"), FITTING.values(), ids=list(FITTING))
def test_types_that_fit_keep_the_declared_contract(declared: Type, graph: Type) -> None:
    document = signature((value("x", declared),), (Output(name="y", type=declared, path=""),))
    joined = reconcile(document, signature((value("x", graph),), generic(graph)), "model.pt")
    assert joined.digest == document.digest


@pytest.mark.parametrize(("declared", "graph"), CLASHING.values(), ids=list(CLASHING))
def test_types_that_clash_are_refused_on_either_side(declared: Type, graph: Type) -> None:
    for inputs, outputs in (((declared, graph), (ANY, ANY)), ((ANY, ANY), (declared, graph))):
        document = signature((value("x", inputs[0]),), (Output(name="y", type=outputs[0], path=""),))
        derived = signature((value("x", inputs[1]),), generic(outputs[1]))
        with pytest.raises(ContradictionError) as error:
            reconcile(document, derived, "model.pt")
        assert str(graph) in error.value.expected
        assert str(declared) in error.value.got


def test_entries_of_an_open_dict_are_held_to_its_value_type() -> None:
    derived = signature((replace(FEATS, type=Mapping(DType.STRING, F32)),))
    fitting = signature((value("p", F32, 'feats["p"]'), value("q", ANY, 'feats["q"]')))
    assert reconcile(fitting, derived, "model.pt").digest == fitting.digest
    with pytest.raises(ContradictionError):
        reconcile(signature((value("p", I64, 'feats["p"]'),)), derived, "model.pt")


def test_examples_do_not_bind_the_declared_shape() -> None:
    example = value("x", Tensor(DType.FLOAT32, (2, 3)), learned={"type": Learned.EXAMPLE})
    document = signature((value("x", Tensor(DType.FLOAT64, ("batch", 3))),))
    assert reconcile(document, signature((example,)), "model.pt").digest == document.digest


def test_inputs_that_only_one_side_has() -> None:
    with pytest.raises(ContradictionError, match="declares the input 'b'"):
        reconcile(signature((value("a"), value("b"))), signature((value("a"),)), "model.pt")
    with pytest.raises(ContradictionError, match="requires the input 'b'"):
        reconcile(signature((value("a"),)), signature((value("a"), value("b"))), "model.pt")
    reconcile(signature((value("a"),)), signature((value("a"), TEMP)), "model.pt")


def test_an_entry_point_that_the_artifact_lacks() -> None:
    with pytest.raises(ContradictionError, match="one of 'main'"):
        reconcile(signature(()), signature((), name="main"), "model.onnx")


def test_liveness_comes_from_the_graph() -> None:
    document = signature((value("a"), value("b", live=Live.YES)))
    graph = signature((value("a", live=Live.NO), value("b", live=Live.NO)))
    a, b = reconcile(document, graph, "model.pt").inputs
    assert (a.live, a.learned) == (Live.NO, {"live": Learned.DERIVED})
    assert b.live is Live.YES


def test_every_contradiction_is_collected_in_order() -> None:
    document = signature((value("a", I64), value("c"), value("d", F32)), (Output(name="y", type=I64, path=""),))
    graph = signature((value("a", F32), value("b"), value("d", I64)), generic(F32))
    found = contradictions(document, graph, "model.pt")
    assert [(it.where, it.problem.partition(",")[0]) for it in found] == [
        ("model.pt: forward: input 'a'", "the document and the artifact's graph disagree"),
        ("model.pt: forward", "the document declares the input 'c'"),
        ("model.pt: forward: input 'd'", "the document and the artifact's graph disagree"),
        ("model.pt: forward", "the artifact requires the input 'b' (any dtype [...])"),
        ("model.pt: forward: output 'y'", "the document and the artifact's graph disagree"),
    ]
    with pytest.raises(ContradictionError) as first:
        reconcile(document, graph, "model.pt")
    assert str(first.value) == str(found[0])
    assert contradictions(graph, graph, "model.pt") == ()


def test_names_contradict_on_both_sides_at_once() -> None:
    found = contradictions(names("a a c", "s"), signature((value("a"),), generic(F32, ANY)), "model.pt")
    assert [it.where for it in found] == ["model.pt: input_names"] * 2 + ["model.pt: output_names"]


def test_no_more_contradictions_are_collected_than_anybody_reads() -> None:
    document = signature(tuple(value(f"x{i}") for i in range(MAX_CONTRADICTIONS + 5)))
    assert len(contradictions(document, signature(()), "model.pt")) == MAX_CONTRADICTIONS


def overloads(*each: Overload) -> Signature:
    return Signature(entry_points=(EntryPoint(name="call", overloads=each),), default_entry_point="call")


def test_an_overload_is_compared_with_the_one_that_it_contradicts_least() -> None:
    one = Overload(inputs=(value("a", F32),))
    two = Overload(inputs=(value("a", F32), value("b", I64), value("c")))
    assert contradictions(overloads(two, one), overloads(one, two), "model") == ()
    other = Overload(inputs=(value("a", F32), value("b", F32), value("c")))
    (only,) = contradictions(overloads(other), overloads(one, two), "m")
    assert only.where == "m: call: input 'b'"


def test_overloads_are_not_compared_without_end() -> None:
    many = tuple(Overload(inputs=(value("a", I64),)) for _ in range(1000))
    others = tuple(Overload(inputs=(value("a", F32),)) for _ in range(1000))
    assert contradictions(overloads(*many), overloads(*many), "model") == ()
    with pytest.raises(ArtifactError, match="values of overloads to compare"):
        contradictions(overloads(*many), overloads(*others), "model")


def test_a_document_that_leaves_out_the_quantization_is_completed_and_one_that_contradicts_it_refused() -> None:
    def quantized(by: Quantization | None) -> Signature:
        integers = Tensor(DType.INT8, ("n",))
        output = Output(name="score", type=integers, quantization=by)
        return signature((value("x", integers, quantization=by),), (output,))

    graph, other = quantized(Quantization(scale=0.5, zero_point=3)), quantized(Quantization(scale=0.5))
    for declared in (quantized(None), graph):
        joined = reconcile(declared, graph, "model.tflite")
        assert joined.digest == graph.digest
    assert reconcile(graph, quantized(None), "model.tflite").digest == graph.digest
    found = contradictions(other, graph, "model.tflite")
    assert [it.got for it in found] == ["quantized: 0.5 * (value - 0) in the document"] * 2
