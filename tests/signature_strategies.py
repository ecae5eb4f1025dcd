"""Hypothesis strategies for signatures and their parts."""

from __future__ import annotations

from hypothesis import strategies as st

from trimtab.signature.dtypes import DType
from trimtab.signature.model import (
    Constraints,
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
    Range,
    Signature,
)
from trimtab.signature.types import Literal, Mapping, Opaque, Optional, Ragged, Scalar, Sequence, Sparse, Tensor

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
plain_names = st.from_regex(r"[a-z_][a-z0-9_.]{0,7}", fullmatch=True)
dtypes = st.sampled_from(DType)
symbols = st.sampled_from(["batch", "n", "s17", "s0"])
dims = st.one_of(st.integers(0, 9), st.none(), symbols, st.builds("2*{} + 1".format, symbols), st.just("?"))
shapes = st.lists(dims, max_size=3).map(tuple) | st.none()

python_constants = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | names | st.binary(max_size=4) | st.complex_numbers(),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=5,
)
literals = python_constants.map(Literal.from_python)

types = st.recursive(
    st.one_of(
        st.builds(Tensor, dtypes | st.none(), shapes),
        st.builds(Ragged, dtypes, shapes, st.integers(1, 3), st.sampled_from([DType.INT64, DType.INT32])),
        st.builds(Sparse, dtypes, shapes),
        st.builds(Scalar, dtypes),
        st.builds(Opaque, names),
        literals,
    ),
    lambda inner: st.one_of(st.builds(Sequence, inner), st.builds(Mapping, dtypes, inner), st.builds(Optional, inner)),
    max_leaves=3,
)

numbers = st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False)
ranges = st.builds(Range, minimum=numbers | st.none(), maximum=numbers | st.none())
constraints = st.builds(
    Constraints,
    range=ranges | st.none(),
    categories=st.lists(names | numbers | st.booleans(), max_size=3).map(tuple) | st.none(),
    categorical=st.booleans(),
)
learned = st.dictionaries(st.sampled_from(["type", "name", "presence"]), st.sampled_from(Learned), max_size=2)

quantizations = st.none() | st.builds(
    Quantization,
    scale=st.floats(allow_nan=False, allow_infinity=False),
    zero_point=st.integers(-(2**40), 2**40),
)

features = st.builds(
    Feature,
    name=names,
    type=types,
    presence=st.sampled_from(Presence),
    default=literals | st.none(),
    nullable=st.booleans(),
)
inputs = st.builds(
    Input,
    name=names,
    type=types,
    path=names | st.none(),
    presence=st.sampled_from(Presence),
    default=literals | st.none(),
    nullable=st.booleans(),
    constraints=constraints | st.none(),
    id=names | st.none(),
    aliases=st.lists(names, max_size=2).map(tuple),
    live=st.sampled_from(Live),
    features=st.lists(features, max_size=2).map(tuple),
    quantization=quantizations,
    doc=names,
    learned=learned,
)
outputs = st.builds(
    Output,
    name=names,
    type=types,
    path=names | st.none(),
    id=names | st.none(),
    quantization=quantizations,
    doc=names,
)
overloads = st.builds(
    Overload,
    inputs=st.lists(inputs, max_size=4).map(tuple),
    outputs=st.lists(outputs, max_size=3).map(tuple),
    dimensions=st.dictionaries(symbols, ranges, max_size=2),
    name=names,
)
entry_points = st.builds(EntryPoint, name=names, overloads=st.lists(overloads, min_size=1, max_size=2).map(tuple))
provenances = st.builds(
    Provenance,
    format=names,
    producer=names,
    learned=st.sampled_from(Learned),
    notes=st.lists(names, max_size=2).map(tuple),
)


@st.composite
def signatures(draw: st.DrawFn) -> Signature:
    """Any valid signature."""
    callables = draw(st.lists(entry_points, min_size=1, max_size=2, unique_by=lambda each: each.name))
    return Signature(
        entry_points=tuple(callables),
        default_entry_point=draw(st.sampled_from(callables)).name,
        provenance=draw(provenances),
    )
