"""Specs, shapes and structured values as protobuf messages: the way back from `structure`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trimtab.errors import ArtifactError
from trimtab.savedmodel.dtypes import dtype_code
from trimtab.savedmodel.messages import classes
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
    from collections.abc import Sequence

    from trimtab.savedmodel.graph_protos import Shape
    from trimtab.savedmodel.structure import Spec, Structure

_SPARSE, _RAGGED = 1, 3


def shape_proto(shape: Shape) -> Any:
    """A TensorShapeProto."""
    proto = classes()["TensorShapeProto"]()
    if shape is None:
        proto.unknown_rank = True
        return proto
    for size in shape:
        proto.dim.add(size=-1 if size is None else size)
    return proto


def shape_list(shapes: Sequence[Shape]) -> Any:
    """An AttrValue that lists shapes: `_output_shapes`, `_input_shapes`."""
    proto = classes()["AttrValue"]()
    proto.list.SetInParent()
    for shape in shapes:
        proto.list.shape.add().CopyFrom(shape_proto(shape))
    return proto


def dtype_list(dtypes: Sequence[int]) -> Any:
    """An AttrValue that lists dtypes: `Tin`, `Tout`."""
    proto = classes()["AttrValue"]()
    proto.list.SetInParent()
    proto.list.type.extend(dtypes)
    return proto


def structured(value: Structure) -> Any:
    """The StructuredValue of a spec, a literal or a nest of them."""
    proto = classes()["StructuredValue"]()
    match value:
        case None:
            proto.none_value.SetInParent()
        case bool():
            proto.bool_value = value
        case int():
            proto.int64_value = value
        case float():
            proto.float64_value = value
        case str():
            proto.string_value = value
        case TensorSpec():
            proto.tensor_spec_value.name = value.name
            proto.tensor_spec_value.shape.CopyFrom(shape_proto(value.shape))
            proto.tensor_spec_value.dtype = dtype_code(value.dtype) or 0
        case RaggedTensorSpec() | SparseTensorSpec() | OtherTypeSpec():
            proto.type_spec_value.CopyFrom(type_spec(value))
        case ShapeLiteral():
            proto.tensor_shape_value.CopyFrom(shape_proto(value.shape))
        case DTypeLiteral():
            proto.tensor_dtype_value = dtype_code(value.dtype) or 0
        case list():
            proto.list_value.SetInParent()
            proto.list_value.values.extend(map(structured, value))
        case tuple():
            proto.tuple_value.SetInParent()
            proto.tuple_value.values.extend(map(structured, value))
        case dict():
            proto.dict_value.SetInParent()
            for key, each in value.items():
                proto.dict_value.fields[key].CopyFrom(structured(each))
        case NamedTuple():
            proto.named_tuple_value.name = value.type_name
            for key, each in value.fields:
                proto.named_tuple_value.values.add(key=key).value.CopyFrom(structured(each))
        case _:
            raise ArtifactError(expected="a spec, or a literal of Python", got=f"a {type(value).__name__}")
    return proto


def type_spec(spec: Spec) -> Any:
    """The TypeSpecProto of a spec that is not dense."""
    proto = classes()["TypeSpecProto"]()
    match spec:
        case RaggedTensorSpec():
            splits = DTypeLiteral(spec.row_splits_dtype)
            code, name, count = _RAGGED, "RaggedTensorSpec", spec.ragged_rank + 1
            state: Structure = (ShapeLiteral(spec.shape), DTypeLiteral(spec.dtype), spec.ragged_rank, splits)
        case SparseTensorSpec():
            code, name, count = _SPARSE, "SparseTensorSpec", 3
            state = (ShapeLiteral(spec.shape), DTypeLiteral(spec.dtype))
        case OtherTypeSpec():
            code, name, count, state = spec.class_code, spec.class_name, spec.num_flat_components, spec.state
        case _:
            raise ArtifactError(expected="a spec of a composite tensor", got=str(spec))
    proto.type_spec_class = code
    proto.type_spec_class_name = name
    proto.num_flat_components = count
    proto.type_state.CopyFrom(structured(state))
    return proto
