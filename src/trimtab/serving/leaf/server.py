"""A leaf as one process: settings, start, stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from trimtab.bundles.loading.following import Follower
from trimtab.bundles.store.pointers import Tier
from trimtab.errors import TrimtabError, missing_extra
from trimtab.observing.leaf_metrics import LeafMetrics
from trimtab.serving.leaf.admission import Admission
from trimtab.serving.leaf.digests import BundleDigests
from trimtab.serving.leaf.following import StoreDigests
from trimtab.serving.leaf.loader import ModelLoader
from trimtab.serving.leaf.scoring import Scorer
from trimtab.serving.shutdown import LAST_ANSWERS_S, SAY_SO_S

if TYPE_CHECKING:
    from pathlib import Path

    from trimtab.bundles.loading.following import Follow
    from trimtab.serving.leaf.digests import Digests
    from trimtab.serving.tls import ServerTls

log = logging.getLogger(__name__)


class LeafSettings(Struct, frozen=True, kw_only=True):
    """Everything that a leaf is told.

    repository: the folder MODEL/VERSION/artifact; its models are run, so it must be trusted.
    bundles: when given, only artifacts with the digests that they state are loaded.
    follow: instead of bundles, the leaf's pointer in a store: exactly the versions that it states are served.
    instance: the name to acknowledge them under, unlike every other leaf's; by default made of host and gRPC address.
    grpc_port, http_port: 0 lets the system choose. host: loopback unless told otherwise.
    engine_threads: requests scored at once. intra_op_threads: threads inside one run of a model. queue: requests that
      may wait for an engine thread; the next one is shed.
    poll_interval_s: how often the repository is looked at. max_message_bytes: of a request and of an answer.
    grace_s: how long a stopping leaf waits for what is in flight.
    """

    repository: Path
    bundles: tuple[Path, ...] = ()
    follow: Follow | None = None
    instance: str = ""
    host: str = "127.0.0.1"
    grpc_port: int = 8001
    http_port: int = 8000
    engine_threads: int = max(1, os.cpu_count() or 1)
    intra_op_threads: int = 1
    queue: int = 64
    poll_interval_s: float = 1.0
    max_message_bytes: int = 64 << 20
    grace_s: float = 10.0
    tls: ServerTls | None = None


class LeafServer:
    """A leaf: `start`, then `stop`, both on the same running event loop."""

    def __init__(self, settings: LeafSettings) -> None:
        """Read the bundles. BundleError when one cannot be read, StoreError for a place that cannot be a store."""
        self.settings = settings
        self.metrics = LeafMetrics()
        self._admission = Admission(threads=settings.engine_threads, queue=settings.queue)
        self._digests: Digests
        if settings.follow is None:
            self._digests = BundleDigests(settings.bundles)
        else:
            self._digests = StoreDigests(Follower(settings.follow, Tier.LEAF))
            self.metrics.follows(self._digests)
        self._loader = ModelLoader(settings.repository, self._digests, self.metrics, threads=settings.intra_op_threads)
        self._scorer = Scorer(lambda: self._loader.table, self._admission, self.metrics)
        self.metrics.in_flight.set_function(lambda: self._admission.in_flight)
        self._loading = ThreadPoolExecutor(1, thread_name_prefix="loader")
        self._following: asyncio.Task[None] | None = None
        self._grpc: Any = None
        self._http: Any = None
        self.grpc_address = ""
        """Where gRPC listens, `host:port`; set by `start`."""
        self.http_address = ""
        """Where REST and metrics listen, `host:port`; set by `start`."""

    async def start(self) -> None:
        """Bind the ports, load the repository and become ready. TrimtabError for ports or a repository out of reach."""
        self._grpc = self._bind_grpc()
        await self._grpc.start()
        if isinstance(self._digests, StoreDigests):
            self._digests.instance = self.settings.instance or self._own_name()
        try:
            await self._start_http()
            await self._refresh()
        except BaseException:
            await self.stop()
            raise
        self._scorer.ready = True
        self._following = asyncio.create_task(self._follow())

    async def stop(self) -> bool:
        """Stop gracefully: not ready, no new requests, wait up to `grace_s` for those in flight, then end.

        False when something still runs: an engine cannot be interrupted, and Python waits for its thread at exit.
        """
        self._scorer.ready = False
        if self._following:
            self._following.cancel()
        grace = self.settings.grace_s
        # The faces stay open for a moment and while the work in flight ends: who calls meanwhile is told in words.
        await asyncio.sleep(min(SAY_SO_S, grace))
        await self._admission.drained(grace)
        with contextlib.suppress(TimeoutError):  # before the port is free: who takes it next may take the name with it
            withdrawn = asyncio.get_running_loop().run_in_executor(self._loading, self._digests.close)
            await asyncio.wait_for(withdrawn, _WITHDRAW_S)
        await self._grpc.stop(LAST_ANSWERS_S)
        left = self._admission.in_flight
        if left:
            log.warning("%d requests were still in flight after %g s", left, grace)
        if self._http:
            await self._http.cleanup()
        self._admission.close()
        self._loading.shutdown(wait=False, cancel_futures=True)
        return not left

    def summary(self) -> dict[str, Any]:
        """What a supervisor wants to know of a leaf that is ready: addresses, versions, refusals."""
        table = self._loader.table
        return {
            "grpc": self.grpc_address,
            "http": self.http_address,
            "tls": self.settings.tls is not None,
            "pid": os.getpid(),
            "models": {name: [*versions] for name, versions in table.by_name.items()},
            "refused": [{"model": it.model, "version": str(it.version), "reason": it.reason} for it in table.refused],
        }

    def _own_name(self) -> str:
        """A name that no other leaf has, and that this one has again when it starts again at its address."""
        return re.sub(r"[^A-Za-z0-9.]+", "-", f"{os.uname().nodename}-{self.grpc_address}").strip("-.") or "leaf"

    def _bind_grpc(self) -> Any:
        try:
            import grpc

            from trimtab.serving.leaf.service import InferenceService
        except ModuleNotFoundError:
            raise missing_extra("grpcio", "serve", "a leaf") from None
        settings = self.settings
        server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", settings.max_message_bytes),
                ("grpc.max_send_message_length", settings.max_message_bytes),
                ("grpc.so_reuseport", 0),  # two leaves on one port would share its requests in silence
            ]
        )
        service = InferenceService(
            self._scorer, lambda: self._loader.table, max_message_bytes=settings.max_message_bytes
        )
        server.add_generic_rpc_handlers((service.handler(),))
        address = f"{_bracketed(settings.host)}:{settings.grpc_port}"
        try:
            port = (
                server.add_secure_port(address, settings.tls.grpc_credentials())
                if settings.tls
                else server.add_insecure_port(address)
            )
        except RuntimeError:
            port = 0
        if not port:
            raise _unbindable("gRPC", address, "--grpc-port")
        self.grpc_address = f"{_bracketed(settings.host)}:{port}"
        return server

    async def _start_http(self) -> None:
        try:
            from aiohttp import web

            from trimtab.serving.leaf.rest import RestFace
        except ModuleNotFoundError:
            raise missing_extra("aiohttp", "serve", "a leaf") from None
        settings = self.settings
        face = RestFace(
            self._scorer, lambda: self._loader.table, self.metrics, max_message_bytes=settings.max_message_bytes
        )
        runner = web.AppRunner(face.app(), access_log=None, shutdown_timeout=settings.grace_s)
        await runner.setup()
        self._http = runner
        context = settings.tls.ssl_context() if settings.tls else None
        try:
            await web.TCPSite(runner, settings.host, settings.http_port, ssl_context=context).start()
        except OSError:
            raise _unbindable("HTTP", f"{settings.host}:{settings.http_port}", "--http-port") from None
        self.http_address = f"{_bracketed(settings.host)}:{runner.addresses[0][1]}"

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self.settings.poll_interval_s)
            try:
                await self._refresh()
            except TrimtabError as error:
                log.warning("the repository cannot be looked at; what is loaded stays: %s", error)
            except Exception:
                log.exception("looking at the repository failed; what is loaded stays")

    async def _refresh(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._loading, self._loader.refresh)


_WITHDRAW_S = 5.0


def _unbindable(what: str, address: str, flag: str) -> TrimtabError:
    return TrimtabError(
        f"{what} cannot listen on {address}",
        expected="a free port of an address of this machine",
        hint=f"Is another server running there? Choose another port with {flag}; 0 lets the system choose.",
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
