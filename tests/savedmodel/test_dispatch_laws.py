"""Laws of matching and casting, over structures and values as odd as a file or a caller can make them."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.savedmodel.dispatching.binding import Bound, default_value
from trimtab.savedmodel.dispatching.casting import cast
from trimtab.savedmodel.dispatching.matching import Matcher
from trimtab.savedmodel.dispatching.outcome import Mismatch
from trimtab.savedmodel.dispatching.refusing import Raises
from trimtab.savedmodel.dispatching.values import Opaque, RaggedValue, SparseValue, TensorValue, traced
from trimtab.savedmodel.dispatching.wording import positional_text, trace_text, traced_values, value_text
from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.graph_protos import TensorProto
from trimtab.savedmodel.structure import (
    DTypeLiteral,
    NamedTuple,
    OtherTypeSpec,
    RaggedTensorSpec,
    ShapeLiteral,
    SparseTensorSpec,
    TensorSpec,
)


def made(kind: Any, *parts: Any) -> Any:
    """Values of a Struct, whose annotations Hypothesis cannot read."""
    return st.tuples(*parts).map(lambda each: kind(*each))


DTYPES = st.sampled_from(["float32", "int32", "string", "bool", "variant", "bfloat16", "qint8", "dtype 99", "int4"])
SHAPES = st.sampled_from([None, (), (2,), (None,), (2, None), (2, 2)])
LITERALS = st.sampled_from(
    [None, True, False, 0, 1, 300, 2**70, -(2**63) - 1, 1.5, 1.0, float("inf"), "a", "", "float32", b"x"]
)
STATES: Any = st.sampled_from([None, "x", (1, 2), (ShapeLiteral((2,)), DTypeLiteral("float32"), True, None)])
TENSOR_SPECS = made(TensorSpec, DTYPES, SHAPES, st.sampled_from(["", "x"]))
RAGGED_SPECS = made(RaggedTensorSpec, DTYPES, SHAPES, st.integers(0, 3), st.sampled_from(["int32", "int64"]))
SPARSE_SPECS = made(SparseTensorSpec, DTYPES, SHAPES)
OTHER_SPECS = made(
    OtherTypeSpec, st.sampled_from(["VariableSpec", "NoneTensorSpec", "Foo"]), st.just(0), STATES, st.integers(0, 3)
)
ODD = st.sampled_from(
    [
        TensorProto(dtype=1),
        ShapeLiteral((1, None)),
        ShapeLiteral((2,)),
        DTypeLiteral("float32"),
        DTypeLiteral("dtype 7"),
    ]
)
SOURCES = st.sampled_from(["tensor", "numpy", "scalar", "variable", "symbolic"])
DATA = st.sampled_from([None, 1, [1, 2], "x", [[1.5]]])
KNOWN = st.sampled_from([(), (2,), (2, 2), (0,)])
TENSORS = made(TensorValue, DTYPES, KNOWN, DATA, SOURCES)
RAGGED = made(RaggedValue, DTYPES, st.sampled_from([(2, None), None, ()]), st.integers(0, 2), st.just("int64"))
SPARSE = made(SparseValue, DTYPES, SHAPES)


def nested(leaves: Any) -> Any:
    def named(children: Any) -> Any:
        pairs = st.lists(children, max_size=2).map(lambda items: tuple(zip("ab", items, strict=False)))
        return made(NamedTuple, st.sampled_from(["P", "Q"]), pairs)

    def containers(children: Any) -> Any:
        items = st.lists(children, max_size=3)
        return (
            items | items.map(tuple) | st.dictionaries(st.sampled_from("abc"), children, max_size=2) | named(children)
        )

    return st.recursive(leaves, containers, max_leaves=6)


STRUCTURES = nested(TENSOR_SPECS | LITERALS | RAGGED_SPECS | SPARSE_SPECS | OTHER_SPECS | ODD)
VALUES = nested(TENSORS | LITERALS | RAGGED | SPARSE | st.just(Opaque("X")) | st.just(range(3)) | st.just(1j))


def outcome(structure: Any, value: Any, *, allow_conversion: bool) -> Mismatch | str | None:
    matcher = Matcher(Bound((("x", value),), {"k": value}))
    try:
        return matcher.mismatch(((structure,), {"k": structure}), allow_conversion=allow_conversion)
    except Raises as error:
        return error.tensorflow


@settings(max_examples=400)
@given(STRUCTURES, VALUES)
def test_matching_answers_or_raises_what_tensorflow_does(structure: Any, value: Any) -> None:
    seen = traced(value)
    first = outcome(structure, seen, allow_conversion=False)
    second = outcome(structure, seen, allow_conversion=True)
    if first is None:
        assert second is None
    if isinstance(second, Mismatch):
        assert second.path
        assert second.expected
        assert second.got


@settings(max_examples=300)
@given(STRUCTURES)
def test_a_call_made_of_the_specs_of_a_trace_matches_it(structure: Any) -> None:
    """As a call inside a graph with tensors of just these specs does; a variable's spec wants a variable."""
    said = outcome(structure, default_value(structure), allow_conversion=False)
    assert said is None or "TensorProto" in repr(structure) or "Spec(class_name=" in repr(structure), said


@settings(max_examples=300)
@given(STRUCTURES, VALUES, st.booleans())
def test_a_cast_gives_a_value_or_raises_what_tensorflow_does(structure: Any, value: Any, in_graph: bool) -> None:
    with contextlib.suppress(Raises):
        cast(structure, value, in_graph=in_graph)


@settings(max_examples=200)
@given(STRUCTURES, VALUES)
def test_everything_can_be_worded(structure: Any, value: Any) -> None:
    assert trace_text(structure)
    assert value_text(value)
    assert positional_text(traced_values({"x": traced(value)}).values())


def test_a_dtype_number_of_any_size_has_a_name() -> None:
    assert [dtype_name(code) for code in (1, 101, 250, 2**31 - 1)] == [
        "float32",
        "float32_ref",
        "dtype 250",
        "dtype 2147483647",
    ]
