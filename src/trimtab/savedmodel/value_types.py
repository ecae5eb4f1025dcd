"""The types of a `Signature` for what a SavedModel declares: tensors, composites, literals.

A TensorFlow string is any bytes, serialized examples and images among them, so its dtype is BYTES and never text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from trimtab.errors import SignatureError
from trimtab.savedmodel.constant_values import constant_value
from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.graph_protos import TensorProto
from trimtab.savedmodel.structure import (
    DTypeLiteral,
    OtherTypeSpec,
    RaggedTensorSpec,
    ShapeLiteral,
    SparseTensorSpec,
    TensorSpec,
    shape_text,
    type_spec,
)
from trimtab.signature.dtypes import DType, dtype_of
from trimtab.signature.types import Literal, Opaque, Ragged, Sparse, Tensor

if TYPE_CHECKING:
    from trimtab.savedmodel.graph_protos import Shape, TensorInfo
    from trimtab.savedmodel.structure import Structure
    from trimtab.signature.types import Type


def tensor_type(dtype: str, shape: Shape, layout: type[Tensor | Sparse | Ragged] = Tensor) -> Type:
    """A tensor of TensorFlow's `dtype` in this layout; opaque where a request cannot carry one (resource, variant)."""
    known = dtype_of("tensorflow", dtype.removesuffix("_ref"))
    if known is None and dtype not in ("", "invalid"):
        return Opaque(dtype)
    return layout(known, shape)


def info_type(info: TensorInfo) -> Type:
    """What a SignatureDef says of one input or output."""
    dtype, shape = dtype_name(info.dtype), info.tensor_shape.shape
    if info.coo_sparse is not None:
        return tensor_type(dtype, shape, Sparse)
    if info.composite_tensor is not None:
        spec = info.composite_tensor.type_spec
        return Opaque("composite tensor") if spec is None else leaf_type(type_spec(spec))
    return tensor_type(dtype, shape)


def leaf_type(leaf: Structure) -> Type:
    """The type of a leaf of a structure: of a spec what it describes, of any other value that it is this constant."""
    match leaf:
        case TensorSpec():
            return tensor_type(leaf.dtype, leaf.shape)
        case RaggedTensorSpec():
            type_ = tensor_type(leaf.dtype, leaf.shape, Ragged)
            if not isinstance(type_, Ragged):
                return type_
            splits = dtype_of("tensorflow", leaf.row_splits_dtype) or DType.INT64
            return replace(type_, ragged_rank=leaf.ragged_rank, row_splits=splits)
        case SparseTensorSpec():
            return tensor_type(leaf.dtype, leaf.shape, Sparse)
        case OtherTypeSpec():
            return Opaque(leaf.class_name)
    return literal(leaf) or Opaque("constant tensor")


def literal(value: Structure) -> Literal | None:
    """A constant; None where it cannot be written as one: a large tensor, a spec."""
    match value:
        case ShapeLiteral():
            return Literal(shape_text(value.shape), of="shape")
        case DTypeLiteral():
            return Literal(value.dtype, of="dtype")
    plain = constant_value(value) if isinstance(value, TensorProto) else value
    if plain is None and value is not None:
        return None
    try:
        return Literal.from_python(plain)
    except SignatureError:
        return None
