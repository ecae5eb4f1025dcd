"""Read the signatures of many artifacts, in several processes. One that cannot be read never stops the others."""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from trimtab.artifacts.processes import processes, processors
from trimtab.artifacts.read import as_artifact_error, public_path, read_from
from trimtab.artifacts.registry import match_format, open_artifact
from trimtab.errors import ArtifactError, SignatureError, TrimtabError
from trimtab.signature.document import encode_document
from trimtab.source.bytes import LocalFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

    from trimtab.artifacts.candidates import Candidate
    from trimtab.artifacts.format import Format
    from trimtab.signature.model import Signature
    from trimtab.source.bytes import ByteSource


class Reading(NamedTuple):
    """How artifacts are read. documents: give the whole documents too. compare: as of `read_signature`.

    anonymous: of URLs, look for no credentials.
    """

    documents: bool = False
    compare: bool | None = None
    anonymous: bool = False


class Surveyed(NamedTuple):
    """What reading one candidate gave.

    model: False for a file that is no model, and was not named as one. inputs, outputs: how many the default entry
    point has. learned: as of its provenance. document: the signature document, where documents were asked for.
    error: the facts of the error that came instead (`TrimtabError.as_dict`). problem: its first line, without the path.
    reads, bytes_read: what it cost.
    """

    path: str
    model: bool = True
    format: str = ""
    inputs: int = 0
    outputs: int = 0
    entry_points: int = 0
    digest: str = ""
    learned: str = ""
    document: bytes = b""
    error: dict[str, str] | None = None
    problem: str = ""
    reads: int = 0
    bytes_read: int = 0


_DEFAULT = Reading()

_WORTH_PROCESSES = 100
"""Starting processes takes as long as reading so many small files."""


def survey(
    candidates: Sequence[Candidate], *, jobs: int | None = None, reading: Reading = _DEFAULT
) -> Iterator[Surveyed]:
    """Read candidates, and give what each gave, in their order and as soon as it is there.

    jobs: how many processes; by default as many as there are processors, or none but this one for a few local files.
    However many candidates there are, only a few hundred are read ahead of whoever takes the results.
    """
    few = len(candidates) < _WORTH_PROCESSES and not any("://" in each.path for each in candidates)
    jobs = min(jobs or (1 if few else processors()), len(candidates))
    if jobs <= 1:
        for candidate in candidates:
            yield read_candidate(candidate, reading)
    else:
        yield from _in_processes(candidates, jobs, reading)


def read_candidate(candidate: Candidate, reading: Reading = _DEFAULT) -> Surveyed:
    """Read one candidate. Never raises: whatever is wrong is in the result."""
    path = public_path(candidate.path)
    try:
        found = _open(candidate, anonymous=reading.anonymous)
        if found is None:
            return Surveyed(path, model=False)
        format_, source = found
        with source:
            try:
                return _read(path, format_, source, reading)
            except TrimtabError as failure:
                return _failed(path, failure)._replace(
                    format=format_.name, reads=source.reads, bytes_read=source.bytes_read
                )
    except TrimtabError as failure:
        return _failed(path, failure)
    except Exception as failure:  # noqa: BLE001  # a fault of ours or of a plug-in must not stop the others
        return _failed(
            path,
            ArtifactError(
                "reading it failed in a way that was not foreseen",
                where=path,
                got=f"{type(failure).__name__}: {failure}",
                hint="This is a fault of trimtab or of a format plug-in. Please report it, with the file if you can.",
            ),
        )


def _open(candidate: Candidate, *, anonymous: bool) -> tuple[Format, ByteSource] | None:
    """The format and the open source; None for a file that is no model and was not named as one."""
    if candidate.named or os.path.isdir(candidate.path):
        return open_artifact(candidate.path, anonymous=anonymous)
    source = LocalFile(candidate.path)
    try:
        format_ = match_format(source)
    except BaseException:
        source.close()
        raise
    if format_ is not None:
        return format_, source
    source.close()
    return None


def _read(path: str, format_: Format, source: ByteSource, reading: Reading) -> Surveyed:
    signature: Signature = read_from(format_, source, compare=reading.compare)
    return Surveyed(
        path=path,
        format=signature.provenance.format,
        inputs=len(signature.input_names),
        outputs=len(signature.output_names),
        entry_points=len(signature.entry_points),
        digest=signature.digest,
        learned=str(signature.provenance.learned),
        document=encode_document(signature) if reading.documents else b"",
        reads=source.reads,
        bytes_read=source.bytes_read,
    )


def _failed(path: str, failure: TrimtabError) -> Surveyed:
    if isinstance(failure, SignatureError):
        failure = as_artifact_error(failure, path)
    problem = str(failure).partition("\n")[0]
    if problem.startswith(path):
        problem = problem[len(path) :].lstrip("/: ")
    return Surveyed(path, error=failure.as_dict(), problem=problem)


_LARGEST_BATCH = 32


def _in_processes(candidates: Sequence[Candidate], jobs: int, reading: Reading) -> Iterator[Surveyed]:
    from concurrent.futures.process import BrokenProcessPool

    size = max(1, min(_LARGEST_BATCH, len(candidates) // (4 * jobs)))
    waiting = deque(candidates[start : start + size] for start in range(0, len(candidates), size))
    while waiting:
        running: deque[tuple[Sequence[Candidate], Future[list[Surveyed]]]] = deque()
        try:
            with processes(jobs, preload=__name__) as pool:
                while waiting or running:
                    while waiting and len(running) < 4 * jobs:
                        running.append((waiting[0], pool.submit(_read_batch, waiting[0], reading)))
                        waiting.popleft()
                    done = running[0][1].result()
                    running.popleft()
                    yield from done
        except OSError as failure:
            raise _no_processes(jobs, str(failure.strerror)) from None
        except BrokenProcessPool:
            if not running:
                raise _no_processes(jobs, "processes that end at once") from None
            # A process was killed, most likely for its memory. Whose fault it was shows when each is read alone.
            yield from _one_by_one([candidate for batch, _ in running for candidate in batch], reading)


def _no_processes(jobs: int, got: str) -> TrimtabError:
    return TrimtabError("no processes can be started", expected=f"{jobs} of them", got=got, hint="Try --jobs 1.")


def _one_by_one(candidates: Sequence[Candidate], reading: Reading) -> Iterator[Surveyed]:
    """What candidates give in one process at a time, which any of them may kill."""
    from concurrent.futures.process import BrokenProcessPool

    waiting = deque(candidates)
    while waiting:
        with processes(1, preload=__name__) as pool:
            try:
                while waiting:
                    yield from pool.submit(_read_batch, [waiting[0]], reading).result()
                    waiting.popleft()
            except BrokenProcessPool:
                yield _killed(public_path(waiting.popleft().path))


def _killed(path: str) -> Surveyed:
    hint = "Was it killed for the memory that it took? Read this file alone, with more of it."
    return _failed(path, ArtifactError("reading it ended its process", where=path, hint=hint))


def _read_batch(batch: Sequence[Candidate], reading: Reading) -> list[Surveyed]:
    return [read_candidate(candidate, reading) for candidate in batch]
