"""The Open Inference Protocol v2 over gRPC, as data.

Fields and numbers: the protocol's published `grpc_predict_v2.proto`, with all five choices of InferParameter. Servers
that know only the first three (kserve 0.21, mlserver 1.7) skip the others: send bool, int64 and string parameters.
"""

from __future__ import annotations

from trimtab.source.descriptors import message_classes, method_paths
from trimtab.source.proto import Field, Method, ProtoFile

_PARAMETERS = "map<string, InferParameter>"
_TENSOR = (
    Field(1, "name", "string"),
    Field(2, "datatype", "string"),
    Field(3, "shape", "int64", repeated=True),
)
_CONTENT_TENSOR = (
    *_TENSOR,
    Field(4, "parameters", _PARAMETERS),
    Field(5, "contents", "InferTensorContents"),
)

OPEN_INFERENCE = ProtoFile(
    name="trimtab/protocols/oip.proto",
    package="inference",
    messages={
        "ServerLiveRequest": (),
        "ServerLiveResponse": (Field(1, "live", "bool"),),
        "ServerReadyRequest": (),
        "ServerReadyResponse": (Field(1, "ready", "bool"),),
        "ModelReadyRequest": (Field(1, "name", "string"), Field(2, "version", "string")),
        "ModelReadyResponse": (Field(1, "ready", "bool"),),
        "ServerMetadataRequest": (),
        "ServerMetadataResponse": (
            Field(1, "name", "string"),
            Field(2, "version", "string"),
            Field(3, "extensions", "string", repeated=True),
        ),
        "ModelMetadataRequest": (Field(1, "name", "string"), Field(2, "version", "string")),
        "ModelMetadataResponse": (
            Field(1, "name", "string"),
            Field(2, "versions", "string", repeated=True),
            Field(3, "platform", "string"),
            Field(4, "inputs", "ModelMetadataResponse.TensorMetadata", repeated=True),
            Field(5, "outputs", "ModelMetadataResponse.TensorMetadata", repeated=True),
        ),
        "ModelMetadataResponse.TensorMetadata": _TENSOR,
        "ModelInferRequest": (
            Field(1, "model_name", "string"),
            Field(2, "model_version", "string"),
            Field(3, "id", "string"),
            Field(4, "parameters", _PARAMETERS),
            Field(5, "inputs", "ModelInferRequest.InferInputTensor", repeated=True),
            Field(6, "outputs", "ModelInferRequest.InferRequestedOutputTensor", repeated=True),
            Field(7, "raw_input_contents", "bytes", repeated=True),
        ),
        "ModelInferRequest.InferInputTensor": _CONTENT_TENSOR,
        "ModelInferRequest.InferRequestedOutputTensor": (
            Field(1, "name", "string"),
            Field(2, "parameters", _PARAMETERS),
        ),
        "ModelInferResponse": (
            Field(1, "model_name", "string"),
            Field(2, "model_version", "string"),
            Field(3, "id", "string"),
            Field(4, "parameters", _PARAMETERS),
            Field(5, "outputs", "ModelInferResponse.InferOutputTensor", repeated=True),
            Field(6, "raw_output_contents", "bytes", repeated=True),
        ),
        "ModelInferResponse.InferOutputTensor": _CONTENT_TENSOR,
        "InferParameter": (
            Field(1, "bool_param", "bool", oneof="parameter_choice"),
            Field(2, "int64_param", "int64", oneof="parameter_choice"),
            Field(3, "string_param", "string", oneof="parameter_choice"),
            Field(4, "double_param", "double", oneof="parameter_choice"),
            Field(5, "uint64_param", "uint64", oneof="parameter_choice"),
        ),
        "InferTensorContents": (
            Field(1, "bool_contents", "bool", repeated=True),
            Field(2, "int_contents", "int32", repeated=True),
            Field(3, "int64_contents", "int64", repeated=True),
            Field(4, "uint_contents", "uint32", repeated=True),
            Field(5, "uint64_contents", "uint64", repeated=True),
            Field(6, "fp32_contents", "float", repeated=True),
            Field(7, "fp64_contents", "double", repeated=True),
            Field(8, "bytes_contents", "bytes", repeated=True),
        ),
    },
    service="GRPCInferenceService",
    methods=tuple(
        Method(name, f"{name}Request", f"{name}Response")
        for name in ("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer")
    ),
)

SERVICE = f"{OPEN_INFERENCE.package}.{OPEN_INFERENCE.service}"
METHODS = method_paths(OPEN_INFERENCE)
"""The path of each method: `{"ModelInfer": "/inference.GRPCInferenceService/ModelInfer", ...}`."""

CONTENTS_FIELDS: dict[str, str] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""The field of InferTensorContents that carries a datatype; FP16 and BF16 travel as raw contents only."""

_CLASSES = message_classes(OPEN_INFERENCE, __name__)
ServerLiveRequest = _CLASSES["ServerLiveRequest"]
ServerLiveResponse = _CLASSES["ServerLiveResponse"]
ServerReadyRequest = _CLASSES["ServerReadyRequest"]
ServerReadyResponse = _CLASSES["ServerReadyResponse"]
ModelReadyRequest = _CLASSES["ModelReadyRequest"]
ModelReadyResponse = _CLASSES["ModelReadyResponse"]
ServerMetadataRequest = _CLASSES["ServerMetadataRequest"]
ServerMetadataResponse = _CLASSES["ServerMetadataResponse"]
ModelMetadataRequest = _CLASSES["ModelMetadataRequest"]
ModelMetadataResponse = _CLASSES["ModelMetadataResponse"]
ModelInferRequest = _CLASSES["ModelInferRequest"]
ModelInferResponse = _CLASSES["ModelInferResponse"]
InferParameter = _CLASSES["InferParameter"]
InferTensorContents = _CLASSES["InferTensorContents"]
