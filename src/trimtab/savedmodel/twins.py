"""Which traces a function's body is also saved as.

A signature made from `f.get_concrete_function(...)` calls a copy of the trace that the SavedFunction lists: the same
nodes under another name, with arguments and nodes that may be named otherwise, calling copies of the functions that
the trace calls. Such twins are found by comparing bodies by position, callees included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.savedmodel.graph import TensorName

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trimtab.savedmodel.graph import FunctionDef, NodeDef
    from trimtab.savedmodel.graph_protos import OpDef, Shape

MAX_DEPTH = 64
"""How deep calls nest that are compared."""

MAX_BYTES = 16 << 20
"""How much of the library is compared for one function; what lies beyond is not looked at."""


def twins(library: Mapping[str, FunctionDef], name: str, candidates: Iterable[str]) -> tuple[str, ...]:
    """Those of `candidates` whose body is that of the function `name`, the function itself first when it is one.

    Only functions that bear the same name, but for the number at its end, are compared: TensorFlow names a trace
    after its Python function, and equal bodies of different functions are a coincidence.
    """
    if name not in library:
        return ()
    compared = _Comparison(library)
    wanted = stem(name)
    alike = [each for each in candidates if each == name or (each in library and stem(each) == wanted)]
    return tuple(sorted((each for each in alike if compared.equal(name, each, 0)), key=lambda each: each != name))


def stem(name: str) -> str:
    """A function's name without the number that makes it unique: `__inference_f` of `__inference_f_57`."""
    head, _, number = name.rpartition("_")
    return head if number.isdecimal() else name


def forwarded(library: Mapping[str, FunctionDef], name: str) -> str | None:
    """The function that `name` does nothing but call; None when it does anything else."""
    if name not in library:
        return None
    calls = [node for node in library[name].node_def.values() if node.op not in _PASSING]
    if len(calls) != 1 or calls[0].op not in _CALLS:
        return None
    return next(iter(calls[0].callees), None)


_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_PASSING = frozenset({"Identity", "NoOp"})


class _Comparison:
    def __init__(self, library: Mapping[str, FunctionDef]) -> None:
        self._library = library
        self._known: dict[tuple[str, str], bool] = {}
        self._left = MAX_BYTES

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
        self._left -= other.size
        if self._left < 0:
            return False
        if _types(one.signature) != _types(other.signature) or len(one.node_def) != len(other.node_def):
            return False
        if _shapes(one) != _shapes(other):
            return False
        names, other_names = _Positions(one), _Positions(other)
        if [names.of(tensor) for tensor in _results(one)] != [other_names.of(tensor) for tensor in _results(other)]:
            return False
        return all(
            [names.of(tensor) for tensor in node.input] == [other_names.of(tensor) for tensor in twin.input]
            and self._same_node(node, twin, depth)
            for node, twin in zip(one.node_def.values(), other.node_def.values(), strict=True)
        )

    def _same_node(self, one: NodeDef, other: NodeDef, depth: int) -> bool:
        if (one.op, set(one.attr_names)) != (other.op, set(other.attr_names)):
            return False
        differing = [name for name in one.attr_names if one.attr_bytes(name) != other.attr_bytes(name)]
        if not all(_calls(one, name) and _calls(other, name) for name in differing):
            return False
        callees = one.callees, other.callees
        return len(callees[0]) == len(callees[1]) and all(
            self.equal(*pair, depth + 1) for pair in zip(*callees, strict=True)
        )


class _Positions:
    """What the tensors in a function's body are called when arguments and nodes are numbered, not named."""

    def __init__(self, function: FunctionDef) -> None:
        self._numbers = {argument.name: -1 - at for at, argument in enumerate(function.signature.input_arg)}
        self._numbers.update((name, at) for at, name in enumerate(function.node_def))

    def of(self, tensor: str) -> tuple[int | str, str, int, bool]:
        parsed = TensorName.parse(tensor)
        return self._numbers.get(parsed.node, parsed.node), parsed.output, parsed.position, parsed.control


def _types(signature: OpDef) -> tuple[object, ...]:
    return tuple(
        tuple((argument.type, argument.handle_data) for argument in arguments)
        for arguments in (signature.input_arg, signature.output_arg)
    )


def _results(function: FunctionDef) -> list[str]:
    return [function.ret.get(result.name, "") for result in function.signature.output_arg]


def _shapes(function: FunctionDef) -> dict[int, Shape]:
    """The static shapes of the arguments that state one, by position."""
    found: dict[int, Shape] = {}
    for position, attributes in function.arg_attr.items():
        stated = attributes.get("_output_shapes")
        if stated is not None and stated.list is not None and stated.list.shape:
            found[position] = stated.list.shape[0].shape
    return found


def _calls(node: NodeDef, name: str) -> bool:
    """Whether the attribute is a reference to a function; those are compared by what they refer to."""
    value = node.attr(name)
    return value is not None and (value.func is not None or (value.list is not None and bool(value.list.func)))
