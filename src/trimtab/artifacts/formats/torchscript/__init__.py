"""TorchScript archives (`.pt`, `.ptl`): their code is text, which says every method's arguments, types and defaults.

What reads them is imported once an archive is known to be one: every zip is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.artifacts.formats.torch_archive import declared, embed, expect_archive, open_archive

if TYPE_CHECKING:
    from trimtab.signature.model import Signature
    from trimtab.source.bytes import ByteSource

__all__ = ["declared", "derive", "embed", "match", "name"]

name = "torchscript"


def match(source: ByteSource) -> bool:
    """Whether this is a TorchScript archive: `constants.pkl` is the test that torch itself uses."""
    archive = open_archive(source)
    return archive is not None and "constants.pkl" in archive and "archive_format" not in archive


def derive(source: ByteSource) -> Signature:
    """One entry point per method of the root class; `forward` first."""
    from trimtab.artifacts.formats.torchscript.reader import read_archive

    return read_archive(expect_archive(source))
