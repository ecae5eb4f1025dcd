"""Read what the artifacts of a repository say, but only those that the index does not know already."""

from __future__ import annotations

import hashlib
import os
import time
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from trimtab import errors
from trimtab.artifacts.candidates import Candidate
from trimtab.artifacts.survey import Reading, survey
from trimtab.bundles.building.signature_facts import SignatureFacts, facts_of, facts_of_document
from trimtab.errors import ArtifactError, BundleError, TrimtabError
from trimtab.signature.render import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import TypeAlias

    from trimtab.bundles.building.indexing import BuildIndex
    from trimtab.bundles.repository import ArtifactVersion, ModelRepository
    from trimtab.signature.model import Signature

    Read: TypeAlias = Callable[[Path], Signature]
    Progress: TypeAlias = Callable[[int, int], None]


class Found(NamedTuple):
    """What a repository holds.

    models: facts by model and version. refusals: what could not be read, one error each. notes: what is odd.
    read, indexed: how many artifacts were read, and how many the index knew.
    """

    models: dict[str, dict[int, SignatureFacts]]
    versions: dict[tuple[str, int], ArtifactVersion]
    refusals: list[TrimtabError]
    notes: list[str]
    read: int
    indexed: int


def read_repository(
    repository: ModelRepository,
    index: BuildIndex,
    *,
    read: Read | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Found:
    """The facts of every version of every model.

    index: what is known already, and gets to know the rest. read: how one artifact is read; by default as
    `trimtab.read_signature` does, in `jobs` processes where there are many. progress: called as (done, total) after
    each artifact that was read.

    Raises BundleError where the repository cannot be listed, and IndexUnusableError when the index fails.
    """
    looked_at_ns = time.time_ns()
    scanned = repository.survey()
    found = Found({}, {}, list(scanned.problems), list(scanned.notes), 0, 0)
    known = index.known()
    waiting: list[_Waiting] = []
    for version in scanned.versions:
        try:
            each = _Waiting(version, _name(version), version.path, _identity(version))
        except TrimtabError as failure:
            found.refusals.append(failure)
            continue
        found.versions[version.model, version.version] = version
        identity, facts = known.pop(each.name, (b"", None))
        if facts is not None and identity == each.identity:
            found.models.setdefault(version.model, {})[version.version] = facts
        else:
            waiting.append(each)
    for name in known:
        index.forget(name)
    indexed = sum(map(len, found.models.values()))
    results = _in_this_process(waiting, read) if read is not None else _survey(waiting, jobs)
    intake = _Intake(repository, index, found, looked_at_ns)
    count = 0
    for done, (each, result) in enumerate(results, 1):
        count += intake.take(each, result)
        if progress is not None:
            progress(done, len(waiting))
    index.flush()
    models = {model: dict(sorted(found.models[model].items())) for model in sorted(found.models)}
    return found._replace(models=models, read=count, indexed=indexed)


class _Waiting(NamedTuple):
    """A version to be read: its name in the index, its artifact, and the identity under which it was scanned."""

    version: ArtifactVersion
    name: str
    path: Path
    identity: bytes


_Result = tuple[SignatureFacts, bytes] | TrimtabError


def _name(version: ArtifactVersion) -> str:
    if version.model.isprintable():
        return f"{version.model}/{version.version}"
    raise BundleError(
        "the model's name cannot be written into a bundle",
        where=printable(str(version.folder)),
        expected="a folder name of printable Unicode characters",
        got=ascii(version.model),
    )


def _identity(version: ArtifactVersion) -> bytes:
    """Changes when any file of the version does. The time of change counts too: nobody can set that one back."""
    return hashlib.blake2b(repr((version.changed_ns, version.identity)).encode(), digest_size=32).digest()


def _survey(waiting: Sequence[_Waiting], jobs: int | None) -> Iterator[tuple[_Waiting, _Result]]:
    """Read with our own readers, in several processes where that pays."""
    candidates = [Candidate(os.fspath(each.path), named=True) for each in waiting]
    facts: dict[bytes, SignatureFacts] = {}
    surveyed = survey(candidates, jobs=jobs, reading=Reading(documents=True))
    for each, result in zip(waiting, surveyed, strict=True):
        if result.error is not None:
            yield each, _as_error(result.error)
            continue
        hashed = hashlib.sha256(result.document).digest()
        try:
            if hashed not in facts:
                facts[hashed] = facts_of_document(result.document)
        except TrimtabError as failure:
            yield each, failure
        else:
            yield each, (facts[hashed], result.document)


def _in_this_process(waiting: Sequence[_Waiting], read: Read) -> Iterator[tuple[_Waiting, _Result]]:
    for each in waiting:
        try:
            yield each, facts_of(read(each.path))
        except OSError as failure:
            reason = failure.strerror or str(failure)
            yield each, BundleError("the artifact cannot be read", where=str(each.path), got=reason)
        except TrimtabError as failure:
            yield each, failure


def _as_error(facts: dict[str, str]) -> TrimtabError:
    """The error that came over from another process as its facts."""
    told = dict(facts)
    kind = getattr(errors, told.pop("kind", ""), ArtifactError)
    problem = told.pop("problem", "")
    known = {key: told[key] for key in ("where", "expected", "got", "hint") if key in told}
    error: TrimtabError = kind(problem, **known)
    return error


_SETTLED_AFTER_NS = 3_000_000_000
"""A version that changed more recently may change again within one tick of a coarse clock: it is read next time too."""


class _Intake(Struct, frozen=True):
    """Puts what came of a version where it belongs."""

    repository: ModelRepository
    index: BuildIndex
    found: Found
    looked_at_ns: int

    def take(self, each: _Waiting, result: _Result) -> bool:
        """Whether the version was read."""
        version = each.version
        settled = self.looked_at_ns - _changed_ns(version, self.looked_at_ns) > _SETTLED_AFTER_NS
        if isinstance(result, TrimtabError):
            self.index.forget(each.name)
            if not os.path.lexists(version.folder):
                self.found.notes.append(f"{version.folder}: gone since the repository was listed, and left out")
            else:
                self.found.refusals.append(_within(each.path, result))
            return False
        if not settled and not _stayed(self.repository, version):
            self.found.refusals.append(_being_written(version))
            return False
        facts, document = result
        self.found.models.setdefault(version.model, {})[version.version] = facts
        self.index.remember(facts, document)
        if settled and version.whole:
            self.index.trust(each.name, each.identity, facts)
        else:
            self.index.forget(each.name)
        return True


def _changed_ns(version: ArtifactVersion, now_ns: int) -> int:
    """When the version changed last. A time of modification in the future was set by somebody, and says nothing."""
    modified = (identity.mtime_ns for _, identity in version.identity if identity.mtime_ns <= now_ns)
    return max(version.changed_ns, *modified, 0)


def _stayed(repository: ModelRepository, version: ArtifactVersion) -> bool:
    """Whether the version is still the one that was scanned."""
    try:
        now = repository.version(version.model, version.version)
    except BundleError:
        return False
    return _identity(now) == _identity(version)


def _being_written(version: ArtifactVersion) -> BundleError:
    return BundleError(
        f"version {version.version} of {printable(version.model)!r} changed while it was read",
        where=str(version.folder),
        hint="Still being written? Write it elsewhere in the same file system, then rename it into place.",
    )


def _within(path: Path, failure: TrimtabError) -> TrimtabError:
    return failure if path.name in failure.where else failure.within(str(path))
