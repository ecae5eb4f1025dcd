"""safetensors and GGUF hold no inputs and outputs: a document in their metadata is all there is."""

from __future__ import annotations

import json
import struct
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.artifacts import derive_signature, embed_signature, read_signature
from trimtab.artifacts.formats import gguf as gguf_reader
from trimtab.artifacts.formats import safetensors as safetensors_reader
from trimtab.errors import ArtifactError, RefusedArtifactError
from trimtab.source.bytes import LocalFile, MemorySource

gguf = pytest.importorskip("gguf")
safetensors = pytest.importorskip("safetensors")
from safetensors.numpy import load_file, save_file  # noqa: E402  # only where the distribution is installed

DOCUMENTS = [
    '{"input_names":["x"],"output_names":["y"]}',
    '{"input_names":["é \\"quoted\\" \\u2028"],"output_names":["' + "long" * 40 + '"]}',
    '{"input_names":["x"],"output_names":["y"]}',
]


@pytest.mark.parametrize(("name", "names"), [("weights.safetensors", ["x"]), ("llm.gguf", ["tokens"])])
def test_the_corpus_agrees(corpus: Path, name: str, names: list[str]) -> None:
    signature = read_signature(corpus / "formats" / name)
    assert list(signature.input_names) == names
    assert signature.provenance.learned == "declared"
    assert signature.provenance.format in name.replace("llm", "")
    with pytest.raises(RefusedArtifactError, match="no inputs and outputs"):
        derive_signature(corpus / "formats" / name)


# safetensors


def make_safetensors(path: Path, metadata: dict[str, str] | None = None) -> dict[str, Any]:
    tensors = {"emb": np.arange(6, dtype=np.float32).reshape(3, 2), "ünï": np.ones(1, np.float16), "none": np.ones(0)}
    save_file(tensors, path, metadata=metadata)
    return tensors


def test_safetensors_loads_the_file_and_shows_the_document(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    tensors = make_safetensors(path, {"format": "pt", "note": 'a "quoted" é'})
    weights = path.read_bytes()[-24:]
    for document in DOCUMENTS:
        safetensors_reader.embed(str(path), document.encode())
        with safetensors.safe_open(path, "numpy") as opened:
            assert opened.metadata() == {"format": "pt", "note": 'a "quoted" é', "module_info": document}
        assert all((load_file(path)[name] == array).all() for name, array in tensors.items())
        assert path.read_bytes().endswith(weights)
        with LocalFile(path) as source:
            assert safetensors_reader.declared(source) == document.encode()


@pytest.mark.parametrize("metadata", [None, {}, {"module_info.json": DOCUMENTS[0]}])
def test_a_signature_is_embedded_into_safetensors_of_any_metadata(
    metadata: dict[str, str] | None, tmp_path: Path
) -> None:
    path, names = tmp_path / "w.safetensors", tmp_path / "names.json"
    make_safetensors(path, metadata)
    names.write_text(DOCUMENTS[1])
    assert embed_signature(path, read_signature(names)) == str(path)
    assert read_signature(path).input_names == read_signature(names).input_names
    with safetensors.safe_open(path, "numpy") as opened:
        assert set(opened.metadata()) == {"module_info"}


def header(text: str | bytes, length: int | None = None) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return (len(data) if length is None else length).to_bytes(8, "little") + data


DAMAGED = {
    "cut": (header('{"a":{}}', 100), "a header of 100 bytes"),
    "not JSON": (header("{nothing}"), "JSON"),
    "not UTF-8": (header(b'{"__metadata__":{"module_info":"\xff"}}'), "JSON"),
    "metadata of numbers": (header('{"__metadata__":{"module_info":1}}'), "JSON"),
    "metadata twice": (header('{"__metadata__":{},"__metadata__":{"module_info":"{}"}}'), "more than once"),
    "two documents": (
        header('{"__metadata__":{"module_info":"{}","module_info.json":"{}"}}'),
        "one signature document",
    ),
    "deep nesting": (header("{" + '"a":[' * 100_000), "JSON"),
    "an endless document": (
        header('{"__metadata__":{"module_info":"' + "x" * (17 << 20) + '"}}'),
        "at most 16777216 bytes",
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_safetensors_are_refused(case: str) -> None:
    data, says = DAMAGED[case]
    source = MemorySource(data, "w.safetensors")
    assert safetensors_reader.match(source)
    with pytest.raises(ArtifactError, match=says):
        read_signature(source)


def test_metadata_of_others_never_becomes_objects() -> None:
    texts = ",".join(f'"key {index}":"value"' for index in range(200_000))
    source = MemorySource(header(f'{{"__metadata__":{{{texts},"module_info":"{{}}"}}}}'))
    tracemalloc.start()
    try:
        assert safetensors_reader.declared(source) == b"{}"
        assert tracemalloc.get_traced_memory()[1] < 2 * source.size
    finally:
        tracemalloc.stop()


def test_a_text_is_not_taken_for_safetensors() -> None:
    for data in (b"", b"12345678{", b'{"a": 1}{"', header("{}", 1 << 40), header("[]")):
        assert not safetensors_reader.match(MemorySource(data))


# GGUF


def make_gguf(path: Path, *, order: Any = None, alignment: int | None = None, tokens: int = 3) -> None:
    writer = gguf.GGUFWriter(path, "llama", endianess=order or gguf.GGUFEndian.LITTLE)
    if alignment:
        writer.add_custom_alignment(alignment)
    writer.add_context_length(2048)
    writer.add_string("naïve.key", "é")
    writer.add_array("ints", [1, 2, 3])
    writer.add_array("flags", [True, False])
    writer.add_float64("half", 0.5)
    writer.add_int8("small", -3)
    writer.add_token_list([f"token {index}" for index in range(tokens)])
    writer.add_token_scores([0.5] * tokens)
    writer.add_tensor("a", np.arange(7, dtype=np.float32))
    writer.add_tensor("b", np.ones((3, 5), np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def contents(path: Path) -> tuple[dict[str, Any], list[Any]]:
    read = gguf.GGUFReader(path)
    values = {key: field.contents() for key, field in read.fields.items() if not key.startswith("GGUF.")}
    return values, [(it.name, it.shape.tolist(), np.array(it.data).tolist()) for it in read.tensors]


@pytest.mark.parametrize("alignment", [None, 8, 64, 256])
@pytest.mark.parametrize("order", ["LITTLE", "BIG"])
def test_gguf_loads_the_file_and_shows_the_document(order: str, alignment: int | None, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    make_gguf(path, order=gguf.GGUFEndian[order], alignment=alignment)
    values, tensors = contents(path)
    with LocalFile(path) as source:
        assert gguf_reader.declared(source) is None
    for document in DOCUMENTS:
        gguf_reader.embed(str(path), document.encode())
        with LocalFile(path) as source:
            assert gguf_reader.declared(source) == document.encode()
        assert contents(path) == ({**values, "module_info.json": document}, tensors)


def test_a_gguf_file_without_tensors_and_key_values(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 0))
    gguf_reader.embed(str(path), DOCUMENTS[0].encode())
    with LocalFile(path) as source:
        assert gguf_reader.declared(source) == DOCUMENTS[0].encode()


def test_an_embedded_document_is_found_without_walking_the_vocabulary(tmp_path: Path) -> None:
    path, names = tmp_path / "m.gguf", tmp_path / "names.json"
    make_gguf(path, tokens=20_000)
    names.write_text(DOCUMENTS[0])
    embed_signature(path, read_signature(names))
    with LocalFile(path) as source:
        assert json.loads(gguf_reader.declared(source) or b"")["input_names"] == ["x"]
        assert source.bytes_read < 100_000
    assert read_signature(path).provenance.format == "gguf"


def key_value(key: str, kind: int, value: bytes) -> bytes:
    return struct.pack("<Q", len(key)) + key.encode() + struct.pack("<I", kind) + value


def made_of(*key_values: bytes, count: int | None = None, version: int = 3, tensors: int = 0) -> bytes:
    counts = struct.pack("<IQQ", version, tensors, len(key_values) if count is None else count)
    return b"GGUF" + counts + b"".join(key_values)


BAD_GGUF = {
    "a short file": (b"GGUF\3\0", "the end at"),
    "an old version": (made_of(version=1), "version 1"),
    "another version": (made_of(version=9), "version 9"),
    "too many key-values": (made_of(count=1 << 40), "key-values"),
    "too many tensors": (made_of(tensors=1 << 60), "tensors"),
    "a key without end": (made_of(struct.pack("<Q", 1 << 62)), "a key of at most"),
    "an unknown type": (made_of(key_value("a", 99, b"")), "a type from 0 to 12"),
    "a text past the end": (made_of(key_value("a", 8, struct.pack("<Q", 1 << 62))), "ends before"),
    "a list past the end": (made_of(key_value("a", 9, struct.pack("<IQ", 4, 1 << 60))), "ends before"),
    "endless texts": (made_of(key_value("a", 9, struct.pack("<IQ", 8, 1 << 60))), "texts in lists"),
    "endless lists": (made_of(key_value("a", 9, struct.pack("<IQ", 9, 1 << 20))), "texts in lists"),
    "lists in lists": (made_of(key_value("a", 9, struct.pack("<IQ", 9, 1) * 9)), "4 deep"),
    "a document that is a number": (made_of(key_value("module_info", 4, bytes(4))), "expected a text"),
}


@pytest.mark.parametrize("case", BAD_GGUF)
def test_damaged_gguf_is_refused(case: str) -> None:
    data, says = BAD_GGUF[case]
    with pytest.raises(ArtifactError, match=says):
        read_signature(MemorySource(data, "m.gguf"))


@settings(max_examples=300)
@given(data=st.binary(max_size=80), kind=st.sampled_from(["gguf", "safetensors"]))
def test_no_bytes_make_a_reader_fail_otherwise(data: bytes, kind: str) -> None:
    begun = b"GGUF" + struct.pack("<IQ", 3, 1) + data if kind == "gguf" else header(b"{" + data)
    with suppress(ArtifactError):
        read_signature(MemorySource(begun, "file"))


@pytest.mark.parametrize("suffix", ["gguf", "safetensors"])
def test_a_failed_rewrite_leaves_the_file(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    path = tmp_path / f"m.{suffix}"
    make_gguf(path) if suffix == "gguf" else make_safetensors(path)
    old = path.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    embed = gguf_reader.embed if suffix == "gguf" else safetensors_reader.embed
    with pytest.raises(ArtifactError, match="No space left"):
        embed(str(path), DOCUMENTS[0].encode())
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == [path.name]
