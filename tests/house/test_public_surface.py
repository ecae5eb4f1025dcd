"""The public names: exactly these, each with a docstring, each found where the table says."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import trimtab

SURFACE = [
    "Bundle",
    "BundleLoader",
    "BundleWatcher",
    "ConsolidatedMap",
    "Converted",
    "DType",
    "EntryPoint",
    "FeatureConverter",
    "Input",
    "MissPolicy",
    "ModelRepository",
    "Outcome",
    "Output",
    "Overload",
    "Presence",
    "Signature",
    "Tensor",
    "Trimmed",
    "Trimmer",
    "TrimtabError",
    "build_bundle",
    "decode_document",
    "derive_signature",
    "diff",
    "embed_signature",
    "encode_document",
    "read_bundle",
    "read_signature",
    "verify_artifact",
    "write_bundle",
]


def test_the_surface_is_pinned() -> None:
    assert sorted(trimtab.__all__) == sorted(SURFACE) == sorted(trimtab._HOMES)


@pytest.mark.parametrize("name", SURFACE)
def test_a_public_name_is_there_and_documented(name: str) -> None:
    assert getattr(trimtab, name).__doc__


def test_the_names_for_type_checkers_are_the_same() -> None:
    tree = ast.parse(Path(str(trimtab.__file__)).read_text())
    checked = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert checked == trimtab._HOMES


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        trimtab.nothing  # noqa: B018
    assert set(SURFACE) <= set(dir(trimtab))
