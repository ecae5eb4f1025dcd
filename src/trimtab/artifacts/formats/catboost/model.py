"""What a CatBoost model says of itself, whichever of its files it is in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec
from msgspec import Struct, field

from trimtab.artifacts.limits import check_json
from trimtab.errors import ArtifactError

if TYPE_CHECKING:
    from trimtab.signature.model import Live

MAX_INFO_BYTES = 4 << 20
"""How much of an entry of the metadata is parsed."""


class Feature(NamedTuple):
    """One feature.

    position: among all features. kind: float, categorical, text or embedding. name: empty where it was trained without.
    width: how many numbers an embedding has. nullable: whether NaN stood for missing values in training.
    """

    position: int
    kind: str
    name: str
    live: Live
    nullable: bool = False
    width: int = 0


class Facts(NamedTuple):
    """A model. dimension: how many numbers it gives for a row; None where the file does not say.

    information: texts of its metadata, of those keys that are asked for.
    """

    features: tuple[Feature, ...]
    dimension: int | None
    information: dict[str, bytes]


VERSION, PARAMETERS, CLASSES, OLD_CLASSES = "catboost_version_info", "params", "class_params", "multiclass_params"
KEYS = (VERSION, PARAMETERS, CLASSES, OLD_CLASSES)
"""The metadata that say something of a signature."""


def producer(facts: Facts) -> str:
    """The release that trained the model, as CatBoost's own account of its sources has it."""
    found = _RELEASE.search(facts.information.get(VERSION, b""))
    return f"catboost {found[1].decode()}" if found else ""


def loss_function(facts: Facts) -> str:
    """The name of what was minimized in training; empty where the file does not say."""
    parameters = _parsed(facts, PARAMETERS, _PARAMETERS)
    return parameters.loss_function.type if parameters else ""


def class_names(facts: Facts) -> tuple[str | int | float | bool, ...]:
    """The classes in the order of what the model gives; empty for a model that is no classifier."""
    for key in (CLASSES, OLD_CLASSES):
        classes = _parsed(facts, key, _CLASSES)
        if classes and classes.class_names:
            return tuple(classes.class_names)
    return ()


class _Loss(Struct):
    type: str = ""


class _Parameters(Struct):
    loss_function: _Loss = field(default_factory=_Loss)


class _Classes(Struct):
    class_names: list[bool | int | float | str] = field(default_factory=list)


_PARAMETERS = msgspec.json.Decoder(_Parameters)
_CLASSES = msgspec.json.Decoder(_Classes)
_RELEASE = re.compile(rb"(?:tags/v|CatBoost release )([0-9][0-9a-z.+-]*[0-9a-z])")


_T = TypeVar("_T")


def _parsed(facts: Facts, key: str, decoder: msgspec.json.Decoder[_T]) -> _T | None:
    """An entry of the metadata. What cannot be parsed is taken for absent: nothing of a request depends on it."""
    text = facts.information.get(key)
    if text is None:
        return None
    try:
        check_json(text, key)
        return decoder.decode(text)
    except (msgspec.MsgspecError, ArtifactError, UnicodeDecodeError, RecursionError):
        return None
