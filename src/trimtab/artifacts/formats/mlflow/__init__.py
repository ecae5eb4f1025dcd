"""MLflow models: a folder with a file `MLmodel`, which declares a signature beside the model's own files."""

from __future__ import annotations

from trimtab.artifacts.formats.mlflow.reader import declared, derive, match, name, open_folder

__all__ = ["declared", "derive", "embed", "match", "name", "open_folder"]


def embed(path: str, document: bytes) -> None:
    """Write the document into the text, by editing the one place in it."""
    from trimtab.artifacts.formats.mlflow.embedding import embed as write  # reading does not need it

    write(path, document)
