"""A real Prometheus over known data, and a server that replays what the real one answered.

    python tests/observing/prometheus_servers.py     records the answers again, into tests/data/prometheus

The data are an hour of a gauge on both stages, and what queries trip over: series that end, that never were, that hold
NaN, that divide by zero, counters that appear late.
"""

from __future__ import annotations

import json
import random
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlencode
from urllib.request import Request, urlopen

RECORDED = Path(__file__).resolve().parents[1] / "data" / "prometheus" / "answers.json"

START, STEP, COUNT = 1_700_000_040, 60, 60
END = START + STEP * (COUNT - 1)

QUERIES = (
    'latency_seconds{stage="production"}',
    'latency_seconds{stage="canary"}',
    'latency_slower_seconds{stage="production"}',
    'latency_slower_seconds{stage="canary"}',
    'instances_seconds{stage="production"}',
    'instances_seconds{stage="canary"}',
    'sometimes{stage="production"}',
    'latency_seconds{stage="production"} / on () group_left () zero',
    "never_was",
    "sum(",
    'trimtab_shadow_total{stage="canary"}',
    'trimtab_shadow_total{stage="production"}',
)


def metrics() -> str:
    """The data, as OpenMetrics."""
    rng = random.Random(3)
    times = [START + STEP * at for at in range(COUNT)]

    def gauge(name: str, rows: dict[str, list[tuple[int, object]]], kind: str = "gauge") -> list[str]:
        suffix = "_total" if kind == "counter" else ""
        lines = [f"{name}{suffix}{{{labels}}} {value} {at}" for labels, points in rows.items() for at, value in points]
        return [f"# TYPE {name} {kind}", *lines]

    def about(middle: float, count: int = COUNT) -> list[tuple[int, object]]:
        return [(at, round(rng.gauss(middle, 0.004), 5)) for at in times[:count]]

    lines = gauge("latency_seconds", {'stage="production"': about(0.1), 'stage="canary"': about(0.1)})
    lines += gauge("latency_slower_seconds", {'stage="production"': about(0.1), 'stage="canary"': about(0.12)})
    lines += gauge(
        "instances_seconds",
        {
            'stage="production",instance="a"': about(0.1),
            'stage="production",instance="b"': about(0.1, 30),
            'stage="canary",instance="c"': about(0.1),
        },
    )
    lines += gauge("sometimes", {'stage="production"': [(at, "NaN" if (at - START) % 600 else 1) for at in times]})
    lines += gauge("zero", {"": [(at, 0) for at in times]})
    shadow = {
        'stage="canary",result="equal"': [(at, 7 * number) for number, at in enumerate(times)],
        'stage="canary",result="failed"': [(at, 3) for at in times],
        'stage="canary",result="different"': [(at, 1) for at in times[30:]],
        'stage="production",result="equal"': [(at, 100 + number) for number, at in enumerate(times)],
        'stage="production",result="different"': [(at, 5) for at in times],
    }
    return "\n".join([*lines, *gauge("trimtab_shadow", shadow, "counter"), "# EOF\n"])


@contextmanager
def real_prometheus() -> Iterator[str]:
    """The URL of a Prometheus that holds the data."""
    with tempfile.TemporaryDirectory() as name, socket.socket() as free:
        folder = Path(name)
        (folder / "data.om").write_text(metrics())
        (folder / "prometheus.yml").write_text("")
        blocks = ["tsdb", "create-blocks-from", "openmetrics", folder / "data.om", folder / "tsdb"]
        subprocess.run(["promtool", *map(str, blocks)], check=True, capture_output=True)
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        free.close()
        flags = {
            "config.file": folder / "prometheus.yml",
            "storage.tsdb.path": folder / "tsdb",
            "storage.tsdb.retention.time": "100y",
            "web.listen-address": url.removeprefix("http://"),
        }
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                ["prometheus", *(f"--{key}={value}" for key, value in flags.items())], stderr=log
            )
        try:
            _until_ready(process, url, folder / "log")
            yield url
        finally:
            process.kill()
            process.wait()


def _until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            with urlopen(f"{url}/-/ready", timeout=5):
                return
        except OSError:
            time.sleep(0.05)


Answering = Callable[[BaseHTTPRequestHandler, str], None]


@contextmanager
def server(answering: Answering, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """The URL of a server that answers as it is told to, given the handler and the query."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            answering(self, form["query"][0])

        def do_GET(self) -> None:
            raise AssertionError("a redirect was followed")

        def log_message(self, *_: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        listening.socket = tls.wrap_socket(listening.socket, server_side=True)
    threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{listening.server_port}"
    finally:
        listening.shutdown()
        listening.server_close()


def answer(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    """One whole answer."""
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def replayed(handler: BaseHTTPRequestHandler, query: str) -> None:
    """What the real Prometheus answered to the query."""
    status, text = json.loads(RECORDED.read_text())[query]
    answer(handler, status, text.encode())


def ask(url: str, query: str) -> tuple[int, str]:
    """Status and text of a real answer."""
    form = urlencode({"query": query, "start": START, "end": END, "step": STEP}).encode()
    try:
        with urlopen(Request(f"{url}/api/v1/query_range", form)) as told:
            return told.status, told.read().decode()
    except HTTPError as refusal:
        return refusal.code, refusal.read().decode()


def installed() -> bool:
    """Whether there is a Prometheus to test with."""
    return bool(shutil.which("prometheus") and shutil.which("promtool"))


def main() -> None:
    with real_prometheus() as url:
        recorded = {query: ask(url, query) for query in QUERIES}
    RECORDED.write_text(json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
