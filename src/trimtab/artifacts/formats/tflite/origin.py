"""What made a TensorFlow Lite model: the converter's metadata, which lie in buffers among those of weights.

Schemas: `Metadata` of tensorflow/compiler/mlir/lite/schema/schema.fbs, and for the buffer `CONVERSION_METADATA`
tensorflow/compiler/mlir/lite/schema/conversion_metadata.fbs.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from trimtab.errors import ArtifactError
from trimtab.source.flatbuffer import UINT32, FlatBuffer

if TYPE_CHECKING:
    from trimtab.source.bytes import ByteSource
    from trimtab.source.flatbuffer import FlatTable


class Origin(NamedTuple):
    """The converter, and what else is known of the conversion."""

    producer: str
    notes: tuple[str, ...]


def origin_of(source: ByteSource, model: FlatTable) -> Origin:
    """What a model's table says of its conversion. Metadata are for people: damaged ones are left out."""
    buffers = _metadata(model)
    producer = ""
    notes = []
    if _CONVERSION in buffers:
        with suppress(ArtifactError):
            producer = _converter(source, buffers[_CONVERSION])
    if description := model.text(_DESCRIPTION):
        notes.append(description)
    if _RUNTIME in buffers:
        start, end = buffers[_RUNTIME]
        version = source.read(start, min(end - start, _LONGEST_VERSION)).rstrip(b"\0")
        notes.append(f"runs on TensorFlow Lite {version.decode(errors='replace')} and later")
    return Origin(producer, tuple(notes))


# Model
_DESCRIPTION, _BUFFERS, _METADATA = 3, 4, 6
# Metadata and Buffer
_NAME, _BUFFER = 0, 1
_DATA = 0
# ConversionMetadata and Environment
_ENVIRONMENT, _TENSORFLOW = 0, 0

_CONVERSION = "CONVERSION_METADATA"
_RUNTIME = "min_runtime_version"
_MOST_METADATA = 100
_MOST_TABLES = 10
_LONGEST_VERSION = 32


def _metadata(model: FlatTable) -> dict[str, tuple[int, int]]:
    """Where the content of each piece of metadata lies, by its name."""
    found = {}
    for each in islice(model.tables(_METADATA), _MOST_METADATA):
        with suppress(ArtifactError):
            span = model.table_in(_BUFFERS, each.number(_BUFFER, UINT32)).span(_DATA)
            if span is not None:
                found[each.text(_NAME)] = span
    return found


def _converter(source: ByteSource, span: tuple[int, int]) -> str:
    environment = FlatBuffer(source, *span, max_tables=_MOST_TABLES).root().table(_ENVIRONMENT)
    version = environment.text(_TENSORFLOW) if environment is not None else ""
    return f"tensorflow {version}" if version else ""
