"""What holds of every comparison, whatever the signatures."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from signature_mutations import mutations

from signature_strategies import plain_names, shapes, signatures, symbols
from trimtab.signature.dtypes import DType
from trimtab.signature.model import (
    Constraints,
    EntryPoint,
    Feature,
    Input,
    Output,
    Overload,
    Presence,
    Range,
    Signature,
)
from trimtab.signature.types import Literal, Mapping, Optional, Scalar, Sequence, Tensor
from trimtab.stability import RULES, Category, diff

types = st.one_of(
    st.builds(Tensor, st.sampled_from([DType.FLOAT32, DType.INT64]), shapes),
    st.builds(Scalar, st.sampled_from([DType.FLOAT32, DType.STRING])),
    st.builds(lambda shape: Optional(Tensor(DType.FLOAT32, shape)), shapes),
    st.builds(lambda shape: Sequence(Tensor(DType.FLOAT32, shape)), shapes),
    st.just(Mapping(DType.STRING, Tensor(DType.FLOAT32, (None,)))),
)
constraints = st.builds(
    Constraints,
    range=st.none() | st.builds(Range, minimum=st.just(0), maximum=st.integers(1, 9)),
    categories=st.none() | st.just(("de", "fr")),
)


def named(kind: type, **parts: st.SearchStrategy) -> st.SearchStrategy:
    """Up to three values of a kind, each name once."""
    return st.lists(
        st.builds(kind, name=plain_names, type=types, **parts), max_size=3, unique_by=lambda it: it.name
    ).map(tuple)


values = {
    "presence": st.sampled_from(Presence),
    "default": st.none() | st.just(Literal(1)),
    "nullable": st.booleans(),
    "constraints": st.none() | constraints,
    "aliases": st.just(()) | st.just(("also",)),
}
overloads = st.builds(
    Overload,
    inputs=named(Input, features=named(Feature, **values), **values),
    outputs=named(Output),
    dimensions=st.dictionaries(symbols, st.builds(Range, minimum=st.just(1), maximum=st.integers(2, 99)), max_size=2),
)


@st.composite
def tidy(draw: st.DrawFn) -> Signature:
    """A signature as artifacts have them: each name once, every bounded symbol in use."""
    callables = draw(
        st.lists(
            st.builds(EntryPoint, name=plain_names, overloads=st.lists(overloads, min_size=1, max_size=2).map(tuple)),
            min_size=1,
            max_size=2,
            unique_by=lambda it: it.name,
        )
    )
    signature = Signature(entry_points=tuple(callables), default_entry_point=callables[0].name)
    assume(all(_in_use(each) for it in callables for each in it.overloads))
    return signature


def _in_use(overload: Overload) -> bool:
    text = " ".join(str(value.type) for value in (*overload.inputs, *overload.outputs))
    return all(symbol in text for symbol in overload.dimensions)


@given(signatures())
def test_nothing_changes_by_itself(signature: Signature) -> None:
    assert diff(signature, signature) == []


@settings(max_examples=50)
@given(signatures(), signatures())
def test_freeze_sees_every_change_of_the_contract(old: Signature, new: Signature) -> None:
    assert bool(diff(old, new)) == (old.digest != new.digest)
    assert bool(diff(new, old)) == (old.digest != new.digest)


@settings(max_examples=50)
@given(signatures(), signatures())
def test_a_category_reports_no_less_than_a_laxer_one(old: Signature, new: Signature) -> None:
    found = [[str(change) for change in diff(old, new, category)] for category in Category]
    for stricter, laxer in pairwise(found):
        assert [each for each in stricter if each in laxer] == laxer


@settings(max_examples=150)
@given(tidy(), st.data())
def test_every_change_of_one_field_breaks_a_rule_of_its_own(signature: Signature, data: st.DataObject) -> None:
    what, mutate = data.draw(st.sampled_from(list(mutations(signature))), label="mutation")
    mutated = mutate()
    assume(mutated.digest != signature.digest)
    for old, new in ((signature, mutated), (mutated, signature)):
        changes = diff(old, new)
        assert changes, what
        assert {change.rule for change in changes} != {"SIGNATURE_SAME_DIGEST"}, what


@settings(max_examples=50)
@given(signatures(), signatures())
def test_every_change_says_what_a_person_needs(old: Signature, new: Signature) -> None:
    for change in diff(old, new):
        facts = change.as_dict()
        assert change.rule in RULES
        assert facts["subject"]
        assert "before" in facts or "after" in facts or "new" in change.problem or "gone" in change.problem
        assert facts["breaks"].endswith(".")
        assert facts["remedy"].endswith(".")
