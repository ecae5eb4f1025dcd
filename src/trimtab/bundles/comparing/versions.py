"""The versions of models that a place holds, be it a repository, a bundle or a store, and where to read each one.

A repository has artifacts, which must be read. A bundle has digests alone: the signatures themselves are in the index
beside it, or in the store that it came from. Nothing is read before it is asked for.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeAlias

from msgspec import Struct

from trimtab.bundles.bundle import read_bundle
from trimtab.bundles.repository import ModelRepository
from trimtab.bundles.store.opening import open_store
from trimtab.bundles.store.pointers import Stage, Tier
from trimtab.errors import BundleError, StoreError, TrimtabError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trimtab.bundles.building.index import SignatureIndex
    from trimtab.bundles.bundle import Bundle
    from trimtab.bundles.repository import ArtifactVersion
    from trimtab.bundles.store.store import Store
    from trimtab.signature.model import Signature


class Opened:
    """Stores and indexes that stay open while many signatures are read from them. To be used in a `with` statement."""

    def __init__(self) -> None:
        self._stores: dict[str, Store] = {}
        self._indexes: dict[str, SignatureIndex] = {}

    def store(self, place: str) -> Store:
        """The store at a place. StoreError where there is none."""
        if place not in self._stores:
            self._stores[place] = open_store(place)
        return self._stores[place]

    def index(self, bundle: str) -> SignatureIndex:
        """The index beside a bundle file."""
        if bundle not in self._indexes:
            from trimtab.bundles.building.index import SignatureIndex  # artifacts and stores need no database

            self._indexes[bundle] = SignatureIndex.beside(Path(bundle))
        return self._indexes[bundle]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for index in self._indexes.values():
            index.close()


class InArtifact(Struct, frozen=True):
    """A signature in an artifact: a path, or a URL."""

    path: str

    @property
    def key(self) -> tuple[str, str]:
        """What two sources of one signature have in common."""
        return self.path, ""

    def read(self, opened: Opened) -> Signature:
        """The artifact's signature. Errors as of `trimtab.read_signature`."""
        del opened
        from trimtab.artifacts import read_signature

        return read_signature(self.path)


class InBundle(Struct, frozen=True):
    """A signature that a bundle file names by its digest; its index has it."""

    bundle: str
    entry: str
    digest: str

    @property
    def key(self) -> tuple[str, str]:
        """As of `InArtifact`."""
        return self.bundle, self.digest

    def read(self, opened: Opened) -> Signature:
        """The signature from the index beside the bundle. BundleError where it is not there."""
        index = opened.index(self.bundle)
        signature = index.signature(self.digest)
        if signature is None:
            raise BundleError(
                "the bundle states the digest alone, and the index beside it does not have the signature",
                where=self.entry,
                expected=self.digest,
                got=index.note or "none",
                hint=f"Build it again, which writes the index: trimtab bundle build REPOSITORY -o {self.bundle}",
            )
        return signature


class InStore(Struct, frozen=True):
    """A signature that a store has under its digest."""

    store: str
    entry: str
    digest: str

    @property
    def key(self) -> tuple[str, str]:
        """As of `InArtifact`."""
        return self.store, self.digest

    def read(self, opened: Opened) -> Signature:
        """The signature from the store. StoreError where it is not there."""
        try:
            return opened.store(self.store).signature(self.digest)
        except StoreError as failure:
            raise failure.within(self.entry) from None


class Unreadable(Struct, frozen=True):
    """A version of which it is known already why it cannot be read."""

    error: TrimtabError

    @property
    def key(self) -> tuple[str, str]:
        """As of `InArtifact`."""
        return str(self.error), ""

    def read(self, opened: Opened) -> Signature:
        """Raises the error."""
        del opened
        raise self.error


Source: TypeAlias = InArtifact | InBundle | InStore | Unreadable


class Version(Struct, frozen=True, kw_only=True):
    """One version of a model.

    number: 0 where nothing tells it. name: how reports call it. folder: in a repository the version's. digest, format:
    of its signature, where the place states them; empty where only reading tells.
    """

    model: str
    number: int
    name: str
    source: Source
    folder: str = ""
    digest: str = ""
    format: str = ""

    @property
    def repository(self) -> str:
        """The repository's folder; empty where the version is in none."""
        return os.path.dirname(os.path.dirname(self.folder)) or "." if self.folder else ""

    def read(self) -> Signature:
        """The version's signature. Errors as of its source."""
        with Opened() as opened:
            return self.source.read(opened)


def versions_in_repository(root: str) -> list[Version]:
    """The versions of a repository by model and number; none where the folder is no repository.

    BundleError where it cannot be listed. What is wrong with one version is that version's.
    """
    surveyed = ModelRepository(root).survey()
    if not any(each.candidates for each in surveyed.versions):
        return []
    if surveyed.problems:
        raise surveyed.problems[0]
    found = [of_artifact_version(each) for each in surveyed.versions]
    found += [_dangling(os.path.join(root, model, str(number)), model, number) for model, number in surveyed.dangling]
    return sorted(found, key=lambda it: (it.model, it.number)) if surveyed.dangling else found


def _dangling(folder: str, model: str, number: int) -> Version:
    """A version that cannot be read because its folder is a link to nothing: a disk that is not mounted, or a slip."""
    failure = BundleError(where=folder, expected="a version's folder", got="a link that cannot be followed")
    return Version(model=model, number=number, name=folder, source=Unreadable(failure), folder=folder)


def of_artifact_version(found: ArtifactVersion) -> Version:
    """A version as it lies in a repository."""
    source: Source
    try:
        source = InArtifact(str(found.path))
    except BundleError as failure:
        source = Unreadable(failure)
    name = source.path if isinstance(source, InArtifact) else str(found.folder)
    return Version(model=found.model, number=found.version, name=name, source=source, folder=str(found.folder))


def is_bundle(path: str) -> bool:
    """Whether a file looks like a bundle. The content decides when it is read."""
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    return head.lstrip().startswith(b"{") and b'"bundle_version"' in head


_HEAD_BYTES = 4096


def versions_in_bundle(path: str) -> list[Version]:
    """The versions of a bundle file. BundleError where it cannot be read."""
    return [
        Version(model=model, number=number, name=name, source=InBundle(path, name, digest), digest=digest, format=kind)
        for model, number, name, digest, kind in _entries(read_bundle(path), path)
    ]


def versions_in_store(place: str, stage: Stage = Stage.PRODUCTION, bundle: str = "") -> list[Version]:
    """The versions that a store has in force at a stage: what leaves serve, and where none do, what roots trim by.

    bundle: the name of the only bundle to look at. StoreError where there is no such store or bundle, or where one
    version has two signatures in bundles of different names.
    """
    store = open_store(place)
    names = store.names()
    if bundle and bundle not in names:
        raise StoreError(where=store.name, expected=f"a bundle named {bundle!r}", got=", ".join(names) or "none")
    found: dict[tuple[str, int], Version] = {}
    for name in [bundle] if bundle else names:
        for each in _in_force(store, name, stage):
            for model, number, entry, digest, kind in _entries(each, place):
                version = Version(
                    model=model,
                    number=number,
                    name=entry,
                    source=InStore(place, entry, digest),
                    digest=digest,
                    format=kind,
                )
                if found.setdefault((model, number), version).digest != digest:
                    raise StoreError(
                        "one version has two signatures, in bundles of different names",
                        where=entry,
                        expected=found[model, number].digest,
                        got=digest,
                        hint=f"Name the bundle that is meant: {place}@{name}/{stage}",
                    )
    return [found[key] for key in sorted(found)]


def _in_force(store: Store, name: str, stage: Stage) -> Iterator[Bundle]:
    head = store.head(name)
    if head is None:
        return
    leaf, root = (head.pointers.at(tier, stage) for tier in (Tier.LEAF, Tier.ROOT))
    for digest in leaf.bundles or root.bundles:
        yield store.bundle(digest)


def _entries(bundle: Bundle, place: str) -> Sequence[tuple[str, int, str, str, str]]:
    """Model, number, what to call it, digest and format of each version in a bundle."""
    return [
        (model, int(text), f"{place}#{model}:{text}", version.digest, version.format)
        for model, bundled in sorted(bundle.models.items())
        for text, version in sorted(bundled.versions.items(), key=lambda it: int(it[0]))
    ]
