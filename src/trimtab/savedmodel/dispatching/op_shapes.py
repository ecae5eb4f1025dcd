"""What running an operation does to shapes, and which inputs its kernel refuses: the operations that models lean on.

An operation that is not here gives what nothing is known of, and refuses nothing. A rule raises `Refused` only where
the kernel on a CPU is certain to: source of each are the kernels in tensorflow/core/kernels, release 2.21.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct

from trimtab.savedmodel.constant_values import constant_value
from trimtab.savedmodel.dispatching.shapes import merged
from trimtab.savedmodel.shapes import compatible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from trimtab.savedmodel.graph import NodeDef
    from trimtab.savedmodel.graph_protos import Shape, TensorProto


class Failure(Struct, frozen=True):
    """That a node is certain to refuse its inputs, if it runs. of_reshape: it is one that only gives another shape."""

    node: str
    problem: str
    of_reshape: bool = False


class Known(Struct, frozen=True):
    """What is known of a tensor while a function runs. Of a variable's handle: of what it holds.

    shape: what it has. believed: what TensorFlow's optimizer takes it to have, from what the function declares.
    before: what is believed of the tensors of which it is a reshaped one.
    data: the elements of a small tensor of integers or strings, in row-major order.
    folded: it is computed of constants alone. any_zero, all_zero: of such a one, whether an element of it, or every
    one, may be zero. failure: it cannot be had, because a node before it fails.
    """

    shape: Shape = None
    believed: Shape = None
    before: tuple[Shape, ...] = ()
    data: tuple[int | bytes, ...] | None = None
    folded: bool = False
    any_zero: bool = True
    all_zero: bool = True
    failure: Failure | None = None

    @property
    def trusted(self) -> bool:
        """Whether the optimizer knows the shape, and rightly so.

        A size that it does not know it may still take from any operation that needs it, also from one that fails.
        """
        return self.believed is not None and None not in self.believed and compatible(self.shape, self.believed)

    @property
    def integers(self) -> tuple[int, ...] | None:
        """The data, when all are integers."""
        found = tuple(each for each in self.data or () if isinstance(each, int))
        return None if self.data is None or len(found) < len(self.data) else found

    @property
    def size(self) -> int | None:
        """The number of elements."""
        return None if self.shape is None or None in self.shape else prod(size or 0 for size in self.shape)


NOTHING = Known()

Rule: TypeAlias = "Callable[[NodeDef, list[Known]], Known]"


class Refused(Exception):  # noqa: N818  it reports what TensorFlow does; it is no error of ours
    """A kernel raises InvalidArgumentError, with this text."""


def elements(data: Any, limit: int = 1024) -> tuple[int | bytes, ...] | None:
    """The elements of nested lists or tuples, when all are integers or strings and there are at most `limit`."""
    found: list[int | bytes] = []
    waiting = [data]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list | tuple):
            waiting += reversed(item)
        elif isinstance(item, str):
            found.append(item.encode("utf-8", "surrogatepass"))
        elif isinstance(item, int | bytes) and not isinstance(item, bool):
            found.append(item)
        else:
            return None
        if len(found) + len(waiting) > limit:
            return None
    return tuple(found)


def same(_: NodeDef, inputs: list[Known]) -> Known:
    """The input as it is."""
    each = inputs[0]
    return Known(each.shape, data=each.data, folded=each.folded, any_zero=each.any_zero, all_zero=each.all_zero)


def unfollowed(_: NodeDef, __: list[Known]) -> Known:
    """An operation that computes something of its inputs, whatever it is."""
    return NOTHING


def elementwise(_: NodeDef, inputs: list[Known]) -> Known:
    """Another number in each place."""
    return Known(inputs[0].shape)


def constant(node: NodeDef, _: list[Known]) -> Known:
    """A constant, with its elements when they are few."""
    value = node.attr("value")
    if value is None or value.tensor is None:
        return Known(folded=True)
    tensor = value.tensor
    small = constant_value(tensor, 64)
    few = None if small is None else elements(small)
    return Known(
        tensor.tensor_shape.shape,
        data=few,
        folded=True,
        any_zero=small is None or not all(_leaves(small)),
        all_zero=not (any(_leaves(small)) if small is not None else _some_nonzero(tensor)),
    )


def declared(node: NodeDef, _: list[Known]) -> Known:
    """A variable of a TF1 graph. Of the oldest kind, no dimensions stand for an unknown shape."""
    value = node.attr("shape")
    if value is None or value.shape is None or (node.op == "Variable" and not value.shape.dim):
        return NOTHING
    return Known(value.shape.shape)


def broadcast(_: NodeDef, inputs: list[Known]) -> Known:
    """Inputs that are repeated along dimensions of size 1 until they have one shape."""
    shape: Shape = ()
    for each in inputs:
        if shape is None or each.shape is None:
            return NOTHING
        shape = _broadcast(shape, each.shape)
    return Known(shape)


def equality(node: NodeDef, inputs: list[Known]) -> Known:
    """As `broadcast`, unless the node is told to answer False for shapes that do not fit."""
    lenient = node.attr("incompatible_shape_error")
    return NOTHING if lenient is not None and lenient.b is False else broadcast(node, inputs)


def matmul(node: NodeDef, inputs: list[Known]) -> Known:
    """The product of two matrices."""
    one, other = inputs[0].shape, inputs[1].shape
    if one is None or other is None:
        return NOTHING
    if len(one) != 2 or len(other) != 2:
        raise Refused(f"In[0] and In[1] must be matrices: {list(one)} vs. {list(other)}")
    one = one[::-1] if flag(node, "transpose_a") else one
    other = other[::-1] if flag(node, "transpose_b") else other
    if one[1] is not None and other[0] is not None and one[1] != other[0]:
        raise Refused(f"Matrix size-incompatible: In[0]: {list(one)}, In[1]: {list(other)}")
    return Known((one[0], other[1]))


def batch_matmul(node: NodeDef, inputs: list[Known]) -> Known:
    """Products of matrices that lie in tensors of any rank."""
    one, other = inputs[0].shape, inputs[1].shape
    if one is None or other is None:
        return NOTHING
    if len(one) < 2 or len(other) < 2:
        raise Refused(f"In[0] and In[1] must be at least matrices: {list(one)} vs. {list(other)}")
    batch = _broadcast(one[:-2], other[:-2])
    last, first = (one[-2:], other[-2:])
    last = last[::-1] if flag(node, "adj_x") else last
    first = first[::-1] if flag(node, "adj_y") else first
    if last[1] is not None and first[0] is not None and last[1] != first[0]:
        raise Refused(f"Matrix size-incompatible: In[0]: {list(one)}, In[1]: {list(other)}")
    return Known((*batch, last[0], first[1]))


def bias(node: NodeDef, inputs: list[Known]) -> Known:
    """A vector added along the last dimension."""
    value, vector = inputs[0].shape, inputs[1].shape
    layout = node.attr("data_format")
    if value is None or vector is None or (layout is not None and layout.s not in (None, b"NHWC")):
        return NOTHING
    if len(value) < 2 or len(vector) != 1:
        raise Refused(f"The input must be at least 2D and the biases 1D: {list(value)} vs. {list(vector)}")
    if value[-1] is not None and vector[0] is not None and value[-1] != vector[0]:
        raise Refused(f"Must provide as many biases as the last dimension: {list(vector)} vs. {list(value)}")
    return Known(value)


def assignment(node: NodeDef, inputs: list[Known]) -> Known:
    """A variable changed by as much as it holds, or set to it where the node is told to look."""
    if node.op == "AssignVariableOp" and not flag(node, "validate_shape"):
        return NOTHING
    variable, value = inputs[0].shape, inputs[1].shape
    if inputs[0].size is not None and inputs[1].size is not None and variable != value:
        sides = f"variable with shape {list(variable or ())} using a Tensor with shape {list(value or ())}"
        raise Refused(f"Cannot update {sides}, shapes must be equal.")
    return NOTHING


def gather(node: NodeDef, inputs: list[Known]) -> Known:
    """Slices by their positions along an axis."""
    params, indices = inputs[0].shape, inputs[1]
    axes = inputs[2].integers if len(inputs) > 2 else (0,)
    batch = node.attr("batch_dims")
    if params is None or not axes or (batch is not None and batch.i):
        return NOTHING
    if not -max(len(params), 1) <= axes[0] < max(len(params), 1) or not params:
        raise Refused(f"params must be at least {axes[0] + 1} dimensional: {list(params)}")
    axis = axes[0] % len(params)
    limit = params[axis]
    for each in indices.integers or () if limit is not None else ():
        if limit is not None and not 0 <= each < limit:
            raise Refused(f"indices = {each} is not in [0, {limit})")
    if indices.shape is None:
        return NOTHING
    return Known((*params[:axis], *indices.shape, *params[axis + 1 :]))


def reduction(node: NodeDef, inputs: list[Known]) -> Known:
    """One number for all those along some axes."""
    shape, axes = inputs[0].shape, inputs[1].integers
    if shape is None or axes is None:
        return NOTHING
    for axis in axes:
        if not -len(shape) <= axis < len(shape):
            raise Refused(f"Invalid reduction dimension ({axis} for input with {len(shape)} dimension(s)")
    gone = {axis % len(shape) for axis in axes}
    if flag(node, "keep_dims"):
        return Known(tuple(1 if at in gone else size for at, size in enumerate(shape)))
    return Known(tuple(size for at, size in enumerate(shape) if at not in gone))


def reshape(_: NodeDef, inputs: list[Known]) -> Known:
    """The same elements in another shape. What becomes of an input of unknown shape is not known either."""
    wanted, total = inputs[1].integers, inputs[0].size
    if wanted is None or inputs[0].shape is None:
        return NOTHING
    known = prod(size for size in wanted if size != -1)
    if total is None:
        return Known(tuple(None if size == -1 else size for size in wanted))
    if total != known if -1 not in wanted else known and total % known:
        raise Refused(f"Input to reshape is a tensor with {total} values, but the requested shape is {list(wanted)}")
    rest = total // known if known else None
    return Known(tuple(rest if size == -1 else size for size in wanted), data=inputs[0].data)


def expanded(_: NodeDef, inputs: list[Known]) -> Known:
    """One more dimension, of size 1."""
    shape, axes = inputs[0].shape, inputs[1].integers
    if shape is None or axes is None or len(axes) != 1:
        return NOTHING
    if not -len(shape) - 1 <= axes[0] <= len(shape):
        raise Refused(f"Tried to expand dim index {axes[0]} for tensor with {len(shape)} dimensions.")
    at = axes[0] % (len(shape) + 1)
    return Known((*shape[:at], 1, *shape[at:]), data=inputs[0].data)


def concatenated(_: NodeDef, inputs: list[Known]) -> Known:
    """Tensors one behind the other along an axis, alike in all others."""
    axes = inputs[-1].integers
    shapes = [each.shape for each in inputs[:-1] if each.shape is not None]
    if not axes or len(shapes) < len(inputs) - 1:
        return NOTHING
    if len({len(shape) for shape in shapes}) > 1:
        raise Refused(f"Ranks of all input tensors should match: {_listed(shapes)}")
    rank = len(shapes[0])
    if not -rank <= axes[0] < rank:
        return NOTHING
    axis = axes[0] % rank
    whole: Shape = tuple(None if at == axis else size for at, size in enumerate(shapes[0]))
    for shape in shapes[1:]:
        rest = tuple(None if at == axis else size for at, size in enumerate(shape))
        if not compatible(whole, rest):
            raise Refused(f"Dimensions of inputs should match: {_listed(shapes)}")
        whole = merged(whole, rest)
    sizes = [shape[axis] for shape in shapes]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    return Known(tuple(total if at == axis else size for at, size in enumerate(whole or ())))


def packed(node: NodeDef, inputs: list[Known]) -> Known:
    """Tensors of one shape along a new axis."""
    shape = _one_shape(inputs)
    place = node.attr("axis")
    at = place.i or 0 if place is not None else 0
    if shape is None or not -len(shape) - 1 <= at <= len(shape):
        return NOTHING
    at %= len(shape) + 1
    return Known((*shape[:at], len(inputs), *shape[at:]))


def summed(_: NodeDef, inputs: list[Known]) -> Known:
    """The sum of tensors of one shape."""
    return Known(_one_shape(inputs))


def ensured(node: NodeDef, inputs: list[Known]) -> Known:
    """The input, if it has the shape that the node says."""
    value = node.attr("shape")
    if value is None or value.shape is None:
        return Known(inputs[0].shape)
    wanted = value.shape.shape
    if not compatible(wanted, inputs[0].shape):
        raise Refused(f"Shape of tensor {list(inputs[0].shape or ())} is not compatible with expected shape {wanted}.")
    return Known(merged(wanted, inputs[0].shape), data=inputs[0].data)


def convolution(node: NodeDef, inputs: list[Known]) -> Known:
    """Filters moved over images. Of images of another rank than 4 nothing is said: TensorFlow itself ends at those."""
    images, filters = inputs[0].shape, inputs[1].shape
    layout = node.attr("data_format")
    if images is None or filters is None or len(images) != 4 or len(filters) != 4:
        return NOTHING
    if layout is not None and layout.s not in (None, b"NHWC"):
        return NOTHING
    depth, of_filter = images[3], filters[2]
    if depth is not None and of_filter and depth % of_filter:
        raise Refused(f"input depth must be evenly divisible by filter depth: {depth} vs {of_filter}")
    return Known((images[0], None, None, filters[3]))


def flag(node: NodeDef, name: str) -> bool:
    """Whether an attribute is set to true."""
    value = node.attr(name)
    return value is not None and bool(value.b)


def _broadcast(one: tuple[int | None, ...], other: tuple[int | None, ...]) -> tuple[int | None, ...]:
    rank = max(len(one), len(other))
    sizes: list[int | None] = []
    for a, b in zip((1,) * (rank - len(one)) + one, (1,) * (rank - len(other)) + other, strict=True):
        if a is not None and b is not None and a != b and 1 not in (a, b):
            raise Refused(f"Incompatible shapes: {list(one)} vs. {list(other)}")
        sizes.append(_repeated(a, b))
    return tuple(sizes)


def _repeated(a: int | None, b: int | None) -> int | None:
    """The size that comes of two that fit; of an unknown one and one above 1, the latter."""
    if a == 1 or b in (1, a):
        return b if a == 1 else a
    return next((size for size in (a, b) if size is not None and size > 1), None)


def _one_shape(inputs: list[Known]) -> Shape:
    shape: Shape = None
    for each in inputs:
        if not compatible(shape, each.shape):
            raise Refused(f"Shapes of all inputs must match: {_listed(each.shape for each in inputs)}")
        shape = merged(shape, each.shape)
    return shape


def _listed(shapes: Iterable[Shape]) -> str:
    return " vs. ".join(str(list(shape or ())) for shape in shapes)


def _leaves(value: Any) -> Iterator[Any]:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, tuple):
            waiting += item
        else:
            yield item


def _some_nonzero(tensor: TensorProto) -> bool:
    """Whether a number in it is neither 0 nor -0."""
    if tensor.tensor_content:
        return bool(tensor.tensor_content.strip(b"\x00\x80"))
    return any(map(any, (tensor.float_val, tensor.double_val, tensor.int_val, tensor.int64_val)))
