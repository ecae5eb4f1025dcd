"""Which traces a function's body is also saved as.

A signature made from `f.get_concrete_function(...)` calls a copy of the trace that the SavedFunction lists: the same
nodes under another name, calling copies of the functions that the trace calls. Such twins are found by comparing
bodies, callees included.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trimtab.savedmodel.graph import FunctionDef, NodeDef

MAX_DEPTH = 64
"""How deep calls nest that are compared."""


def twins(library: Mapping[str, FunctionDef], name: str, candidates: Iterable[str]) -> tuple[str, ...]:
    """Those of `candidates` whose body is that of the function `name`, the function itself first when it is one."""
    if name not in library:
        return ()
    compared = _Comparison(library)
    found = [each for each in candidates if each == name or (each in library and compared.equal(name, each, 0))]
    return tuple(sorted(found, key=lambda each: each != name))


class _Comparison:
    def __init__(self, library: Mapping[str, FunctionDef]) -> None:
        self._library = library
        self._known: dict[tuple[str, str], bool] = {}

    def equal(self, one: str, other: str, depth: int) -> bool:
        if one == other:
            return True
        if depth > MAX_DEPTH or one not in self._library or other not in self._library:
            return False
        if (one, other) not in self._known:
            self._known[one, other] = True  # what calls itself is compared once
            self._known[one, other] = self._same(self._library[one], self._library[other], depth)
        return self._known[one, other]

    def _same(self, one: FunctionDef, other: FunctionDef, depth: int) -> bool:
        first, second = one.signature, other.signature
        if (first.input_arg, first.output_arg) != (second.input_arg, second.output_arg):
            return False
        if len(one.node_def) != len(other.node_def) or one.ret != other.ret or _shapes(one) != _shapes(other):
            return False
        pairs = zip(one.node_def.values(), other.node_def.values(), strict=True)
        return all(self._same_node(*pair, depth) for pair in pairs)

    def _same_node(self, one: NodeDef, other: NodeDef, depth: int) -> bool:
        if (one.name, one.op, one.input, one.attr_names) != (other.name, other.op, other.input, other.attr_names):
            return False
        callees = one.callees, other.callees
        if len(callees[0]) != len(callees[1]):
            return False
        if not all(self.equal(*pair, depth + 1) for pair in zip(*callees, strict=True)):
            return False
        differing = [name for name in one.attr_names if one.attr_bytes(name) != other.attr_bytes(name)]
        return all(_calls(one, name) and _calls(other, name) for name in differing)


def _calls(node: NodeDef, name: str) -> bool:
    """Whether the attribute is a reference to a function; those are compared by what they refer to."""
    value = node.attr(name)
    return value is not None and (value.func is not None or (value.list is not None and bool(value.list.func)))


def _shapes(function: FunctionDef) -> int:
    """The static shapes of the arguments, as one number."""
    shapes = [str(sorted(attrs.items(), key=lambda item: item[0])) for _, attrs in sorted(function.arg_attr.items())]
    return zlib.crc32("\n".join(shapes).encode())
