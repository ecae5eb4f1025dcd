"""OpenVINO models, read without OpenVINO, are what OpenVINO says they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.artifacts import derive_signature, embed_signature, read_signature
from trimtab.artifacts.formats import openvino as reader
from trimtab.errors import ArtifactError
from trimtab.signature.dtypes import dtype_of
from trimtab.signature.model import Live, Output, Signature
from trimtab.signature.types import Tensor
from trimtab.source.bytes import MemorySource

ov = pytest.importorskip("openvino")
ops = ov.opset13


def shape_of(ranges: dict[str, Any], type_: Any) -> str:
    """Our shape, spelled as OpenVINO spells it."""
    if type_.shape is None:
        return "[...]"
    return f"[{','.join(spelled(dim, ranges) for dim in type_.shape)}]"


def spelled(dim: int | str | None, ranges: dict[str, Any]) -> str:
    if dim is None:
        return "?"
    if isinstance(dim, int):
        return str(dim)
    low, high = ranges[dim].minimum, ranges[dim].maximum
    return f"{low or ''}..{'' if high is None else high}"


def check(path: Path) -> Signature:
    """Compare every fact that the file states with OpenVINO's answer."""
    signature = derive_signature(path)
    model = ov.Core().read_model(path)
    overload = signature.entry_point("main").overloads[0]
    assert len(overload.inputs) == len(model.inputs)
    for ours, theirs in zip(overload.inputs, model.inputs, strict=True):
        names = theirs.get_names() or {theirs.get_node().get_friendly_name()}
        assert {ours.name, *ours.aliases} == names
        if theirs.get_names():
            assert ours.name == theirs.get_any_name()
        assert isinstance(ours.type, Tensor)
        assert ours.type.dtype == dtype_of("openvino", theirs.get_element_type().get_type_name())
        assert shape_of(overload.dimensions, ours.type) == str(theirs.get_partial_shape()).replace(" ", "")
    assert len(overload.outputs) == len(model.outputs)
    for output, result in zip(overload.outputs, model.outputs, strict=True):
        check_output(output, result)
    return signature


def check_output(ours: Output, theirs: Any) -> None:
    assert ours.name == (theirs.get_any_name() if theirs.get_names() else theirs.get_node().get_friendly_name())
    assert isinstance(ours.type, Tensor)
    assert ours.type.dtype == dtype_of("openvino", theirs.get_element_type().get_type_name())
    if ours.type.shape is not None:
        shape = theirs.get_partial_shape()
        assert len(ours.type.shape) == len(shape)
        for dim, real in zip(ours.type.shape, shape, strict=True):
            assert dim == real.get_length() if isinstance(dim, int) else real.is_dynamic


def test_the_corpus_agrees(corpus: Path) -> None:
    path = corpus / "formats" / "openvino_dyn.xml"
    oracle = json.loads(path.with_name(path.name + ".oracle.json").read_text())
    overload = derive_signature(path).entry_point().overloads[0]
    for value, stated in zip(overload.inputs, oracle["inputs"], strict=True):
        assert sorted((value.name, *value.aliases)) == sorted(stated["names"])
        assert value.type.dtype == dtype_of("openvino", stated["dtype"])  # type: ignore[union-attr]
        assert shape_of(overload.dimensions, value.type) == stated["shape"]
    assert [it.name for it in overload.outputs] == [sorted(it["names"])[0] for it in oracle["outputs"]]


NAMES = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\\\x7f"), min_size=1, max_size=6
).map(lambda text: f"n{text}n")
DIMS = st.one_of(
    st.sampled_from(["?", "1..8", "..5", "2..", "0", "1", "7"]),
    st.integers(0, 9).map(lambda least: f"{least}..{least + 3}"),
)
TYPES = [
    "f32",
    "f64",
    "f16",
    "bf16",
    "i8",
    "i16",
    "i32",
    "i64",
    "u8",
    "u16",
    "u32",
    "u64",
    "boolean",
    "string",
    "f8e5m2",
]


@settings(max_examples=60)
@given(
    parameters=st.lists(
        st.tuples(st.sampled_from(TYPES), st.one_of(st.none(), st.lists(DIMS, max_size=4)), st.sets(NAMES, max_size=3)),
        min_size=1,
        max_size=4,
    )
)
def test_names_types_and_shapes_are_those_of_openvino(
    parameters: list[tuple[str, list[str] | None, set[str]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    made, results = [], []
    taken: set[str] = set()
    for index, (element, dims, names) in enumerate(parameters):
        shape = "..." if dims is None else f"[{','.join(dims)}]"
        made.append(ops.parameter(ov.PartialShape(shape), getattr(ov.Type, element), name=f"layer {index}"))
        if fresh := names - taken:
            made[-1].output(0).tensor.set_names(fresh)
            taken |= fresh
        results.append(ops.result(ops.shape_of(made[-1]) if index % 2 else made[-1]))
    path = tmp_path_factory.mktemp("ov") / "model.xml"
    ov.save_model(ov.Model(results, made, "any"), path, compress_to_fp16=False)
    check(path)


# Files that nobody's exporter writes today, but OpenVINO reads


def net(layers: str, edges: str = "", version: int = 11, rest: str = "") -> str:
    return (
        f'<?xml version="1.0"?><net name="n" version="{version}"><layers>{layers}</layers>'
        f"<edges>{edges}</edges>{rest}</net>"
    )


def parameter(layer: int, name: str, shape: str = "2", element: str = "f32", names: str | None = None) -> str:
    named = "" if names is None else f' names="{names}"'
    return (
        f'<layer id="{layer}" name="{name}" type="Parameter" version="opset1"><data shape="{shape}" '
        f'element_type="{element}"/><output><port id="0" precision="FP32"{named}><dim>2</dim></port></output></layer>'
    )


def relu(layer: int, name: str, names: str = "") -> str:
    port = '<port id="{}" precision="FP32"{}><dim>2</dim></port>'
    named = f' names="{names}"' if names else ""
    return (
        f'<layer id="{layer}" name="{name}" type="ReLU" version="opset1"><input>{port.format(0, "")}</input>'
        f"<output>{port.format(1, named)}</output></layer>"
    )


def result(layer: int, name: str = "r", names: str | None = None) -> str:
    named = "" if names is None else f' output_names="{names}"'
    return (
        f'<layer id="{layer}" name="{name}" type="Result" version="opset1"{named}><input>'
        '<port id="0" precision="FP32"><dim>2</dim></port></input></layer>'
    )


def edge(source: int, port: int, target: int) -> str:
    return f'<edge from-layer="{source}" from-port="{port}" to-layer="{target}" to-port="0"/>'


CHAIN = edge(0, 0, 1) + edge(1, 1, 2)
FILES = {
    "layers in any order": net(
        result(9, "r9") + relu(3, "z") + parameter(5, "p5") + parameter(1, "p1", names="bb,aa") + result(7, "r7"),
        edge(1, 0, 3) + edge(3, 1, 9) + edge(5, 0, 7),
    ),
    "names of the port before a result": net(parameter(0, "p", names="x") + relu(1, "l", "s2,s1") + result(2), CHAIN),
    "a result's own names": net(parameter(0, "p", names="x") + relu(1, "l", "s") + result(2, "r", "o2,o1"), CHAIN),
    "no names": net(parameter(0, "p") + relu(1, "l") + result(2), CHAIN),
    "empty names": net(parameter(0, "p", names="") + relu(1, "l") + result(2, "r", ""), CHAIN),
    "commas and blanks in names": net(parameter(0, "p", names="x\\,y, z,,q") + result(2), edge(0, 0, 2)),
    "version 10": net(parameter(0, "p", names="x") + relu(1, "l", "s2,s1") + result(2, "r", "o"), CHAIN, 10),
    "version 10 without names": net(parameter(0, "p") + relu(1, "l") + result(2), CHAIN, 10),
    "edges before layers": net("", "").replace(
        "<layers></layers><edges></edges>",
        f"<edges>{edge(0, 0, 2)}</edges><layers>{parameter(0, 'p')}{result(2)}</layers>",
    ),
    "a byte order mark": "\ufeff" + net(parameter(0, "p") + result(2), edge(0, 0, 2)),
    "a comment first": "<!-- x -->" + net(parameter(0, "p") + result(2), edge(0, 0, 2)).partition("?>")[2],
    "an element type in capitals": net(parameter(0, "p", element="F32") + result(2), edge(0, 0, 2)),
    **{
        f"the shape {shape!r}": net(parameter(0, "p", shape=shape) + result(2), edge(0, 0, 2))
        for shape in (
            "",
            "?",
            "-1",
            "...",
            "..",
            "..8",
            "1..",
            "1..8",
            "0..",
            "8..8",
            "5..3",
            "[2]",
            " 2 , 3 ",
            "?,?",
            "0",
        )
    },
}


@pytest.mark.parametrize("case", FILES)
def test_files_of_any_writer_agree(case: str, tmp_path: Path) -> None:
    path = tmp_path / "m.xml"
    path.write_text(FILES[case], encoding="utf-8")
    path.with_suffix(".bin").touch()
    check(path)


def test_a_port_among_several_has_a_name_of_its_own_in_version_10(tmp_path: Path) -> None:
    split = (
        '<layer id="1" name="sp" type="Split" version="opset1"><data num_splits="2"/><input><port id="0" '
        'precision="FP32"><dim>2</dim></port><port id="1" precision="I64"/></input><output><port id="2" '
        'precision="FP32"><dim>1</dim></port><port id="3" precision="FP32"><dim>1</dim></port></output></layer>'
        '<layer id="7" name="ax" type="Const" version="opset1"><data element_type="i64" shape="" offset="0" size="8"/>'
        '<output><port id="0" precision="I64"/></output></layer>'
    )
    edges = edge(0, 0, 1) + edge(7, 0, 1).replace('to-port="0"', 'to-port="1"') + edge(1, 3, 2) + edge(1, 2, 3)
    path = tmp_path / "m.xml"
    text = net(parameter(0, "p") + split + result(2, "r") + result(3, "s"), edges, 10)
    path.write_text(
        text.replace(
            '<dim>2</dim></port></input></layer><layer id="3"', '<dim>1</dim></port></input></layer><layer id="3"'
        )
    )
    path.with_suffix(".bin").write_bytes(bytes(8))
    assert [it.name for it in derive_signature(path).outputs] == ["sp.1", "sp.0"]
    assert [it.get_any_name() for it in ov.Core().read_model(path).outputs] == ["sp.1", "sp.0"]


REFUSED = {
    "a document type": ('<!DOCTYPE net [<!ENTITY a "b">]><net version="11"/>', "no model file"),
    "an entity inside": ('<net version="11"><layers>&x;</layers></net>', "undefined entity"),
    "an old version": (net(parameter(0, "p") + result(2), edge(0, 0, 2), 7), "version 7"),
    "a new version": (net(parameter(0, "p") + result(2), edge(0, 0, 2), 12), "version 12"),
    "no layers": (net(""), "neither"),
    "two sections": (net(parameter(0, "p") + "</layers><layers>" + result(2)), "one section of layers"),
    "one id twice": (net(parameter(0, "p") + parameter(0, "q")), "id once"),
    "another element type": (net(parameter(0, "p", element="f33")), "f33"),
    "a shape of words": (net(parameter(0, "p", shape="a")), "a dimension such as"),
    "too many dimensions": (net(parameter(0, "p", shape=",".join("?" * 99))), "at most 64"),
    "deep nesting": ('<net version="11"><layers>' + "<a>" * 300, "200 deep"),
    "an end too soon": (net(parameter(0, "p"))[:-20], "well-formed"),
    "another encoding": ('<?xml version="1.0" encoding="UTF-16"?>' + net("").partition("?>")[2], "UTF-8|no model"),
    "two documents": (
        net(parameter(0, "p"), rest='<rt_info><module_info value="{}"/><module_info value="{}"/></rt_info>'),
        "one signature document",
    ),
    "endless names": (net(parameter(0, "p", names="a," * 40_000)), "at most 65536 characters"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_says_why(case: str) -> None:
    text, says = REFUSED[case]
    with pytest.raises(ArtifactError, match=says):
        read_signature(MemorySource(text.encode(), "model.xml"))


def test_other_xml_is_not_taken_for_a_model() -> None:
    for text in ("<html/>", "<net/>", "<?xml version='1.0'?><PMML version='4'/>", "<", "", "<net version='11'"):
        assert not reader.match(MemorySource(text.encode()))


# Liveness


def branches(*, stateful: bool = True) -> Any:
    """Inputs that only a branch, a loop, a state (which the CPU plug-in cannot run alone) or nothing uses."""
    names = ("cond", "then", "looped", "stored", "dead", "dead_after_all")
    cond = ops.parameter([], ov.Type.boolean, name="cond")
    rest = [ops.parameter([2], ov.Type.f32, name=name) for name in names[1:]]
    then, looped, stored, dead, after = rest
    inner = ops.parameter([2], ov.Type.f32)
    other = ops.parameter([2], ov.Type.f32)
    choice = ops.if_op(cond)
    choice.set_then_body(ov.Model([ops.result(ops.relu(inner))], [inner]))
    choice.set_else_body(ov.Model([ops.result(ops.negative(other))], [other]))
    choice.set_input(then.output(0), inner, other)
    chosen = choice.set_output(choice.get_function(0).get_results()[0], choice.get_function(1).get_results()[0])
    body_in = ops.parameter([2], ov.Type.f32)
    body_out = ops.result(ops.add(body_in, body_in))
    loop = ops.tensor_iterator()
    loop.set_body(ov.Model([body_out], [body_in]))
    loop.set_merged_input(body_in, looped.output(0), body_out.output(0))
    iterated = loop.get_iter_value(body_out.output(0), -1)
    kept = [ops.assign(ops.read_value(stored, "state", ov.Type.f32, [2]), "state")] if stateful else []
    ops.relu(after)
    results = [ops.result(chosen), ops.result(iterated)]
    for node, name in zip((cond, *rest), names, strict=True):
        node.output(0).tensor.set_names({name})
    del dead
    return ov.Model(results, kept, [cond, *rest], "branches")


def test_liveness_counts_branches_loops_and_state(tmp_path: Path) -> None:
    path = tmp_path / "m.xml"
    ov.save_model(branches(), path, compress_to_fp16=False)
    live = {it.name: it.live for it in check(path).inputs}
    assert live == {
        "cond": Live.YES,
        "then": Live.YES,
        "looped": Live.YES,
        "stored": Live.YES,
        "dead": Live.NO,
        "dead_after_all": Live.NO,
    }


def test_a_dead_input_never_changes_an_output(tmp_path: Path) -> None:
    path = tmp_path / "m.xml"
    ov.save_model(branches(stateful=False), path, compress_to_fp16=False)
    signature = read_signature(path)
    compiled = ov.Core().compile_model(path, "CPU")
    usual: dict[str, Any] = {it.name: np.ones(2, np.float32) for it in signature.inputs}
    usual["cond"] = np.array(True)
    scores = list(compiled(usual).values())
    for value in signature.inputs:
        changed = {**usual, value.name: ~usual["cond"] if value.name == "cond" else usual[value.name] * -5}
        others = list(compiled(changed).values())
        if value.live is Live.NO:
            assert all((a == b).all() for a, b in zip(scores, others, strict=True)), value.name


# Documents


TEXTS = ("\"<>&'", "é \u2028 x", "  two  blanks ")


@pytest.mark.parametrize("rest", ["", "<rt_info/>", "<rt_info></rt_info>", '<rt_info><x value="1"/></rt_info>'])
@pytest.mark.parametrize("version", [10, 11])
def test_openvino_loads_the_file_and_shows_the_document(rest: str, version: int, tmp_path: Path) -> None:
    path = tmp_path / "m.xml"
    path.write_text(net(parameter(0, "p") + relu(1, "l") + result(2), CHAIN, version, rest))
    path.with_suffix(".bin").touch()
    sizes = []
    for text in (*TEXTS, TEXTS[-1]):
        document = json.dumps({"input_names": [text], "output_names": []}, ensure_ascii=False)
        reader.embed(str(path), document.encode())
        assert reader.declared(MemorySource(path.read_bytes())) == document.encode()
        model = ov.Core().read_model(path)
        assert model.get_rt_info(["module_info"]).astype(str) == document
        sizes.append(path.stat().st_size)
    assert sizes[-1] == sizes[-2]
    assert 'value="1"' in path.read_text() or "x value" not in rest
    assert sorted(it.name for it in tmp_path.iterdir()) == ["m.bin", "m.xml"]


def test_embedding_what_was_derived_declares_it(tmp_path: Path) -> None:
    path = tmp_path / "m.xml"
    ov.save_model(branches(), path, compress_to_fp16=False)
    weights = path.with_suffix(".bin").read_bytes()
    derived = read_signature(path)
    for _ in range(2):
        assert embed_signature(path, derived) == str(path)
    read = read_signature(path)
    assert read.digest == derived.digest
    assert read.provenance.learned == "declared"
    assert path.with_suffix(".bin").read_bytes() == weights
    assert [it.live for it in read.inputs] == [it.live for it in derived.inputs]
    assert len(ov.Core().read_model(path).inputs) == len(read.inputs)


def test_names_of_a_resaved_model_keep_the_document(tmp_path: Path) -> None:
    path = tmp_path / "m.xml"
    ov.save_model(branches(), path, compress_to_fp16=False)
    embed_signature(path, read_signature(path))
    again = tmp_path / "again.xml"
    ov.save_model(ov.Core().read_model(path), again, compress_to_fp16=False)
    assert read_signature(again).provenance.learned == "declared"
