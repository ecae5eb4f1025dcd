"""When an argument equals a Python value of a trace or a default, by Python's `==` and that of TensorFlow's objects.

Sources: tensorflow/python/framework/{dtypes,tensor_shape}.py, ops/ragged/ragged_operators.py,
core/function/trace_type/default_types.py (Literal).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from trimtab.savedmodel.dispatching.refusing import Raises
from trimtab.savedmodel.dispatching.values import RaggedValue, TensorValue, Value
from trimtab.savedmodel.dispatching.wording import value_text
from trimtab.savedmodel.dtypes import dtype_code, dtype_name
from trimtab.savedmodel.graph_protos import TensorProto
from trimtab.savedmodel.structure import SPECS, DTypeLiteral, ShapeLiteral

if TYPE_CHECKING:
    from trimtab.savedmodel.structure import Structure

_ALIASES = {"half": "float16", "float": "float32", "double": "float64"}


def equals(value: Value, literal: Structure) -> bool:
    """Whether `value == literal` in Python; a dense tensor never does. Raises what TensorFlow would.

    NaN equals nothing, True equals 1 and 1.0, and a ragged tensor is compared element by element, which raises.
    """
    if isinstance(value, RaggedValue):
        if literal is None:
            return False
        raise Raises("TypeError", "RaggedTensor may not be used as a boolean.")
    if isinstance(literal, DTypeLiteral):
        return _same_dtype(value, literal.dtype)
    if isinstance(literal, ShapeLiteral):
        return _same_shape(value, literal.shape)
    if isinstance(literal, (TensorProto, *SPECS)):
        return False
    return not isinstance(value, TensorValue) and bool(value == literal)


def cast_literal(literal: Structure, value: Value, *, in_graph: bool) -> Value:
    """The argument of a parameter that is constrained to a Python value: it must equal it.

    Here a dense tensor is compared too, by its elements, and NaN equals NaN. Raises what TensorFlow would.
    """
    if isinstance(literal, float) and math.isnan(literal) and isinstance(value, float) and math.isnan(value):
        return value
    if isinstance(value, TensorValue) and literal is not None:
        if in_graph or value.source == "symbolic":
            raise Raises(
                "OperatorNotAllowedInGraphError", "Using a symbolic `tf.Tensor` as a Python `bool` is not allowed."
            )
        if _tensor_equals(value, literal):
            return value
    elif equals(value, literal):
        return value
    raise Raises("ValueError", f"Can not cast {value_text(value)} to Literal[{literal!r}]")


def _tensor_equals(value: TensorValue, literal: Structure) -> bool:
    """Of one element; more have no truth value."""
    data: Any = value.data
    while isinstance(data, list):
        if len(data) != 1:
            raise Raises("ValueError", "The truth value of an array with more than one element is ambiguous.")
        data = data[0]
    if value.dtype == "string" and isinstance(literal, str) and isinstance(data, bytes):
        return data == literal.encode()
    return data is not None and bool(data == literal)


def _same_dtype(value: Value, dtype: str) -> bool:
    """A dtype equals whatever TensorFlow turns into it: its name, its number."""
    if isinstance(value, DTypeLiteral):
        return value.dtype == dtype
    if isinstance(value, str):
        return _ALIASES.get(value, value) == dtype and dtype_code(dtype) is not None
    return isinstance(value, int) and not isinstance(value, bool) and value > 0 and dtype_name(value) == dtype


def _same_shape(value: Value, shape: Any) -> bool:
    """A shape equals a list or tuple of its sizes; one that is not wholly known equals none."""
    if isinstance(value, ShapeLiteral):
        return bool(value.shape == shape)
    if value is None:
        return shape is None
    if isinstance(value, list | tuple) and shape is not None:
        return all(item is None or isinstance(item, int) for item in value) and tuple(value) == shape
    return False
