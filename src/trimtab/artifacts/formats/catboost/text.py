"""A CatBoost model exported as JSON. Its trees are not looked at; in a large file they are nearly all of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, Struct, field

from trimtab.artifacts.formats.catboost.model import KEYS, MAX_INFO_BYTES, Facts, Feature
from trimtab.artifacts.limits import MAX_VALUES, check_count, check_json
from trimtab.errors import ArtifactError
from trimtab.signature.model import Live
from trimtab.source.json_walk import JsonOutline, outline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.source.bytes import ByteSource

INFORMATION = ("model_info",)

_START = re.compile(rb'\s*\{\s*"(?:ctr_data"\s*:\s*\{|features_info"\s*:\s*\{)')


def starts_as_text(head: bytes) -> bool:
    """Whether the first members are those of an exported model: the keys are sorted."""
    return _START.match(head) is not None


def read_text(source: ByteSource) -> Facts:
    """The facts of an exported model. ArtifactError where it is damaged."""
    model = _decoded(source)
    features = model.features_info
    check_count(len(features.float_features) + len(features.categorical_features), MAX_VALUES, "features", source.name)
    information = {key: _text(source, model.model_info[key]) for key in KEYS if key in model.model_info}
    return Facts(
        tuple(_features(features)),
        _dimension(bytes(model.scale_and_bias)),
        {key: text for key, text in information.items() if len(text) <= MAX_INFO_BYTES},
    )


def read_entry(source: ByteSource, key: str, limit: int) -> bytes | None:
    """The text of one entry of the metadata. ArtifactError when it is longer than `limit`."""
    value = _decoded(source).model_info.get(key)
    text = None if value is None else _text(source, value)
    if text is not None and len(text) > limit:
        raise ArtifactError(where=f"{source.name}: {key}", expected=f"at most {limit} bytes", got=str(len(text)))
    return text


def with_entry(source: ByteSource, key: str, value: bytes) -> tuple[tuple[int, int], bytes]:
    """Where the metadata lie, and what is to stand there for `value` (UTF-8) to be their entry `key`."""
    span = _outline(source).spans.get(INFORMATION)
    if span is None:
        raise ArtifactError(where=source.name, expected="the model's metadata before its trees", got="none")
    members = _decode(source, source.read(span[0], span[1] - span[0]), _MEMBERS)
    members[key] = Raw(msgspec.json.encode(value.decode()))
    return span, msgspec.json.encode(members)


class _Float(Struct):
    flat_feature_index: int = -1
    feature_id: str = ""
    has_nans: bool = False
    borders: Raw = Raw()


class _Categorical(Struct):
    feature_index: int = -1
    flat_feature_index: int = -1
    feature_id: str = ""
    values: Raw = Raw()


class _Element(Struct):
    cat_feature_index: int = -1


class _Table(Struct):
    elements: list[_Element] = field(default_factory=list)


class _Features(Struct):
    float_features: list[_Float] = field(default_factory=list)
    categorical_features: list[_Categorical] = field(default_factory=list)
    ctrs: list[_Table] = field(default_factory=list)


class _Model(Struct):
    features_info: _Features
    model_info: dict[str, Raw] = field(default_factory=dict)
    scale_and_bias: Raw = Raw()


# Made once, when the module is imported: msgspec then evaluates the annotations above, and never while it reads a file.
_MODEL = msgspec.json.Decoder(_Model)
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])


def _outline(source: ByteSource) -> JsonOutline:
    return outline(
        source,
        bulk=(("oblivious_trees",), ("trees",)),
        left_out=(("ctr_data",),),
        located=(INFORMATION,),
        needed=(b'"scale_and_bias"', b'"features_info"'),
    )


def _decoded(source: ByteSource) -> _Model:
    known = source.memo.get("catboost")
    if isinstance(known, _Model):
        return known
    text = _outline(source).text
    check_json(_NUMBERS.sub(b"[]", text), source.name)
    model: _Model = _decode(source, text, _MODEL)
    source.memo["catboost"] = model
    return model


_NUMBERS = re.compile(rb'\[[^\[\]{}"]+\]')
"""Lists of numbers: a feature may have hundreds of borders, of which none is decoded."""


def _decode(source: ByteSource, text: bytes, decoder: Any) -> Any:
    try:
        return decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as failure:
        raise ArtifactError(
            where=source.name, expected="a CatBoost model exported as JSON", got=str(failure)[:200] or "deep nesting"
        ) from None


def _features(features: _Features) -> Iterator[Feature]:
    for number in features.float_features:
        live = Live.YES if _is_filled(number.borders) else Live.NO
        yield Feature(number.flat_feature_index, "float", number.feature_id, live, nullable=number.has_nans)
    looked_up = {element.cat_feature_index for table in features.ctrs for element in table.elements}
    for category in features.categorical_features:
        used = _is_filled(category.values) or category.feature_index in looked_up
        live = Live.YES if used else Live.UNKNOWN
        yield Feature(category.flat_feature_index, "categorical", category.feature_id, live)


def _is_filled(numbers: Raw) -> bool:
    """Whether a list has anything in it."""
    return bool(bytes(numbers).strip(b"[] \t\r\n"))


def _dimension(scale_and_bias: bytes) -> int | None:
    """How many biases there are; models before 0.25 wrote one for all dimensions."""
    if b"[" not in scale_and_bias[1:]:
        return None
    return scale_and_bias.count(b",", scale_and_bias.index(b"[", 1)) + 1


def _text(source: ByteSource, value: Raw) -> bytes:
    """An entry as the binary file has it: texts as they are, the rest as JSON."""
    raw = bytes(value)
    if not raw.startswith(b'"'):
        return raw
    text: str = _decode(source, raw, _TEXT)  # what is kept raw has not been checked to be UTF-8
    return text.encode()


_TEXT = msgspec.json.Decoder(str)
