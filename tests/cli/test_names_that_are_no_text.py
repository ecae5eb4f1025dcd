"""Names of files, and words on the line, may be bytes that are no text: told in escapes, and without a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from trimtab.cli.main import main

ODD = os.fsdecode(b"caf\xe9.json")

LINES = [
    ["bundle", "show", ODD],
    ["bundle", "build", ODD, "-o", "ads.json"],
    ["bundle", "lookup", "ads.json", ODD],
    ["bundle", "build", "models", "--name", "ads", "-o", ODD],
    ["store", "init", ODD],
    ["store", "show", "--store", ODD],
    ["store", "keygen", ODD],
    ["rollout", "hold", "--store", "store", "--why", ODD],
    ["can-deploy", "ctr:1", "--to", "canary", "--store", ODD],
    ["check", ODD, "--against", "models"],
]


@pytest.mark.parametrize("line", LINES, ids=" ".join)
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_no_line_ends_in_a_traceback(line: list[str], as_json: bool, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "trimtab", *line, *["--json"] * as_json],
        cwd=folder,
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
    )
    assert done.returncode in (0, 1), done.stderr.decode(errors="replace")
    assert "Traceback" not in done.stderr.decode(errors="replace")
    if as_json:
        json.loads(done.stdout.decode("utf-8"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("odd")
    (made / "models" / "ctr" / "1").mkdir(parents=True)
    (made / "models" / "ctr" / "1" / "signature.json").write_text('{"input_names": ["age"], "output_names": ["y"]}')
    assert main(["bundle", "build", str(made / "models"), "-o", str(made / "ads.json")]) == 0
    assert main(["store", "init", str(made / "store")]) == 0
    assert main(["rollout", "start", str(made / "ads.json"), "--store", str(made / "store")]) == 0
    return made
