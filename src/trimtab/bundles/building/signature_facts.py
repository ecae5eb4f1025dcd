"""What a build needs of a signature: small enough to be kept for every version, and the document only when asked for.

A repository of 10,000 versions has a few thousand distinct documents; each is digested, encoded and kept once.
"""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from trimtab.bundles.request_names import request_names
from trimtab.signature.document import SignatureDocument, encode_document
from trimtab.signature.model import Signature

if TYPE_CHECKING:
    from collections.abc import Iterable


class SignatureFacts(Struct, frozen=True, kw_only=True):
    """What follows from one signature document.

    document_hash: SHA-256 of the document's bytes. Signatures of equal `digest` may differ in it: in their format, and
    in the order of their inputs, which counts where a model is called by position.
    names: the names under which a request may carry an input, sorted.
    """

    document_hash: bytes
    digest: str
    input_digest: str
    format: str
    names: tuple[str, ...]


def facts_of(signature: Signature) -> tuple[SignatureFacts, bytes]:
    """The facts of a signature, and its document. BundleError where its names cannot be told."""
    names = shared(sorted(request_names(signature)))
    document = encode_document(signature)
    facts = SignatureFacts(
        document_hash=hashlib.sha256(document).digest(),
        digest=signature.digest,
        input_digest=signature.input_digest,
        format=signature.provenance.format,
        names=names,
    )
    return facts, document


def facts_of_document(document: bytes) -> SignatureFacts:
    """The facts of a document that `encode_document` has just made: nothing is checked or digested again.

    BundleError where its names cannot be told.
    """
    said = _DOCUMENTS.decode(document)
    signature = Signature(entry_points=said.entry_points, default_entry_point=said.default_entry_point)
    return SignatureFacts(
        document_hash=hashlib.sha256(document).digest(),
        digest=said.digest,
        input_digest=said.input_digest,
        format=said.provenance.format,
        names=shared(sorted(request_names(signature))),
    )


def shared(names: Iterable[str]) -> tuple[str, ...]:
    """The names, each held once however many signatures have it."""
    return tuple(map(sys.intern, names))


_DOCUMENTS = msgspec.json.Decoder(SignatureDocument)
