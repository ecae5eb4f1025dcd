"""The guarantee that matters: a leaf sees the same in a trimmed request as in the whole one, accepted or refused."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trimtab import DType, EntryPoint, FeatureConverter, Input, Overload, Presence, Signature, Tensor, Trimmer
from trimtab.errors import ConversionError
from trimtab.protocols import oip

FEATURES = [f"feature_{number}" for number in range(8)]
SIGNATURE_INPUTS = [
    Input(name="feature_0", type=Tensor(DType.FLOAT32, ("batch",))),
    Input(name="feature_1", type=Tensor(DType.INT64, ("batch", 2)), aliases=("feature_7",)),
    Input(name="feature_2", type=Tensor(None, None), presence=Presence.OPTIONAL),
]
SIGNATURE = Signature(
    entry_points=(EntryPoint(name="forward", overloads=(Overload(inputs=tuple(SIGNATURE_INPUTS)),)),),
    default_entry_point="forward",
)
DTYPES = {"FP32": np.float32, "INT64": np.int64, "BOOL": np.bool_}


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Requests over the features, right and wrong ones, raw and typed."""
    rows = draw(st.integers(0, 3))
    request = oip.ModelInferRequest(model_name="m", model_version=draw(st.sampled_from(["", "1"])))
    raw = draw(st.booleans())
    usual = {"feature_0": ("FP32", [rows]), "feature_1": ("INT64", [rows, 2]), "feature_7": ("INT64", [rows, 2])}
    left_out = draw(st.sampled_from(["feature_1", "feature_7", "feature_7", "feature_0", "none"]))
    for name in draw(st.permutations([name for name in FEATURES if name != left_out])):
        odd = draw(st.integers(0, 39)) == 0
        datatype, shape = ("BOOL", [rows, 1]) if odd else usual.get(name, ("FP32", [rows, 3]))
        tensor = request.inputs.add(name=name, datatype=datatype, shape=shape)
        values = np.arange(np.prod(shape)).astype(DTYPES[datatype])
        if raw:
            request.raw_input_contents.append(values.tobytes())
        elif datatype == "FP32":
            tensor.contents.fp32_contents.extend(values.tolist())
        elif datatype == "INT64":
            tensor.contents.int64_contents.extend(values.tolist())
        else:
            tensor.contents.bool_contents.extend(values.tolist())
    return bytes(request.SerializeToString())


def seen_by_the_leaf(payload: bytes) -> object:
    """What the converter makes of a request: tensors, or that it refuses."""
    try:
        converted = FeatureConverter(SIGNATURE, model="m", version="1").from_request(payload)
    except ConversionError:
        return "refused"
    return {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in converted.arrays.items()}


@given(requests())
def test_a_leaf_sees_the_same_in_a_trimmed_request(payload: bytes) -> None:
    trimmed = Trimmer.from_allowlist(SIGNATURE.allowlist).trim(payload)
    assert len(trimmed) <= len(payload)
    assert {value.name for value in oip.ModelInferRequest.FromString(trimmed).inputs} <= SIGNATURE.allowlist
    assert seen_by_the_leaf(trimmed) == seen_by_the_leaf(payload)
