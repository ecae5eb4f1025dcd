"""Stop on SIGTERM and SIGINT: the first asks for a graceful stop, the second does not wait."""

from __future__ import annotations

import asyncio
import os
import signal


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
