"""Arguments as a person types them: `x=float32[2,3]`, `training=false`, `[float32[2], {"a": int64[?]}]`.

A tensor is its dtype and shape; an unknown size (`?`, or `...` for the whole shape) makes it a tensor inside a graph.
Before it may stand `np:`, `scalar:`, `variable:`, `symbolic:`, `ragged:` or `sparse:`. Literals are those of JSON and
Python; containers are lists, tuples, dicts and named tuples: `Point(x=float32[], y=1)`.
"""

from __future__ import annotations

import json
import re
from typing import Any

from trimtab.errors import ConversionError
from trimtab.savedmodel.dispatching.values import RaggedValue, SparseValue, TensorValue, Value
from trimtab.savedmodel.dtypes import dtype_code
from trimtab.savedmodel.structure import MAX_DEPTH, NamedTuple

_NAMED = re.compile(r"([^\W\d]\w*)=(?!=)")
_SPACE = re.compile(r"\s*")
_TENSOR = re.compile(r"(?:(\w+):\s*)?([a-z]\w*)\s*\[([^\[\]]*)\]")
_FIELDS = re.compile(r"([^\W\d]\w*)\(")
_NUMBER = re.compile(r"[+-]?(?:\d[\d_]*\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|inf|nan)(?![\w.])")
_STRING = re.compile(r"""(b?)("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""", re.DOTALL)
_WORD = re.compile(r"[^\W\d][\w.]*")
_CONSTANTS: dict[str, Value] = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}
_KINDS = ("tensor", "np", "scalar", "variable", "symbolic", "ragged", "sparse")
_MAX_RANK = 254


def parse_argument(text: str) -> tuple[str | None, Value]:
    """The name, None for an argument by position, and the value. ConversionError that says where the text is wrong."""
    match = _NAMED.match(text)
    name = match.group(1) if match else None
    return name, parse_value(text[match.end() :] if match else text)


def parse_value(text: str) -> Value:
    """A value of the language above."""
    parser = _Parser(text)
    value = parser.value(0)
    parser.end()
    return value


class _Parser:
    """Reads one text from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def value(self, depth: int) -> Value:
        if depth > MAX_DEPTH:
            raise self._wrong(f"at most {MAX_DEPTH} levels")
        self._skip()
        if match := self._take(_TENSOR):
            return self._tensor(match)
        if match := self._take(_FIELDS):
            return self._named_tuple(match.group(1), depth)
        if match := self._take(_STRING):
            return self._string(match)
        if match := self._take(_NUMBER):
            digits = match.group().replace("_", "")
            return int(digits) if re.fullmatch(r"[+-]?\d+", digits) and len(digits) < 40 else float(digits)
        if self._peek() in ("[", "(", "{"):
            return self._container(depth)
        word = self._take(_WORD)
        if word and word.group() in _CONSTANTS:
            return _CONSTANTS[word.group()]
        if word:
            self.at = word.start()
            if dtype_code(word.group()) is not None:
                raise self._wrong(
                    f"a shape after the dtype: {word.group()}[] is a scalar, {word.group()}[?,3] a matrix"
                )
            raise self._wrong(f"a text in quotes, such as {json.dumps(word.group())}")
        raise self._wrong("a value: float32[2,3], 1.5, true, null, 'text', [...], (...), {...}")

    def end(self) -> None:
        self._skip()
        if self.at < len(self.text):
            raise self._wrong("the end of the value")

    def _tensor(self, match: re.Match[str]) -> Value:
        kind, dtype, sizes = match.group(1) or "tensor", match.group(2), match.group(3)
        if kind not in _KINDS or dtype_code(dtype) is None:
            self.at = match.start()
            expected = (
                f"one of {', '.join(_KINDS)}" if kind not in _KINDS else "a dtype by TensorFlow's name, as float32"
            )
            raise self._wrong(expected)
        shape = self._shape(sizes, match.start(3))
        if kind == "ragged":
            rank = len(shape) if shape is not None else 2
            return RaggedValue(dtype, shape, max(rank - 1, 1))
        if kind == "sparse":
            return SparseValue(dtype, shape)
        if shape is None or None in shape or kind == "symbolic":
            return TensorValue(dtype, shape, source="symbolic")
        return TensorValue(dtype, shape, source={"np": "numpy"}.get(kind, kind))  # type: ignore[arg-type]  # of _KINDS

    def _shape(self, sizes: str, start: int) -> tuple[int | None, ...] | None:
        """`2,?,3`; `...` for an unknown rank; nothing for a scalar."""
        if sizes.strip() == "...":
            return None
        shape: list[int | None] = []
        for part in sizes.split(",") if sizes.strip() else ():
            size = part.strip()
            if size not in ("?", "None") and not (size.isdecimal() and len(size) < 19):
                self.at = start
                raise self._wrong("sizes such as 2, ? for an unknown one, or ... for an unknown rank")
            shape.append(None if size in ("?", "None") else int(size))
        if len(shape) > _MAX_RANK:
            raise self._wrong(f"at most {_MAX_RANK} dimensions")
        return tuple(shape)

    def _string(self, match: re.Match[str]) -> str | bytes:
        quoted = match.group(2)
        if quoted[0] == "'":
            quoted = '"' + quoted[1:-1].replace("\\'", "'").replace('"', '\\"') + '"'
        try:
            text: str = json.loads(quoted, strict=False)
        except ValueError:
            self.at = match.start()
            raise self._wrong("a text with the escapes of JSON") from None
        return text.encode("utf-8", "surrogatepass") if match.group(1) else text

    def _container(self, depth: int) -> Value:
        opening = self.text[self.at]
        self.at += 1
        if opening == "{":
            return dict(self._pairs("}", ":", depth))
        closing = "]" if opening == "[" else ")"
        items, comma = [], False
        while not self._closed(closing):
            items.append(self.value(depth + 1))
            comma = self._comma(closing)
        if opening == "(":
            return items[0] if len(items) == 1 and not comma else tuple(items)
        return items

    def _named_tuple(self, type_name: str, depth: int) -> NamedTuple:
        fields: Any = tuple(self._pairs(")", "=", depth))
        return NamedTuple(type_name, fields)

    def _pairs(self, closing: str, between: str, depth: int) -> list[tuple[str, Value]]:
        pairs = []
        while not self._closed(closing):
            self._skip()
            if match := self._take(_STRING):
                key = self._string(match)
            elif match := self._take(_WORD):
                key = match.group()
            else:
                raise self._wrong("a key")
            self._skip()
            if self._peek() != between or isinstance(key, bytes):
                raise self._wrong(f"a key of text and {between!r}")
            self.at += 1
            pairs.append((key, self.value(depth + 1)))
            self._comma(closing)
        return pairs

    def _closed(self, closing: str) -> bool:
        self._skip()
        if self._peek() != closing:
            return False
        self.at += 1
        return True

    def _comma(self, closing: str) -> bool:
        self._skip()
        if self._peek() == ",":
            self.at += 1
            return True
        if self._peek() != closing:
            raise self._wrong(f"',' or {closing!r}")
        return False

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self.text, self.at)
        if match:
            self.at = match.end()
        return match

    def _skip(self) -> None:
        self._take(_SPACE)

    def _wrong(self, expected: str) -> ConversionError:
        rest = self.text[self.at : self.at + 40]
        return ConversionError(
            where=f"argument {self.text[:80]!r} at character {self.at + 1}",
            expected=expected,
            got=repr(rest) if rest else "the end",
        )
