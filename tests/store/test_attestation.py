"""Attestations: by which keys they hold, what they do not pass for, and that openssl agrees."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from store_making import NEW, OLD, a_store

from trimtab.bundles.store import attestation
from trimtab.bundles.store.attestation import attest, message, new_key, read_public_keys, verify_attested
from trimtab.bundles.store.store import Store
from trimtab.bundles.store.verifying import verify_store
from trimtab.errors import MissingExtraError, StoreError

pytest.importorskip("cryptography")


def key(folder: Path, name: str) -> tuple[Path, Path]:
    pair = new_key()
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    private.write_bytes(pair.private)
    public.write_bytes(pair.public)
    return private, public


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = a_store(tmp_path / "store")
    store.put_bundle(OLD)
    store.put_bundle(NEW)
    return store


def test_a_bundle_is_held_to_the_keys_that_are_trusted(store: Store, tmp_path: Path) -> None:
    (ours, ours_public), (_, theirs_public) = key(tmp_path, "ours"), key(tmp_path, "theirs")
    by = attest(store, OLD.digest, ours)
    assert attest(store, OLD.digest, ours) == by
    assert verify_attested(store, OLD.digest, read_public_keys([ours_public])) == by
    assert verify_attested(store, OLD.digest, read_public_keys([theirs_public, ours_public])) == by
    with pytest.raises(StoreError, match=r"expected an attestation by a trusted key .* got none"):
        verify_attested(store, OLD.digest, read_public_keys([theirs_public]))
    with pytest.raises(StoreError, match="must not be used"):
        verify_attested(store, NEW.digest, read_public_keys([ours_public]))
    assert verify_store(store).sound


def of(store: Store, digest: str, public: Path) -> Path:
    """Where the attestation of a bundle by a key lies."""
    (name,) = read_public_keys([public]).by_id
    folder = Path(store.name) / "attestations" / "sha256" / digest.removeprefix("sha256:")
    return folder / f"{name.removeprefix('sha256:')}.json"


def test_no_other_attestation_passes_for_one(store: Store, tmp_path: Path) -> None:
    (ours, ours_public), (theirs, theirs_public) = key(tmp_path, "ours"), key(tmp_path, "theirs")
    attest(store, OLD.digest, ours)
    attest(store, OLD.digest, theirs)
    keys = read_public_keys([ours_public])
    good = of(store, OLD.digest, ours_public).read_bytes()
    by_others = of(store, OLD.digest, theirs_public).read_bytes()
    document = json.loads(good)
    wrong_statement = base64.b64encode(bytes(64)).decode()
    for forged in (
        by_others,
        b"",
        b"{}",
        b"null",
        b"\xff",
        b"[" * 100_000,
        good[:-10],
        json.dumps({**document, "ed25519": wrong_statement}).encode(),
        json.dumps({**document, "ed25519": "short"}).encode(),
        json.dumps({**document, "ed25519": "ä"}).encode(),
        json.dumps({**document, "public_key": ""}).encode(),
        json.dumps({**document, "digest": NEW.digest}).encode(),
        json.dumps({**document, "attestation_version": 2}).encode(),
        json.dumps({**document, "more": 1}).encode(),
        json.dumps({**document, "public_key": json.loads(by_others)["public_key"]}).encode(),
        bytes(10_000),
    ):
        place = of(store, OLD.digest, ours_public)
        place.chmod(0o644)
        place.write_bytes(forged)
        with pytest.raises(StoreError):
            verify_attested(store, OLD.digest, keys)
        # An attestation of one bundle, put where another's belongs.
    moved = of(store, NEW.digest, ours_public)
    moved.parent.mkdir()
    moved.write_bytes(good)
    with pytest.raises(StoreError, match="it is of another bundle"):
        verify_attested(store, NEW.digest, keys)
    place.write_bytes(good)
    assert verify_attested(store, OLD.digest, keys)
    assert not verify_store(store).sound


def test_a_damaged_or_missing_bundle_is_not_attested(store: Store, tmp_path: Path) -> None:
    private, _ = key(tmp_path, "ours")
    with pytest.raises(StoreError, match="expected an object, got none"):
        attest(store, f"sha256:{'0' * 64}", private)
    with pytest.raises(StoreError, match="expected a digest"):
        attest(store, "latest", private)
    place = Path(store.name) / "bundles" / "sha256" / f"{OLD.digest.removeprefix('sha256:')}.json"
    place.chmod(0o644)
    place.write_bytes(place.read_bytes().replace(b"ctr", b"ctx"))
    with pytest.raises(StoreError, match="digest"):
        attest(store, OLD.digest, private)


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_refused(store: Store, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="expected an Ed25519 private key"):
        attest(store, OLD.digest, path)
    with pytest.raises(StoreError, match="expected an Ed25519 public key"):
        read_public_keys([path])
    private, public = key(tmp_path, "ours")
    with pytest.raises(StoreError, match="expected an Ed25519 private key"):
        attest(store, OLD.digest, public)
    with pytest.raises(StoreError, match="expected an Ed25519 public key"):
        read_public_keys([private])
    with pytest.raises(StoreError, match="No such file"):
        read_public_keys([tmp_path / "none"])
    with pytest.raises(StoreError, match="at least one public key"):
        read_public_keys([])


def test_an_encrypted_or_foreign_key_is_refused(store: Store, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    path = tmp_path / "key.pem"
    secret = ed25519.Ed25519PrivateKey.generate()
    path.write_bytes(secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")))
    with pytest.raises(StoreError, match="not encrypted"):
        attest(store, OLD.digest, path)
    other = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(StoreError, match="expected an Ed25519 private key"):
        attest(store, OLD.digest, path)


def test_without_the_extra_the_error_says_what_to_install(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, _ = key(tmp_path, "ours")
    attest(store, OLD.digest, private)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'trimtab\[attest\]'"):
        attest(store, OLD.digest, private)
    found = verify_store(store)
    assert found.sound
    assert [each.problem for each in found.flaws if "not checked" in each.problem]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_agrees(store: Store, tmp_path: Path) -> None:
    """Keys that openssl makes are taken, what it states is what we state, and it takes what we state."""

    def openssl(*arguments: str) -> bytes:
        return subprocess.run(["openssl", *arguments], cwd=tmp_path, check=True, capture_output=True).stdout

    openssl("genpkey", "-algorithm", "ed25519", "-out", "key.pem")
    openssl("pkey", "-in", "key.pem", "-pubout", "-out", "key.pub.pem")
    by = attest(store, OLD.digest, tmp_path / "key.pem")
    (name, _), *_ = read_public_keys([tmp_path / "key.pub.pem"]).by_id.items()
    der = openssl("pkey", "-pubin", "-in", "key.pub.pem", "-outform", "DER")
    (tmp_path / "key.der").write_bytes(der)
    assert by == name == "sha256:" + openssl("dgst", "-sha256", "-r", "key.der").split()[0].decode()
    written = json.loads(of(store, OLD.digest, tmp_path / "key.pub.pem").read_bytes())
    (tmp_path / "text").write_bytes(message(OLD.digest))
    (tmp_path / "ours").write_bytes(base64.b64decode(written["ed25519"]))
    openssl("pkeyutl", "-sign", "-inkey", "key.pem", "-rawin", "-in", "text", "-out", "theirs")
    assert (tmp_path / "theirs").read_bytes() == (tmp_path / "ours").read_bytes()
    openssl("pkeyutl", "-verify", "-pubin", "-inkey", "key.pub.pem", "-rawin", "-in", "text", "-sigfile", "ours")


def test_what_is_attested_is_told_apart_from_everything_else() -> None:
    assert message(OLD.digest) == f"trimtab bundle attestation v1\n{OLD.digest}\n".encode()
    assert attestation.ATTESTATION_VERSION == 1
