"""How TensorFlow casts an argument to the constraint of its parameter: that of an `input_signature`, or of a trace.

Sources: tensorflow/core/function/trace_type/default_types.py; the `cast` of TensorSpec (framework/tensor.py) and of
composites (framework/type_spec.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trimtab.savedmodel.dispatching.eager_conversion import eager_tensor
from trimtab.savedmodel.dispatching.graph_conversion import graph_tensor
from trimtab.savedmodel.dispatching.literals import cast_literal
from trimtab.savedmodel.dispatching.refusing import Raises
from trimtab.savedmodel.dispatching.shapes import merged
from trimtab.savedmodel.dispatching.values import RaggedValue, SparseValue, TensorValue, Value
from trimtab.savedmodel.dispatching.wording import spec_text, trace_text, value_text
from trimtab.savedmodel.shapes import is_subtype
from trimtab.savedmodel.structure import (
    NamedTuple,
    OtherTypeSpec,
    RaggedTensorSpec,
    SparseTensorSpec,
    TensorSpec,
    components,
)

if TYPE_CHECKING:
    from trimtab.savedmodel.structure import Structure


def cast(constraint: Structure, value: Value, *, in_graph: bool) -> Value:
    """The value as its parameter's constraint has it: tensors made of what is none, everything else as it is.

    in_graph: whether the call is made inside a graph, where other rules of conversion hold.
    Raises what TensorFlow would; the class tells little, since binding reports them all as a TypeError.
    """
    match constraint:
        case TensorSpec():
            return _cast_tensor(constraint, value, in_graph=in_graph)
        case RaggedTensorSpec():
            return _cast_ragged(constraint, value, in_graph=in_graph)
        case SparseTensorSpec():
            return _cast_sparse(constraint, value)
        case OtherTypeSpec():
            return value
        case NamedTuple():
            return _cast_named(constraint, value, in_graph=in_graph)
        case dict():
            if not isinstance(value, dict):
                raise Raises("AssertionError", f"Can not cast {value_text(value)} to a Dict type.")
            if set(value) != set(constraint):
                text = f"{value_text(value)} has different keys with the TraceType {trace_text(constraint)}."
                raise Raises("AssertionError", text)
            return {key: cast(each, value[key], in_graph=in_graph) for key, each in constraint.items()}
        case list() | tuple():
            return _cast_sequence(constraint, value, in_graph=in_graph)
    return cast_literal(constraint, value, in_graph=in_graph)


def _cast_tensor(spec: TensorSpec, value: Value, *, in_graph: bool) -> TensorValue:
    if isinstance(value, TensorValue) and value.source in ("tensor", "symbolic"):
        made = value
    else:
        made = graph_tensor(value, spec.dtype) if in_graph else eager_tensor(value, spec.dtype)
        changed = not isinstance(value, TensorValue) or value.dtype != made.dtype
        data = value.data if isinstance(value, TensorValue) else value
        made = TensorValue(made.dtype, made.shape, data, "converted" if changed else "tensor")
    if made.dtype == spec.dtype:
        if is_subtype(made.shape, spec.shape):
            return made
        if is_subtype(spec.shape, made.shape):
            return TensorValue(made.dtype, merged(made.shape, spec.shape), made.data, made.source)
    own = spec_text(TensorSpec(made.dtype, made.shape, spec.name))
    raise Raises("TypeError", f"Can not cast {own} to {spec_text(spec)}")


def _cast_ragged(spec: RaggedTensorSpec, value: Value, *, in_graph: bool) -> Value:
    """Component by component: flat values, then row splits."""
    expected = components(spec)
    if not isinstance(value, RaggedValue):
        if len(expected) == 1:
            return _cast_tensor(expected[0], value, in_graph=in_graph)
        raise Raises("ValueError", "The two structures don't have the same nested structure.")
    own = ragged_components(value)
    if len(own) != len(expected):
        raise Raises("ValueError", "The two structures don't have the same number of elements.")
    for one, other in zip(expected, own, strict=True):
        _cast_tensor(one, other, in_graph=in_graph)
    return value


def _cast_sparse(spec: SparseTensorSpec, value: Value) -> Value:
    """Component by component, so that the static dense shape is not looked at, only its rank."""
    if not isinstance(value, SparseValue):
        raise Raises("AttributeError", f"{value_text(value)} has no attribute 'indices'")
    for one, other in zip(components(spec), sparse_components(value), strict=True):
        _cast_tensor(one, other, in_graph=False)
    return value


def ragged_components(value: RaggedValue) -> tuple[TensorValue, ...]:
    """The flat values and the row splits of a ragged tensor, as tensors."""
    specs = components(RaggedTensorSpec(value.dtype, value.shape, value.ragged_rank, value.row_splits_dtype))
    made = [TensorValue(each.dtype, each.shape) for each in specs]
    if made and value.inner is not None:
        made[0] = TensorValue(value.dtype, value.inner)
    return tuple(made)


def sparse_components(value: SparseValue) -> tuple[TensorValue, ...]:
    """The indices, values and dense shape of a sparse tensor, as tensors."""
    return tuple(TensorValue(each.dtype, each.shape) for each in components(SparseTensorSpec(value.dtype, value.shape)))


def _cast_named(constraint: NamedTuple, value: Value, *, in_graph: bool) -> Value:
    if not isinstance(value, NamedTuple):
        raise Raises("AssertionError", f"Cannot cast {value_text(value)} to type {constraint.type_name!r}.")
    names = [name for name, _ in constraint.fields]
    if {name for name, _ in value.fields} != set(names):
        text = f"{value_text(value)} has different attributes with the TraceType {trace_text(constraint)}"
        raise Raises("AssertionError", text)
    own: dict[str, Any] = dict(value.fields)
    made: Any = tuple((name, cast(each, own[name], in_graph=in_graph)) for name, each in constraint.fields)
    return NamedTuple(constraint.type_name, made)


def _cast_sequence(
    constraint: list[Structure] | tuple[Structure, ...], value: Value, *, in_graph: bool
) -> list[Value] | tuple[Value, ...]:
    """A list must be a list, a tuple a tuple; a named tuple is one too."""
    items: Any = value
    if isinstance(value, NamedTuple) and isinstance(constraint, tuple):
        items = tuple(item for _, item in value.fields)
    kind = list if isinstance(constraint, list) else tuple
    if not isinstance(items, kind):
        raise Raises("AssertionError", f"Can not cast {value_text(value)} to {kind.__name__} type.")
    if len(items) != len(constraint):
        raise Raises("AssertionError", f"Expected {value_text(value)} to have length of {len(constraint)}")
    made = [cast(each, item, in_graph=in_graph) for each, item in zip(constraint, items, strict=True)]
    return made if isinstance(constraint, list) else tuple(made)
