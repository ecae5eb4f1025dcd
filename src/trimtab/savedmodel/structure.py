"""Structured values as Python sees them: specs, literals, and the tuples, lists, dicts and named tuples around them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from trimtab.errors import ArtifactError
from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.schema import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.savedmodel.graph_protos import Shape, TensorProto
    from trimtab.savedmodel.object_protos import StructuredValue, TypeSpecProto

MAX_DEPTH = 50
"""How deep values nest: each level is two messages, of which protobuf allows 100."""

MAX_COMPONENTS = 10_000
"""How many tensors make up one composite value, before the spec is taken for damage."""


class TensorSpec(Struct, frozen=True):
    """A dense tensor: its dtype by TensorFlow's name, its shape, and the name that the user or the tracer gave it."""

    dtype: str
    shape: Shape
    name: str = ""

    def __str__(self) -> str:
        return f"{self.dtype} {shape_text(self.shape)}"


class RaggedTensorSpec(Struct, frozen=True):
    """A ragged tensor. Components: the flat values, then one vector of row splits per ragged dimension."""

    dtype: str
    shape: Shape
    ragged_rank: int = 1
    row_splits_dtype: str = "int64"

    def __str__(self) -> str:
        return f"ragged {self.dtype} {shape_text(self.shape)}, {self.ragged_rank} x {self.row_splits_dtype} row splits"


class SparseTensorSpec(Struct, frozen=True):
    """A sparse tensor. Components: indices, values, dense shape."""

    dtype: str
    shape: Shape

    def __str__(self) -> str:
        return f"sparse {self.dtype} {shape_text(self.shape)}"


class OtherTypeSpec(Struct, frozen=True):
    """A spec of another class, by what it serializes of itself."""

    class_name: str
    class_code: int
    state: Structure
    num_flat_components: int = 0

    def __str__(self) -> str:
        return self.class_name


class NamedTuple(Struct, frozen=True):
    """A named tuple: its type's name, and its fields in order."""

    type_name: str
    fields: tuple[tuple[str, Structure], ...]

    def get(self, key: str) -> Structure:
        """The value of a field, or None."""
        return dict(self.fields).get(key)


class ShapeLiteral(Struct, frozen=True):
    """A `tf.TensorShape` as a value."""

    shape: Shape


class DTypeLiteral(Struct, frozen=True):
    """A `tf.DType` as a value."""

    dtype: str


Spec: TypeAlias = TensorSpec | RaggedTensorSpec | SparseTensorSpec | OtherTypeSpec

Structure: TypeAlias = (
    "Spec | NamedTuple | ShapeLiteral | DTypeLiteral | TensorProto | bool | int | float | str"
    " | list[Structure] | tuple[Structure, ...] | dict[str, Structure] | None"
)
"""What a StructuredValue stands for. A TensorProto is a tensor or an array as a literal."""

SPECS = (TensorSpec, RaggedTensorSpec, SparseTensorSpec, OtherTypeSpec)


def structure(value: StructuredValue, depth: int = 0) -> Structure:
    """The Python structure of a StructuredValue. ArtifactError when it nests too deep."""
    if depth > MAX_DEPTH:
        raise ArtifactError(expected=f"values nested at most {MAX_DEPTH} deep", got="deeper nesting")
    if value.none_value is not None:
        return None
    for plain in (value.float64_value, value.int64_value, value.string_value, value.bool_value):
        if plain is not None:
            return plain
    if value.tensor_spec_value is not None:
        spec = value.tensor_spec_value
        return TensorSpec(dtype_name(spec.dtype), spec.shape.shape, spec.name)
    if value.bounded_tensor_spec_value is not None:
        bounded = value.bounded_tensor_spec_value
        return TensorSpec(dtype_name(bounded.dtype), bounded.shape.shape, bounded.name)
    if value.type_spec_value is not None:
        return type_spec(value.type_spec_value, depth)
    if value.tuple_value is not None:
        return tuple(structure(item, depth + 1) for item in value.tuple_value.values)
    if value.list_value is not None:
        return [structure(item, depth + 1) for item in value.list_value.values]
    if value.dict_value is not None:
        return {key: structure(item, depth + 1) for key, item in value.dict_value.fields.items()}
    if value.named_tuple_value is not None:
        named = value.named_tuple_value
        pairs = tuple((pair.key, structure(pair.value, depth + 1)) for pair in named.values)
        return NamedTuple(named.name, pairs)
    if value.tensor_shape_value is not None:
        return ShapeLiteral(value.tensor_shape_value.shape)
    if value.tensor_dtype_value is not None:
        return DTypeLiteral(dtype_name(value.tensor_dtype_value))
    return value.tensor_value if value.tensor_value is not None else value.numpy_value


def type_spec(proto: TypeSpecProto, depth: int = 0) -> Spec:
    """The spec of a TypeSpecProto."""
    state = structure(proto.type_state, depth + 1) if proto.type_state is not None else None
    match proto.type_spec_class, state:
        case 3, (ShapeLiteral(shape=shape), DTypeLiteral(dtype=dtype), int(rank), *rest):  # RAGGED_TENSOR_SPEC
            splits = rest[0] if rest else None
            return RaggedTensorSpec(dtype, shape, rank, splits.dtype if isinstance(splits, DTypeLiteral) else "int64")
        case 1, (ShapeLiteral(shape=shape), DTypeLiteral(dtype=dtype)):  # SPARSE_TENSOR_SPEC
            return SparseTensorSpec(dtype, shape)
    name = proto.type_spec_class_name or _class_name(proto.type_spec_class)
    return OtherTypeSpec(name, proto.type_spec_class, state, proto.num_flat_components)


def components(spec: Spec) -> tuple[TensorSpec, ...]:
    """The dense tensors that make up a value of this spec, in TensorFlow's order, unnamed; a dense spec is its own.

    Of specs that are not known, the number is; their dtypes and shapes are not. ArtifactError when a spec states more
    than MAX_COMPONENTS of them.
    """
    stated = spec.ragged_rank if isinstance(spec, RaggedTensorSpec) else getattr(spec, "num_flat_components", 0)
    if not 0 <= stated <= MAX_COMPONENTS:
        raise ArtifactError(where=str(spec), expected=f"at most {MAX_COMPONENTS} components", got=str(stated))
    if isinstance(spec, TensorSpec):
        return (spec,)
    if isinstance(spec, SparseTensorSpec):
        rank = None if spec.shape is None else len(spec.shape)
        return TensorSpec("int64", (None, rank)), TensorSpec(spec.dtype, (None,)), TensorSpec("int64", (rank,))
    if isinstance(spec, RaggedTensorSpec):
        inner = None if spec.shape is None else (None, *spec.shape[spec.ragged_rank + 1 :])
        rows = spec.shape[0] + 1 if spec.shape and spec.shape[0] is not None else None
        outermost = TensorSpec(spec.row_splits_dtype, (rows,))
        others = [TensorSpec(spec.row_splits_dtype, (None,))] * (spec.ragged_rank - 1)
        return (TensorSpec(spec.dtype, inner), *([outermost, *others] if spec.ragged_rank else []))
    return (TensorSpec("variant", None),) * spec.num_flat_components


def children(value: Structure) -> list[tuple[str | int, Structure]] | None:
    """What a container holds, by key, field or position, in TensorFlow's order (dict keys sorted); None for a leaf."""
    if isinstance(value, list | tuple):
        return list(enumerate(value))
    if isinstance(value, dict):
        return sorted(value.items())
    if isinstance(value, NamedTuple):
        return list(value.fields)
    return None


def leaves(value: Structure) -> Iterator[Structure]:
    """The leaves of a structure in TensorFlow's flat order. Specs are leaves; so are literals and None."""
    inside = children(value)
    if inside is None:
        yield value
        return
    for _, child in inside:
        yield from leaves(child)


def shape_text(shape: Shape) -> str:
    """`[?, 3]`, or `[...]` for an unknown rank."""
    if shape is None:
        return "[...]"
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"


def _class_name(code: int) -> str:
    for name, number in SCHEMA.enums["TypeSpecProto.TypeSpecClass"].items():
        if number == code:
            return "".join(word.capitalize() for word in name.split("_"))
    return f"type spec {code}"
