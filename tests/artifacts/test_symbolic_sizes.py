"""Symbolic sizes come out as sympy prints them, without sympy and without evaluating anything."""

from __future__ import annotations

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._sympy import functions

from trimtab.artifacts.formats.pt2.symbolic import is_readable, symbolic_text
from trimtab.errors import ArtifactError

symbols = st.sampled_from(["s0", "s17", "u3"]).map(lambda name: sympy.Symbol(name, positive=True, integer=True))
numbers = st.integers(-20, 20).map(sympy.Integer)
expressions = st.recursive(
    st.one_of(symbols, numbers),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda it: it[0] + it[1]),
        st.tuples(inner, inner).map(lambda it: it[0] - it[1]),
        st.tuples(inner, inner).map(lambda it: it[0] * it[1]),
        st.tuples(inner, st.integers(2, 3)).map(lambda it: it[0] ** it[1]),
        st.tuples(inner, st.integers(2, 9)).map(lambda it: it[0] / it[1]),
        st.tuples(inner, st.integers(2, 9)).map(lambda it: functions.FloorDiv(*it)),
    ),
    max_leaves=6,
)


@given(expressions)
@settings(max_examples=400)
def test_equals_what_sympy_prints(expression: sympy.Expr) -> None:
    text = symbolic_text(sympy.srepr(expression), "model.json")
    assert str(text) == str(expression)


terms = st.one_of(
    symbols,
    st.tuples(st.integers(2, 9), symbols).map(lambda it: it[0] * it[1]),
    st.tuples(symbols, st.integers(-9, 9)).map(lambda it: it[0] + it[1]),
    st.tuples(symbols, symbols).map(lambda it: it[0] * it[1]),
)


@given(st.lists(terms, min_size=2, max_size=4), st.sampled_from([functions.Max, functions.Min]))
def test_the_largest_and_the_smallest_name_their_arguments_in_sympys_order(
    arguments: list[sympy.Expr], function: type[sympy.Expr]
) -> None:
    expression = function(*arguments)
    assert str(symbolic_text(sympy.srepr(expression), "model.json")) == str(expression)


@given(expressions)
def test_the_printed_form_is_taken_as_it_is(expression: sympy.Expr) -> None:
    assert str(symbolic_text(str(expression), "model.json")) == str(expression)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("Symbol('s10', positive=True, integer=True)", "s10"),
        ("Add(Mul(Integer(2), Symbol('s17', integer=True)), Integer(1))", "2*s17 + 1"),
        ("Add(Symbol('s0', integer=True), Integer(-1))", "s0 - 1"),
        ("Mod(Symbol('s0'), Integer(4))", "Mod(s0, 4)"),
        ("Max(Integer(1), Symbol('u0', integer=True))", "Max(1, u0)"),
        ("CeilDiv(Symbol('s0'), Integer(2))", "CeilDiv(s0, 2)"),
        ("Integer(7)", 7),
        ("Mul(Integer(10000000000000000000), Symbol('s0'))", "10000000000000000000*s0"),
        ("7", 7),
        ("s0", "s0"),
        ("2*s0 + 1", "2*s0 + 1"),
    ],
)
def test_expressions(written: str, text: str | int) -> None:
    assert symbolic_text(written, "model.json") == text


@pytest.mark.parametrize(
    "written",
    [
        "__import__('os').system('touch PWNED')",
        "__import__('os')",
        "eval(s0)",
        "exec(1)",
        "Symbol('s0').func",
        'Symbol("s0")',
        "Symbol('a b')",
        "Symbol('s0', key=__import__)",
        "lambda: 1",
        "s0; s1",
        "s0 if s1 else s2",
        "[s0]",
        "Add(",
        "Add()",
        "Integer('1')",
        "Integer(1",
        "Rational(1, 0)",
        "",
        "Add(" * 100 + "Integer(1)" + ")" * 100,
        "s0" * 4000,
    ],
)
def test_everything_else_is_refused(written: str) -> None:
    with pytest.raises(ArtifactError) as error:
        symbolic_text(written, "model.json at sizes")
    assert error.value.where.startswith("model.json at sizes")


@given(st.text(max_size=60))
@settings(max_examples=300)
def test_arbitrary_text_is_refused_or_harmless(text: str) -> None:
    try:
        made = symbolic_text(text, "model.json")
    except ArtifactError:
        return
    assert isinstance(made, int) or is_readable(made)
