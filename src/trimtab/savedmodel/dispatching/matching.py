"""Whether a trace takes the arguments of a call, and the first thing about them that it does not take.

Source: `_concrete_function_callable_with` in tensorflow/python/saved_model/function_deserialization.py, with
`flatten_up_to` of util/nest_util.py and `is_compatible_with` of the specs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from trimtab.savedmodel.dispatching.graph_conversion import graph_tensor
from trimtab.savedmodel.dispatching.literals import equals
from trimtab.savedmodel.dispatching.outcome import Mismatch
from trimtab.savedmodel.dispatching.refusing import SOFT, Raises
from trimtab.savedmodel.dispatching.shapes import generalized
from trimtab.savedmodel.dispatching.values import Opaque, RaggedValue, SparseValue, TensorValue, Value
from trimtab.savedmodel.dispatching.wording import value_text
from trimtab.savedmodel.shapes import compatible
from trimtab.savedmodel.structure import (
    SPECS,
    DTypeLiteral,
    NamedTuple,
    OtherTypeSpec,
    RaggedTensorSpec,
    ShapeLiteral,
    SparseTensorSpec,
    TensorSpec,
    children,
    shape_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.savedmodel.dispatching.binding import Bound
    from trimtab.savedmodel.graph_protos import Shape
    from trimtab.savedmodel.structure import Structure

Expected: TypeAlias = "tuple[tuple[Structure, ...], dict[str, Structure]]"
"""What a trace takes: by position, and by keyword."""


class Matcher:
    """The arguments of one call, tried against trace after trace. Conversions are made once for each dtype."""

    def __init__(self, bound: Bound) -> None:
        self.bound = bound
        self.steps = 0
        self._named_for_plain = False
        self._made: dict[tuple[int, str], tuple[Value, TensorValue | Raises]] = {}  # the value, so that its id stays

    def mismatch(self, expected: Expected, *, allow_conversion: bool) -> Mismatch | None:
        """The first difference, or None when the trace takes the call. Raises where TensorFlow does."""
        args, kwargs = expected
        self._named_for_plain = False
        found = self._structure(expected)
        if found is not None:
            return found
        if self._named_for_plain:
            raise Raises("KeyError", "0")
        pairs = [(path, each, value) for each, (path, value) in zip(args, self.bound.positional, strict=True)]
        pairs += [(key, kwargs[key], self.bound.keywords[key]) for key in sorted(kwargs)]
        for path, each, value in pairs:
            for place, leaf, own in paired(path, each, value):
                self.steps += 1
                found = self.leaf(place, leaf, own, allow_conversion=allow_conversion)
                if found is not None:
                    return found
        return None

    def converted(self, value: Value, hint: str) -> TensorValue:
        """The tensor that the second pass makes of a value."""
        key = (id(value), hint)
        if key not in self._made:
            try:
                self._made[key] = value, graph_tensor(value, hint=hint)
            except Raises as error:
                self._made[key] = value, error
        made = self._made[key][1]
        if isinstance(made, Raises):
            raise made
        return made

    def _structure(self, expected: Expected) -> Mismatch | None:
        """All containers are compared before any leaf."""
        args, kwargs = expected
        if len(self.bound.positional) != len(args):
            got = f"{len(self.bound.positional)}"
            return Mismatch("(positional arguments)", "structure", f"{len(args)} positional arguments", got)
        for each, (path, value) in zip(args, self.bound.positional, strict=True):
            found = self._shallow(path, each, value)
            if found is not None:
                return found
        if set(kwargs) != set(self.bound.keywords):
            return keys_mismatch("(keyword arguments)", kwargs, self.bound.keywords)
        for key in sorted(kwargs):
            found = self._shallow(key, kwargs[key], self.bound.keywords[key])
            if found is not None:
                return found
        return None

    def _shallow(self, path: str, expected: Structure, value: Value) -> Mismatch | None:
        self.steps += 1
        if not isinstance(expected, list | tuple | dict | NamedTuple):
            return None
        if not nests_alike(expected, value):
            return Mismatch(path, "structure", kind_text(expected), kind_text(value))
        if isinstance(expected, dict):
            if isinstance(value, dict) and set(value) != set(expected):
                return keys_mismatch(path, expected, value)
        elif len(items_of(expected)) != len(items_of(value)):
            return Mismatch(path, "structure", kind_text(expected), kind_text(value))
        elif expected and isinstance(expected, tuple) and isinstance(value, NamedTuple):
            self._named_for_plain = True  # passes the comparison, and then TensorFlow looks up positions by field name
        for (name, each), (_, own) in zip(named_items(path, expected), named_items(path, value), strict=True):
            found = self._shallow(name, each, own)
            if found is not None:
                return found
        return None

    def leaf(self, path: str, expected: Structure, value: Value, *, allow_conversion: bool) -> Mismatch | None:
        """How a leaf differs from what is expected at its place, or None. Raises where TensorFlow does."""
        if isinstance(expected, TensorSpec):
            return self._tensor(path, expected, value, allow_conversion=allow_conversion)
        if isinstance(expected, RaggedTensorSpec | SparseTensorSpec | OtherTypeSpec):
            return _composite(path, expected, value)
        if isinstance(value, TensorValue):
            return Mismatch(path, "type", f"the Python value {_literal(expected)}", f"a tensor, {value}")
        if equals(value, expected):
            return None
        return Mismatch(path, "literal", _literal(expected), describe(value))

    def _tensor(self, path: str, spec: TensorSpec, value: Value, *, allow_conversion: bool) -> Mismatch | None:
        if isinstance(value, TensorValue):
            own = value
        elif not allow_conversion:
            return Mismatch(path, "type", str(spec), describe(value))
        else:
            try:
                own = self.converted(value, spec.dtype)
            except Raises as error:
                if error.tensorflow not in SOFT:
                    raise
                return Mismatch(path, "conversion", str(spec), describe(value))
        got = str(own) if own is value else f"{own} made of {describe(value)}"
        if own.dtype != spec.dtype:
            return Mismatch(path, "dtype", str(spec), got)
        return shape_mismatch(path, spec.shape, own.shape, str(spec), got)


def paired(path: str, expected: Structure, value: Value) -> Iterator[tuple[str, Structure, Value]]:
    """The leaves of what is expected, in TensorFlow's order, each with its path and the argument at its place."""
    if children(expected) is None:
        yield path, expected, value
        return
    for (name, each), (_, own) in zip(named_items(path, expected), named_items(path, value), strict=True):
        yield from paired(name, each, own)


def describe(value: Value) -> str:
    """An argument in a few words."""
    if isinstance(value, TensorValue | RaggedValue | SparseValue):
        return f"{'variable ' if getattr(value, 'source', '') == 'variable' else ''}{value}"
    if isinstance(value, list | tuple | dict | NamedTuple):
        return kind_text(value)
    text = value_text(value)
    return f"{type(value).__name__} {text}" if not isinstance(value, Opaque) and value is not None else text


def kind_text(value: object) -> str:
    """A container by its kind and size; a leaf by what it is."""
    if isinstance(value, NamedTuple):
        return f"named tuple {value.type_name}({', '.join(name for name, _ in value.fields)})"
    if isinstance(value, dict):
        return f"dict with {'no keys' if not value else 'the keys ' + ', '.join(sorted(map(repr, value)))[:200]}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__} of {len(value)}"
    if isinstance(value, SPECS):
        return str(value)
    return describe(value)  # type: ignore[arg-type]  # what is left of a structure is a value too


def nests_alike(expected: Structure, value: Value) -> bool:
    """Whether two containers are of kinds that TensorFlow takes for the same; a named tuple passes for a tuple."""
    if isinstance(expected, NamedTuple):
        if not isinstance(value, NamedTuple) or value.type_name != expected.type_name:
            return False
        return [name for name, _ in value.fields] == [name for name, _ in expected.fields]
    if isinstance(expected, tuple):
        return isinstance(value, tuple | NamedTuple)
    return isinstance(value, list if isinstance(expected, list) else dict)


def items_of(value: Any) -> Any:
    """What a sequence or a named tuple holds."""
    return value.fields if isinstance(value, NamedTuple) else value


def named_items(path: str, value: Any) -> list[tuple[str, Any]]:
    """What a container holds, by path, in TensorFlow's order."""
    if isinstance(value, NamedTuple):
        return [(f"{path}.{name}", item) for name, item in value.fields]
    if isinstance(value, dict):
        return [(f"{path}[{key!r}]", value[key]) for key in sorted(value)]
    return [(f"{path}[{at}]", item) for at, item in enumerate(value)]


def keys_mismatch(path: str, expected: dict[str, Any], got: dict[Any, Any]) -> Mismatch:
    """The difference between the keys of two dicts."""
    return Mismatch(path, "keyword", _key_list(expected), _key_list(got))


def _key_list(keys: dict[Any, Any]) -> str:
    return f"the keys {', '.join(sorted(map(repr, keys)))[:200]}" if keys else "no keys"


def shape_mismatch(path: str, expected: Shape, got: Shape, spec: str, value: str) -> Mismatch | None:
    """How a shape differs from one that is expected, or None when some tensor has both."""
    if compatible(expected, got):
        return None
    ranks = len(expected or ()), len(got or ())
    return Mismatch(path, "rank" if ranks[0] != ranks[1] else "dimension", spec, value)


def _composite(path: str, spec: RaggedTensorSpec | SparseTensorSpec | OtherTypeSpec, value: Value) -> Mismatch | None:
    """A composite spec takes a value of its class with equal state and compatible shapes.

    Of a value of another kind TensorFlow makes a spec first, and raises where there is none.
    """
    if isinstance(spec, OtherTypeSpec):
        return _other(path, spec, value)
    own = spec_of(value)
    if own is None:
        _check_converts(value)
        return Mismatch(path, "type", str(spec), describe(value))
    if isinstance(spec, RaggedTensorSpec) and spec.ragged_rank == 0 and isinstance(own, TensorSpec):
        own = RaggedTensorSpec(own.dtype, own.shape, 0, spec.row_splits_dtype)
    if type(own) is not type(spec):
        return Mismatch(path, "type", str(spec), describe(value))
    if own.dtype != spec.dtype:
        return Mismatch(path, "dtype", str(spec), str(own))
    if isinstance(spec, RaggedTensorSpec) and isinstance(own, RaggedTensorSpec):
        if own.row_splits_dtype != spec.row_splits_dtype:
            return Mismatch(path, "dtype", str(spec), str(own))
        if own.ragged_rank != spec.ragged_rank:
            return Mismatch(path, "rank", str(spec), str(own))
    return shape_mismatch(path, spec.shape, own.shape, str(spec), str(own))


def _other(path: str, spec: OtherTypeSpec, value: Value) -> Mismatch | None:
    if spec.class_name == "VariableSpec":
        return _variable(path, spec, value)
    if spec.class_name == "NoneTensorSpec":
        return None if value is None else Mismatch(path, "type", "None", describe(value))
    if value == spec:
        return None
    if spec_of(value) is None:
        _check_converts(value)
    return Mismatch(path, "type", str(spec), describe(value))


def _variable(path: str, spec: OtherTypeSpec, value: Value) -> Mismatch | None:
    """A variable's spec takes variables only, and they must be trainable alike."""
    match spec.state:
        case (ShapeLiteral(shape=shape), DTypeLiteral(dtype=dtype), trainable, *_):
            pass
        case _:
            return Mismatch(path, "type", str(spec), describe(value))
    expected = f"variable {dtype} {shape_text(shape)}"
    if not isinstance(value, TensorValue) or value.source != "variable":
        return Mismatch(path, "type", expected, describe(value))
    if value.dtype != dtype:
        return Mismatch(path, "dtype", expected, describe(value))
    if value.trainable != trainable:
        return Mismatch(path, "type", f"{expected}, trainable: {trainable}", f"trainable: {value.trainable}")
    return shape_mismatch(path, shape, value.shape, expected, describe(value))


def spec_of(value: Value) -> TensorSpec | RaggedTensorSpec | SparseTensorSpec | None:
    """The spec of a tensor or composite. A list of such has the spec of one value that holds them all."""
    if isinstance(value, TensorValue):
        return TensorSpec(value.dtype, value.shape)
    if isinstance(value, RaggedValue):
        return RaggedTensorSpec(value.dtype, value.shape, value.ragged_rank, value.row_splits_dtype)
    if isinstance(value, SparseValue):
        return SparseTensorSpec(value.dtype, value.shape)
    if not isinstance(value, list) or not value:
        return None
    specs = [spec_of(item) for item in value]
    first = specs[0]
    if first is None or any(each is None or _sort(each) != _sort(first) for each in specs):
        return None
    shape = first.shape
    for each in specs[1:]:
        shape = generalized(shape, each.shape) if each is not None else None
    whole = None if shape is None else (len(value), *shape)
    if isinstance(first, RaggedTensorSpec):
        return RaggedTensorSpec(first.dtype, whole, first.ragged_rank + 1, first.row_splits_dtype)
    return (
        SparseTensorSpec(first.dtype, whole) if isinstance(first, SparseTensorSpec) else TensorSpec(first.dtype, whole)
    )


def _sort(spec: TensorSpec | RaggedTensorSpec | SparseTensorSpec) -> tuple[object, ...]:
    """What specs must have in common besides shapes, to have a spec that takes the values of both."""
    if isinstance(spec, RaggedTensorSpec):
        return RaggedTensorSpec, spec.dtype, spec.ragged_rank, spec.row_splits_dtype
    return type(spec), spec.dtype


def _check_converts(value: Value) -> None:
    """Raise where TensorFlow finds no type spec for a value: it is no tensor and none can be made of it."""
    if _is_none(value) or isinstance(value, DTypeLiteral | OtherTypeSpec):
        return
    try:
        graph_tensor(value)
    except Raises as error:
        if error.tensorflow not in SOFT:
            raise
        text = f"Could not build a TypeSpec for {value_text(value)} of unsupported type {type(value)}."
        raise Raises("TypeError", text) from None


def _is_none(value: Value) -> bool:
    """None has a spec of its own, and so has a list of nothing else."""
    return value is None or (isinstance(value, list) and bool(value) and all(map(_is_none, value)))


def _literal(expected: Structure) -> str:
    return value_text(expected)
