"""MLflow models: a folder with a file `MLmodel`, which declares a signature beside the model's own files."""

from __future__ import annotations

from trimtab.artifacts.formats.mlflow.embedding import embed
from trimtab.artifacts.formats.mlflow.reader import declared, derive, match, name, open_folder

__all__ = ["declared", "derive", "embed", "match", "name", "open_folder"]
