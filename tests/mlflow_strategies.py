"""Hypothesis strategies for MLflow's schemas and signatures, of MLflow's own classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from mlflow.models import ModelSignature
from mlflow.types.schema import (
    AnyType,
    Array,
    ColSpec,
    DataType,
    Map,
    Object,
    ParamSchema,
    ParamSpec,
    Property,
    Schema,
    TensorSpec,
)

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8) | st.sampled_from(
    ["age", "a b", "it's", 'say "hi"', "ünï", "a: b", "- x", "#", "null", "new\nline", "\u2028", "😀", "params", "data"]
)
scalars = st.sampled_from(list(DataType))


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects whose properties are of the inner types."""
    properties = st.dictionaries(names, st.tuples(inner, st.booleans()), min_size=1, max_size=3)
    return properties.map(
        lambda them: Object([Property(name, type_, required) for name, (type_, required) in them.items()])
    )


types = st.recursive(
    scalars | st.builds(AnyType),
    lambda inner: st.one_of(st.builds(Array, inner), st.builds(Map, inner), objects(inner)),
    max_leaves=5,
)
tensor_dtypes = st.sampled_from([*map(np.dtype, "?bhiqBHIQefdFDUSO"), *map(np.dtype, ("datetime64[ns]", "M8[D]"))])
shapes = st.lists(st.just(-1) | st.integers(0, 1 << 40), max_size=3).map(tuple)


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    """Columns or tensors, with names or without."""
    if draw(st.booleans()):
        if draw(st.booleans()):
            return Schema([ColSpec(type_) for type_ in draw(st.lists(types, min_size=1, max_size=3))])
        columns = draw(st.dictionaries(names, st.tuples(types, st.booleans()), min_size=1, max_size=4))
        return Schema([ColSpec(type_, name, required) for name, (type_, required) in columns.items()])
    if draw(st.booleans()):
        return Schema([TensorSpec(draw(tensor_dtypes), draw(shapes))])
    tensors = draw(st.dictionaries(names, st.tuples(tensor_dtypes, shapes), min_size=1, max_size=4))
    return Schema([TensorSpec(dtype, shape, name) for name, (dtype, shape) in tensors.items()])


_VALUES: dict[DataType, st.SearchStrategy[Any]] = {
    DataType.boolean: st.booleans(),
    DataType.integer: st.integers(-(1 << 31), (1 << 31) - 1),
    DataType.long: st.integers(-(1 << 63), (1 << 63) - 1),
    DataType.float: st.floats(width=32),
    DataType.double: st.floats(),
    DataType.string: names,
}


@st.composite
def params(draw: st.DrawFn) -> ParamSchema:
    """Parameters of the call, plain or lists, with defaults."""
    specs = []
    for name in draw(st.lists(names, min_size=1, max_size=3, unique=True)):
        dtype = draw(st.sampled_from(list(_VALUES)))
        if draw(st.booleans()):
            specs.append(ParamSpec(name, dtype, draw(_VALUES[dtype] | st.none())))
        else:
            specs.append(ParamSpec(name, dtype, draw(st.lists(_VALUES[dtype], max_size=3)), (-1,)))
    return ParamSchema(specs)


signatures = st.builds(ModelSignature, inputs=schemas(), outputs=schemas() | st.none(), params=params() | st.none())
