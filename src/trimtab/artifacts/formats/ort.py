"""Recognize models in ONNX Runtime's own format, and say what to do instead.

The format is a flatbuffer of the optimized graph whose schema changes with ONNX Runtime. The .onnx file that it was
made from says the same, and is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.errors import RefusedArtifactError

if TYPE_CHECKING:
    from trimtab.signature.model import Signature
    from trimtab.source.bytes import ByteSource

name = "ort"

_IDENTIFIER = b"ORTM"


def match(source: ByteSource) -> bool:
    """Whether this is a flatbuffer that calls itself an ONNX Runtime model."""
    return source.head(8)[4:] == _IDENTIFIER


def derive(source: ByteSource) -> Signature:
    """Refused, always."""
    raise RefusedArtifactError(
        "this is a model in ONNX Runtime's own format (.ort), which is not read",
        where=source.name,
        hint="Read the .onnx file that it was made from, or put that file's signature beside this one: "
        f"trimtab embed {source.name} --signature MODEL.onnx",
    )


def declared(source: ByteSource) -> bytes | None:  # noqa: ARG001  # a reader is given its source; this kind has no room
    """None: the flatbuffer has no place for a document."""
    return None
