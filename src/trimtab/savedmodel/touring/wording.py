"""How types, literals and argument lists read in a tour: short, and close to how they were written in Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.errors import ArtifactError
from trimtab.savedmodel.constant_values import constant_value
from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.graph_protos import TensorProto
from trimtab.savedmodel.structure import SPECS, DTypeLiteral, NamedTuple, ShapeLiteral, shape_text
from trimtab.savedmodel.touring.story import Value

if TYPE_CHECKING:
    from trimtab.savedmodel.captures import Capture
    from trimtab.savedmodel.function_spec import CallSpec
    from trimtab.savedmodel.graph_protos import ArgDef, TensorInfo
    from trimtab.savedmodel.structure import Structure

MAX_SHOWN = 8
"""How many elements of a constant are shown."""


def in_words(value: Structure) -> str:
    """A structure: specs by dtype and shape, literals as in Python, containers around them."""
    if isinstance(value, SPECS):
        return str(value)
    if isinstance(value, NamedTuple):
        return f"{value.type_name}({', '.join(f'{name}={in_words(item)}' for name, item in value.fields)})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {in_words(item)}" for key, item in sorted(value.items())) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(in_words, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(in_words, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, ShapeLiteral):
        return f"shape {shape_text(value.shape)}"
    if isinstance(value, DTypeLiteral):
        return f"dtype {value.dtype}"
    if isinstance(value, TensorProto):
        return constant(value)
    return repr(value)


def constant(tensor: TensorProto) -> str:
    """A constant by its value, where that is short, or by its shape."""
    value = constant_value(tensor, MAX_SHOWN)
    shown = shape_text(tensor.tensor_shape.shape) if value is None else repr(value)
    return f"tensor({shown}, {dtype_name(tensor.dtype)})"


def arguments(spec: CallSpec, positional: tuple[Structure, ...], by_keyword: dict[str, Structure]) -> tuple[Value, ...]:
    """What a trace takes, under the names of the function's parameters."""
    names = [*spec.args, *(f"*{spec.varargs or 'args'}[{at}]" for at in range(len(positional) - len(spec.args)))]
    found = [Value(name, in_words(value)) for name, value in zip(names, positional, strict=False)]
    return (*found, *(Value(name, in_words(value)) for name, value in sorted(by_keyword.items())))


def argument_text(value: Value) -> str:
    """`x: float32 [3]`, or `training=False` for a literal."""
    literal = value.type.startswith(("'", '"', "-", "tensor(", *"0123456789")) or value.type in (
        "True",
        "False",
        "None",
        "nan",
        "inf",
    )
    return f"{value.name}={value.type}" if literal else f"{value.name}: {value.type}"


def tensor_info_type(info: TensorInfo) -> str:
    """The type of a feed or fetch."""
    shape = shape_text(info.tensor_shape.shape)
    if info.coo_sparse is not None:
        return f"sparse {dtype_name(info.dtype)} {shape}"
    if info.composite_tensor is not None:
        from trimtab.savedmodel.structure import type_spec

        composite = info.composite_tensor.type_spec
        return str(type_spec(composite)) if composite is not None else "composite"
    if not info.dtype:
        return "an operation"
    return f"{dtype_name(info.dtype)} {shape}"


def tensor_info_names(info: TensorInfo) -> tuple[str, ...]:
    """The tensors of the graph that a feed or fetch is made of."""
    if info.coo_sparse is not None:
        sparse = info.coo_sparse
        return sparse.indices_tensor_name, sparse.values_tensor_name, sparse.dense_shape_tensor_name
    if info.composite_tensor is not None:
        return tuple(name for part in info.composite_tensor.components for name in tensor_info_names(part))
    return (info.name or "",)


def argument_type(argument: ArgDef) -> str:
    """The dtype of a FunctionDef's argument; of a variable's handle also what the variable holds."""
    name = dtype_name(argument.type)
    held = [f"{dtype_name(each.dtype)} {shape_text(each.shape.shape)}" for each in argument.handle_data]
    return f"{name} of {held[0]}" if held else name


def captured_type(capture: Capture) -> str:
    """What a captured node holds."""
    if capture.kind in ("variable", "constant"):
        return " ".join(part for part in (capture.dtype, shape_text(capture.shape)) if part)
    return capture.dtype


def damage(error: ArtifactError) -> str:
    """What is wrong, without the place: a tour states it beside."""
    return str(ArtifactError(error.problem, expected=error.expected, got=error.got))


def count(number: int, thing: str, plural: str = "") -> str:
    """`1 trace`, `2 traces`, `2,000 functions`."""
    return f"{number:,} {thing if number == 1 else plural or thing + 's'}"
