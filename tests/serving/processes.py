"""Start leaf and root as the processes that they are in production, and stop them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trimtab

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = Path(str(trimtab.__file__)).resolve().parents[1]


class ServerProcess:
    """One `trimtab serve ...` that said it was ready."""

    def __init__(self, process: subprocess.Popen[bytes], ready: dict[str, Any], log: Path) -> None:
        self.process = process
        self.ready = ready
        self.log = log

    @property
    def grpc(self) -> str:
        """host:port."""
        return str(self.ready["grpc"])

    @property
    def http(self) -> str:
        """host:port."""
        return str(self.ready["http"])

    def log_text(self) -> str:
        return self.log.read_text()

    def terminate(self) -> None:
        """Send SIGTERM and return at once."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """As if the machine had lost it."""
        self.process.kill()
        self.process.wait()

    def wait(self, timeout_s: float = 60) -> int:
        """The exit status."""
        return self.process.wait(timeout_s)


@contextmanager
def leaf_process(repository: Path, *flags: str, folder: Path) -> Iterator[ServerProcess]:
    """A leaf on free ports. folder: where its log and port file go."""
    with server_process("leaf", "--repository", str(repository), *flags, folder=folder) as leaf:
        yield leaf


@contextmanager
def server_process(tier: str, *flags: str, folder: Path) -> Iterator[ServerProcess]:
    """`trimtab serve TIER FLAGS` on free ports, ready; killed at the end if it still runs."""
    process, port_file, log = launch(tier, *flags, folder=folder)
    try:
        yield ServerProcess(process, _ready(process, port_file, log), log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def launch(tier: str, *flags: str, folder: Path) -> tuple[subprocess.Popen[bytes], Path, Path]:
    """Start it and do not wait: for tests of what keeps it from becoming ready."""
    folder.mkdir(parents=True, exist_ok=True)
    number = len(list(folder.glob(f"{tier}-*.log")))
    log, port_file = folder / f"{tier}-{number}.log", folder / f"{tier}-{number}.json"
    command = [sys.executable, "-m", "trimtab", "serve", tier, *flags, "--port-file", str(port_file)]
    for flag in ("--grpc-port", "--http-port"):
        if flag not in flags:
            command += [flag, "0"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment())
    return process, port_file, log


def environment() -> dict[str, str]:
    """This environment, with the very trimtab that the tests import: the installed one, or the checkout's."""
    path = os.pathsep.join(filter(None, (str(PACKAGES), os.environ.get("PYTHONPATH", ""))))
    return {**os.environ, "PYTHONPATH": path}


def wait_until(true: Any, *, within_s: float = 120, what: str = "") -> Any:
    """Call `true` until it gives something true, and return that."""
    deadline = time.monotonic() + within_s
    while not (value := true()):
        assert time.monotonic() < deadline, f"not within {within_s} s: {what or true}"
        time.sleep(0.02)
    return value


def _ready(process: subprocess.Popen[bytes], port_file: Path, log: Path) -> dict[str, Any]:
    def written() -> bool:
        assert process.poll() is None, f"ended with {process.returncode} before it was ready:\n{log.read_text()}"
        return port_file.exists()

    wait_until(written, within_s=90, what=f"ready; log:\n{log.read_text()}")
    ready: dict[str, Any] = json.loads(port_file.read_text())
    return ready
