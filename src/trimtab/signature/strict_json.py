"""JSON as all readers agree on it.

Parsers differ on duplicate keys, on NaN and on lone surrogates; a document that means different things to different
readers cannot be a source of truth, so all of these are refused (RFC 8259 section 4, RFC 7493).
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from trimtab.errors import SignatureError

if TYPE_CHECKING:
    from trimtab.errors import TrimtabError

MAX_DEPTH = 200


def parse(data: bytes, *, where: str = "", error: type[TrimtabError] = SignatureError) -> Any:
    """Parse UTF-8 JSON strictly.

    Raises `error` for bytes that are not UTF-8 or not JSON, for duplicate keys, NaN, infinities, numbers that overflow
    to infinity, lone surrogates, and nesting deeper than 200.
    """
    if (value := _as_we_write_it(data)) is not None:
        return value
    try:
        text = data.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite)
    except _RefusedError as refused:
        raise error(where=where, expected="strict JSON", got=str(refused)) from None
    except UnicodeDecodeError as failure:
        raise error(
            where=where, expected="UTF-8", got=f"byte {data[failure.start]:#04x} at offset {failure.start}"
        ) from None
    except RecursionError:
        raise error(where=where, expected=f"JSON nested at most {MAX_DEPTH} deep", got="deeper nesting") from None
    except ValueError as failure:
        raise error(where=where, expected="JSON", got=str(failure)) from None
    _check(value, where, error)
    return value


def _as_we_write_it(data: bytes) -> Any:
    """The value of JSON that is byte for byte what msgspec writes, in a tenth of the time; None of every other.

    What comes out as it went in has no key twice, no number that was rounded and no lone surrogate, for each would be
    written otherwise. Only how deep it is nested has to be looked at.
    """
    try:
        value = msgspec.json.decode(data)
        same = msgspec.json.encode(value) == data
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None  # the strict parser says what is wrong
    return value if same and _nested_at_most(data, MAX_DEPTH - 1) else None


_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ALL_SQUARE = bytes.maketrans(b"{}", b"[]")
_NO_MARKS = bytes(set(range(256)) - set(b'"[]{}'))


def _nested_at_most(data: bytes, depth: int) -> bool:
    """Whether JSON has at most so many containers in each other: each round takes the innermost ones out."""
    if b"\\" not in data:  # then quotes alone say what is in a string, and two that meet say nothing
        data = data.translate(None, _NO_MARKS).replace(b'""', b"")
    brackets = _STRINGS.sub(b"", data).translate(_ALL_SQUARE, _NO_BRACKETS)
    for _ in range(depth):
        if not brackets:
            return True
        brackets = brackets.replace(b"[]", b"")
    return not brackets


class _RefusedError(Exception):
    """Carries a refusal out of the parser's hooks."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _RefusedError(f"the key {twice!r} twice in one object")
    return result


def _refuse_constant(constant: str) -> NoReturn:
    raise _RefusedError(constant)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _RefusedError(f"the number {text[:40]}, which overflows a double")
    return value


def _check(value: Any, where: str, error: type[TrimtabError]) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for item in level:
            if isinstance(item, str):
                _check_text(item, where, error)
            elif isinstance(item, dict):
                for key in item:
                    _check_text(key, where, error)
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        if not below:
            return
        level = below
    raise error(where=where, expected=f"JSON nested at most {MAX_DEPTH} deep", got="deeper nesting")


def _check_text(text: str, where: str, error: type[TrimtabError]) -> None:
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise error(where=where, expected="Unicode text", got=f"a lone surrogate in {text[:40]!a}")
