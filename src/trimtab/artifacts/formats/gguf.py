"""Carry a signature document in the key-values of a GGUF file, which holds a language model's weights.

Layout, version 2 and 3: magic, version, the numbers of tensors and of key-values, the key-values, the tensors' names
and places, and after padding to the alignment their data. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
A tokenizer's vocabulary is a list of some hundred thousand texts, which can only be walked; a document that was
embedded here stands before all that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.artifacts.formats.carried import KEYS, completed, no_signature, only_one
from trimtab.artifacts.limits import check_count
from trimtab.errors import ArtifactError
from trimtab.signature.document import MAX_DOCUMENT_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal, NoReturn

    from trimtab.source.bytes import ByteSource

name = "gguf"

MAX_KEY_VALUES = 1 << 16
MAX_TENSORS = 1 << 18
MAX_TEXTS = 3_000_000
"""Texts in all lists together: a vocabulary has a quarter of a million."""

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MAX_KEY_BYTES = 1 << 16
_MAX_LIST_DEPTH = 4
_TEXTS_PER_LIST = 10  # what a list costs to walk
_STRING, _LIST, _UINT32 = 8, 9, 4
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_ALIGNMENT = b"general.alignment"
_DEFAULT_ALIGNMENT = 32
_OURS = tuple(key.encode() for key in KEYS)


def match(source: ByteSource) -> bool:
    """Whether this is a GGUF file, of any version."""
    return source.head(len(_MAGIC)) == _MAGIC


def derive(source: ByteSource) -> NoReturn:
    """Refused, always: weights have no inputs and outputs."""
    _Reader(source)
    raise no_signature(source, "a GGUF file of a language model")


def declared(source: ByteSource) -> bytes | None:
    """The text under `module_info.json` (or `module_info`): the first, as libraries take it."""
    reader = _Reader(source)
    for key, kind, start, end in reader.key_values():
        if key in _OURS:
            place = f"{source.name}: {key.decode()}"
            if kind != _STRING:
                raise ArtifactError(where=place, expected="a text", got=f"a value of type {kind}")
            return completed(only_one([source.read(start, min(end - start, MAX_DOCUMENT_BYTES + 1))], place))
    return None


def embed(path: str, document: bytes) -> None:
    """Write the file anew with the document before all other key-values, and put it in the old one's place.

    What comes before the weights grows, so they move: the file is copied, by the file system itself where it can share
    blocks.
    """
    from trimtab.artifacts.formats.rewriting import rewrite
    from trimtab.source.bytes import LocalFile

    with LocalFile(path) as source:
        reader = _Reader(source)
        kept, alignment = [], _DEFAULT_ALIGNMENT
        start = reader.at
        for key, kind, value_start, value_end in reader.key_values():
            if key not in _OURS:
                kept.append((start, value_end))
            if key == _ALIGNMENT and kind == _UINT32:
                alignment = reader.number(value_start, 4)
            start = value_end
        tensors = reader.at, reader.skip_tensors()
        if not 0 < alignment <= _MAX_ALIGNMENT:
            raise ArtifactError(where=f"{path}: {_ALIGNMENT.decode()}", expected="a small number", got=str(alignment))
        entry = reader.packed(len(_OURS[0]), 8) + _OURS[0] + reader.packed(_STRING, 4)
        entry += reader.packed(len(document), 8) + document
        begin = source.head(8) + reader.packed(reader.tensors, 8) + reader.packed(len(kept) + 1, 8) + entry
        size = len(begin) + sum(end - start for start, end in (*kept, tensors))
        weights = min(tensors[1] + -tensors[1] % alignment, source.size)
    rewrite(path, [begin, *_joined(kept), tensors, bytes(-size % alignment), (weights, source.size)])


_MAX_ALIGNMENT = 1 << 20


def _joined(spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The same bytes in as few spans as can be."""
    start, end = 0, 0
    for span in spans:
        if span[0] != end:
            yield start, end
            start = span[0]
        end = span[1]
    yield start, end


class _Reader:
    """A walk over what comes before the weights. `at`: where it stands."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._block_at, self._block = 0, b""
        self._texts_left = MAX_TEXTS
        self._order: Literal["little", "big"] = "little"
        version = self.number(4, 4)
        if version not in _VERSIONS and version & 0xFFFF == 0:
            self._order = "big"
            version = self.number(4, 4)
        if version not in _VERSIONS:
            raise ArtifactError(
                where=source.name,
                expected="GGUF of version 2 or 3",
                got=f"version {version}",
                hint="Convert the model again with a current llama.cpp.",
            )
        self.tensors, self._count = self.number(8, 8), self.number(16, 8)
        check_count(self._count, MAX_KEY_VALUES, "key-values", source.name)
        check_count(self.tensors, MAX_TENSORS, "tensors", source.name)
        self.at = 24

    def number(self, at: int, size: int) -> int:
        """The unsigned number of so many bytes at an offset."""
        start = at - self._block_at
        if start < 0 or start + size > len(self._block):
            self._block_at, self._block = at, self._source.read(at, max(size, min(_BLOCK, self._source.size - at)))
            start = 0
        return int.from_bytes(self._block[start : start + size], self._order)

    def packed(self, value: int, size: int) -> bytes:
        """A number as the file writes it."""
        return value.to_bytes(size, self._order)

    def key_values(self) -> Iterator[tuple[bytes, int, int, int]]:
        """Key, type, and where the value lies (of a text: the text itself), of each in order."""
        for _ in range(self._count):
            length = self.number(self.at, 8)
            if length > _MAX_KEY_BYTES:
                raise self._malformed(f"a key of at most {_MAX_KEY_BYTES} bytes", str(length))
            key = self._source.read(self.at + 8, length)
            self.at += 8 + length
            kind = self.number(self.at, 4)
            self.at += 4
            start = self.at + 8 if kind == _STRING else self.at
            self._skip(kind, 0)
            yield key, kind, start, self.at

    def skip_tensors(self) -> int:
        """Walk over the tensors' names and places, and give where they end."""
        for _ in range(self.tensors):
            self._skip(_STRING, 0)
            dimensions = self.number(self.at, 4)
            if dimensions > _MAX_DIMENSIONS:
                raise self._malformed(f"a tensor of at most {_MAX_DIMENSIONS} dimensions", str(dimensions))
            self.at += 4 + 8 * dimensions + 4 + 8
        self._check()
        return self.at

    def _skip(self, kind: int, depth: int) -> None:
        if kind == _STRING:
            self.at += 8 + self.number(self.at, 8)
        elif kind == _LIST:
            kind, count = self.number(self.at, 4), self.number(self.at + 4, 8)
            self.at += 12
            if kind == _STRING:
                self._skip_texts(count)
            elif kind == _LIST:
                if depth == _MAX_LIST_DEPTH:
                    raise self._malformed(f"lists in lists at most {_MAX_LIST_DEPTH} deep", "deeper ones")
                self._spend(count * _TEXTS_PER_LIST)
                for _ in range(count):
                    self._skip(kind, depth + 1)
            else:
                self.at += count * self._size(kind)
        else:
            self.at += self._size(kind)
        self._check()

    def _skip_texts(self, count: int) -> None:
        """The walk that takes nearly all of the time, so it has no step to spare."""
        self._spend(count)
        block, base, at = self._block, self._block_at, self.at
        order = self._order
        for _ in range(count):
            start = at - base
            if start < 0 or start + 8 > len(block):
                self.number(at, 8)
                block, base = self._block, self._block_at
                start = at - base
            at += 8 + int.from_bytes(block[start : start + 8], order)
        self.at = at

    def _spend(self, count: int) -> None:
        self._texts_left -= count
        if self._texts_left < 0:
            raise self._malformed(f"at most {MAX_TEXTS} texts in lists", "more")

    def _size(self, kind: int) -> int:
        if kind not in _SIZES:
            raise self._malformed("a type from 0 to 12", str(kind))
        return _SIZES[kind]

    def _check(self) -> None:
        if self.at > self._source.size:
            raise self._malformed(f"a value that ends before {self._source.size}", str(self.at))

    def _malformed(self, expected: str, got: str) -> ArtifactError:
        return ArtifactError(where=f"{self._source.name} at offset {self.at}", expected=expected, got=got)


_BLOCK = 64 << 10
_MAX_DIMENSIONS = 8
