"""Stop on SIGTERM and SIGINT: the first asks for a graceful stop, the second does not wait."""

from __future__ import annotations

import asyncio
import os
import signal

SAY_SO_S = 0.5
"""How long a server that stops tells callers to go elsewhere before it closes.

A gRPC server that closes at once answers what arrives at that moment with a bare CANCELLED.
"""

LAST_ANSWERS_S = 1.0
"""How long answers that are ready may take to leave a server that closes."""


def stop_event() -> asyncio.Event:
    """An event of the running loop that is set by the first SIGTERM or SIGINT.

    A second signal ends the process at once with the status that the shell expects (128 + signal).
    """
    loop = asyncio.get_running_loop()
    event = asyncio.Event()

    def handle(number: int) -> None:
        if event.is_set():
            os._exit(128 + number)
        event.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, handle, number)
    return event
