"""The documentation runs: python blocks are executed, console blocks are typed into one shell per page.

A page starts in a folder of its own that holds `models/`, a small repository of real models, and `example/`, a
SavedModel. A console block's output is compared with what came; a line `...` stands for any lines, and `...` inside a
line for any text.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from sybil import Document, Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

ROOT = Path(__file__).resolve().parent
END = "--- end of command ---"
PATIENCE_S = 60


class Shell:
    """One bash for a page, so that variables, folders and background jobs last from block to block."""

    def __init__(self, folder: Path) -> None:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.process = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env={**os.environ, "PATH": path, "COLUMNS": "110", "NO_COLOR": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, command: str) -> str:
        """Type one command and return everything that it printed."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{command}\necho; echo '{END}'\n")
        self.process.stdin.flush()
        patience = threading.Timer(PATIENCE_S, self.close)
        patience.start()
        printed = []
        for line in self.process.stdout:
            if line == f"{END}\n":
                patience.cancel()
                return "".join(printed)
            printed.append(line)
        raise TimeoutError(f"no end after {PATIENCE_S} s: $ {command}\n{''.join(printed)}")

    def close(self) -> None:
        """End the shell and everything that it started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class ConsoleParser(CodeBlockParser):
    """Fenced blocks in the language `console`: commands behind `$ `, and what they print."""

    language = "console"

    def evaluate(self, example: Example) -> str | None:
        """Run every command of a block; the first difference is the failure."""
        shell: Shell = example.namespace["shell"]
        for command, expected in commands(example.parsed):
            got = shell.run(command)
            if expected and not matches(expected, got):
                return f"$ {command}\nexpected:\n{expected}\ngot:\n{got}"
        return None


def commands(block: str) -> list[tuple[str, str]]:
    """The commands of a block, each with the output written below it.

    A command goes on in lines that begin with `> `, as a shell shows it, and after a backslash.
    """
    found: list[tuple[str, str]] = []
    continued = False
    for line in block.splitlines():
        if line.startswith("$ ") and not continued:
            found.append((line[2:], ""))
        elif found and not found[-1][1] and (continued or line == ">" or line.startswith("> ")):
            found[-1] = (f"{found[-1][0]}\n{line.removeprefix('>').removeprefix(' ')}", "")
        elif found:
            found[-1] = (found[-1][0], f"{found[-1][1]}{line}\n")
        continued = bool(found) and line.endswith("\\") and not found[-1][1]
    return found


def matches(expected: str, got: str) -> bool:
    """Whether output is as written, with `...` for what may differ. Trailing spaces do not count."""
    lines = [re.escape(line.rstrip()).replace(r"\.\.\.", ".*") for line in expected.strip().splitlines()]
    pattern = "\n".join("(?:.*\n?)*?" if line == ".*" else line for line in lines)
    text = "\n".join(line.rstrip() for line in got.strip().splitlines())
    return re.fullmatch(pattern.replace("(?:.*\n?)*?\n", "(?:.*\n)*?"), text) is not None


def set_up(namespace: dict[str, Any]) -> None:
    """Give a page its folder, with the models in it, and its shell."""
    folder = Path(tempfile.mkdtemp(prefix="trimtab-docs-"))
    shutil.copytree(models(), folder / "models")
    shutil.copytree(ROOT / "docs" / "example-model", folder / "example")
    namespace["shell"] = Shell(folder)
    namespace["came_from"] = Path.cwd()
    os.chdir(folder)


def tear_down(namespace: dict[str, Any]) -> None:
    """End the page's shell and remove its folder."""
    folder = Path.cwd()
    os.chdir(namespace["came_from"])
    namespace["shell"].close()
    shutil.rmtree(folder)


_made: list[Path] = []


def models() -> Path:
    """The repository of small models that every page starts with; made once."""
    if not _made:
        folder = Path(tempfile.mkdtemp(prefix="trimtab-docs-models-"))
        subprocess.run([sys.executable, ROOT / "docs" / "models.py", folder], check=True, capture_output=True)
        _made.append(folder)
    return _made[0]


def pytest_sessionfinish() -> None:
    """Remove the models."""
    for folder in _made:
        shutil.rmtree(folder)


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), ConsoleParser("console")],
    path=str(ROOT),
    patterns=["README.md", "docs/*.md"],
    document_types={".md": Document},
    setup=set_up,
    teardown=tear_down,
).pytest()
