"""Compress a payload as one lz4 block, for the hops where bytes cost more than time.

gRPC's own compression is gzip or deflate, which takes tens of milliseconds per megabyte. A sender that compresses says
so in the request metadata `trimtab-payload-encoding: lz4`; the block begins with its uncompressed size, u32 little
endian.
"""

from __future__ import annotations

from typing import Any

from trimtab.errors import TrimtabError, missing_extra

PAYLOAD_ENCODING = "trimtab-payload-encoding"
"""Request metadata that names the encoding of the payload; absent means that it is as it is."""

LZ4 = "lz4"


class PayloadEncodingError(TrimtabError):
    """A payload that is not what its encoding says, or is larger than the receiver takes."""


def compress(payload: bytes) -> bytes:
    """The payload as an lz4 block that begins with its size. MissingExtraError where lz4 is not installed."""
    block: bytes = _lz4_block("compressing payloads").compress(payload, store_size=True)
    return block


def decompress(block: bytes, *, limit: int) -> bytes:
    """The inverse of `compress`. A stated size above `limit` bytes is refused before anything is allocated."""
    if len(block) < _SIZE_BYTES:
        raise PayloadEncodingError("an lz4 payload", expected="4 bytes of size and a block", got=f"{len(block)} bytes")
    size = int.from_bytes(block[:_SIZE_BYTES], "little")
    if size > limit:
        raise PayloadEncodingError(
            "an lz4 payload is too large",
            expected=f"at most {limit} bytes uncompressed",
            got=f"{size} bytes",
            hint="Send fewer candidates per request, or raise --max-message-bytes on the receiver.",
        )
    lz4_block = _lz4_block("receiving lz4 payloads")
    try:
        payload: bytes = lz4_block.decompress(block)
    except (lz4_block.LZ4BlockError, ValueError, MemoryError) as error:
        raise PayloadEncodingError(
            "an lz4 payload cannot be decompressed",
            expected="an lz4 block with stored size",
            got=str(error),
            hint=f"Send it uncompressed, or without the metadata {PAYLOAD_ENCODING}.",
        ) from None
    return payload


_SIZE_BYTES = 4


def _lz4_block(purpose: str) -> Any:
    try:
        import lz4.block
    except ImportError:
        raise missing_extra("lz4", "lz4", purpose) from None
    return lz4.block
