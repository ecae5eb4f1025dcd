"""Checks of what a format says of sound files, its own and those of other formats."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

from trimtab.errors import ArtifactError, RefusedArtifactError
from trimtab.findings import Problem, rule
from trimtab.signature.document import decode_document, encode_document
from trimtab.signature.model import Signature
from trimtab.source.bytes import MemorySource
from trimtab.testing.foreign import foreign_samples
from trimtab.testing.subject import SampleFile, attempt, copied

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.source.bytes import ByteSource
    from trimtab.testing.subject import Subject


@rule("OFFERS_FUNCTIONS")
def offers_functions(subject: Subject) -> Iterator[Problem]:
    """A format has a name, and the functions `match`, `derive` and `declared`; there are samples to test it with.

    Who breaks: the registry, when it first meets a file that no built-in format wants.
    Instead: see `trimtab.artifacts.format.Format`.
    """
    name = getattr(subject.format_, "name", None)
    place = name if isinstance(name, str) and name else repr(subject.format_)
    if not isinstance(name, str) or not name.isprintable() or not name:
        yield Problem(place, "no name", "a printable string as `name`", repr(name))
    for function in ("match", "derive", "declared", "embed", "open_folder"):
        offered = getattr(subject.format_, function, None)
        optional = function in ("embed", "open_folder")
        if not callable(offered) and not (optional and offered is None):
            yield Problem(place, "a function is missing", function, repr(offered))
    if not subject.every:
        yield Problem(place, "nothing to test with", "samples", "none")


@rule("MATCHES_SAMPLES")
def matches_samples(subject: Subject) -> Iterator[Problem]:
    """`match` is True for every artifact of the format, and `open_folder` opens those that are folders.

    Who breaks: users, whose file is said to be of no known kind.
    Instead: look for what every file of the format has, whoever wrote it.
    """
    for path in subject.every:
        tried = attempt(_match, subject, path)
        if tried.value is not True:
            yield Problem(path, "a sample is not recognized", "match to be True", repr(tried.error or tried.value))


def _match(subject: Subject, path: str) -> object:
    with subject.opened(path) as source:
        return subject.format_.match(source)


@rule("LEAVES_FOREIGN")
def leaves_foreign(subject: Subject) -> Iterator[Problem]:
    """`match` is False, and raises nothing, for files of every other kind; `open_folder` is None for other folders.

    Who breaks: everybody else: a plug-in that takes their files answers for them.
    Instead: recognize more than two bytes, and leave what is not understood to others.
    """
    for kind, samples in foreign_samples().items():
        if kind != subject.format_.name:
            for number, data in enumerate(samples):
                place = f"foreign sample {number} of {kind or 'no format'}"
                tried = attempt(subject.format_.match, MemorySource(data, place))
                if tried.value is not False:
                    yield Problem(place, "taken for its own", "match to be False", repr(tried.error or tried.value))
    for path in subject.foreign:
        tried = attempt(_opened_as_folder if os.path.isdir(path) else _match, subject, path)
        if tried.value is not False:
            yield Problem(path, "taken for its own", "match to be False", repr(tried.error or tried.value))
    with tempfile.TemporaryDirectory() as folder:
        for content in (False, True):
            if content:
                with open(os.path.join(folder, "readme.txt"), "w", encoding="utf-8") as file:
                    file.write("hello")
            tried = attempt(_opened_as_folder, subject, folder)
            if tried.value is not False:
                got = repr(tried.error or tried.value)
                yield Problem("a folder without a model", "taken for its own", "open_folder to be None", got)


def _opened_as_folder(subject: Subject, path: str) -> bool:
    open_folder = getattr(subject.format_, "open_folder", None)
    source = open_folder(path) if open_folder is not None else None
    if source is None:
        return False
    source.close()
    return True


@rule("IGNORES_NAMES")
def ignores_names(subject: Subject) -> Iterator[Problem]:
    """The content of a file decides what it is, never its name: it reads the same under another one, and from memory.

    Who breaks: remote objects and files in caches, whose names are digests.
    Instead: use the source's name in errors only.
    """
    for path in subject.every:
        if os.path.isdir(path):
            continue
        with open(path, "rb") as file:
            source = MemorySource(file.read(), "0" * 64)
        here, there = attempt(_both, subject, path), attempt(_match_and_digest, subject, source)
        if here.value != there.value or here.error is not None or there.error is not None:
            got = there.error or here.error or "another signature"
            yield Problem(path, "read otherwise from memory under another name", "the same signature", repr(got))


def _both(subject: Subject, path: str) -> object:
    with subject.opened(path) as source:
        return _match_and_digest(subject, source)


def _match_and_digest(subject: Subject, source: ByteSource) -> tuple[object, str]:
    matched = subject.format_.match(source)
    try:
        return matched, subject.format_.derive(source).digest
    except RefusedArtifactError:
        return matched, ""


@rule("STATES_SIGNATURE")
def states_signature(subject: Subject) -> Iterator[Problem]:
    """`derive` gives a signature that a document can hold, under the format's own name; or refuses, and says why.

    Who breaks: `trimtab inspect --json` and `trimtab embed`, which write what was derived.
    Instead: names are text, types are those of `trimtab.signature.types`, and `Provenance.format` is the format's name.
    """
    for path in subject.samples:
        tried = attempt(_derived, subject, path)
        if not isinstance(tried.value, Signature):
            yield Problem(path, "no signature", "a Signature", repr(tried.error or tried.value)[:200])
            continue
        if tried.value.provenance.format != subject.format_.name:
            name = repr(tried.value.provenance.format)
            yield Problem(path, "the provenance names another format", repr(subject.format_.name), name)
        again = attempt(lambda signature: decode_document(encode_document(signature)), tried.value)
        if again.value != tried.value:
            yield Problem(path, "changed by its own document", str(tried.value)[:200], str(again.error or again.value))
    for path in subject.refused:
        tried = attempt(_derived, subject, path)
        if not isinstance(tried.error, RefusedArtifactError):
            got = repr(tried.error or tried.value)[:200]
            yield Problem(path, "not refused", "a RefusedArtifactError", got)
        elif not tried.error.hint or path not in tried.error.where:
            yield Problem(path, "a refusal that leaves alone", "the file, and a hint what to do", str(tried.error))


def _derived(subject: Subject, path: str) -> object:
    with subject.opened(path) as source:
        subject.format_.match(source)
        return subject.format_.derive(source)


@rule("READS_LITTLE")
def reads_little(subject: Subject) -> Iterator[Problem]:
    """Reading touches the bytes of the signature, and not those of the weights.

    Who breaks: who reads models of gigabytes, and from far away.
    Instead: `source.read` of what is needed; skip what is not. A sample of several MiB makes this check worth having.
    """
    for path in subject.every:
        with subject.opened(path) as source:
            attempt(subject.format_.match, source)
            attempt(subject.read, source)
            if source.bytes_read > subject.most_bytes:
                got = f"{source.bytes_read} of {source.size}"
                yield Problem(path, "more is read than a signature needs", f"at most {subject.most_bytes} bytes", got)


@rule("KEEPS_SOURCE")
def keeps_source(subject: Subject) -> Iterator[Problem]:
    """A source is as usable after reading as before, no file is left open, and the file itself is as it was.

    Who breaks: commands over thousands of files, which run out of descriptors.
    Instead: whoever opens closes; sources are opened and closed by the caller of `match`, `derive` and `declared`.
    """
    for path in subject.every:
        with copied(path) as copy:
            before = _stamp(copy)
            attempt(_both, subject, copy)  # what is opened once, such as modules, is open now
            files = _open_files()
            with subject.opened(copy) as source:
                attempt(subject.format_.match, source)
                attempt(subject.read, source)
                usable = attempt(_still_open, source)
            after = _open_files() - files
            changed = before != _stamp(copy)
        if usable.error is not None:
            yield Problem(path, "the source cannot be read any more", "an open source", repr(usable.error))
        if after:
            yield Problem(path, "files are left open", "none", ", ".join(sorted(after))[:200])
        if changed:
            yield Problem(path, "the file changed", "the file as it was", "another")


def _still_open(source: ByteSource) -> None:
    source.head(1)
    if isinstance(source, SampleFile) and source.closed:
        raise ArtifactError(where=source.name, expected="an open file", got="a closed one")


def _stamp(path: str) -> dict[str, tuple[int, int]]:
    found = {}
    for folder, _, names in os.walk(path) if os.path.isdir(path) else [(os.path.dirname(path), [], [path])]:
        for name in names:
            status = os.stat(os.path.join(folder, name))
            found[name] = (status.st_size, status.st_mtime_ns)
    return found


def _open_files() -> set[str]:
    """What this process has open, where the system says so."""
    found = set()
    try:
        for descriptor in os.listdir("/proc/self/fd"):
            try:
                found.add(f"{descriptor} {os.readlink(f'/proc/self/fd/{descriptor}')}")
            except OSError:
                continue  # the one that listed them
    except OSError:
        pass
    return found


@rule("READS_DECLARED")
def reads_declared(subject: Subject) -> Iterator[Problem]:
    """`declared` gives the bytes of the document inside, or None where there is none.

    Who breaks: readers, which decode what they get.
    Instead: bytes as they lie there; whether they are a document is found out by others.
    """
    for path in subject.every:
        with subject.opened(path) as source:
            tried = attempt(subject.format_.declared, source)
        if tried.error is not None or not isinstance(tried.value, bytes | None):
            yield Problem(path, "no document, and not None", "bytes or None", repr(tried.error or tried.value)[:200])
