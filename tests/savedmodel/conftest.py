"""Fixtures of the SavedModel tests: every model that has TensorFlow's own record beside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def saved_model_corpus() -> list[Path]:
    """Folders with `model/`, `calls.json` and `oracle.json`: those in the repository, and the shared ones if here."""
    shared = Path(os.environ.get("TRIMTAB_CORPUS", TESTS.parents[1] / "shared" / "corpus"))
    homes = (TESTS / "data" / "savedmodel", shared / "savedmodel")
    return [
        folder for home in homes if home.is_dir() for folder in sorted(home.iterdir()) if (folder / "model").is_dir()
    ]
