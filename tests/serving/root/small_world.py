"""A world small enough to check by hand: three views, a few models over them, bundles that say so."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from scripted_leaf import ScriptedLeaf

from trimtab.bundles.bundle import Bundle, BundledModel, BundledVersion, write_bundle
from trimtab.bundles.indices import Indices
from trimtab.protocols import score
from trimtab.serving.root.features.source import FeatureSpec, Fetched, Level, View
from trimtab.serving.root.leaves import LeafAddress
from trimtab.serving.root.server import RootServer, RootSettings
from trimtab.signature.dtypes import DType

ITEM = View(
    "item",
    (
        FeatureSpec("price", DType.FLOAT32, (1,)),
        FeatureSpec("clicks", DType.INT64, (1,)),
        FeatureSpec("tags", DType.INT64, (4,)),
        FeatureSpec("image", DType.FLOAT32, (16,)),
    ),
)
SHOP = View("shop", (FeatureSpec("rating", DType.FLOAT32, (1,)),))
USER = View(
    "user", (FeatureSpec("age", DType.FLOAT32, (1,)), FeatureSpec("tastes", DType.FLOAT32, (64,))), Level.REQUEST
)
ITEMS = [f"p{number}" for number in range(40)]


class World:
    """A feature source with seeded values that remembers what it was asked, and can be told to fail or to hang."""

    def __init__(self) -> None:
        self.views = {view.name: view for view in (ITEM, SHOP, USER)}
        self.asked: list[tuple[str, tuple[str, ...], frozenset[str]]] = []
        self.down: dict[str, Exception] = {}
        self.slow: dict[str, threading.Event] = {}
        random = np.random.default_rng(1)
        keys = {"item": ITEMS, "shop": ITEMS[:30], "user": ["u1"]}
        self.table: dict[str, dict[str, dict[str, Any]]] = {
            view.name: {
                key: {it.name: random.integers(0, 9, it.shape).astype(it.storage) for it in view.features}
                for key in keys[view.name]
            }
            for view in self.views.values()
        }

    def fetch(self, view: str, keys: Sequence[str], features: Sequence[str]) -> Fetched:
        self.asked.append((view, tuple(keys), frozenset(features)))
        if view in self.down:
            raise self.down[view]
        if view in self.slow:
            self.slow[view].wait(30)
        rows = [self.table[view][key] for key in keys if key in self.table[view]]
        specs = {it.name: it for it in self.views[view].features}
        columns = {
            name: np.array([row[name] for row in rows], specs[name].storage).reshape(len(rows), *specs[name].shape)
            for name in features
        }
        return Fetched(columns, tuple(key for key in keys if key not in self.table[view]))

    def close(self) -> None:
        pass

    def expected(self, uses: Sequence[str], items: Sequence[str], user: str = "u1") -> list[float]:
        rows = [
            {**self.table["item"][it], **self.table["shop"].get(it, {}), **self.table["user"][user]} for it in items
        ]
        return [float(sum(np.sum(row[name], dtype=np.float64) for name in uses)) for row in rows]


def digest_of(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def bundle_of(models: Mapping[str, Mapping[str, Sequence[str]]], serial: int = 1, attested: bool = True) -> Bundle:
    """A bundle "ranking" of allowlists by model and version; a version's digest is `digest_of("MODEL:VERSION")`."""
    lists = {tuple(sorted(names)) for versions in models.values() for names in versions.values()}
    names = tuple(sorted({name for each in lists for name in each}))
    allowlists = sorted(Indices(names.index(name) for name in each) for each in lists)
    bundled = {}
    for model, versions in models.items():
        entries, published = {}, {}
        for version, allowed in versions.items():
            index = allowlists.index(Indices(names.index(name) for name in sorted(allowed)))
            inputs = digest_of(repr(sorted(allowed)))
            published.setdefault(inputs, version)
            entries[version] = BundledVersion(
                digest=digest_of(f"{model}:{version}"), input_digest=inputs, allowlist=index
            )
        bundled[model] = BundledModel(
            attested_stable=attested and len(published) == 1, versions=entries, published=published
        )
    return Bundle(
        name="ranking", serial=serial, created="2026-01-02T03:04:05Z", names=names,
        allowlists=tuple(allowlists), models=bundled,
    )  # fmt: skip


@asynccontextmanager
async def root_over(
    folder: Path, source: Any, leaves: Sequence[ScriptedLeaf | str], bundle: Bundle | None = None, **settings: Any
) -> AsyncIterator[Client]:
    """A root in this process, and a client of it."""
    path = folder / "ranking.bundle.json"
    if bundle is not None:
        write_bundle(path, bundle)
    server = RootServer(
        RootSettings(
            leaves=tuple(LeafAddress.parse(it if isinstance(it, str) else it.address) for it in leaves),
            features="",
            bundles={"ranking": path} if bundle is not None else {},
            grpc_port=0,
            http_port=0,
            **{"deadline_s": 30.0, "poll_interval_s": 0.05, "grace_s": 0.05, **settings},
        ),
        source,
    )
    await server.start()
    client = Client(server.grpc_address, server)
    try:
        yield client
    finally:
        await client.close()
        await server.stop()


async def eventually(true: Callable[[], Any], *, within_s: float = 60) -> None:
    """Call `true` until it gives something true."""
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.01)


class Client:
    """Asks a root over gRPC."""

    def __init__(self, address: str, server: RootServer | None = None) -> None:
        self.server = server
        self._channel = grpc.aio.insecure_channel(address, [("grpc.max_receive_message_length", 64 << 20)])
        self._call = self._channel.unary_unary(score.METHODS["Score"])

    async def score(self, *models: str, items: Sequence[str] = tuple(ITEMS[:8]), **fields: Any) -> Any:
        """The ScoreResponse; a model is `name` or `name:version`."""
        request = score.ScoreRequest(candidates=items, **{"entities": {"user": "u1"}, **fields})
        for model in models:
            name, _, version = model.partition(":")
            request.models.add(name=name, version=version)
        return score.ScoreResponse.FromString(await self._call(request.SerializeToString()))

    async def raw(self, payload: bytes) -> bytes:
        return await self._call(payload)

    async def close(self) -> None:
        await self._channel.close()


def scores_of(result: Any) -> list[float]:
    assert not result.HasField("error"), result.error
    (output,) = result.outputs
    return np.frombuffer(output.raw, "<f4").astype(float).tolist()
