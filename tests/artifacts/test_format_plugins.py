"""Formats of other distributions are found by their entry points, after the built-in ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from trimtab.artifacts import embed_signature, known_formats, read_signature
from trimtab.artifacts.formats import document
from trimtab.errors import ArtifactError
from trimtab.source.bytes import MemorySource

READER = """
from trimtab.signature.document import decode_document

name = "text"

def match(source):
    return source.head(5) == b"TEXT "

def derive(source):
    names = source.read(5, source.size - 5).split()
    return decode_document(b'{"input_names": ["' + b'", "'.join(names) + b'"], "output_names": []}')

def declared(source):
    return None

def embed(path, document):
    raise NotImplementedError
"""


def install(folder: Path, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution with one entry point, as pip leaves it."""
    info = folder / "text_format-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: text-format\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[trimtab.formats]\ntext = {target}\n")
    (folder / "text_format.py").write_text(READER)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "text_format", raising=False)


def test_built_in_formats() -> None:
    assert [it.name for it in known_formats()][:2] == ["pt2", "torchscript"]


def test_a_plug_in_reads_its_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "text_format", monkeypatch)
    model = tmp_path / "model.txt"
    model.write_text("TEXT user item")
    assert read_signature(model).input_names == ("user", "item")
    assert [it.name for it in known_formats()][-1] == "text"


def test_a_broken_plug_in_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "text_format_that_is_not_there", monkeypatch)
    model = tmp_path / "model.txt"
    model.write_text("TEXT user item")
    with pytest.raises(ArtifactError, match="plug-in 'text'"):
        read_signature(model)
    signature = tmp_path / "signature.json"
    signature.write_text('{"input_names": [], "output_names": []}')
    assert read_signature(signature).input_names == ()  # built-in formats do not ask plug-ins


def test_a_format_without_a_place_for_documents(tmp_path: Path) -> None:
    path = tmp_path / "module_info.json"
    path.write_text('{"input_names": [], "output_names": []}')
    with pytest.raises(ArtifactError):
        embed_signature(path, read_signature(path))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"input_names": [], "output_names": []}', True),
        (' \n{"a": {"b": [1, "}"]}, "input_names" : []}', True),
        ('{"a": {"input_names": []}}', False),
        ('{"a": "input_names"}', False),
        ('{"a": ["input_names", {}]}', False),
        ('{"a": "\\"input_names\\": "}', False),
        ('["input_names"]', False),
    ],
)
def test_a_document_is_told_by_its_own_keys(text: str, found: bool) -> None:
    assert document.match(MemorySource(text.encode())) is found
