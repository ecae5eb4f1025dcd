"""What a call passes, as far as TensorFlow looks: tensors by dtype and shape, containers, Python values as they are.

A value is made once, from whatever the caller has (NumPy arrays, TensorFlow's own objects, specs of ours), without
importing NumPy or TensorFlow: an object of theirs is known by what it answers to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from msgspec import Struct

from trimtab.errors import ConversionError
from trimtab.savedmodel.dispatching.refusing import Raises
from trimtab.savedmodel.dtypes import dtype_code
from trimtab.savedmodel.structure import (
    MAX_DEPTH,
    DTypeLiteral,
    NamedTuple,
    OtherTypeSpec,
    RaggedTensorSpec,
    ShapeLiteral,
    SparseTensorSpec,
    TensorSpec,
    components,
    shape_text,
)

if TYPE_CHECKING:
    from trimtab.savedmodel.graph_protos import Shape

MAX_VALUES = 1 << 15
"""How many values a call may hold, counting those inside containers."""

MAX_DATA = 1024
"""How many elements of an array are kept as data; a larger one is known by dtype and shape only."""

Source: TypeAlias = Literal["tensor", "numpy", "scalar", "variable", "symbolic", "converted"]
"""Where a tensor comes from: an eager tensor, a NumPy array, a NumPy scalar, a variable, a tensor inside a graph;
converted: TensorFlow makes it of a Python value, or of an array of another dtype, while it casts an argument."""


class TensorValue(Struct, frozen=True):
    """A dense tensor, or what TensorFlow takes for one: a NumPy array or scalar, a variable.

    dtype: by TensorFlow's name. shape: fully known unless symbolic.
    data: the elements as nested lists, or None where they are not known or too many.
    trainable: of a variable.
    """

    dtype: str
    shape: Shape
    data: Any = None
    source: Source = "tensor"
    trainable: bool = True

    def __str__(self) -> str:
        return f"{self.dtype} {shape_text(self.shape)}"


class RaggedValue(Struct, frozen=True):
    """A ragged tensor: the static facts that its type spec would hold.

    symbolic: inside a graph, where the sizes of its components are not known.
    inner: the static shape of the flat values, where it is known.
    """

    dtype: str
    shape: Shape
    ragged_rank: int = 1
    row_splits_dtype: str = "int64"
    symbolic: bool = False
    inner: Shape = None

    def __str__(self) -> str:
        return str(RaggedTensorSpec(self.dtype, self.shape, self.ragged_rank, self.row_splits_dtype))


class SparseValue(Struct, frozen=True):
    """A sparse tensor: its dtype and its static dense shape."""

    dtype: str
    shape: Shape
    symbolic: bool = False

    def __str__(self) -> str:
        return str(SparseTensorSpec(self.dtype, self.shape))


class Opaque(Struct, frozen=True):
    """A Python object that is neither a tensor nor equal to any literal a SavedModel can hold.

    real: whether it is a real number of a kind of its own, such as a `Fraction`; numbers can be made of it.
    """

    type_name: str
    text: str = ""
    real: bool = False

    def __str__(self) -> str:
        return self.text or f"a {self.type_name}"


Tensor: TypeAlias = TensorValue | RaggedValue | SparseValue

Value: TypeAlias = (
    "Tensor | OtherTypeSpec | Opaque | NamedTuple | ShapeLiteral | DTypeLiteral | range | bool | int | float | complex"
    " | str | bytes | list[Value] | tuple[Value, ...] | dict[Any, Value] | None"
)
"""An argument. The fields of a NamedTuple are values too. A spec of another class stands for a value of it."""

TENSORS = (TensorValue, RaggedValue, SparseValue)

_OURS = (*TENSORS, OtherTypeSpec, Opaque, ShapeLiteral, DTypeLiteral, range, bool, int, float, complex, str, bytes)


def value_of(thing: Any) -> Value:
    """What a Python object is to TensorFlow, when it is passed to a restored function.

    thing: a Python literal; a list, tuple, named tuple or mapping; a NumPy array or scalar, or anything that has
    `__array__`; a TensorFlow tensor, variable, composite or spec; a spec of ours, which stands for a tensor inside a
    graph; or a value already made.
    ConversionError when it nests too deep, holds too much, or is an array of a dtype that TensorFlow has not.
    """
    return _Reading().value(thing, 0)


class _Reading:
    """One conversion, counting what it makes."""

    def __init__(self) -> None:
        self.made = 0

    def value(self, thing: Any, depth: int) -> Value:
        self._count(depth, len(thing) if isinstance(thing, range) else 1)
        kind = type(thing)
        if thing is None or kind in _OURS:
            return thing  # type: ignore[no-any-return]  # mypy does not narrow by membership of the type
        if isinstance(thing, NamedTuple):
            return NamedTuple(thing.type_name, tuple((key, self._field(item, depth)) for key, item in thing.fields))
        if isinstance(thing, TensorSpec | RaggedTensorSpec | SparseTensorSpec):
            return spec_value(thing)
        if isinstance(thing, list):
            return [self.value(item, depth + 1) for item in thing]
        if isinstance(thing, tuple):
            names = getattr(thing, "_fields", None)
            if isinstance(names, tuple) and all(isinstance(name, str) for name in names):
                items = zip(names, thing, strict=False)
                return NamedTuple(kind.__name__, tuple((name, self._field(item, depth)) for name, item in items))
            return tuple(self.value(item, depth + 1) for item in thing)
        if hasattr(thing, "keys") and hasattr(thing, "__getitem__"):
            return {key: self.value(thing[key], depth + 1) for key in thing.keys()}  # noqa: SIM118  any mapping
        return _foreign(thing)

    def _field(self, item: Any, depth: int) -> Any:
        return self.value(item, depth + 1)

    def _count(self, depth: int, values: int) -> None:
        self.made += values
        if depth > MAX_DEPTH or self.made > MAX_VALUES:
            raise ConversionError(
                "an argument that nests too deep" if depth > MAX_DEPTH else "arguments that hold too many values",
                expected=f"at most {MAX_DEPTH} levels" if depth > MAX_DEPTH else f"at most {MAX_VALUES} values",
                hint="Pass a NumPy array instead of nested lists: only its dtype and shape are looked at.",
            )


def spec_value(spec: TensorSpec | RaggedTensorSpec | SparseTensorSpec) -> Tensor:
    """The tensor inside a graph that a spec stands for. ArtifactError when it states an absurd ragged rank."""
    if isinstance(spec, RaggedTensorSpec):
        components(spec)
        return RaggedValue(spec.dtype, spec.shape, spec.ragged_rank, spec.row_splits_dtype, symbolic=True)
    if isinstance(spec, SparseTensorSpec):
        return SparseValue(spec.dtype, spec.shape, symbolic=True)
    return TensorValue(spec.dtype, spec.shape, source="symbolic")


def is_symbolic(value: Value) -> bool:
    """Whether there is a tensor of a graph in it, so that a call with it is made inside a graph."""
    if isinstance(value, TensorValue):
        return value.source == "symbolic"
    if isinstance(value, RaggedValue | SparseValue):
        return value.symbolic
    items: Any = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    if isinstance(value, NamedTuple):
        items = dict(_fields(value)).values()
    return any(is_symbolic(item) for item in items)


def traced(value: Value) -> Value:
    """A value as a placeholder of the graph in which the traces are tried: arrays are tensors, a range is a list.

    Raises the TypeError of TensorFlow for a dict whose keys have no order.
    """
    if isinstance(value, TensorValue):
        if value.source == "variable":
            return value
        return TensorValue(value.dtype, value.shape, source="symbolic")
    if isinstance(value, range):
        return list(value)
    if isinstance(value, list):
        return [traced(item) for item in value]
    if isinstance(value, tuple):
        return tuple(traced(item) for item in value)
    if isinstance(value, NamedTuple):
        fields: Any = tuple((name, traced(item)) for name, item in _fields(value))
        return NamedTuple(value.type_name, fields)
    if isinstance(value, dict):
        try:
            sorted(value)
        except TypeError as error:
            raise Raises("TypeError", str(error)) from None
        return {key: traced(item) for key, item in value.items()}
    return value


def _fields(value: NamedTuple) -> Any:
    """The fields of a named tuple that is an argument: they are values."""
    return value.fields


def _foreign(thing: Any) -> Value:
    """A value of NumPy or TensorFlow, known by its class's name and what it answers to; anything else is opaque."""
    name = type(thing).__name__
    if isinstance(thing, type):
        return Opaque("type", repr(thing)[:80])
    if name == "DType" and hasattr(thing, "as_datatype_enum"):
        return DTypeLiteral(str(thing.name))
    if name == "TensorShape" and hasattr(thing, "rank"):
        return ShapeLiteral(_shape(thing))
    if name in ("RaggedTensor", "RaggedTensorSpec") and hasattr(thing, "ragged_rank"):
        splits = thing.row_splits_dtype if name == "RaggedTensorSpec" else thing.row_splits.dtype
        symbolic = name == "RaggedTensorSpec" or not _is_eager(thing.row_splits)
        inner = None if name == "RaggedTensorSpec" else _shape(thing.flat_values.shape)
        return RaggedValue(thing.dtype.name, _shape(thing.shape), thing.ragged_rank, splits.name, symbolic, inner)
    if name in ("SparseTensor", "SparseTensorSpec") and hasattr(thing, "shape"):
        symbolic = name == "SparseTensorSpec" or not _is_eager(thing.values)
        return SparseValue(thing.dtype.name, _shape(thing.shape), symbolic)
    if hasattr(thing, "dtype") and hasattr(thing.dtype, "as_datatype_enum") and hasattr(thing, "shape"):
        return _tensorflow(thing)
    if hasattr(thing, "__array__"):
        return _array(thing)
    if isinstance(thing, int | float | complex | str | bytes):  # a subclass, such as numpy.str_
        return _plain(thing)
    import numbers

    return Opaque(name, repr(thing)[:80], isinstance(thing, numbers.Real))


def _tensorflow(thing: Any) -> TensorValue:
    dtype, shape = str(thing.dtype.base_dtype.name), _shape(thing.shape)
    if hasattr(thing, "assign") and hasattr(thing, "handle"):
        return TensorValue(dtype, shape, source="variable", trainable=bool(getattr(thing, "trainable", True)))
    if not _is_eager(thing):
        return TensorValue(dtype, shape, source="symbolic")
    if shape is None or _size(shape) > MAX_DATA or dtype in ("resource", "variant"):
        return TensorValue(dtype, shape)
    data = thing.numpy()
    return TensorValue(dtype, shape, data.tolist() if hasattr(data, "tolist") else data)


def _is_eager(thing: Any) -> bool:
    """A tensor of a graph has no `numpy`."""
    return hasattr(thing, "numpy")


def _array(thing: Any) -> Value:
    """A NumPy array or scalar, or what turns into one. TensorFlow leaves `numpy.str_` a string."""
    import numpy as np

    if isinstance(thing, np.str_):
        return str(thing)
    array = thing if isinstance(thing, np.ndarray | np.generic) else np.asarray(thing)
    dtype = _numpy_dtype(array.dtype.name, array.dtype.kind)
    data = array.tolist() if array.size <= MAX_DATA else None
    return TensorValue(dtype, tuple(array.shape), data, "scalar" if isinstance(thing, np.generic) else "numpy")


def _numpy_dtype(name: str, kind: str) -> str:
    """TensorFlow's name of a NumPy dtype."""
    if kind in "OSU":
        return "string"
    if dtype_code(name) is None:
        raise ConversionError(
            "an array of a dtype that TensorFlow has not",
            expected="a numeric, boolean or string dtype",
            got=name,
            hint="TensorFlow refuses it too. Convert it first, with `.astype(...)`.",
        )
    return name


def _plain(thing: Any) -> Value:
    """The literal that an instance of a subclass equals; bool and range have none."""
    bases: tuple[Any, ...] = (int, float, complex, str, bytes)
    made: Value = next(base(thing) for base in bases if isinstance(thing, base))
    return made


def _shape(thing: Any) -> Shape:
    """TensorFlow's shape as ours."""
    if thing.rank is None:
        return None
    return tuple(None if size is None else int(size) for size in thing.as_list())


def _size(shape: tuple[int | None, ...]) -> int:
    total = 1
    for size in shape:
        total *= size or 0
    return total
