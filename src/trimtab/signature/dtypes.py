"""One table of element types: our name for each, and how every framework spells it.

A new framework is a new column; a new dtype is a new row. Nothing else in trimtab translates dtypes.

Sources: torch/_export/serde/schema.py `ScalarType` (column torch_export; not c10's numbers), onnx.proto3
`TensorProto.DataType` (column onnx), the Open Inference Protocol v2 tensor data types (column oip),
tensorflow/core/framework/types.proto under the names of `tf.DType.name` (column tensorflow),
c10/core/ScalarType.h (column c10, which ExecuTorch uses), model_config.proto of Triton's common repository (column
triton), tensorflow/lite/schema/schema.fbs `TensorType` (column tflite), ov::element::Type (column openvino),
CoreML's FeatureTypes.proto `ArrayDataType` (column coreml), mlflow.types.schema.DataType (column mlflow).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, NamedTuple, get_args


class DType(StrEnum):
    """The type of one element of a tensor."""

    BOOL = "bool"
    INT2 = "int2"
    INT4 = "int4"
    INT8 = "int8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    UINT2 = "uint2"
    UINT4 = "uint4"
    UINT8 = "uint8"
    UINT16 = "uint16"
    UINT32 = "uint32"
    UINT64 = "uint64"
    FLOAT4_E2M1 = "float4_e2m1"
    FLOAT6_E2M3 = "float6_e2m3"
    FLOAT6_E3M2 = "float6_e3m2"
    FLOAT8_E4M3FN = "float8_e4m3fn"
    FLOAT8_E4M3FNUZ = "float8_e4m3fnuz"
    FLOAT8_E5M2 = "float8_e5m2"
    FLOAT8_E5M2FNUZ = "float8_e5m2fnuz"
    FLOAT8_E8M0FNU = "float8_e8m0fnu"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    COMPLEX32 = "complex32"
    COMPLEX64 = "complex64"
    COMPLEX128 = "complex128"
    STRING = "string"
    """UTF-8 text of any length."""
    BYTES = "bytes"
    """Arbitrary bytes of any length."""

    @property
    def itemsize(self) -> int | None:
        """Bytes of one element; None where elements have no fixed number of whole bytes (text, packed types)."""
        return _ROWS[self].itemsize


Framework = Literal[
    "numpy",
    "torch",
    "torch_export",
    "c10",
    "onnx",
    "oip",
    "triton",
    "arrow",
    "tensorflow",
    "tflite",
    "openvino",
    "coreml",
    "mlflow",
]


class _Row(NamedTuple):
    itemsize: int | None
    numpy: str | None = None
    torch: str | None = None
    torch_export: int | None = None
    onnx: int | None = None
    oip: str | None = None
    arrow: str | None = None
    tensorflow: str | None = None
    c10: int | None = None
    triton: str | None = None
    tflite: int | None = None
    openvino: str | None = None
    coreml: int | None = None
    mlflow: str | None = None


_ROWS: dict[DType, _Row] = {
    DType.BOOL: _Row(
        1,
        "bool",
        "bool",
        12,
        9,
        "BOOL",
        "bool",
        tensorflow="bool",
        c10=11,
        triton="TYPE_BOOL",
        tflite=6,
        openvino="boolean",
        mlflow="boolean",
    ),
    DType.INT2: _Row(None, onnx=26, tensorflow="int2", tflite=19),
    DType.INT4: _Row(None, onnx=22, tensorflow="int4", tflite=17, openvino="i4"),
    DType.INT8: _Row(
        1,
        "int8",
        "int8",
        2,
        3,
        "INT8",
        "int8",
        tensorflow="int8",
        c10=1,
        triton="TYPE_INT8",
        tflite=9,
        openvino="i8",
        coreml=131080,
    ),
    DType.INT16: _Row(
        2,
        "int16",
        "int16",
        3,
        5,
        "INT16",
        "int16",
        tensorflow="int16",
        c10=2,
        triton="TYPE_INT16",
        tflite=7,
        openvino="i16",
    ),
    DType.INT32: _Row(
        4,
        "int32",
        "int32",
        4,
        6,
        "INT32",
        "int32",
        tensorflow="int32",
        c10=3,
        triton="TYPE_INT32",
        tflite=2,
        openvino="i32",
        coreml=131104,
        mlflow="integer",
    ),
    DType.INT64: _Row(
        8,
        "int64",
        "int64",
        5,
        7,
        "INT64",
        "int64",
        tensorflow="int64",
        c10=4,
        triton="TYPE_INT64",
        tflite=4,
        openvino="i64",
        mlflow="long",
    ),
    DType.UINT2: _Row(None, onnx=25, tensorflow="uint2", openvino="u2"),
    DType.UINT4: _Row(None, onnx=21, tensorflow="uint4", tflite=20, openvino="u4"),
    DType.UINT8: _Row(
        1,
        "uint8",
        "uint8",
        1,
        2,
        "UINT8",
        "uint8",
        tensorflow="uint8",
        c10=0,
        triton="TYPE_UINT8",
        tflite=3,
        openvino="u8",
    ),
    DType.UINT16: _Row(
        2,
        "uint16",
        "uint16",
        28,
        4,
        "UINT16",
        "uint16",
        tensorflow="uint16",
        c10=27,
        triton="TYPE_UINT16",
        tflite=16,
        openvino="u16",
    ),
    DType.UINT32: _Row(
        4,
        "uint32",
        "uint32",
        34,
        12,
        "UINT32",
        "uint32",
        tensorflow="uint32",
        c10=28,
        triton="TYPE_UINT32",
        tflite=15,
        openvino="u32",
    ),
    DType.UINT64: _Row(
        8,
        "uint64",
        "uint64",
        35,
        13,
        "UINT64",
        "uint64",
        tensorflow="uint64",
        c10=29,
        triton="TYPE_UINT64",
        tflite=12,
        openvino="u64",
    ),
    DType.FLOAT4_E2M1: _Row(None, onnx=23, tensorflow="float4_e2m1fn", openvino="f4e2m1"),
    DType.FLOAT6_E2M3: _Row(None, onnx=27),
    DType.FLOAT6_E3M2: _Row(None, onnx=28),
    DType.FLOAT8_E4M3FN: _Row(1, None, "float8_e4m3fn", 29, 17, tensorflow="float8_e4m3fn", c10=24, openvino="f8e4m3"),
    DType.FLOAT8_E4M3FNUZ: _Row(1, None, "float8_e4m3fnuz", 31, 18, tensorflow="float8_e4m3fnuz", c10=26),
    DType.FLOAT8_E5M2: _Row(1, None, "float8_e5m2", 30, 19, tensorflow="float8_e5m2", c10=23, openvino="f8e5m2"),
    DType.FLOAT8_E5M2FNUZ: _Row(1, None, "float8_e5m2fnuz", 32, 20, tensorflow="float8_e5m2fnuz", c10=25),
    DType.FLOAT8_E8M0FNU: _Row(1, None, "float8_e8m0fnu", 33, 24, c10=44, openvino="f8e8m0"),
    DType.FLOAT16: _Row(
        2,
        "float16",
        "float16",
        6,
        10,
        "FP16",
        "halffloat",
        tensorflow="float16",
        c10=5,
        triton="TYPE_FP16",
        tflite=1,
        openvino="f16",
        coreml=65552,
    ),
    DType.BFLOAT16: _Row(
        2,
        None,
        "bfloat16",
        13,
        16,
        "BF16",
        tensorflow="bfloat16",
        c10=15,
        triton="TYPE_BF16",
        tflite=18,
        openvino="bf16",
    ),
    DType.FLOAT32: _Row(
        4,
        "float32",
        "float32",
        7,
        1,
        "FP32",
        "float",
        tensorflow="float32",
        c10=6,
        triton="TYPE_FP32",
        tflite=0,
        openvino="f32",
        coreml=65568,
        mlflow="float",
    ),
    DType.FLOAT64: _Row(
        8,
        "float64",
        "float64",
        8,
        11,
        "FP64",
        "double",
        tensorflow="float64",
        c10=7,
        triton="TYPE_FP64",
        tflite=10,
        openvino="f64",
        coreml=65600,
        mlflow="double",
    ),
    DType.COMPLEX32: _Row(4, None, "complex32", 9, c10=8),
    DType.COMPLEX64: _Row(8, "complex64", "complex64", 10, 14, tensorflow="complex64", c10=9, tflite=8),
    DType.COMPLEX128: _Row(16, "complex128", "complex128", 11, 15, tensorflow="complex128", c10=10, tflite=11),
    DType.STRING: _Row(
        None, "object", None, None, 8, "BYTES", "string", triton="TYPE_STRING", openvino="string", mlflow="string"
    ),
    DType.BYTES: _Row(None, None, None, None, None, None, "binary", tensorflow="string", tflite=5, mlflow="binary"),
}

_BY_SPELLING: dict[tuple[str, str | int], DType] = {
    (framework, spelled): dtype
    for framework in get_args(Framework)
    for dtype, row in _ROWS.items()
    if (spelled := getattr(row, framework)) is not None
}


def dtype_of(framework: Framework, spelling: str | int) -> DType | None:
    """The dtype that `framework` writes as `spelling` (`"FP32"`, 1, `"torch.float32"`), or None if it is not known."""
    if framework == "torch" and isinstance(spelling, str):
        spelling = spelling.removeprefix("torch.")
    return _BY_SPELLING.get((framework, spelling))


def spelling(dtype: DType, framework: Framework) -> str | int | None:
    """How `framework` writes `dtype`, or None where it has no such type.

    Bytes travel as OIP's BYTES too, and TensorFlow's `string` holds text as well as any other bytes.
    """
    if dtype is DType.BYTES and framework in ("oip", "numpy"):
        dtype = DType.STRING
    elif dtype is DType.STRING and framework == "tensorflow":
        dtype = DType.BYTES
    spelled: str | int | None = getattr(_ROWS[dtype], framework)
    return spelled
