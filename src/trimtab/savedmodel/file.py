"""Find the proto of a SavedModel in its directory and open it, binary or text."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from trimtab.errors import ArtifactError, RefusedArtifactError
from trimtab.source.bytes import LocalFile, MemorySource

if TYPE_CHECKING:
    from trimtab.source.bytes import ByteSource

BINARY, TEXT, SPLIT = "saved_model.pb", "saved_model.pbtxt", "saved_model.cpb"

MAX_BINARY_BYTES = 1 << 31
"""A protobuf message cannot be larger, and TensorFlow writes none that is."""

MAX_TEXT_BYTES = 32 << 20
"""Text is parsed as a whole, and slowly."""


def find_proto(directory: str) -> str | None:
    """The path of the proto in a directory, in the order in which TensorFlow looks: binary, then text; or None."""
    for name in (BINARY, TEXT, SPLIT):
        path = os.path.join(directory, name)
        if os.path.isfile(path):
            return path
    return None


def open_proto(path: str | os.PathLike[str]) -> ByteSource:
    """The bytes of a SavedModel's proto, whatever it is stored as.

    path: the SavedModel's directory, or the proto in it.
    RefusedArtifactError for protos split over several chunks (`.cpb`) and for those of 2 GiB or more.
    """
    name = os.fspath(path)
    if os.path.isdir(name):
        found = find_proto(name)
        if found is None:
            raise ArtifactError(
                where=name,
                expected=f"a SavedModel: a directory with {BINARY} or {TEXT}",
                got="neither",
                hint="Name the directory that tf.saved_model.save was given; the versions of TF Serving lie one below.",
            )
        name = found
    if name.endswith(".cpb"):
        raise RefusedArtifactError(
            "a SavedModel whose proto is split into chunks is not read",
            where=name,
            expected=f"{BINARY} or {TEXT}",
            got="riegeli records",
            hint="TensorFlow's Python loader does not read it either. Save without experimental_image_format.",
        )
    source = LocalFile(name)
    if source.size >= MAX_BINARY_BYTES:
        source.close()
        raise RefusedArtifactError(
            where=name,
            expected="a proto of less than 2 GiB, protobuf's limit",
            got=f"{source.size} bytes",
            hint="Keep the weights in variables, which are stored beside the proto, and not in constants.",
        )
    return _from_text(source) if name.endswith(".pbtxt") else source


def _from_text(source: LocalFile) -> MemorySource:
    """The same message in binary."""
    with source:
        if source.size > MAX_TEXT_BYTES:
            raise RefusedArtifactError(
                where=source.name,
                expected=f"a text proto of at most {MAX_TEXT_BYTES} bytes",
                got=f"{source.size}",
                hint=f"Save the model as {BINARY}: tf.saved_model.save(model, path, as_text=False).",
            )
        from trimtab.savedmodel.messages import parse_text

        return MemorySource(parse_text(source.read(0, source.size), source.name), source.name)
