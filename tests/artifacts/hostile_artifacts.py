"""Hostile files of every format, made when they are needed: what must be read or refused soon, and run nothing."""

from __future__ import annotations

from hostile_archives import ARCHIVES, CODE, PICKLES, ZIPPED
from hostile_making import MARK, Hostile
from hostile_messages import FLATBUFFERS, HEADERS, ONNX, UBJSON
from hostile_texts import JSON, LINES, TRITON, XML, YAML

__all__ = ["FILES", "MARK", "Hostile"]

FILES: dict[str, Hostile] = {
    **ARCHIVES,
    **PICKLES,
    **CODE,
    **ZIPPED,
    **ONNX,
    **FLATBUFFERS,
    **UBJSON,
    **HEADERS,
    **JSON,
    **LINES,
    **XML,
    **TRITON,
    **YAML,
}
"""Every hostile file by what is hostile about it."""
