"""What the kernel promises about its sources: small, and a core that knows no Python."""

from __future__ import annotations

import re
from pathlib import Path

NATIVE = Path(__file__).resolve().parents[2] / "native"
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in (NATIVE / folder).rglob("*.[ch]pp")]


def test_the_kernel_stays_under_a_thousand_lines() -> None:
    assert sum(len(path.read_text().splitlines()) for path in sources("core", "python")) < 1000


def test_the_core_includes_only_itself_and_the_standard_library() -> None:
    wrong = [
        f"{path.name}: {header}"
        for path in sources("core")
        for header in INCLUDE.findall(path.read_text())
        if not header.startswith("core/") and ("/" in header or header.endswith(".h"))
    ]
    assert not wrong
    assert not [path.name for path in sources("core") if re.search("Python|nanobind|PyObject", path.read_text())]
