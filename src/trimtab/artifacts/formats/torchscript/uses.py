"""What a method's body does with its arguments, read from TorchScript's code text.

The compiler drops computations without effect and without a user before it writes the text, and gives every variable a
name of its own. So an argument whose name does not occur in the body is dead: no output, effect or assertion depends on
it. Everything else counts as a use: a condition, a size, a call of another method, an assertion.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from msgspec import Struct

from trimtab.signature.model import Live

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_BODY_CHARACTERS = 1 << 20
"""Of one method. The variables of a longer one are not looked for."""

_MAX_WORK = 8 << 20
"""Characters to go through for the arguments that are dicts and tuples; beyond, how their parts are used stays open."""


class Use(Struct, frozen=True):
    """How a body uses one argument.

    live: whether anything depends on it. keys: the keys under which it is read as a dict, where all reads are literal.
    elements: the positions that are used of a tuple, where the text settles them.
    """

    live: Live
    keys: tuple[str, ...] | None = None
    elements: frozenset[int] | None = None

    def part(self, indices: tuple[int, ...]) -> Live:
        """Whether anything depends on the part of a tuple at `indices`."""
        if self.live is not Live.YES or not indices:
            return self.live
        if self.elements is None:
            return Live.UNKNOWN
        if indices[0] not in self.elements:
            return Live.NO
        return Live.YES if len(indices) == 1 else Live.UNKNOWN


_UNKNOWN = Use(Live.UNKNOWN)
_UNUSED = Use(Live.NO)


class BodyReader:
    """Reads the bodies of an archive's methods, within one budget for all of them."""

    def __init__(self) -> None:
        self._work_left = _MAX_WORK

    def uses(self, body: str, arguments: Sequence[tuple[str, str]]) -> dict[str, Use]:
        """The use of each argument, given as its name and its type, by name."""
        if len(body) > MAX_BODY_CHARACTERS:
            return {name: _UNKNOWN for name, _ in arguments}
        text = _Text(body)
        return {name: self._use(text, name, type_) for name, type_ in arguments}

    def _use(self, text: _Text, name: str, type_: str) -> Use:
        if not text.counts[name]:
            return _UNUSED
        if not type_.startswith((_DICT, *_TUPLES)) or not text.plain or self._work_left < len(text.body):
            return Use(Live.YES)
        self._work_left -= len(text.body)
        if type_.startswith(_DICT):
            return Use(Live.YES, keys=_keys(text, name))
        return Use(Live.YES, elements=_elements(text, name))


def behind_hooks(uses: dict[str, Use]) -> dict[str, Use]:
    """The uses of a method that has hooks: they see all arguments, so one that the body does not name may be live."""
    return {name: Use(Live.YES) if use.live is Live.YES else _UNKNOWN for name, use in uses.items()}


_DICT = "Dict[str, "
_TUPLES = ("Tuple[", "__torch__.")

# Possessive: the matcher would keep a state for each character, to go back to. A string that never ends matches, too:
# it would be gone through again from each quote in it.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_VARIABLE = re.compile(r"(?<![\w.])[^\W\d]\w*+")


class _Text:
    """A body: as it is, with all strings emptied, and how often each variable occurs.

    plain: whether it is text as torch prints it. torch reads more: where there are other quotes, or remarks, everything
    that looks like a variable counts as one.
    """

    def __init__(self, body: str) -> None:
        self.body = body
        code = _STRING.sub('""', body)
        self.plain = not ('"""' in body or "'" in code or "#" in code or code.endswith('""'))
        self.code = code if self.plain else body
        self.counts = Counter(_VARIABLE.findall(self.code))


def _keys(text: _Text, name: str) -> tuple[str, ...] | None:
    """The keys of all reads `name["key"]`; None where the dict is used in any other way."""
    variable = rf"(?<![\w.]){re.escape(name)}"
    keys = re.findall(rf'{variable}\["([^"\\]*+)"\]', text.body)
    reads = len(re.findall(rf'{variable}\[""\](?! =)', text.code))
    return tuple(dict.fromkeys(keys)) if len(keys) == reads == text.counts[name] else None


def _elements(text: _Text, name: str) -> frozenset[int] | None:
    """The positions read by `(name)[0]` or `a, b, = name` with a use of the variable; None for any other use."""
    escaped = re.escape(name)
    indices = re.findall(rf"\({escaped}\)\[(\d{{1,6}})\]", text.code)
    unpacked = re.findall(rf"^ *((?:\w+, )+)= {escaped}$", text.code, re.MULTILINE)
    if len(indices) + len(unpacked) != text.counts[name]:
        return None
    used = {int(index) for index in indices}
    for variables in unpacked:
        used.update(index for index, each in enumerate(variables.split(", ")[:-1]) if text.counts[each] > 1)
    return frozenset(used)
