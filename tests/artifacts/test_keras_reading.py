"""Keras models, read without Keras: every fact is the one that Keras states of the model that it saved."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras")

import keras
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.artifacts import embed_signature, read_signature
from trimtab.artifacts.formats import keras as reader
from trimtab.errors import ArtifactError, RefusedArtifactError
from trimtab.signature.document import FILE_NAME
from trimtab.signature.dtypes import DType, dtype_of
from trimtab.signature.model import Input, Learned, Live, Presence
from trimtab.signature.path import Key, parse_path
from trimtab.signature.types import Ragged, Sparse, Tensor
from trimtab.source.bytes import MemorySource

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras and NumPy 2
layers = keras.layers


def take(name: str = "x", shape: tuple[int | None, ...] = (3,), **options: Any) -> Any:
    return keras.Input(shape, name=name, **options)


def single() -> Any:
    x = take()
    return keras.Model(x, layers.Dense(1)(x))


def list_of_one() -> Any:
    x = take()
    return keras.Model([x], [layers.Dense(1)(x)])


def dict_inputs_and_outputs() -> Any:
    x, y = take("item.price"), take("user age")
    return keras.Model({"item.price": x, "user age": y}, {"score": layers.Dense(1)(x), "aux": layers.Dense(2)(y)})


def nested_structure() -> Any:
    x, y, z = take("x"), take("y"), take("z")
    together = layers.Concatenate()([x, y, z])
    return keras.Model([{"a": x, "b": [y]}, z], [together, {"t": (layers.Dense(1)(together), x)}])


def many_dtypes() -> Any:
    inputs = [
        take(dtype, (None, 2), dtype=dtype)
        for dtype in ("float16", "float32", "float64", "bfloat16", "int8", "int64", "uint8", "bool")
    ]
    return keras.Model(inputs, layers.Concatenate()([keras.ops.cast(each, "float32") for each in inputs]))


def strings() -> Any:
    x = take("word", (), dtype="string")
    return keras.Model(x, layers.StringLookup(vocabulary=["a", "b"])(x))


def sparse_and_fixed_batch() -> Any:
    x = take("sp", sparse=True, batch_size=7)
    return keras.Model(x, layers.Dense(1)(x))


def ragged() -> Any:
    x = take("rg", (None,), ragged=True)
    return keras.Model(x, layers.Rescaling(2.0)(x))


def optional_input_that_nothing_reads() -> Any:
    x, maybe = take("x"), take("maybe", (2,), dtype="float16", optional=True)
    return keras.Model([x, maybe], layers.Dense(1, name="d")(x))


def several_outputs_of_one_layer() -> Any:
    x = take("q", (5, 2))
    return keras.Model(x, layers.LSTM(3, return_state=True, name="lstm")(x))


def one_output_twice() -> Any:
    x = take()
    y = layers.Dense(2, name="d")(x)
    return keras.Model(x, [y, y, layers.Dense(1, name="e")(y)])


def operators_and_constants() -> Any:
    x, y = take("x"), take("y", dtype="int32")
    return keras.Model([x, y], x * 2 + keras.ops.sum(keras.ops.cast(y, "float32"), keepdims=True) + np.ones(3))


def shared_and_nested() -> Any:
    x = take("inner_x")
    inner = keras.Model(x, layers.Dense(3, name="dense")(x), name="inner")
    a, b = take("a"), take("b")
    return keras.Model([a, b], inner(inner(a)) + inner(b))


def sequential() -> Any:
    return keras.Sequential([take("in"), layers.Dense(2), layers.Dense(1, name="last")])


def sequential_of_a_model() -> Any:
    return keras.Sequential([single(), layers.Dense(1, name="last")])


def sequential_built_by_data() -> Any:
    model = keras.Sequential([layers.Dense(2, name="last")])
    model(np.ones((2, 3)))
    return model


def of_half_precision() -> Any:
    x = take()
    return keras.Model(x, layers.Dense(1, dtype="mixed_float16")(x))


def masked_by_nan() -> Any:
    x = take(shape=(4, 2))
    return keras.Model(x, layers.Masking(mask_value=float("nan"))(x))


def with_inputs_of_intermediate_layers() -> Any:
    x = take()
    middle = layers.Dense(4, name="middle")(x)
    return keras.Model(middle, layers.Dense(1)(middle))


class Subclass(keras.Model):
    pass


def functional_of_a_class_of_its_own() -> Any:
    x = take()
    return Subclass(x, layers.Dense(1)(x))


MODELS: list[Callable[[], Any]] = [
    single,
    list_of_one,
    dict_inputs_and_outputs,
    nested_structure,
    many_dtypes,
    strings,
    sparse_and_fixed_batch,
    ragged,
    optional_input_that_nothing_reads,
    several_outputs_of_one_layer,
    one_output_twice,
    operators_and_constants,
    shared_and_nested,
    sequential,
    sequential_of_a_model,
    sequential_built_by_data,
    of_half_precision,
    masked_by_nan,
    with_inputs_of_intermediate_layers,
    functional_of_a_class_of_its_own,
]


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_every_fact_is_that_of_keras(make: Callable[[], Any], tmp_path: Path) -> None:
    model = make()
    model.save(tmp_path / "model.keras")
    signature = read_signature(tmp_path / "model.keras")
    assert signature.provenance.producer == f"keras {keras.__version__}"
    structure = getattr(model, "_inputs_struct", model.inputs[0])
    for value, (steps, tensor) in zip(signature.inputs, flat(structure), strict=True):
        check_input(value, tensor, steps)
    results = getattr(model, "_outputs_struct", model.outputs[0])
    for output, (steps, tensor) in zip(signature.outputs, flat(results), strict=True):
        assert parse_path(output.return_path if output.path is not None else f'["{output.name}"]')[1] == steps
        assert isinstance(output.type, Tensor)
        assert output.type.dtype in (None, dtype_of("tensorflow", tensor.dtype))
        assert output.type.shape in (None, tuple(tensor.shape))
    assert len({it.name for it in signature.outputs}) == len(signature.outputs)


def flat(structure: Any, steps: tuple[Key, ...] = ()) -> list[tuple[tuple[Key, ...], Any]]:
    if isinstance(structure, dict):
        return [leaf for key, item in structure.items() for leaf in flat(item, (*steps, Key(key)))]
    if isinstance(structure, list | tuple):
        return [leaf for index, item in enumerate(structure) for leaf in flat(item, (*steps, Key(index)))]
    return [(steps, structure)]


def check_input(value: Input, tensor: Any, steps: tuple[Key, ...]) -> None:
    layer = tensor._keras_history.operation
    kind = Sparse if layer.sparse else Ragged if layer.ragged else Tensor
    assert value.type == kind(dtype_of("tensorflow", tensor.dtype), tuple(tensor.shape))
    assert parse_path(value.call_path) == ("inputs", steps)
    assert (value.presence is Presence.OPTIONAL) == value.nullable == layer.optional
    last = steps[-1].value if steps else 0
    assert value.name == (last if isinstance(last, str) else layer.name)


@pytest.mark.parametrize("name", ["keras_optional", "keras_sequential", "keras_subclass"])
def test_the_corpus(corpus: Path, name: str) -> None:
    path = corpus / "formats" / f"{name}.keras"
    oracle = json.loads(path.with_name(f"{path.name}.oracle.json").read_text())
    signature = read_signature(path)
    assert f"class {oracle['class']}" in signature.provenance.notes
    stated = [
        (it["name"], Tensor(dtype_of("tensorflow", it["dtype"]), tuple(it["shape"]))) for it in oracle["inputs"] or ()
    ]
    if stated:
        assert [(it.name, it.type) for it in signature.inputs] == stated
    else:  # of a class of its own: what it was built with
        assert {it.name: (it.type, it.learned) for it in signature.inputs} == {
            "a": (Tensor(None, (2, 3)), {"type": Learned.EXAMPLE}),
            "b": (Tensor(None, (2, 2)), {"type": Learned.EXAMPLE}),
        }
    if oracle["output_names"]:
        assert [it.name for it in signature.outputs] == oracle["output_names"]


def test_types_of_outputs_that_a_layer_takes_are_known(tmp_path: Path) -> None:
    one_output_twice().save(tmp_path / "model.keras")
    assert [(it.name, str(it.type)) for it in read_signature(tmp_path / "model.keras").outputs] == [
        ("d_0", "float32 [?, 2]"),
        ("d_1", "float32 [?, 2]"),
        ("e", "any dtype [...]"),
    ]


@pytest.mark.parametrize("make", [optional_input_that_nothing_reads, operators_and_constants, shared_and_nested])
def test_changing_a_dead_input_changes_no_output(make: Callable[[], Any], tmp_path: Path) -> None:
    model = make()
    model.save(tmp_path / "model.keras")
    live = {it.name: it.live for it in read_signature(tmp_path / "model.keras").inputs}
    ones = {it.name: np.ones((2, *it.shape[1:]), it.dtype) for it in model.inputs}
    before = np.asarray(model(ones))
    for name, value in ones.items():
        changed = np.array_equal(before, np.asarray(model({**ones, name: value * 3}))) is False
        assert live[name] is (Live.YES if changed else Live.NO)


# Models of classes of their own


class TwoArguments(keras.Model):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.dense = layers.Dense(1)

    def build(self, user_shape: Any, items_shape: Any = None) -> None:
        self.dense.build(user_shape)

    def call(self, user: Any, items: Any = None) -> Any:
        return self.dense(user)


class OneArgument(keras.Model):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.dense = layers.Dense(1)

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs["a"] if isinstance(inputs, dict) else inputs)


def test_the_shapes_that_a_model_was_built_with(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    model = TwoArguments()
    model(np.ones((2, 3)), np.ones((2, 4)))
    model.save(path)
    assert [(it.name, str(it.type)) for it in read_signature(path).inputs] == [
        ("user", "any dtype [2, 3]"),
        ("items", "any dtype [2, 4]"),
    ]
    model = OneArgument()
    model(np.ones((5, 3)))
    model.save(path)
    assert [(it.name, it.call_path, str(it.type)) for it in read_signature(path).inputs] == [
        ("inputs", "inputs", "any dtype [5, 3]")
    ]


@pytest.mark.parametrize("make", [OneArgument, lambda: keras.Sequential([layers.Dense(1)])])
@pytest.mark.filterwarnings("ignore:You are saving a model")
def test_a_model_that_was_never_built_is_refused_by_name(make: Callable[[], Any], tmp_path: Path) -> None:
    make().save(tmp_path / "model.keras")
    with pytest.raises(RefusedArtifactError, match=r"OneArgument|before it was built") as refusal:
        read_signature(tmp_path / "model.keras")
    assert "trimtab.keras.save" in refusal.value.hint


def test_what_loading_would_run_is_noted(tmp_path: Path) -> None:
    x = take()
    keras.Model(x, layers.Lambda(lambda value: value * 2)(x)).save(tmp_path / "model.keras")
    notes = read_signature(tmp_path / "model.keras").provenance.notes
    assert any("lambda" in note and "safe_mode" in note for note in notes)


# Archives made by hand


def archive(config: object, metadata: object = None, **entries: bytes) -> MemorySource:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        file.writestr("metadata.json", json.dumps(metadata or {"keras_version": "3.0.0"}))
        file.writestr("config.json", config if isinstance(config, bytes) else json.dumps(config))
        for name, data in entries.items():
            file.writestr(name, data)
    return MemorySource(target.getvalue(), "model.keras")


KERAS_2: dict[str, Any] = {
    "module": "keras.src.engine.functional",
    "class_name": "Functional",
    "config": {
        "name": "model",
        "layers": [
            {
                "class_name": "InputLayer",
                "name": name,
                "config": {"batch_input_shape": [None, 3], "dtype": "float32", "sparse": False, "name": name},
                "inbound_nodes": [],
            }
            for name in ("x", "unused")
        ]
        + [
            {
                "class_name": "Dense",
                "name": "d",
                "config": {"name": "d", "units": 1},
                "inbound_nodes": [[["x", 0, 0, {}]]],
            }
        ],
        "input_layers": [["x", 0, 0], ["unused", 0, 0]],
        "output_layers": [["d", 0, 0]],
    },
}


def test_what_keras_2_wrote_is_read() -> None:
    source = archive(KERAS_2, {"keras_version": "2.15.0"})
    assert reader.match(source)
    signature = reader.derive(source)
    assert [(it.name, str(it.type), it.live) for it in signature.inputs] == [
        ("x", "float32 [?, 3]", Live.YES),
        ("unused", "float32 [?, 3]", Live.NO),
    ]


def functional(**changes: Any) -> dict[str, Any]:
    return {**KERAS_2, "config": {**KERAS_2["config"], **changes}}


def deep(levels: int) -> Any:
    value: Any = ["x", 0, 0]
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (b"[1, 2", "expected JSON"),
        (b"\xff{}", "UTF-8"),
        (b"[]", "a JSON object"),
        (b"[" * 100_000, "JSON"),
        (b'{"config": {}, "config": {}}', "'config' twice"),
        (b'{"class_name": "\\ud800", "config": {}}', "lone surrogate"),
        ({"class_name": "X", "config": []}, "config: expected a JSON object"),
        ({"class_name": 5, "config": {}}, "class_name: expected a string"),
        (functional(layers=5), "layers: expected a list"),
        (functional(layers=[5]), "a JSON object, got 5"),
        (functional(layers=[{"config": {}}]), "a string, got nothing"),
        (functional(input_layers=5), r"\[layer, call, output\], got 5"),
        (functional(input_layers=["y", 0, 0]), "an InputLayer called 'y', got none"),
        (functional(input_layers=["d", 0, 0]), "an InputLayer called 'd', got another layer"),
        (functional(input_layers=deep(150)), "at most 100 deep"),
        (functional(output_layers=None), "got nothing"),
        (functional(layers=KERAS_2["config"]["layers"] * 2), "each name once"),
        ({"class_name": "S", "config": {"layers": {}}}, "layers: expected a list"),
        ({"class_name": "S", "config": {"layers": [{"class_name": "InputLayer", "config": {}}]}}, "a string"),
        ({"class_name": "S", "config": {}, "build_config": {"input_shape": [-1]}}, "a list of sizes"),
        ({"class_name": "S", "config": {}, "build_config": {"input_shape": "3"}}, "a list of sizes"),
        ({"class_name": "S", "config": {}, "build_config": [1]}, "a class of its own"),
        ({"class_name": "S", "config": {"layers": [{}] * 300_000}}, "at most 500000"),
    ],
)
def test_configurations_that_no_keras_wrote_are_refused(config: object, says: str) -> None:
    source = archive(config)
    assert reader.match(source)
    with pytest.raises(ArtifactError, match=says):
        reader.derive(source)


@pytest.mark.parametrize("dtype", ["float31", 5, ["float32"]])
def test_an_unknown_dtype_is_refused(dtype: object) -> None:
    layer = {"class_name": "InputLayer", "name": "x", "config": {"batch_shape": [None], "dtype": dtype}}
    with pytest.raises(ArtifactError, match=r"dtype of Keras|expected a string"):
        reader.derive(archive(functional(layers=[layer], input_layers=["x", 0, 0], output_layers=["x", 0, 0])))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.sampled_from(["x", "d", "InputLayer"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.data())
@settings(max_examples=300)
def test_any_configuration_gives_an_answer_or_an_error_of_ours(data: st.DataObject) -> None:
    config = json.loads(json.dumps(KERAS_2))
    place: Any = config
    while isinstance(place, dict | list) and place:
        keys = list(place) if isinstance(place, dict) else range(len(place))
        key = data.draw(st.sampled_from(list(keys)))
        if not isinstance(place[key], dict | list) or data.draw(st.booleans()):
            place[key] = data.draw(json_values)
            break
        place = place[key]
    try:
        signature = reader.derive(archive(config))
    except ArtifactError:
        return
    assert signature.digest


@pytest.mark.parametrize("names", [("config.json",), ("metadata.json",), ("a/config.json", "a/metadata.json"), ()])
def test_other_archives_are_none(names: tuple[str, ...]) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        file.writestr("other", b"")
        for name in names:
            file.writestr(name, b'{"keras_version": "3"}')
    assert not reader.match(MemorySource(target.getvalue()))


# Documents


@pytest.mark.parametrize("make", [dict_inputs_and_outputs, optional_input_that_nothing_reads, sequential])
def test_keras_loads_the_model_with_the_document_in_it(make: Callable[[], Any], tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    model = make()
    model.save(path)
    ones = {it.name: np.ones((2, *it.shape[1:]), it.dtype) for it in model.inputs}
    data = ones if len(ones) > 1 else next(iter(ones.values()))
    before = keras.tree.map_structure(np.asarray, model(data))
    signature = read_signature(path)
    for _ in range(2):
        embed_signature(path, signature)
    written = read_signature(path)
    assert (written.digest, written.provenance.learned) == (signature.digest, Learned.DECLARED)
    with zipfile.ZipFile(path) as file:
        assert file.namelist().count(FILE_NAME) == 1
        assert json.loads(file.read(FILE_NAME))["input_names"] == list(signature.input_names)
    loaded = keras.models.load_model(path, safe_mode=True)
    after = keras.tree.map_structure(np.asarray, loaded(data))
    keras.tree.map_structure(np.testing.assert_array_equal, before, after)


def test_a_document_says_what_the_file_cannot(tmp_path: Path) -> None:
    from msgspec.structs import replace

    path = tmp_path / "model.keras"
    single().save(path)
    signature = read_signature(path)
    overload = signature.entry_point().overloads[0]
    outputs = (replace(overload.outputs[0], type=Tensor(DType.FLOAT32, (None, 1))),)
    entry_point = replace(signature.entry_point(), overloads=(replace(overload, outputs=outputs),))
    embed_signature(path, replace(signature, entry_points=(entry_point,)))
    assert read_signature(path).outputs[0].type == Tensor(DType.FLOAT32, (None, 1))
