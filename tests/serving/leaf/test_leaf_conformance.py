"""A third party's client passes: tritonclient over gRPC and HTTP, in a process of its own, against a real leaf."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from processes import ServerProcess

SCRIPT = Path(__file__).with_name("triton_script.py")
CHECKS = re.findall(r"^def (check_\w+)", SCRIPT.read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def results(leaf: ServerProcess) -> dict[str, str | None]:
    command = [sys.executable, str(SCRIPT), leaf.grpc, leaf.http]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("check", CHECKS)
def test_tritonclient(results: dict[str, str | None], check: str) -> None:
    assert results[check] is None, results[check]
