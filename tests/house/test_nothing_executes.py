"""Nothing in the sources can run what a file says: no eval, no pickle, no unsafe loader, no parser that expands."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).resolve().parents[2] / "src" / "trimtab"

READERS = ("signature", "source", "savedmodel", "artifacts")
"""The packages that look at files of strangers."""

CALLS = {"eval", "exec", "compile", "__import__", "breakpoint"}
"""Built-in functions that run text as code: nowhere."""

MODULES = {"pickle", "_pickle", "cloudpickle", "dill", "marshal", "shelve", "sympy", "imp", "code", "codeop"}
"""Modules whose loaders run what they load: nowhere."""

READER_MODULES = {
    **dict.fromkeys(("zipfile", "tarfile"), "trimtab.source.zip"),
    **dict.fromkeys(("xml.etree", "xml.dom", "xml.sax", "lxml", "defusedxml"), "expat with DTDs refused"),
    **dict.fromkeys(("mmap", "ctypes", "subprocess", "socket", "urllib.request", "http"), "ByteSource"),
    **dict.fromkeys(("torch", "tensorflow", "onnx", "onnxruntime", "keras", "sklearn", "skops", "joblib"), "bytes"),
    **dict.fromkeys(("xgboost", "lightgbm", "catboost", "mlflow", "openvino", "coremltools", "executorch"), "bytes"),
}
"""Modules that readers have no use for, and what they use instead; not even inside of functions."""

EXPAT_ENTITIES = {"StartDoctypeDeclHandler"}
"""What a module that uses expat must set: the handler that refuses document types, and entities with them."""


class Use(NamedTuple):
    """A call or an import: where it stands, its dotted name, and the keywords of the call."""

    where: str
    name: str
    keywords: dict[str, ast.expr]


def modules(*packages: str) -> list[Path]:
    roots = [SOURCE / package for package in packages] or [SOURCE]
    return sorted(path for root in roots for path in root.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def calls(path: Path) -> Iterator[Use]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            keywords = {each.arg: each.value for each in node.keywords if each.arg}
            yield Use(f"{name_of(path)}:{node.lineno}", dotted(node.func), keywords)


def imports(path: Path) -> Iterator[Use]:
    for node in ast.walk(tree_of(path)):
        where = f"{name_of(path)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import):
            yield from (Use(where, alias.name, {}) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (Use(where, f"{node.module}.{alias.name}", {}) for alias in node.names)


def inside(name: str, modules: set[str] | dict[str, str]) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in modules)


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_no_text_is_run_as_code(path: Path) -> None:
    assert not [use for use in calls(path) if use.name.removeprefix("builtins.") in CALLS]
    assert not [use for use in imports(path) if inside(use.name, MODULES)]


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_yaml_is_loaded_safely(path: Path) -> None:
    for use in calls(path):
        module, _, function = use.name.rpartition(".")
        if module != "yaml":
            continue
        loader = use.keywords.get("Loader")
        named = dotted(loader) if loader is not None else ""
        assert function not in {"unsafe_load", "unsafe_load_all", "full_load", "full_load_all"}, use.where
        assert function not in {"load", "load_all"} or "Safe" in named, use  # the others construct nothing


@pytest.mark.parametrize("path", modules(*READERS), ids=name_of)
def test_readers_parse_with_bounded_parsers(path: Path) -> None:
    assert not [use for use in imports(path) if inside(use.name, READER_MODULES)], READER_MODULES


@pytest.mark.parametrize("path", modules(*READERS), ids=name_of)
def test_expat_refuses_document_types(path: Path) -> None:
    if any(inside(use.name, {"xml.parsers", "pyexpat"}) for use in imports(path)):
        assigned = {
            target.attr
            for node in ast.walk(tree_of(path))
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Attribute)
        }
        assert assigned >= EXPAT_ENTITIES


def test_the_walk_sees_what_it_looks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.SOURCE", tmp_path)
    path = tmp_path / "bad.py"
    path.write_text(
        "from xml import etree\nimport pickle as p\ndef f():\n  import yaml, zipfile\n  yaml.load(x)\neval('1')"
    )
    assert [use.name for use in imports(path)] == ["xml.etree", "pickle", "yaml", "zipfile"]
    assert [use.name for use in calls(path)] == ["eval", "yaml.load"]
    for check in (test_no_text_is_run_as_code, test_yaml_is_loaded_safely, test_readers_parse_with_bounded_parsers):
        with pytest.raises(AssertionError):
            check(path)
