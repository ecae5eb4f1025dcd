"""Symbolic sizes as torch.export writes them, turned into readable text by a tokenizer, never evaluated.

`expr_str` is what sympy's `srepr` prints, `Add(Mul(Integer(2), Symbol('s17', integer=True)), Integer(1))`, and what
PyTorch's own loader hands to `sympify`, which is `eval`. Here it becomes `2*s17 + 1`, the text under which the file's
own `range_constraints` know the expression; what is not such an expression is refused. torch 2.4 and older wrote that
text itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from trimtab.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_TEXT = 4096
MAX_DEPTH = 32


def symbolic_text(expression: str, where: str) -> int | str:
    """The readable form of an expression over symbols, or the number that it is. ArtifactError for anything else."""
    if len(expression) > MAX_TEXT:
        raise ArtifactError(where=where, expected=f"an expression of at most {MAX_TEXT} characters", got="a longer one")
    if is_readable(expression):
        return int(expression) if _NUMBER.fullmatch(expression) else expression
    parser = _Parser(expression, where)
    text = parser.expression(0).text
    parser.end()
    return int(text) if _NUMBER.fullmatch(text) else text


def is_readable(text: str) -> bool:
    """Whether this is an expression in its readable form: names, numbers, operators and known functions."""
    return (
        len(text) <= MAX_TEXT
        and bool(_READABLE.fullmatch(text))
        and text.count("(") == text.count(")")
        and not _SIDE_BY_SIDE.search(text)
        and all(name in _FUNCTIONS for name in _CALLED.findall(text))
        and not any(text.startswith(f"{name}(") for name in ("Add", "Mul", "Integer", "Symbol", "Pow", "FloorDiv"))
    )


_NUMBER = re.compile(r"-?\d{1,18}")
_READABLE = re.compile(r"[A-Za-z0-9_+\-*/%(), ]+")
_SIDE_BY_SIDE = re.compile(r"[\w)]\s+[\w(]|^\s|\s$")
_CALLED = re.compile(r"([A-Za-z_]\w*)\s*\(")
_TOKEN = re.compile(r"\s*(?:([A-Za-z_]\w*)|(-?\d{1,80})(?![.\w])|'([A-Za-z0-9_.+-]*)'|([(),=]))")

_ADD, _MUL, _POW, _ATOM, _LOOSE = 40, 50, 60, 1000, 35  # how tightly sympy's printer binds

_LOOSE_FUNCTIONS = ("Mod", "PythonMod", "ModularIndexing", "IntTrueDiv", "FloatTrueDiv", "Where")
_ROUNDING_FUNCTIONS = ("CeilDiv", "CeilToInt", "FloorToInt", "RoundToInt", "TruncToInt", "TruncToFloat", "ToFloat")
_OTHER_FUNCTIONS = ("Max", "Min", "Abs", "PowByNatural", "FloatPow", "LShift", "RShift", "floor", "ceiling", "sqrt")
_FUNCTIONS = (*_LOOSE_FUNCTIONS, *_ROUNDING_FUNCTIONS, *_OTHER_FUNCTIONS)
"""Functions of torch/utils/_sympy/functions.py and of sympy that are printed as they are called."""


class _Printed(NamedTuple):
    """A subexpression as text, how tightly it binds, its two numbers where it is a rational number, its sort key."""

    text: str
    binding: int = _ATOM
    ratio: tuple[int, int] | None = None
    power: tuple[_Printed, _Printed] | None = None
    order: tuple[Any, ...] = ()
    """The key by which sympy sorts (`Expr.sort_key`): class, arguments, exponent, factor."""

    def within(self, binding: float) -> str:
        return f"({self.text})" if self.binding <= binding else self.text


class _Parser:
    """Recursive descent over the tokens."""

    def __init__(self, text: str, where: str) -> None:
        self.text = text
        self.where = where
        self.position = 0

    def expression(self, depth: int) -> _Printed:
        if depth > MAX_DEPTH:
            raise self._refuse(f"an expression nested at most {MAX_DEPTH} deep")
        name = self._take(1)
        if name is None:
            number = self._take(2)
            if number is None:
                raise self._refuse("a number or a function")
            return _rational(int(number), 1)
        self._expect("(")
        if name == "Symbol":
            return self._symbol()
        if name in ("Integer", "Rational", "Float"):
            return self._number(name)
        arguments = [self.expression(depth + 1)]
        while self._punctuation(","):
            arguments.append(self.expression(depth + 1))
        self._expect(")")
        return self._print(name, arguments)

    def end(self) -> None:
        if self.text[self.position :].strip():
            raise self._refuse("the end of the expression")

    def _symbol(self) -> _Printed:
        name = self._take(3)
        if not name or not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise self._refuse("a symbol's name in quotes")
        while self._punctuation(","):  # assumptions, such as positive=True
            if self._take(1) is None or not self._punctuation("=") or self._take(1) not in ("True", "False"):
                raise self._refuse("an assumption such as integer=True")
        self._expect(")")
        return _Printed(name, order=_order((2, 0, "Symbol"), (name,)))

    def _number(self, kind: str) -> _Printed:
        if kind == "Float":
            text = self._take(3) or self._take(2)
            if self._punctuation(",") and (self._take(1) != "precision" or not self._punctuation("=")):
                raise self._refuse("precision=")
            self._take(2)
            self._expect(")")
            return _Printed(text or "0", order=_number(0))
        above = self._take(2)
        below = self._take(2) if kind == "Rational" and self._punctuation(",") else "1"
        self._expect(")")
        if above is None or below is None or int(below) < 1:
            raise self._refuse("a number")
        return _rational(int(above), int(below))

    def _print(self, name: str, arguments: list[_Printed]) -> _Printed:
        if name == "Add":
            return _sum(arguments)
        if name == "Mul":
            return _product(arguments)
        if name == "Pow" and len(arguments) == 2:
            return _power(*arguments)
        if name in ("FloorDiv", "CleanDiv") and len(arguments) == 2:
            above, below = (each.within(_ATOM - 1) for each in arguments)
            return _Printed(f"({above}//{below})", _LOOSE, order=_order_of_call(name, arguments))
        if name == "Identity" and len(arguments) == 1:
            return arguments[0]
        if name in ("Max", "Min"):
            arguments = sorted(arguments, key=lambda each: each.order)
        elif name not in _FUNCTIONS:
            raise self._refuse(f"a function of symbolic sizes ({', '.join(_FUNCTIONS[:6])}, …)", name)
        binding = _LOOSE if name in _LOOSE_FUNCTIONS else _ATOM
        text = f"{name}({', '.join(each.text for each in arguments)})"
        return _Printed(text, binding, order=_order_of_call(name, arguments))

    def _take(self, group: int) -> str | None:
        match = _TOKEN.match(self.text, self.position)
        if match is None or match.group(group) is None:
            return None
        self.position = match.end()
        return match.group(group)

    def _punctuation(self, mark: str) -> bool:
        match = _TOKEN.match(self.text, self.position)
        if match is None or match.group(4) != mark:
            return False
        self.position = match.end()
        return True

    def _expect(self, mark: str) -> None:
        if not self._punctuation(mark):
            raise self._refuse(f"{mark!r}")

    def _refuse(self, expected: str, got: str = "") -> ArtifactError:
        return ArtifactError(
            where=f"{self.where} at character {self.position}",
            expected=expected,
            got=got or repr(self.text[self.position : self.position + 40]),
            hint="A size must be an expression over symbols. torch's own loader would evaluate this text as code.",
        )


def _rational(above: int, below: int) -> _Printed:
    text = str(above) if below == 1 else f"{above}/{below}"
    return _Printed(
        text, _ADD if above < 0 else _ATOM if below == 1 else _MUL, (above, below), order=_number(above / below)
    )


def _number(value: float) -> tuple[Any, ...]:
    return (1, 0, "Number"), (0, ()), (), value


def _order(
    class_: tuple[int, int, str], arguments: Sequence[Any], exponent: Any = None, factor: float = 1
) -> tuple[Any, ...]:
    return class_, (len(arguments), tuple(arguments)), exponent or _number(1), factor


def _order_of_call(name: str, arguments: list[_Printed]) -> tuple[Any, ...]:
    class_ = (5, 0, name) if name in ("Max", "Min") else (4, 10_000, name)
    return _order(class_, [each.order for each in arguments])


def _sum(terms: list[_Printed]) -> _Printed:
    text = ""
    for term in terms:
        bare = term.text
        negative = bare.startswith("-")
        bare = bare.removeprefix("-")
        if term.binding < _ADD or (term.binding == _ADD and term.ratio is None):
            bare, negative = f"({term.text})", False
        sign = "-" if negative else "+"
        text = f"{text} {sign} {bare}" if text else ("-" if negative else "") + bare
    return _Printed(text, _ADD, order=_order((3, 1, "Add"), [each.order for each in terms]))


def _product(factors: list[_Printed]) -> _Printed:
    sign = ""
    above: list[str] = []
    below: list[str] = []
    for factor in factors:
        if factor.ratio is not None:
            numerator, denominator = factor.ratio
            if numerator < 0:
                sign, numerator = ("" if sign else "-"), -numerator
            if numerator != 1:
                above.append(str(numerator))
            if denominator != 1:
                below.append(str(denominator))
        elif factor.power is not None and (exponent := factor.power[1].ratio) is not None and exponent[0] < 0:
            inverse = _rational(-exponent[0], exponent[1])
            base = factor.power[0]
            below.append(base.within(_MUL) if inverse.ratio == (1, 1) else _power(base, inverse).text)
        else:
            above.append(factor.within(_MUL))
    text = sign + ("*".join(above) or "1")
    if below:
        text += f"/{below[0]}" if len(below) == 1 else f"/({'*'.join(below)})"
    # A product that begins with a minus sign binds as a sum does.
    return _Printed(text, _ADD + 1 if sign else _MUL, order=_order_of_product(factors))


def _order_of_product(factors: list[_Printed]) -> tuple[Any, ...]:
    """A number among the factors is left out, and compared last."""
    factor = 1.0
    others = []
    for each in factors:
        if each.ratio is None:
            others.append(each.order)
        else:
            factor *= each.ratio[0] / each.ratio[1]
    if len(others) == 1:
        return (*others[0][:3], factor)
    return _order((3, 0, "Mul"), others, factor=factor)


def _power(base: _Printed, exponent: _Printed) -> _Printed:
    order = (*base.order[:2], exponent.order, 1)
    if exponent.ratio == (-1, 1):
        return _Printed(f"1/{base.within(_POW)}", _MUL, power=(base, exponent), order=order)
    if exponent.ratio == (1, 2):
        return _Printed(f"sqrt({base.text})", _ATOM, order=order)
    return _Printed(f"{base.within(_POW)}**{exponent.within(_POW)}", _POW, power=(base, exponent), order=order)
