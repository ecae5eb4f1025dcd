"""Puts the modules that leaf and root tests share on the path: processes.py, oip_client.py, small_models.py."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small models, made once: see small_models.py."""
    import small_models

    return small_models.make(tmp_path_factory.mktemp("artifacts"))
