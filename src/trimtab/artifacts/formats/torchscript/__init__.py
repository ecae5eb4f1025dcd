"""TorchScript archives (`.pt`, `.ptl`): their code is text, which says every method's arguments, types and defaults."""

from __future__ import annotations

from trimtab.artifacts.formats.torchscript.reader import declared, derive, embed, match, name

__all__ = ["declared", "derive", "embed", "match", "name"]
