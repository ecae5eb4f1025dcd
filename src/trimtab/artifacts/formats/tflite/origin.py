"""What is said about a TensorFlow Lite model beside its graph: metadata, which lie in buffers among those of weights.

Schemas: `Metadata` of tensorflow/compiler/mlir/lite/schema/schema.fbs; for the buffer `CONVERSION_METADATA`
conversion_metadata.fbs beside it; for `TFLITE_METADATA`, which TFLite's metadata tools add for people and code
generators, tensorflow_lite_support/metadata/metadata_schema.fbs.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from trimtab.errors import ArtifactError
from trimtab.source.flatbuffer import FLOAT32, UINT32, FlatBuffer

if TYPE_CHECKING:
    from trimtab.source.bytes import ByteSource
    from trimtab.source.flatbuffer import FlatTable


class Origin(NamedTuple):
    """The converter, what else is known of the conversion, and what the tensors of the main subgraph are said to be."""

    producer: str
    notes: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def origin_of(source: ByteSource, model: FlatTable) -> Origin:
    """What a model's metadata say. They are for people: damaged ones are left out."""
    buffers = _metadata(model)
    producer = ""
    notes = []
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    if description := model.text(_DESCRIPTION):
        notes.append(description)
    with suppress(ArtifactError):
        producer = _converter(source, buffers.get(_CONVERSION))
    if _RUNTIME in buffers:
        start, end = buffers[_RUNTIME]
        version = source.read(start, min(end - start, _LONGEST_VERSION)).rstrip(b"\0")
        notes.append(f"runs on TensorFlow Lite {version.decode(errors='replace')} and later")
    with suppress(ArtifactError):
        inputs, outputs = _descriptions(source, buffers.get(_DESCRIPTIONS))
    return Origin(producer, tuple(notes), inputs, outputs)


# Model
_DESCRIPTION, _BUFFERS, _METADATA = 3, 4, 6
# Metadata and Buffer
_NAME, _BUFFER = 0, 1
_DATA = 0
# ConversionMetadata and Environment
_ENVIRONMENT, _TENSORFLOW = 0, 0
# ModelMetadata, SubGraphMetadata, TensorMetadata and Stats
_GRAPHS, _INPUTS, _OUTPUTS = 3, 2, 3
_TENSOR_NAME, _TENSOR_DESCRIPTION, _STATS = 0, 1, 5
_MAXIMUM, _MINIMUM = 0, 1

_CONVERSION = "CONVERSION_METADATA"
_RUNTIME = "min_runtime_version"
_DESCRIPTIONS = "TFLITE_METADATA"
_MOST_METADATA = 100
_MOST_TABLES = 10_000
_LONGEST_VERSION = 32
_LONGEST_TEXT = 1000


def _metadata(model: FlatTable) -> dict[str, tuple[int, int]]:
    """Where the content of each piece of metadata lies, by its name."""
    found = {}
    for each in islice(model.tables(_METADATA), _MOST_METADATA):
        with suppress(ArtifactError):
            span = model.table_in(_BUFFERS, each.number(_BUFFER, UINT32)).span(_DATA)
            if span is not None:
                found[each.text(_NAME)] = span
    return found


def _converter(source: ByteSource, span: tuple[int, int] | None) -> str:
    if span is None:
        return ""
    environment = FlatBuffer(source, *span, max_tables=_MOST_TABLES).root().table(_ENVIRONMENT)
    version = environment.text(_TENSORFLOW) if environment is not None else ""
    return f"tensorflow {version}" if version else ""


def _descriptions(source: ByteSource, span: tuple[int, int] | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is said of each input and output of the first subgraph, in its order."""
    if span is None:
        return (), ()
    model = FlatBuffer(source, *span, max_tables=_MOST_TABLES).root()
    if not model.count(_GRAPHS):
        return (), ()
    graph = model.table_in(_GRAPHS, 0)
    return tuple(map(_description, graph.tables(_INPUTS))), tuple(map(_description, graph.tables(_OUTPUTS)))


def _description(tensor: FlatTable) -> str:
    parts = [tensor.text(_TENSOR_NAME), tensor.text(_TENSOR_DESCRIPTION)]
    stats = tensor.table(_STATS)
    if stats is not None and stats.count(_MINIMUM) == stats.count(_MAXIMUM) == 1:
        (low,), (high,) = stats.reals(_MINIMUM, FLOAT32), stats.reals(_MAXIMUM, FLOAT32)
        parts.append(f"seen from {low:.9g} to {high:.9g}")
    return ": ".join(filter(None, parts))[:_LONGEST_TEXT]
