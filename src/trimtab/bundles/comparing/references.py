"""How a person names a signature, or a place of many: artifacts, versions of a repository, entries of bundles, stores.

    model.onnx, models/ctr/8, https://…       an artifact, a version's folder, a URL
    models#ctr:8, models#ctr                  a version of a repository; its latest
    ads.json#ctr:8, ads.json#ctr              an entry of a bundle
    store#ctr, store@canary#ctr               what is live in a store: in production, or at the canary
    store@ads/production#ctr                  the same, of the bundle `ads` alone

A path that exists is what it is, whatever signs are in it.
"""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from trimtab.bundles.comparing.versions import (
    InArtifact,
    Version,
    is_bundle,
    of_artifact_version,
    versions_in_bundle,
    versions_in_repository,
    versions_in_store,
)
from trimtab.bundles.repository import ModelRepository
from trimtab.bundles.store.entry import MAX_ENTRY_BYTES
from trimtab.bundles.store.opening import is_store, storage_at
from trimtab.bundles.store.pointers import Stage
from trimtab.bundles.store.store import MARK
from trimtab.errors import BundleError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from trimtab.signature.model import Signature


class Reference(Struct, frozen=True, kw_only=True):
    """A parsed reference. place: a path or a URL. entry: MODEL or MODEL:VERSION, empty for the place as it is.

    stage, bundle: of a store; None and empty where the text does not say them.
    """

    text: str
    place: str
    entry: str = ""
    stage: Stage | None = None
    bundle: str = ""


def parse_reference(text: str, exists: Callable[[str], bool] = os.path.lexists) -> Reference:
    """Take a reference apart. exists: whether there is something at a path; the longest such place is the place.

    BundleError for a text that no path can be.
    """
    try:
        impossible = b"\0" in os.fsencode(text)
    except UnicodeEncodeError:
        impossible = True
    if impossible:
        raise BundleError(expected="a path or a URL", got=ascii(text[:80]))
    if exists(text):
        return Reference(text=text, place=text)
    readings = list(_readings(text))
    there = (each for each in readings if exists(each.place))
    return next(there, readings[-1])


def read_reference(text: str) -> Signature:
    """The signature that a reference names.

    BundleError or StoreError that names what is there where the reference names nothing, or many; errors of
    `trimtab.read_signature` else.
    """
    return version_at(parse_reference(text)).read()


def version_at(reference: Reference) -> Version:
    """The one version that a reference names. Errors as of `read_reference`."""
    found = versions_at(reference)
    if found is None:
        return artifact_at(reference.text)
    if reference.entry:
        return _entry(found, reference)
    raise BundleError(
        "it holds many signatures",
        where=reference.text,
        expected="one of them",
        got=_listed(sorted({each.model for each in found})) or "none",
        hint=f"Name it: {reference.text.rstrip('#')}#{found[0].model if found else 'MODEL'}  (or #MODEL:VERSION)",
    )


def versions_at(reference: Reference) -> list[Version] | None:
    """All versions of the repository, bundle or store at a reference's place; None where that is an artifact."""
    place = reference.place
    if "://" in place and not os.path.lexists(place):
        return _in_remote_store(reference)
    if is_store(place):
        return versions_in_store(place, reference.stage or Stage.PRODUCTION, reference.bundle)
    if reference.stage is not None:
        raise StoreError(where=reference.text, expected=f"a store at {place}", got="something else")
    if os.path.isfile(place) and (reference.entry or is_bundle(place)):
        return versions_in_bundle(place)
    found = versions_in_repository(place) if os.path.isdir(place) else []
    if not found and reference.entry:
        raise BundleError(
            where=place,
            expected="a repository of models, a bundle or a store, to look for an entry in",
            got=what_is_at(place),
        )
    return found or None


def what_is_at(place: str) -> str:
    """What lies at a place that is no repository, bundle or store."""
    if os.path.isdir(place):
        return "a folder without models"
    return "one artifact" if "://" in place or os.path.exists(place) else "nothing there"


def artifact_at(path: str) -> Version:
    """An artifact, or the one in a version's folder, with the model and number that its place in a repository tells.

    Where it lies in no MODEL/VERSION/artifact the model is the file's stem, and the number 0.
    """
    if "://" in path and not os.path.lexists(path):
        stem = path.rpartition("/")[2].partition("?")[0].partition(".")[0]
        return Version(model=stem, number=0, name=path, source=InArtifact(path))
    folder = path if os.path.isdir(path) and _number(path) else os.path.join(path, os.pardir)
    folder = _tidy(folder)
    number, model = _number(folder), os.path.basename(os.path.dirname(os.path.abspath(folder)))
    if not number or not model:
        return Version(model=Path(path).stem, number=0, name=path, source=InArtifact(path))
    if os.path.isdir(path):
        found = ModelRepository(os.path.dirname(os.path.dirname(folder))).version(model, number)
        if found.candidates:
            return of_artifact_version(found)
    return Version(model=model, number=number, name=path, source=InArtifact(path), folder=folder)


def _number(folder: str) -> int:
    """The version that a folder is of; 0 where its name is no version."""
    name = os.path.basename(os.path.abspath(folder))
    return int(name) if _NUMBER.fullmatch(name) else 0


_NUMBER = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)


def _tidy(folder: str) -> str:
    """A folder's path without dots, relative where it was, as long as it still says the model and the version."""
    tidy = os.path.normpath(folder)
    return tidy if len(Path(tidy).parts) > 1 and os.pardir not in Path(tidy).parts[-2:] else os.path.abspath(tidy)


def _readings(text: str) -> Iterator[Reference]:
    """The ways to read a text that is no path as it stands, the longest place first."""
    signs = [it.start() for it in re.finditer("#", text)]
    if "://" in text:
        signs = signs[:1]
    cuts = [(text, "")] if not signs else [(text[:it], text[it + 1 :]) for it in reversed(signs)]
    for place, entry in cuts:
        yield Reference(text=text, place=place, entry=entry)
        if staged := _STAGED.fullmatch(place):
            stage = Stage(staged["stage"])
            yield Reference(text=text, place=staged["place"], entry=entry, bundle=staged["bundle"] or "", stage=stage)


_STAGED = re.compile(
    r"(?P<place>.+)@((?P<bundle>[A-Za-z0-9][A-Za-z0-9._-]{0,127})/)?(?P<stage>canary|production)", re.DOTALL
)


def _in_remote_store(reference: Reference) -> list[Version] | None:
    """What a store under a URL holds; None where there is no store, so that the text is an artifact's address."""
    if reference.place.startswith(("http://", "https://")):
        return None
    try:
        mark = storage_at(reference.place).read(MARK, MAX_ENTRY_BYTES)
    except StoreError:
        if reference.entry or reference.stage is not None:
            raise
        return None
    if mark is None:
        return None
    return versions_in_store(reference.place, reference.stage or Stage.PRODUCTION, reference.bundle)


def _entry(found: Sequence[Version], reference: Reference) -> Version:
    """MODEL or MODEL:VERSION among the versions of a place; a model's name may hold a colon itself."""
    models: dict[str, list[Version]] = {}
    for each in found:
        models.setdefault(each.model, []).append(each)
    if reference.entry in models:
        return models[reference.entry][-1]
    model, _, number = reference.entry.rpartition(":")
    if model not in models:
        wanted = model if _NUMBER.fullmatch(number) and model else reference.entry
        near = difflib.get_close_matches(wanted, models, n=1)
        raise BundleError(
            where=reference.place,
            expected=f"a model {wanted!r}",
            got=_listed(models) or "no models",
            hint=f"Did you mean {near[0]!r}?" if near else "",
        )
    for each in models[model]:
        if str(each.number) == number:
            return each
    raise BundleError(
        where=f"{reference.place}#{model}",
        expected=f"version {number or '(a positive integer)'}",
        got="versions " + _listed([str(each.number) for each in models[model]]),
    )


_SHOWN = 20


def _listed(names: Collection[str]) -> str:
    return ", ".join(list(names)[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
