"""What the methods say of calls in Python: traces, feeds, mismatches, refusals; and calls in the argument language."""

from __future__ import annotations

import collections
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trimtab import savedmodel
from trimtab.errors import ArtifactError, ConversionError, TrimtabError
from trimtab.savedmodel.dispatching import Opaque, TensorValue, dispatch_call, parse_call, value_of
from trimtab.savedmodel.dispatching.parameters import parameters_of
from trimtab.savedmodel.dispatching.refusing import Raises
from trimtab.savedmodel.dispatching.values import MAX_VALUES
from trimtab.savedmodel.function_spec import CallSpec
from trimtab.savedmodel.model import SavedModel
from trimtab.savedmodel.structure import NamedTuple, RaggedTensorSpec, TensorSpec
from trimtab.source.bytes import MemorySource

Pair = collections.namedtuple("Pair", ["a", "b"])


@pytest.fixture(scope="module")
def example(corpus: Path) -> SavedModel:
    return savedmodel.load(corpus / "savedmodel" / "example" / "model")


@pytest.mark.parametrize(
    ("thing", "value"),
    [
        (np.zeros((2, 3), np.float32), TensorValue("float32", (2, 3), [[0.0] * 3] * 2, "numpy")),
        (np.float64(1.5), TensorValue("float64", (), 1.5, "scalar")),
        (np.array(["a"]), TensorValue("string", (1,), ["a"], "numpy")),
        (np.str_("a"), "a"),
        (np.zeros(5000), TensorValue("float64", (5000,), None, "numpy")),
        (Pair(1, [2]), NamedTuple("Pair", (("a", 1), ("b", [2])))),
        (collections.OrderedDict(k=(1,)), {"k": (1,)}),
        (TensorSpec("int32", (None,)), TensorValue("int32", (None,), source="symbolic")),
        (range(3), range(3)),
        (True, True),
        (b"x", b"x"),
    ],
)
def test_what_a_python_object_is_to_tensorflow(thing: Any, value: Any) -> None:
    made = value_of(thing)
    assert made == value
    assert type(made) is type(value)


def test_an_object_of_no_known_kind_is_opaque() -> None:
    assert isinstance(value_of(object()), Opaque)


@pytest.mark.parametrize("thing", [[0] * (MAX_VALUES + 1), range(10**12), np.zeros(1, "datetime64[s]")])
def test_what_cannot_be_described_is_refused(thing: Any) -> None:
    with pytest.raises(ConversionError):
        value_of(thing)


def test_a_list_within_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ConversionError, match="levels"):
        value_of(endless)


def test_the_first_trace_that_takes_the_call_runs(example: SavedModel) -> None:
    said = example.function("polymorphic_fn").dispatch(np.ones(3, np.float32))
    assert (said.position, said.allow_conversion, said.refusal) == (1, False, None)
    assert [(feed.argument, feed.dtype, feed.shape, feed.path) for feed in said.feeds] == [("x", "float32", (3,), "x")]
    assert [(each.position, each.matched) for each in said.trials] == [(0, False), (1, True)]
    assert said.trials[0].mismatch is not None
    assert said.trials[0].mismatch.kind == "rank"


def test_python_values_are_converted_in_the_second_pass(example: SavedModel) -> None:
    said = example.function("polymorphic_fn").dispatch([1, 2, 3])
    assert (said.position, said.allow_conversion) == (1, True)
    assert said.feeds[0].converted


def test_a_spec_stands_for_a_tensor_inside_a_graph(example: SavedModel) -> None:
    said = example.function("polymorphic_fn").dispatch(TensorSpec("float32", (None,)))
    assert said.position == 1


def test_captures_follow_what_is_fed(example: SavedModel) -> None:
    said = example.function("capture_fn").dispatch(2)
    assert [capture.label for capture in said.captures] == ["root.weight"]
    assert said.feeds[0].converted


@pytest.mark.parametrize(
    ("args", "kwargs", "error", "stage"),
    [
        ((), {}, "TypeError", "binding"),
        ((1.0, 2.0), {}, "TypeError", "binding"),
        ((), {"self": 1.0}, "TypeError", "binding"),
        ((np.ones(2, np.float32),), {}, "TypeError", "cast"),
        (("text",), {}, "TypeError", "cast"),
        ((RaggedTensorSpec("float32", (None, None)),), {}, "TypeError", "cast"),
    ],
)
def test_a_call_that_does_not_bind_is_refused(
    example: SavedModel, args: Any, kwargs: Any, error: str, stage: str
) -> None:
    said = example.function("capture_fn").dispatch(*args, **kwargs)
    assert said.trace is None
    assert said.refusal is not None
    assert (said.refusal.tensorflow, said.refusal.stage) == (error, stage)
    assert said.refusal.message.startswith("Binding inputs to tf.function failed due to")


@pytest.mark.parametrize(
    ("value", "error", "stage"),
    [
        ([[1.0]], "ValueError", "match"),
        ([None], "ValueError", "match"),
        (None, "ValueError", "match"),
        ({"a": 1.0}, "TypeError", "trial"),
        ([1, "a"], "TypeError", "trial"),
        ([None, 1], "TypeError", "trial"),
        (object(), "TypeError", "trial"),
    ],
)
def test_a_trial_with_a_composite_raises_where_tensorflow_finds_no_spec(
    corpus: Path, value: Any, error: str, stage: str
) -> None:
    """`r` takes ragged tensors; of anything else TensorFlow makes a spec, before it says that it does not fit."""
    said = savedmodel.load(corpus / "savedmodel" / "composites" / "model").function("r").dispatch(value)
    assert said.refusal is not None
    assert (said.refusal.tensorflow, said.refusal.stage) == (error, stage)
    assert (said.trials[-1].raised is not None) == (stage == "trial")


@pytest.mark.parametrize(
    ("kwargs", "error"),
    [
        ({"x": np.float32(1)}, None),
        ({"x": 1}, None),
        ({"x": TensorValue("float32", (2,))}, "InvalidArgumentError"),
        ({"x": TensorValue("int32", ())}, "InvalidArgumentError"),
        ({"y": 1.0}, "TypeError"),
        ({"x": "a"}, "TypeError"),
    ],
)
def test_a_signature_is_called(example: SavedModel, kwargs: dict[str, Any], error: str | None) -> None:
    said = example.signatures["capture_fn"].call(**kwargs)
    assert (said.refusal.tensorflow if said.refusal else None) == error


@pytest.mark.parametrize(
    ("call", "where"),
    [
        (None, "call"),
        ({}, "call"),
        ({"path": "f", "signature": "g"}, "call"),
        ({"path": 3}, "path"),
        ({"path": "f", "args": {}}, "args"),
        ({"path": "f", "kwargs": []}, "kwargs"),
        ({"path": "f", "args": [3]}, "args[0]"),
        ({"path": "f", "args": [{"k": "what"}]}, "args[0].k"),
        ({"path": "f", "args": [{"k": "tensor", "value": 1}]}, "args[0].dtype"),
        ({"path": "f", "args": [{"k": "tensor", "dtype": "float32", "value": [[1], 2]}]}, "args[0].value"),
        ({"path": "f", "args": [{"k": "zeros", "dtype": "float32", "shape": [-1]}]}, "args[0].shape"),
        ({"path": "f", "args": [{"k": "symbolic", "dtype": "float32", "shape": "x"}]}, "args[0].shape"),
        ({"path": "f", "args": [{"k": "ragged", "dtype": "float32", "value": 3}]}, "args[0].value"),
        ({"path": "f", "args": [{"k": "namedtuple", "items": [3]}]}, "args[0].items[0]"),
        ({"path": "f", "kwargs": {"x": {"k": "list", "items": 3}}}, "kwargs['x'].items"),
    ],
)
def test_a_malformed_call_is_refused_with_its_place(call: Any, where: str) -> None:
    with pytest.raises(ConversionError) as caught:
        parse_call(call)
    assert caught.value.where == where


def test_a_call_nested_too_deep_is_refused() -> None:
    term: dict[str, Any] = {"k": "py", "value": 1}
    for _ in range(100):
        term = {"k": "list", "items": [term]}
    with pytest.raises(ConversionError):
        parse_call({"path": "f", "args": [term]})


def test_calls_of_damaged_models_end_in_our_errors(corpus: Path) -> None:
    """Bytes changed at random: whatever is decoded, a dispatch either answers or raises an error of the family."""
    made = random.Random(7)
    folders = [each for each in sorted((corpus / "savedmodel").iterdir()) if (each / "model/saved_model.pb").exists()]
    for folder in folders:
        whole = (folder / "model" / "saved_model.pb").read_bytes()
        calls = [parse_call(call) for call in json.loads((folder / "calls.json").read_text())]
        for _ in range(40):
            damaged = bytearray(whole)
            for _ in range(made.randint(1, 6)):
                damaged[made.randrange(len(damaged))] = made.randrange(256)
            try:
                model = SavedModel(MemorySource(bytes(damaged), "damaged"))
                for call in made.sample(calls, min(4, len(calls))):
                    dispatch_call(model.meta_graph, call)
            except TrimtabError:
                pass


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        (CallSpec(args=("class",)), "ValueError"),
        (CallSpec(args=("a b", "a_b")), "ValueError"),
        (CallSpec(args=("",)), "IndexError"),
        (CallSpec(args=("x",), input_signature=(TensorSpec("int32", ()),) * 2), "TypeError"),
        (CallSpec(kwonlyargs=("k",), input_signature=(TensorSpec("int32", ()),)), "TypeError"),
    ],
)
def test_parameters_that_tensorflow_does_not_load_are_refused(spec: CallSpec, error: str) -> None:
    with pytest.raises(Raises) as caught:
        parameters_of(spec)
    assert caught.value.tensorflow == error


def test_an_absurd_ragged_rank_is_refused() -> None:
    with pytest.raises(ArtifactError):
        value_of(RaggedTensorSpec("int32", (None, None), ragged_rank=10**9))


def test_dispatch_imports_numpy_only_with_an_array(corpus: Path) -> None:
    model = corpus / "savedmodel" / "example" / "model"
    script = (
        "import sys; from trimtab import savedmodel\n"
        f"said = savedmodel.load({str(model)!r}).function('polymorphic_fn').dispatch([1.0, 2.0, 3.0])\n"
        "assert said.position == 1\n"
        "assert not {'numpy', 'tensorflow', 'google.protobuf'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env={"PYTHONPATH": ":".join(sys.path)})
