"""Our advice beside TensorFlow's answer: nearest traces, what to do, warnings, and the language of arguments."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab import savedmodel
from trimtab.errors import ConversionError
from trimtab.savedmodel.dispatching import RaggedValue, SparseValue, TensorValue, dispatch_call, parse_call
from trimtab.savedmodel.dispatching.arguments_text import parse_argument, parse_value
from trimtab.savedmodel.dispatching.outcome import DISTANCES
from trimtab.savedmodel.dispatching.report import as_dict, as_text
from trimtab.savedmodel.structure import NamedTuple, TensorSpec

LANGUAGE = [
    ("float32[2,3]", TensorValue("float32", (2, 3))),
    ("float32[]", TensorValue("float32", ())),
    ("int64[?, 3]", TensorValue("int64", (None, 3), source="symbolic")),
    ("string[...]", TensorValue("string", None, source="symbolic")),
    ("symbolic:float32[2]", TensorValue("float32", (2,), source="symbolic")),
    ("np:float64[2]", TensorValue("float64", (2,), source="numpy")),
    ("scalar:int8[]", TensorValue("int8", (), source="scalar")),
    ("variable:float32[4]", TensorValue("float32", (4,), source="variable")),
    ("ragged:int32[2,?,?]", RaggedValue("int32", (2, None, None), 2)),
    ("sparse:float32[2,3]", SparseValue("float32", (2, 3))),
    ("true", True),
    ("None", None),
    ("-3", -3),
    ("1e3", 1000.0),
    ('"a\\n"', "a\n"),
    ("b'ab'", b"ab"),
    ("[1, 2.5, 'x']", [1, 2.5, "x"]),
    ("(1, )", (1,)),
    ("(1)", 1),
    ("()", ()),
    ('{"a": float32[2], b: [true]}', {"a": TensorValue("float32", (2,)), "b": [True]}),
    ("Point(x=float32[], y=2)", NamedTuple("Point", (("x", TensorValue("float32", ())), ("y", 2)))),
]


@pytest.mark.parametrize(("text", "value"), LANGUAGE)
def test_the_language_of_arguments(text: str, value: Any) -> None:
    parsed = parse_value(text)
    assert parsed == value
    assert type(parsed) is type(value)
    assert parse_argument(f"some_name={text}") == ("some_name", value)
    assert parse_argument(text)[0] is None


MALFORMED = [
    *("", "float32", "hello", "float32[2", "float33[2]", "float32[x]", "tensor:", "np:[2]"),
    *("[1, 2", "{1: 2}", "1 2", "'a", "'it''s'", "[" * 99),
]


@pytest.mark.parametrize("text", MALFORMED)
def test_what_is_malformed_is_answered_with_what_was_expected(text: str) -> None:
    with pytest.raises(ConversionError, match="expected"):
        parse_value(text)


@given(st.text(alphabet="[](){}'\"=:,.?0123456789 abfloatint32np", max_size=40))
def test_any_text_is_a_value_or_an_error_of_ours(text: str) -> None:
    with contextlib.suppress(ConversionError):
        parse_argument(text)


@pytest.fixture(scope="module")
def polymorphic(corpus: Path) -> savedmodel.SavedModel:
    return savedmodel.load(corpus / "savedmodel" / "polymorphic" / "model")


@pytest.fixture(scope="module")
def training(corpus: Path) -> savedmodel.SavedModel:
    return savedmodel.load(corpus / "savedmodel" / "training_flag" / "model")


def test_the_nearest_trace_and_the_first_argument_that_differs(training: savedmodel.SavedModel) -> None:
    outcome = training.function("__call__").dispatch(TensorSpec("float32", (1, 2)), training=TensorSpec("bool", ()))
    assert outcome.refusal is not None
    assert outcome.refusal.tensorflow == "ValueError"
    nearest = outcome.candidates[0]
    assert [(each.path, each.kind) for each in nearest.differences] == [("training", "type")]
    assert outcome.advice == (nearest.remedy,)
    assert "Python value" in nearest.remedy


def test_every_difference_counts_and_ties_keep_the_order_of_trial(corpus: Path) -> None:
    model = savedmodel.load(corpus / "savedmodel" / "kwonly_defaults" / "model")
    outcome = model.function("g").dispatch(TensorSpec("string", (1, 2)), y=5.0, z="no", flags=(1, 2))
    assert [(each.distance, each.position) for each in outcome.candidates] == sorted(
        (each.distance, each.position) for each in outcome.candidates
    )
    assert all(each.distance == sum(DISTANCES[d.kind] for d in each.differences) for each in outcome.candidates)
    assert {difference.path for difference in outcome.candidates[0].differences} >= {"x", "z", "flags[1]"}


BINDING = [
    ((), {}, "Missing: 'x'."),
    ((1.0,), {"x": 1.0}, "'x' is given by position and by keyword."),
    ((1.0,), {"trainin": True}, "There is no parameter 'trainin': is 'training' meant?"),
    ((1.0, True, 3), {}, "It takes 2 positional arguments, got 3."),
]


@pytest.mark.parametrize(("args", "kwargs", "advice"), BINDING)
def test_a_call_that_does_not_bind(
    training: savedmodel.SavedModel, args: tuple[Any, ...], kwargs: dict[str, Any], advice: str
) -> None:
    outcome = training.function("__call__").dispatch(*args, **kwargs)
    assert outcome.refusal is not None
    assert outcome.refusal.stage == "binding"
    assert advice in outcome.advice


def test_values_that_wrap_lose_digits_or_are_cast(polymorphic: savedmodel.SavedModel) -> None:
    function = polymorphic.function("f")
    ids = {
        caution.id
        for value in (2**31 + 1, [TensorValue("int32", ()), TensorValue("int32", ())], (1 << 24) + 1)
        for caution in function.dispatch(value).warnings
    }
    assert "VALUE_CAST" in ids


def test_a_size_that_only_matches_by_being_unknown(polymorphic: savedmodel.SavedModel) -> None:
    outcome = polymorphic.function("g").dispatch(TensorSpec("float32", (None,)))
    assert outcome.position == 0
    assert "SIZE_UNKNOWN" in [each.id for each in outcome.warnings]


def test_a_literal_that_is_only_equal(training: savedmodel.SavedModel) -> None:
    outcome = training.function("__call__").dispatch(TensorSpec("float32", (1, 2)), training=1)
    assert outcome.dispatched
    assert "EQUAL_LITERAL" in [each.id for each in outcome.warnings]


def test_a_signature_takes_shapes_that_it_does_not_declare(corpus: Path) -> None:
    model = savedmodel.load(corpus / "savedmodel" / "shapes" / "model")
    outcome = model.signatures["part"].call(x=TensorValue("float32", (3, 9, 3)))
    assert outcome.dispatched
    assert [each.id for each in outcome.warnings] == ["SHAPE_NOT_CHECKED"]


def test_a_trial_that_raises_hides_the_trace_that_takes_the_call() -> None:
    """Literal first, ragged second: TensorFlow compares the ragged tensor with the literal, which raises."""
    function = _function([("mode",), (_ragged(),)])
    outcome = function.dispatch(RaggedValue("float32", (2, None)))
    assert outcome.refusal is not None
    assert outcome.refusal.stage == "trial"
    assert [each.id for each in outcome.warnings] == ["TRIAL_RAISES"]
    assert "Trace 2" in outcome.warnings[0].message


def test_nan_equals_nothing() -> None:
    outcome = _function([(float("nan"),)]).dispatch(float("nan"))
    assert outcome.refusal is not None
    assert [each.id for each in outcome.warnings] == ["NAN_NEVER_MATCHES"]


def test_a_later_trace_made_for_exactly_this_call() -> None:
    function = _function([(TensorSpec("float32", (None,)),), (TensorSpec("float32", (2,)),)])
    outcome = function.dispatch(TensorValue("float32", (2,)))
    assert outcome.position == 0
    assert [each.id for each in outcome.warnings] == ["LATER_TRACE_FITS"]


def test_integers_wrap() -> None:
    outcome = _function([(TensorSpec("uint8", ()),)]).dispatch(300)
    assert [str(each) for each in outcome.warnings] == ["VALUE_WRAPS x: 300 does not fit uint8 and wraps around."]


def test_every_recorded_call_can_be_explained(corpus: Path) -> None:
    """A refusal has its nearest trace first; text and object can be made of anything."""
    for folder in sorted((corpus / "savedmodel").iterdir()):
        model = savedmodel.load(folder / "model")
        for call in json.loads((folder / "calls.json").read_text()):
            outcome = dispatch_call(model.meta_graph, parse_call(call))
            assert as_text(outcome, explain=True)
            printed = json.loads(json.dumps(as_dict(outcome)))
            assert ("error" in printed) == (outcome.refusal is not None)
            distances = [each.distance for each in outcome.candidates]
            assert distances == sorted(distances)


def _ragged() -> Any:
    from trimtab.savedmodel.structure import RaggedTensorSpec

    return RaggedTensorSpec("float32", (None, None))


def _function(options: list[tuple[Any, ...]]) -> Any:
    """A function of one parameter `x` with these traces."""
    from trimtab.savedmodel.function_spec import CallSpec
    from trimtab.savedmodel.links import PolymorphicFunction

    class Trace:
        def __init__(self, position: int, args: tuple[Any, ...]) -> None:
            self.name, self.arguments, self.captures = f"trace_{position}", (args, {}), ()
            self.saved, self.function_def, self.where = object(), None, f"trace {position}"

    function: Any = PolymorphicFunction(None, 0, "f", ())  # type: ignore[arg-type]  # no model is behind it
    function.__dict__["spec"] = CallSpec(args=("x",))
    function.__dict__["traces"] = tuple(Trace(at, args) for at, args in enumerate(options))
    return function
