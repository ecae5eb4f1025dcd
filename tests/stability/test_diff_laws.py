"""What holds of every comparison, whatever the signatures."""

from __future__ import annotations

import re
import sys
import typing
from itertools import pairwise
from types import FrameType
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from signature_mutations import BESIDE, CONTRACT, KINDS, known_fields, mutations, mutations_beside_the_contract

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
    Quantization,
    Range,
    Signature,
)
from trimtab.signature.types import (
    Literal,
    Mapping,
    Opaque,
    Optional,
    Ragged,
    Scalar,
    Sequence,
    Sparse,
    Tensor,
    Type,
)
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


_SHAPE = re.compile(r"\[.*?\]")


def _in_use(overload: Overload) -> Overload:
    """The overload without the bounds of symbols that no shape of it has."""
    shapes_in_use = [
        text for value in (*overload.inputs, *overload.outputs) for text in _SHAPE.findall(str(value.type))
    ]
    used = set(re.findall(r"\w+", " ".join(shapes_in_use)))
    dimensions = {symbol: limits for symbol, limits in overload.dimensions.items() if symbol in used}
    return replace(overload, dimensions=dimensions)


overloads = st.builds(
    Overload,
    inputs=named(Input, features=named(Feature, **values), **values),
    outputs=named(Output),
    dimensions=st.dictionaries(symbols, st.builds(Range, minimum=st.just(1), maximum=st.integers(2, 99)), max_size=2),
).map(_in_use)


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
    return Signature(entry_points=tuple(callables), default_entry_point=callables[0].name)


@st.composite
def mutated(draw: st.DrawFn, of: Signature, table: Any = mutations) -> tuple[str, Signature]:
    """The signature with one field changed, and the field's name."""
    found: list[tuple[str, Signature]] = list(table(of))
    return found[draw(st.integers(0, len(found) - 1))]


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
    found = [diff(old, new, category) for category in Category]
    for stricter, laxer in pairwise(found):
        assert [each for each in stricter if each in laxer] == laxer


def test_every_field_of_a_signature_is_mutated() -> None:
    assert known_fields() == CONTRACT.keys() | BESIDE.keys()
    types_inside = set(typing.get_args(Type))
    assert types_inside <= set(KINDS)


QUANTIZED = Quantization(scale=0.5, zero_point=3)
EVERYTHING = Input(
    name="age",
    type=Tensor(DType.FLOAT32, ("n", None, 3, "2*n + 1")),
    path='feats["age"]',
    presence=Presence.DEFAULT,
    default=Literal((Literal(1.5), Literal("inf", of="float"))),
    nullable=True,
    constraints=Constraints(range=Range(minimum=0, maximum=9), categories=("de", "fr"), categorical=True),
    id="f:1",
    aliases=("user_age", "years"),
    features=(Feature(name="a", type=Tensor(DType.FLOAT32, ("n",))), Feature(name="b", type=Tensor(DType.INT64, ()))),
    quantization=QUANTIZED,
)
KINDS_OF_TYPES: tuple[Type, ...] = (
    *(Ragged(DType.INT64, ("n", None)), Sparse(DType.FLOAT32, ("n", 9)), Scalar(DType.INT64), Literal(True)),
    *(Sequence(Optional(Tensor(DType.FLOAT32, ("m",)))), Mapping(DType.STRING, Optional(Scalar(DType.BOOL)))),
    *(Optional(Tensor(None, ("m",))), Opaque("torch.device")),
)
WHOLE = Signature(
    entry_points=(
        EntryPoint(
            name="forward",
            overloads=(
                Overload(
                    inputs=(EVERYTHING, *(Input(name=f"i{n}", type=it) for n, it in enumerate(KINDS_OF_TYPES))),
                    outputs=(
                        Output(
                            name="score",
                            type=Tensor(DType.FLOAT32, ("n",)),
                            path="[0]",
                            id="o:1",
                            quantization=QUANTIZED,
                        ),
                        *(Output(name=f"o{n}", type=it) for n, it in enumerate(KINDS_OF_TYPES)),
                    ),
                    dimensions={"n": Range(minimum=1, maximum=64), "2*n + 1": Range(minimum=3)},
                ),
                Overload(inputs=(EVERYTHING,)),
            ),
        ),
        EntryPoint(name="embed", overloads=(Overload(inputs=(EVERYTHING,)),)),
    ),
    default_entry_point="forward",
)


def test_every_field_of_a_signature_that_has_everything_is_seen() -> None:
    unseen = []
    reached = set()
    for what, other in mutations(WHOLE):
        reached.add(what)
        for old, new in ((WHOLE, other), (other, WHOLE)):
            rules = {change.rule for change in diff(old, new)}
            if old.digest == new.digest or not rules or rules == {"SIGNATURE_SAME_DIGEST"}:
                unseen.append((what, rules))
    assert unseen == []
    silent = {(Signature, "entry_points"), (Optional, "element")}  # walked, and changed through what is around them
    assert reached >= {f"{kind.__name__}.{name}" for kind, name in CONTRACT.keys() - silent}


@settings(max_examples=100)
@given(tidy(), st.data())
def test_every_change_of_one_field_breaks_a_rule_of_its_own(signature: Signature, data: st.DataObject) -> None:
    what, other = data.draw(mutated(signature), label="mutation")
    assume(other.digest != signature.digest)
    for old, new in ((signature, other), (other, signature)):
        changes = diff(old, new)
        assert changes, what
        assert {change.rule for change in changes} != {"SIGNATURE_SAME_DIGEST"}, what


@settings(max_examples=50)
@given(tidy(), st.data())
def test_what_is_no_part_of_the_contract_is_no_change(signature: Signature, data: st.DataObject) -> None:
    what, other = data.draw(mutated(signature, mutations_beside_the_contract), label="mutation")
    assert diff(signature, other) == diff(other, signature) == [], what


@settings(max_examples=100)
@given(tidy(), st.data())
def test_both_directions_tell_the_same_story(old: Signature, data: st.DataObject) -> None:
    new = old
    for _ in range(data.draw(st.integers(1, 3))):
        new = data.draw(mutated(new))[1]
    there, back = diff(old, new), diff(new, old)
    renamed = any("NAME" in each.rule or each.rule.startswith(("OVERLOAD", "ENTRY")) for each in (*there, *back))
    sides = [(each.before, each.after) for each in there], [(each.after, each.before) for each in back]
    if renamed:  # a subject is called by its old name, so those differ
        assert bool(there) == bool(back)
    else:
        assert {(each.where, *side) for each, side in zip(there, sides[0], strict=True)} == {
            (each.where, *side) for each, side in zip(back, sides[1], strict=True)
        }


@settings(max_examples=50)
@given(tidy(), tidy())
def test_the_order_of_dictionaries_does_not_count(old: Signature, new: Signature) -> None:
    assert [str(each) for each in diff(_turned(old), _turned(new))] == [str(each) for each in diff(old, new)]


def _turned(signature: Signature) -> Signature:
    return Signature(
        entry_points=tuple(
            replace(
                it,
                overloads=tuple(
                    replace(each, dimensions=dict(reversed(each.dimensions.items()))) for each in it.overloads
                ),
            )
            for it in signature.entry_points
        ),
        default_entry_point=signature.default_entry_point,
    )


@pytest.mark.parametrize("identity", ["f:{}", "all the same"])
def test_many_inputs_take_linear_work(identity: str) -> None:
    """Steps are counted, not seconds: four times as many inputs may take about four times as many."""
    assert _steps(1000, identity) < 4.4 * _steps(250, identity)


def _steps(count: int, identity: str) -> int:
    """The steps of the interpreter where every input is of a tied shape, renamed, and retyped."""

    def of(prefix: str, dtype: DType) -> Signature:
        several = tuple(
            Input(name=f"{prefix}{n}", type=Tensor(dtype, ("batch", f"s{n}")), id=identity.format(n))
            for n in range(count)
        )
        entry_point = EntryPoint(name="forward", overloads=(Overload(inputs=several),))
        return Signature(entry_points=(entry_point,), default_entry_point="forward")

    old, new = of("a", DType.FLOAT32), of("b", DType.INT64)
    assert old.digest != new.digest  # computed before the steps are counted
    steps = 0

    def traced(frame: FrameType, event: str, _: object) -> Any:
        nonlocal steps
        frame.f_trace_opcodes = True
        steps += event == "opcode"
        return traced

    before = sys.gettrace()
    sys.settrace(traced)
    try:
        changes = diff(old, new)
    finally:
        sys.settrace(before)
    assert len(changes) == 2 * count
    return steps


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
