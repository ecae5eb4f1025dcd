"""A rollout as it is in production: a store, the command line, and a root and a leaf that follow, as processes."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
from processes import ServerProcess, environment, leaf_process, server_process, wait_until
from real_world import RealWorld, write_model
from small_world import ITEMS, Client, scores_of

VERSIONS = {"1": ("price", "age"), "2": ("clicks", "tastes")}
"""What each version of the model consumes: a request trimmed for the one cannot be answered by the other."""


def trimtab(*words: str, code: int = 0) -> Any:
    """Run a command; its JSON."""
    ran = subprocess.run(
        [sys.executable, "-m", "trimtab", *words, "--json"],
        check=False,
        capture_output=True,
        env=environment(),
        timeout=180,
    )
    assert ran.returncode == code, ran.stderr + ran.stdout
    return json.loads(ran.stdout) if ran.stdout.strip() else None


class Place:
    """The store, the repository, and the servers that follow, on one machine."""

    def __init__(self, folder: Path) -> None:
        self.real = RealWorld(folder, {"ctr": VERSIONS["1"]})
        self.folder = folder
        self.store = folder / "store"
        trimtab("store", "init", str(self.store), "--lease", "30")
        self.follow = ("--store", str(self.store), "--stage", "production", "--poll-interval", "0.05")

    def start(self) -> None:
        """Build a bundle of what the repository holds, and roll it out."""
        bundle = str(self.folder / "ranking.json")
        trimtab("bundle", "build", str(self.real.repository), "-o", bundle, "--gate", "none")
        self.rollout("start", bundle, "--gate", "none")

    def rollout(self, *words: str) -> Any:
        return trimtab("rollout", *words, "--store", str(self.store))

    def position(self) -> str:
        return str(self.rollout("status")["position"])

    def advance(self) -> Any:
        at_canary = self.position() == "leaf_canary"
        without = ("--without-analysis", "--why", "a test") if at_canary else ()
        return self.rollout("advance", "--wait", "120", *without)

    def leaf(self) -> Any:
        return leaf_process(self.real.repository, *self.follow, "--name", "ranking", folder=self.folder / "logs")

    def root(self, leaf: ServerProcess) -> Any:
        return server_process(
            "root", "--leaf", leaf.grpc, "--features", f"sqlite:{self.real.features_path}", *self.follow,
            "--name", "ranking", "--state", str(self.folder / "state"), "--deadline-ms", "500",
            folder=self.folder / "logs",
        )  # fmt: skip


class Traffic:
    """Asks all the time, with and without a version, whichever root is there; collects what is wrong."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.address = ""
        self.wrong: list[str] = []
        self.versions: list[str] = []
        self.outcomes: set[str] = set()
        self._done = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._ask()))

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.address = self.address or "nowhere:1"
        self._thread.join()

    async def _ask(self) -> None:
        while not self.address:
            await asyncio.sleep(0.02)
        while not self._done.is_set():
            client, address = Client(self.address), self.address
            while address == self.address and not self._done.is_set():
                try:
                    answer = await client.score("ctr", "ctr:1", "ctr:2")
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(0.02)  # the root is down, or comes up
                    continue
                for result in answer.results:
                    self._check(result)
            await client.close()

    def _check(self, result: Any) -> None:
        self.outcomes.add(result.outcome)
        if result.HasField("error"):
            # Versions are asked for that are not served at the time, and a loaded machine is late.
            if result.error.code not in ("NOT_FOUND", "DEADLINE_EXCEEDED"):
                self.wrong.append(f"{result.model_version or 'latest'}: {result.outcome}: {result.error}")
        elif scores_of(result) != self.place.real.world.expected(VERSIONS[result.model_version], ITEMS[:8]):
            self.wrong.append(f"{result.model_version}: {result.outcome}: other scores")
        else:
            self.versions.append(result.model_version)


def followed(server: ServerProcess) -> Any:
    with urllib.request.urlopen(f"http://{server.http}/v1/models", timeout=60) as answer:
        (bundle,) = json.loads(answer.read())["bundles"]
    return bundle["following"]


def test_roll_out_and_back_under_traffic_while_the_root_is_killed(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.start()
    chance = random.Random(5)
    with ExitStack() as servers, Traffic(place) as traffic:
        leaf = servers.enter_context(place.leaf())
        root = servers.enter_context(place.root(leaf))
        traffic.address = root.grpc
        for _ in range(5):
            place.advance()
        wait_until(lambda: "1" in traffic.versions)
        staged = tmp_path / "staged" / "model.onnx"
        write_model(staged, VERSIONS["2"], place.real.specs)
        staged.parent.rename(place.real.repository / "ctr" / "2")
        place.start()
        killed_at = chance.randrange(5)
        for step in range(5):
            if step == killed_at:
                killer = threading.Timer(chance.uniform(0, 0.5), root.kill)
                killer.start()
                place.advance() if chance.random() < 0.5 else time.sleep(0.2)
                killer.join()
                root = servers.enter_context(place.root(leaf))
                traffic.address = root.grpc
            if place.position() != "settled":
                place.advance()
        wait_until(lambda: traffic.versions[-1] == "2" if traffic.versions else False)
        wait_until(lambda: followed(root)["pointer"].count("+") == 0)
        wait_until(lambda: followed(root)["lease_s"] > 0)
        del traffic.versions[:]
        wait_until(lambda: "2" in traffic.versions)
        place.rollout("rollback", "--wait", "120", "--why", "a test")
        del traffic.versions[:]
        wait_until(lambda: "1" in traffic.versions)
        wait_until(lambda: "2" not in traffic.versions[-20:])
    assert traffic.wrong == []
    assert {"exact"} < traffic.outcomes
    assert "digest_mismatch" not in traffic.outcomes
    assert root.wait() is not None
