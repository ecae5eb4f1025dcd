"""What differs between two signatures' inputs, and when nothing does."""

from __future__ import annotations

import pytest
from bundle_making import signature
from hypothesis import given
from msgspec import structs

from signature_strategies import signatures
from trimtab.bundles.difference import ChangeKind, input_changes, name_changes
from trimtab.signature.dtypes import DType
from trimtab.signature.model import EntryPoint, Feature, Input, Overload, Presence, Signature
from trimtab.signature.types import Literal, Mapping, Tensor

AGE = Input(name="age", type=Tensor(DType.FLOAT32, ("batch", 1)))
PRICE = Input(name="price", type=Tensor(DType.FLOAT32, ("batch", 1)))
MATRIX = Input(
    name="dense",
    type=Tensor(DType.FLOAT32, ("batch", 2)),
    features=(Feature(name="ctr_7d", type=Tensor(DType.FLOAT32)),),
)
FEATS = Input(
    name="feats",
    type=Mapping(DType.STRING, Tensor()),
    features=(Feature(name="a", type=Tensor(DType.INT64)), Feature(name="b", type=Tensor(DType.INT64))),
)


def changed(value: Input, **changes: object) -> Input:
    return structs.replace(value, **changes)


CHANGES = [
    ("nothing", [AGE], [AGE], []),
    ("order", [AGE, PRICE], [PRICE, AGE], []),
    ("path and doc", [AGE], [changed(AGE, path="x.age", doc="years")], []),
    ("a symbol's name", [AGE], [changed(AGE, type=Tensor(DType.FLOAT32, ("n", 1)))], []),
    ("added", [AGE], [AGE, PRICE], [("added", "price", None, "float32 [batch, 1], required")]),
    ("removed", [AGE, PRICE], [AGE], [("removed", "price", "float32 [batch, 1], required", None)]),
    (
        "renamed",
        [AGE],
        [changed(AGE, name="user_age")],
        [
            ("removed", "age", "float32 [batch, 1], required", None),
            ("added", "user_age", None, "float32 [batch, 1], required"),
        ],
    ),
    (
        "dtype",
        [AGE],
        [changed(AGE, type=Tensor(DType.INT64, ("batch", 1)))],
        [("changed", "age", "float32 [batch, 1], required", "int64 [batch, 1], required")],
    ),
    (
        "shape",
        [AGE],
        [changed(AGE, type=Tensor(DType.FLOAT32, ("batch", 2)))],
        [("changed", "age", "float32 [batch, 1], required", "float32 [batch, 2], required")],
    ),
    (
        "presence",
        [AGE],
        [changed(AGE, presence=Presence.DEFAULT, default=Literal(0.5))],
        [("changed", "age", "float32 [batch, 1], required", "float32 [batch, 1], default 0.5")],
    ),
    (
        "nullability and aliases",
        [AGE],
        [changed(AGE, nullable=True, aliases=("years", "old"))],
        [
            (
                "changed",
                "age",
                "float32 [batch, 1], required",
                "float32 [batch, 1], required, nullable, also called old, years",
            )
        ],
    ),
    (
        "a feature inside",
        [FEATS],
        [changed(FEATS, features=(Feature(name="b", type=Tensor(DType.INT32)), FEATS.features[0]))],
        [("changed", "b", "int64 [...], required", "int32 [...], required")],
    ),
    (
        "a feature more",
        [MATRIX],
        [changed(MATRIX, features=(*MATRIX.features, Feature(name="new", type=Tensor(DType.FLOAT32))))],
        [("added", "new", None, "float32 [...], required")],
    ),
    (
        "dimensions no longer shared",
        [AGE, PRICE],
        [AGE, changed(PRICE, type=Tensor(DType.FLOAT32, ("n", 1)))],
        [("changed", "price", "float32 [batch, 1], required", "float32 [n, 1], required")],
    ),
]


@pytest.mark.parametrize(("before", "after", "expected"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_changes(before: list[Input], after: list[Input], expected: list[tuple[str | None, ...]]) -> None:
    changes = input_changes(signature(*before), signature(*after))
    assert sorted((each.kind, each.name, each.before, each.after) for each in changes) == sorted(expected)


def test_a_change_says_where_it_is_and_who_breaks() -> None:
    (change,) = input_changes(signature(FEATS), signature(changed(FEATS, features=FEATS.features[:1])))
    assert change.place == "inside feats"
    assert str(change).startswith('removed "b" (inside feats): int64 [...], required. Roots still send it')


def test_other_entry_points_and_overloads_are_compared_too() -> None:
    def model(*others: EntryPoint, default: str = "forward") -> Signature:
        forward = EntryPoint(name=default, overloads=(Overload(inputs=(AGE,)),))
        return Signature(entry_points=(forward, *others), default_entry_point=default)

    embed = EntryPoint(name="embed", overloads=(Overload(inputs=(PRICE,)), Overload(inputs=(AGE,))))
    assert input_changes(model(), model(default="main")) == ()
    assert [(each.kind, each.name, each.place) for each in input_changes(model(), model(embed))] == [
        ("added", "price", "entry point embed, overload 1"),
        ("added", "age", "entry point embed, overload 2"),
    ]


@given(signatures(), signatures())
def test_a_difference_is_empty_exactly_when_the_input_digests_agree(before: Signature, after: Signature) -> None:
    assert (input_changes(before, after) == ()) == (before.input_digest == after.input_digest)
    assert input_changes(before, before) == ()


@given(signatures(), signatures())
def test_every_change_has_its_sides_and_prints_on_one_safe_line(before: Signature, after: Signature) -> None:
    for change in input_changes(before, after):
        assert (change.before is None) == (change.kind is ChangeKind.ADDED)
        assert (change.after is None) == (change.kind is ChangeKind.REMOVED)
        assert str(change).isprintable()


def test_names_alone() -> None:
    changes = name_changes(["age", "price"], ["age", "clicks"])
    assert [(each.kind, each.name) for each in changes] == [("added", "clicks"), ("removed", "price")]
