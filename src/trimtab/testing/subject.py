"""What the checks look at: a format, samples of it, and ways to read one as trimtab itself would."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from trimtab.errors import ArtifactError, SignatureError
from trimtab.source.bytes import LocalFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trimtab.artifacts.format import Format
    from trimtab.source.bytes import ByteSource


class SampleFile(LocalFile):
    """A file that knows whether somebody closed it."""

    closed = False

    def close(self) -> None:
        """Close the file."""
        self.closed = True
        super().close()


OURS = (ArtifactError, SignatureError)
"""What a format may raise on bytes that it cannot read."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A format under test.

    samples: files or folders of it that state a signature. refused: ones of it that say nothing of inputs and outputs.
    foreign: ones of other formats. damages: how many changed copies of each sample are read, besides cut ones.
    most_bytes: how much of one sample reading may touch. seconds: of the processor's time, for reading one copy.
    mebibytes: of memory, for the same.
    """

    format_: Format
    samples: tuple[str, ...]
    refused: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    damages: int = 200
    most_bytes: int = 1 << 20
    seconds: float = 2.0
    mebibytes: int = 256
    seed: int = 0

    @property
    def every(self) -> tuple[str, ...]:
        """The samples that state a signature, and those that do not."""
        return self.samples + self.refused

    @contextmanager
    def opened(self, path: str) -> Iterator[ByteSource]:
        """The source of a sample, closed afterwards. ArtifactError where a folder is none of this format."""
        if not os.path.isdir(path):
            with SampleFile(path) as source:
                yield source
            return
        open_folder = getattr(self.format_, "open_folder", None)
        folder = open_folder(path) if open_folder is not None else None
        if folder is None:
            raise ArtifactError(where=path, expected="open_folder to give a source", got=repr(folder))
        with folder:
            yield folder

    def read(self, source: ByteSource) -> tuple[bytes | None, Any]:
        """What the format says of a source: the document inside, and the signature."""
        return self.format_.declared(source), self.format_.derive(source)


class Attempt(NamedTuple):
    """What a call came to."""

    value: Any = None
    error: BaseException | None = None

    @property
    def foreign(self) -> str:
        """The exception that is none of ours, worded for a person; empty otherwise."""
        if self.error is None or isinstance(self.error, OURS):
            return ""
        return f"{type(self.error).__name__}: {str(self.error)[:200]}"


class TooLongError(Exception):
    """A call used more of the processor's time than it may."""


def attempt(call: Callable[..., Any], *arguments: Any, seconds: float = 0) -> Attempt:
    """Call, and take whatever it raises; with `seconds`, break off what takes twice as long."""
    try:
        with _broken_off_after(2 * seconds):
            return Attempt(value=call(*arguments))
    except Exception as error:  # noqa: BLE001  # which one it is is what the checks ask
        return Attempt(error=error)


@contextmanager
def _broken_off_after(seconds: float) -> Iterator[None]:
    if not seconds or threading.current_thread() is not threading.main_thread():
        yield
        return

    def break_off(*_: object) -> None:
        raise TooLongError(f"more than {seconds} s of the processor's time")

    before = signal.signal(signal.SIGVTALRM, break_off)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


class Cost(NamedTuple):
    """What a call took of the processor's time, in seconds, and of memory at its highest, in MiB (0: not known)."""

    seconds: float
    mebibytes: int


@contextmanager
def measured(costs: list[Cost]) -> Iterator[None]:
    """Append what the body costs."""
    before = _memory(reset=True)
    started = time.process_time()
    try:
        yield
    finally:
        seconds = time.process_time() - started
        costs.append(Cost(seconds, max(0, _memory() - before)))


def _memory(*, reset: bool = False) -> int:
    """The highest resident memory since it was last reset, in MiB; 0 where the system does not say."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) >> 10
    except OSError:
        pass
    return 0


@contextmanager
def copied(path: str) -> Iterator[str]:
    """A copy of a sample, under its own name, in a folder of its own that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="trimtab-conformance-") as folder:
        copy = os.path.join(folder, os.path.basename(path.rstrip(os.sep)))
        if os.path.isdir(path):
            shutil.copytree(path, copy)
        else:
            shutil.copyfile(path, copy)
        _make_writable(copy)
        yield copy


def _make_writable(path: str) -> None:
    """Samples may be kept read-only; copies are there to be changed."""
    for each in (path, *map(str, Path(path).rglob("*"))):
        os.chmod(each, 0o755 if os.path.isdir(each) else 0o644)
