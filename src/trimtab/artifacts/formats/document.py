"""A signature document on its own, `signature.json` or a plain `module_info.json`, read as an artifact."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trimtab.artifacts.limits import check_document
from trimtab.errors import ArtifactError
from trimtab.signature.document import MAX_DOCUMENT_BYTES, decode_document

if TYPE_CHECKING:
    from trimtab.signature.model import Signature
    from trimtab.source.bytes import ByteSource

name = "document"

_HEAD_BYTES = 64 << 10


def match(source: ByteSource) -> bool:
    """Whether this is a JSON object that has `input_names` among its own keys, near its beginning."""
    head = source.head(_HEAD_BYTES)
    return b'"input_names"' in head and head.lstrip(b" \t\r\n").startswith(b"{") and _has_key(head, b'"input_names"')


_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*+"\s*+:?+|[{}\[\]]', re.DOTALL)


def _has_key(head: bytes, key: bytes) -> bool:
    """Whether a JSON text, perhaps cut, has the key in its outermost object."""
    depth = 0
    for token in _TOKENS.finditer(head):
        text = token.group()
        if text in b"{[":
            depth += 1
        elif text in b"}]":
            depth -= 1
        elif depth == 1 and text.endswith(b":") and text.startswith(key):
            return True
    return False


def derive(source: ByteSource) -> Signature:
    """The signature that the document states. SignatureError where it is malformed."""
    if source.size > MAX_DOCUMENT_BYTES:
        raise ArtifactError(where=source.name, expected=f"at most {MAX_DOCUMENT_BYTES} bytes", got=str(source.size))
    data = source.read(0, source.size)
    check_document(data, source.name)
    return decode_document(data, source.name)


def declared(source: ByteSource) -> None:
    """Nothing: the document is not inside of something else."""
    del source


def embed(path: str, document: bytes) -> None:
    """Refused: a signature document is itself the signature."""
    del document
    raise ArtifactError(
        where=path,
        expected="a model file",
        got="a signature document",
        hint="Write the other signature over it, or name the model file that this document is to go into.",
    )
