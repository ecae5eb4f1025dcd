"""Trimmed and untrimmed scores of sampled requests are compared, behind the caller's back.

The leaf is scripted where it must lie: its model reads a feature that the bundle, and so the signature, does not name.
The last test has a real root and a real leaf.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import grpc
import numpy as np
import pytest
from processes import wait_until
from real_world import RealWorld
from scripted_leaf import ScriptedLeaf, ScriptedModel
from small_world import ITEMS, Client, World, bundle_of, root_over, scores_of

from trimtab.protocols import oip

USES = {"ctr": ("price", "age"), "price": ("price",)}
BUNDLE = bundle_of({name: {"1": uses} for name, uses in USES.items()})


class Peeking(ScriptedModel):
    """Adds a feature that its signature does not name to its scores, when a request happens to bring it."""

    def __init__(self, uses: tuple[str, ...], peeks_at: str) -> None:
        super().__init__(uses)
        self.peeks_at = peeks_at


class PeekingLeaf(ScriptedLeaf):
    async def _infer(self, payload: bytes, context: Any) -> Any:
        answer = await super()._infer(payload, context)
        request = oip.ModelInferRequest.FromString(payload)
        model = self.models[request.model_name]
        names = [tensor.name for tensor in request.inputs]
        if isinstance(model, Peeking) and model.peeks_at in names:
            scores = np.frombuffer(answer.raw_output_contents[0], "<f4").copy()
            scores[3] += 0.5
            answer.raw_output_contents[0] = scores.tobytes()
        return answer


def run(test: Callable[[ScriptedLeaf, World], Awaitable[None]], models: dict[str, ScriptedModel] | None = None) -> None:
    async def main() -> None:
        scripted = PeekingLeaf(models or {name: ScriptedModel(uses) for name, uses in USES.items()})
        await scripted.start()
        try:
            await test(scripted, World())
        finally:
            await scripted.stop()

    asyncio.run(main())


async def counted(client: Client, expected: int) -> dict[tuple[str, str], int]:
    """Comparisons by model and result, once that many are done."""
    deadline = time.monotonic() + 60
    while True:
        assert client.server is not None
        lines = client.server.metrics.render().decode().splitlines()
        found = {}
        for line in lines:
            if line.startswith("trimtab_shadow_total{"):
                labels = dict(it.split("=") for it in line[line.index("{") + 1 : line.index("}")].split(","))
                found[labels["model"].strip('"'), labels["result"].strip('"')] = int(float(line.split()[-1]))
        if sum(found.values()) >= expected:
            return {key: count for key, count in found.items() if count}
        assert time.monotonic() < deadline, lines
        await asyncio.sleep(0.01)


def sent(leaf: ScriptedLeaf, model: str) -> list[set[str]]:
    return [{tensor.name for tensor in it.inputs} for it in leaf.received if it.model_name == model]


@pytest.mark.parametrize("broadcasts", [False, True])
def test_a_model_that_reads_what_it_names_scores_equal(tmp_path: Path, broadcasts: bool) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        leaf.broadcasts = broadcasts
        async with root_over(tmp_path, world, [leaf], BUNDLE, shadow_rate=1.0) as client:
            answer = await client.score(*USES)
            for result in answer.results:
                assert scores_of(result) == world.expected(USES[result.model_name], ITEMS[:8])
            assert await counted(client, 2) == {("ctr", "equal"): 1, ("price", "equal"): 1}
        everything = {it.name for view in world.views.values() for it in view.features}
        assert sent(leaf, "ctr") == [{"price", "age"}, everything]
        assert [it.model_version for it in leaf.received if it.model_name == "ctr"] == ["", "1"]

    run(test)


def test_a_model_that_reads_what_it_does_not_name_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        async with root_over(tmp_path, world, [leaf], BUNDLE, shadow_rate=1.0) as client:
            await client.score("ctr", "price")
            assert await counted(client, 2) == {("ctr", "different"): 1, ("price", "equal"): 1}

    with caplog.at_level(logging.ERROR):
        run(test, {"ctr": Peeking(USES["ctr"], "tastes"), "price": ScriptedModel(USES["price"])})
    (line,) = [it.getMessage() for it in caplog.records if "trimming changed the scores" in it.getMessage()]
    assert line.startswith('ctr:1: trimming changed the scores: output "score": 1 of 8 values differ, the first at 3')
    assert "clicks, image, rating, tags, tastes" in line


def test_a_model_that_cannot_do_without_what_it_does_not_name_is_told(tmp_path: Path) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        async with root_over(tmp_path, world, [leaf], BUNDLE, shadow_rate=1.0) as client:
            (result,) = (await client.score("ctr")).results
            assert result.error.code == "INVALID_ARGUMENT"
            assert await counted(client, 1) == {("ctr", "different"): 1}

    run(test, {"ctr": ScriptedModel(("price", "age", "tags"))})


@pytest.mark.parametrize(("tolerance", "result"), [(0.0, "different"), (0.001, "different"), (10.0, "equal")])
def test_a_tolerance_lets_small_differences_pass(tmp_path: Path, tolerance: float, result: str) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        settings = {"shadow_rate": 1.0, "shadow_tolerance": tolerance}
        async with root_over(tmp_path, world, [leaf], BUNDLE, **settings) as client:
            await client.score("ctr")
            assert await counted(client, 1) == {("ctr", result): 1}

    run(test, {"ctr": Peeking(USES["ctr"], "tastes")})


def test_a_feature_that_changed_meanwhile_is_no_difference(tmp_path: Path) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        async with root_over(tmp_path, world, [leaf], BUNDLE, shadow_rate=1.0, cache_ttl_s=0.0) as client:
            asked = asyncio.create_task(client.score("ctr"))
            while not leaf.received:
                await asyncio.sleep(0.001)
            for row in world.table["item"].values():
                row["price"] = row["price"] + 1
            await asked
            assert await counted(client, 1) == {("ctr", "equal"): 1}

    run(test)


def test_candidates_that_another_view_lacks_are_still_compared(tmp_path: Path) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        async with root_over(tmp_path, world, [leaf], BUNDLE, shadow_rate=1.0) as client:
            await client.score("ctr", items=["p1", "p35", "unknown", "p2"])
            assert await counted(client, 1) == {("ctr", "equal"): 1}
        assert "rating" not in sent(leaf, "ctr")[1]

    run(test)


def test_the_caller_neither_waits_nor_fails_by_it(tmp_path: Path) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        held = asyncio.Event()
        infer = leaf._infer

        async def hold_untrimmed(payload: bytes, context: Any) -> Any:
            request = oip.ModelInferRequest.FromString(payload)
            if len(request.inputs) > 2:
                await held.wait()
                await context.abort(grpc.StatusCode.INTERNAL, "out of memory")
            return await infer(payload, context)

        leaf._infer = hold_untrimmed
        await leaf.stop()
        await leaf.start()
        async with root_over(tmp_path, world, [leaf], BUNDLE, shadow_rate=1.0) as client:
            for _ in range(9):
                (result,) = (await client.score("ctr")).results
                assert scores_of(result) == world.expected(USES["ctr"], ITEMS[:8])
            held.set()
            assert await counted(client, 2) == {("ctr", "failed"): 2}
            assert client.server is not None
            assert "trimtab_shadow_skipped_total 7.0" in client.server.metrics.render().decode()

    run(test)


@pytest.mark.parametrize(
    ("settings", "bundle"),
    [({}, BUNDLE), ({"shadow_rate": 1.0, "trim": False}, BUNDLE), ({"shadow_rate": 1.0}, None)],
    ids=["off", "untrimmed", "unknown model"],
)
def test_nothing_is_sent_twice_where_nothing_is_compared(tmp_path: Path, settings: dict[str, Any], bundle: Any) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        async with root_over(tmp_path, world, [leaf], bundle, **settings) as client:
            for _ in range(3):
                await client.score("ctr")
            await asyncio.sleep(0.1)
            assert len(leaf.received) == 3
            assert await counted(client, 0) == {}

    run(test)


def test_stopping_gives_up_what_is_under_way(tmp_path: Path) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        async with (
            asyncio.timeout(60),
            root_over(tmp_path, world, [leaf], BUNDLE, shadow_rate=1.0, deadline_s=300.0) as it,
        ):
            await it.score("ctr")
            leaf.models["ctr"].delay_s = 300
            await asyncio.sleep(0.05)
        assert [it for it in asyncio.all_tasks() if "compare" in repr(it)] == []

    run(test)


def test_real_root_and_leaf_agree(tmp_path: Path) -> None:
    world = RealWorld(tmp_path)
    with world.leaf() as leaf, world.root([leaf.grpc], "--shadow-rate", "1") as root:
        body = b'{"models": ["ctr", "price"], "candidates": ["p1", "p2"], "entities": {"user": "u1"}}'
        with urlopen(f"http://{root.http}/v1/score", body) as answer:
            assert answer.status == 200

        def equal() -> bool:
            text = urlopen(f"http://{root.http}/metrics").read().decode()
            lines = [it for it in text.splitlines() if it.startswith("trimtab_shadow_total") and "equal" in it]
            return len(lines) == 2 and all(it.endswith(" 1.0") for it in lines)

        wait_until(equal, what="two comparisons, both equal")
