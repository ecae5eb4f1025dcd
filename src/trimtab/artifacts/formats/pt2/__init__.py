"""torch.export archives (`.pt2`): their programs are JSON, with every input, output, dtype and symbolic size."""

from __future__ import annotations

from trimtab.artifacts.formats.pt2.reader import declared, derive, embed, match, name

__all__ = ["declared", "derive", "embed", "match", "name"]
