"""Which inputs of an exported program something depends on: the graph's nodes, walked from what they bring about back.

An input is dead when neither an output nor an effect can depend on it. Every node counts as an effect that is not one
of a short list of operations that compute a new value, always succeed and do nothing else. So in-place operations,
subgraphs, custom operations, random numbers, assertions and look-ups that may fail keep their inputs alive.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw, Struct, field
from msgspec.json import Decoder

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_GRAPH_BYTES = 4 << 20
"""The nodes of a larger graph are not walked: their inputs stay unknown, so that reading stays quick."""


class _Argument(Struct):
    arg: Raw


class _Node(Struct):
    target: str = ""
    inputs: list[_Argument] = field(default_factory=list)
    outputs: list[Raw] = field(default_factory=list)


# Made once, when the module is imported: msgspec then evaluates the annotations above, and never while it reads a file.
_NODES = Decoder(list[_Node])
_TEXT = Decoder(str)


def live_values(nodes: bytes, inputs: bytes, outputs: bytes, written: Iterable[str] = ()) -> set[str] | None:
    """The names of all values that an output or an effect of the graph depends on.

    nodes, inputs, outputs: the graph's, as JSON. written: values that count as used besides.
    None where the graph is too large, or not of the form that is known: then nothing can be said.
    """
    if len(nodes) > MAX_GRAPH_BYTES:
        return None
    try:
        return _walk(_NODES.decode(nodes), set(_names(inputs)), [*_names(outputs), *written])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, _UnknownFormError):
        return None


class _UnknownFormError(Exception):
    """The graph says something in a way that this module does not know."""


def _walk(nodes: list[_Node], given: set[str], wanted: list[str]) -> set[str]:
    makers: defaultdict[str, list[int]] = defaultdict(list)
    for index, node in enumerate(nodes):
        for output in node.outputs:
            for name in _names(bytes(output)):
                makers[name].append(index)
    pending = [*wanted, *(name for node in nodes if not _is_pure(node) for name in _used(node))]
    live: set[str] = set()
    while pending:
        name = pending.pop()
        if name in live:
            continue
        live.add(name)
        if name not in makers and name not in given:
            raise _UnknownFormError
        for index in makers[name]:
            pending.extend(_used(nodes[index]))
    return live


def _used(node: _Node) -> Iterable[str]:
    for argument in node.inputs:
        if _kind(argument) != b"graph":  # a subgraph sees only what the node is given besides
            yield from _names(bytes(argument.arg))


def _kind(argument: _Argument) -> bytes:
    kind = _KIND.match(bytes(argument.arg))
    if kind is None or kind.group(1) not in _KINDS:
        raise _UnknownFormError
    return kind.group(1)


_KIND = re.compile(rb'\s*\{\s*"as_(\w+)"')
_KINDS = frozenset(
    b"""none tensor tensors int ints float floats string strings sym_int sym_ints scalar_type memory_format layout
    device bool bools sym_bool sym_bools graph optional_tensors custom_obj operator sym_float sym_floats
    optional_tensor complex nested_tensors int_lists string_to_argument""".split()
)
"""The members of `Argument` in torch/_export/serde/schema.py: all refer to a value by its `name` or `as_name`."""

_NAME = re.compile(rb'"(?:as_)?name"\s*:\s*"((?:[^"\\]++|\\.)*+)"', re.DOTALL)


def _names(text: bytes) -> list[str]:
    return [_TEXT.decode(b'"%b"' % name) if b"\\" in name else name.decode() for name in _NAME.findall(text)]


def _is_pure(node: _Node) -> bool:
    operation = _OPERATION.match(node.target)
    if operation is None:
        return False
    home, name, overload = operation.groups()
    if home == "_operator":
        return name in _PURE
    if name == "div":
        return overload in ("Tensor", "Scalar")  # rounded division of integers fails for zero
    # An overload called `out` writes into an argument. A size or position that is computed may not fit.
    return name in _PURE and "out" not in (overload or "") and not _SIZES.intersection(map(_kind, node.inputs))


_OPERATION = re.compile(r"(?:torch\.ops\.)?(aten|_operator)\.(\w+)(?:\.(\w+))?$")
_SIZES = frozenset((b"sym_int", b"sym_ints"))
_ARITHMETIC = """add sub mul neg abs exp expm1 log log1p log2 log10 sqrt rsqrt sin cos tan tanh sinh cosh asin acos atan
    sigmoid square reciprocal sign sgn floor ceil round trunc frac maximum minimum clamp clamp_min clamp_max rsub erf"""
_LOGIC = """eq ne lt le gt ge isnan isinf isfinite logical_and logical_or logical_not logical_xor bitwise_not where
    and_ or_"""
_ACTIVATIONS = """relu gelu silu elu selu celu softplus leaky_relu hardtanh hardsigmoid hardswish mish softmax
    log_softmax _softmax _log_softmax log_sigmoid"""
_COPIES = "to _to_copy clone contiguous detach alias lift_fresh_copy zeros_like ones_like full_like empty_like float"
_VIEWS = """view reshape _unsafe_view unsqueeze squeeze permute transpose t expand flatten select slice unbind chunk
    split narrow movedim getitem"""
_REDUCTIONS = "sum mean amax amin any all prod sym_size sym_numel sym_stride sym_storage_offset numel dim item"
_PRODUCTS = "mm bmm matmul addmm linear dot mv outer cat stack"
_CHECKS_OF_TYPE = "_assert_tensor_metadata"

_PURE = frozenset(
    " ".join((_ARITHMETIC, _LOGIC, _ACTIVATIONS, _COPIES, _VIEWS, _REDUCTIONS, _PRODUCTS, _CHECKS_OF_TYPE)).split()
)
"""Given values of the stated dtypes and shapes, these do not fail, have no effect, and draw no random number."""
