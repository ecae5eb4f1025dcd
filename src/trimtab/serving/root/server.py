"""A root process: settings, start, graceful stop."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import grpc
from aiohttp import web
from msgspec import Struct

from trimtab.bundles.loading.loader import BundleLoader
from trimtab.bundles.loading.watcher import BundleWatcher
from trimtab.bundles.outcomes import MissPolicy
from trimtab.errors import TrimtabError
from trimtab.observing.root_metrics import RootMetrics
from trimtab.serving import compression
from trimtab.serving.allocator import keep_large_blocks
from trimtab.serving.root.admission import Admission
from trimtab.serving.root.features.cache import FeatureCache
from trimtab.serving.root.features.source import FeatureSource, check_views, open_features
from trimtab.serving.root.fetching import Fetcher
from trimtab.serving.root.http import HttpFace
from trimtab.serving.root.leaves import LeafAddress, Leaves
from trimtab.serving.root.planning import Planner
from trimtab.serving.root.scoring import Scorer
from trimtab.serving.root.service import ScoreService
from trimtab.serving.root.shadow import Shadow
from trimtab.serving.shutdown import LAST_ANSWERS_S, SAY_SO_S

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trimtab.bundles.loading.following import Follow
    from trimtab.bundles.loading.status import FollowStatus
    from trimtab.serving.tls import ClientTls, ServerTls

_log = logging.getLogger(__name__)
_FETCHING_THREADS = 8
_LOOK_ENDS_S = 5.0
"""How long a stop waits for a look at a store."""


class RootSettings(Struct, frozen=True, kw_only=True):
    """Everything that a root can be told. Sizes in bytes, times in seconds; port 0 takes a free one.

    leaves: where the leaves are. bundles: files by bundle name. follow: bundles in stores, acknowledged as `instance`,
    which is made and kept in `state` by default. features: `sqlite:PATH` or a plug-in's scheme.
    state: folder for last-known-good bundles. trim: False sends everything, for comparison. compression: none or lz4
    of what goes to the leaves. max_in_flight: score requests answered at once; more are refused.
    grace_s: how long a stop waits for requests in flight. shadow_rate: share of requests that are sent untrimmed as
    well, to compare scores, which may differ by shadow_tolerance.
    """

    leaves: tuple[LeafAddress, ...]
    features: str
    bundles: dict[str, Path] = {}
    follow: tuple[Follow, ...] = ()
    instance: str = ""
    state: Path | None = None
    host: str = "127.0.0.1"
    grpc_port: int = 9001
    http_port: int = 9000
    policy: MissPolicy = MissPolicy.LENIENT
    trim: bool = True
    compression: str = "none"
    cache_entries: int = 10_000
    cache_ttl_s: float = 60.0
    cache_bytes: int = 256 << 20
    deadline_s: float = 1.0
    poll_interval_s: float = 1.0
    max_message_bytes: int = 256 << 20
    max_in_flight: int = 256
    grace_s: float = 10.0
    shadow_rate: float = 0.0
    shadow_tolerance: float = 0.0
    tls: ServerTls | None = None
    leaf_tls: ClientTls | None = None


class RootServer:
    """A root: `start`, then `stop`. grpc_address and http_address are known after `start`.

    source: a feature source made by the caller, instead of `settings.features`; it is closed by `stop`.
    """

    def __init__(self, settings: RootSettings, source: FeatureSource | None = None) -> None:
        """Open the features and load the bundles. Raises TrimtabError when the features cannot be opened.

        A bundle that cannot be loaded is no reason not to start: its models pass through untrimmed.
        """
        if settings.compression == compression.LZ4:
            compression.compress(b"")  # its absence is told now, not with the first request
        elif settings.compression != "none":
            raise TrimtabError(where="--compression", expected="none or lz4", got=repr(settings.compression))
        self.settings = settings
        self._listening = False
        self.grpc_address = ""
        self.http_address = ""
        self.cache = FeatureCache(
            open_features(settings.features) if source is None else source,
            settings.cache_entries,
            settings.cache_ttl_s,
            settings.cache_bytes,
        )
        check_views(self.cache)
        self.loader = BundleLoader(
            settings.bundles,
            settings.state,
            follow=settings.follow,
            instance=settings.instance,
            in_flight_s=settings.deadline_s,
        )
        self._report_bundles()
        self.watcher = BundleWatcher(self.loader, settings.poll_interval_s, lambda _: self._report_bundles())
        self.metrics = RootMetrics(
            lambda: (self.cache.hits, self.cache.misses),
            self._map_state,
            lambda model: model in self.loader.current.models,
            self._followed,
        )
        self._admission = Admission(settings.max_in_flight, self.metrics)
        self._executor = ThreadPoolExecutor(_FETCHING_THREADS, "trimtab-features")
        self._exits = AsyncExitStack()  # closed from the last to the first: faces, leaves, watcher, features
        self._exits.callback(self.cache.close)
        self._exits.callback(self._executor.shutdown, wait=False, cancel_futures=True)
        self._exits.push_async_callback(asyncio.to_thread, self.loader.close)
        self._exits.push_async_callback(asyncio.to_thread, self.watcher.stop, _LOOK_ENDS_S)

    async def start(self) -> None:
        """Connect, listen, and answer. Raises TrimtabError when an address cannot be bound; nothing is left behind."""
        settings = self.settings
        keep_large_blocks()
        try:
            leaves = Leaves(
                settings.leaves,
                tls=settings.leaf_tls,
                max_message_bytes=settings.max_message_bytes,
                compression=settings.compression,
            )
            self._exits.push_async_callback(leaves.close)
            planner = Planner(self.cache.views, self.loader, settings.policy, settings.trim)
            shadow = self._shadow(planner, leaves)
            scorer = Scorer(planner, Fetcher(self.cache, self._executor), leaves, self.metrics, shadow)
            await self._start_grpc(scorer)
            await self._start_http(scorer)
            self.watcher.start()
            self._listening = True
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Take no new requests, answer those in flight for up to `grace_s`, then let go of everything."""
        self._admission.open = False
        if self._listening:  # for a moment and while requests are answered, so that who calls is told in words
            await asyncio.sleep(min(SAY_SO_S, self.settings.grace_s))
            if not await self._admission.drained(self.settings.grace_s):
                _log.warning("requests were still in flight after %g s", self.settings.grace_s)
        await self._exits.aclose()

    def _shadow(self, planner: Planner, leaves: Leaves) -> Shadow | None:
        settings = self.settings
        if not settings.shadow_rate:
            return None
        shadow = Shadow(
            settings.shadow_rate,
            settings.shadow_tolerance,
            source=self.cache.source,
            planner=planner,
            leaves=leaves,
            metrics=self.metrics,
            timeout_s=settings.deadline_s,
        )
        self._exits.push_async_callback(shadow.close)
        return shadow

    async def _start_grpc(self, scorer: Scorer) -> None:
        settings = self.settings
        server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", settings.max_message_bytes),
                ("grpc.max_send_message_length", settings.max_message_bytes),
                ("grpc.so_reuseport", 0),
            ]
        )
        self._exits.push_async_callback(server.stop, LAST_ANSWERS_S)
        service = ScoreService(scorer, self._admission, settings.deadline_s)
        server.add_generic_rpc_handlers((service.handler(),))
        address = f"{_bracketed(settings.host)}:{settings.grpc_port}"
        try:
            if settings.tls is None:
                port = server.add_insecure_port(address)
            else:
                port = server.add_secure_port(address, settings.tls.grpc_credentials())
        except RuntimeError as problem:
            raise _cannot_listen("--grpc-port", address, problem) from problem
        self.grpc_address = f"{_bracketed(settings.host)}:{port}"
        await server.start()

    async def _start_http(self, scorer: Scorer) -> None:
        settings = self.settings
        face = HttpFace(scorer, self._admission, self.loader, self.metrics, settings.deadline_s)
        application = face.application(settings.max_message_bytes)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=LAST_ANSWERS_S)
        self._exits.push_async_callback(runner.cleanup)
        await runner.setup()
        context = settings.tls.ssl_context() if settings.tls else None
        site = web.TCPSite(runner, settings.host, settings.http_port, ssl_context=context)
        try:
            await site.start()
        except OSError as problem:
            raise _cannot_listen("--http-port", f"{settings.host}:{settings.http_port}", problem) from problem
        self.http_address = f"{_bracketed(settings.host)}:{runner.addresses[0][1]}"

    def _report_bundles(self) -> None:
        for status in self.loader.statuses:
            if status.error:
                _log.warning("bundle %s: %s: %s", status.name, status.state, status.error)
            else:
                _log.info("bundle %s: %s, serial %s", status.name, status.state, status.serial)

    def _followed(self) -> Mapping[str, FollowStatus]:
        return {status.name: status.following for status in self.loader.statuses if status.following is not None}

    def _map_state(self) -> Mapping[str, tuple[int, float]]:
        return {
            name: (bundle.serial, bundle.created_at.timestamp()) for name, bundle in self.loader.current.bundles.items()
        }


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _cannot_listen(flag: str, address: str, problem: Exception) -> TrimtabError:
    return TrimtabError(
        f"cannot listen on {address} ({problem})", where=flag, hint="Is the port taken? Give another one, or 0 for any."
    )
