"""What running an operation does to shapes, and when it refuses them: a table of the operations that models lean on.

An operation that is not in the table gives what nothing is known of, and refuses nothing: a refusal is only foretold
where the operation's own kernel is certain to raise it.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct

from trimtab.savedmodel.constant_values import constant_value
from trimtab.savedmodel.dispatching.refusing import Raises
from trimtab.savedmodel.dispatching.shapes import generalized

if TYPE_CHECKING:
    from collections.abc import Callable

    from trimtab.savedmodel.graph import NodeDef
    from trimtab.savedmodel.graph_protos import Shape


class Known(Struct, frozen=True):
    """What is known of a tensor while a function runs: its shape, and the elements of a small one of integers.

    Of a variable's handle: the shape of the variable.
    """

    shape: Shape = None
    data: Any = None


NOTHING = Known()

Rule: TypeAlias = "Callable[[NodeDef, list[Known]], Known]"


def result_of(node: NodeDef, inputs: list[Known]) -> Known:
    """What is known of the first output of a node. Raises the InvalidArgumentError with which it refuses its inputs."""
    rule = _RULES.get(node.op)
    return rule(node, inputs) if rule is not None and len(inputs) >= _INPUTS.get(rule, 1) else NOTHING


def integers(data: Any) -> list[int] | None:
    """The elements of nested lists or tuples, when all are integers."""
    found: list[int] = []
    waiting = [data]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list | tuple):
            waiting += reversed(item)
        elif isinstance(item, int) and not isinstance(item, bool):
            found.append(item)
        else:
            return None
    return found


def _refused(node: NodeDef, problem: str) -> Raises:
    return Raises("InvalidArgumentError", f"Detected at node {node.name}: {problem}")


def _same(_: NodeDef, inputs: list[Known]) -> Known:
    return inputs[0]


def _elementwise(_: NodeDef, inputs: list[Known]) -> Known:
    return Known(inputs[0].shape)


def _constant(node: NodeDef, _: list[Known]) -> Known:
    value = node.attr("value")
    if value is None or value.tensor is None:
        return NOTHING
    return Known(value.tensor.tensor_shape.shape, constant_value(value.tensor, 64))


def _declared(node: NodeDef, _: list[Known]) -> Known:
    shape = node.attr("shape")
    return Known(shape.shape.shape) if shape is not None and shape.shape is not None else NOTHING


def _broadcast(node: NodeDef, inputs: list[Known]) -> Known:
    one, other = inputs[0].shape, inputs[1].shape
    if one is None or other is None:
        return NOTHING
    rank = max(len(one), len(other))
    sizes: list[int | None] = []
    for a, b in zip((1,) * (rank - len(one)) + one, (1,) * (rank - len(other)) + other, strict=True):
        if a is not None and b is not None and a != b and 1 not in (a, b):
            raise _refused(node, f"Incompatible shapes: {list(one)} vs. {list(other)}")
        sizes.append(b if a == 1 else a if b in (1, a) else None)
    return Known(tuple(sizes))


def _matmul(node: NodeDef, inputs: list[Known]) -> Known:
    one, other = inputs[0].shape, inputs[1].shape
    if one is None or other is None:
        return NOTHING
    if len(one) != 2 or len(other) != 2:
        raise _refused(node, f"In[0] and In[1] are no matrices: {list(one)} vs. {list(other)}")
    if _flag(node, "transpose_a"):
        one = one[::-1]
    if _flag(node, "transpose_b"):
        other = other[::-1]
    if one[1] is not None and other[0] is not None and one[1] != other[0]:
        raise _refused(node, f"Matrix size-incompatible: In[0]: {list(one)}, In[1]: {list(other)}")
    return Known((one[0], other[1]))


def _bias(node: NodeDef, inputs: list[Known]) -> Known:
    value, bias = inputs[0].shape, inputs[1].shape
    layout = node.attr("data_format")
    if value is None or bias is None or len(bias) != 1 or (layout is not None and layout.s == b"NCHW"):
        return Known(value)
    if len(value) < 2:
        raise _refused(node, f"Input tensor must be at least 2D: {list(value)}")
    if value[-1] is not None and bias[0] is not None and value[-1] != bias[0]:
        raise _refused(node, f"Must provide as many biases as the last dimension: {list(bias)} vs. {list(value)}")
    return Known(value)


def _assign(node: NodeDef, inputs: list[Known]) -> Known:
    variable, value = inputs[0].shape, inputs[1].shape
    whole = variable is not None and value is not None and None not in variable and None not in value
    if whole and variable != value:
        sides = f"a variable with shape {list(variable or ())} using a Tensor with shape {list(value or ())}"
        raise _refused(node, f"Cannot update {sides}, shapes must be equal.")
    return NOTHING


def _gather(node: NodeDef, inputs: list[Known]) -> Known:
    params, indices = inputs[0].shape, inputs[1]
    batch = node.attr("batch_dims")
    axis = integers(inputs[2].data) if len(inputs) > 2 else [0]
    if not params or axis != [0] or (batch is not None and batch.i):
        return NOTHING
    limit, positions = params[0], integers(indices.data)
    for each in positions if positions is not None and limit is not None else ():
        if limit is not None and not 0 <= each < limit:
            raise _refused(node, f"indices = {each} is not in [0, {limit})")
    return Known(None if indices.shape is None else (*indices.shape, *params[1:]))


def _reduction(node: NodeDef, inputs: list[Known]) -> Known:
    shape, axes = inputs[0].shape, integers(inputs[1].data)
    if shape is None or axes is None:
        return NOTHING
    for axis in axes:
        if not -len(shape) <= axis < len(shape):
            problem = f"Invalid reduction dimension ({axis} for input with {len(shape)} dimension(s)"
            raise _refused(node, problem)
    gone = {axis % len(shape) for axis in axes}
    if _flag(node, "keep_dims"):
        return Known(tuple(1 if at in gone else size for at, size in enumerate(shape)))
    return Known(tuple(size for at, size in enumerate(shape) if at not in gone))


def _reshape(node: NodeDef, inputs: list[Known]) -> Known:
    shape, wanted = inputs[0].shape, integers(inputs[1].data)
    if wanted is None:
        return NOTHING
    known = prod(size for size in wanted if size != -1)
    total = prod(size or 0 for size in shape) if shape is not None and None not in shape else None
    if total is not None and (total != known if -1 not in wanted else known and total % known):
        raise _refused(node, f"Input to reshape is a tensor with {total} values, but the requested shape is {wanted}")
    return Known(tuple(None if size == -1 else size for size in wanted))


def _concatenated(node: NodeDef, inputs: list[Known]) -> Known:
    shapes, axes = [each.shape for each in inputs[:-1]], integers(inputs[-1].data)
    first = shapes[0]
    if axes is None or len(axes) != 1 or first is None or any(each is None for each in shapes):
        return NOTHING
    if any(each is not None and len(each) != len(first) for each in shapes):
        raise _refused(node, "Ranks of all input tensors should match")
    whole: Shape = first
    axis = axes[0] % max(len(first), 1)
    for each in shapes[1:]:
        for at, (a, b) in enumerate(zip(first, each or (), strict=True)):
            if at != axis and a is not None and b is not None and a != b:
                raise _refused(node, f"Dimension {at} in both shapes must be equal: {list(first)} vs. {each}")
        whole = generalized(whole, each)
    return Known(None if whole is None else tuple(None if at == axis else size for at, size in enumerate(whole)))


def _flag(node: NodeDef, name: str) -> bool:
    value = node.attr(name)
    return value is not None and bool(value.b)


_UNARY = (
    "Abs Cast Ceil Cos Elu Erf Exp Floor LeakyRelu Log Log1p LogSoftmax LogicalNot Neg OnesLike Reciprocal Relu Relu6 "
    "Round Rsqrt Selu Sigmoid Sign Sin Softmax Softplus Sqrt Square StringLower StringUpper Tanh ZerosLike"
)
_BINARY = (
    "Add AddV2 Div DivNoNan FloorDiv FloorMod Greater GreaterEqual Less LessEqual LogicalAnd LogicalOr Maximum Minimum "
    "Mul MulNoNan Pow RealDiv SquaredDifference Sub TruncateDiv"
)

_RULES: dict[str, Rule] = {
    "Const": _constant,
    "VarHandleOp": _declared,
    "VariableV2": _declared,
    "Variable": _declared,
    "MatMul": _matmul,
    "BiasAdd": _bias,
    "AssignAddVariableOp": _assign,
    "AssignSubVariableOp": _assign,
    "GatherV2": _gather,
    "Gather": _gather,
    "ResourceGather": _gather,
    "Reshape": _reshape,
    "ConcatV2": _concatenated,
    **dict.fromkeys(("Identity", "ReadVariableOp", "StopGradient", "Snapshot", "PreventGradient"), _same),
    **dict.fromkeys(("Sum", "Mean", "Max", "Min", "Prod", "All", "Any"), _reduction),
    **dict.fromkeys(_UNARY.split(), _elementwise),
    **dict.fromkeys(_BINARY.split(), _broadcast),
}

_INPUTS: dict[Rule, int] = {
    _constant: 0,
    _declared: 0,
    _matmul: 2,
    _bias: 2,
    _assign: 2,
    _gather: 2,
    _broadcast: 2,
    _reduction: 2,
    _reshape: 2,
    _concatenated: 2,
}
"""How many inputs a rule looks at, where not one."""
