"""What is fuzzed: every format, and every parser below them, each with what it is given to begin with."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "artifacts"))

from hostile_archives import ARCHIVES, CODE, PICKLES, ZIPPED  # noqa: E402  # lie in another folder of tests
from hostile_messages import FLATBUFFERS, HEADERS, ONNX, UBJSON  # noqa: E402
from hostile_texts import JSON, LINES, TRITON, XML, YAML  # noqa: E402

from trimtab.artifacts.kinds import KINDS  # noqa: E402
from trimtab.artifacts.read import read_from  # noqa: E402
from trimtab.artifacts.registry import find_format  # noqa: E402
from trimtab.errors import ArtifactError, SignatureError  # noqa: E402
from trimtab.signature.document import decode_document, encode_document  # noqa: E402
from trimtab.signature.path import parse_path  # noqa: E402
from trimtab.source import flatbuffer, json_walk, text_proto, ubjson, wire  # noqa: E402
from trimtab.source.bytes import MemorySource  # noqa: E402
from trimtab.source.pickle import pickled_names, read_pickle  # noqa: E402
from trimtab.source.zip import ZipDirectory  # noqa: E402
from trimtab.testing import foreign_samples  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CORPUS = Path(os.environ.get("TRIMTAB_CORPUS", ROOT.parent / "shared" / "corpus"))
LONGEST_SEED = 128 << 10
ERRORS = (ArtifactError, SignatureError)
"""All that may be raised."""


# Formats


def read_as(module: str, data: bytes) -> None:
    """Read with one format, whatever the others say."""
    format_: Any = import_module(f"trimtab.artifacts.formats.{module}")
    source = MemorySource(data, "fuzzed")
    if format_.match(source):
        write_down(read_from(format_, source))


def read_any(data: bytes) -> None:
    """Read with the format that wants it."""
    source = MemorySource(data, "fuzzed")
    write_down(read_from(find_format(source), source))


def write_down(signature: Any) -> None:
    decode_document(encode_document(signature))
    str(signature)


# Parsers


def zip_directory(data: bytes) -> None:
    directory = ZipDirectory.open(MemorySource(data, "fuzzed"))
    for name in [*directory.entries][:20]:
        with suppress(*ERRORS):
            directory.read(name, limit=1 << 20)
        with suppress(*ERRORS):
            directory.read_prefix(name, 100)


def symbolic_pickle(data: bytes) -> None:
    pickled_names(data)
    read_pickle(data, "fuzzed")


def protobuf(data: bytes) -> None:
    walk = wire.Wire(MemorySource(data, "fuzzed"), max_fields=20_000)
    waiting = [(0, len(data))]
    while waiting:
        for field in walk.fields(*waiting.pop()):
            if field.wire_type == wire.BYTES and field.end > field.start:
                with suppress(*ERRORS):
                    walk.text(field, limit=1 << 16)
                if len(waiting) < 50 and field.start > 0:
                    waiting.append((field.start, field.end))


FIELDS: tuple[Callable[[flatbuffer.FlatTable, int], object], ...] = (
    lambda table, field: table.text(field),
    lambda table, field: table.numbers(field, flatbuffer.INT32),
    lambda table, field: table.reals(field, flatbuffer.FLOAT64),
    lambda table, field: list(table.texts(field)),
    lambda table, field: table.number(field, flatbuffer.INT64),
)
"""What a field of a table may be asked for."""


def flat_tables(data: bytes) -> None:
    """Every table that can be reached if every field were a vector of tables."""
    buffer = flatbuffer.FlatBuffer(MemorySource(data, "fuzzed"), max_tables=5_000)
    waiting = [buffer.root()]
    while waiting:
        table = waiting.pop()
        for field in range(12):
            for look in FIELDS:
                with suppress(*ERRORS):
                    look(table, field)
            with suppress(*ERRORS):
                waiting += [inner for inner in table.tables(field) if len(waiting) < 100]


def ubjson_values(data: bytes) -> None:
    with suppress(*ERRORS):
        ubjson.UbjsonWalk(MemorySource(data, "fuzzed")).skip()
    ubjson.UbjsonWalk(MemorySource(data, "fuzzed")).value()


def json_outline(data: bytes) -> None:
    json_walk.outline(
        MemorySource(data, "fuzzed"),
        bulk=[("learner", "gradient_booster", "model", "trees"), ("a", "b")],
        left_out=[("learner", "x")],
        located=[("learner", "attributes")],
        needed=[b'"objective"', b'"version"'],
    )


def protobuf_text(data: bytes) -> None:
    text_proto.parse_text(text_proto.decode_text(data, "fuzzed"), "fuzzed")


def document(data: bytes) -> None:
    write_down(decode_document(data, "fuzzed"))


def call_path(data: bytes) -> None:
    parse_path(data.decode("utf-8", "replace"))


TARGETS: dict[str, Callable[[bytes], None]] = {
    **{kind.module: partial(read_as, kind.module) for kind in KINDS},
    "any format": read_any,
    "zip": zip_directory,
    "pickle": symbolic_pickle,
    "protobuf": protobuf,
    "flatbuffer": flat_tables,
    "UBJSON": ubjson_values,
    "JSON outline": json_outline,
    "protobuf text": protobuf_text,
    "signature document": document,
    "path": call_path,
}
"""By name, what is done with the bytes; it may raise one of ERRORS, and nothing else."""

_FORMATS = {"UBJSON": "xgboost", "JSON outline": "xgboost", "protobuf text": "triton", "signature document": "document"}


_HOSTILE = {
    "pt2": CODE,
    "torchscript": CODE | PICKLES,
    "zip": ARCHIVES,
    "pickle": PICKLES,
    **dict.fromkeys(("keras", "skops"), ZIPPED),
    **dict.fromkeys(("onnx", "coreml", "protobuf"), ONNX),
    **dict.fromkeys(("tflite", "executorch", "ort", "flatbuffer"), FLATBUFFERS),
    **dict.fromkeys(("gguf", "safetensors"), HEADERS),
    "xgboost": JSON | UBJSON,
    "UBJSON": UBJSON,
    **dict.fromkeys(("catboost", "document", "signature document", "JSON outline"), JSON),
    "lightgbm": LINES,
    "openvino": XML,
    **dict.fromkeys(("triton", "protobuf text"), TRITON),
    "mlflow": YAML,
}


def seeds(name: str) -> list[bytes]:
    """What fuzzing a target begins with: real artifacts, tiny ones, and hostile ones that it takes for its own."""
    found = [b"a['b'].c[0]"] if name == "path" else []
    samples = foreign_samples()
    found += samples.get(_FORMATS.get(name, name), ())
    if name in ("zip", "pickle", "protobuf", "flatbuffer", "any format"):
        found += [data for each in samples.values() for data in each]
    for data in _real():
        if len(data) <= LONGEST_SEED and _is_for(name, data):
            found.append(data)
    for hostile in _HOSTILE.get(name, {}).values():
        data = hostile.make()
        if len(data) <= LONGEST_SEED // 16 and _is_for(name, data):
            found.append(data)
    return [*dict.fromkeys(found)] or [b""]


def _real() -> Iterator[bytes]:
    for path in sorted((CORPUS / "formats").rglob("*")) if CORPUS.is_dir() else ():
        if path.is_file() and not path.name.endswith(".oracle.json"):
            yield path.read_bytes()
    for path in sorted((ROOT / "tests" / "data").rglob("*")):
        if path.is_file() and path.name != "oracle.json":
            yield path.read_bytes()


def _is_for(name: str, data: bytes) -> bool:
    """Whether a target can make something of the bytes."""
    module = _FORMATS.get(name, name)
    if module in {kind.module for kind in KINDS}:
        try:
            format_: Any = import_module(f"trimtab.artifacts.formats.{module}")
            return bool(format_.match(MemorySource(data, "seed")))
        except ERRORS:
            return False
    starts = {"zip": b"PK\x03\x04", "pickle": b"\x80", "protobuf": b"\x08"}
    return data.startswith(starts[name]) if name in starts else name == "any format"
