"""Build a bundle from a model repository: read what changed, hold the gate, number what results."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from trimtab.bundles.building.assembling import assemble
from trimtab.bundles.building.indexing import BuildIndex, IndexUnusableError, discard_index
from trimtab.bundles.building.judging import Judge, Judgement, changed_in_place
from trimtab.bundles.building.reading import read_repository
from trimtab.bundles.building.refusals import RefusedChangesError, raise_refusals
from trimtab.bundles.bundle import check_bundle_name
from trimtab.errors import BundleError
from trimtab.signature.render import printable
from trimtab.stability.configuration import find_configuration

if TYPE_CHECKING:
    import datetime as dates
    from collections.abc import Iterator
    from pathlib import Path

    from trimtab.bundles.building.index import SignatureIndex
    from trimtab.bundles.building.reading import Found, Progress, Read
    from trimtab.bundles.building.signature_facts import SignatureFacts
    from trimtab.bundles.bundle import Bundle
    from trimtab.bundles.repository import ModelRepository
    from trimtab.signature.model import Signature
    from trimtab.stability.category import Category
    from trimtab.stability.configuration import Configuration


class Gate(StrEnum):
    """What a build refuses, beyond what cannot be read."""

    CONFIG = "config"
    """What the configuration says: without one, every change of a signature. Models whose inputs are held to FREEZE
    are attested stable."""

    NONE = "none"
    """Nothing. No model is attested stable, so requests without a version are trimmed to the union."""


class Built(Struct, frozen=True, kw_only=True):
    """A bundle, and how it came about.

    changed: whether it is another than the one before. read, indexed: how many artifacts were read, and how many the
    index knew. judgement: what the gate let through with remarks. notes: what is odd, for a person.
    """

    bundle: Bundle
    changed: bool
    read: int
    indexed: int
    judgement: Judgement
    notes: tuple[str, ...] = ()


def build_bundle(
    repository: ModelRepository,
    *,
    name: str,
    previous: Bundle | None = None,
    gate: Gate = Gate.CONFIG,
    configuration: Configuration | None = None,
    category: Category | None = None,
    index: Path | None = None,
    read: Read | None = None,
    progress: Progress | None = None,
) -> Bundle:
    """Derive the bundle of all models and versions in a repository.

    name: the bundle's own. previous: the bundle that this one follows; its history of published signatures is carried
    over, and the serial is one higher. A build that finds nothing changed returns `previous` itself, serial and all.
    configuration: what each model is held to; that of the nearest `trimtab.toml` above the repository when None.
    category: hold every model to this one instead. index: the file that remembers what artifacts said, so that those
    that did not change are not read again; it is made where there is none, and None is to read everything.
    read: reads an artifact's signature; `trimtab.read_signature` when None, for many artifacts in several processes. An
    index is for one way to read.
    progress: called as (done, total) after each artifact that was read.

    Raises SignatureChangedError when the gate refuses, and BundleError or ArtifactError when something cannot be read;
    several at once come as one error whose `refusals` lists all of them.
    """
    return derive_bundle(
        repository,
        name=name,
        previous=previous,
        gate=gate,
        configuration=configuration,
        category=category,
        index=index,
        read=read,
        progress=progress,
    ).bundle


def derive_bundle(
    repository: ModelRepository,
    *,
    name: str,
    previous: Bundle | None = None,
    gate: Gate = Gate.CONFIG,
    configuration: Configuration | None = None,
    category: Category | None = None,
    index: Path | None = None,
    read: Read | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
    past: SignatureIndex | None = None,
    today: dates.date | None = None,
) -> Built:
    """`build_bundle`, with how the bundle came about.

    jobs: how many processes read. past: another index that may have the signatures of the previous bundle. today: when
    waivers are judged.
    """
    check_bundle_name(name)
    if previous is not None and previous.name != name:
        raise BundleError(
            "the previous bundle is another one",
            expected=f"a bundle named {name!r}",
            got=repr(previous.name),
            hint=f"Keep the name (--name {previous.name}), or start a new bundle in a new file.",
        )
    if configuration is None:
        configuration = find_configuration(repository.root)
    today = today or datetime.now(UTC).date()
    judge = _Judging(repository, previous, gate, configuration, category, today, past)
    found, judgement, note = _read_and_judge(judge, index, read, jobs, progress)
    _refuse(repository.root, found, judgement)
    bundle = assemble(name, found.models, previous, judgement.held)
    unchanged = previous is not None and previous.same_content(bundle)
    return Built(
        bundle=previous if previous is not None and unchanged else bundle,
        changed=not unchanged,
        read=found.read,
        indexed=found.indexed,
        judgement=judgement,
        notes=(*found.notes, *([note] if note else []), *_notes_in_place(found, previous)),
    )


class _Judging(Struct, frozen=True):
    """What a repository is judged by."""

    repository: ModelRepository
    previous: Bundle | None
    gate: Gate
    configuration: Configuration
    category: Category | None
    today: dates.date
    past: SignatureIndex | None

    def __call__(self, found: Found, index: BuildIndex, read: Read | None) -> Judgement:
        if self.gate is Gate.NONE:
            return Judgement()

        def signature_of(model: str, number: int, facts: SignatureFacts) -> Signature:
            path = found.versions[model, number].path
            return index.signature_of_document(facts.document_hash) or (read or _default_reader())(path)

        judge = Judge(
            self.repository.root,
            self.previous,
            [index] if self.past is None else [index, self.past],
            signature_of,
            configuration=self.configuration,
            category=self.category,
            today=self.today,
        )
        return judge.judge(found.models)


def _default_reader() -> Read:
    from trimtab.artifacts import read_signature

    return read_signature


def _read_and_judge(
    judge: _Judging, index: Path | None, read: Read | None, jobs: int | None, progress: Progress | None
) -> tuple[Found, Judgement, str]:
    """What the repository holds, what the gate says of it, and a note where the index could not be used.

    An index that fails is made anew, and if it fails again, or is somebody else's at the moment, done without.
    """
    paths = [None] if index is None else [index, index, None]
    reason = ""
    while paths:
        path = paths.pop(0)
        with BuildIndex.open(path) as opened:
            try:
                found = read_repository(judge.repository, opened, read=read, jobs=jobs, progress=progress)
                return found, judge(found, opened, read), opened.note or reason
            except IndexUnusableError as failure:
                reason = f"{path}: the index is not used: {failure}"
                if failure.damaged and path is not None:
                    discard_index(path)
                else:
                    del paths[:-1]
    raise BundleError(
        "there is no room for temporary files", got=reason, hint="Is the disk full? TMPDIR names another."
    )


def _refuse(root: Path, found: Found, judgement: Judgement) -> None:
    refusals = list(found.refusals)
    if judgement.refused:
        refusals.append(RefusedChangesError(root, judgement))
    raise_refusals(refusals)
    if not found.models:
        raise BundleError(
            "no version of any model",
            where=str(root),
            expected="folders MODEL/VERSION/artifact, such as ctr/1/model.onnx (VERSION a positive integer)",
            got="; ".join(found.notes) or "none",
        )


def _notes_in_place(found: Found, previous: Bundle | None) -> Iterator[str]:
    for model, number in changed_in_place(found.models, previous):
        yield (
            f"{printable(model)}:{number} was published before with other inputs. Roots that hold it trim by those for"
            " good: publish what changed as a version, and best as a model, of its own."
        )
