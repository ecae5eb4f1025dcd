"""The servers of the demo: real processes, started through the command line that an operator would type."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

START_TIMEOUT_S = 60


@dataclass
class Server:
    """A running `trimtab serve` process, its addresses, and its CPU time."""

    name: str
    process: subprocess.Popen[bytes]
    addresses: dict[str, str]

    @classmethod
    def start(cls, name: str, arguments: list[str], folder: Path) -> Server:
        """Start `trimtab serve …` on free ports and wait until it is ready; its log goes to `folder/NAME.log`."""
        port_file = folder / f"{name}.ports.json"
        port_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "trimtab", "serve", *arguments, "--grpc-port", "0", "--http-port", "0"]
        with (folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen([*command, "--port-file", str(port_file)], stdout=log, stderr=log)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not port_file.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise RuntimeError(f"{name} did not start:\n{(folder / f'{name}.log').read_text()[-2000:]}")
            time.sleep(0.05)
        return cls(name, process, json.loads(port_file.read_text()))

    def cpu_seconds(self) -> float:
        """User and system time that the process has used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """Ask the process to finish what it does and end."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
