"""CatBoost's binary model file: a flatbuffer, and behind it the tables that categories and texts are looked up in.

Field numbers: catboost/libs/model/flatbuffers/model.fbs and features.fbs.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from trimtab.artifacts.formats.catboost.model import KEYS, MAX_INFO_BYTES, Facts, Feature
from trimtab.artifacts.limits import MAX_VALUES, check_count
from trimtab.errors import ArtifactError
from trimtab.signature.model import Live
from trimtab.source.flatbuffer import INT32, FlatBuffer, FlatTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.source.bytes import ByteSource

MAGIC = b"CBM1"
_START = 8
_FORMAT = "FlabuffersModel_v1"  # CatBoost's spelling

# TModelCore and TKeyValue
_FORMAT_VERSION, _TREES, _INFORMATION = 0, 1, 2
_KEY, _VALUE = 0, 1
# TModelTrees
_DIMENSION = 0
_CATEGORICAL, _FLOAT, _TEXT, _EMBEDDING = 4, 5, 12, 18
# TFloatFeature
_HAS_NANS, _FLOAT_POSITION, _BORDERS, _FLOAT_NAME = 0, 2, 3, 4
# TCatFeature, TTextFeature, TEmbeddingFeature
_POSITION, _NAME = 1, 2
_USED = 3
_WIDTH, _EMBEDDING_USED = 3, 4

_MAX_ENTRIES = 10_000
_LONGEST_KEY = 200


def read_binary(source: ByteSource) -> Facts:
    """The facts of a binary model. ArtifactError where it is damaged."""
    core = _core(source)
    version = core.text(_FORMAT_VERSION)
    trees = core.table(_TREES)
    if version != _FORMAT or trees is None:
        raise ArtifactError(
            where=source.name,
            expected=f"trees in CatBoost's format {_FORMAT}",
            got=repr(version) if trees is not None else "none",
            hint="Save the model with a current CatBoost.",
        )
    check_count(sum(map(trees.count, (_CATEGORICAL, _FLOAT, _TEXT, _EMBEDDING))), MAX_VALUES, "features", source.name)
    return Facts(tuple(_features(trees)), trees.number(_DIMENSION, INT32), _information(source, core, KEYS))


def read_entry(source: ByteSource, key: str, limit: int) -> bytes | None:
    """The text of one entry of the metadata. ArtifactError when it is longer than `limit`."""
    return _information(source, _core(source), (key,), limit).get(key)


def _core(source: ByteSource) -> FlatTable:
    size = int.from_bytes(source.read(4, 4), "little")
    if _START + size > source.size:
        raise ArtifactError(
            where=source.name,
            expected=f"a model of {size} bytes after its first {_START}",
            got=f"{source.size - _START}",
            hint="The file is cut short. Copy it again from its origin.",
        )
    return FlatBuffer(source, _START, _START + size).root()


def _features(trees: FlatTable) -> Iterator[Feature]:
    for each in trees.tables(_FLOAT):
        yield Feature(
            each.number(_FLOAT_POSITION, INT32, -1),
            "float",
            each.text(_FLOAT_NAME),
            Live.YES if each.count(_BORDERS) else Live.NO,  # what no tree compares has no borders
            nullable=each.flag(_HAS_NANS),
        )
    for field, kind in ((_CATEGORICAL, "categorical"), (_TEXT, "text"), (_EMBEDDING, "embedding")):
        for each in trees.tables(field):
            embedding = kind == "embedding"
            used = each.flag(_EMBEDDING_USED if embedding else _USED, default=True)
            yield Feature(
                each.number(_POSITION, INT32, -1),
                kind,
                each.text(_NAME),
                Live.YES if used else Live.NO,
                width=each.number(_WIDTH, INT32) if embedding else 0,
            )


def _information(
    source: ByteSource, core: FlatTable, keys: tuple[str, ...], limit: int = MAX_INFO_BYTES
) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for each in islice(core.tables(_INFORMATION), _MAX_ENTRIES):
        place = each.span(_KEY)
        key = source.read(place[0], min(place[1] - place[0], _LONGEST_KEY)).decode(errors="replace") if place else ""
        value = each.span(_VALUE) if key in keys else None
        if value is None:
            continue
        if key in found:
            raise ArtifactError(where=f"{source.name}: metadata", expected="each key once", got=f"{key!r} twice")
        if value[1] - value[0] > limit:
            raise ArtifactError(
                where=f"{source.name}: {key}", expected=f"at most {limit} bytes", got=str(value[1] - value[0])
            )
        found[key] = source.read(value[0], value[1] - value[0])
    return found
