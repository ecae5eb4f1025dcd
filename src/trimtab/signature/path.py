"""Paths into a call: `feats["item.price"]`, `args[1].ids`.

A path begins with a parameter's name (or nothing, for a returned value) and goes on with keys, positions and fields.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from trimtab.errors import SignatureError

if TYPE_CHECKING:
    from collections.abc import Iterable


class Key(Struct, frozen=True):
    """A subscript: a mapping's key or a sequence's position."""

    value: str | int

    def __str__(self) -> str:
        return f"[{json.dumps(self.value, ensure_ascii=False)}]"


class Field(Struct, frozen=True):
    """A field of a named tuple or data class."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"


Step: TypeAlias = Key | Field


def format_path(root: str, steps: Iterable[Step] = ()) -> str:
    """The text of a path."""
    return root + "".join(map(str, steps))


def parse_path(path: str) -> tuple[str, tuple[Step, ...]]:
    """The parameter's name and the steps below it: the inverse of `format_path`. SignatureError on other text."""
    head = _ROOT.match(path)
    position = head.end() if head else 0
    if position == len(path):
        return path, ()
    steps: list[Step] = []
    while position < len(path):
        match = _STEP.match(path, position)
        if not match:
            raise SignatureError(
                where=f"path {path!r}",
                expected='a name followed by ["key"], [position] or .field',
                got=repr(path[position:]),
            )
        key, index, name = match.groups()
        if name is not None:
            steps.append(Field(name))
        else:
            steps.append(Key(int(index)) if index is not None else Key(_text(key, path)))
        position = match.end()
    return (head.group() if head else ""), tuple(steps)


_ROOT = re.compile(r"[^\[\]\".\s]+")
_STEP = re.compile(r"""\[("(?:[^"\\]|\\.)*")\]|\[(\d{1,9})\]|\.([^\[\]".\s]+)""", re.DOTALL)


def _text(quoted: str, path: str) -> str:
    try:
        text: str = json.loads(quoted, strict=False)
    except ValueError:
        raise SignatureError(where=f"path {path!r}", expected="a JSON string as the key", got=quoted) from None
    return text
