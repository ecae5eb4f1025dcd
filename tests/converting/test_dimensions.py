"""Expressions over symbols: equal to Python's own arithmetic, and harmless whatever the text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.converting.dimensions import Sizes, expression_of
from trimtab.signature.model import Range

VALUES = [
    ("2*s17 + 1", {"s17": 3}, 7),
    ("s0*s1", {"s0": 4, "s1": 5}, 20),
    ("s0 - 1", {"s0": 1}, 0),
    ("-s0 + 8", {"s0": 3}, 5),
    ("s0//2", {"s0": 7}, 3),
    ("s0/2", {"s0": 8}, 4),
    ("(s0 + 1)**2", {"s0": 2}, 9),
    ("Max(1, s0)", {"s0": 0}, 1),
    ("Min(s0, s1, 9)", {"s0": 4, "s1": 3}, 3),
    ("FloorDiv(s0, 4)", {"s0": 9}, 2),
    ("CeilDiv(s0, 4)", {"s0": 9}, 3),
    ("Mod(s0, 4)", {"s0": 9}, 1),
    ("floor(s0/2 + 1)", {"s0": 3}, 2),
    ("ceiling(s0/2)", {"s0": 3}, 2),
    ("12", {}, 12),
    ("s0/0", {"s0": 1}, None),
    ("s0 % s1", {"s0": 1, "s1": 0}, None),
    ("9**9**9**s0", {"s0": 9}, None),
    ("2**-s0", {"s0": 1}, None),
    ("s0 + s1", {"s0": 1}, None),
]


@pytest.mark.parametrize(("text", "sizes", "value"), VALUES)
def test_values(text, sizes, value):
    assert expression_of(text).value(sizes) == value


@pytest.mark.parametrize(
    "text",
    ["batch", "", "unk__0", "a b", "batch-", "lambda", "f(s0)", "s0.x()", "s0 if s0 else 1", "1.5*s0", "x" * 999],
)
def test_what_is_no_arithmetic_is_a_symbol(text):
    assert expression_of(text) is None


OPERANDS = st.one_of(st.integers(0, 9).map(str), st.sampled_from(["a", "b"]))
TEXTS = st.recursive(
    OPERANDS,
    lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from(["+", "-", "*", "//", "%"]), inner),
    max_leaves=12,
)


@settings(max_examples=300)
@given(TEXTS, st.integers(0, 50), st.integers(0, 50))
def test_equals_python(text, a, b):
    expression = expression_of(text)
    if expression is not None:
        try:
            expected = eval(text, {}, {"a": a, "b": b})
        except ZeroDivisionError:
            expected = None
        assert expression.value({"a": a, "b": b}) == expected


@settings(max_examples=300)
@given(st.text("ab01+-*/%(), .MaxMin[]\"'\\\0", max_size=40), st.integers(0, 9))
def test_any_text_is_harmless(text, size):
    expression = expression_of(text)
    if expression is not None:
        expression.value(dict.fromkeys(expression.symbols, size))


@pytest.mark.parametrize("text", ["(" * 190 + "a" + ")" * 190, "-" * 399 + "a", "9" * 399 + "*a", "a" + "**9" * 100])
def test_deep_and_large_texts_are_harmless(text):
    expression = expression_of(text)
    if expression is not None:
        expression.value({"a": 9})


def test_expressions_bind_as_symbols_until_their_own_are_bound():
    sizes = Sizes({"s", "2*s + 1"}, {})
    assert sizes.contradiction({"2*s + 1": 6}) is None
    assert sizes.contradiction({"2*s + 1": 7, "s": 3}) is None
    assert sizes.contradiction({"2*s + 1": 6, "s": 3}) == ("2*s + 1", "7 for s = 3", "6")
    assert sizes.resolve("2*s + 1", {"s": 3}) == 7
    assert sizes.resolve("2*s + 1", {}) is None


@pytest.mark.parametrize(
    ("limits", "size", "broken"),
    [
        (Range(minimum=2, maximum=8), 2, False),
        (Range(minimum=2, maximum=8), 9, True),
        (Range(minimum=2), 1, True),
        (Range(), 0, False),
    ],
)
def test_limits(limits, size, broken):
    assert (Sizes({"n"}, {"n": limits}).contradiction({"n": size}) is not None) == broken
