"""torch.export archives (`.pt2`): their programs are JSON, with every input, output, dtype and symbolic size.

What reads them is imported once an archive is known to be one: every zip is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.artifacts.formats.torch_archive import embed, expect_archive, open_archive

if TYPE_CHECKING:
    from trimtab.signature.model import Signature
    from trimtab.source.bytes import ByteSource

__all__ = ["declared", "derive", "embed", "match", "name"]

name = "pt2"


def match(source: ByteSource) -> bool:
    """Whether this is a torch.export or AOTInductor package, of any layout."""
    archive = open_archive(source)
    return archive is not None and (archive.legacy or "archive_format" in archive)


def derive(source: ByteSource) -> Signature:
    """One entry point per program, and per compiled model that has no program of its name.

    RefusedArtifactError for a package that holds nothing but compiled code without its text.
    """
    from trimtab.artifacts.formats.pt2.reader import read_archive

    return read_archive(expect_archive(source))


def declared(source: ByteSource) -> bytes | None:
    """The document at `extra/module_info.json`, or else the one in the metadata of a compiled model."""
    from trimtab.artifacts.formats.pt2.reader import find_document

    return find_document(expect_archive(source))
