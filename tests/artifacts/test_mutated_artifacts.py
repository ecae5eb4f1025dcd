"""Damaged copies of real artifacts: every one is read or refused, and no foreign exception escapes."""

from __future__ import annotations

import io
import os
import zipfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.artifacts import read_signature
from trimtab.errors import ArtifactError
from trimtab.signature.document import encode_document
from trimtab.source.bytes import MemorySource

CORPUS = Path(os.environ.get("TRIMTAB_CORPUS", Path(__file__).resolve().parents[3] / "shared" / "corpus"))
SEEDS = sorted(
    path.relative_to(CORPUS).as_posix()
    for pattern in ("formats/*", "formats/*/MLmodel", "hostile/*.pt2", "hostile/*.tflite")
    for path in CORPUS.glob(pattern)
    if path.is_file() and not path.name.endswith(".oracle.json") and path.stat().st_size < 200_000
)
ARCHIVES = (".pt", ".ptl", ".pt2", ".keras", ".skops", ".ckpt")


def read_or_refuse(data: bytes) -> None:
    try:
        signature = read_signature(MemorySource(data, "mutant"))
    except ArtifactError:
        return
    encode_document(signature)
    str(signature)


@cache
def seed(corpus: Path, name: str) -> bytes:
    return (corpus / name).read_bytes()


@cache
def entries(corpus: Path, name: str) -> tuple[tuple[str, bytes], ...]:
    with zipfile.ZipFile(corpus / name) as archive:
        return tuple((it.filename, archive.read(it)) for it in archive.infolist())


def mutate(draw: st.DataObject, data: bytes) -> bytes:
    mutated = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 6))):
        at = draw.draw(st.integers(0, max(0, len(mutated) - 1)))
        match draw.draw(st.sampled_from(["set", "flip", "cut", "insert", "repeat"])):
            case "set":
                mutated[at : at + 1] = bytes([draw.draw(st.integers(0, 255))])
            case "flip":
                mutated[at : at + 1] = bytes(byte ^ 1 << draw.draw(st.integers(0, 7)) for byte in mutated[at : at + 1])
            case "cut":
                del mutated[at : at + draw.draw(st.integers(1, 40))]
            case "insert":
                mutated[at:at] = draw.draw(st.binary(max_size=8))
            case "repeat":
                mutated[at:at] = mutated[at : at + draw.draw(st.integers(1, 40))]
    return bytes(mutated)


@pytest.mark.parametrize("name", SEEDS)
@given(draw=st.data())
@settings(max_examples=30)
def test_damaged_files(corpus: Path, name: str, draw: st.DataObject) -> None:
    read_or_refuse(mutate(draw, seed(corpus, name)))


INSIDE = ("data.pkl", ".py", "constants.pkl", "traced_inputs.pkl", "models/model.json", "program.json", "version")
INSIDE += ("config.json", "metadata.json", "schema.json")


@pytest.mark.parametrize("name", [it for it in SEEDS if it.endswith(ARCHIVES)])
@given(draw=st.data())
@settings(max_examples=40)
def test_sound_archives_with_damaged_entries(corpus: Path, name: str, draw: st.DataObject) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for entry, data in entries(corpus, name):
            damaged = entry.endswith(INSIDE) and draw.draw(st.booleans())
            archive.writestr(zipfile.ZipInfo(entry), mutate(draw, data) if damaged else data)
    read_or_refuse(buffer.getvalue())


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_arbitrary_bytes(data: bytes) -> None:
    read_or_refuse(data)
    read_or_refuse(b"\x08\x08\x3a" + data)
    read_or_refuse(b'{"input_names": ' + data)
