"""Read an XGBoost model in JSON around its trees.

XGBoost's own parser differs from JSON in one thing that shows in names: it does not decode backslash-u. A file with
`"\\u00fc"` has a feature of six characters, and XGBoost writes that name back in the same way.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec

from trimtab.artifacts.formats.xgboost.model_file import USAGE_BELOW, ModelFile, model_file
from trimtab.artifacts.formats.xgboost.usage import Usage
from trimtab.artifacts.limits import check_json
from trimtab.errors import ArtifactError
from trimtab.signature import strict_json
from trimtab.source.json_walk import JsonOutline, Path, outline

if TYPE_CHECKING:
    from trimtab.source.bytes import ByteSource

ATTRIBUTES: Path = ("learner", "attributes")
_BOOSTER: Path = ("learner", "gradient_booster")
_MODELS: tuple[Path, ...] = ((*_BOOSTER, "model"), (*_BOOSTER, "gbtree", "model"))
"""Where trees and categories lie: of `gbtree`, and of `dart`, which wraps one."""

_TREES = frozenset((*each, "trees") for each in _MODELS)
_CATEGORIES = tuple((*each, "cats") for each in _MODELS)
_LEFT_OUT = frozenset((*each, key) for each in _MODELS for key in ("cats", "iteration_indptr", "tree_info", "weights"))
_NEEDED = (b'"learner_model_param"', b'"objective"')

_MAX_CATEGORIES_BYTES = 8 << 20


def read_text(source: ByteSource) -> ModelFile:
    """The model's description from JSON. ArtifactError where it is damaged."""
    text, spans = outline_of(source)
    check_json(text, source.name)
    value = strict_json.parse(_with_literal_escapes(text, source), where=source.name, error=ArtifactError)
    places = [spans[path] for path in _CATEGORIES if path in spans]
    categories = _read_categories(source, *places[0]) if places else _categories_behind(value)
    return model_file(source, value, categories, _split_on(source))


def outline_of(source: ByteSource) -> JsonOutline:
    """The model's text without what grows with its trees, and the places of its attributes and categories."""
    return outline(source, bulk=_TREES, left_out=_LEFT_OUT, located=(ATTRIBUTES, *_CATEGORIES), needed=_NEEDED)


def _with_literal_escapes(text: bytes, source: ByteSource) -> bytes:
    """The text with every backslash-u doubled, so that a JSON parser makes of it what XGBoost does."""

    def doubled(match: re.Match[bytes]) -> bytes:
        if match[1] == b"u":
            return rb"\\u"
        if match[1] not in b'"\\nrt':
            raise ArtifactError(
                where=source.name,
                expected=r"an escape that XGBoost reads (\" \\ \n \r \t)",
                got=repr(match[0].decode("utf-8", "replace")),
                hint="XGBoost cannot load this file. Save the model again with XGBoost, as .ubj.",
            )
        return match[0]

    return re.sub(rb"\\(.)", doubled, text, flags=re.DOTALL) if b"\\" in text else text


def _read_categories(source: ByteSource, start: int, end: int) -> Any:
    """Decoded apart from the rest: a column's text is a list of byte values, of which there may be millions."""
    if end - start > _MAX_CATEGORIES_BYTES:
        raise ArtifactError(
            where=f"{source.name}: cats", expected=f"at most {_MAX_CATEGORIES_BYTES} bytes", got=str(end - start)
        )
    try:
        return msgspec.json.decode(source.read(start, end - start))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
        raise ArtifactError(where=f"{source.name}: cats", expected="JSON", got=str(failure)) from None


def _categories_behind(value: Any) -> Any:
    """The categories of a text that has them behind its trees, where they are not left out; else None."""
    try:
        booster = value["learner"]["gradient_booster"]
        return booster.get("gbtree", booster)["model"]["cats"]
    except (LookupError, TypeError, AttributeError):
        return None


def _split_on(source: ByteSource) -> frozenset[int] | None:
    """The features that trees split on, of a file small enough to be read whole."""
    if source.size > USAGE_BELOW:
        return None
    data = source.read(0, source.size)
    check_json(data, source.name)
    try:
        value = json.loads(data)  # trees may hold NaN, which the strict parser refuses
        booster = value["learner"]["gradient_booster"]
        trees = booster.get("gbtree", booster)["model"]["trees"]
        usage = Usage()
        for tree in trees:
            usage.add(tree["split_indices"], tree["left_children"])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return usage.split_on
