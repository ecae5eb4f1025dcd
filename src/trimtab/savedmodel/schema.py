"""The messages of a SavedModel as data: every field's number, name and type.

Facts, taken from the descriptors of TensorFlow 2.21 (`tensorflow/core/protobuf/saved_model.proto` and all that it
imports); older releases wrote a subset. The package is our own, so that TensorFlow may share the process.
"""

from __future__ import annotations

from trimtab.source.proto import Field, ProtoFile

_MESSAGES: dict[str, tuple[Field, ...]] = {
    "SavedModel": (
        Field(1, "saved_model_schema_version", "int64"),
        Field(2, "meta_graphs", "MetaGraphDef", repeated=True),
    ),
    "MetaGraphDef": (
        Field(1, "meta_info_def", "MetaGraphDef.MetaInfoDef"),
        Field(2, "graph_def", "GraphDef"),
        Field(3, "saver_def", "SaverDef"),
        Field(4, "collection_def", "map<string, CollectionDef>"),
        Field(5, "signature_def", "map<string, SignatureDef>"),
        Field(6, "asset_file_def", "AssetFileDef", repeated=True),
        Field(7, "object_graph_def", "SavedObjectGraph"),
    ),
    "MetaGraphDef.MetaInfoDef": (
        Field(1, "meta_graph_version", "string"),
        Field(2, "stripped_op_list", "OpList"),
        Field(3, "any_info", "Any"),
        Field(4, "tags", "string", repeated=True),
        Field(5, "tensorflow_version", "string"),
        Field(6, "tensorflow_git_version", "string"),
        Field(7, "stripped_default_attrs", "bool"),
        Field(8, "function_aliases", "map<string, string>"),
    ),
    "OpList": (Field(1, "op", "OpDef", repeated=True),),
    "OpDef": (
        Field(1, "name", "string"),
        Field(2, "input_arg", "OpDef.ArgDef", repeated=True),
        Field(3, "output_arg", "OpDef.ArgDef", repeated=True),
        Field(20, "control_output", "string", repeated=True),
        Field(4, "attr", "OpDef.AttrDef", repeated=True),
        Field(8, "deprecation", "OpDeprecation"),
        Field(5, "summary", "string"),
        Field(6, "description", "string"),
        Field(18, "is_commutative", "bool"),
        Field(16, "is_aggregate", "bool"),
        Field(17, "is_stateful", "bool"),
        Field(19, "allows_uninitialized_input", "bool"),
        Field(21, "is_distributed_communication", "bool"),
    ),
    "OpDef.ArgDef": (
        Field(1, "name", "string"),
        Field(2, "description", "string"),
        Field(3, "type", "DataType"),
        Field(4, "type_attr", "string"),
        Field(5, "number_attr", "string"),
        Field(6, "type_list_attr", "string"),
        Field(7, "handle_data", "ResourceHandleProto.DtypeAndShape", repeated=True),
        Field(16, "is_ref", "bool"),
        Field(17, "experimental_full_type", "FullTypeDef"),
    ),
    "ResourceHandleProto": (
        Field(1, "device", "string"),
        Field(2, "container", "string"),
        Field(3, "name", "string"),
        Field(4, "hash_code", "uint64"),
        Field(5, "maybe_type_name", "string"),
        Field(6, "dtypes_and_shapes", "ResourceHandleProto.DtypeAndShape", repeated=True),
    ),
    "ResourceHandleProto.DtypeAndShape": (
        Field(1, "dtype", "DataType"),
        Field(2, "shape", "TensorShapeProto"),
    ),
    "TensorShapeProto": (
        Field(2, "dim", "TensorShapeProto.Dim", repeated=True),
        Field(3, "unknown_rank", "bool"),
    ),
    "TensorShapeProto.Dim": (
        Field(1, "size", "int64"),
        Field(2, "name", "string"),
    ),
    "FullTypeDef": (
        Field(1, "type_id", "FullTypeId"),
        Field(2, "args", "FullTypeDef", repeated=True),
        Field(3, "s", "string", oneof="attr"),
        Field(4, "i", "int64", oneof="attr"),
    ),
    "OpDef.AttrDef": (
        Field(1, "name", "string"),
        Field(2, "type", "string"),
        Field(3, "default_value", "AttrValue"),
        Field(4, "description", "string"),
        Field(5, "has_minimum", "bool"),
        Field(6, "minimum", "int64"),
        Field(7, "allowed_values", "AttrValue"),
    ),
    "AttrValue": (
        Field(2, "s", "bytes", oneof="value"),
        Field(3, "i", "int64", oneof="value"),
        Field(4, "f", "float", oneof="value"),
        Field(5, "b", "bool", oneof="value"),
        Field(6, "type", "DataType", oneof="value"),
        Field(7, "shape", "TensorShapeProto", oneof="value"),
        Field(8, "tensor", "TensorProto", oneof="value"),
        Field(1, "list", "AttrValue.ListValue", oneof="value"),
        Field(10, "func", "NameAttrList", oneof="value"),
        Field(9, "placeholder", "string", oneof="value"),
    ),
    "TensorProto": (
        Field(1, "dtype", "DataType"),
        Field(2, "tensor_shape", "TensorShapeProto"),
        Field(3, "version_number", "int32"),
        Field(4, "tensor_content", "bytes"),
        Field(13, "half_val", "int32", repeated=True),
        Field(5, "float_val", "float", repeated=True),
        Field(6, "double_val", "double", repeated=True),
        Field(7, "int_val", "int32", repeated=True),
        Field(8, "string_val", "bytes", repeated=True),
        Field(9, "scomplex_val", "float", repeated=True),
        Field(10, "int64_val", "int64", repeated=True),
        Field(11, "bool_val", "bool", repeated=True),
        Field(12, "dcomplex_val", "double", repeated=True),
        Field(14, "resource_handle_val", "ResourceHandleProto", repeated=True),
        Field(15, "variant_val", "VariantTensorDataProto", repeated=True),
        Field(16, "uint32_val", "uint32", repeated=True),
        Field(17, "uint64_val", "uint64", repeated=True),
        Field(18, "float8_val", "bytes"),
    ),
    "VariantTensorDataProto": (
        Field(1, "type_name", "string"),
        Field(2, "metadata", "bytes"),
        Field(3, "tensors", "TensorProto", repeated=True),
    ),
    "AttrValue.ListValue": (
        Field(2, "s", "bytes", repeated=True),
        Field(3, "i", "int64", repeated=True),
        Field(4, "f", "float", repeated=True),
        Field(5, "b", "bool", repeated=True),
        Field(6, "type", "DataType", repeated=True),
        Field(7, "shape", "TensorShapeProto", repeated=True),
        Field(8, "tensor", "TensorProto", repeated=True),
        Field(9, "func", "NameAttrList", repeated=True),
    ),
    "NameAttrList": (
        Field(1, "name", "string"),
        Field(2, "attr", "map<string, AttrValue>"),
    ),
    "OpDeprecation": (
        Field(1, "version", "int32"),
        Field(2, "explanation", "string"),
    ),
    "Any": (
        Field(1, "type_url", "string"),
        Field(2, "value", "bytes"),
    ),
    "GraphDef": (
        Field(1, "node", "NodeDef", repeated=True),
        Field(4, "versions", "VersionDef"),
        Field(3, "version", "int32"),
        Field(2, "library", "FunctionDefLibrary"),
        Field(5, "debug_info", "GraphDebugInfo"),
    ),
    "NodeDef": (
        Field(1, "name", "string"),
        Field(2, "op", "string"),
        Field(3, "input", "string", repeated=True),
        Field(4, "device", "string"),
        Field(5, "attr", "map<string, AttrValue>"),
        Field(6, "experimental_debug_info", "NodeDef.ExperimentalDebugInfo"),
        Field(7, "experimental_type", "FullTypeDef"),
    ),
    "NodeDef.ExperimentalDebugInfo": (
        Field(1, "original_node_names", "string", repeated=True),
        Field(2, "original_func_names", "string", repeated=True),
    ),
    "VersionDef": (
        Field(1, "producer", "int32"),
        Field(2, "min_consumer", "int32"),
        Field(3, "bad_consumers", "int32", repeated=True),
    ),
    "FunctionDefLibrary": (
        Field(1, "function", "FunctionDef", repeated=True),
        Field(2, "gradient", "GradientDef", repeated=True),
        Field(3, "registered_gradients", "RegisteredGradient", repeated=True),
    ),
    "FunctionDef": (
        Field(1, "signature", "OpDef"),
        Field(5, "attr", "map<string, AttrValue>"),
        Field(7, "arg_attr", "map<uint32, FunctionDef.ArgAttrs>"),
        Field(8, "resource_arg_unique_id", "map<uint32, uint32>"),
        Field(3, "node_def", "NodeDef", repeated=True),
        Field(4, "ret", "map<string, string>"),
        Field(6, "control_ret", "map<string, string>"),
    ),
    "FunctionDef.ArgAttrs": (Field(1, "attr", "map<string, AttrValue>"),),
    "GradientDef": (
        Field(1, "function_name", "string"),
        Field(2, "gradient_func", "string"),
    ),
    "RegisteredGradient": (
        Field(1, "gradient_func", "string"),
        Field(2, "registered_op_type", "string"),
    ),
    "GraphDebugInfo": (
        Field(1, "files", "string", repeated=True),
        Field(4, "frames_by_id", "map<fixed64, GraphDebugInfo.FileLineCol>"),
        Field(6, "traces_by_id", "map<fixed64, GraphDebugInfo.StackTrace>"),
        Field(2, "traces", "map<string, GraphDebugInfo.StackTrace>"),
        Field(5, "name_to_trace_id", "map<string, fixed64>"),
    ),
    "GraphDebugInfo.FileLineCol": (
        Field(1, "file_index", "int32"),
        Field(2, "line", "int32"),
        Field(3, "col", "int32"),
        Field(4, "func", "string"),
        Field(5, "code", "string"),
    ),
    "GraphDebugInfo.StackTrace": (
        Field(1, "file_line_cols", "GraphDebugInfo.FileLineCol", repeated=True),
        Field(2, "frame_id", "fixed64", repeated=True),
    ),
    "SaverDef": (
        Field(1, "filename_tensor_name", "string"),
        Field(2, "save_tensor_name", "string"),
        Field(3, "restore_op_name", "string"),
        Field(4, "max_to_keep", "int32"),
        Field(5, "sharded", "bool"),
        Field(6, "keep_checkpoint_every_n_hours", "float"),
        Field(7, "version", "SaverDef.CheckpointFormatVersion"),
    ),
    "CollectionDef": (
        Field(1, "node_list", "CollectionDef.NodeList", oneof="kind"),
        Field(2, "bytes_list", "CollectionDef.BytesList", oneof="kind"),
        Field(3, "int64_list", "CollectionDef.Int64List", oneof="kind"),
        Field(4, "float_list", "CollectionDef.FloatList", oneof="kind"),
        Field(5, "any_list", "CollectionDef.AnyList", oneof="kind"),
    ),
    "CollectionDef.NodeList": (Field(1, "value", "string", repeated=True),),
    "CollectionDef.BytesList": (Field(1, "value", "bytes", repeated=True),),
    "CollectionDef.Int64List": (Field(1, "value", "int64", repeated=True),),
    "CollectionDef.FloatList": (Field(1, "value", "float", repeated=True),),
    "CollectionDef.AnyList": (Field(1, "value", "Any", repeated=True),),
    "SignatureDef": (
        Field(1, "inputs", "map<string, TensorInfo>"),
        Field(2, "outputs", "map<string, TensorInfo>"),
        Field(3, "method_name", "string"),
        Field(4, "defaults", "map<string, TensorProto>"),
    ),
    "TensorInfo": (
        Field(1, "name", "string", oneof="encoding"),
        Field(4, "coo_sparse", "TensorInfo.CooSparse", oneof="encoding"),
        Field(5, "composite_tensor", "TensorInfo.CompositeTensor", oneof="encoding"),
        Field(2, "dtype", "DataType"),
        Field(3, "tensor_shape", "TensorShapeProto"),
    ),
    "TensorInfo.CooSparse": (
        Field(1, "values_tensor_name", "string"),
        Field(2, "indices_tensor_name", "string"),
        Field(3, "dense_shape_tensor_name", "string"),
    ),
    "TensorInfo.CompositeTensor": (
        Field(1, "type_spec", "TypeSpecProto"),
        Field(2, "components", "TensorInfo", repeated=True),
    ),
    "TypeSpecProto": (
        Field(1, "type_spec_class", "TypeSpecProto.TypeSpecClass"),
        Field(2, "type_state", "StructuredValue"),
        Field(3, "type_spec_class_name", "string"),
        Field(4, "num_flat_components", "int32"),
    ),
    "StructuredValue": (
        Field(1, "none_value", "NoneValue", oneof="kind"),
        Field(11, "float64_value", "double", oneof="kind"),
        Field(12, "int64_value", "sint64", oneof="kind"),
        Field(13, "string_value", "string", oneof="kind"),
        Field(14, "bool_value", "bool", oneof="kind"),
        Field(31, "tensor_shape_value", "TensorShapeProto", oneof="kind"),
        Field(32, "tensor_dtype_value", "DataType", oneof="kind"),
        Field(33, "tensor_spec_value", "TensorSpecProto", oneof="kind"),
        Field(34, "type_spec_value", "TypeSpecProto", oneof="kind"),
        Field(35, "bounded_tensor_spec_value", "BoundedTensorSpecProto", oneof="kind"),
        Field(51, "list_value", "ListValue", oneof="kind"),
        Field(52, "tuple_value", "TupleValue", oneof="kind"),
        Field(53, "dict_value", "DictValue", oneof="kind"),
        Field(54, "named_tuple_value", "NamedTupleValue", oneof="kind"),
        Field(55, "tensor_value", "TensorProto", oneof="kind"),
        Field(56, "numpy_value", "TensorProto", oneof="kind"),
    ),
    "NoneValue": (),
    "TensorSpecProto": (
        Field(1, "name", "string"),
        Field(2, "shape", "TensorShapeProto"),
        Field(3, "dtype", "DataType"),
    ),
    "BoundedTensorSpecProto": (
        Field(1, "name", "string"),
        Field(2, "shape", "TensorShapeProto"),
        Field(3, "dtype", "DataType"),
        Field(4, "minimum", "TensorProto"),
        Field(5, "maximum", "TensorProto"),
    ),
    "ListValue": (Field(1, "values", "StructuredValue", repeated=True),),
    "TupleValue": (Field(1, "values", "StructuredValue", repeated=True),),
    "DictValue": (Field(1, "fields", "map<string, StructuredValue>"),),
    "NamedTupleValue": (
        Field(1, "name", "string"),
        Field(2, "values", "PairValue", repeated=True),
    ),
    "PairValue": (
        Field(1, "key", "string"),
        Field(2, "value", "StructuredValue"),
    ),
    "AssetFileDef": (
        Field(1, "tensor_info", "TensorInfo"),
        Field(2, "filename", "string"),
    ),
    "SavedObjectGraph": (
        Field(1, "nodes", "SavedObject", repeated=True),
        Field(2, "concrete_functions", "map<string, SavedConcreteFunction>"),
    ),
    "SavedObject": (
        Field(1, "children", "TrackableObjectGraph.TrackableObject.ObjectReference", repeated=True),
        Field(15, "dependencies", "TrackableObjectGraph.TrackableObject.ObjectReference", repeated=True),
        Field(3, "slot_variables", "TrackableObjectGraph.TrackableObject.SlotVariableReference", repeated=True),
        Field(4, "user_object", "SavedUserObject", oneof="kind"),
        Field(5, "asset", "SavedAsset", oneof="kind"),
        Field(6, "function", "SavedFunction", oneof="kind"),
        Field(7, "variable", "SavedVariable", oneof="kind"),
        Field(8, "bare_concrete_function", "SavedBareConcreteFunction", oneof="kind"),
        Field(9, "constant", "SavedConstant", oneof="kind"),
        Field(10, "resource", "SavedResource", oneof="kind"),
        Field(12, "captured_tensor", "CapturedTensor", oneof="kind"),
        Field(11, "saveable_objects", "map<string, SaveableObject>"),
        Field(13, "registered_name", "string"),
        Field(14, "serialized_user_proto", "Any"),
        Field(16, "registered_saver", "string"),
    ),
    "TrackableObjectGraph": (),
    "TrackableObjectGraph.TrackableObject": (),
    "TrackableObjectGraph.TrackableObject.ObjectReference": (
        Field(1, "node_id", "int32"),
        Field(2, "local_name", "string"),
    ),
    "TrackableObjectGraph.TrackableObject.SlotVariableReference": (
        Field(1, "original_variable_node_id", "int32"),
        Field(2, "slot_name", "string"),
        Field(3, "slot_variable_node_id", "int32"),
    ),
    "SavedUserObject": (
        Field(1, "identifier", "string"),
        Field(2, "version", "VersionDef"),
        Field(3, "metadata", "string"),
    ),
    "SavedAsset": (Field(1, "asset_file_def_index", "int32"),),
    "SavedFunction": (
        Field(1, "concrete_functions", "string", repeated=True),
        Field(2, "function_spec", "FunctionSpec"),
    ),
    "FunctionSpec": (
        Field(1, "fullargspec", "StructuredValue"),
        Field(2, "is_method", "bool"),
        Field(5, "input_signature", "StructuredValue"),
        Field(6, "jit_compile", "FunctionSpec.JitCompile"),
    ),
    "SavedVariable": (
        Field(1, "dtype", "DataType"),
        Field(2, "shape", "TensorShapeProto"),
        Field(3, "trainable", "bool"),
        Field(4, "synchronization", "VariableSynchronization"),
        Field(5, "aggregation", "VariableAggregation"),
        Field(6, "name", "string"),
        Field(7, "device", "string"),
        Field(8, "experimental_distributed_variable_components", "SavedVariable", repeated=True),
    ),
    "SavedBareConcreteFunction": (
        Field(1, "concrete_function_name", "string"),
        Field(2, "argument_keywords", "string", repeated=True),
        Field(3, "allowed_positional_arguments", "int64"),
        Field(4, "function_spec", "FunctionSpec"),
    ),
    "SavedConstant": (Field(1, "operation", "string"),),
    "SavedResource": (Field(1, "device", "string"),),
    "CapturedTensor": (
        Field(1, "name", "string"),
        Field(2, "concrete_function", "string"),
    ),
    "SaveableObject": (
        Field(2, "save_function", "int32"),
        Field(3, "restore_function", "int32"),
    ),
    "SavedConcreteFunction": (
        Field(2, "bound_inputs", "int32", repeated=True),
        Field(3, "canonicalized_input_signature", "StructuredValue"),
        Field(4, "output_signature", "StructuredValue"),
    ),
    "FingerprintDef": (
        Field(1, "saved_model_checksum", "uint64"),
        Field(2, "graph_def_program_hash", "uint64"),
        Field(3, "signature_def_hash", "uint64"),
        Field(4, "saved_object_graph_hash", "uint64"),
        Field(5, "checkpoint_hash", "uint64"),
        Field(7, "uuid", "string"),
        Field(6, "version", "VersionDef"),
    ),
}


def _values(text: str) -> dict[str, int]:
    return {name: int(number) for name, _, number in (pair.partition("=") for pair in text.split())}


_ENUMS: dict[str, dict[str, int]] = {
    "DataType": _values(
        "DT_INVALID=0 DT_FLOAT=1 DT_DOUBLE=2 DT_INT32=3 DT_UINT8=4 DT_INT16=5 DT_INT8=6 DT_STRING=7 DT_COMPLEX64=8 "
        "DT_INT64=9 DT_BOOL=10 DT_QINT8=11 DT_QUINT8=12 DT_QINT32=13 DT_BFLOAT16=14 DT_QINT16=15 DT_QUINT16=16 "
        "DT_UINT16=17 DT_COMPLEX128=18 DT_HALF=19 DT_RESOURCE=20 DT_VARIANT=21 DT_UINT32=22 DT_UINT64=23 "
        "DT_FLOAT8_E5M2=24 DT_FLOAT8_E4M3FN=25 DT_FLOAT8_E4M3FNUZ=26 DT_FLOAT8_E4M3B11FNUZ=27 DT_FLOAT8_E5M2FNUZ=28 "
        "DT_INT4=29 DT_UINT4=30 DT_INT2=31 DT_UINT2=32 DT_FLOAT4_E2M1FN=33 DT_FLOAT_REF=101 DT_DOUBLE_REF=102 "
        "DT_INT32_REF=103 DT_UINT8_REF=104 DT_INT16_REF=105 DT_INT8_REF=106 DT_STRING_REF=107 DT_COMPLEX64_REF=108 "
        "DT_INT64_REF=109 DT_BOOL_REF=110 DT_QINT8_REF=111 DT_QUINT8_REF=112 DT_QINT32_REF=113 DT_BFLOAT16_REF=114 "
        "DT_QINT16_REF=115 DT_QUINT16_REF=116 DT_UINT16_REF=117 DT_COMPLEX128_REF=118 DT_HALF_REF=119 "
        "DT_RESOURCE_REF=120 DT_VARIANT_REF=121 DT_UINT32_REF=122 DT_UINT64_REF=123 DT_FLOAT8_E5M2_REF=124 "
        "DT_FLOAT8_E4M3FN_REF=125 DT_FLOAT8_E4M3FNUZ_REF=126 DT_FLOAT8_E4M3B11FNUZ_REF=127 DT_FLOAT8_E5M2FNUZ_REF=128 "
        "DT_INT4_REF=129 DT_UINT4_REF=130 DT_INT2_REF=131 DT_UINT2_REF=132 DT_FLOAT4_E2M1FN_REF=133"
    ),
    "FullTypeId": _values(
        "TFT_UNSET=0 TFT_VAR=1 TFT_ANY=2 TFT_PRODUCT=3 TFT_NAMED=4 TFT_FOR_EACH=20 TFT_CALLABLE=100 TFT_TENSOR=1000 "
        "TFT_ARRAY=1001 TFT_OPTIONAL=1002 TFT_LITERAL=1003 TFT_ENCODED=1004 TFT_SHAPE_TENSOR=1005 TFT_BOOL=200 "
        "TFT_UINT8=201 TFT_UINT16=202 TFT_UINT32=203 TFT_UINT64=204 TFT_INT8=205 TFT_INT16=206 TFT_INT32=207 "
        "TFT_INT64=208 TFT_HALF=209 TFT_FLOAT=210 TFT_DOUBLE=211 TFT_BFLOAT16=215 TFT_COMPLEX64=212 "
        "TFT_COMPLEX128=213 TFT_STRING=214 TFT_DATASET=10102 TFT_RAGGED=10103 TFT_ITERATOR=10104 TFT_MUTEX_LOCK=10202 "
        "TFT_LEGACY_VARIANT=10203"
    ),
    "VariableSynchronization": _values(
        "VARIABLE_SYNCHRONIZATION_AUTO=0 VARIABLE_SYNCHRONIZATION_NONE=1 VARIABLE_SYNCHRONIZATION_ON_WRITE=2 "
        "VARIABLE_SYNCHRONIZATION_ON_READ=3"
    ),
    "VariableAggregation": _values(
        "VARIABLE_AGGREGATION_NONE=0 VARIABLE_AGGREGATION_SUM=1 VARIABLE_AGGREGATION_MEAN=2 "
        "VARIABLE_AGGREGATION_ONLY_FIRST_REPLICA=3"
    ),
    "SaverDef.CheckpointFormatVersion": _values("LEGACY=0 V1=1 V2=2"),
    "TypeSpecProto.TypeSpecClass": _values(
        "UNKNOWN=0 SPARSE_TENSOR_SPEC=1 INDEXED_SLICES_SPEC=2 RAGGED_TENSOR_SPEC=3 TENSOR_ARRAY_SPEC=4 "
        "DATA_DATASET_SPEC=5 DATA_ITERATOR_SPEC=6 OPTIONAL_SPEC=7 PER_REPLICA_SPEC=8 VARIABLE_SPEC=9 "
        "ROW_PARTITION_SPEC=10 REGISTERED_TYPE_SPEC=12 EXTENSION_TYPE_SPEC=13"
    ),
    "FunctionSpec.JitCompile": _values("DEFAULT=0 ON=1 OFF=2"),
}

SCHEMA = ProtoFile(
    name="trimtab/savedmodel.proto",
    package="trimtab.tensorflow",
    messages=_MESSAGES,
    enums=_ENUMS,
)
