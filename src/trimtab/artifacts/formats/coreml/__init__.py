"""CoreML models: a protobuf (`.mlmodel`), or a package around one (`.mlpackage`), that describes its features."""

from __future__ import annotations

from trimtab.artifacts.formats.coreml.reader import declared, derive, embed, match, name, open_folder

__all__ = ["declared", "derive", "embed", "match", "name", "open_folder"]
