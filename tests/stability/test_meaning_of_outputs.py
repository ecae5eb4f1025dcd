"""The same proof for those who read what a model gives: SCHEMA is what they live by, and no request feels it.

A reader finds each output by its name, and goes by the dtype and the sizes that the old signature promised.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from echo_models import Arrays, Exported, Field, Model, onnx, pt2, torchscript
from echo_models_of_tensorflow import keras, savedmodel, tflite
from request_sending import requests_for

from trimtab.signature.dtypes import spelling
from trimtab.signature.model import Overload, Signature
from trimtab.signature.types import Tensor
from trimtab.stability import Category, diff

pytestmark = pytest.mark.filterwarnings(r"ignore:\s+Warning. tf.lite.Interpreter is deprecated:UserWarning")

USER, ITEM = Field("user", shape=("batch", 3)), Field("item", "int32", ("batch", 2))
BASE = Model((USER, ITEM), entry_point="serving_default")
OPEN = BASE.change("user", shape=("batch", None))

NAMES = [
    ("nothing", BASE, BASE, ""),
    ("an output less", BASE, replace(BASE, muted=("item",)), "OUTPUT_NO_DELETE"),
    ("an output more", replace(BASE, muted=("item",)), BASE, ""),
    ("other names", BASE, replace(BASE, prefix="out_"), "OUTPUT_NO_DELETE"),
]
TYPES = [
    ("float32 and int32 to float64", BASE, replace(BASE, cast="float64"), "OUTPUT_SAME_DTYPE"),
    ("float64 to float32", replace(BASE, cast="float64"), replace(BASE, cast="float32"), "OUTPUT_SAME_DTYPE"),
    ("int64 to int32", replace(BASE, cast="int64"), replace(BASE, cast="int32"), "OUTPUT_SAME_DTYPE"),
    ("a dimension more", BASE, replace(BASE, shape="column"), "OUTPUT_SAME_RANK"),
    ("a dimension less", replace(BASE, shape="column"), BASE, "OUTPUT_SAME_RANK"),
    ("larger", BASE, replace(BASE, shape="twice"), "OUTPUT_DIM_NOT_WIDENED"),
    ("smaller", replace(BASE, shape="twice"), BASE, "OUTPUT_DIM_NOT_WIDENED"),
]
OPENED = [
    ("of any size", BASE, OPEN, "OUTPUT_DIM_NOT_WIDENED"),
    ("no longer of any size", OPEN, BASE, ""),
]


def named(model: Model) -> Model:
    return replace(model, entry_point="forward", bounds=(("batch", 2, 16),))


CASES = [
    pytest.param(exporter, *row[1:], id=f"{exporter.__name__}: {row[0]}")
    for exporter, rows in (
        (onnx, [*NAMES, *TYPES, *OPENED]),
        (savedmodel, [*NAMES, *TYPES, *OPENED]),
        (tflite, [*NAMES, TYPES[0], *TYPES[3:6]]),
        (pt2, [(row[0], *map(named, row[1:3]), row[3]) for row in (*NAMES, *TYPES)]),
        (torchscript, [(row[0], *map(named, row[1:3]), row[3]) for row in NAMES]),
        (keras, NAMES),
    )
    for row in rows
]

Exporter = Callable[[Model, Path], Exported]


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Exporter, Model], Exported]:
    """Exports each model once."""
    made: dict[tuple[Exporter, Model], Exported] = {}

    def exported(exporter: Exporter, model: Model) -> Exported:
        if (exporter, model) not in made:
            made[exporter, model] = exporter(model, tmp_path_factory.mktemp("outputs"))
        return made[exporter, model]

    return exported


@pytest.mark.parametrize(("exporter", "before", "after", "rule"), CASES)
def test_a_changed_output_counts_in_schema_exactly_if_a_reader_feels_it(
    export: Callable[[Exporter, Model], Exported], exporter: Exporter, before: Model, after: Model, rule: str
) -> None:
    old, new = export(exporter, before), export(exporter, after)
    changes = [change for change in diff(old.signature, new.signature, Category.SCHEMA) if "OUTPUT" in change.rule]
    found = {change.rule for change in changes} - {"OUTPUT_SAME_ORDER"}  # which those feel who read by position
    assert found == set(rule.split())
    assert not any("OUTPUT" in change.rule for change in diff(old.signature, new.signature, Category.FEED))
    felt = False
    for arrays in requests_for(new.signature, 6):  # which may be of sizes that the old one never saw
        response = {after.prefix + meaning: array for meaning, array in new.run(arrays).items()}
        felt |= not as_promised(old.signature, arrays, response)
    assert felt == bool(rule)


def as_promised(signature: Signature, request: Arrays, response: Arrays) -> bool:
    """Whether a response is what the signature says of it."""
    overload = signature.entry_point().overloads[0]
    sizes = sizes_of(overload, request)
    for output in overload.outputs:
        array = response.get(output.name)
        if array is None:
            return False
        if isinstance(output.type, Tensor) and not _fits(output.type, array, sizes):
            return False
    return True


def sizes_of(overload: Overload, request: Arrays) -> dict[str, int]:
    """The symbols of a request, by the shapes of its inputs."""
    return {
        dim: size
        for value in overload.inputs
        if isinstance(value.type, Tensor)
        for dim, size in zip(value.type.shape or (), request[value.name].shape, strict=False)
        if isinstance(dim, str)
    }


def _fits(type_: Tensor, array: np.ndarray, sizes: dict[str, int]) -> bool:
    if type_.dtype is not None and spelling(type_.dtype, "numpy") != array.dtype.name:
        return False
    if type_.shape is None:
        return True
    wanted = [sizes.get(dim) if isinstance(dim, str) else dim for dim in type_.shape]
    return len(wanted) == array.ndim and all(
        size in (None, there) for size, there in zip(wanted, array.shape, strict=True)
    )
