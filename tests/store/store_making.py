"""Bundles, entries and stores in one line, for the tests of this folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from trimtab.bundles.bundle import Bundle, BundledModel, BundledVersion
from trimtab.bundles.indices import Indices
from trimtab.bundles.store.entry import Entry, Position, Rollout, first_entry, following
from trimtab.bundles.store.local import LocalStorage
from trimtab.bundles.store.pointers import Pointer, Pointers
from trimtab.bundles.store.store import Settings, Store
from trimtab.signature.document import encode_document
from trimtab.signature.dtypes import DType
from trimtab.signature.model import EntryPoint, Input, Overload, Signature
from trimtab.signature.types import Tensor

WHO = {"by": "somebody", "why": "a test"}


def a_signature(*names: str) -> Signature:
    inputs = tuple(Input(name=name, type=Tensor(DType.FLOAT32, ("batch", 1))) for name in names)
    return Signature(
        entry_points=(EntryPoint(name="main", overloads=(Overload(inputs=inputs),)),), default_entry_point="main"
    )


def a_bundle(*names: str, serial: int = 1, name: str = "ads") -> Bundle:
    """One model of one version that takes these names."""
    signature = a_signature(*names)
    version = BundledVersion(digest=signature.digest, input_digest=signature.input_digest, allowlist=0, format="onnx")
    model = BundledModel(attested_stable=True, versions={"1": version}, published={signature.input_digest: "1"})
    return Bundle(
        name=name,
        serial=serial,
        created="2026-01-02T03:04:05Z",
        names=tuple(sorted(names)),
        allowlists=(Indices(range(len(names))),),
        models={"ctr": model},
    )


def wide_bundle(signatures: Iterable[Signature], serial: int = 1) -> Bundle:
    """A version for each signature, all of one allowlist."""
    found = list(signatures)
    inputs = hashlib.sha256(b"inputs").hexdigest()
    versions = {
        str(number): BundledVersion(digest=each.digest, input_digest=f"sha256:{inputs}", allowlist=0)
        for number, each in enumerate(found, 1)
    }
    return Bundle(
        name="ads",
        serial=serial,
        created="2026-01-02T03:04:05Z",
        names=("a",),
        allowlists=(Indices([0]),),
        models={"ctr": BundledModel(attested_stable=False, versions=versions, published={f"sha256:{inputs}": "1"})},
    )


def documents(*signatures: Signature) -> dict[str, bytes]:
    return {each.digest: encode_document(each) for each in signatures}


def a_store(folder: Path, **settings: object) -> Store:
    return Store.create(LocalStorage(folder), Settings(**settings) if settings else None)


OLD, NEW, NEXT = a_bundle("a"), a_bundle("a", "b", serial=2), a_bundle("a", "b", "c", serial=3)


def begin(digest: str = OLD.digest, name: str = "ads") -> Entry:
    """The first entry of a history, whose first bundle is in force everywhere."""
    each = Pointer(digest)
    pointers = Pointers(root_canary=each, leaf_canary=each, root_production=each, leaf_production=each)
    rollout = Rollout(started=1, current=None, pending=digest, position=Position.SETTLED)
    return first_entry(name, **WHO, move="start", pointers=pointers, rollout=rollout)


def start(before: Entry, pending: str = NEW.digest, **who: str) -> Entry:
    """The entry that begins a rollout."""
    current = before.pointers.root_production.current
    rollout = Rollout(started=before.number + 1, current=current, pending=pending, position=Position.ROOT_CANARY)
    both = Pointer(current, pending)
    pointers = Pointers(
        root_canary=both,
        leaf_canary=Pointer(current),
        root_production=Pointer(current),
        leaf_production=Pointer(current),
    )
    return following(before, **{**WHO, **who}, move="start", pointers=pointers, rollout=rollout)


def touched(before: Entry, by: str = "somebody") -> Entry:
    """An entry that moves nothing."""
    return following(before, by=by, why="", move="hold")
