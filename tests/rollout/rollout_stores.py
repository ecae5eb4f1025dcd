"""Stores with bundles in them, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from small_bundles import Models, digest_of

from trimtab.bundles.bundle import Bundle, BundledModel, BundledVersion
from trimtab.bundles.indices import Indices
from trimtab.bundles.store.acknowledged import Acknowledgment, acknowledge
from trimtab.bundles.store.local import LocalStorage
from trimtab.bundles.store.pointers import Stage, Tier
from trimtab.bundles.store.store import Settings, Store
from trimtab.signature.dtypes import DType
from trimtab.signature.model import EntryPoint, Input, Overload, Signature
from trimtab.signature.types import Tensor


def new_store(folder: Path, **settings: object) -> Store:
    return Store.create(LocalStorage(folder), Settings(**settings) if settings else None)  # type: ignore[arg-type]


def signature_of(inputs: str) -> Signature:
    """One required float32 per letter."""
    values = tuple(Input(name=letter, type=Tensor(DType.FLOAT32, ("batch", 1))) for letter in inputs)
    return Signature(
        entry_points=(EntryPoint(name="main", overloads=(Overload(inputs=values),)),), default_entry_point="main"
    )


def put(
    store: Store,
    models: Models,
    *,
    serial: int = 1,
    name: str = "ads",
    published: Mapping[str, str] | None = None,
    documents: bool = True,
) -> Bundle:
    """A bundle of real signatures in the store. published: inputs, by model, that were published before."""
    names = sorted({letter for versions in models.values() for inputs in versions.values() for letter in inputs})
    distinct = {inputs for versions in models.values() for inputs in versions.values()}
    lists = {inputs: Indices(sorted(names.index(letter) for letter in set(inputs))) for inputs in distinct}
    ordered = sorted(set(lists.values()))
    past = {model: {signature_of(inputs).input_digest: "1"} for model, inputs in (published or {}).items()}
    bundled = {}
    for model in {*models, *past}:
        versions = {
            str(number): BundledVersion(
                digest=signature_of(inputs).digest,
                input_digest=signature_of(inputs).input_digest,
                allowlist=ordered.index(lists[inputs]),
            )
            for number, inputs in models.get(model, {}).items()
        }
        seen = dict(past.get(model, {}))
        for number, each in versions.items():
            seen.setdefault(each.input_digest, number)
        bundled[model] = BundledModel(attested_stable=len(seen) == 1, versions=versions, published=seen)
    bundle = Bundle(
        name=name,
        serial=serial,
        created="2026-01-02T03:04:05Z",
        names=tuple(names),
        allowlists=tuple(ordered),
        models=bundled,
    )
    store.put_bundle(bundle)
    for inputs in distinct if documents else ():
        store.put_signature(signature_of(inputs))
    return bundle


def follow(store: Store, tier: Tier, stage: Stage, instance: str, name: str = "ads") -> None:
    """An instance follows the history's end, and says so."""
    head = store.head(name)
    assert head is not None
    said = Acknowledgment(entry=head.number, in_force=head.pointers.at(tier, stage))
    acknowledge(store, name, tier, stage, instance=instance, said=said)


__all__ = ["digest_of", "follow", "new_store", "put", "signature_of"]
