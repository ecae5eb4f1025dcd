"""What an import and a help text may pull in. Times are measured in benchmarks/; here only what is loaded counts."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ["torch", "tensorflow", "onnx", "onnxruntime", "pyarrow", "grpc", "aiohttp", "prometheus_client", "pandas"]


def modules_after(code: str) -> set[str]:
    script = f"{code}\nimport json, sys; print('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("code", "also_absent"),
    [
        ("import trimtab", ["numpy", "google.protobuf", "click", "rich"]),
        ("from trimtab.artifacts import read_signature", ["numpy", "google.protobuf", "click", "rich"]),
        ("from trimtab.cli.main import main; main(['--help'])", ["numpy", "google.protobuf", "rich"]),
        ("from trimtab.cli.main import main; main(['serve', '--help'])", ["numpy", "google.protobuf", "rich"]),
    ],
)
def test_nothing_heavy_is_imported(code: str, also_absent: list[str]) -> None:
    loaded = modules_after(code)
    assert not [name for name in [*HEAVY, *also_absent] if name in loaded]


def test_reading_an_artifact_imports_no_framework(corpus) -> None:
    for artifact in ("ts_multi_method.pt", "pt2_dynamic.pt2", "onnx_varied_types.onnx"):
        path = corpus / "formats" / artifact
        loaded = modules_after(f"from trimtab.cli.main import main; main(['inspect', {str(path)!r}, '--json'])")
        assert not [name for name in [*HEAVY, "numpy", "google.protobuf", "click"] if name in loaded]
