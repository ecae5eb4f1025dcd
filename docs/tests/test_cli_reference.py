"""docs/cli.md is what the commands say of themselves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1]


def test_the_page_is_the_generated_one() -> None:
    script = DOCS / "cli_reference.py"
    done = subprocess.run([sys.executable, script], check=True, capture_output=True, text=True)
    assert (DOCS / "cli.md").read_text() == done.stdout, "run: python docs/cli_reference.py > docs/cli.md"
