"""Split TorchScript's code text into classes, methods and arguments.

The text is Python as torch's printer writes it: classes in column 0, members indented by two, bodies by four, one
statement to a line, strings in double quotes. A splitter that knows brackets and quotes is enough, and unlike a parser
of the language it cannot be made to recurse.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from msgspec import Struct, field

from trimtab.artifacts.limits import MAX_ENTRY_POINTS, MAX_VALUES, check_count
from trimtab.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Iterator


MAX_LINES = 300_000
MAX_NESTING = 256


class Argument(Struct, frozen=True):
    """One argument: its name, its type and its default as the code has them."""

    name: str
    type: str
    default: str | None = None


class Method(Struct, frozen=True):
    """One method without its `self`."""

    name: str
    arguments: tuple[Argument, ...]
    returns: str
    body: str


class ClassCode(Struct):
    """One class.

    fields: its attributes with their types, in order. members: an enumeration's members with their values.
    hooks: the names of its hook methods.
    """

    name: str
    base: str
    fields: dict[str, str] = field(default_factory=dict)
    members: dict[str, str] = field(default_factory=dict)
    methods: dict[str, Method] = field(default_factory=dict)
    hooks: set[str] = field(default_factory=set)


def split_classes(text: str, where: str) -> dict[str, ClassCode]:
    """The classes of one code file, by name. ArtifactError where the text is not as torch prints it."""
    check_count(text.count("\n"), MAX_LINES, "lines of code", where)
    classes: dict[str, ClassCode] = {}
    heads = list(_CLASS.finditer(text))
    for head, following in pairwise([*heads, None]):
        assert head is not None
        # Functions in column 0 may come after a class; they are not a part of it.
        block = text[head.end() : following.start() if following else len(text)]
        outside = re.search(r"^\S", block, re.MULTILINE)
        code = ClassCode(head.group(1), head.group(2) or "")
        _split_members(code, block[: outside.start()] if outside else block, f"{where}: class {code.name}")
        classes[code.name] = code
    return classes


_CLASS = re.compile(r"^class ([^\s(:]+)(?:\(([^)\n]*)\))?:\n", re.MULTILINE)
_MEMBER = re.compile(
    r"^  (?:def ([^\s(]+)\(|([^\s:=]+) : ([^\n]*)|(__forward_(?:pre_)?hooks__) = \[([^\n]*)\]|(\w+) = ([^\n]*))",
    re.MULTILINE,
)


def _split_members(code: ClassCode, block: str, where: str) -> None:
    members = list(_MEMBER.finditer(block))
    for member, following in pairwise([*members, None]):
        assert member is not None
        method, attribute, type_, hooks, hook_names, constant, value = member.groups()
        if method:
            end = following.start() if following else len(block)
            check_count(len(code.methods) + 1, MAX_ENTRY_POINTS, "methods", where)
            code.methods[method] = _split_method(method, block[member.end() : end], where)
        elif attribute:
            code.fields[attribute] = type_
        elif hooks:
            code.hooks.update(re.findall(r'"([^"]*)"', hook_names))
        elif code.base == "Enum":
            check_count(len(code.members) + 1, MAX_VALUES, "members of an enumeration", where)
            code.members[constant] = value


def _split_method(method: str, text: str, where: str) -> Method:
    """`text` begins after the opening parenthesis."""
    arguments: list[Argument] = []
    position = 0
    for piece, end in _pieces(text):
        position = end
        if piece.strip():
            check_count(len(arguments), MAX_VALUES, "arguments", f"{where}.{method}")
            arguments.append(_split_argument(piece.strip(), f"{where}.{method}"))
    head = re.compile(r"\)(?: -> ([^\n]*?))?:(?: *\n|$)").match(text, position)
    if head is None:
        raise ArtifactError(where=f"{where}.{method}", expected="`) -> TYPE:`", got=repr(text[position:][:60]))
    return Method(method, tuple(arguments[1:]), head.group(1) or "NoneType", text[head.end() :])


def _split_argument(piece: str, where: str) -> Argument:
    argument, _, rest = piece.partition(":")
    # A type has no `=`; a default may have anything. Only `self` has no type.
    type_, equals, default = rest.partition("=")
    if not _NAME.fullmatch(argument) or not (type_.strip() or argument == "self"):
        raise ArtifactError(where=where, expected="NAME: TYPE or NAME: TYPE=DEFAULT", got=repr(piece[:60]))
    return Argument(argument, type_.strip(), default.strip() if equals else None)


_NAME = re.compile(r"[^\W\d]\w*")


def split_items(text: str) -> list[str]:
    """The items of a comma-separated list, brackets and quotes respected; the list must fill the text."""
    items = [piece.strip() for piece, _ in _pieces(text + ")")]
    return items[:-1] if items and not items[-1] else items


def _pieces(text: str) -> Iterator[tuple[str, int]]:
    """Pieces between commas outside of brackets and quotes, up to a closing bracket; with where each piece ends."""
    start = depth = 0
    for match in _STRUCTURE.finditer(text):
        mark = match.group()
        if mark in "([{":
            depth += 1
            if depth > MAX_NESTING:
                raise ArtifactError(
                    where="code",
                    expected=f"brackets nested at most {MAX_NESTING} deep",
                    got=repr(text[start : start + 60]),
                )
        elif mark in ")]}":
            if not depth:
                yield text[start : match.start()], match.start()
                return
            depth -= 1
        elif mark == "," and not depth:
            yield text[start : match.start()], match.start()
            start = match.end()
    yield text[start:], len(text)


# Possessive: the matcher would keep a state for each character, to go back to. A string that never ends matches, too:
# it would be gone through again from each quote in it.
_STRUCTURE = re.compile(r'"(?:[^"\\\n]++|\\.)*+"?|[(){}\[\],]')


def returned_keys(body: str) -> list[str] | None:
    """The keys of the dict that a method returns, where the text settles them: a literal, plus unconditional items.

    None when they depend on control flow, when anything else could add to the dict, or when there are too many.
    """
    returns = _RETURN.findall(body)
    if len(returns) != 1 or returns[0][0] != "    ":
        return None
    value = returns[0][1].strip()
    if not _IDENTIFIER.fullmatch(value):
        return _literal_keys(value)
    keys: list[str] | None = None
    for line in body.split("\n"):
        if not re.search(rf"\b{re.escape(value)}\b", line) or line == f"    return {value}":
            continue
        item = _SET_ITEM.fullmatch(line)
        if keys is None and line.startswith(f"    {value} = "):
            keys = _literal_keys(line.partition(" = ")[2])
            if keys is None:
                return None
        elif keys is not None and item and item.group(1) == value and value not in re.findall(r"\w+", item.group(3)):
            keys.append(item.group(2))
            if len(keys) > MAX_VALUES:
                return None
        else:
            return None
    return list(dict.fromkeys(keys)) if keys else None


_RETURN = re.compile(r"^( +)return (.*)$", re.MULTILINE)
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_SET_ITEM = re.compile(r'    torch\._set_item\((\w+), "([^"\\]*)", (.*)\)')
_EMPTY_DICT = re.compile(r"annotate\(Dict\[str, [^{}]*\], (\{.*\})\)")


def _literal_keys(text: str) -> list[str] | None:
    annotated = _EMPTY_DICT.fullmatch(text)
    text = annotated.group(1) if annotated else text
    if not (text.startswith("{") and text.endswith("}")):
        return None
    if text.count(",") > MAX_VALUES:
        return None
    keys = [re.match(r'"([^"\\]*)": ', item) for item in split_items(text[1:-1])]
    return [key.group(1) for key in keys if key] if all(keys) else None
