"""Build a bundle from a model repository: read every signature, hold the gate, number what results."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from trimtab.bundles.bundle import Bundle, BundledModel, BundledVersion
from trimtab.bundles.freeze import changed_inputs
from trimtab.bundles.indices import Indices
from trimtab.bundles.refusals import raise_refusals
from trimtab.bundles.request_names import request_names
from trimtab.errors import BundleError, TrimtabError
from trimtab.signature.render import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import TypeAlias

    from trimtab.bundles.repository import ArtifactVersion, ModelRepository
    from trimtab.signature.model import Signature

    Read: TypeAlias = Callable[[Path], Signature]
    Progress: TypeAlias = Callable[[int, int, ArtifactVersion], None]
    Models: TypeAlias = dict[str, dict[int, Signature]]


class Gate(StrEnum):
    """What a build refuses, beyond what cannot be read."""

    FREEZE = "freeze"
    """A version whose inputs differ from any published under its name. Models that pass are attested stable."""

    NONE = "none"
    """Nothing. No model is attested stable, so requests without a version are trimmed to the union."""


def build_bundle(
    repository: ModelRepository,
    *,
    name: str,
    previous: Bundle | None = None,
    gate: Gate = Gate.FREEZE,
    read: Read | None = None,
    progress: Progress | None = None,
) -> Bundle:
    """Derive the bundle of all models and versions in a repository.

    name: the bundle's own. previous: the bundle that this one follows; its history of published signatures is carried
    over, and the serial is one higher. A build that finds nothing changed returns `previous` itself, serial and all.
    read: reads an artifact's signature; `trimtab.read_signature` when None. progress: called as (done, total, version)
    before each artifact is read.

    Raises SignatureChangedError when the gate refuses, and BundleError or ArtifactError when something cannot be read;
    several at once come as one error whose `refusals` lists all of them.
    """
    if previous is not None and previous.name != name:
        raise BundleError(
            "the previous bundle is another one",
            expected=f"a bundle named {name!r}",
            got=repr(previous.name),
            hint=f"Keep the name (--name {previous.name}), or start a new bundle in a new file.",
        )
    models, refusals = _read_all(repository, read or _default_reader(), progress)
    if gate is Gate.FREEZE:
        refusals.extend(changed_inputs(repository.root, models, previous))
    raise_refusals(refusals)
    bundle = _assemble(name, models, previous, gate)
    return previous if previous is not None and previous.same_content(bundle) else bundle


def _default_reader() -> Read:
    from trimtab.artifacts import read_signature

    return read_signature


def _read_all(repository: ModelRepository, read: Read, progress: Progress | None) -> tuple[Models, list[TrimtabError]]:
    found = repository.scan()
    if not found:
        raise BundleError(
            "no version of any model",
            where=str(repository.root),
            expected="folders MODEL/VERSION/artifact, such as ctr/1/model.onnx (VERSION a positive integer)",
            got="none",
        )
    models: Models = {}
    refusals: list[TrimtabError] = []
    for done, version in enumerate(found):
        if progress is not None:
            progress(done, len(found), version)
        try:
            signature = _read_one(version, read)
        except TrimtabError as failure:
            refusals.append(failure)
        else:
            models.setdefault(version.model, {})[version.version] = signature
    return models, refusals


def _read_one(version: ArtifactVersion, read: Read) -> Signature:
    if not version.model.isprintable():
        raise BundleError(
            "the model's name cannot be written into a bundle",
            where=printable(str(version.folder)),
            expected="a folder name of printable Unicode characters",
            got=ascii(version.model),
        )
    path = version.path
    try:
        signature = read(path)
        request_names(signature)
    except OSError as failure:
        reason = failure.strerror or str(failure)
        raise BundleError("the artifact cannot be read", where=str(path), got=reason) from None
    except TrimtabError as failure:
        if path.name in failure.where:
            raise
        raise failure.within(str(path)) from None
    return signature


def _assemble(name: str, models: Models, previous: Bundle | None, gate: Gate) -> Bundle:
    """Number names and allowlists, each once, and put the models on top, those of the past included."""
    lists = {
        signature.input_digest: request_names(signature)
        for versions in models.values()
        for signature in versions.values()
    }
    names = sorted(frozenset().union(*lists.values()))
    number = {each: index for index, each in enumerate(names)}
    numbered = {digest: Indices(sorted(map(number.__getitem__, listed))) for digest, listed in lists.items()}
    allowlists = sorted(set(numbered.values()))
    place = {allowlist: index for index, allowlist in enumerate(allowlists)}
    places = {digest: place[allowlist] for digest, allowlist in numbered.items()}
    history = {} if previous is None else {model: each.published for model, each in previous.models.items()}
    return Bundle(
        name=name,
        serial=1 if previous is None else previous.serial + 1,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        names=tuple(names),
        allowlists=tuple(allowlists),
        models={
            model: _bundled(models.get(model, {}), history.get(model, {}), gate, places)
            for model in sorted({*models, *history})
        },
    )


def _bundled(
    versions: Mapping[int, Signature], history: Mapping[str, str], gate: Gate, places: Mapping[str, int]
) -> BundledModel:
    published = dict(history)
    for number in sorted(versions):
        published.setdefault(versions[number].input_digest, str(number))
    return BundledModel(
        attested_stable=gate is Gate.FREEZE and len(published) == 1,
        versions={
            str(number): BundledVersion(
                digest=versions[number].digest,
                input_digest=versions[number].input_digest,
                allowlist=places[versions[number].input_digest],
                format=versions[number].provenance.format,
            )
            for number in sorted(versions)
        },
        published=published,
    )
