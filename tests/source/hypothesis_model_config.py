"""Hypothesis strategies for Triton's ModelConfig, by the official messages."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["INPUT__0", "a b", "quote \" and ' and \\", "new\nline", "ünï", ""]
)
dims = st.lists(st.integers(-1, 1 << 40), max_size=4)


@st.composite
def tensors(draw: st.DrawFn, kind: Any, *, given: bool) -> Any:
    tensor = kind(name=draw(texts), data_type=draw(st.integers(0, 14)), dims=draw(dims))
    if draw(st.booleans()):
        tensor.reshape.shape.extend(draw(dims))
        tensor.reshape.SetInParent()
    if given:
        tensor.optional = draw(st.booleans())
        tensor.format = draw(st.integers(0, 2))
        tensor.allow_ragged_batch = draw(st.booleans())
    else:
        tensor.label_filename = draw(texts)
    tensor.is_shape_tensor = draw(st.booleans())
    return tensor


@st.composite
def configs(draw: st.DrawFn, messages: Any) -> Any:
    """Any model configuration, sensible or not."""
    config = messages.ModelConfig(
        name=draw(texts),
        platform=draw(texts),
        backend=draw(texts),
        max_batch_size=draw(st.integers(-(1 << 31), (1 << 31) - 1)),
        input=draw(st.lists(tensors(messages.ModelInput, given=True), max_size=3)),
        output=draw(st.lists(tensors(messages.ModelOutput, given=False), max_size=2)),
        default_model_filename=draw(texts),
    )
    for key, value in draw(st.dictionaries(texts, texts, max_size=2)).items():
        config.parameters[key].string_value = value
        config.cc_model_filenames[key] = value
    if draw(st.booleans()):
        control = config.sequence_batching.control_input.add(name=draw(texts)).control.add()
        control.fp32_false_true.extend(draw(st.lists(st.floats(width=32, allow_nan=False), max_size=3)))
    else:
        config.version_policy.specific.versions.extend(draw(dims))
    return config
