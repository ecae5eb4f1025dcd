"""A request joined from columns is the request that the protocol's own classes would have written."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.errors import ConversionError
from trimtab.protocols import oip
from trimtab.trimming.building import InputLayout, RequestBuilder, RequestLayout, RequestTemplate

DATATYPES = {"FP32": "f4", "FP64": "f8", "INT64": "i8", "INT32": "i4", "BOOL": "?", "UINT8": "u1", "FP16": "f2"}

names = st.text(min_size=0, max_size=20)
dims = st.one_of(st.none(), st.integers(0, 5))
parameters = st.lists(
    st.tuples(names, st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.text(max_size=5))),
    max_size=2,
    unique_by=lambda pair: pair[0],
).map(tuple)
inputs = st.builds(
    InputLayout, names, st.sampled_from([*DATATYPES, "BYTES"]), st.lists(dims, max_size=3).map(tuple), parameters
)
layouts = st.builds(RequestLayout, names, st.sampled_from(["", "1", "42"]), st.lists(inputs, max_size=6).map(tuple))


def size(value: InputLayout, batch: int) -> int:
    return int(np.prod([batch if dim is None else dim for dim in value.shape], dtype=int)) * (
        np.dtype(DATATYPES[value.datatype]).itemsize
    )


def obvious(layout: RequestLayout, batch: int, columns: list[bytes], request_id: str) -> oip.ModelInferRequest:
    request = oip.ModelInferRequest(
        model_name=layout.model_name, model_version=layout.model_version, id=request_id, raw_input_contents=columns
    )
    for value in layout.inputs:
        tensor = request.inputs.add(name=value.name, datatype=value.datatype)
        tensor.shape.extend(batch if dim is None else dim for dim in value.shape)
        for key, parameter in value.parameters:
            if isinstance(parameter, bool):
                tensor.parameters[key].bool_param = parameter
            elif isinstance(parameter, int):
                tensor.parameters[key].int64_param = parameter
            else:
                tensor.parameters[key].string_param = parameter
    return request


@given(layouts, st.integers(0, 300), st.text(max_size=200), st.data())
def test_built_equals_what_protobuf_builds(
    layout: RequestLayout, batch: int, request_id: str, data: st.DataObject
) -> None:
    columns = [
        data.draw(st.binary(max_size=300)) if value.datatype == "BYTES" else bytes([data.draw(st.integers(0, 255))]) * n
        for value in layout.inputs
        for n in [0 if value.datatype == "BYTES" else size(value, batch)]
    ]
    built = RequestBuilder().build(layout, batch, columns, request_id)
    assert oip.ModelInferRequest.FromString(built) == obvious(layout, batch, columns, request_id)


def layout_of(*values: InputLayout) -> RequestLayout:
    return RequestLayout("ctr", "7", values)


AGE = InputLayout("age", "FP32", (None, 1))
TAGS = InputLayout("tags", "BYTES", (None,))


def test_buffers_of_any_kind_give_the_same_bytes() -> None:
    template = RequestTemplate(layout_of(AGE), 3)
    column = np.arange(3, dtype=np.float32).reshape(3, 1)
    built = template.build([column])
    assert built == template.build([column.tobytes()]) == template.build([memoryview(column)])
    assert built == template.build([column[:, 0]]) == template.build([np.broadcast_to(column, (3, 1)).copy()])


def test_a_template_is_not_changed_by_what_it_builds() -> None:
    template = RequestTemplate(layout_of(AGE, TAGS), 1)
    first = template.build([b"\0\0\0\0", b"\1\0\0\0a"], "one")
    template.build([b"\1\1\1\1", b"\2\0\0\0ab"])
    assert template.build([b"\0\0\0\0", b"\1\0\0\0a"], "one") == first


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ([np.zeros((3, 1), np.float64)], '"age": expected 12 bytes of FP32 [N, 1] with N = 3, got 24 bytes'),
        ([np.zeros((4, 1), np.float32)], '"age": expected 12 bytes of FP32 [N, 1] with N = 3, got 16 bytes'),
        ([np.zeros((3, 2), np.float32)[:, :1]], '"age": expected a C-contiguous buffer'),
        ([np.zeros(3, np.float32)] * 2, "expected 1 columns, got 2"),
        ([], "expected 1 columns, got 0"),
    ],
)
def test_a_column_that_does_not_fit_is_named(columns: list[np.ndarray], text: str) -> None:
    with pytest.raises(ConversionError) as refusal:
        RequestTemplate(layout_of(AGE), 3).build(columns)
    assert text in str(refusal.value)
    assert "ctr" in str(refusal.value)


def test_columns_in_the_wrong_order_are_refused_though_the_sum_of_sizes_fits() -> None:
    wide = InputLayout("wide", "FP32", (None, 2))
    with pytest.raises(ConversionError, match='"age"'):
        RequestTemplate(layout_of(AGE, wide), 1).build([b"\0" * 8, b"\0" * 4])


def test_a_datatype_that_the_protocol_does_not_have_is_refused() -> None:
    with pytest.raises(ConversionError, match="FP31"):
        RequestTemplate(layout_of(InputLayout("x", "FP31", (None,))), 1)


def test_templates_are_kept_up_to_the_capacity() -> None:
    builder = RequestBuilder(capacity=2)
    layout = layout_of(AGE)
    kept = builder.template(layout, 1)
    for batch in (2, 1, 3):
        builder.template(layout, batch)
    assert len(builder) == 2
    assert builder.template(layout, 1) is kept
    assert builder.template(layout, 3).batch == 3
