"""What the files beside the proto say of the variables: their dtypes and shapes, and the objects that they belong to.

`variables.index` is a sorted string table (the format of LevelDB, without compression) of BundleEntryProtos; the
objects are one string tensor in a data file. Weights are never read. Sources: tensorflow/core/lib/io/format.cc,
core/util/tensor_bundle, core/protobuf/{tensor_bundle,trackable_object_graph}.proto.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from trimtab.errors import ArtifactError
from trimtab.savedmodel.graph_protos import TensorShapeProto
from trimtab.savedmodel.message import BYTES, VARINT, decode, fields, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.savedmodel.graph_protos import Shape

INDEX = os.path.join("variables", "variables.index")

MAX_INDEX_BYTES = 64 << 20
MAX_OBJECT_GRAPH_BYTES = 64 << 20
MAX_TENSORS = 200_000
"""How many entries an index has, before it is taken for a bomb: one block may be named again and again."""

OBJECT_GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"

_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_FOOTER_BYTES = 48


class Entry(NamedTuple):
    """One stored tensor."""

    dtype: int
    shape: Shape
    shard: int
    offset: int
    size: int


class CheckpointObject(NamedTuple):
    """One object of the checkpoint: its children by name, and of each attribute the full name and the key."""

    children: dict[str, int]
    stored: dict[str, tuple[str, str]]


class Checkpoint(NamedTuple):
    """The tensors by key, and the objects by the ids that they had when the checkpoint was written."""

    where: str
    tensors: dict[str, Entry]
    objects: tuple[CheckpointObject, ...]


def read_checkpoint(directory: str) -> Checkpoint | None:
    """The checkpoint of a SavedModel; None when it has none. ArtifactError when its index is damaged."""
    path = os.path.join(directory, INDEX)
    if not os.path.isfile(path):
        return None
    if os.path.getsize(path) > MAX_INDEX_BYTES:
        raise ArtifactError(where=path, expected=f"at most {MAX_INDEX_BYTES} bytes", got=str(os.path.getsize(path)))
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as failure:
        raise ArtifactError(where=path, expected="a file that can be read", got=failure.strerror or "") from None
    tensors: dict[str, Entry] = {}
    shards = 1
    for count, (key, value) in enumerate(_table(data, path)):
        if count > MAX_TENSORS:
            raise ArtifactError(where=path, expected=f"at most {MAX_TENSORS} tensors", got="more")
        if key == b"":
            shards = next((begin for number, kind, begin, _ in fields(value, 0, len(value), path) if number == 1), 1)
        else:
            tensors[key.decode("utf-8", "replace")] = _entry(value, path)
    return Checkpoint(path, tensors, _objects(path, tensors.get(OBJECT_GRAPH_KEY), shards))


def _entry(value: bytes, where: str) -> Entry:
    shape = TensorShapeProto()
    numbers = {1: 0, 3: 0, 4: 0, 5: 0}
    for number, wire_type, begin, end in fields(value, 0, len(value), where):
        if number == 2 and wire_type == BYTES:
            shape = decode(TensorShapeProto, value, where, begin, end)
        elif number in numbers and wire_type == VARINT:
            numbers[number] = begin
    return Entry(numbers[1], shape.shape, numbers[3], numbers[4], numbers[5])


def _objects(index: str, entry: Entry | None, shards: int) -> tuple[CheckpointObject, ...]:
    """The TrackableObjectGraph: a scalar string, stored as its length, a checksum of that, and its bytes."""
    if entry is None or entry.size > MAX_OBJECT_GRAPH_BYTES:
        return ()
    path = f"{index.removesuffix('index')}data-{entry.shard:05d}-of-{shards:05d}"
    try:
        with open(path, "rb") as file:
            file.seek(entry.offset)
            data = file.read(entry.size)
    except (OSError, OverflowError):
        return ()
    length, start = _varint(data, 0, path)
    start += 4
    if len(data) - start != length:
        raise ArtifactError(where=f"{path}: {OBJECT_GRAPH_KEY}", expected=f"{length} bytes", got=str(len(data) - start))
    where = f"{path}: {OBJECT_GRAPH_KEY}"
    nodes = fields(data, start, len(data), where)
    return tuple(_object(data, begin, end, where) for number, kind, begin, end in nodes if (number, kind) == (1, BYTES))


def _object(data: bytes, start: int, end: int, where: str) -> CheckpointObject:
    found = CheckpointObject({}, {})
    for number, wire_type, begin, stop in fields(data, start, end, where):
        if wire_type != BYTES or number not in (1, 2):
            continue
        numbers, texts = {}, {}
        for inner, inner_type, at, until in fields(data, begin, stop, where):
            if inner_type == BYTES:
                texts[inner] = text(data, at, until, where)
            else:
                numbers[inner] = at
        if number == 1:
            found.children[texts.get(2, "")] = numbers.get(1, 0)
        else:
            found.stored[texts.get(1, "")] = (texts.get(2, ""), texts.get(3, ""))
    return found


def _table(data: bytes, where: str) -> Iterator[tuple[bytes, bytes]]:
    """Every key and value of a sorted string table."""
    if len(data) < _FOOTER_BYTES or data[-8:] != _MAGIC:
        raise ArtifactError(where=where, expected="the end of a checkpoint's index", got=repr(data[-8:]))
    footer = data[-_FOOTER_BYTES:]
    position = 0
    for _ in range(2):
        _, position = _varint(footer, position, where)
    for _, handle in _block(data, footer, position, where):
        yield from _block(data, handle, 0, where)


def _block(data: bytes, handle: bytes, position: int, where: str) -> Iterator[tuple[bytes, bytes]]:
    """The entries of the block that a handle (offset, size) points to; each key shares a prefix with the one before."""
    start, position = _varint(handle, position, where)
    size, _ = _varint(handle, position, where)
    end = start + size
    if size < 4 or end >= len(data) or data[end] != 0:
        raise ArtifactError(where=f"{where} at byte {start}", expected="an uncompressed block", got=f"{size} bytes")
    restarts = int.from_bytes(data[end - 4 : end], "little")
    end -= 4 + 4 * restarts
    key = b""
    at = start
    while at < end:
        shared, at = _varint(data, at, where)
        added, at = _varint(data, at, where)
        length, at = _varint(data, at, where)
        if shared > len(key) or at + added + length > end:
            raise ArtifactError(where=f"{where} at byte {at}", expected="an entry inside its block", got="a longer one")
        key = key[:shared] + data[at : at + added]
        at += added
        yield key, data[at : at + length]
        at += length


def _varint(data: bytes, position: int, where: str) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ArtifactError(where=f"{where} at byte {position}", expected="a whole number", got="the end of the data")
