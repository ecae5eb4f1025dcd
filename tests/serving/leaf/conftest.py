"""A repository with every small model, and one leaf that serves it to the tests that only ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from oip_client import OipClient
from processes import ServerProcess, leaf_process
from small_models import deploy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEPLOYED = [
    ("ranker", "ranker", 1),
    ("ranker_plus_100", "ranker", 2),
    ("half", "half", 1),
    ("scripted", "scripted", 1),
    ("exported", "exported", 1),
    ("spin", "spin", 1),
    ("every_datatype", "every_datatype", 1),
    ("every_scalar", "every_scalar", 1),
    ("brain", "brain", 1),
]


@pytest.fixture(scope="session")
def leaf(artifacts: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("leaf")
    for artifact, model, version in DEPLOYED:
        deploy(artifacts[artifact], folder / "models", model, version)
    with leaf_process(folder / "models", folder=folder) as process:
        yield process


@pytest.fixture
def client(leaf: ServerProcess) -> Iterator[OipClient]:
    with OipClient(leaf.grpc) as client:
        yield client
