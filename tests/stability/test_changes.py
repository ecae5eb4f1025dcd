"""What the gate says of the changes that people make."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from trimtab.signature.dtypes import DType
from trimtab.signature.model import (
    Constraints,
    EntryPoint,
    Feature,
    Input,
    Learned,
    Output,
    Overload,
    Presence,
    Provenance,
    Range,
    Signature,
)
from trimtab.signature.types import Literal, Optional, Ragged, Sequence, Sparse, Tensor
from trimtab.stability import Category, diff

AGE = Input(name="age", type=Tensor(DType.FLOAT32, ("n", 1)))
ITEM = Input(name="item", type=Tensor(DType.INT64, ("n",)), id="f:1")
SCORE = Output(name="score", type=Tensor(DType.FLOAT32, ("n",)))

SCORE_M = Output(name="score", type=Tensor(DType.FLOAT32, ("m",)))


def signature(*inputs: Input, outputs: tuple[Output, ...] = (SCORE,), form: str = "", **dimensions: Range) -> Signature:
    overload = Overload(inputs=inputs, outputs=outputs, dimensions=dimensions)
    return Signature(
        entry_points=(EntryPoint(name="forward", overloads=(overload,)),),
        default_entry_point="forward",
        provenance=Provenance(format=form),
    )


def age(**changed: object) -> Input:
    return Input(**{"name": "age", "type": AGE.type, **changed})  # type: ignore[arg-type]


def sized(*shape: int | str | None) -> Signature:
    return signature(age(type=Tensor(DType.FLOAT32, shape)))


def matrix(*columns: str) -> Signature:
    features = tuple(Feature(name=each, type=Tensor(DType.FLOAT32, ())) for each in columns)
    return signature(age(type=Tensor(DType.FLOAT32, ("n", 3)), features=features))


CHANGES = [
    ("a required input more", signature(AGE), signature(AGE, ITEM), "INPUT_NO_ADD_REQUIRED", "FEED"),
    (
        "an optional input more",
        signature(AGE),
        signature(AGE, Input(name="new", type=Tensor(), presence=Presence.OPTIONAL)),
        "INPUT_NO_ADD_OPTIONAL",
        "FREEZE",
    ),
    ("an input less", signature(AGE, ITEM), signature(AGE), "INPUT_NO_DELETE", "SCHEMA"),
    (
        "renamed under its id",
        signature(ITEM),
        signature(Input(name="item_id", type=ITEM.type, id="f:1")),
        "INPUT_NO_RENAME",
        "FEED",
    ),
    (
        "renamed, and the old name is an alias",
        signature(ITEM),
        signature(Input(name="item_id", type=ITEM.type, id="f:1", aliases=("item",))),
        "INPUT_SAME_NAME",
        "FREEZE",
    ),
    ("another dtype", signature(AGE), signature(age(type=Tensor(DType.FLOAT64, ("n", 1)))), "INPUT_SAME_DTYPE", "WIRE"),
    ("a sparse one", signature(AGE), signature(age(type=Sparse(DType.FLOAT32, ("n", 1)))), "INPUT_SAME_KIND", "WIRE"),
    ("a dimension more", sized("n"), sized("n", 1), "INPUT_SAME_RANK", "FEED"),
    ("a size fixed", sized("n", None), sized("n", 8), "INPUT_DIM_NOT_NARROWED", "FEED"),
    ("another size", sized("n", 8), sized("n", 16), "INPUT_DIM_NOT_NARROWED", "FEED"),
    ("a size opened", sized("n", 8), sized("n", None), "INPUT_SAME_SHAPE", "FREEZE"),
    ("sizes tied", sized("n", "m"), sized("n", "n"), "INPUT_DIM_NOT_NARROWED", "FEED"),
    ("sizes untied", sized("n", "n"), sized("n", "m"), "INPUT_SAME_SHAPE", "FREEZE"),
    (
        "a bound tightened",
        signature(AGE, n=Range(minimum=1, maximum=64)),
        signature(AGE, n=Range(minimum=1, maximum=32)),
        "INPUT_DIM_NOT_NARROWED",
        "FEED",
    ),
    (
        "no longer optional",
        signature(age(presence=Presence.OPTIONAL)),
        signature(AGE),
        "INPUT_NOT_MADE_REQUIRED",
        "FEED",
    ),
    (
        "another default",
        signature(age(presence=Presence.DEFAULT, default=Literal(1))),
        signature(age(presence=Presence.DEFAULT, default=Literal(2))),
        "INPUT_SAME_DEFAULT",
        "FEED",
    ),
    ("no longer nullable", signature(age(nullable=True)), signature(AGE), "INPUT_NOT_MADE_NON_NULLABLE", "FEED"),
    (
        "a range narrowed",
        signature(age(constraints=Constraints(range=Range(minimum=0, maximum=9)))),
        signature(age(constraints=Constraints(range=Range(minimum=1, maximum=9)))),
        "INPUT_RANGE_NOT_NARROWED",
        "FEED",
    ),
    (
        "a category less",
        signature(age(constraints=Constraints(categories=("de", "fr")))),
        signature(age(constraints=Constraints(categories=("de",)))),
        "INPUT_CATEGORY_NO_DELETE",
        "FEED",
    ),
    ("columns swapped", matrix("a", "b", "c"), matrix("b", "a", "c"), "FEATURE_SAME_POSITION", "FEED"),
    (
        "arguments swapped where they are positional",
        signature(AGE, ITEM, form="torchscript"),
        signature(ITEM, AGE, form="torchscript"),
        "INPUT_SAME_ORDER",
        "SCHEMA",
    ),
    ("an output less", signature(AGE), signature(AGE, outputs=()), "OUTPUT_NO_DELETE", "SCHEMA"),
    (
        "an output of another dtype",
        signature(AGE),
        signature(AGE, outputs=(Output(name="score", type=Tensor(DType.FLOAT64, ("n",))),)),
        "OUTPUT_SAME_DTYPE",
        "SCHEMA",
    ),
]


@pytest.mark.parametrize(
    ("old", "new", "rule", "category"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES]
)
def test_the_change_is_named_and_counts_where_it_should(
    old: Signature, new: Signature, rule: str, category: str
) -> None:
    assert rule in [change.rule for change in diff(old, new)]
    for each in Category:
        found = rule in [change.rule for change in diff(old, new, each)]
        assert found == each.includes(Category(category)), each


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (signature(AGE, ITEM), signature(ITEM, AGE)),
        (signature(AGE), signature(age(type=Tensor(DType.FLOAT32, ("m", 1))), outputs=(SCORE_M,))),
        (signature(AGE), signature(age(doc="in years"))),
    ],
    ids=["order where inputs go by name", "names of symbols", "documentation"],
)
def test_what_is_no_change(old: Signature, new: Signature) -> None:
    assert diff(old, new) == []


N, N2 = Input(name="n", type=Tensor(DType.FLOAT32, ("n",))), Input(name="n2", type=Tensor(DType.FLOAT32, ("2*n",)))
MAYBE = Input(name="maybe", type=Tensor(), presence=Presence.OPTIONAL)
TEXTS = Sequence(Optional(Tensor(DType.STRING, ("n",))))


def called(*overloads: Overload) -> Signature:
    return Signature(entry_points=(EntryPoint(name="call", overloads=overloads),), default_entry_point="call")


SEEN = {"constraints": Learned.EXAMPLE}


def codes(*seen: int) -> Input:
    return age(type=Tensor(None, ("n",)), constraints=Constraints(categories=seen), learned=SEEN)


def returning(given: int | str, returned: int | str, **dimensions: Range) -> Signature:
    """A model of one input and one output, of these sizes."""
    output = Output(name="score", type=Tensor(DType.FLOAT32, (returned,)))
    overload = Overload(inputs=(age(type=Tensor(DType.FLOAT32, (given,))),), outputs=(output,), dimensions=dimensions)
    return called(overload)


def traced_with(*shape: int) -> Input:
    return age(type=Tensor(DType.FLOAT32, shape), learned={"type": Learned.EXAMPLE})


def traced(name: str, training: bool) -> Overload:
    """A trace of TensorFlow's, for one value of a flag."""
    return Overload(name=name, inputs=(AGE, Input(name="training", type=Literal(training))))


OPEN = age(type=Tensor(None, ("n", 1)))
MARKED = age(type=OPEN.type, constraints=Constraints(categorical=True))
TEXT = age(type=Tensor(DType.STRING, ("n", 1)))

EXACTLY = [
    (
        "an expression let go",
        signature(N, N2),
        signature(N, age(name="n2", type=Tensor(DType.FLOAT32, ("m",)))),
        "SAME_SHAPE",
    ),
    (
        "a bound inside an expression tightened",
        signature(N2, n=Range(minimum=1, maximum=9)),
        signature(N2, n=Range(minimum=1, maximum=5)),
        "DIM_NOT_NARROWED OUTPUT_SAME_SHAPE",
    ),
    ("one of two symbols fixed", sized("n", "m"), sized(5, "m"), "DIM_NOT_NARROWED"),
    ("a constant more", signature(AGE), signature(AGE, Input(name="mode", type=Literal("sum"))), "NO_ADD_OPTIONAL"),
    (
        "null no longer inside",
        signature(age(type=TEXTS)),
        signature(age(type=Sequence(TEXTS.element.element))),
        "NOT_MADE_NON_NULLABLE",
    ),
    ("a default that no request gets", signature(AGE), signature(age(default=Literal(1))), "SAME_PRESENCE"),
    ("an id given", signature(AGE), signature(age(id="f:2")), "ID_NO_ADD"),
    (
        "an argument less, of those by position",
        signature(AGE, ITEM, form="pt2"),
        signature(ITEM, form="pt2"),
        "NO_DELETE",
    ),
    (
        "an optional argument before another",
        signature(AGE, ITEM, form="pt2"),
        signature(AGE, MAYBE, ITEM, form="pt2"),
        "NO_ADD_OPTIONAL INPUT_SAME_ORDER",
    ),
    ("an optional argument last", signature(AGE, form="pt2"), signature(AGE, MAYBE, form="pt2"), "NO_ADD_OPTIONAL"),
    ("from onnx to pt2", signature(AGE, ITEM, form="onnx"), signature(ITEM, AGE, form="pt2"), ""),
    (
        "an overload tried first",
        called(Overload(inputs=(AGE,))),
        called(Overload(inputs=(ITEM,)), Overload(inputs=(AGE,))),
        "OVERLOAD_NO_ADD OVERLOAD_SAME_ORDER",
    ),
    ("a batch let go, of the output too", returning(4, 4), returning("n", "n"), "SAME_SHAPE OUTPUT_SAME_SHAPE"),
    (
        "a bound loosened, of the output too",
        returning("n", "n", n=Range(maximum=4)),
        returning("n", "n", n=Range(maximum=8)),
        "SAME_SHAPE OUTPUT_SAME_SHAPE",
    ),
    (
        "a size of the output that is the batch now",
        returning("n", 4),
        returning("n", "n"),
        "OUTPUT_DIM_NOT_WIDENED",
    ),
    (
        "a batch let go, of the output by itself",
        returning(4, 4),
        returning("n", "m"),
        "SAME_SHAPE OUTPUT_DIM_NOT_WIDENED",
    ),
    (
        "traced with another batch, and of another width",
        signature(traced_with(4, 3)),
        signature(traced_with(9, 5)),
        "BATCH_SEEN DIM_NOT_NARROWED",
    ),
    ("traced with another rank", signature(traced_with(4, 3)), signature(traced_with(4, 3, 1)), "SAME_RANK"),
    (
        "traced, where the batch was stated",
        signature(age(type=Tensor(DType.FLOAT32, ("n", 3)))),
        signature(traced_with(4, 3)),
        "DIM_NOT_NARROWED",
    ),
    ("other codes seen in training", signature(codes(0, 1, 5)), signature(codes(0, 1, 7, 8)), "RANGE_SEEN"),
    (
        "a number that is now a category",
        signature(replace(codes(), constraints=Constraints(range=Range(minimum=0)))),
        signature(codes(0, 1)),
        "RANGE_SEEN CATEGORY_NO_DELETE",
    ),
    (
        "a category of a data frame's column less",
        signature(age(constraints=Constraints(categories=("a", "b")), learned=SEEN | {"type": Learned.EXAMPLE})),
        signature(age(constraints=Constraints(categories=("a",)), learned=SEEN | {"type": Learned.EXAMPLE})),
        "CATEGORY_NO_DELETE",
    ),
    (
        "traces in another order, numbered anew",
        called(traced("f_12", True), traced("f_19", False)),
        called(traced("f_15", False), traced("f_19", True)),
        "OVERLOAD_SAME_ORDER",
    ),
    (
        "the first trace gone, the other numbered anew",
        called(traced("f_12", True), traced("f_19", False)),
        called(traced("f_12", False)),
        "OVERLOAD_NO_DELETE",
    ),
    (
        "ragged otherwise, in another rank",
        signature(age(type=Ragged(DType.INT64, ("n", None), 1))),
        signature(age(type=Ragged(DType.INT64, ("n", None, None), 2))),
        "SAME_RANK",
    ),
    ("1 is 1.0", signature(age(default=Literal(1), id="a")), signature(age(default=Literal(1.0), id="b")), "ID_STABLE"),
    ("1 is not True", signature(age(type=Literal(1))), signature(age(type=Literal(True))), "SAME_CONSTANT"),
    (
        "a range that limits nothing",
        signature(age(constraints=Constraints(range=Range(), categories=("a",)))),
        signature(age(constraints=Constraints(categories=("a", "b")))),
        "CATEGORY_NO_ADD",
    ),
    *(
        (f"a mark of categories: {name}", signature(old, form=was), signature(new, form=now), rules)
        for name, was, old, now, new, rules in (
            ("now", "catboost", OPEN, "catboost", MARKED, "INPUT_SAME_CATEGORICAL"),
            ("no more", "catboost", MARKED, "catboost", OPEN, "INPUT_SAME_CATEGORICAL"),
            ("no more, in a format of any values", "catboost", MARKED, "skops", OPEN, "INPUT_CATEGORY_NO_ADD"),
            ("for text", "skops", TEXT, "catboost", MARKED, "INPUT_CATEGORY_NO_ADD INPUT_DTYPE_NOT_WIDENED"),
            ("for fractions", "onnx", AGE, "catboost", MARKED, "INPUT_SAME_CATEGORICAL INPUT_DTYPE_NOT_WIDENED"),
            ("in place of text that is looked at", "catboost", TEXT, "catboost", OPEN, "INPUT_SAME_DTYPE"),
        )
    ),
]


@pytest.mark.parametrize(("old", "new", "rules"), [row[1:] for row in EXACTLY], ids=[row[0] for row in EXACTLY])
def test_a_change_is_these_findings_and_no_others(old: Signature, new: Signature, rules: str) -> None:
    named = [each if each.startswith(("INPUT_", "OUTPUT_", "OVERLOAD_")) else f"INPUT_{each}" for each in rules.split()]
    assert [change.rule for change in diff(old, new)] == named


def test_keys_of_a_dict_that_become_arguments_do_not_change_their_order() -> None:
    was = signature(age(path='inputs["age"]'), replace(ITEM, path='inputs["item"]'), form="keras")
    now = signature(age(path="inputs[0]"), replace(ITEM, path="inputs[1]"), form="keras")
    for old, new in ((was, now), (now, was)):
        rules = {change.rule for change in diff(old, new)}
        assert rules
        assert "INPUT_SAME_ORDER" not in rules


def test_an_overload_is_called_the_same_however_its_traces_are_numbered() -> None:
    """Waivers name the subject, and must cover the next retraining."""
    wider = replace(traced("", True), inputs=(age(type=Tensor(DType.FLOAT32, ("n", 2))), *traced("", True).inputs[1:]))
    subjects = [
        {change.where for change in diff(called(traced(was, False), traced(two, True)), called(*news))}
        for was, two, news in (
            ("f_1", "f_2", (traced("f_1", False), replace(wider, name="f_2"))),
            ("f_7", "f_9", (traced("f_11", False), replace(wider, name="f_13"))),
        )
    ]
    assert subjects == [{"call, overload 2: input age"}] * 2


def test_a_change_says_who_breaks_and_what_to_do() -> None:
    (change,) = diff(signature(AGE), signature(AGE, ITEM))
    assert change.as_dict() == {
        "rule": "INPUT_NO_ADD_REQUIRED",
        "category": "FEED",
        "level": "error",
        "subject": "forward: input item",
        "problem": "the input is new",
        "after": "int64 [n], required",
        "breaks": "Callers of the old version do not send it, and roots that trim by the old allowlist drop it: "
        "the leaf refuses their requests.",
        "notice": "an error at once",
        "remedy": "Give the input a default. Or: Publish it under a new name: trimtab fork REPOSITORY MODEL NEW_NAME.",
    }
