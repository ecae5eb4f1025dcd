"""Carry a signature document in the metadata of a safetensors file, which holds weights alone.

Layout: eight bytes of header length, a header in JSON (the tensors, and texts under `__metadata__`), the weights. The
header is one read, of which only `__metadata__` becomes objects. https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from trimtab.artifacts.formats.carried import KEYS, completed, no_signature, only_one
from trimtab.errors import ArtifactError

if TYPE_CHECKING:
    from typing import NoReturn

    from trimtab.source.bytes import ByteSource

name = "safetensors"

MAX_HEADER_BYTES = 100_000_000
"""What the library itself reads at most."""

_LENGTH_BYTES = 8
_METADATA = "__metadata__"
_KEY = KEYS[1]
_ALIGNMENT = 8


def match(source: ByteSource) -> bool:
    """Whether the first eight bytes are the length of a header that begins after them."""
    head = source.head(_LENGTH_BYTES + 1)
    return head[_LENGTH_BYTES:] == b"{" and 2 <= int.from_bytes(head[:_LENGTH_BYTES], "little") <= MAX_HEADER_BYTES


def derive(source: ByteSource) -> NoReturn:
    """Refused, always: weights have no inputs and outputs."""
    _header_length(source)
    raise no_signature(source, "a safetensors file")


def declared(source: ByteSource) -> bytes | None:
    """The text under `module_info` (or `module_info.json`) of the metadata."""
    header = _header(source)
    place = f"{source.name}: {_METADATA}"
    if header.count(b'"__metadata__"') > 1:
        raise ArtifactError(where=place, expected="one map of metadata", got="the name more than once")
    try:
        metadata = msgspec.json.decode(header, type=_Header).metadata
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
        raise _malformed(source, failure) from None
    found = [text.encode() for text in (metadata.long, metadata.short) if text is not None]
    return completed(only_one(found, place))


class _Metadata(msgspec.Struct):
    """What is ours of the metadata; the rest of it never becomes an object."""

    long: str | None = msgspec.field(name=KEYS[0], default=None)
    short: str | None = msgspec.field(name=KEYS[1], default=None)


class _Header(msgspec.Struct):
    metadata: _Metadata = msgspec.field(name=_METADATA, default_factory=_Metadata)


def embed(path: str, document: bytes) -> None:
    """Write the file anew with the document in its metadata, and put it in the old one's place.

    Weights must follow the header without a gap, so a header that grows moves them all: the file is copied, by the
    file system itself where it can share blocks.
    """
    from trimtab.artifacts.formats.rewriting import rewrite
    from trimtab.source.bytes import LocalFile

    with LocalFile(path) as source:
        header = _header(source)
        try:
            parts = msgspec.json.decode(header, type=dict[str, msgspec.Raw])
            metadata = msgspec.json.decode(parts.pop(_METADATA, b"{}"), type=dict[str, str])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
            raise _malformed(source, failure) from None
        kept = {key: value for key, value in metadata.items() if key not in KEYS}
        encoded = msgspec.json.encode({_METADATA: {**kept, _KEY: document.decode()}, **parts})
        encoded += b" " * (-len(encoded) % _ALIGNMENT)
        if len(encoded) > MAX_HEADER_BYTES:
            raise ArtifactError(
                where=path, expected=f"a header of at most {MAX_HEADER_BYTES} bytes", got=str(len(encoded))
            )
        weights = _LENGTH_BYTES + len(header), source.size
    rewrite(path, [len(encoded).to_bytes(_LENGTH_BYTES, "little") + encoded, weights])


def _header(source: ByteSource) -> bytes:
    return source.read(_LENGTH_BYTES, _header_length(source))


def _header_length(source: ByteSource) -> int:
    length = int.from_bytes(source.read(0, _LENGTH_BYTES), "little")
    if length > min(MAX_HEADER_BYTES, source.size - _LENGTH_BYTES):
        raise ArtifactError(
            where=f"{source.name} at offset 0",
            expected=f"a header of {length} bytes",
            got=f"{source.size - _LENGTH_BYTES} bytes until the end",
            hint="Is the file complete? Compare its size with the original.",
        )
    return length


def _malformed(source: ByteSource, failure: Exception) -> ArtifactError:
    return ArtifactError(
        where=f"{source.name}: header", expected="JSON, with texts in __metadata__", got=str(failure)[:200]
    )
