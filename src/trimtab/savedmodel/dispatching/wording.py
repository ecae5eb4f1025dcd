"""TensorFlow's own words for values, specs and signatures, so that a refusal reads as users know it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trimtab.savedmodel.dispatching.values import Opaque, RaggedValue, SparseValue, TensorValue
from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.graph_protos import TensorProto
from trimtab.savedmodel.structure import (
    DTypeLiteral,
    NamedTuple,
    OtherTypeSpec,
    RaggedTensorSpec,
    ShapeLiteral,
    SparseTensorSpec,
    TensorSpec,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trimtab.savedmodel.graph_protos import Shape

MAX_TEXT = 64 << 10
"""How long a refusal's text grows: TensorFlow's own lists every trace."""


_WRAPPED = 20_000
"""Up to which length a value is wrapped into lines."""


class Verbatim:
    """A text that prints without quotes inside containers."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def shape_text(shape: Shape) -> str:
    """As `str(tf.TensorShape)`: `(2, None)`, `<unknown>`."""
    return "<unknown>" if shape is None else str(shape)


def cpp_dtype(dtype: str) -> str:
    """A dtype as TensorFlow's C++ code calls it."""
    return {"float32": "float", "float64": "double", "float16": "half"}.get(dtype, dtype)


def spec_text(spec: object) -> str:
    """As `repr` of the spec."""
    match spec:
        case TensorSpec():
            name = repr(spec.name) if spec.name else "None"
            return f"TensorSpec(shape={shape_text(spec.shape)}, dtype=tf.{spec.dtype}, name={name})"
        case RaggedTensorSpec():
            shape = _tensor_shape(spec.shape)
            return f"RaggedTensorSpec({shape}, tf.{spec.dtype}, {spec.ragged_rank}, tf.{spec.row_splits_dtype})"
        case SparseTensorSpec():
            return f"SparseTensorSpec({_tensor_shape(spec.shape)}, tf.{spec.dtype})"
        case OtherTypeSpec():
            return f"{spec.class_name}{_printable(spec.state)!r}"
    return repr(spec)


def trace_text(constraint: object) -> str:
    """As `repr` of TensorFlow's TraceType."""
    match constraint:
        case NamedTuple():
            pairs = ", ".join(f"[{name!r}, {trace_text(each)}]" for name, each in constraint.fields)
            return f"{constraint.type_name}[{pairs}]"
        case dict():
            return f"Dict[{', '.join(f'[{key!r}, {trace_text(each)}]' for key, each in constraint.items())}]"
        case list():
            return f"List[{', '.join(map(trace_text, constraint))}]"
        case tuple():
            return f"Tuple[{', '.join(map(trace_text, constraint))}]"
        case TensorSpec() | RaggedTensorSpec() | SparseTensorSpec() | OtherTypeSpec():
            return spec_text(constraint)
    return f"Literal[{_printable(constraint)!r}]"


def value_text(value: object) -> str:
    """As `repr` of an argument, without the elements of tensors."""
    return repr(_printable(value))[:MAX_TEXT]


def positional_text(values: Iterable[object]) -> str:
    """As TensorFlow lists positional arguments, of a call or of a trace."""
    texts = [_wrapped(value) for value in values]
    return "Positional arguments ({} total):\n    * {}".format(len(texts), "\n    * ".join(texts))


def _wrapped(value: object) -> str:
    """As `pprint` has it, which takes long over what is large."""
    import pprint

    text = repr(value)
    return pprint.pformat(value) if len(text) < _WRAPPED else text[:MAX_TEXT]


def expected_values(structure: Any) -> Any:
    """What a trace expects, made of objects that print as TensorFlow's."""
    return _printable(structure)


def traced_values(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments by parameter as TensorFlow prints them while it looks for a trace: tensors are placeholders."""
    taken: dict[str, int] = {}

    def placeholders(name: str) -> Callable[[], str]:
        def placeholder() -> str:
            taken[name] = taken.get(name, -1) + 1
            return f"{name}_{taken[name]}:0" if taken[name] else f"{name}:0"

        return placeholder

    return {name: _printable(value, placeholders(name)) for name, value in arguments.items()}


def _printable(value: Any, placeholder: Callable[[], str] | None = None) -> Any:
    match value:
        case TensorValue():
            return Verbatim(_tensor(value, placeholder))
        case RaggedValue():
            return Verbatim(_ragged(value, placeholder))
        case SparseValue():
            return Verbatim(_sparse(value, placeholder))
        case list():
            return [_printable(item, placeholder) for item in value]
        case tuple():
            return tuple(_printable(item, placeholder) for item in value)
        case dict():
            return {key: _printable(item, placeholder) for key, item in value.items()}
        case NamedTuple():
            fields = ", ".join(f"{name}={_printable(item, placeholder)!r}" for name, item in value.fields)
            return Verbatim(f"{value.type_name}({fields})")
        case TensorSpec() | RaggedTensorSpec() | SparseTensorSpec() | OtherTypeSpec():
            return Verbatim(spec_text(value))
        case ShapeLiteral():
            return Verbatim(_tensor_shape(value.shape))
        case DTypeLiteral():
            return Verbatim(f"tf.{value.dtype}")
        case TensorProto():
            shape = shape_text(value.tensor_shape.shape)
            return Verbatim(f"<tf.Tensor: shape={shape}, dtype={dtype_name(value.dtype)}>")
        case Opaque():
            return Verbatim(value.text or value.type_name)
    return value


def _tensor(value: TensorValue, placeholder: Callable[[], str] | None) -> str:
    shape = shape_text(value.shape)
    if value.source == "variable":
        return f"<tf.Variable 'Variable:0' shape={shape} dtype={value.dtype}>"
    if placeholder is not None:
        return f"<tf.Tensor {placeholder()!r} shape={shape} dtype={value.dtype}>"
    if value.source in ("numpy", "scalar"):
        return f"array({value.data!r}, dtype={value.dtype})" if value.data is not None else f"array(shape={shape})"
    return f"<tf.Tensor: shape={shape}, dtype={value.dtype}>"


def _ragged(value: RaggedValue, placeholder: Callable[[], str] | None) -> str:
    if placeholder is None:
        return f"<tf.RaggedTensor shape={shape_text(value.shape)} dtype={value.dtype}>"
    inner = (None,) if value.shape is None else (None, *value.shape[value.ragged_rank + 1 :])
    text = f'Tensor("{placeholder()}", shape={inner}, dtype={value.dtype})'
    names = [placeholder() for _ in range(value.ragged_rank)]
    for position in reversed(range(value.ragged_rank)):
        first = value.shape[0] if value.shape and position == 0 else None
        rows = (None if first is None else first + 1,)
        splits = f'Tensor("{names[position]}", shape={rows}, dtype={value.row_splits_dtype})'
        text = f"tf.RaggedTensor(values={text}, row_splits={splits})"
    return text


def _sparse(value: SparseValue, placeholder: Callable[[], str] | None) -> str:
    if placeholder is None:
        return f"<SparseTensor shape={shape_text(value.shape)} dtype={value.dtype}>"
    rank = None if value.shape is None else len(value.shape)
    indices = f'Tensor("{placeholder()}", shape={(None, rank)}, dtype=int64)'
    values = f'Tensor("{placeholder()}", shape=(None,), dtype={value.dtype})'
    dense = f'Tensor("{placeholder()}", shape={(rank,)}, dtype=int64)'
    return f"SparseTensor(indices={indices}, values={values}, dense_shape={dense})"


def _tensor_shape(shape: Shape) -> str:
    return f"TensorShape({None if shape is None else list(shape)})"
