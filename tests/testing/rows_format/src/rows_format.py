"""A format for the tests: a table's columns in a JSON header, weights, and room for a document at the end.

    ROWS <length of the header> <length of the weights>\\n
    {"columns": [{"name": …, "dtype": "float32", "range": [0, 1]}, …], "score": …}
    <weights>
    {"input_names": …}          (a signature document, or nothing)

It is written as a third party would write one, on trimtab's bounded parsers, and passes `trimtab.testing`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from trimtab.artifacts.limits import MAX_VALUES, check_count, check_json
from trimtab.errors import ArtifactError, RefusedArtifactError
from trimtab.signature import strict_json
from trimtab.signature.document import MAX_DOCUMENT_BYTES
from trimtab.signature.dtypes import DType
from trimtab.signature.model import (
    Constraints,
    EntryPoint,
    Input,
    Learned,
    Output,
    Overload,
    Provenance,
    Range,
    Signature,
)
from trimtab.signature.types import Tensor

if TYPE_CHECKING:
    from trimtab.source.bytes import ByteSource

name = "rows"

MAX_HEADER_BYTES = 1 << 20

_MAGIC = b"ROWS "
_LONGEST_LINE = 64


def match(source: ByteSource) -> bool:
    """Whether the file begins as a file of rows does."""
    return source.head(len(_MAGIC)) == _MAGIC


def derive(source: ByteSource) -> Signature:
    """One input per column."""
    start, length, _ = _layout(source)
    header = source.read(start, length)
    check_json(header, source.name)
    table = strict_json.parse(header, where=source.name, error=ArtifactError)
    columns = _expect(table, dict, source.name).get("columns")
    if columns is None:
        raise RefusedArtifactError(
            "these rows have no columns",
            where=source.name,
            hint="Write them with columns, or embed a signature: trimtab embed FILE --signature S",
        )
    check_count(len(_expect(columns, list, source.name)), MAX_VALUES, "columns", source.name)
    overload = Overload(
        inputs=tuple(_input(column, source.name) for column in columns),
        outputs=(
            Output(name=_expect(table.get("score", "score"), str, source.name), type=Tensor(DType.FLOAT32, ("rows",))),
        ),
    )
    return Signature(
        entry_points=(EntryPoint(name="predict", overloads=(overload,)),),
        default_entry_point="predict",
        provenance=Provenance(format=name, producer="rows 1.0", learned=Learned.DERIVED),
    )


def declared(source: ByteSource) -> bytes | None:
    """What lies behind the weights."""
    start, header, weights = _layout(source)
    end = start + header + weights
    if end == source.size:
        return None
    if source.size - end > MAX_DOCUMENT_BYTES:
        raise ArtifactError(
            where=source.name, expected=f"at most {MAX_DOCUMENT_BYTES} bytes", got=str(source.size - end)
        )
    return source.read(end, source.size - end)


def embed(path: str, document: bytes) -> None:
    """Put the document behind the weights of a copy, which then takes the file's place."""
    from trimtab.source.bytes import LocalFile
    from trimtab.source.replace import copy_range, replacing

    with LocalFile(path) as source:
        end = sum(_layout(source))
    try:
        with replacing(path) as temporary, open(path, "rb") as old, open(temporary, "xb") as new:
            copy_range(old.fileno(), new.fileno(), 0, end)
            os.write(new.fileno(), document)
    except OSError as failure:
        raise ArtifactError(where=path, expected="a file that can be written", got=str(failure)) from failure


def _layout(source: ByteSource) -> tuple[int, int, int]:
    """Where the header begins, its length, and that of the weights."""
    line, newline, _ = source.head(_LONGEST_LINE).partition(b"\n")
    words = line.split(b" ")
    if not newline or len(words) != 3 or not all(word.isdigit() and len(word) < 19 for word in words[1:]):
        raise ArtifactError(where=source.name, expected="ROWS and two lengths in the first line", got=repr(line[:40]))
    header, weights = int(words[1]), int(words[2])
    if header > MAX_HEADER_BYTES or len(line) + 1 + header + weights > source.size:
        raise ArtifactError(where=source.name, expected=f"lengths within {source.size} bytes", got=repr(line))
    return len(line) + 1, header, weights


def _input(column: Any, place: str) -> Input:
    stated = _expect(column, dict, place)
    bounds = stated.get("range")
    if bounds is not None and (
        len(_expect(bounds, list, place)) != 2 or not all(type(it) in (int, float) for it in bounds)
    ):
        raise ArtifactError(where=place, expected="two numbers as a range", got=repr(bounds)[:80])
    dtype = _expect(stated.get("dtype", "float32"), str, place)
    if dtype not in set(DType):
        raise ArtifactError(where=place, expected="a dtype", got=repr(dtype)[:80])
    return Input(
        name=_expect(stated.get("name"), str, place),
        type=Tensor(DType(dtype), ("rows",)),
        constraints=Constraints(range=Range(minimum=bounds[0], maximum=bounds[1])) if bounds else None,
    )


def _expect(value: Any, kind: type, place: str) -> Any:
    if not isinstance(value, kind):
        raise ArtifactError(where=place, expected=kind.__name__, got=repr(value)[:80])
    return value
