"""TensorFlow Lite models, read without TensorFlow, agree with its interpreter; dead inputs change nothing."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.artifacts import derive_signature, embed_signature, read_signature
from trimtab.errors import ArtifactError, ContradictionError
from trimtab.signature.document import FILE_NAME
from trimtab.signature.dtypes import DType, dtype_of
from trimtab.signature.model import EntryPoint, Input, Learned, Live, Output, Quantization, Signature
from trimtab.signature.types import Opaque, Tensor
from trimtab.source.bytes import LocalFile, MemorySource

pytest.importorskip("tensorflow")

import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema
from tflite_models import MODELS

pytestmark = pytest.mark.filterwarnings(r"ignore:\s+Warning. tf.lite.Interpreter is deprecated:UserWarning")

NAMES = [each.__name__ for each in MODELS]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tflite")
    paths = {}
    for make in MODELS:
        paths[make.__name__] = folder / f"{make.__name__}.tflite"
        paths[make.__name__].write_bytes(make(folder / f"{make.__name__}_saved"))
    return paths


def interpreter(content: bytes) -> Any:
    return tf.lite.Interpreter(model_content=content)


def edited(content: bytes, edit: Callable[[Any], None]) -> bytes:
    """The model with something changed by hand."""
    import flatbuffers

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    edit(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def read(content: bytes) -> Signature:
    return read_signature(MemorySource(content, "model.tflite"))


# Agreement


def check_value(value: Input | Output, details: dict[str, Any]) -> None:
    dtype = details["dtype"]
    wanted = DType.BYTES if dtype is np.bytes_ else dtype_of("tensorflow", np.dtype(dtype).name)
    assert isinstance(value.type, Tensor)
    assert value.type.dtype is wanted
    sizes = [
        int(size) for size in (details["shape_signature"] if len(details["shape_signature"]) else details["shape"])
    ]
    if value.type.shape is None:
        assert sizes == []  # which is all that an interpreter says of a tensor of unknown rank
    else:
        assert value.type.shape == tuple(None if size == -1 else size for size in sizes)
    scale, zero = details["quantization"]
    assert value.quantization == (Quantization(scale=float(scale), zero_point=int(zero)) if scale else None)
    assert not value.doc


def check(signature: Signature, content: bytes) -> None:
    oracle = interpreter(content)
    stated = oracle.get_signature_list()
    assert {it.name for it in signature.entry_points} == (set(stated) or {"main"})
    for key, names in stated.items():
        runner = oracle.get_signature_runner(key)
        entry_point = signature.entry_point(key)
        for values, wanted, details in (
            (entry_point.overloads[0].inputs, names["inputs"], runner.get_input_details()),
            (entry_point.overloads[0].outputs, names["outputs"], runner.get_output_details()),
        ):
            assert sorted(it.name for it in values) == wanted == sorted(details)
            for value in values:
                check_value(value, details[value.name])
    if not stated:
        for values, details in (
            (signature.inputs, oracle.get_input_details()),
            (signature.outputs, oracle.get_output_details()),
        ):
            for value, wanted in zip(values, details, strict=True):
                check_value(value, wanted)


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_the_interpreter(models: dict[str, Path], name: str) -> None:
    signature = read_signature(models[name])
    assert signature.provenance.format == "tflite"
    assert signature.provenance.producer == f"tensorflow {tf.__version__}"
    assert signature.provenance.learned is Learned.DERIVED
    check(signature, models[name].read_bytes())


def test_agrees_with_the_corpus(corpus: Path) -> None:
    for path in sorted((corpus / "formats").glob("*.tflite")):
        oracle = json.loads(path.with_name(f"{path.name}.oracle.json").read_text())
        signature = read_signature(path)
        assert signature.provenance.producer == f"tensorflow {oracle['by']['tensorflow']}"
        for key in oracle["signatures"]:
            entry_point = signature.entry_point(key)
            check_named(entry_point.overloads[0].inputs, oracle["sig_inputs"][key])
            check_named(entry_point.overloads[0].outputs, oracle["sig_outputs"][key])
        if not oracle["signatures"]:
            check_named(signature.inputs, {it["tensor"]: it for it in oracle["inputs"]})
            check_named(signature.outputs, {it["tensor"]: it for it in oracle["outputs"]})


def check_named(values: tuple[Input, ...] | tuple[Output, ...], stated: dict[str, Any]) -> None:
    assert {it.name: it.type for it in values} == {
        name: Tensor(dtype_of("tensorflow", it["dtype"]), tuple(None if size == -1 else size for size in it["shape"]))
        for name, it in stated.items()
    }


def test_an_unknown_rank_is_told_from_a_scalar(models: dict[str, Path]) -> None:
    shapes = {it.name: it.type.shape for it in read_signature(models["shapes"]).inputs if isinstance(it.type, Tensor)}
    assert shapes == {"scalar": (), "any_rank": None, "open": (None, None, 3), "empty": (0, 2), "one": (1,)}

    def as_before_2023(model: Any) -> None:
        for tensor in model.subgraphs[0].tensors:
            tensor.hasRank = False

    old = read(edited(models["shapes"].read_bytes(), as_before_2023))
    assert {it.name: it.type for it in old.inputs}["scalar"] == Tensor(DType.FLOAT32, ())


def test_the_default_is_serving_default_or_the_first(models: dict[str, Path]) -> None:
    signature = read_signature(models["several"])
    assert signature.default_entry_point == signature.entry_points[0].name
    content = edited(
        models["several"].read_bytes(),
        lambda model: setattr(model.signatureDefs[-1], "signatureKey", "serving_default"),
    )
    assert read(content).default_entry_point == "serving_default"


# Tensors without signatures


def test_tensors_without_names_of_their_own_are_counted(models: dict[str, Path]) -> None:
    def rename(model: Any) -> None:
        graph = model.subgraphs[0]
        for index, name in zip(
            (*graph.inputs, *graph.outputs), ("", "same", "same", "out", "output_1", "out"), strict=False
        ):
            graph.tensors[index].name = name

    signature = read(edited(models["without_signatures"].read_bytes(), rename))
    assert signature.default_entry_point == "main"
    assert len(set(signature.input_names)) == len(signature.inputs) == 3
    assert len(set(signature.output_names)) == len(signature.outputs)
    assert signature.input_names[1:] == ("input_1", "input_2")


# Liveness

LIVE = {
    "dead": {"a": Live.YES, "b": Live.NO, "c": Live.YES},
    "control": {"x": Live.YES, "choose": Live.YES, "other": Live.YES, "times": Live.YES, "unused": Live.NO},
    "nested": dict.fromkeys(("first", "second", "third", "choose"), Live.YES),
    "table": {"key": Live.YES, "unused": Live.NO},
    "shapes": {"scalar": Live.YES, "any_rank": Live.YES, "open": Live.YES, "empty": Live.NO, "one": Live.YES},
    "custom": {"x": Live.YES, "unused": Live.NO},
    "recurrent": {"sequence": Live.YES, "state": Live.YES, "unused": Live.NO},
    "quantized": {"x": Live.YES},
}


@pytest.mark.parametrize("name", LIVE)
def test_live_and_dead_inputs(models: dict[str, Path], name: str) -> None:
    assert {it.name: it.live for it in read_signature(models[name]).inputs} == LIVE[name]


def test_what_is_written_to_a_variable_is_used(models: dict[str, Path]) -> None:
    signature = read_signature(models["state"])
    live = {it.name: {each.name: each.live for each in it.overloads[0].inputs} for it in signature.entry_points}
    assert live == {
        "add": {"more": Live.YES, "back": Live.YES},
        "get": {},
        "scale": {"x": Live.YES, "y": Live.NO},
    }


def sample(value: Input, generator: random.Random) -> Any:
    assert isinstance(value.type, Tensor)
    assert value.type.shape is not None
    shape = [3 if size is None else size for size in value.type.shape]
    numbers = np.array([generator.randint(0, 5) for _ in range(int(np.prod(shape)))], "int32").reshape(shape)
    return tf.cast(numbers, str(value.type.dtype)).numpy()


@pytest.mark.parametrize("name", ["dead", "control", "nested", "table", "state", "recurrent"])
def test_changing_a_dead_input_changes_no_output(models: dict[str, Path], name: str) -> None:
    generator = random.Random(name)
    for entry_point in read_signature(models[name]).entry_points:
        inputs = entry_point.overloads[0].inputs
        for _ in range(5):
            values = {it.name: sample(it, generator) for it in inputs}
            changed = {it.name: sample(it, generator) if it.live is Live.NO else values[it.name] for it in inputs}
            first, second = (outputs_of(models[name], entry_point, each) for each in (values, changed))
            assert all(np.array_equal(first[key], second[key]) for key in first)


def test_changing_a_live_input_changes_an_output(models: dict[str, Path]) -> None:
    """Each of these is seen to matter: were it called dead, the law above would break."""
    for name in ("dead", "control", "nested", "table", "recurrent"):
        generator = random.Random(name)
        entry_point = read_signature(models[name]).entry_point()
        for value in entry_point.overloads[0].inputs:
            if value.live is Live.YES:
                assert any(matters(models[name], entry_point, value, generator) for _ in range(30)), value.name


def matters(path: Path, entry_point: EntryPoint, value: Input, generator: random.Random) -> bool:
    values = {it.name: sample(it, generator) for it in entry_point.overloads[0].inputs}
    first = outputs_of(path, entry_point, values)
    second = outputs_of(path, entry_point, {**values, value.name: sample(value, generator)})
    return any(not np.array_equal(first[key], second[key]) for key in first)


def outputs_of(path: Path, entry_point: EntryPoint, values: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = interpreter(path.read_bytes()).get_signature_runner(entry_point.name)(**values)
    return result


def operator(code: int, reads: list[int], writes: list[int], model: Any) -> Any:
    made = schema.OperatorT()
    kind = schema.OperatorCodeT()
    kind.builtinCode = code
    kind.deprecatedBuiltinCode = min(code, 127)
    model.operatorCodes.append(kind)
    made.opcodeIndex = len(model.operatorCodes) - 1
    made.inputs, made.outputs = reads, writes
    return made


def test_an_operator_that_leads_nowhere_may_still_fail(models: dict[str, Path]) -> None:
    """It is run, and an error is an effect: so what it reads is neither dead nor known to be live."""

    def add_negation(model: Any) -> None:
        graph = model.subgraphs[0]
        (unused,) = (it.tensorIndex for it in model.signatureDefs[0].inputs if it.name == b"b")
        graph.tensors.append(graph.tensors[unused])
        graph.operators.append(operator(schema.BuiltinOperator.NEG, [unused], [len(graph.tensors) - 1], model))

    signature = read(edited(models["dead"].read_bytes(), add_negation))
    assert {it.name: it.live for it in signature.inputs} == {"a": Live.YES, "b": Live.UNKNOWN, "c": Live.YES}


def test_subgraphs_that_run_themselves_say_nothing(models: dict[str, Path]) -> None:
    def recurse(model: Any) -> None:
        for graph in model.subgraphs:
            for each in graph.operators:
                if each.builtinOptionsType == schema.BuiltinOptions.WhileOptions:
                    each.builtinOptions.bodySubgraphIndex = 0

    signature = read(edited(models["control"].read_bytes(), recurse))
    assert {it.live for it in signature.inputs} == {Live.UNKNOWN}


# Documents


def test_a_document_goes_behind_and_the_interpreter_does_not_mind(models: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(models["dead"].read_bytes())
    signature = read_signature(path)
    for _ in range(2):
        assert embed_signature(path, signature) == str(path)
        again = read_signature(path)
        assert again.provenance.learned is Learned.DECLARED
        assert again.digest == signature.digest
        check(again, path.read_bytes())
    assert path.read_bytes().startswith(models["dead"].read_bytes())
    entry_point = signature.entry_point()
    values = {it.name: sample(it, random.Random(0)) for it in signature.inputs}
    first, second = (outputs_of(each, entry_point, values) for each in (path, models["dead"]))
    assert all(np.array_equal(first[key], second[key]) for key in first)


def test_associated_files_stay(models: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(models["table"].read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", "cat\ndog\n")
    embed_signature(path, read_signature(path))
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        assert archive.read("labels.txt") == b"cat\ndog\n"
        assert json.loads(archive.read(FILE_NAME))["input_names"] == list(read_signature(path).input_names)


def test_a_document_of_another_model_is_refused(models: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(models["dead"].read_bytes())
    with pytest.raises(ContradictionError):
        embed_signature(path, read_signature(models["table"]))
    assert path.read_bytes() == models["dead"].read_bytes()


# Metadata of TFLite's own tools


def described() -> bytes:
    """What tflite-support writes: a name, a description and statistics for each tensor of the main subgraph."""
    import flatbuffers

    builder = flatbuffers.Builder(0)

    def vector(offsets: list[int]) -> int:
        builder.StartVector(4, len(offsets), 4)
        for each in reversed(offsets):
            builder.PrependUOffsetTRelative(each)
        return int(builder.EndVector())

    def table(fields: dict[int, int]) -> int:
        builder.StartObject(9)
        for slot, offset in fields.items():
            builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
        return int(builder.EndObject())

    def numbers(value: float) -> int:
        builder.StartVector(4, 1, 4)
        builder.PrependFloat32(value)
        return int(builder.EndVector())

    stats = table({0: numbers(9.5), 1: numbers(-1.0)})
    tensors = [
        table({0: builder.CreateString(name), 1: builder.CreateString("what it is"), 5: stats})
        for name in ("one", "two")
    ]
    graph = table({2: vector(tensors), 3: vector(tensors[:1])})
    builder.Finish(table({3: vector([graph])}), file_identifier=b"M001")
    return bytes(builder.Output())


def test_what_metadata_tools_say_of_tensors_is_kept(models: dict[str, Path]) -> None:
    def describe(content: bytes) -> Callable[[Any], None]:
        def add(model: Any) -> None:
            buffer, metadata = schema.BufferT(), schema.MetadataT()
            buffer.data = list(content)
            model.buffers.append(buffer)
            metadata.name, metadata.buffer = "TFLITE_METADATA", len(model.buffers) - 1
            model.metadata.append(metadata)

        return add

    plain = models["without_signatures"].read_bytes()
    signature = read(edited(plain, describe(described())))
    assert [it.doc for it in signature.inputs] == [
        "one: what it is: seen from -1 to 9.5",
        "two: what it is: seen from -1 to 9.5",
        "",
    ]
    assert signature.digest == read(plain).digest
    assert read(edited(plain, describe(described()[:40]))).digest == read(plain).digest


# What is refused


def set_version(model: Any) -> None:
    model.version = 2


def drop_subgraphs(model: Any) -> None:
    model.subgraphs = []


def point_nowhere(model: Any) -> None:
    model.signatureDefs[0].inputs[0].tensorIndex = 999


def point_to_no_subgraph(model: Any) -> None:
    model.signatureDefs[0].subgraphIndex = 7


def name_twice(model: Any) -> None:
    model.signatureDefs[0].inputs[1].name = model.signatureDefs[0].inputs[0].name


def sign_twice(model: Any) -> None:
    model.signatureDefs.append(model.signatureDefs[0])


def invent_a_type(model: Any) -> None:
    for tensor in model.subgraphs[0].tensors:
        tensor.type = 77


def give_nothing(model: Any) -> None:
    model.signatureDefs = []
    model.subgraphs[0].outputs = []


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (set_version, "schema version 3, got 2"),
        (drop_subgraphs, "with a subgraph"),
        (point_nowhere, "a position below"),
        (point_to_no_subgraph, "a position below"),
        (name_twice, "twice"),
        (sign_twice, "each name once"),
        (invent_a_type, "tensor type"),
        (give_nothing, "neither"),
    ],
)
def test_what_no_converter_writes_is_refused(
    models: dict[str, Path], edit: Callable[[Any], None], problem: str
) -> None:
    with pytest.raises(ArtifactError, match=problem):
        read(edited(models["dead"].read_bytes(), edit))


def test_handles_are_opaque(models: dict[str, Path]) -> None:
    def make_a_resource(model: Any) -> None:
        for tensor in model.subgraphs[0].tensors:
            tensor.type = schema.TensorType.RESOURCE

    signature = read(edited(models["dead"].read_bytes(), make_a_resource))
    assert {it.type for it in signature.inputs} == {Opaque("resource")}


def sharing(signatures: int, operators: int, inputs: int) -> bytes:
    """A small model whose signatures all share one subgraph, whose operators and tensors are one each."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)

    def vector(items: list[int], prepend: Callable[[int], None]) -> int:
        builder.StartVector(4, len(items), 4)
        for each in reversed(items):
            prepend(each)
        return int(builder.EndVector())

    def table(offsets: dict[int, int], numbers: dict[int, int]) -> int:
        builder.StartObject(14)
        for slot, offset in offsets.items():
            builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
        for slot, number in numbers.items():
            builder.PrependInt32(number)
            builder.Slot(slot)
        return int(builder.EndObject())

    def tables(offsets: list[int]) -> int:
        return vector(offsets, builder.PrependUOffsetTRelative)

    def integers(numbers: list[int]) -> int:
        return vector(numbers, builder.PrependInt32)

    tensor = table({0: integers([1]), 3: builder.CreateString("tensor")}, {})
    operation = table({1: integers([0, 1]), 2: integers([inputs])}, {})
    graph = table(
        {
            0: tables([tensor] * (inputs + 1)),
            1: integers(list(range(inputs))),
            2: integers([inputs]),
            3: tables([operation] * operators),
        },
        {},
    )
    named = tables([table({0: builder.CreateString(f"in_{at}")}, {1: at}) for at in range(inputs)])
    out = tables([table({0: builder.CreateString("out")}, {1: inputs})])
    entries = [table({0: named, 1: out, 2: builder.CreateString(f"key_{at}")}, {4: at}) for at in range(signatures)]
    parts = {1: tables([table({}, {3: 0})]), 2: tables([graph] * max(signatures, 1)), 7: tables(entries)}
    builder.Finish(table(parts, {0: 3}), file_identifier=b"TFL3")
    return bytes(builder.Output())


def test_what_is_shared_is_paid_each_time() -> None:
    assert len(read(sharing(signatures=1, operators=10, inputs=5)).inputs) == 5
    with pytest.raises(ArtifactError, match="a table of its own"):
        read(sharing(signatures=2, operators=10, inputs=5))
    with pytest.raises(ArtifactError, match="a sane number"):
        read(sharing(signatures=1, operators=30_000, inputs=65_000))
    with pytest.raises(ArtifactError, match="inputs and outputs"):
        read(sharing(signatures=1, operators=1, inputs=66_000))


def test_of_a_huge_graph_no_input_is_called_dead_or_live() -> None:
    (entry_point,) = read(sharing(signatures=1, operators=60_000, inputs=3)).entry_points
    assert {it.live for it in entry_point.overloads[0].inputs} == {Live.UNKNOWN}


@settings(max_examples=300)
@given(st.data())
def test_damage_gives_an_answer_or_our_error(models: dict[str, Path], data: st.DataObject) -> None:
    content = bytearray(models[data.draw(st.sampled_from(["control", "state", "quantized"]))].read_bytes())
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=6)):
        content[at] = data.draw(st.integers(0, 255))
    end = data.draw(st.one_of(st.just(len(content)), st.integers(8, len(content))))
    try:
        read(bytes(content[:end]))
    except ArtifactError:
        return


def test_weights_are_not_read(models: dict[str, Path], tmp_path: Path) -> None:
    def add_weights(model: Any) -> None:
        buffer = schema.BufferT()
        buffer.data = np.zeros(16 << 20, np.uint8)
        model.buffers.append(buffer)

    path = tmp_path / "big.tflite"
    path.write_bytes(edited(models["control"].read_bytes(), add_weights))
    signature = derive_signature(path)
    assert signature.digest == read_signature(models["control"]).digest
    embed_signature(path, signature)
    from trimtab.artifacts.formats import tflite

    with LocalFile(path) as source:
        assert tflite.declared(source)
        tflite.derive(source)
        assert source.bytes_read < 256 << 10
