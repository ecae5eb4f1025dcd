"""OpenVINO's intermediate representation: XML that describes the graph, with the weights in a `.bin` beside it."""

from __future__ import annotations

from trimtab.artifacts.formats.openvino.reader import declared, derive, embed, match, name

__all__ = ["declared", "derive", "embed", "match", "name"]
