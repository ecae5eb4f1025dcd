"""TensorFlow Lite models: a flatbuffer with signatures, or with none but a main graph; documents go behind it."""

from __future__ import annotations

from trimtab.artifacts.formats.tflite.reader import declared, derive, embed, match, name

__all__ = ["declared", "derive", "embed", "match", "name"]
