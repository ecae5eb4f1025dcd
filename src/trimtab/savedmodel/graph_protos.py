"""The messages around a graph: function signatures, attributes, tensors, SignatureDef. Names are those of the protos.

Sources: tensorflow/core/framework/{op_def,attr_value,tensor,tensor_shape,types}.proto, core/protobuf/meta_graph.proto.
A dtype is the number of `tensorflow.DataType`; `dtypes` names them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeAlias

from msgspec import field

from trimtab.errors import ArtifactError
from trimtab.savedmodel.message import Message

if TYPE_CHECKING:
    from trimtab.savedmodel.object_protos import TypeSpecProto

Shape: TypeAlias = "tuple[int | None, ...] | None"
"""A static shape: None for an unknown rank, None inside for an unknown dimension."""

MAX_RANK = 254
"""TensorFlow's own limit."""


class Dim(Message, frozen=True):
    """One dimension; size -1 is unknown. TensorFlow writes no names and drops those that it reads."""

    proto: ClassVar[str] = "TensorShapeProto.Dim"
    size: int = 0
    name: str = ""


class TensorShapeProto(Message, frozen=True):
    """A shape. Without any field it is that of a scalar."""

    dim: tuple[Dim, ...] = ()
    unknown_rank: bool = False

    @property
    def shape(self) -> Shape:
        """As a tuple. ArtifactError when it has more dimensions than TensorFlow allows, or a size below -1."""
        if self.unknown_rank:
            return None
        if len(self.dim) > MAX_RANK or any(dim.size < -1 for dim in self.dim):
            raise ArtifactError(
                "a shape that TensorFlow refuses too",
                expected=f"at most {MAX_RANK} dimensions, each of a size of at least -1",
                got=f"{len(self.dim)} dimensions, the smallest {min(dim.size for dim in self.dim)}",
            )
        return tuple(None if dim.size == -1 else dim.size for dim in self.dim)


class DtypeAndShape(Message, frozen=True):
    """What a resource handle holds."""

    proto: ClassVar[str] = "ResourceHandleProto.DtypeAndShape"
    dtype: int = 0
    shape: TensorShapeProto = TensorShapeProto()


class ArgDef(Message, frozen=True):
    """An argument or a result of a function. `handle_data`: of a variable's handle, the variable's dtype and shape."""

    proto: ClassVar[str] = "OpDef.ArgDef"
    name: str = ""
    description: str = ""
    type: int = 0
    type_attr: str = ""
    number_attr: str = ""
    type_list_attr: str = ""
    handle_data: tuple[DtypeAndShape, ...] = ()
    is_ref: bool = False


class OpDef(Message, frozen=True):
    """The signature of a FunctionDef: flat arguments, captures last."""

    name: str = ""
    input_arg: tuple[ArgDef, ...] = ()
    output_arg: tuple[ArgDef, ...] = ()
    control_output: tuple[str, ...] = ()
    is_stateful: bool = False


class TensorProto(Message, frozen=True):
    """A constant. The values lie in `tensor_content` or in the field of their dtype, where the last one repeats."""

    dtype: int = 0
    tensor_shape: TensorShapeProto = TensorShapeProto()
    tensor_content: bytes = b""
    half_val: tuple[int, ...] = ()
    float_val: tuple[float, ...] = ()
    double_val: tuple[float, ...] = ()
    int_val: tuple[int, ...] = ()
    string_val: tuple[bytes, ...] = ()
    scomplex_val: tuple[float, ...] = ()
    int64_val: tuple[int, ...] = ()
    bool_val: tuple[bool, ...] = ()
    dcomplex_val: tuple[float, ...] = ()
    uint32_val: tuple[int, ...] = ()
    uint64_val: tuple[int, ...] = ()


class AttrValue(Message, frozen=True):
    """The value of an attribute: exactly one of the fields is set."""

    s: bytes | None = None
    i: int | None = None
    f: float | None = None
    b: bool | None = None
    type: int | None = None
    shape: TensorShapeProto | None = None
    tensor: TensorProto | None = None
    list: AttrList | None = None
    func: NameAttrList | None = None
    placeholder: str | None = None


class AttrList(Message, frozen=True):
    """A list of values of one kind (`AttrValue.ListValue`)."""

    proto: ClassVar[str] = "AttrValue.ListValue"
    s: tuple[bytes, ...] = ()
    i: tuple[int, ...] = ()
    f: tuple[float, ...] = ()
    b: tuple[bool, ...] = ()
    type: tuple[int, ...] = ()
    shape: tuple[TensorShapeProto, ...] = ()
    tensor: tuple[TensorProto, ...] = ()
    func: tuple[NameAttrList, ...] = ()


class NameAttrList(Message, frozen=True):
    """A reference to a function."""

    name: str = ""


class CooSparse(Message, frozen=True):
    """The three tensors that make a sparse one."""

    proto: ClassVar[str] = "TensorInfo.CooSparse"
    values_tensor_name: str = ""
    indices_tensor_name: str = ""
    dense_shape_tensor_name: str = ""


class CompositeTensor(Message, frozen=True):
    """The tensors that make one of another composite type."""

    proto: ClassVar[str] = "TensorInfo.CompositeTensor"
    type_spec: TypeSpecProto | None = None
    components: tuple[TensorInfo, ...] = ()


class TensorInfo(Message, frozen=True):
    """A tensor of the graph, as `node:index`, or what a sparse or composite one is made of."""

    name: str | None = None
    coo_sparse: CooSparse | None = None
    composite_tensor: CompositeTensor | None = None
    dtype: int = 0
    tensor_shape: TensorShapeProto = TensorShapeProto()


class SignatureDef(Message, frozen=True):
    """What TF1 and C++ loaders feed and fetch. TF2 ignores it."""

    inputs: dict[str, TensorInfo] = field(default_factory=dict)
    outputs: dict[str, TensorInfo] = field(default_factory=dict)
    method_name: str = ""
    defaults: dict[str, TensorProto] = field(default_factory=dict)


class MetaInfoDef(Message, frozen=True):
    """Tags, and the TensorFlow that wrote the graph."""

    proto: ClassVar[str] = "MetaGraphDef.MetaInfoDef"
    meta_graph_version: str = ""
    tags: tuple[str, ...] = ()
    tensorflow_version: str = ""
    tensorflow_git_version: str = ""
    function_aliases: dict[str, str] = field(default_factory=dict)


class SaverDef(Message, frozen=True):
    """Which nodes save and restore the variables."""

    filename_tensor_name: str = ""
    save_tensor_name: str = ""
    restore_op_name: str = ""


class AssetFileDef(Message, frozen=True):
    """A file below `assets/` and the tensor that its path is fed to."""

    tensor_info: TensorInfo = TensorInfo()
    filename: str = ""


class NodeList(Message, frozen=True):
    """Names of nodes or tensors."""

    proto: ClassVar[str] = "CollectionDef.NodeList"
    value: tuple[str, ...] = ()


class BytesList(Message, frozen=True):
    """Serialized messages."""

    proto: ClassVar[str] = "CollectionDef.BytesList"
    value: tuple[bytes, ...] = ()


class CollectionDef(Message, frozen=True):
    """A named collection of a TF1 graph."""

    node_list: NodeList | None = None
    bytes_list: BytesList | None = None
