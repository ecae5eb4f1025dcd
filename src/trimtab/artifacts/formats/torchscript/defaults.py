"""Read the default values in TorchScript's code: literals, references into CONSTANTS, and what is neither, as text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from trimtab.artifacts.formats.torchscript.code import split_items
from trimtab.artifacts.limits import check_count
from trimtab.errors import SignatureError
from trimtab.signature.types import Literal
from trimtab.source.pickle import Call, Global

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_DEPTH = 16
_MAX_ELEMENTS = 10_000
_WORDS: dict[str, Any] = {"None": None, "True": True, "False": False}
_INTEGER = re.compile(r"-?\d{1,19}")
_FLOAT = re.compile(r"-?(?:inf|nan|\d+\.\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+)")
_COMPLEX = re.compile(r"[-+.\deEinfa]*j")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_CONSTANT = re.compile(r"CONSTANTS\.c(\d{1,9})")
_CLASS_NAME = re.compile(r"__torch__\.[\w.]+")
_EMPTY = ("()", "(())", "[]")
_DEVICE = re.compile(r'torch\.device\("([\w:]*)"\)')


def read_default(text: str, constants: Callable[[int], Any], depth: int = 0) -> Literal:
    """The constant that a default's text stands for.

    constants: gives the value of `CONSTANTS.cN` as read from `constants.pkl`. What is not a plain value comes back as
    its text, with `of` saying what it is: `device`, `enum`, `tensor` or `code`.
    """
    if depth > _MAX_DEPTH:
        return Literal(text, of="code")
    if text in _WORDS:
        return Literal(_WORDS[text])
    if _INTEGER.fullmatch(text):
        return Literal(int(text))
    if _FLOAT.fullmatch(text):
        return Literal.from_python(float(text))
    if _COMPLEX.fullmatch(text):
        return _complex(text)
    if string := _STRING.fullmatch(text):
        return Literal(_unescape(string.group(1)))
    if constant := _CONSTANT.fullmatch(text):
        return _pickled(constants(int(constant.group(1))), text)
    if device := _DEVICE.fullmatch(text):
        return Literal(device.group(1), of="device")
    if text in _EMPTY:
        return Literal(())
    sequence = text[1:] if text[:1] in "([" else _named_tuple(text)
    if sequence and text[-1:] in ")]":
        check_count(text.count(","), _MAX_ELEMENTS, "elements of a default", text[:40])
        return Literal(tuple(read_default(item, constants, depth + 1) for item in split_items(sequence[:-1])))
    return Literal(text, of="enum" if _CLASS_NAME.fullmatch(text) else "code")


def _named_tuple(text: str) -> str:
    """What follows the opening parenthesis of `__torch__.Point(1, 2)`; nothing for other text."""
    head, _, rest = text.partition("(")
    return rest if _CLASS_NAME.fullmatch(head) else ""


def _complex(text: str) -> Literal:
    # The printer leaves out digits that Python's parser wants: `1.+2.j`.
    try:
        return Literal.from_python(complex(text))
    except ValueError:
        return Literal(text, of="code")


_ESCAPE = re.compile(r"\\([0-7]{1,3}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def _unescape(text: str) -> str:
    """C's escapes, as torch's printer writes them."""

    def character(match: re.Match[str]) -> str:
        code = match.group(1)
        if code[0] in "01234567":
            return chr(int(code, 8))
        return chr(int(code[1:], 16)) if len(code) == 3 else _ESCAPED.get(code, code)

    return _ESCAPE.sub(character, text)


def _pickled(value: Any, text: str) -> Literal:
    check_count(_size(value), _MAX_ELEMENTS, "elements of a default", text)
    if isinstance(value, Call):
        function = str(value.function) if isinstance(value.function, Global) else ""
        if function.startswith("torch._utils._rebuild"):
            return Literal(text, of="tensor")
        if function.startswith("torch.jit._pickle.") and isinstance(value.arguments, tuple) and value.arguments:
            return _pickled(value.arguments[0], text)  # build_intlist([...]), restore_type_tag(value, type)
        return Literal(text, of="code")
    try:
        return Literal.from_python(value)
    except (SignatureError, RecursionError):
        return Literal(text, of="code")


def _size(value: Any) -> int:
    """How many elements the value has when it is written out, at most one more than are allowed.

    A pickle's containers may share parts: sixty tuples of twice the one before are 2^60 elements.
    """
    count, pending = 0, [value]
    while pending and count <= _MAX_ELEMENTS:
        item = pending.pop()
        count += 1
        if isinstance(item, tuple | list):
            pending.extend(item[: _MAX_ELEMENTS + 1])
    return count
