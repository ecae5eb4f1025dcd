"""What an XGBoost model file says besides its trees, from either of its two encodings.

Layout: doc/model.schema of XGBoost, and what its versions 1.7 to 3.2 write. The keys of every object are sorted, so
that names and categories stand before the trees, and the number of classes and the objective behind them; another order
is read too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from trimtab.artifacts.formats.columns import check_names
from trimtab.errors import ArtifactError, RefusedArtifactError

if TYPE_CHECKING:
    from trimtab.source.bytes import ByteSource

UBJSON_START = b"{L\0\0\0\0\0\0\0"
"""An object whose first key is shorter than 256 bytes, as XGBoost writes lengths: in JSON, `L` cannot stand there."""

USAGE_BELOW = 1 << 20
"""In files up to this size the trees are read for the features that they split on; in larger ones they are skipped."""


class Parameters(Struct):
    """`learner.learner_model_param`: numbers as text."""

    num_feature: str
    num_class: str = "0"
    num_target: str = "1"
    base_score: str = ""


class Objective(Struct):
    """`learner.objective`: the loss that the model was trained for."""

    name: str


class Learner(Struct):
    """`learner`, as far as it is not the booster."""

    learner_model_param: Parameters
    objective: Objective
    feature_names: tuple[str, ...] = ()
    feature_types: tuple[str, ...] = ()
    attributes: dict[str, str] = {}


class Encoding(Struct):
    """The categories of one feature: text as UTF-8 bytes between offsets, or numbers of a type."""

    values: list[int | float]
    offsets: list[int] | None = None
    type: int | None = None


class ModelFile(Struct, kw_only=True):
    """The facts of a model file.

    categories: one for each feature, or none at all (no categorical feature, or written before XGBoost 3).
    split_on: the indices of the features that some tree splits on; None where the trees were not looked at.
    """

    learner: Learner
    version: tuple[int, ...]
    booster: str
    categories: tuple[Encoding, ...]
    split_on: frozenset[int] | None


def read_model_file(source: ByteSource) -> ModelFile:
    """The model's description. ArtifactError where it is damaged, or contradicts itself."""
    known = source.memo.get(_MEMO)
    if isinstance(known, ModelFile):
        return known
    if source.head(len(UBJSON_START)) == UBJSON_START:
        from trimtab.artifacts.formats.xgboost.binary import read_binary as read
    else:
        from trimtab.artifacts.formats.xgboost.text import read_text as read
    model = read(source)
    source.memo[_MEMO] = model
    return model


_MEMO = "xgboost: model file"


def model_file(
    source: ByteSource, value: dict[str, Any], categories: Any, split_on: frozenset[int] | None
) -> ModelFile:
    """The facts in a decoded model without trees, checked. categories: the value of `cats`, or None."""
    learner = _converted(value.get("learner"), Learner, source, "learner")
    booster = value["learner"].get("gradient_booster")
    if not isinstance(booster, dict) or not booster.keys() & {"model", "gbtree"}:
        raise RefusedArtifactError(
            "this is the configuration of an XGBoost model, without the model",
            where=source.name,
            hint="Save the model itself: booster.save_model, not save_config.",
        )
    encodings = () if categories is None else _converted(categories, _Categories, source, "cats").enc
    model = ModelFile(
        learner=learner,
        version=_converted(value.get("version", ()), tuple[int, ...], source, "version"),
        booster=str(booster.get("name", "")),
        categories=encodings,
        split_on=split_on,
    )
    _check(source, model)
    return model


class _Categories(Struct):
    enc: tuple[Encoding, ...]


def _converted(value: Any, type_: Any, source: ByteSource, place: str) -> Any:
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as failure:
        raise ArtifactError(
            where=f"{source.name}: {place}", expected="the layout of an XGBoost model", got=str(failure)
        ) from None


def feature_count(model: ModelFile) -> int:
    """`num_feature` as a number."""
    return int(model.learner.learner_model_param.num_feature)


def _check(source: ByteSource, model: ModelFile) -> None:
    parameters = model.learner.learner_model_param
    for key in ("num_feature", "num_class", "num_target"):
        number = getattr(parameters, key)
        if not (number.isascii() and number.isdigit() and len(number) < 12):
            raise ArtifactError(
                where=f"{source.name}: learner_model_param.{key}", expected="a number as text", got=repr(number)[:80]
            )
    names = model.learner.feature_names
    check_names(names, f"{source.name}: feature_names")
    count = feature_count(model)
    for key, values in (
        ("feature_names", names),
        ("feature_types", model.learner.feature_types),
        ("cats.enc", model.categories),
    ):
        if len(values) not in (0, count):
            raise ArtifactError(
                "the model contradicts itself",
                where=f"{source.name}: {key}",
                expected=f"one for each of the {count} features of num_feature, or none",
                got=str(len(values)),
                hint="Was the file edited by hand? Save the model again with XGBoost.",
            )
