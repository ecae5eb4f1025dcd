"""Payload formats as data: where a serialized request keeps what the trimmer needs to know.

A new protocol is a table and its test vectors; the kernel walks any of them (native/core/payload.hpp).
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from trimtab import _kernel

Path = tuple[int, ...]


def path(*fields: int) -> Path:
    """The field numbers that lead from a message to a value inside it."""
    return fields


class PayloadTable(msgspec.Struct, frozen=True, kw_only=True):
    """Where a protobuf request keeps its model, its version and the elements that may be dropped.

    model_name, model_version: from the request; an empty path where the format has none.
    elements: the repeated message field that is trimmed.
    key: from an element to its name.
    parallel: the repeated field whose i-th entry belongs to the i-th element; 0 where the format has none.
    version_is_varint: the version is a number (compared as its decimal text), not a string.
    """

    model_name: Path
    model_version: Path
    elements: int
    key: Path
    parallel: int = 0
    version_is_varint: bool = False

    @property
    def compiled(self) -> _kernel.PayloadTable:
        """The table in the kernel's form. ValueError for field numbers that protobuf does not have."""
        return _compiled_table(self)


class TensorFields(msgspec.Struct, frozen=True, kw_only=True):
    """Where an element that is a tensor keeps what a converter needs: field numbers inside the element."""

    datatype: int
    shape: int
    parameters: int
    contents: int

    @property
    def compiled(self) -> _kernel.TensorFields:
        """The fields in the kernel's form."""
        return _compiled_fields(self)


MODEL_INFER_REQUEST = PayloadTable(
    model_name=path(1),
    model_version=path(2),
    elements=5,
    key=path(1),
    parallel=7,  # raw_input_contents[i] belongs to inputs[i]
)
"""`inference.ModelInferRequest` of the Open Inference Protocol v2 (KServe, Triton)."""

INFER_INPUT_TENSOR = TensorFields(datatype=2, shape=3, parameters=4, contents=5)
"""`inference.ModelInferRequest.InferInputTensor`, an element of MODEL_INFER_REQUEST."""

PREDICT_REQUEST = PayloadTable(
    model_name=path(1, 1),
    model_version=path(1, 2, 1),  # model_spec.version.value, an Int64Value
    elements=2,  # a map: each entry is one element
    key=path(1),
    version_is_varint=True,
)
"""`tensorflow.serving.PredictRequest`."""


@lru_cache(maxsize=64)
def _compiled_table(table: PayloadTable) -> _kernel.PayloadTable:
    return _kernel.PayloadTable(
        model_name=table.model_name,
        model_version=table.model_version,
        elements=table.elements,
        key=table.key,
        parallel=table.parallel,
        version_is_varint=table.version_is_varint,
    )


@lru_cache(maxsize=64)
def _compiled_fields(fields: TensorFields) -> _kernel.TensorFields:
    return _kernel.TensorFields(
        datatype=fields.datatype, shape=fields.shape, parameters=fields.parameters, contents=fields.contents
    )
