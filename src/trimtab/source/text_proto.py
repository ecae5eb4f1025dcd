"""Parse protobuf's text format without a schema, into a tree of fields, with bounds on everything.

Language: protobuf.dev/reference/protobuf/textformat-spec. What only a schema can tell (is this word an enum's value or
a flag, may this field repeat) is left to whoever asks for a field: the accessors of `TextMessage` say what they expect
and refuse the rest, as protobuf's own parser does. Values know where they stand in the text, for edits in place.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from trimtab.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

MAX_TEXT_BYTES = 20 << 20
MAX_FIELDS = 50_000
MAX_DEPTH = 64
MAX_ESCAPES = 200_000
"""Of the kinds that are undone one by one, in one string."""

_SHOWN = 80
"""Characters of a name that errors show."""


class Atom(NamedTuple):
    """A number or a word (an enum's value, a flag, `inf`) as it is written; a minus sign is part of it."""

    text: str


Value: TypeAlias = "TextMessage | Atom | bytes"
"""What a field holds; strings are bytes, with neighbors joined and escapes undone."""


class TextField(NamedTuple):
    """One value of a field. start, end: where the value stands in the text; line: the field's, from 1."""

    name: str
    value: Value
    start: int
    end: int
    line: int


class TextMessage:
    """The fields of a message, in the text's order. where: how errors call it. empty: names given empty lists."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.fields: list[TextField] = []
        self.empty: set[str] = set()

    def all(self, name: str) -> list[TextField]:
        """Every value of a field."""
        return [field for field in self.fields if field.name == name]

    def one(self, name: str) -> TextField | None:
        """The only value of a field that must not repeat, or None."""
        found = self.all(name)
        if len(found) > 1:
            raise ArtifactError(where=self.place(found[1]), expected=f"{name} once", got=f"{len(found)} times")
        return found[0] if found else None

    def text(self, name: str) -> str | None:
        """The string of a field, which protobuf requires to be UTF-8; None where there is none."""
        field = self.one(name)
        return None if field is None else self.as_text(field)

    def integer(self, name: str) -> int | None:
        """The whole number of a field, or None."""
        field = self.one(name)
        return None if field is None else self.as_integer(field)

    def flag(self, name: str) -> bool:
        """The flag of a field, false where there is none."""
        field = self.one(name)
        if field is None:
            return False
        spelled = field.value.text if isinstance(field.value, Atom) else ""
        if spelled not in _FLAGS:
            raise self._unexpected(field, "true or false")
        return _FLAGS[spelled]

    def message(self, name: str) -> TextMessage | None:
        """The message in a field that must not repeat, or None."""
        field = self.one(name)
        return None if field is None else self.as_message(field)

    def messages(self, name: str) -> Iterator[TextMessage]:
        """The messages in a field that repeats."""
        return (self.as_message(field) for field in self.all(name))

    def as_text(self, field: TextField) -> str:
        """The string that a field of this message holds."""
        if not isinstance(field.value, bytes):
            raise self._unexpected(field, "a string in quotes")
        try:
            return field.value.decode()
        except UnicodeDecodeError:
            raise self._unexpected(field, "a string in UTF-8") from None

    def as_integer(self, field: TextField) -> int:
        """The whole number that a field of this message holds: decimal, `0x…`, or octal behind a zero, of 64 bits."""
        spelled = field.value.text if isinstance(field.value, Atom) else ""
        match = _INTEGER.fullmatch(spelled)
        if not match:
            raise self._unexpected(field, "a whole number")
        sign, hexadecimal, octal, decimal = match.groups()
        number = int(hexadecimal, 16) if hexadecimal else int(octal, 8) if octal else int(decimal)
        if number >= 1 << 64:
            raise self._unexpected(field, "a number of 64 bits")
        return -number if sign else number

    def as_word(self, field: TextField) -> str:
        """The word or number, as it is written, that a field of this message holds."""
        if not isinstance(field.value, Atom):
            raise self._unexpected(field, "a word")
        return field.value.text

    def as_message(self, field: TextField) -> TextMessage:
        """The message that a field of this message holds."""
        if not isinstance(field.value, TextMessage):
            raise self._unexpected(field, "a message in braces")
        return field.value

    def check_names(self, known: Collection[str], what: str, hint: str = "") -> None:
        """Refuse a field that is not one of `known`, the fields of a message that is called `what`."""
        for field in self.fields:
            if field.name not in known:
                raise ArtifactError(
                    where=self.place(field), expected=f"a field of {what}", got=repr(field.name[:_SHOWN]), hint=hint
                )

    def place(self, field: TextField) -> str:
        """How errors call a field of this message."""
        return f"{self.where}: {field.name[:_SHOWN]} (line {field.line})"

    def _unexpected(self, field: TextField, expected: str) -> ArtifactError:
        got = "a message" if isinstance(field.value, TextMessage) else f"{_shown(field.value)}"
        return ArtifactError(where=self.place(field), expected=expected, got=got)


_FLAGS = {
    **dict.fromkeys(("true", "True", "t", "1"), True),
    **dict.fromkeys(("false", "False", "f", "0"), False),
}
_INTEGER = re.compile(r"(-?)(?:0[xX]([0-9a-fA-F]{1,40})|0([0-7]{1,40})|(0|[1-9]\d{0,40}))")


def _shown(value: Atom | bytes) -> str:
    return repr(value[:40].decode(errors="replace")) if isinstance(value, bytes) else repr(value.text[:40])


def decode_text(data: bytes, where: str) -> str:
    """The text of a file. Bytes that are not UTF-8 survive an edit, and matter only inside of strings."""
    if len(data) > MAX_TEXT_BYTES:
        raise ArtifactError(where=where, expected=f"at most {MAX_TEXT_BYTES} bytes of text", got=str(len(data)))
    return data.decode("utf-8", "surrogateescape")


def encode_text(text: str) -> bytes:
    """The inverse of `decode_text`."""
    return text.encode("utf-8", "surrogateescape")


def parse_text(text: str, where: str) -> TextMessage:
    """The message that the text is.

    ArtifactError for what is not in the text format, for more than 50 000 fields, and for messages nested more than 64
    deep.
    """
    message, failure = parse_part(text, where)
    if failure is not None:
        raise failure
    return message


def parse_part(text: str, where: str) -> tuple[TextMessage, ArtifactError | None]:
    """The top fields up to the first that cannot be parsed, and what is wrong there; None where all can be."""
    parser = _Parser(text, where)
    message = TextMessage(where)
    try:
        parser.fields(message, "", 0)
        parser.expect_end()
    except ArtifactError as failure:
        return message, failure
    return message, None


def quoted(text: str) -> str:
    """A string as the text format writes it, in single quotes: JSON, which is full of double ones, stays readable."""
    return "'" + _TO_ESCAPE.sub(lambda match: _escaped(match.group()), text) + "'"


_TO_ESCAPE = re.compile(r"['\\\x00-\x1f\x7f]")


def _escaped(char: str) -> str:
    return f"\\{char}" if char in "'\\" else f"\\{ord(char):03o}"


# Possessive throughout: no text makes the matcher go back, or keep what it would need for that.
_BLANK = re.compile(r"(?:[ \t\r\n\v\f]++|#[^\n]*+)*+")
_NAME = re.compile(r"[A-Za-z_]\w*+|\[[A-Za-z_][\w.\-/]*+\]", re.ASCII)
_STRING = re.compile(r"""'((?:[^'\\\n]++|\\.)*+)'|"((?:[^"\\\n]++|\\.)*+)\"""")
_WORD = re.compile(r"(-?)[ \t]*([A-Za-z_]\w*|(?:\d|\.\d)[\w.]*(?:(?<=[eE])[+\-]\d+[fF]?)?)", re.ASCII)
_CLOSING = {"{": "}", "<": ">"}


class _Parser:
    def __init__(self, text: str, where: str) -> None:
        self._text = text
        self._where = where
        self._count = 0
        self._at = 1 if text.startswith("\ufeff") else 0
        self._line = 1
        self._line_at = 0
        self._skip_blank()

    def message(self, where: str, closing: str, depth: int) -> TextMessage:
        message = TextMessage(where)
        self.fields(message, closing, depth)
        return message

    def fields(self, message: TextMessage, closing: str, depth: int) -> None:
        """Read fields up to the closing sign, or to the end of the text where there is none."""
        if depth > MAX_DEPTH:
            raise self._unexpected(f"messages nested at most {MAX_DEPTH} deep")
        while self._at < len(self._text) and (not closing or self._text[self._at] != closing):
            self._field(message, depth)
            self._take(",;")
        if closing and not self._take(closing):
            raise self._unexpected(f"{closing!r} at the end of a message")

    def expect_end(self) -> None:
        if self._at < len(self._text):
            raise self._unexpected("a field")

    def _field(self, message: TextMessage, depth: int) -> None:
        match = _NAME.match(self._text, self._at)
        if not match:
            raise self._unexpected("a field's name")
        name, line = match.group(), self._line_number()
        self._move(match.end())
        colon = self._take(":")
        if not self._take("["):
            message.fields.append(self._value(message, name, line, colon, depth))
            return
        if self._take("]"):
            message.empty.add(name)
            return
        while True:
            message.fields.append(self._value(message, name, line, colon, depth))
            if self._take("]"):
                return
            if not self._take(","):
                raise self._unexpected("',' or ']' in a list")

    def _value(self, message: TextMessage, name: str, line: int, colon: str, depth: int) -> TextField:
        self._count += 1
        if self._count > MAX_FIELDS:
            raise self._unexpected(f"at most {MAX_FIELDS} fields")
        start = self._at
        if opening := self._take("{<"):
            value: Value = self.message(f"{message.where}: {name[:_SHOWN]}", _CLOSING[opening], depth + 1)
            return TextField(name, value, start, self._ended, line)
        if not colon:
            raise self._unexpected("':' or a message after a field's name")
        if string := _STRING.match(self._text, self._at):
            parts = []
            while string:
                parts.append(self._unescaped(string))
                self._move(string.end())
                string = _STRING.match(self._text, self._at)
            return TextField(name, b"".join(parts), start, self._ended, line)
        word = _WORD.match(self._text, self._at)
        if not word:
            raise self._unexpected("a value")
        self._move(word.end())
        return TextField(name, Atom("".join(word.groups())), start, self._ended, line)

    def _unescaped(self, string: re.Match[str]) -> bytes:
        content = encode_text(string[1] if string[1] is not None else string[2])
        if b"\\" not in content:
            return content
        if content.count(b"\\\\") > MAX_ESCAPES:
            raise self._unexpected(f"at most {MAX_ESCAPES} backslashes in a string")
        return b"\\".join(map(self._without_escapes, content.split(b"\\\\")))

    def _without_escapes(self, part: bytes) -> bytes:
        """A part of a string in which no backslash is itself escaped."""
        if b"\\" not in part:
            return part
        for escape, char in _CHARACTERS.items():
            part = part.replace(escape, char)
        if part.count(b"\\") > MAX_ESCAPES:
            raise self._unexpected(f"at most {MAX_ESCAPES} escapes in a string")
        return _ESCAPE.sub(self._character, part)

    def _character(self, escape: re.Match[bytes]) -> bytes:
        octal, hexadecimal, short, long = escape.groups()
        if octal is not None and int(octal, 8) < 256:
            return bytes([int(octal, 8)])
        if hexadecimal is not None:
            return bytes([int(hexadecimal, 16)])
        code = short or long
        if code is not None and (point := int(code, 16)) <= 0x10FFFF and not 0xD800 <= point <= 0xDFFF:
            return chr(point).encode()
        raise self._unexpected("escapes that protobuf knows", f"{escape.group().decode(errors='replace')!a}")

    def _take(self, signs: str) -> str:
        """Step over the next character and the blank after it if it is one of these: the sign, or nothing."""
        if self._at < len(self._text) and self._text[self._at] in signs:
            sign = self._text[self._at]
            self._move(self._at + 1)
            return sign
        return ""

    def _move(self, end: int) -> None:
        self._ended = end
        self._at = end
        self._skip_blank()

    def _skip_blank(self) -> None:
        match = _BLANK.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _line_number(self) -> int:
        """The line of the current position, counted from where the last one was asked for."""
        self._line += self._text.count("\n", self._line_at, self._at)
        self._line_at = self._at
        return self._line

    def _unexpected(self, expected: str, got: str = "") -> ArtifactError:
        rest = self._text[self._at : self._at + 20]
        return ArtifactError(
            where=f"{self._where} at line {self._line_number()}",
            expected=expected,
            got=got or (f"{rest!a}" if rest else "the end of the text"),
        )


_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|.?)", re.DOTALL)
_CHARACTERS = {
    b"\\" + bytes([sign]): bytes([char]) for sign, char in zip(b"abfnrtv?'\"", b"\a\b\f\n\r\t\v?'\"", strict=True)
}
