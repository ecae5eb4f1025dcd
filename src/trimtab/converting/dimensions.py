"""Dimensions of one request: symbols bound across its inputs, and expressions over them.

A dimension is a number, a symbol (`batch`), an expression (`2*s17 + 1`, as torch.export and ONNX write them) or
unknown. Text that is no arithmetic, or whose symbols nothing binds, acts as a symbol: equal text, equal size.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from trimtab.signature.model import Range
    from trimtab.signature.types import Dim

Number: TypeAlias = int | Fraction
_Evaluate: TypeAlias = Callable[[Mapping[str, int]], Number]


class Expression(NamedTuple):
    """Arithmetic over symbols."""

    text: str
    symbols: frozenset[str]
    compute: _Evaluate

    def value(self, sizes: Mapping[str, int]) -> Number | None:
        """What it comes to; None while a symbol is unbound, and where arithmetic gives no sensible number."""
        if not self.symbols <= sizes.keys():
            return None
        try:
            return self.compute(sizes)
        except ArithmeticError:
            return None


def expression_of(text: str) -> Expression | None:
    """The expression that a dimension's text states, or None for a plain symbol and for what is no arithmetic."""
    if len(text) > _LONGEST:
        return None
    try:
        root = ast.parse(text.strip(), mode="eval").body
        if isinstance(root, ast.Name):
            return None
        compute = _compile(root)
    except (SyntaxError, ValueError, MemoryError, RecursionError, _NotArithmeticError):
        return None
    names = {node.id for node in ast.walk(root) if isinstance(node, ast.Name)}
    called = {node.func.id for node in ast.walk(root) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    return Expression(text, frozenset(names - called), compute)


class Sizes:
    """The dimensions of one overload, compiled once: which texts are expressions, and which have limits."""

    def __init__(self, dims: set[str], limits: Mapping[str, Range]) -> None:
        self._limits = dict(limits)
        self._expressions = {text: found for text in dims | limits.keys() if (found := expression_of(text))}

    def resolve(self, dim: Dim, sizes: Mapping[str, int]) -> int | None:
        """The size of a dimension given what is bound, or None if nothing says it."""
        if not isinstance(dim, str):
            return dim
        if dim in sizes:
            return sizes[dim]
        expression = self._expressions.get(dim)
        value = expression.value(sizes) if expression else None
        return value if isinstance(value, int) else None

    def contradiction(self, sizes: Mapping[str, int]) -> tuple[str, str, str] | None:
        """The first dimension whose size breaks its expression or its limits: (its text, expected, got)."""
        for text, expression in self._expressions.items():
            value = expression.value(sizes)
            if text in sizes and value is not None and value != sizes[text]:
                known = ", ".join(f"{symbol} = {sizes[symbol]}" for symbol in sorted(expression.symbols))
                return text, f"{value}" + (f" for {known}" if known else ""), str(sizes[text])
        for text, limits in self._limits.items():
            size = self.resolve(text, sizes)
            if size is not None and not _within(size, limits):
                return text, str(limits), str(size)
        return None


def _within(size: int, limits: Range) -> bool:
    return (limits.minimum is None or size >= limits.minimum) and (limits.maximum is None or size <= limits.maximum)


class _NotArithmeticError(Exception):
    """The text is Python, but not arithmetic over symbols."""


_LONGEST = 400
_MOST_BITS = 128


def _compile(node: ast.expr) -> _Evaluate:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        constant = node.value
        return lambda _sizes: constant
    if isinstance(node, ast.Name):
        name = node.id
        return lambda sizes: sizes[name]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        operand = _compile(node.operand)
        return lambda sizes: -operand(sizes)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        operate = _OPERATORS[type(node.op)]
        left, right = _compile(node.left), _compile(node.right)
        return lambda sizes: _plain(operate(left(sizes), right(sizes)))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        arity, function = _FUNCTIONS.get(node.func.id, (-1, max))
        arguments = [_compile(argument) for argument in node.args]
        if arguments and arity in (0, len(arguments)):
            return lambda sizes: _plain(function(*(argument(sizes) for argument in arguments)))
    raise _NotArithmeticError


def _plain(value: Number) -> Number:
    """Whole fractions as integers; nothing larger than any dimension could be."""
    if isinstance(value, Fraction) and value.denominator == 1:
        value = value.numerator
    if abs(value) >> _MOST_BITS if isinstance(value, int) else abs(value.numerator) >> _MOST_BITS:
        raise OverflowError
    return value


def _power(base: Number, exponent: Number) -> Number:
    if not isinstance(exponent, int) or not isinstance(base, int) or not 0 <= exponent <= _MOST_BITS:
        raise OverflowError
    if base.bit_length() * exponent > 2 * _MOST_BITS:
        raise OverflowError
    power: int = base**exponent
    return power


def _divide(left: Number, right: Number) -> Number:
    return Fraction(left) / right


_OPERATORS: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Div: _divide,
    ast.Mod: operator.mod,
    ast.Pow: _power,
}

_FUNCTIONS: dict[str, tuple[int, Callable[..., Number]]] = {
    # name as sympy, torch or ONNX prints it: (arguments, 0 for any number; function)
    "Max": (0, lambda *values: max(values)),
    "Min": (0, lambda *values: min(values)),
    "max": (0, lambda *values: max(values)),
    "min": (0, lambda *values: min(values)),
    "floor": (1, math.floor),
    "ceiling": (1, math.ceil),
    "ceil": (1, math.ceil),
    "Mod": (2, operator.mod),
    "PythonMod": (2, operator.mod),
    "FloorDiv": (2, operator.floordiv),
    "CleanDiv": (2, operator.floordiv),
    "CeilDiv": (2, lambda left, right: -(-left // right)),
}
