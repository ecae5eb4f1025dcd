"""The same proof for code that calls a model itself, by position and by structure: SCHEMA is what it lives by.

Keras takes a mapping for a list and a list for a mapping, and goes by the order of names when it does; torch refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from echo_models import Arrays, Field, Model
from echo_models_of_tensorflow import keras, load_keras, load_tflite, structured, tflite
from request_sending import same

from trimtab.artifacts import read_signature
from trimtab.signature.model import Signature
from trimtab.stability import Category, diff

pytestmark = pytest.mark.filterwarnings("ignore:The structure of `inputs` doesn't match:UserWarning")

Loaded = tuple[Signature, Callable[[Any], Any]]

A, B, C = (Field(name, shape=("batch", 3)) for name in "abc")
MAYBE = replace(A, name="maybe", optional=True)
AFTER, BEFORE = "z", "0"


def taking(structure: str, *inputs: Field) -> Model:
    return Model(inputs, structure=structure)


MAPPING, LIST = taking("mapping", A, B), taking("list", A, B)
REVERSED = taking("list", B, A)
ONE = {it: taking(it, A) for it in ("mapping", "list", "array")}

KERAS = [
    ("a list in another order", LIST, REVERSED, "misread", "INPUT_SAME_ORDER"),
    ("a mapping in another order", MAPPING, taking("mapping", B, A), "read", ""),
    ("a mapping of what was a list", LIST, MAPPING, "read", "INPUT_NO_MOVE"),
    ("a mapping of what was a list in another order", REVERSED, MAPPING, "misread", "INPUT_NO_MOVE"),
    ("a mapping in that order too", REVERSED, taking("mapping", B, A), "refused", "INPUT_NO_MOVE"),
    ("a list of what was a mapping", MAPPING, REVERSED, "read", "INPUT_NO_MOVE"),
    ("an array of what was a list of one", ONE["list"], ONE["array"], "read", "INPUT_NO_MOVE"),
    ("a list of what was an array", ONE["array"], ONE["list"], "read", "INPUT_NO_MOVE"),
    ("a mapping of what was an array", ONE["array"], ONE["mapping"], "read", "INPUT_NO_MOVE"),
    ("an array of what was a mapping", ONE["mapping"], ONE["array"], "read", "INPUT_NO_MOVE"),
    ("a list without its last one", LIST, ONE["list"], "refused", "INPUT_NO_DELETE"),
    ("a list without its first one", LIST, taking("list", B), "refused", "INPUT_NO_DELETE"),
    ("a mapping without its first one", MAPPING, taking("mapping", B), "misread", "INPUT_NO_DELETE"),
    ("a mapping without its last one", MAPPING, ONE["mapping"], "read", "INPUT_NO_DELETE"),
    ("a list with one more", LIST, taking("list", A, B, C), "refused", "INPUT_NO_ADD_REQUIRED"),
    ("a list with an optional one first", LIST, taking("list", MAYBE, A, B), "refused", "INPUT_SAME_ORDER"),
    (
        "another name in a list",
        LIST,
        taking("list", A, replace(C, key="b")),
        "read",
        "INPUT_NO_DELETE INPUT_NO_ADD_REQUIRED",
    ),
]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Model], Loaded]:
    """Saves each model once."""
    made: dict[Model, Loaded] = {}

    def of(model: Model) -> Loaded:
        if model not in made:
            folder: Path = tmp_path_factory.mktemp("keras")
            made[model] = keras(model, folder).signature, load_keras(folder / "model.keras")
        return made[model]

    return of


@pytest.mark.parametrize(("before", "after", "outcome", "rules"), [pytest.param(*row[1:], id=row[0]) for row in KERAS])
def test_schema_counts_what_code_that_calls_a_keras_model_feels(
    loaded: Callable[[Model], Loaded], before: Model, after: Model, outcome: str, rules: str
) -> None:
    (was, old), (now, new) = loaded(before), loaded(after)
    arrays = some(before)
    assert felt(called(old, structured(before, arrays)), called(new, structured(before, arrays))) == outcome
    changes = diff(was, now, Category.SCHEMA)
    found = {change.rule for change in changes if not change.rule.startswith("OUTPUT_")}
    assert found == set(rules.split())
    assert outcome == "read" or found


@pytest.mark.parametrize("name", [AFTER, BEFORE])
def test_keras_takes_what_it_does_not_know_for_what_it_does_and_trimming_helps(
    loaded: Callable[[Model], Loaded], name: str
) -> None:
    """Of a mapping it takes as many values as it has inputs, in the order of their names."""
    signature, model = loaded(MAPPING)
    arrays = some(MAPPING)
    meant = called(model, arrays)
    surplus = {**arrays, name: np.full((2, 3), 9, "float32")}
    assert felt(meant, called(model, surplus)) == ("misread" if name == BEFORE else "read")
    trimmed = {each: array for each, array in surplus.items() if each in signature.allowlist}
    assert felt(meant, called(model, trimmed)) == "read"


def test_keras_wants_none_for_an_optional_input_that_is_not_there(loaded: Callable[[Model], Loaded]) -> None:
    """So whoever calls a model for a request that leaves it out says so: the request itself may."""
    was, _ = loaded(MAPPING)
    now, model = loaded(taking("mapping", A, B, MAYBE))
    arrays = some(MAPPING)
    assert called(model, arrays) is None
    assert called(model, {**arrays, "maybe": None}) is not None
    assert diff(was, now, Category.FEED) == []


@pytest.mark.parametrize("dtype", ["int32", "float64"])
def test_keras_casts_what_a_leaf_refuses(loaded: Callable[[Model], Loaded], dtype: str) -> None:
    """The dtype is a rule of WIRE for this: what is sent comes out as something else, and nobody notices."""
    (was, old), (now, new) = loaded(ONE["array"]), loaded(Model((replace(A, dtype=dtype),), structure="array"))
    array = np.array([[300.7, -1e10, 0.1]], "float32")
    meant, read = called(old, array), called(new, array)
    assert [change.rule for change in diff(was, now, Category.WIRE)] == ["INPUT_SAME_DTYPE"]
    assert meant is not None
    assert read is not None
    assert np.array_equal(meant["echo_a"], read["echo_a"]) == (dtype == "float64")


@pytest.mark.parametrize("more", ["aa", "zz", "m", "scores"])
def test_schema_counts_what_a_reader_by_position_feels_of_an_output_more(tmp_path: Path, more: str) -> None:
    """TensorFlow Lite's converter has an order of its own for outputs, in which a new one may come first."""
    names = ["logit", "score"]
    signatures, places = [], []
    for number, inputs in enumerate(([*names], [*names, more])):
        folder = tmp_path / str(number)
        model = Model(tuple(Field(name, shape=(1,)) for name in inputs), entry_point="serving_default", prefix="")
        signatures.append(tflite(model, folder).signature)
        interpreter = load_tflite(folder / "model.tflite")
        interpreter.allocate_tensors()
        by_tensor = {it["index"]: name for name, it in interpreter.get_signature_runner().get_output_details().items()}
        places.append([by_tensor[it["index"]] for it in interpreter.get_output_details()])
    assert [list(it.output_names) for it in signatures] == places
    moved = [places[0].index(name) for name in names] != [places[1].index(name) for name in names]
    found = {change.rule for change in diff(*signatures, Category.SCHEMA)}
    assert ("OUTPUT_SAME_ORDER" in found) == moved


@pytest.mark.parametrize("exchanged", [False, True], ids=["from arguments to a mapping", "from a mapping to arguments"])
def test_torch_refuses_another_structure(tmp_path: Path, *, exchanged: bool) -> None:
    import torch

    class Arguments(torch.nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return a - b

    class OfMapping(torch.nn.Module):
        def forward(self, features: dict[str, torch.Tensor]) -> torch.Tensor:
            return features["a"] - features["b"]

    a, b = torch.ones(2), torch.zeros(2)
    calls: list[tuple[Any, tuple[Any, ...]]] = [(Arguments(), (a, b)), (OfMapping(), ({"a": a, "b": b},))]
    (old, given), (new, other) = reversed(calls) if exchanged else calls
    signatures = []
    for name, (module, example) in {"old": (old, given), "new": (new, other)}.items():
        torch.export.save(torch.export.export(module, example), str(tmp_path / f"{name}.pt2"))
        signatures.append(read_signature(tmp_path / f"{name}.pt2"))
    assert {change.rule for change in diff(*signatures, Category.SCHEMA)} == {"INPUT_NO_MOVE"}
    assert diff(*signatures, Category.FEED) == []
    torch.export.load(str(tmp_path / "old.pt2")).module()(*given)
    with pytest.raises((RuntimeError, TypeError, ValueError)):
        torch.export.load(str(tmp_path / "new.pt2")).module()(*given)


def some(model: Model) -> Arrays:
    """Other numbers for each input, two rows."""
    return {it.name: np.full((2, 3), number, it.dtype) for number, it in enumerate(model.inputs, 1)}


def called(model: Callable[[Any], Any], given: Any) -> Arrays | None:
    """What the model gives by meaning; None where it refuses."""
    try:
        return {name: value.numpy() for name, value in model(given).items()}
    except ValueError:
        return None


def felt(meant: Arrays | None, read: Arrays | None) -> str:
    assert meant is not None
    if read is None:
        return "refused"
    return "read" if all(same(meant[it], read[it]) for it in meant.keys() & read.keys()) else "misread"
