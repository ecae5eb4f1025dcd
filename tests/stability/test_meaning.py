"""What the gate calls breaking breaks a real request, and what it calls safe does not: the frameworks decide.

A request made for the old model is trimmed for the new one, converted by the new one's signature, and run by the real
framework. The models give back what they were given, so that a value that is read otherwise shows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from echo_models import Exported, Field, Model, onnx, pt2, torchscript
from echo_models_of_tensorflow import keras, savedmodel, tflite
from request_sending import decoded_otherwise, handed, misread, requests_for, same

from trimtab.stability import Category, diff

USER = Field("user", shape=("batch", 3))
ITEM = Field("item", "int64", ("batch",))
BASE = Model((USER, ITEM))
DEFAULTED = BASE.plus(Field("bias", shape=(1,), default=0.5))
KNOWN = BASE.change("item", id="f:1")
LOOKED_UP = BASE.change("item", top=9)
WORDED = BASE.plus(Field("word", "string"))
OPEN = Model((Field("user", shape=(None, None)), Field("item", "int64", ("n",))))
TIED = Model((Field("user", shape=("n", 3)), Field("item", "int64", ("n",))))
UNTIED = Model((Field("user", shape=("m", 3)), Field("item", "int64", ("n",))))

ONNX = [
    ("nothing", BASE, BASE, ""),
    ("a required input more", BASE, BASE.plus(Field("new")), "INPUT_NO_ADD_REQUIRED"),
    ("an input with a default more", BASE, DEFAULTED, ""),
    ("an input less", BASE, BASE.without("item"), ""),
    ("float32 to float64", BASE, BASE.change("user", dtype="float64"), "INPUT_SAME_DTYPE"),
    ("float64 to float32", BASE.change("user", dtype="float64"), BASE, "INPUT_SAME_DTYPE"),
    ("int64 to int32", BASE, BASE.change("item", dtype="int32"), "INPUT_SAME_DTYPE"),
    ("int32 to int64", BASE.change("item", dtype="int32"), BASE, "INPUT_SAME_DTYPE"),
    ("int8 to uint8", BASE.change("item", dtype="int8"), BASE.change("item", dtype="uint8"), "INPUT_SAME_DTYPE"),
    ("float32 to int8", BASE, BASE.change("user", dtype="int8"), "INPUT_SAME_DTYPE"),
    ("int64 to float32", BASE, BASE.change("item", dtype="float32"), "INPUT_SAME_DTYPE"),
    ("float32 to int32, of one width", BASE, BASE.change("user", dtype="int32"), "INPUT_SAME_DTYPE"),
    ("text to numbers", WORDED, WORDED.change("word", dtype="int64"), "INPUT_SAME_DTYPE"),
    ("numbers to text", WORDED.change("word", dtype="int64"), WORDED, "INPUT_SAME_DTYPE"),
    ("a text more", BASE, WORDED, "INPUT_NO_ADD_REQUIRED"),
    ("a text less", WORDED, BASE, ""),
    ("a dimension more", BASE, BASE.change("item", shape=("batch", 1)), "INPUT_SAME_RANK"),
    ("a dimension less", BASE, BASE.change("user", shape=("batch",)), "INPUT_SAME_RANK"),
    ("two dimensions more", BASE, BASE.change("item", shape=("batch", 1, 1)), "INPUT_SAME_RANK"),
    ("no dimension left", BASE.change("item", shape=("batch", 1)), BASE.change("item", shape=()), "INPUT_SAME_RANK"),
    ("a larger size", BASE, BASE.change("user", shape=("batch", 5)), "INPUT_DIM_NOT_NARROWED"),
    ("a smaller size", BASE, BASE.change("user", shape=("batch", 2)), "INPUT_DIM_NOT_NARROWED"),
    ("sizes exchanged", BASE, BASE.change("user", shape=(3, "batch")), "INPUT_DIM_NOT_NARROWED"),
    ("a size fixed", OPEN, OPEN.change("user", shape=(None, 3)), "INPUT_DIM_NOT_NARROWED"),
    ("a size opened", BASE, BASE.change("user", shape=("batch", None)), ""),
    ("the batch fixed", BASE, BASE.change("user", shape=(4, 3)).change("item", shape=(4,)), "INPUT_DIM_NOT_NARROWED"),
    ("the batch opened", BASE.change("user", shape=(4, 3)).change("item", shape=(4,)), BASE, ""),
    ("another fixed batch", BASE.change("item", shape=(4,)), BASE.change("item", shape=(8,)), "INPUT_DIM_NOT_NARROWED"),
    ("sizes tied", UNTIED, TIED, "INPUT_DIM_NOT_NARROWED"),
    ("sizes untied", TIED, UNTIED, ""),
    ("symbols renamed", TIED, BASE, ""),
    ("renamed", BASE, BASE.change("item", name="item_id", key="item"), "INPUT_NO_ADD_REQUIRED"),
    ("renamed under its id", KNOWN, KNOWN.change("item", name="item_id", key="item"), "INPUT_NO_RENAME"),
    ("renamed, with an alias", KNOWN, KNOWN.change("item", name="item_id", key="item", aliases=("item",)), ""),
    ("an alias more", BASE, BASE.change("item", aliases=("item_id",)), ""),
    ("an alias less", BASE.change("item", aliases=("item_id",)), BASE, "INPUT_ALIAS_NO_DELETE"),
    ("another id", KNOWN, KNOWN.change("item", id="f:2"), ""),
    (
        "names exchanged",
        Model((Field("user", shape=("batch", 3), id="f:1"), Field("item", shape=("batch", 3), id="f:2"))),
        Model((Field("item", shape=("batch", 3), id="f:1", key="user"), replace(USER, id="f:2", key="item"))),
        "INPUT_NO_RENAME",
    ),
    ("another default", DEFAULTED, DEFAULTED.change("bias", default=0.25), "INPUT_SAME_DEFAULT"),
    ("a default less", DEFAULTED, DEFAULTED.change("bias", default=None), "INPUT_NOT_MADE_REQUIRED"),
    ("a default more", DEFAULTED.change("bias", default=None), DEFAULTED, ""),
    ("a range narrowed", LOOKED_UP, BASE.change("item", top=4), "INPUT_RANGE_NOT_NARROWED"),
    ("a range widened", LOOKED_UP, BASE.change("item", top=19), ""),
    ("inputs in another order", BASE, Model((ITEM, USER)), ""),
    ("an output less", BASE, replace(BASE, muted=("item",)), ""),
    ("outputs of another dtype", BASE, replace(BASE, cast="float64"), ""),
    ("outputs of other names", BASE, replace(BASE, prefix="out_"), ""),
]

PLAIN = Model((Field("user", shape=()), Field("item", "int64", shape=())))
SCALED = PLAIN.plus(Field("scale", "int64", (), default=3, scalar=True))
MAYBE = PLAIN.plus(Field("maybe", shape=(), optional=True))

TORCHSCRIPT = [
    ("nothing", PLAIN, PLAIN, ""),
    ("a required argument more", PLAIN, PLAIN.plus(Field("new", shape=())), "INPUT_NO_ADD_REQUIRED"),
    ("an argument with a default more", PLAIN, SCALED, ""),
    ("an optional argument more", PLAIN, MAYBE, ""),
    ("an argument less", PLAIN, PLAIN.without("item"), ""),
    ("arguments in another order", PLAIN, PLAIN.with_inputs(*reversed(PLAIN.inputs)), ""),
    ("an argument renamed", PLAIN, PLAIN.change("item", name="item_id", key="item"), "INPUT_NO_ADD_REQUIRED"),
    (
        "an argument renamed, with an alias",
        PLAIN,
        PLAIN.change("item", name="item_id", key="item", aliases=("item",)),
        "",
    ),
    ("another default", SCALED, SCALED.change("scale", default=4), "INPUT_SAME_DEFAULT"),
    ("a default less", SCALED, SCALED.change("scale", default=None), "INPUT_NOT_MADE_REQUIRED"),
    (
        "no longer optional",
        MAYBE,
        MAYBE.change("maybe", optional=False),
        "INPUT_NOT_MADE_REQUIRED INPUT_NOT_MADE_NON_NULLABLE",
    ),
    ("made optional", MAYBE.change("maybe", optional=False), MAYBE, ""),
    ("an argument under a default", SCALED.change("scale", default=None), SCALED, ""),
    (
        "a tensor to a number",
        PLAIN.plus(Field("scale", "int64", ())),
        SCALED.change("scale", default=None),
        "INPUT_SAME_KIND",
    ),
    ("a number of another type", SCALED, SCALED.change("scale", dtype="float32", default=3.0), "INPUT_SAME_DTYPE"),
    ("a dtype stated", PLAIN, PLAIN.change("user", stated="float32"), "INPUT_DTYPE_NOT_NARROWED"),
    ("a dtype no longer stated", PLAIN.change("user", stated="float32"), PLAIN, ""),
    ("another method", PLAIN, replace(PLAIN, entry_point="score"), "ENTRYPOINT_NO_RENAME"),
]

EXPORTED = replace(BASE, bounds=(("batch", 2, 16),))
PT2 = [
    ("nothing", EXPORTED, EXPORTED, ""),
    ("a bound tightened", EXPORTED, replace(EXPORTED, bounds=(("batch", 2, 8),)), "INPUT_DIM_NOT_NARROWED"),
    ("a bound loosened", replace(EXPORTED, bounds=(("batch", 2, 8),)), EXPORTED, ""),
    ("a lower bound raised", EXPORTED, replace(EXPORTED, bounds=(("batch", 4, 16),)), "INPUT_DIM_NOT_NARROWED"),
    (
        "the batch fixed",
        EXPORTED,
        replace(EXPORTED.change("user", shape=(4, 3)).change("item", shape=(4,)), bounds=()),
        "INPUT_DIM_NOT_NARROWED",
    ),
    (
        "an upper bound raised, a lower one too",
        EXPORTED,
        replace(EXPORTED, bounds=(("batch", 3, 32),)),
        "INPUT_DIM_NOT_NARROWED",
    ),
    ("a required argument more", EXPORTED, EXPORTED.plus(Field("new")), "INPUT_NO_ADD_REQUIRED"),
    ("an argument less", EXPORTED, EXPORTED.without("item"), ""),
    ("arguments in another order", EXPORTED, EXPORTED.with_inputs(*reversed(EXPORTED.inputs)), ""),
    ("an argument renamed", EXPORTED, EXPORTED.change("item", name="item_id", key="item"), "INPUT_NO_ADD_REQUIRED"),
    (
        "an argument renamed, with an alias",
        EXPORTED,
        EXPORTED.change("item", name="item_id", key="item", aliases=("item",)),
        "",
    ),
    ("a dimension more", EXPORTED, EXPORTED.change("item", shape=("batch", 1)), "INPUT_SAME_RANK"),
    ("a dimension less", EXPORTED.change("item", shape=("batch", 1)), EXPORTED, "INPUT_SAME_RANK"),
    ("another size", EXPORTED, EXPORTED.change("user", shape=("batch", 5)), "INPUT_DIM_NOT_NARROWED"),
    ("int32 to int64", EXPORTED.change("item", dtype="int32"), EXPORTED, "INPUT_SAME_DTYPE"),
    ("float64 to float32", EXPORTED.change("user", dtype="float64"), EXPORTED, "INPUT_SAME_DTYPE"),
    ("float32 to float64", EXPORTED, EXPORTED.change("user", dtype="float64"), "INPUT_SAME_DTYPE"),
]

SERVED = replace(BASE, entry_point="serving_default")
WORDS = Model((Field("word", "string"), ITEM), entry_point="serving_default")
SAVEDMODEL = [
    ("nothing", SERVED, SERVED, ""),
    ("a required input more", SERVED, SERVED.plus(Field("new")), "INPUT_NO_ADD_REQUIRED"),
    ("an input less", SERVED, SERVED.without("item"), ""),
    ("renamed", SERVED, SERVED.change("item", name="item_id", key="item"), "INPUT_NO_ADD_REQUIRED"),
    ("inputs in another order", SERVED, SERVED.with_inputs(*reversed(SERVED.inputs)), ""),
    ("int64 to int32", SERVED, SERVED.change("item", dtype="int32"), "INPUT_SAME_DTYPE"),
    ("int32 to int64", SERVED.change("item", dtype="int32"), SERVED, "INPUT_SAME_DTYPE"),
    ("float32 to float64", SERVED, SERVED.change("user", dtype="float64"), "INPUT_SAME_DTYPE"),
    ("text to numbers", WORDS, WORDS.change("word", dtype="int64"), "INPUT_SAME_DTYPE"),
    ("numbers to text", WORDS.change("word", dtype="int64"), WORDS, "INPUT_SAME_DTYPE"),
    ("a dimension more", SERVED, SERVED.change("item", shape=("batch", 1)), "INPUT_SAME_RANK"),
    ("a dimension less", SERVED.change("item", shape=("batch", 1)), SERVED, "INPUT_SAME_RANK"),
    ("another size", SERVED, SERVED.change("user", shape=("batch", 5)), "INPUT_DIM_NOT_NARROWED"),
    ("a size opened", SERVED, SERVED.change("user", shape=("batch", None)), ""),
    ("a size fixed", SERVED.change("user", shape=("batch", None)), SERVED, "INPUT_DIM_NOT_NARROWED"),
    ("the batch fixed", SERVED, SERVED.change("item", shape=(4,)), "INPUT_DIM_NOT_NARROWED"),
    ("the batch opened", SERVED.change("item", shape=(4,)), SERVED, ""),
    ("another signature", SERVED, replace(SERVED, entry_point="score"), "ENTRYPOINT_NO_RENAME"),
    ("an output less", SERVED, replace(SERVED, muted=("item",)), ""),
    ("an output of another dtype", SERVED, replace(SERVED, cast="float64"), ""),
    ("an output of another name", SERVED, replace(SERVED, prefix="out_"), ""),
]

ID = SERVED.change("item", id="f:1")
BYTES = SERVED.change("user", dtype="int8")
TFLITE = [
    ("nothing", SERVED, SERVED, ""),
    ("a required input more", SERVED, SERVED.plus(Field("new")), "INPUT_NO_ADD_REQUIRED"),
    ("an input less", SERVED, SERVED.without("item"), ""),
    ("renamed", SERVED, SERVED.change("item", name="item_id", key="item"), "INPUT_NO_ADD_REQUIRED"),
    ("renamed under its id", ID, ID.change("item", name="item_id", key="item"), "INPUT_NO_RENAME"),
    ("renamed, with an alias", ID, ID.change("item", name="item_id", key="item", aliases=("item",)), ""),
    ("an alias less", SERVED.change("item", aliases=("item_id",)), SERVED, "INPUT_ALIAS_NO_DELETE"),
    ("inputs in another order", SERVED, SERVED.with_inputs(*reversed(SERVED.inputs)), ""),
    ("int64 to int32", SERVED, SERVED.change("item", dtype="int32"), "INPUT_SAME_DTYPE"),
    ("int32 to int64", SERVED.change("item", dtype="int32"), SERVED, "INPUT_SAME_DTYPE"),
    ("float32 to float64", SERVED, SERVED.change("user", dtype="float64"), "INPUT_SAME_DTYPE"),
    ("float32 to int32, of one width", SERVED, SERVED.change("user", dtype="int32"), "INPUT_SAME_DTYPE"),
    ("float32 to int8", SERVED, BYTES, "INPUT_SAME_DTYPE"),
    ("int8 to float32", BYTES, SERVED, "INPUT_SAME_DTYPE"),
    ("int8 to uint8", BYTES, BYTES.change("user", dtype="uint8"), "INPUT_SAME_DTYPE"),
    ("text to numbers", WORDS, WORDS.change("word", dtype="int64"), "INPUT_SAME_DTYPE"),
    ("a dimension more", SERVED, SERVED.change("item", shape=("batch", 1)), "INPUT_SAME_RANK"),
    ("a dimension less", SERVED.change("item", shape=("batch", 1)), SERVED, "INPUT_SAME_RANK"),
    ("another size", SERVED, SERVED.change("user", shape=("batch", 5)), "INPUT_DIM_NOT_NARROWED"),
    ("a size opened", SERVED, SERVED.change("user", shape=("batch", None)), ""),
    ("a size fixed", SERVED.change("user", shape=("batch", None)), SERVED, "INPUT_DIM_NOT_NARROWED"),
    ("the batch fixed", SERVED, SERVED.change("item", shape=(4,)), "INPUT_DIM_NOT_NARROWED"),
    ("the batch opened", SERVED.change("item", shape=(4,)), SERVED, ""),
    (
        "another fixed batch",
        SERVED.change("item", shape=(4,)),
        SERVED.change("item", shape=(1,)),
        "INPUT_DIM_NOT_NARROWED",
    ),
    ("a range narrowed", SERVED.change("item", top=9), SERVED.change("item", top=4), "INPUT_RANGE_NOT_NARROWED"),
    ("a range widened", SERVED.change("item", top=9), SERVED.change("item", top=19), ""),
    ("another signature", SERVED, replace(SERVED, entry_point="score"), "ENTRYPOINT_NO_RENAME"),
    ("an output less", SERVED, replace(SERVED, muted=("item",)), ""),
    ("an output of another dtype", SERVED, replace(SERVED, cast="float64"), ""),
    ("an output of another name", SERVED, replace(SERVED, prefix="out_"), ""),
]

LISTED = replace(BASE, structure="list")
ALONE = Model((USER,), structure="array")
CHAIN = replace(ALONE, structure="sequential")
MAYBE_ITEM = BASE.change("item", optional=True, dtype="float32")
LETTERS = BASE.plus(Field("letter", "string", categories=("a", "b", "c")))
KERAS = [
    ("nothing", BASE, BASE, ""),
    ("a required input more", BASE, BASE.plus(Field("new")), "INPUT_NO_ADD_REQUIRED"),
    ("an optional input more", BASE, BASE.plus(Field("new", optional=True)), ""),
    ("an input less", BASE, BASE.without("item"), ""),
    ("an input of a list less", LISTED, LISTED.without("user"), ""),
    ("made optional", BASE.change("item", dtype="float32"), MAYBE_ITEM, ""),
    (
        "no longer optional",
        MAYBE_ITEM,
        BASE.change("item", dtype="float32"),
        "INPUT_NOT_MADE_REQUIRED INPUT_NOT_MADE_NON_NULLABLE",
    ),
    ("renamed", BASE, BASE.change("item", name="item_id", key="item"), "INPUT_NO_ADD_REQUIRED"),
    ("the only one renamed", ALONE, ALONE.change("user", name="input_layer_1", key="user"), "INPUT_NO_ADD_REQUIRED"),
    ("a chain's input renamed", CHAIN, CHAIN.change("user", name="input_layer_1", key="user"), "INPUT_NO_ADD_REQUIRED"),
    ("a chain of another dtype", CHAIN, CHAIN.change("user", dtype="float64"), "INPUT_SAME_DTYPE"),
    ("a chain of another size", CHAIN, CHAIN.change("user", shape=("batch", 5)), "INPUT_DIM_NOT_NARROWED"),
    ("a chain of any size", CHAIN, CHAIN.change("user", shape=("batch", None)), ""),
    ("a chain of another rank", CHAIN, CHAIN.change("user", shape=("batch", 3, 1)), "INPUT_SAME_RANK"),
    ("a chain of what was a functional model", ALONE, CHAIN, ""),
    ("a chain of what took a mapping", Model((USER,)), CHAIN, ""),
    ("a chain of what took more", BASE, CHAIN, ""),
    ("what was a chain takes more", CHAIN, BASE, "INPUT_NO_ADD_REQUIRED"),
    ("renamed under its id", KNOWN, KNOWN.change("item", name="item_id", key="item"), "INPUT_NO_RENAME"),
    ("renamed, with an alias", KNOWN, KNOWN.change("item", name="item_id", key="item", aliases=("item",)), ""),
    ("inputs in another order", BASE, BASE.with_inputs(*reversed(BASE.inputs)), ""),
    ("a list in another order", LISTED, LISTED.with_inputs(*reversed(BASE.inputs)), ""),
    ("a list of what was a mapping", BASE, LISTED, ""),
    ("a mapping of what was a list", LISTED, BASE, ""),
    ("an array of what was a mapping", replace(ALONE, structure="mapping"), ALONE, ""),
    ("a mapping of what was an array", ALONE, replace(ALONE, structure="mapping"), ""),
    ("int64 to int32", BASE, BASE.change("item", dtype="int32"), "INPUT_SAME_DTYPE"),
    ("int32 to int64", BASE.change("item", dtype="int32"), BASE, "INPUT_SAME_DTYPE"),
    ("float32 to float64", BASE, BASE.change("user", dtype="float64"), "INPUT_SAME_DTYPE"),
    ("float64 to float32", BASE.change("user", dtype="float64"), BASE, "INPUT_SAME_DTYPE"),
    ("float32 to int32, of one width", BASE, BASE.change("user", dtype="int32"), "INPUT_SAME_DTYPE"),
    ("text to numbers", LETTERS, BASE.plus(Field("letter", "int64")), "INPUT_SAME_DTYPE"),
    ("a dimension more", BASE, BASE.change("item", shape=("batch", 1)), "INPUT_SAME_RANK"),
    ("a dimension less", BASE, BASE.change("user", shape=("batch",)), "INPUT_SAME_RANK"),
    ("another size", BASE, BASE.change("user", shape=("batch", 5)), "INPUT_DIM_NOT_NARROWED"),
    ("a size opened", BASE, BASE.change("user", shape=("batch", None)), ""),
    ("a size fixed", BASE.change("user", shape=("batch", None)), BASE, "INPUT_DIM_NOT_NARROWED"),
    ("the batch fixed", BASE, BASE.change("item", shape=(4,)), "INPUT_DIM_NOT_NARROWED"),
    ("the batch opened", BASE.change("item", shape=(4,)), BASE, ""),
    ("a range narrowed", LOOKED_UP, BASE.change("item", top=4), "INPUT_RANGE_NOT_NARROWED"),
    ("a range widened", LOOKED_UP, BASE.change("item", top=19), ""),
    ("a category less", LETTERS, LETTERS.change("letter", categories=("a", "b")), "INPUT_CATEGORY_NO_DELETE"),
    ("a category more", LETTERS, LETTERS.change("letter", categories=("a", "b", "c", "d")), ""),
    ("outputs less", BASE, replace(BASE, muted=("item",)), ""),
    ("outputs of another dtype", BASE, replace(BASE, cast="float64"), ""),
    ("outputs of other names", BASE, replace(BASE, prefix="out_"), ""),
]

CASES = [
    pytest.param(framework, *row[1:], id=f"{framework}: {row[0]}")
    for framework, rows in (
        *(("onnx", ONNX), ("torchscript", TORCHSCRIPT), ("pt2", PT2)),
        *(("savedmodel", SAVEDMODEL), ("tflite", TFLITE), ("keras", KERAS)),
    )
    for row in rows
]

EXPORTERS = {it.__name__: it for it in (onnx, torchscript, pt2, savedmodel, tflite, keras)}

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:\s+Warning. tf.lite.Interpreter is deprecated:UserWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras and NumPy 2
]

Export = Callable[[str, Model], Exported]


@pytest.fixture(scope="session")
def export(tmp_path_factory: pytest.TempPathFactory) -> Export:
    """Exports each model once."""
    made: dict[tuple[str, Model], Exported] = {}

    def exported(framework: str, model: Model) -> Exported:
        if (framework, model) not in made:
            folder: Path = tmp_path_factory.mktemp(framework)
            made[framework, model] = EXPORTERS[framework](model, folder)
        return made[framework, model]

    return exported


@pytest.mark.parametrize(("framework", "before", "after", "rule"), CASES)
def test_a_change_counts_in_feed_exactly_if_a_request_is_refused_or_misread(
    export: Export, framework: str, before: Model, after: Model, rule: str
) -> None:
    old, new = export(framework, before), export(framework, after)
    rules = {change.rule for change in diff(old.signature, new.signature, Category.FEED)}
    assert rules == set(rule.split())
    assert bool(misread(old, new)) == bool(rules)


@pytest.mark.parametrize(("framework", "before", "after", "rule"), CASES)
def test_a_change_counts_in_wire_exactly_if_bytes_are_other_values(
    export: Export, framework: str, before: Model, after: Model, rule: str
) -> None:
    old, new = export(framework, before), export(framework, after)
    assert decoded_otherwise(old, new) == bool(diff(old.signature, new.signature, Category.WIRE))


SAFE_BY_NAME = [
    pytest.param(*case.values[:3], id=case.id)
    for case in CASES
    if case.values[0] in ("onnx", "savedmodel", "tflite") and not case.values[3] and "alias" not in str(case.id)
]


@pytest.mark.parametrize(("framework", "before", "after"), SAFE_BY_NAME)
def test_what_is_safe_is_safe_without_a_leaf_that_converts(
    export: Export, framework: str, before: Model, after: Model
) -> None:
    """ONNX Runtime, TensorFlow and its Lite refuse names that they do not know: the allowlist alone makes it fit."""
    old, new = export(framework, before), export(framework, after)
    for arrays in requests_for(old.signature, 4):
        meant = handed(arrays, old)
        read = handed({name: it for name, it in arrays.items() if name in new.signature.allowlist}, new)
        assert meant is not None
        assert read is not None
        assert all(same(meant[it], read[it]) for it in meant.keys() & read.keys())
        if not arrays.keys() <= new.signature.allowlist:
            assert handed(arrays, new) is None, "nothing had to be trimmed"
