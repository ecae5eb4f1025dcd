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
from msgspec import Raw, Struct
from msgspec.json import Decoder

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_GRAPH_BYTES = 4 << 20
"""The nodes of a larger graph are not walked: their inputs stay unknown, so that reading stays quick."""

_MAX_OBJECTS = 300_000
"""A node is a dozen: a graph of this many in four megabytes is none of torch's."""


class _Node(Struct):
    target: str = ""
    inputs: Raw = Raw(b"[]")
    outputs: Raw = Raw(b"[]")


class _Argument(Struct):
    arg: Raw


# Made once, when the module is imported: msgspec then evaluates the annotations above, and never while it reads a file.
_NODES = Decoder(list[_Node])
_ARGUMENTS = Decoder(list[_Argument])
_TEXT = Decoder(str)


def live_values(nodes: bytes, inputs: bytes, outputs: bytes, written: Iterable[str] = ()) -> set[bytes] | None:
    """The names, in UTF-8, of all values that an output or an effect of the graph depends on.

    nodes, inputs, outputs: the graph's, as JSON. written: values that count as used besides.
    None where the graph is too large, or not of the form that is known: then nothing can be said.
    """
    if len(nodes) > MAX_GRAPH_BYTES or nodes.count(b"{") > _MAX_OBJECTS:
        return None
    wanted = [*_names(outputs), *(name.encode() for name in written)]
    try:
        return _walk(_NODES.decode(nodes), set(_names(inputs)), wanted)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, _UnknownFormError):
        return None


class _UnknownFormError(Exception):
    """The graph says something in a way that this module does not know."""


def _walk(nodes: list[_Node], given: set[bytes], pending: list[bytes]) -> set[bytes]:
    texts = [_without_subgraphs(bytes(node.inputs)) for node in nodes]
    if not _KINDS.issuperset(_KIND.findall(b"".join(texts))):
        raise _UnknownFormError
    makers: defaultdict[bytes, list[int]] = defaultdict(list)
    pure = {target: _is_pure(target) for target in {node.target for node in nodes}}
    for index, (node, text) in enumerate(zip(nodes, texts, strict=True)):
        for name in _names(bytes(node.outputs)):
            makers[name].append(index)
        if not pure[node.target] or (b'"as_sym_int' in text and not node.target.startswith("_operator.")):
            pending.extend(_names(text))  # a size or position that is computed may not fit
    live: set[bytes] = set()
    seen: set[int] = set()
    while pending:
        name = pending.pop()
        if name in live:
            continue
        live.add(name)
        if name not in makers and name not in given:
            raise _UnknownFormError
        for index in makers[name]:
            if index not in seen:
                seen.add(index)
                pending.extend(_names(texts[index]))
    return live


def _without_subgraphs(arguments: bytes) -> bytes:
    """A node's arguments as text. A subgraph sees only what the node is given besides it."""
    if b'"as_graph"' not in arguments:
        return arguments
    texts = [bytes(each.arg) for each in _ARGUMENTS.decode(arguments)]
    return b",".join(text for text in texts if not _SUBGRAPH.match(text))


_SUBGRAPH = re.compile(rb'\s*\{\s*"as_graph"')
_KIND = re.compile(rb'"as_(\w+)"')
_KINDS = frozenset(
    b"""none tensor tensors int ints float floats string strings sym_int sym_ints scalar_type memory_format layout
    device bool bools sym_bool sym_bools optional_tensors custom_obj operator sym_float sym_floats optional_tensor
    complex nested_tensors int_lists string_to_argument name expr""".split()
)
"""The members of `Argument` in torch/_export/serde/schema.py: all refer to a value by its `name` or `as_name`."""

# A parameter of the operation has a `name` as well, with the argument after it.
# Without the quote before it, the expression begins with text, which is looked for three times as fast.
_NAME = re.compile(rb'name"\s*+:\s*+"((?:[^"\\]++|\\.)*+)"(?!\s*+,\s*+"arg"\s*+:)', re.DOTALL)


def _names(text: bytes) -> list[bytes]:
    names: list[bytes] = _NAME.findall(text)
    if b"\\" in text:
        return [_TEXT.decode(b'"%b"' % name).encode() if b"\\" in name else name for name in names]
    return names


def _is_pure(target: str) -> bool:
    operation = _OPERATION.match(target)
    if operation is None:
        return False
    name, overload = operation.groups()
    if name == "div":
        return overload in ("Tensor", "Scalar")  # rounded division of integers fails for zero
    return name in _PURE and "out" not in (overload or "")  # an overload called `out` writes into an argument


_OPERATION = re.compile(r"(?:torch\.ops\.aten|_operator)\.(\w+)(?:\.(\w+))?$")
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
