"""A repository, the bundle built from it, and a store in which bundles are in force: the places of signatures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from trimtab.bundles.building.index import SignatureIndex
from trimtab.bundles.bundle import read_bundle
from trimtab.bundles.store.entry import first_entry, following
from trimtab.bundles.store.opening import storage_at
from trimtab.bundles.store.pointers import Pointer, Pointers
from trimtab.bundles.store.publishing import publish
from trimtab.bundles.store.store import Store
from trimtab.cli.main import main

Models = Mapping[str, Mapping[int, Iterable[str]]]


def repository(root: Path, models: Models) -> Path:
    """A repository whose versions are signature documents, by model and version the names of their inputs."""
    for model, versions in models.items():
        for number, names in versions.items():
            path = root / model / str(number) / "signature.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"input_names": list(names), "output_names": ["score"]}))
    return root


def built(root: Path, bundle: Path) -> Path:
    """The bundle of a repository, whatever changed in it."""
    assert main(["bundle", "build", str(root), "-o", str(bundle), "--gate", "none", "--json"]) == 0
    return bundle


def stored(place: Path | str, bundle: Path, *, canary: Path | None = None) -> Path | str:
    """A store in which a bundle is in production, and another one, or the same, at the canary."""
    store = Store.create(storage_at(place))
    digests = []
    for path in (bundle, canary or bundle):
        with SignatureIndex.beside(path) as index:
            assert not publish(store, read_bundle(path), index.document).missing
        digests.append(Pointer(read_bundle(path).digest))
    name = read_bundle(bundle).name
    pointers = Pointers(
        root_canary=digests[1], leaf_canary=digests[1], root_production=digests[0], leaf_production=digests[0]
    )
    head = store.head(name)
    if head is None:
        entry = first_entry(name, by="t", why="", move="start", pointers=pointers, rollout=None)
    else:
        entry = following(head, by="t", why="", move="advance", pointers=pointers)
    assert store.append(entry)
    return place
