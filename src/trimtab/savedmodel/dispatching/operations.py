"""The operations that are followed when a function runs: for each its rule, and when it is certain to run as it stands.

Before TensorFlow runs a function it simplifies it, trusting the shapes that the function declares: a reshape to the
shape that a tensor is believed to have is left out, an addition of zeros or a product with them too, and so is what
only a constant result depended on. What is left out refuses nothing. So a refusal is foretold only where no
simplification can touch it; source: tensorflow/core/grappler/optimizers/{constant_folding,arithmetic_optimizer}.cc.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from trimtab.savedmodel.dispatching import op_shapes
from trimtab.savedmodel.dispatching.op_shapes import Failure, Known, Refused, Rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from trimtab.savedmodel.graph import NodeDef
    from trimtab.savedmodel.graph_protos import Shape

Certain: TypeAlias = "Callable[[NodeDef, list[Known]], bool]"


def result_of(node: NodeDef, inputs: list[Known]) -> Known:
    """What is known of the first output of a node; its `failure` when it, or one before it, is certain to fail."""
    folded = bool(inputs) and all(each.folded for each in inputs)
    operation = _OPERATIONS.get(node.op)
    if operation is None or len(inputs) < operation.inputs or not operation.certain(node, inputs):
        return Known(folded=folded)
    believed = _believed(operation, node, inputs)
    if 0 in (believed or ()) or any(_empty(each) for each in inputs):
        return Known(believed=believed, folded=folded)
    failure = next((each.failure for each in inputs if each.failure is not None), None)
    if failure is not None:
        return Known(believed=believed, failure=failure, folded=folded)
    try:
        made = operation.rule(node, inputs)
    except Refused as error:
        failure = Failure(node.name, str(error), of_reshape=node.op in _RESHAPES)
        return Known(believed=believed, failure=failure, folded=folded)
    before = inputs[0].before if operation.inputs == 1 and len(inputs) == 1 else ()
    if node.op in _RESHAPES:
        before = (*inputs[0].before, inputs[0].believed)[:_MAX_BEFORE]
    return replace(made, believed=believed, before=before, folded=folded or made.folded)


def _believed(operation: _Operation, node: NodeDef, inputs: list[Known]) -> Shape:
    """The shape that follows from those that the optimizer believes in."""
    seen = [Known(each.believed, each.believed, data=each.data if each.folded else None) for each in inputs]
    try:
        return operation.rule(node, seen).shape
    except Refused:
        return None


def _empty(each: Known) -> bool:
    """Whether it is believed to have no elements: then nothing before it is computed. Axes and shapes may have none."""
    return 0 in (each.believed or ()) and not (each.folded and each.data is not None)


class _Operation(Struct, frozen=True):
    """inputs: how many the rule looks at. certain: whether the kernel sees these inputs, or one before it fails."""

    rule: Rule
    inputs: int = 1
    certain: Certain = lambda _, __: True


def _added(_: NodeDef, inputs: list[Known]) -> bool:
    """Adding zeros, or multiplying by ones, is left out where shapes seem to allow it; not what is added to."""
    neutral = any(each.folded and each.shape != () for each in inputs)
    return not (neutral and any(not each.trusted and each.failure is None for each in inputs))


def _subtracted(node: NodeDef, inputs: list[Known]) -> bool:
    """What is subtracted from itself, or divided by itself, need not be computed."""
    return _added(node, inputs) and not all(each.failure is not None for each in inputs)


def _multiplied(node: NodeDef, inputs: list[Known]) -> bool:
    """A product with zeros need not be computed, nor one with several constants of which some element is zero."""
    return _subtracted(node, inputs) and not any(each.folded and each.any_zero for each in inputs)


def _matrices(_: NodeDef, inputs: list[Known]) -> bool:
    return not any(each.folded and each.all_zero for each in inputs)


def _not_folded(_: NodeDef, inputs: list[Known]) -> bool:
    """Constants decide some results alone: a power of 0, a condition."""
    return not any(each.folded for each in inputs)


def _reduced(_: NodeDef, inputs: list[Known]) -> bool:
    """A reduction along dimensions that seem to be 1, or may come to seem so, only gives another shape."""
    believed, axes = inputs[0].believed, inputs[1].integers
    if inputs[0].trusted or inputs[0].failure is not None:
        return True
    if believed is None or axes is None or any(not -len(believed) <= axis < len(believed) for axis in axes):
        return False
    return any(believed[axis] not in (None, 1) for axis in axes)


def _reshaped(_: NodeDef, inputs: list[Known]) -> bool:
    """One that seems to change nothing is left out, and so is one before another."""
    failure, wanted = inputs[0].failure, inputs[1].integers
    if failure is not None or wanted is None:
        return failure is not None and not failure.of_reshape
    believed = (*inputs[0].before, inputs[0].believed)
    return len(believed) <= _MAX_BEFORE and all(_changes(each, wanted) for each in believed)


def _changes(believed: Shape, wanted: tuple[int, ...]) -> bool:
    """Whether a tensor of the shape that is believed cannot have the one that is wanted already."""
    if believed is None or len(believed) != len(wanted):
        return believed is not None
    return any(size is not None and asked not in (-1, size) for size, asked in zip(believed, wanted, strict=True))


def _expanded(_: NodeDef, inputs: list[Known]) -> bool:
    return not any(each.failure is not None and each.failure.of_reshape for each in inputs)


STATEFUL = frozenset({"AssignAddVariableOp", "AssignSubVariableOp", "AssignVariableOp"})
"""What they refuse is refused whether or not anything depends on them."""


def _packed(_: NodeDef, inputs: list[Known]) -> bool:
    """The same tensor packed several times is repeated instead, as often as its believed shape asks for."""
    return len({each.shape for each in inputs}) > 1 or all(each.trusted for each in inputs)


_MAX_BEFORE = 8
_RESHAPES = frozenset({"Reshape", "ExpandDims", "EnsureShape"})

_UNARY = (
    "Abs Cast Ceil Cos Elu Erf Exp Expm1 Floor LeakyRelu Log Log1p LogicalNot Neg Reciprocal Relu Relu6 Round Rsqrt "
    "Selu Sigmoid Sign Sin Softplus Softsign Sqrt Square StringLower StringUpper Tan Tanh"
)

_COMPUTED = (
    "ArgMax AsString BatchMatMulV3 Bucketize Cumsum DecodeBase64 DecodeRaw Einsum EncodeBase64 L2Loss LogSoftmax "
    "LookupTableFindV2 OneHot Softmax SparseReduceSum SparseReorder SparseTensorDenseMatMul SparseToDense StringFormat "
    "StringJoin StringLength StringStrip StringToHashBucket StringToHashBucketFast StringToHashBucketStrong "
    "StringToNumber Tile TopKV2 Transpose Where"
)
"""What is not followed, but cannot do without its inputs."""

_OPERATIONS: dict[str, _Operation] = {
    "Const": _Operation(op_shapes.constant, 0),
    **dict.fromkeys(("VarHandleOp", "VariableV2", "Variable"), _Operation(op_shapes.declared, 0)),
    **dict.fromkeys(
        ("Identity", "PlaceholderWithDefault", "PreventGradient", "ReadVariableOp", "Snapshot", "StopGradient"),
        _Operation(op_shapes.same),
    ),
    **dict.fromkeys(_UNARY.split(), _Operation(op_shapes.elementwise)),
    **dict.fromkeys(_COMPUTED.split(), _Operation(op_shapes.unfollowed)),
    **dict.fromkeys(("Add", "AddV2"), _Operation(op_shapes.broadcast, 2, _added)),
    **dict.fromkeys(
        ("Greater", "GreaterEqual", "Less", "LessEqual", "Maximum", "Minimum", "SquaredDifference", "Sub"),
        _Operation(op_shapes.broadcast, 2, _subtracted),
    ),
    **dict.fromkeys(
        ("Div", "DivNoNan", "FloorDiv", "Mul", "MulNoNan", "RealDiv", "TruncateDiv"),
        _Operation(op_shapes.broadcast, 2, _multiplied),
    ),
    **dict.fromkeys(("FloorMod", "LogicalAnd", "LogicalOr", "Pow"), _Operation(op_shapes.broadcast, 2, _not_folded)),
    **dict.fromkeys(("Equal", "NotEqual"), _Operation(op_shapes.equality, 2, _subtracted)),
    "SelectV2": _Operation(op_shapes.broadcast, 3, _not_folded),
    "MatMul": _Operation(op_shapes.matmul, 2, _matrices),
    **dict.fromkeys(("BatchMatMul", "BatchMatMulV2"), _Operation(op_shapes.batch_matmul, 2, _matrices)),
    "BiasAdd": _Operation(op_shapes.bias, 2, _added),
    "Conv2D": _Operation(op_shapes.convolution, 2, _matrices),
    **dict.fromkeys(("GatherV2", "Gather", "ResourceGather"), _Operation(op_shapes.gather, 2)),
    **dict.fromkeys(("All", "Any", "Max", "Mean", "Min", "Prod", "Sum"), _Operation(op_shapes.reduction, 2, _reduced)),
    "Reshape": _Operation(op_shapes.reshape, 2, _reshaped),
    "Squeeze": _Operation(op_shapes.unfollowed, 1, _expanded),
    "ExpandDims": _Operation(op_shapes.expanded, 2, _expanded),
    "EnsureShape": _Operation(op_shapes.ensured),
    "ConcatV2": _Operation(op_shapes.concatenated, 2),
    "Pack": _Operation(op_shapes.packed, 1, _packed),
    "AddN": _Operation(op_shapes.summed, 1, _added),
    **dict.fromkeys(STATEFUL, _Operation(op_shapes.assignment, 2)),
}
