"""docs/rules is what the rules say of themselves, and they say what a page needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from trimtab.artifacts.verifying import rules

DOCS = Path(__file__).resolve().parents[1]
FOLDER = DOCS / "rules"
RULES = rules()


def test_the_pages_are_the_generated_ones() -> None:
    script = "import json, rule_pages; print(json.dumps(rule_pages.pages()))"
    done = subprocess.run([sys.executable, "-c", script], cwd=DOCS, check=True, capture_output=True, text=True)
    expected = json.loads(done.stdout)
    there = {path.relative_to(FOLDER).as_posix(): path.read_text() for path in FOLDER.glob("*/*.md")}
    assert there == expected, "run: python docs/rule_pages.py"


@pytest.mark.parametrize("name", RULES)
def test_a_rule_says_who_breaks_and_what_to_do_instead(name: str) -> None:
    page = RULES[name].page
    assert RULES[name].law.endswith(".")
    assert "Who breaks: " in page
    assert "Instead: " in page
