"""Take the few wanted parts of a large JSON text without reading the rest.

A model saved as JSON holds its weights in the text: hundreds of megabytes in one array, with names before it and
objectives after it. The text is read from the front up to that array, and from the back down to its end; what is left
is a small JSON text with the array emptied. Reading backwards is exact: in valid JSON every quote is known to open or
close a string by the backslashes before it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from trimtab.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Collection

    from trimtab.source.bytes import ByteSource

Path = tuple[str, ...]
"""The keys from the top object down to a value."""

MAX_HEAD_BYTES = 64 << 20
MAX_TAIL_BYTES = 16 << 20
MAX_DEPTH = 64
MAX_TOKENS = 600_000
"""Strings and brackets on either side of the bulk. Numbers cost nothing."""

_FIRST_WINDOW = 64 << 10


class JsonOutline(NamedTuple):
    """A JSON text without its bulk.

    text: the text, with `null` in place of every value that was left out and an empty array in place of the bulk.
    spans: where in the source the values lie that were to be located, first byte and end.
    """

    text: bytes
    spans: dict[Path, tuple[int, int]]


def outline(
    source: ByteSource,
    *,
    bulk: Collection[Path],
    left_out: Collection[Path] = (),
    located: Collection[Path] = (),
    needed: Collection[bytes] = (),
) -> JsonOutline:
    """The JSON object in a source without the array at the first of the paths `bulk` that it has.

    left_out: paths of objects and arrays to leave out, too. located: paths of objects and arrays whose place is wanted;
    those behind the bulk are not found. needed: keys that must be seen outside of the bulk, in quotes.
    What comes out is not checked to be JSON, only to be one object. The bulk is not looked at; of what follows it, only
    the needed keys and what lies behind them are sure to be there.
    ArtifactError where the text is cut short, nests deeper than 64, or has more than 64 MiB before the bulk.
    """
    head = _read_head(source, frozenset(bulk), frozenset(left_out), frozenset(located))
    if head.closing:
        tail = _read_tail(source, head, [key for key in needed if key not in head.text])
    else:
        tail = b""
        _check_end(source, head.end)
    return JsonOutline(head.text + tail, head.spans)


class _Head(NamedTuple):
    """What lies before the bulk. closing: what must close what is open there, innermost last; empty without a bulk."""

    text: bytes
    spans: dict[Path, tuple[int, int]]
    end: int
    closing: bytes


_TOKEN = re.compile(rb'[^"{}\[\]]*+(?:("[^"\\]*+(?:\\.[^"\\]*+)*+")(\s*+:)?|([{\[])|([}\]])|(")|\Z)', re.DOTALL)
"""Whatever is neither a string nor a bracket is passed over in one stride; so are numbers, most of a model's text."""

_CLOSING = {b"{": b"}", b"[": b"]"}


def _read_head(source: ByteSource, bulk: frozenset[Path], left_out: frozenset[Path], located: frozenset[Path]) -> _Head:
    """Read ever longer prefixes until one holds all that comes before the bulk."""
    length = min(_FIRST_WINDOW, source.size)
    while True:
        head = _scan(source, source.read(0, length), bulk, left_out, located)
        if head is not None:
            return head
        if length == source.size:
            raise ArtifactError(where=source.name, expected="a whole JSON object", got="the end of the file within it")
        if length == MAX_HEAD_BYTES:
            raise ArtifactError(
                where=source.name, expected=f"the model's description in the first {MAX_HEAD_BYTES} bytes", got="more"
            )
        length = min(length * 4, MAX_HEAD_BYTES, source.size)


def _scan(
    source: ByteSource, data: bytes, bulk: frozenset[Path], left_out: frozenset[Path], located: frozenset[Path]
) -> _Head | None:
    """The head, or None where `data`, a prefix of the source, ends before it does."""
    path: list[str] = []
    closing = bytearray()
    key = ""
    opened: dict[int, int] = {}  # where the containers began whose span is wanted, by depth
    spans: dict[Path, tuple[int, int]] = {}
    cuts: list[tuple[int, int]] = []
    for count, token in enumerate(_TOKEN.finditer(data)):
        kind = token.lastindex
        if count == MAX_TOKENS:
            raise _too_many(source)
        if kind == 2 or (kind == 1 and token.end() < len(data)):
            key = token[1][1:-1].decode("utf-8", "replace") if kind == 2 else ""
        elif kind == 3:
            path.append(key)
            closing += _CLOSING[token[3]]
            key = ""
            if len(path) > MAX_DEPTH:
                raise ArtifactError(
                    where=f"{source.name} at offset {token.end()}",
                    expected=f"JSON nested at most {MAX_DEPTH} deep",
                    got="deeper nesting",
                )
            here = tuple(path[1:])
            if here in bulk and token[3] == b"[":
                return _Head(_without(data[: token.end()], cuts), spans, token.end(), bytes(closing))
            if here in left_out or here in located:
                opened[len(path)] = token.start(3)
        elif kind == 4 and path:
            here = tuple(path[1:])
            start = opened.pop(len(path), None)
            if start is not None:
                spans[here] = (start, token.end())
                if here in left_out:
                    cuts.append((start, token.end()))
            path.pop()
            closing.pop()
            key = ""
            if not path:
                return _Head(_without(data[: token.end()], cuts), spans, token.end(), b"")
        elif kind == 4:
            raise ArtifactError(
                where=f"{source.name} at offset {token.end()}", expected="a JSON object", got=repr(token[4].decode())
            )
        else:
            return None  # the end of this prefix, or a string that goes on behind it
    return None


def _without(data: bytes, cuts: list[tuple[int, int]]) -> bytes:
    parts = []
    start = 0
    for cut_start, cut_end in cuts:
        parts += [data[start:cut_start], b"null"]
        start = cut_end
    parts.append(data[start:])
    return b"".join(parts)


def _check_end(source: ByteSource, end: int) -> None:
    rest = source.read(end, min(source.size - end, _FIRST_WINDOW))
    if rest.strip():
        raise ArtifactError(
            where=f"{source.name} at offset {end}", expected="the end of the JSON object's file", got=repr(rest[:20])
        )


def _read_tail(source: ByteSource, head: _Head, needed: list[bytes]) -> bytes:
    """The text from the bulk's closing bracket on."""
    rest = source.size - head.end
    length = min(_FIRST_WINDOW, rest)
    while True:
        tail = source.read(source.size - length, length)
        open_ = _open_brackets(source, tail)
        depth = len(head.closing)
        fitting = open_ is not None and bytes(tail[at] for at in open_[:depth]) == head.closing
        if open_ is not None and fitting and (length < rest or len(open_) == depth):
            text = tail[open_[depth - 1] :]
            if all(key in text for key in needed):
                return text
        if length in (rest, MAX_TAIL_BYTES):
            wanted = f" and {b', '.join(needed).decode()} behind it" if needed else ""
            raise ArtifactError(
                where=source.name,
                expected=f"the end of the JSON object, with the array that is open at offset {head.end} closed{wanted}",
                got="none in the last bytes",
                hint="The file is cut short, or was changed by hand. Copy it again from its origin.",
            )
        length = min(length * 8, rest, MAX_TAIL_BYTES)


_REVERSED_TOKEN = re.compile(
    rb'[^"{}\[\]]*+(?:"[^"]*+(?:"(?=\\(?:\\\\)*+(?!\\))[^"]*+)*+"|([}\]])|([{\[])|(")|\Z)',
)
"""Of the text read backwards: a quote is a part of its string where an odd number of backslashes stands before it."""

_OPENING = {ord("}"): b"{", ord("]"): b"["}


def _open_brackets(source: ByteSource, tail: bytes) -> list[int] | None:
    """Where the closing brackets lie whose opening ones come before this text, outermost first; None of other text.

    What follows the bulk and is as large as the window is taken for the bulk: who needs more of it says so.
    """
    open_: list[int] = []
    for count, token in enumerate(_REVERSED_TOKEN.finditer(tail[::-1])):
        kind = token.lastindex
        if count == MAX_TOKENS:
            raise _too_many(source)
        if kind == 1:
            open_.append(len(tail) - token.end())
        elif kind == 2:
            if not open_ or _OPENING[tail[open_.pop()]] != token[2]:
                return None
        elif kind == 3:
            break  # a string that begins before this text
    return open_


def _too_many(source: ByteSource) -> ArtifactError:
    return ArtifactError(
        where=source.name,
        expected=f"at most {MAX_TOKENS} strings and brackets around the bulk",
        got="more",
        hint="The file is damaged, or made to exhaust whoever reads it.",
    )
