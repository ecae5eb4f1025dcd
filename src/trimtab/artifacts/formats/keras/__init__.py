"""Keras 3 models (`.keras`): a zip archive whose `config.json` describes the layers."""

from __future__ import annotations

from trimtab.artifacts.formats.keras.reader import declared, derive, embed, match, name

__all__ = ["declared", "derive", "embed", "match", "name"]
