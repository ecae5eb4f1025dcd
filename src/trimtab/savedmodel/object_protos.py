"""The messages of the object graph: SavedObject and its kinds, functions, structured values. Names are the protos'.

Sources: tensorflow/core/protobuf/{saved_object_graph,struct,trackable_object_graph}.proto.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import field

from trimtab.savedmodel.graph_protos import TensorProto, TensorShapeProto
from trimtab.savedmodel.message import Message


class NoneValue(Message, frozen=True):
    """Python's None."""


class TensorSpecProto(Message, frozen=True):
    """A `tf.TensorSpec`."""

    name: str = ""
    shape: TensorShapeProto = TensorShapeProto()
    dtype: int = 0


class BoundedTensorSpecProto(Message, frozen=True):
    """A TensorSpec with bounds of its values."""

    name: str = ""
    shape: TensorShapeProto = TensorShapeProto()
    dtype: int = 0
    minimum: TensorProto | None = None
    maximum: TensorProto | None = None


class TypeSpecProto(Message, frozen=True):
    """A `tf.TypeSpec` of another class: `type_state` is what the class serializes of itself."""

    type_spec_class: int = 0
    type_state: StructuredValue | None = None
    type_spec_class_name: str = ""
    num_flat_components: int = 0


class StructuredValue(Message, frozen=True):
    """A Python value or nest of them; exactly one field is set."""

    none_value: NoneValue | None = None
    float64_value: float | None = None
    int64_value: int | None = None
    string_value: str | None = None
    bool_value: bool | None = None
    tensor_shape_value: TensorShapeProto | None = None
    tensor_dtype_value: int | None = None
    tensor_spec_value: TensorSpecProto | None = None
    type_spec_value: TypeSpecProto | None = None
    bounded_tensor_spec_value: BoundedTensorSpecProto | None = None
    list_value: ListValue | None = None
    tuple_value: TupleValue | None = None
    dict_value: DictValue | None = None
    named_tuple_value: NamedTupleValue | None = None
    tensor_value: TensorProto | None = None
    numpy_value: TensorProto | None = None


class ListValue(Message, frozen=True):
    """A list."""

    values: tuple[StructuredValue, ...] = ()


class TupleValue(Message, frozen=True):
    """A tuple."""

    values: tuple[StructuredValue, ...] = ()


class DictValue(Message, frozen=True):
    """A dict with text keys; the order of the user's dict is lost."""

    fields: dict[str, StructuredValue] = field(default_factory=dict)


class PairValue(Message, frozen=True):
    """One field of a named tuple."""

    key: str = ""
    value: StructuredValue = StructuredValue()


class NamedTupleValue(Message, frozen=True):
    """A named tuple: its type's name and its fields in order."""

    name: str = ""
    values: tuple[PairValue, ...] = ()


class FunctionSpec(Message, frozen=True):
    """How a Python function is called. `fullargspec` is a named tuple like `inspect.FullArgSpec`."""

    fullargspec: StructuredValue = StructuredValue()
    is_method: bool = False
    input_signature: StructuredValue = StructuredValue()
    jit_compile: int = 0


class SavedFunction(Message, frozen=True):
    """A polymorphic function: the names of its traces, in the order in which they are tried."""

    concrete_functions: tuple[str, ...] = ()
    function_spec: FunctionSpec = FunctionSpec()


class SavedBareConcreteFunction(Message, frozen=True):
    """One concrete function as an object, for example a signature."""

    concrete_function_name: str = ""
    argument_keywords: tuple[str, ...] = ()
    allowed_positional_arguments: int = 0
    function_spec: FunctionSpec | None = None


class SavedConcreteFunction(Message, frozen=True):
    """What a FunctionDef lacks: the nodes that it captures and the structure of its arguments and results."""

    bound_inputs: tuple[int, ...] = ()
    canonicalized_input_signature: StructuredValue = StructuredValue()
    output_signature: StructuredValue = StructuredValue()


class SavedUserObject(Message, frozen=True):
    """An object of the user's or of a library's class, by the identifier that the class is registered under."""

    identifier: str = ""
    metadata: str = ""


class SavedAsset(Message, frozen=True):
    """An asset, by its position in `asset_file_def`."""

    asset_file_def_index: int = 0


class SavedVariable(Message, frozen=True):
    """A variable. Names are not unique: the object path identifies it."""

    dtype: int = 0
    shape: TensorShapeProto = TensorShapeProto()
    trainable: bool = False
    synchronization: int = 0
    aggregation: int = 0
    name: str = ""
    device: str = ""


class SavedConstant(Message, frozen=True):
    """A constant, by the name of the Const node in the graph that holds its value."""

    operation: str = ""


class SavedResource(Message, frozen=True):
    """A resource, for example a table."""

    device: str = ""


class CapturedTensor(Message, frozen=True):
    """A tensor inside another function; custom gradients only."""

    name: str = ""
    concrete_function: str = ""


class ObjectReference(Message, frozen=True):
    """A named edge to another node. Node ids are positions in `nodes`."""

    proto: ClassVar[str] = "TrackableObjectGraph.TrackableObject.ObjectReference"
    node_id: int = 0
    local_name: str = ""


class SaveableObject(Message, frozen=True):
    """The nodes of the functions that save and restore one part of an object."""

    save_function: int = 0
    restore_function: int = 0


class SavedObject(Message, frozen=True):
    """A node of the object graph: its children, and exactly one kind."""

    children: tuple[ObjectReference, ...] = ()
    dependencies: tuple[ObjectReference, ...] = ()
    user_object: SavedUserObject | None = None
    asset: SavedAsset | None = None
    function: SavedFunction | None = None
    variable: SavedVariable | None = None
    bare_concrete_function: SavedBareConcreteFunction | None = None
    constant: SavedConstant | None = None
    resource: SavedResource | None = None
    captured_tensor: CapturedTensor | None = None
    saveable_objects: dict[str, SaveableObject] = field(default_factory=dict)
    registered_name: str = ""

    @property
    def kind(self) -> str:
        """The name of the field that is set, or an empty text."""
        return next((kind for kind in KINDS if getattr(self, kind) is not None), "")


KINDS = (
    "user_object",
    "asset",
    "function",
    "variable",
    "bare_concrete_function",
    "constant",
    "resource",
    "captured_tensor",
)
"""The kinds of a SavedObject, by the names of their fields."""
