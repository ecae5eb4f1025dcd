"""The layers of docs/design.md, held by a list kept as data."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).resolve().parents[2] / "src" / "trimtab"
RULES = json.loads(Path(__file__).with_name("layers.json").read_text())
ORDER: list[str] = RULES["order"]


class Import(NamedTuple):
    importer: str
    line: int
    target: str


def package_of(dotted: str) -> str | None:
    parts = dotted.split(".")
    return parts[1] if parts[0] == "trimtab" and len(parts) > 1 else None


def modules() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def layer(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(str(path.relative_to(SOURCE)), node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            for alias in node.names:
                target = f"{node.module}.{alias.name}" if node.module == "trimtab" else str(node.module)
                yield Import(str(path.relative_to(SOURCE)), node.lineno, target)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_package_imports_only_those_above_it(path: Path) -> None:
    own = layer(path)
    assert own in ORDER, f"{own} has no place in layers.json"
    allowed = {*ORDER[: ORDER.index(own)], own}
    wrong = [it for it in imports(path) if (package := package_of(it.target)) and package not in allowed]
    assert not wrong


@pytest.mark.parametrize("package", RULES["never"])
def test_a_package_does_not_know_what_it_must_not(package: str) -> None:
    forbidden = set(RULES["never"][package])
    wrong = [
        it
        for path in (SOURCE / package).rglob("*.py")
        for it in module_level_imports(path)
        if it.target.split(".")[0] in forbidden
    ]
    assert not wrong


def module_level_imports(path: Path) -> Iterator[Import]:
    """Imports that run when the module is imported: not those inside functions, nor those for type checkers only."""
    tree = ast.parse(path.read_text())
    kept = ast.Module(body=[node for node in tree.body if not is_type_checking(node)], type_ignores=[])
    inside = {
        id(node)
        for function in ast.walk(kept)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(kept):
        if id(node) in inside:
            continue
        if isinstance(node, ast.Import):
            yield from (Import(str(path), node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield Import(str(path), node.lineno, str(node.module))


def is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def test_no_module_is_called_a_grab_bag() -> None:
    grab_bags = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
    assert not [path for path in modules() if path.stem in grab_bags or layer(path) in grab_bags]
