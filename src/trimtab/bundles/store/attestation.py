"""Attestations: an Ed25519 statement over a bundle's digest, by the holder of a key.

A store proves that a bundle is what its digest says. Who put it there it does not prove: whoever may write to the store
may publish. Where roots are given public keys, only a bundle that the holder of one of them attested is put in force.

What is attested is the text "trimtab bundle attestation v1", the digest, and a line's end after each, so that nothing
else that a key was ever used for can pass as an attestation. Keys are PEM files, as openssl writes them.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import Struct

from trimtab.bundles.store.pointers import Digest  # noqa: TC001  # msgspec reads the annotations at run time
from trimtab.errors import StoreError, missing_extra

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from trimtab.bundles.store.store import Store

ATTESTATION_VERSION = 1
"""The newest form of an attestation that this code reads, and the one that it writes."""

MAX_ATTESTATION_BYTES = 4096

_MAX_KEY_FILE = 16 << 10


class Attestation(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What lies in the store. public_key: the key's 32 bytes, and ed25519: the statement's 64, in base64."""

    attestation_version: int = ATTESTATION_VERSION
    digest: Digest
    public_key: str
    ed25519: str


class PublicKeys(NamedTuple):
    """The keys whose holders are trusted: their 32 bytes, by key id."""

    by_id: Mapping[str, bytes]


class KeyPair(NamedTuple):
    """A new key as two PEM files: PKCS #8, not encrypted, and SubjectPublicKeyInfo."""

    private: bytes
    public: bytes


def message(digest: str) -> bytes:
    """What is attested of a bundle."""
    return f"trimtab bundle attestation v1\n{digest}\n".encode()


def new_key() -> KeyPair:
    """Make a key. MissingExtraError without the package cryptography."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = _ed25519().Ed25519PrivateKey.generate()
    return KeyPair(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    )


def key_id(public_key: bytes) -> str:
    """The name of a public key of 32 bytes: `sha256:…` over its SubjectPublicKeyInfo, as openssl writes it in DER."""
    return f"sha256:{hashlib.sha256(_SPKI + public_key).hexdigest()}"


def attest(store: Store, digest: str, private_key: Path) -> str:
    """Attest a bundle of the store, which is read and checked first; the id of the key.

    private_key: a PEM file. Doing it again changes nothing. Raises StoreError for a bundle that is not there or is
    damaged, and for a file that holds no such key; MissingExtraError without the package cryptography.
    """
    key = _private_key(private_key)
    raw = key.public_key().public_bytes_raw()
    store.bundle(digest)
    attestation = Attestation(digest=digest, public_key=_base64(raw), ed25519=_base64(key.sign(message(digest))))
    place = _place(digest, key_id(raw))
    written = msgspec.json.encode(attestation, order="sorted") + b"\n"
    if not store.storage.create(place, written) and store.storage.read(place, MAX_ATTESTATION_BYTES) != written:
        raise StoreError(
            "something else lies where the attestation belongs",
            where=f"{store.name}: {place}",
            hint="Was it damaged? Remove it by hand, and attest again.",
        )
    return key_id(raw)


def read_public_keys(paths: Iterable[Path]) -> PublicKeys:
    """The keys of PEM files. StoreError for a file that holds no Ed25519 public key, and where there is no file."""
    keys = [_public_key(path) for path in paths]
    if not keys:
        raise StoreError(expected="at least one public key", got="none")
    return PublicKeys({key_id(key): key for key in keys})


def verify_attested(store: Store, digest: str, keys: PublicKeys) -> str:
    """Hold a bundle to what the holders of keys attested; the id of the first key whose attestation holds.

    To be called before a bundle is put in force, where public keys are configured. Raises StoreError where no
    attestation by any of the keys holds, and MissingExtraError without the package cryptography.
    """
    wrong = []
    for name, key in keys.by_id.items():
        place = _place(digest, name)
        data = store.storage.read(place, MAX_ATTESTATION_BYTES)
        if data is None:
            continue
        try:
            check_attestation(data, digest, key)
        except StoreError as failure:
            wrong.append(f"{place}: {failure.problem or failure.got}")
        else:
            return name
    raise StoreError(
        "the bundle must not be used",
        where=f"{store.name}: {digest}",
        expected=f"an attestation by a trusted key ({', '.join(each[:19] for each in keys.by_id)})",
        got="; ".join(wrong) or "none",
        hint=f"Who holds such a key, and knows where the bundle comes from, attests it: trimtab store attest {digest}",
    )


def check_attestation(data: bytes, digest: str, key: bytes | None = None) -> str:
    """Check an attestation as it lies in a store; the id of its key.

    key: the 32 bytes that it must be by; None where it need only hold by the key that it names itself, which tells
    damage and nothing about trust. StoreError where it does not hold.
    """
    try:
        attestation = msgspec.json.decode(data, type=Attestation)
        stated = base64.b64decode(attestation.public_key, validate=True)
        statement = base64.b64decode(attestation.ed25519, validate=True)
    except (msgspec.MsgspecError, ValueError, RecursionError):  # of JSON, of base64, of UTF-8
        raise StoreError("it is no attestation") from None
    if attestation.attestation_version != ATTESTATION_VERSION:
        raise StoreError(f"it is of version {attestation.attestation_version}: {ATTESTATION_VERSION} is known")
    if attestation.digest != digest:
        raise StoreError("it is of another bundle")
    if key is not None and stated != key:
        raise StoreError("it is by another key")
    if not _holds(stated, statement, message(digest)):
        raise StoreError("it is not by the key that it names")
    return key_id(stated)


def _holds(key: bytes, statement: bytes, text: bytes) -> bool:
    ed25519 = _ed25519()
    from cryptography.exceptions import InvalidSignature

    try:
        ed25519.Ed25519PublicKey.from_public_bytes(key).verify(statement, text)
    except (InvalidSignature, ValueError):
        return False
    return True


def _private_key(path: Path) -> Any:
    ed25519 = _ed25519()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(_content(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise StoreError(
            where=str(path),
            expected="an Ed25519 private key (PEM, PKCS #8, not encrypted)",
            got="something else",
            hint="Make one: trimtab store keygen NAME, or openssl genpkey -algorithm ed25519 -out NAME.pem",
        )
    return key


def _public_key(path: Path) -> bytes:
    ed25519 = _ed25519()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(_content(path))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise StoreError(
            where=str(path),
            expected="an Ed25519 public key (PEM)",
            got="something else",
            hint="Of a private key it is written by: openssl pkey -in NAME.pem -pubout -out NAME.pub.pem",
        )
    raw: bytes = key.public_bytes_raw()
    return raw


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_KEY_FILE)
    except OSError as failure:
        raise StoreError("the key cannot be read", where=str(path), got=failure.strerror or str(failure)) from None


def _place(digest: str, name: str) -> str:
    return f"attestations/sha256/{digest.removeprefix('sha256:')}/{name.removeprefix('sha256:')}.json"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


_SPKI = bytes.fromhex("302a300506032b6570032100")
"""What stands before the 32 bytes of an Ed25519 key in its SubjectPublicKeyInfo (RFC 8410, section 4)."""


def _ed25519() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise missing_extra("cryptography", "attest", "attesting bundles") from None
    return ed25519
