"""Triton's model configuration, a text file, and the folder of a model in Triton's repository."""

from __future__ import annotations

from trimtab.artifacts.formats.triton.reader import declared, derive, match, name, open_folder

__all__ = ["declared", "derive", "embed", "match", "name", "open_folder"]


def embed(path: str, document: bytes) -> None:
    """Write the document into the text, by editing the one place in it."""
    from trimtab.artifacts.formats.triton.embedding import embed as write  # reading does not need it

    write(path, document)
