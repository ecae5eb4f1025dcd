"""The canonical signature of SavedModels, against what TensorFlow says of the same files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trimtab import savedmodel
from trimtab.errors import ArtifactError, RefusedArtifactError
from trimtab.savedmodel.messages import classes, serialize
from trimtab.savedmodel.model import INIT_OPS
from trimtab.savedmodel.signature import signature_of
from trimtab.savedmodel.structure import OtherTypeSpec, RaggedTensorSpec, components
from trimtab.signature.document import decode_document, encode_document
from trimtab.signature.dtypes import DType, dtype_of
from trimtab.signature.model import Input, Live, Presence, Signature
from trimtab.signature.path import parse_path
from trimtab.signature.types import Literal, Opaque, Ragged, Sparse, Tensor
from trimtab.source.bytes import MemorySource

Case = tuple[str, savedmodel.SavedModel, Signature | None, dict[str, Any]]
"""Name, model, our signature (None where the model is refused) and TensorFlow's record."""


@pytest.fixture(scope="module")
def cases(saved_model_corpus: list[Path]) -> list[Case]:
    if not saved_model_corpus:
        pytest.skip("no recorded SavedModels here; set TRIMTAB_CORPUS to the shared corpus")
    found = []
    for folder in saved_model_corpus:
        model = savedmodel.load(folder / "model")
        try:
            signature: Signature | None = signature_of(model)
        except RefusedArtifactError:
            signature = None
        found.append((folder.name, model, signature, json.loads((folder / "oracle.json").read_text())))
    return found


def test_signatures_are_the_entry_points_with_the_names_dtypes_and_shapes_of_tensorflow(cases: list[Case]) -> None:
    for name, model, signature, oracle in cases:
        serving = oracle["meta_graphs"][model.meta_graphs.index(model.meta_graph)]
        definitions = {key: it for key, it in serving["signature_defs"].items() if key not in INIT_OPS}
        if not definitions or signature is None:
            assert not definitions, name
            continue
        assert {each.name for each in signature.entry_points} == set(definitions), name
        for entry_point in signature.entry_points:
            theirs = definitions[entry_point.name]
            [overload] = entry_point.overloads
            assert {it.name: described(it.type) for it in overload.inputs} == {
                key: expected(info) for key, info in theirs["inputs"].items()
            }, (name, entry_point.name)
            assert {it.name: described(it.type) for it in overload.outputs} == {
                key: expected(info) for key, info in theirs["outputs"].items()
            }, (name, entry_point.name)
            assert {it.name for it in overload.inputs if it.presence is Presence.DEFAULT} == set(theirs["defaults"])


def test_signatures_take_the_keywords_that_tensorflow_has_when_it_has_loaded_them(cases: list[Case]) -> None:
    for name, _, signature, oracle in cases:
        for key, theirs in (oracle.get("loaded_signatures") or {}).items():
            assert signature is not None, name
            [overload] = signature.entry_point(key).overloads
            if not any(isinstance(it.type, Sparse) for it in overload.inputs):  # TF2 takes those apart
                assert [it.name for it in overload.inputs] == theirs["arg_keywords"], (name, key)


def test_functions_are_the_entry_points_of_a_model_without_signatures(cases: list[Case]) -> None:
    for name, model, signature, oracle in cases:
        if model.signatures or signature is None:
            continue
        theirs = {
            path.removeprefix("root."): it for path, it in (oracle.get("functions") or {}).items() if it["concrete"]
        }
        names = {each.name for each in signature.entry_points}
        assert names <= set(theirs) | {path.removeprefix("root.") for path in oracle["bare_functions"]}, name
        for path in set(theirs) - names:
            assert "_" in (part[0] for part in path.split(".")), (name, path)
        for entry_point in signature.entry_points:
            if entry_point.name in theirs:
                concrete = theirs[entry_point.name]["concrete"]
                assert [each.name for each in entry_point.overloads] == [it["name"] for it in concrete]
                for overload, one in zip(entry_point.overloads, concrete, strict=True):
                    leaves = list(leaves_of(one["structured_input_signature"]))
                    assert sorted(facts(it) for it in overload.inputs) == sorted(map(leaf_facts, leaves)), (name, one)


def test_paths_parse_and_are_distinct(cases: list[Case]) -> None:
    for name, _, signature, _ in cases:
        for entry_point in signature.entry_points if signature is not None else ():
            for overload in entry_point.overloads:
                paths = [it.path for it in overload.inputs if it.path is not None]
                assert len(set(paths)) == len(paths), (name, entry_point.name)
                for path in paths:
                    parse_path(path)


def test_every_signature_survives_the_document(cases: list[Case]) -> None:
    for name, _, signature, _ in cases:
        if signature is not None:
            again = decode_document(encode_document(signature), name)
            assert (again, again.digest) == (signature, signature.digest), name


def described(type_: Any) -> tuple[Any, ...]:
    if isinstance(type_, Opaque):
        return ("opaque", type_.name)
    return (type(type_).__name__, type_.dtype, type_.shape)


def expected(info: dict[str, Any]) -> tuple[Any, ...]:
    shape = info["shape"] and tuple(None if size == -1 else size for size in info["shape"])
    shape = () if info["shape"] == [] else shape
    if info["encoding"] == "composite_tensor":
        kind = {"RaggedTensorSpec": "Ragged", "SparseTensorSpec": "Sparse"}[info["type_spec_class"]]
        values = info["components"][0 if kind == "Ragged" else 1]
        return (kind, dtype_of("tensorflow", values["dtype"]), ANY)
    kind = "Sparse" if info["encoding"] == "coo_sparse" else "Tensor"
    dtype = dtype_of("tensorflow", info["dtype"].removesuffix("_ref"))
    return (kind, dtype, shape) if dtype else ("opaque", info["dtype"])


class _Any:
    """Equal to whatever shape ours has: the record of a composite has the shapes of its parts only."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = object.__hash__


ANY = _Any()


def leaves_of(structure: Any) -> Any:
    """The leaves of a structured input signature as the record writes it."""
    for container in ("tuple", "list", "dict", "namedtuple", "fields"):
        if isinstance(structure, dict) and container in structure:
            inside = structure[container]
            values = inside.values() if isinstance(inside, dict) else inside
            for each in values:
                yield from leaves_of(each[1] if isinstance(each, list) and isinstance(each[0], str) else each)
            return
    yield structure


def leaf_facts(leaf: dict[str, Any]) -> str:
    if leaf.get("spec") == "TensorSpec":
        return f"{dtype_of('tensorflow', leaf['dtype'])} {leaf['shape']}"
    return leaf.get("spec", "literal")


def facts(value: Input) -> str:
    match value.type:
        case Tensor():
            return f"{value.type.dtype} {None if value.type.shape is None else list(value.type.shape)}"
        case Ragged():
            return "RaggedTensorSpec"
        case Sparse():
            return "SparseTensorSpec"
        case Literal():
            return "literal"
    return str(value.type)


PATHS = {
    ("nested", "f"): {"d": 'd["k"]', "d_1": 'd["z"]["y"]', "pair": "pair[0]", "pair_1": "pair[1]"},
    ("keras3_export", "serve"): {"alpha": 'args_0["alpha"]', "beta": 'args_0["beta"]'},
    ("composites", "sp"): {"x": "x.indices", "x_1": "x.values", "x_2": "x.dense_shape"},
    ("composites", "r"): {"x": "x.values", "x_1": "x.row_splits"},
    ("multi_sigs", "serving_default"): {"features": "x", "ids": "i"},
    ("strings", "classify"): {"text": "t"},
}


@pytest.mark.parametrize(("model", "key"), PATHS)
def test_inputs_say_where_they_sit_in_the_users_call(corpus: Path, model: str, key: str) -> None:
    inputs = signature_at(corpus, model).entry_point(key).overloads[0].inputs
    assert {it.name: it.path for it in inputs} == PATHS[model, key]


DEAD = {
    ("nested", "f"): {"pair_1"},
    ("composites", "r"): {"x_1"},
    ("shapes", "unk"): {"y"},
    ("multi_sigs", "train"): set(),
    ("tf1_style", "with_keep"): set(),
    ("keras3_export", "serving_default"): set(),
}


@pytest.mark.parametrize(("model", "key"), DEAD)
def test_inputs_that_nothing_depends_on_are_dead(corpus: Path, model: str, key: str) -> None:
    inputs = signature_at(corpus, model).entry_point(key).overloads[0].inputs
    assert {it.name for it in inputs if it.live is Live.NO} == DEAD[model, key]
    assert all(it.live is not Live.UNKNOWN for it in inputs)


def test_an_inner_tensor_may_be_fed(tmp_path: Path) -> None:
    """TF1 feeds any tensor, the second result of an operation too; what leads to it then does not count."""
    tf = pytest.importorskip("tensorflow")
    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        whole, other = v1.placeholder(tf.float32, [4], "whole"), v1.placeholder(tf.float32, [2], "other")
        first, second = tf.split(whole, 2)
        inputs = {"whole": whole, "second": second, "other": other}
        v1.saved_model.simple_save(session, str(tmp_path / "model"), inputs, {"sum": second + 1.0, "first": second})
        v1.saved_model.simple_save(session, str(tmp_path / "both"), inputs, {"sum": first + second})
    assert liveness(tmp_path / "model") == {"whole": "no", "second": "yes", "other": "no"}
    assert liveness(tmp_path / "both") == {"whole": "yes", "second": "yes", "other": "no"}


def liveness(folder: Path) -> dict[str, str]:
    with savedmodel.load(folder) as model:
        return {it.name: it.live.value for it in signature_of(model).inputs}


DEFAULTS = {"example": "capture_fn", "strings": "serving_default", "tf1_style": "serving_default", "polymorphic": "f"}


@pytest.mark.parametrize("model", DEFAULTS)
def test_the_default_entry_point(corpus: Path, model: str) -> None:
    assert signature_at(corpus, model).default_entry_point == DEFAULTS[model]


def test_where_it_comes_from(corpus: Path) -> None:
    provenance = signature_at(corpus, "example").provenance
    assert (provenance.format, provenance.producer, provenance.learned) == (
        "savedmodel",
        "TensorFlow 2.21.0",
        "derived",
    )
    [note] = signature_at(corpus, "polymorphic").provenance.notes
    assert "no signatures" in note


def test_a_default_of_a_signature_is_a_default_of_its_input(corpus: Path) -> None:
    by_name = {it.name: it for it in signature_at(corpus, "kwonly_defaults").entry_point("s").overloads[0].inputs}
    assert (by_name["y"].presence, by_name["y"].default) == (Presence.DEFAULT, Literal(7.0))
    assert by_name["x"].presence is Presence.REQUIRED


def test_traces_are_overloads_in_trial_order(corpus: Path) -> None:
    with savedmodel.load(corpus / "savedmodel" / "polymorphic" / "model") as model:
        entry_point = signature_of(model).entry_point("g")
        assert [it.name for it in entry_point.overloads] == list(model.function("g").trace_names)
    assert [it.inputs[0].type.shape for it in entry_point.overloads] == [(3,), (None,), None]


def test_frozen_literals_are_inputs_of_one_value(corpus: Path) -> None:
    """With the signatures taken away, the functions of a model show."""
    model = without_signatures(corpus / "savedmodel" / "training_flag" / "model")
    overloads = [it for each in signature_of(model).entry_points for it in each.overloads]
    literals = {(it.name, it.type.value, it.presence) for each in overloads for it in each.inputs if of_one_value(it)}
    assert {("training", True), ("training", False)} <= {(name, value) for name, value, _ in literals}
    assert {presence for _, _, presence in literals} == {Presence.REQUIRED, Presence.DEFAULT}


def of_one_value(value: Input) -> bool:
    return isinstance(value.type, Literal)


def without_signatures(path: Path) -> savedmodel.SavedModel:
    """The model with neither signature_def nor the signatures map."""
    message = classes()["SavedModel"].FromString((path / "saved_model.pb").read_bytes())
    for meta_graph in message.meta_graphs:
        meta_graph.signature_def.clear()
        root = meta_graph.object_graph_def.nodes[0]
        kept = [child for child in root.children if child.local_name != "signatures"]
        del root.children[:]
        root.children.extend(kept)
    return savedmodel.SavedModel(MemorySource(serialize(message)))


def test_strings_are_bytes(corpus: Path) -> None:
    """A tf.string holds serialized examples and images as well as text, so it is never called text."""
    [text] = signature_at(corpus, "strings").inputs
    assert text.type == Tensor(DType.BYTES, (None,))


def test_a_sparse_input_of_tf1_is_one_input(corpus: Path) -> None:
    [sparse] = signature_at(corpus, "tf1_style").entry_point("sparse").overloads[0].inputs
    assert (sparse.name, sparse.type, sparse.live) == ("sp", Sparse(DType.FLOAT32, (None, 3)), Live.YES)


def test_a_model_that_says_nothing_is_refused_with_what_to_do(corpus: Path) -> None:
    message = classes()["SavedModel"]()
    message.meta_graphs.add().meta_info_def.tags.append("serve")
    with pytest.raises(RefusedArtifactError, match="no signature and no traced function"):
        signature_of(savedmodel.SavedModel(MemorySource(serialize(message), "saved_model.pb")))


def test_of_several_meta_graphs_the_serving_one_is_read_and_the_others_are_named(corpus: Path) -> None:
    message = classes()["SavedModel"].FromString(
        (corpus / "savedmodel" / "example" / "model" / "saved_model.pb").read_bytes()
    )
    training = message.meta_graphs.add()
    training.meta_info_def.tags.extend(["train", "gpu"])
    message.meta_graphs.reverse()
    signature = signature_of(savedmodel.SavedModel(MemorySource(serialize(message))))
    assert signature.default_entry_point == "capture_fn"
    assert signature.provenance.notes == ("of 2 MetaGraphs this is the one tagged serve; the others: train, gpu",)


def test_a_signature_of_the_map_alone_is_read_from_its_wrapper(corpus: Path) -> None:
    """TF2 serves what is in the `signatures` map, whether TF1 has a SignatureDef of it or not."""
    path = corpus / "savedmodel" / "multi_sigs" / "model" / "saved_model.pb"
    message = classes()["SavedModel"].FromString(path.read_bytes())
    whole = signature_of(savedmodel.SavedModel(MemorySource(serialize(message))))
    message.meta_graphs[0].signature_def.clear()
    alone = signature_of(savedmodel.SavedModel(MemorySource(serialize(message))))
    assert {it.name: it.overloads[0].inputs for it in alone.entry_points} == {
        it.name: it.overloads[0].inputs for it in whole.entry_points
    }


@pytest.mark.parametrize("spec", [OtherTypeSpec("Bomb", 8, None, 1 << 60), RaggedTensorSpec("int32", None, 1 << 60)])
def test_a_composite_of_countless_parts_is_refused(spec: Any) -> None:
    with pytest.raises(ArtifactError, match="components"):
        components(spec)


def signature_at(corpus: Path, model: str) -> Signature:
    with savedmodel.load(corpus / "savedmodel" / model / "model") as opened:
        return signature_of(opened)
