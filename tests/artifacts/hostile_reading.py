"""Read files one after the other, and print what came of each as a line of JSON: run in a process of its own.

    python tests/artifacts/hostile_reading.py FILE...

The process watches what it does besides reading, and what each file takes of the processor and of memory.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from trimtab.artifacts import known_formats, read_signature
from trimtab.artifacts.verifying import verify_artifact
from trimtab.errors import ArtifactError, RefusedArtifactError
from trimtab.signature.document import decode_document, encode_document
from trimtab.testing import Watch, foreign_samples

SECONDS = 20
"""After so much of the processor's time, a file is given up."""


class GivenUpError(BaseException):
    """A file took too long; no reader can catch this as an error of its own."""


def give_up(*_: object) -> None:
    raise GivenUpError


def look(path: str) -> tuple[str, str]:
    """What reading comes to, and a word about it; what is read is written down too."""
    try:
        signature = read_signature(path)
    except RefusedArtifactError as error:
        return "refused", str(error)
    except ArtifactError as error:
        return "error", str(error)
    encode_document(signature)
    str(signature)
    return "read", signature.digest


def verified(path: str) -> None:
    """Verify, too: it looks at more than reading does."""
    with suppress(ArtifactError):
        verify_artifact(path, notes=True)


def highest_memory(*, reset: bool = False) -> int:
    """The highest resident memory since the last reset, in MiB."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) >> 10


def watched(path: str, *, code: bool) -> dict[str, Any]:
    highest_memory(reset=True)
    started = time.process_time()
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    with Watch(code=code) as watch:
        try:
            outcome, text = look(path)
            seconds = time.process_time() - started
            verified(path)
        except BaseException as error:  # noqa: BLE001  # whatever it is, it must be told
            seconds = time.process_time() - started
            outcome, text = f"escaped {type(error).__name__}", str(error)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return {"outcome": outcome, "text": text, "seconds": seconds, "mib": highest_memory(), "seen": watch.seen}


def main(paths: list[str]) -> None:
    signal.signal(signal.SIGVTALRM, give_up)
    known_formats()
    decode_document(encode_document(decode_document(b'{"input_names": [], "output_names": []}')))
    assert foreign_samples()
    for path in paths:
        told = watched(path, code=True)
        if any(each.startswith(("exec", "compile", "marshal")) for each in told["seen"]):
            told = watched(path, code=True)  # the first time, a module was imported that only such files need
        print(json.dumps({"path": path, **told}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
