"""Read pickles as data: no import, no call, no object but our own.

What a pickle would call is recorded, not called: `Call(Global("torch._utils", "_rebuild_tensor_v2"), …)`. `read_pickle`
knows the opcodes that TorchScript writes (protocol 2) and refuses every other one. `pickled_names` only lists which
names a pickle of any protocol would import, to say what a file is that must be refused.

Opcodes: Lib/pickletools.py of CPython.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trimtab.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_OPCODES = 1_000_000


@dataclass(frozen=True, slots=True)
class Global:
    """A name that the pickle would import."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A call that the pickle would make, or an object that it would create (`state` is what BUILD would set)."""

    function: Any
    arguments: Any
    state: list[Any] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class Persistent:
    """A reference to something outside of the pickle, such as a tensor's storage."""

    id: Any


def read_pickle(data: bytes, where: str) -> Any:
    """The value of a pickle of protocol 2, with calls and imports left symbolic.

    Containers are plain lists, tuples and dicts, and may share parts or contain themselves: whoever walks them bounds
    the walk. ArtifactError, naming `where` and the offset, for any other opcode and for malformed data.
    """
    return _Machine(where).run(data)


def pickled_names(data: bytes, limit: int | None = None) -> list[Global]:
    """The names that a pickle (any protocol, perhaps cut short) would import, in order, each once; or the first few.

    Stops without complaint at the first byte that it does not understand.
    """
    names: dict[Global, None] = {}
    pushed = _Texts()
    try:
        for _, opcode, argument in _opcodes(data, ""):
            if opcode in (_GLOBAL, _INST):
                names[Global(*_two_lines(argument))] = None
            elif opcode == _STACK_GLOBAL and len(pushed.last) >= _TWO:
                names[Global(*pushed.last)] = None
            pushed.follow(opcode, argument)
            if len(names) == limit:
                break
    except ArtifactError:
        pass
    return list(names)


class _Texts:
    """The texts that a pickle pushed last, new ones and remembered ones: two of them name what STACK_GLOBAL imports."""

    def __init__(self) -> None:
        self.last: list[str] = []
        self._top: str | None = None
        self._memo: dict[int, str] = {}
        self._remembered = 0

    def follow(self, opcode: int, argument: bytes) -> None:
        """Take in an instruction."""
        if opcode in _TEXTS:
            self._push(argument.decode("utf-8", "replace"))
        elif opcode in _GETS:
            self._push(self._memo.get(_index(argument, opcode)))
        elif opcode in _PUTS:
            index = self._remembered if opcode == _MEMOIZE else _index(argument, opcode)
            if self._top is not None:
                self._memo[index] = self._top
            self._remembered += 1
        else:
            self._top = None

    def _push(self, text: str | None) -> None:
        self._top = text
        if text is not None:
            self.last = [*self.last[-1:], text]


def _index(argument: bytes, opcode: int) -> int:
    if opcode in b"gp":  # as a line of text
        text = argument.strip()
        return int(text) if text.isdigit() and len(text) < _LONGEST_INDEX else -1
    return int.from_bytes(argument, "little")


_TWO = 2
_LONGEST_INDEX = 10
_MEMOIZE = 0x94
_GETS = b"ghj"
_PUTS = b"pqr\x94"

# What follows each opcode: a number of fixed bytes, a length prefix (negative: that many bytes of length, unsigned but
# for the four-byte ones of protocol 1), or lines of text.
_LINE, _TWO_LINES = "line", "two lines"
_ARGUMENTS: dict[int, int | str] = {
    **dict.fromkeys(b"(.012NRQabdtspuel])}o\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94\x97\x98", 0),
    **dict.fromkeys(b"Khq\x80\x82", 1),
    **dict.fromkeys(b"M\x83", 2),
    **dict.fromkeys(b"Jjr\x84", 4),
    **dict.fromkeys(b"G\x95", 8),
    **dict.fromkeys(b"UC\x8a\x8c", -1),
    **dict.fromkeys(b"XTB\x8b", -4),
    **dict.fromkeys(b"\x8d\x8e\x96", -8),
    **dict.fromkeys(b"IFLSVPgp", _LINE),
    **dict.fromkeys(b"ci", _TWO_LINES),
}
_GLOBAL, _INST, _STACK_GLOBAL = ord("c"), ord("i"), 0x93
_TEXTS = b"XV\x8c\x8dUTS"


def _opcodes(data: bytes, where: str) -> Iterator[tuple[int, int, bytes]]:
    """Offset, opcode and argument bytes of every instruction up to STOP. ArtifactError where the data is malformed."""
    position = 0
    for _ in range(MAX_OPCODES):
        if position >= len(data):
            raise _malformed(where, position, "an opcode", "the end")
        opcode = data[position]
        kind = _ARGUMENTS.get(opcode)
        start = position + 1
        if kind is None:
            raise _malformed(where, position, "a pickle opcode", f"{opcode:#04x}")
        if isinstance(kind, str):
            end = start
            for _ in range(2 if kind == _TWO_LINES else 1):
                end = data.find(b"\n", end) + 1
                if not end:
                    raise _malformed(where, position, "a line of text", "the end")
        elif kind < 0:
            length_end = start - kind
            end = length_end + int.from_bytes(data[start:length_end], "little")
            start = length_end
        else:
            end = start + kind
        if end > len(data):
            raise _malformed(where, position, f"{end - start} bytes", "the end")
        yield position, opcode, data[start:end]
        if opcode == _STOP:
            return
        position = end
    raise _malformed(where, position, f"at most {MAX_OPCODES} opcodes", "more")


_STOP = ord(".")
_MARK = ord("(")
_EMPTY = {ord(")"): tuple, ord("]"): list, ord("}"): dict}
_CONSTANTS = {ord("N"): None, 0x88: True, 0x89: False}
_INTEGERS = {ord("K"): False, ord("M"): False, ord("J"): True, 0x8A: True}
_TUPLES = {0x85: 1, 0x86: 2, 0x87: 3}
_KEY_TYPES = (str, int, float, bytes, type(None))


class _Machine:
    """The stack machine, over symbolic values."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.at = 0

    def run(self, data: bytes) -> Any:
        for at, opcode, argument in _opcodes(data, self.where):
            self.at = at
            if opcode != _STOP:
                self._step(opcode, argument)
        if len(self.stack) != 1 or self.marks:
            raise self._refuse("one value at the end", f"{len(self.stack)}")
        return self.stack[0]

    def _step(self, opcode: int, argument: bytes) -> None:
        stack = self.stack
        if opcode in _EMPTY:
            stack.append(_EMPTY[opcode]())
        elif opcode in _CONSTANTS:
            stack.append(_CONSTANTS[opcode])
        elif opcode in _INTEGERS:
            stack.append(int.from_bytes(argument, "little", signed=_INTEGERS[opcode]))
        elif opcode == ord("G"):
            stack.append(struct.unpack(">d", argument)[0])
        elif opcode == ord("X"):
            stack.append(self._text(argument))
        elif opcode in b"hj":  # BINGET, LONG_BINGET
            index = int.from_bytes(argument, "little")
            if index not in self.memo:
                raise self._refuse("a value remembered before", f"number {index}")
            stack.append(self.memo[index])
        elif opcode in b"qr":  # BINPUT, LONG_BINPUT
            self.memo[int.from_bytes(argument, "little")] = self._top()
        elif opcode == _MARK:
            self.marks.append(len(stack))
        elif opcode == ord("t"):
            stack.append(tuple(self._since_mark()))
        elif opcode in _TUPLES:
            stack.append(tuple(self._take(_TUPLES[opcode])))
        elif opcode in b"ae":  # APPEND, APPENDS
            items = self._since_mark() if opcode == ord("e") else self._take(1)
            self._container(list).extend(items)
        elif opcode in b"su":  # SETITEM, SETITEMS
            self._set_items(self._since_mark() if opcode == ord("u") else self._take(2))
        elif opcode == _GLOBAL:
            stack.append(Global(*_two_lines(argument)))
        elif opcode in b"R\x81":  # REDUCE, NEWOBJ
            function, arguments = self._take(2)
            stack.append(Call(function, arguments))
        elif opcode == ord("b"):  # BUILD
            (state,) = self._take(1)
            self._container(Call).state.append(state)
        elif opcode == ord("Q"):  # BINPERSID
            stack.append(Persistent(*self._take(1)))
        elif opcode != 0x80:  # PROTO
            raise self._refuse("an opcode that TorchScript writes", f"{opcode:#04x}")

    def _top(self) -> Any:
        if not self.stack:
            raise self._refuse("a value on the stack", "none")
        return self.stack[-1]

    def _take(self, count: int) -> list[Any]:
        floor = self.marks[-1] if self.marks else 0
        if len(self.stack) - count < floor:
            raise self._refuse(f"{count} values on the stack", f"{len(self.stack) - floor}")
        taken = self.stack[-count:]
        del self.stack[-count:]
        return taken

    def _since_mark(self) -> list[Any]:
        if not self.marks:
            raise self._refuse("a mark", "none")
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def _container(self, kind: type[Any]) -> Any:
        if not isinstance(self._top(), kind):
            raise self._refuse(f"a {kind.__name__} to fill", type(self._top()).__name__)
        return self._top()

    def _set_items(self, items: list[Any]) -> None:
        if len(items) % 2:
            raise self._refuse("pairs of key and value", f"{len(items)} values")
        mapping = self._container(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Other keys are not needed, and hashing deeply nested tuples overruns the C stack.
            if not isinstance(key, _KEY_TYPES):
                raise self._refuse("a text or a number as the key", type(key).__name__)
            mapping[key] = value

    def _text(self, argument: bytes) -> str:
        try:
            return argument.decode("utf-8")
        except UnicodeDecodeError:
            raise self._refuse("text in UTF-8", repr(argument[:40])) from None

    def _refuse(self, expected: str, got: str) -> ArtifactError:
        return _malformed(self.where, self.at, expected, got)


def _two_lines(argument: bytes) -> list[str]:
    return argument.decode("utf-8", "replace").split("\n")[:2]


def _malformed(where: str, offset: int, expected: str, got: str) -> ArtifactError:
    return ArtifactError(where=f"{where} at offset {offset}", expected=expected, got=got)
