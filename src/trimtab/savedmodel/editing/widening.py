"""Let an input have other sizes than those that its function was traced for.

TensorFlow checks no shape at a call, so a wider one works wherever the function's body does not depend on the size. A
trace does not say where it does: what it worked out from a known size is a constant in it. Refused is what is sure to
fail; and the outputs are declared with unknown sizes, as theirs may follow.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from trimtab.errors import ArtifactError
from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.editing.wrapper import CALLS, Input
from trimtab.savedmodel.flow import dependencies
from trimtab.savedmodel.graph_protos import TensorShapeProto
from trimtab.savedmodel.message import decode
from trimtab.savedmodel.messages import serialize
from trimtab.savedmodel.structure import OtherTypeSpec, shape_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trimtab.savedmodel.editing.draft import Draft
    from trimtab.savedmodel.editing.wrapper import Output, Wrapper
    from trimtab.savedmodel.graph_protos import Shape

_UNARY = re.compile(
    "Identity|Cast|Abs|Neg|Exp|Log|Log1p|Sqrt|Rsqrt|Square|Relu|Relu6|Elu|Selu|Sigmoid|Softplus|Softsign|Tanh|Erf|Floor"
    "|Ceil|Round|Sign|Sin|Cos|LogicalNot|StopGradient"
)
_BINARY = re.compile(
    "Add|AddV2|Sub|Mul|RealDiv|Div|DivNoNan|FloorDiv|FloorMod|Maximum|Minimum|Pow|SquaredDifference|Equal|NotEqual|Less"
    "|LessEqual|Greater|GreaterEqual|LogicalAnd|LogicalOr"
)
_MAX_DEPTH = 32
_INT32 = 3


def widen_inputs(draft: Draft, wrapper: Wrapper, shapes: Mapping[str, Shape], where: str) -> Wrapper:
    """Other shapes for inputs, by their names: dimensions that become unknown, or the rank. None may become another.

    ArtifactError for a shape that allows less than the input's own, or that the function's body cannot take.
    """
    widened: list[Any] = []
    positions = set()
    for position, given in enumerate(wrapper.arguments):
        shape = shapes.get(given.name, given.shape) if isinstance(given, Input) else None
        if not isinstance(given, Input) or shape == given.shape:
            widened.append(given)
            continue
        _check(draft, wrapper, position, shape, f"{where}, input {given.name!r}")
        widened.append(replace(given, shape=shape))
        positions.add(position)
    if not positions:
        return wrapper
    follow = dependencies(draft.meta_graph, wrapper.callee).outputs
    outputs = tuple(
        _unsized(output)
        if not follow or any(positions & follow[result.position] for result in output.results)
        else output
        for output in wrapper.outputs
    )
    return replace(wrapper.with_arguments(widened), outputs=outputs)


def _check(draft: Draft, wrapper: Wrapper, position: int, shape: Shape, where: str) -> None:
    given = wrapper.arguments[position]
    if not isinstance(given, Input):
        return
    if not _wider(shape, given.shape):
        raise ArtifactError(
            where=where,
            expected=f"a shape that allows all that {shape_text(given.shape)} does: sizes may become unknown",
            got=shape_text(shape),
            hint=f"The function was traced for {dtype_name(given.dtype)} {shape_text(given.shape)}; another size or"
            " rank needs another trace.",
        )
    fixed = _Fixed(draft, given.shape, shape).found_in(wrapper.callee, position, 0)
    if fixed is not None:
        raise ArtifactError(
            f"the function was traced for {shape_text(given.shape)}, and its body has that size in a constant",
            where=where,
            expected="a shape that keeps it",
            got=shape_text(shape),
            hint=f"{fixed}. Export a trace with an unknown size.",
        )


class _Fixed:
    """The search for a node that is given the argument, element by element, and cannot take another size."""

    def __init__(self, draft: Draft, narrow: Shape, wide: Shape) -> None:
        self._draft = draft
        self._rank = len(narrow or ())
        sizes = enumerate(narrow or ())
        self._sizes = {at: size for at, size in sizes if size is not None and (wide is None or wide[at] is None)}

    def found_in(self, name: str, position: int, depth: int) -> str | None:
        """What stands in the way, for a person; None when nothing is sure to."""
        if depth > _MAX_DEPTH or name not in self._draft.functions:
            return None
        function = self._draft.functions[name]
        if position >= len(function.signature.input_arg):
            return None
        nodes = {node.name: node for node in function.node_def}
        same = {function.signature.input_arg[position].name}
        for node in _in_order(nodes, same):
            data = [each.partition(":")[0] for each in node.input if not each.startswith("^")]
            if node.op == "Reshape" and len(data) > 1 and data[0] in same:
                target = _integers(nodes.get(data[1]))
                if target and all(size >= 0 for size in target):
                    return f"In {name} the node {node.name!r} reshapes it to {target}"
            elif _BINARY.fullmatch(node.op) and len(data) > 1:
                other = nodes.get(data[1] if data[0] in same else data[0])
                if other is not None and other.op == "Const" and self._clashes(other):
                    return f"In {name} the node {node.name!r} combines it with the constant {other.name!r}"
            elif node.op in CALLS:
                for at, each in enumerate(data):
                    if each in same:
                        found = self.found_in(node.attr["f"].func.name, at, depth + 1)
                        if found is not None:
                            return found
        return None

    def _clashes(self, constant: Any) -> bool:
        sizes = constant.attr["value"].tensor.tensor_shape.dim
        shift = self._rank - len(sizes)
        aligned = {at: sizes[at - shift].size for at in self._sizes if 0 <= at - shift < len(sizes)}
        return any(aligned[at] == self._sizes[at] != 1 for at in aligned)


def _in_order(nodes: Mapping[str, Any], same: set[str]) -> Iterator[Any]:
    """The nodes that are given something in `same`, which grows by what is like it, element by element."""
    consumers: dict[str, list[Any]] = {}
    for node in nodes.values():
        for each in node.input:
            consumers.setdefault(each.partition(":")[0], []).append(node)
    waiting, seen = list(same), set()
    while waiting:
        for node in consumers.get(waiting.pop(), ()):
            if node.name in seen:
                continue
            seen.add(node.name)
            yield node
            if _UNARY.fullmatch(node.op) or (_BINARY.fullmatch(node.op) and _is_scaled(node, nodes, same)):
                same.add(node.name)
                waiting.append(node.name)


def _is_scaled(node: Any, nodes: Mapping[str, Any], same: set[str]) -> bool:
    """Whether the other operand is a scalar constant or like the argument itself, so that the shape stays."""
    others = [each.partition(":")[0] for each in node.input if each.partition(":")[0] not in same]
    constants = [nodes[each] for each in others if each in nodes]
    return len(constants) == len(others) and all(
        each.op == "Const" and not each.attr["value"].tensor.tensor_shape.dim for each in constants
    )


def _integers(node: Any) -> list[int]:
    """The values of a Const vector of int32 or int64; empty for anything else."""
    if node is None or node.op != "Const":
        return []
    tensor = node.attr["value"].tensor
    code = "i" if tensor.dtype == _INT32 else "q"
    if tensor.tensor_content:
        if len(tensor.tensor_content) % struct.calcsize(f"<{code}"):
            return []
        return [number for (number,) in struct.iter_unpack(f"<{code}", tensor.tensor_content)]
    values = list(tensor.int_val if code == "i" else tensor.int64_val)
    shape = decode(TensorShapeProto, serialize(tensor.tensor_shape), "tensor_shape").shape
    missing = (shape[0] or 0) - len(values) if shape else 0
    return values + values[-1:] * min(missing, 1 << 8)


def _wider(wide: Shape, narrow: Shape) -> bool:
    if wide is None:
        return True
    if narrow is None or len(wide) != len(narrow):
        return False
    return all(size is None or size == own for size, own in zip(wide, narrow, strict=True))


def _unsized(output: Output) -> Output:
    """The output with unknown sizes; the number of its dimensions stays."""
    results = tuple(replace(each, shape=_unknown(each.shape)) for each in output.results)
    spec = output.spec
    return replace(
        output,
        results=results,
        spec=spec if isinstance(spec, OtherTypeSpec) else replace(spec, shape=_unknown(spec.shape)),
    )


def _unknown(shape: Shape) -> Shape:
    return None if shape is None else (None,) * len(shape)
