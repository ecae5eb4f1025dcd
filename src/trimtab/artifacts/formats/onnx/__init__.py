"""ONNX models: protobuf, whose graph states its inputs and outputs, and whose metadata can hold a document."""

from __future__ import annotations

from trimtab.artifacts.formats.onnx.reader import declared, derive, embed, match, name

__all__ = ["declared", "derive", "embed", "match", "name"]
