"""What a root fetches, sends and answers. The leaf is scripted; test_root_processes.py has real ones."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from scripted_leaf import ScriptedLeaf, ScriptedModel
from small_world import ITEMS, World, bundle_of, digest_of, eventually, root_over, scores_of

USES = {"ctr": ("price", "age"), "cvr": ("tags", "clicks", "tastes"), "price": ("price",)}
BUNDLE = bundle_of({name: {"1": uses} for name, uses in USES.items()})


def run(test: Callable[[ScriptedLeaf, World], Awaitable[None]], **leaf: Any) -> None:
    async def main() -> None:
        scripted = await ScriptedLeaf({name: ScriptedModel(uses) for name, uses in USES.items()}, **leaf).start()
        try:
            await test(scripted, World())
        finally:
            await scripted.stop()

    asyncio.run(main())


@pytest.mark.parametrize("broadcasts", [False, True])
def test_trimmed_scores_equal_untrimmed_ones_and_travel_in_fewer_bytes(tmp_path: Path, broadcasts: bool) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        answers, received = [], []
        for trim in (True, False):
            async with root_over(tmp_path, world, [leaf], BUNDLE, trim=trim) as client:
                leaf.received_bytes = 0
                answers.append(await client.score(*USES))
                received.append(leaf.received_bytes)
                text = client.server.metrics.render().decode()
                sent = sum(result.bytes_sent for result in answers[-1].results)
                assert sent == leaf.received_bytes
                assert sum_of(text, "trimmer_bytes_sent_total") == sent
                if trim:
                    values = sum_of(text, "trimmer_bytes_saved_total")
        for result, other in zip(*(answer.results for answer in answers), strict=True):
            assert scores_of(result) == scores_of(other) == world.expected(USES[result.model_name], ITEMS[:8])
        assert [result.outcome for result in answers[0].results] == ["latest_attested_unversioned"] * 3
        assert {result.outcome for result in answers[1].results} == {"untrimmed"}
        assert 0 < values < received[1] - received[0] < values * 2

    run(test, broadcasts=broadcasts)


def sum_of(text: str, metric: str) -> float:
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(metric + "{"))


def test_only_the_union_is_fetched_and_each_model_is_sent_its_own(tmp_path: Path) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        async with root_over(tmp_path, world, [leaf], BUNDLE) as client:
            await client.score("ctr", "price")
            assert sorted(world.asked) == [
                ("item", tuple(ITEMS[:8]), frozenset({"price"})),
                ("user", ("u1",), frozenset({"age"})),
            ]
            assert {it.model_name: {tensor.name for tensor in it.inputs} for it in leaf.received} == {
                "ctr": {"price", "age"},
                "price": {"price"},
            }
            await client.score("cvr")
            assert world.asked[-2:] == [
                ("item", tuple(ITEMS[:8]), frozenset({"tags", "clicks"})),
                ("user", ("u1",), frozenset({"tastes"})),
            ]

    run(test)


def test_request_level_features_travel_once_to_a_leaf_that_broadcasts(tmp_path: Path) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        sizes = {}
        for broadcasts in (False, True):
            leaf.broadcasts = broadcasts
            leaf.received.clear()
            async with root_over(tmp_path, world, [leaf], BUNDLE) as client:
                (result,) = (await client.score("cvr")).results
                assert scores_of(result) == world.expected(USES["cvr"], ITEMS[:8])
                sizes[broadcasts] = result.bytes_sent
            shapes = {tensor.name: list(tensor.shape) for tensor in leaf.received[0].inputs}
            assert shapes["tastes"] == [1 if broadcasts else 8, 64]
            (tastes,) = (tensor for tensor in leaf.received[0].inputs if tensor.name == "tastes")
            assert tastes.parameters["broadcast"].bool_param is broadcasts
        assert sizes[False] - sizes[True] > 7 * 64 * 4 - 100

    run(test)


def test_a_model_with_request_level_features_alone_still_has_a_score_per_candidate(tmp_path: Path) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        leaf.models["user"] = ScriptedModel(("age",))
        for trim in (True, False):
            async with root_over(tmp_path, world, [leaf], bundle_of({"user": {"1": ["age"]}}), trim=trim) as client:
                (result,) = (await client.score("user")).results
                assert scores_of(result) == world.expected(["age"], ITEMS[:8])

    run(test, broadcasts=True)


def test_inline_features_come_before_stored_ones_and_are_not_fetched(tmp_path: Path) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        async with root_over(tmp_path, world, [leaf], BUNDLE) as client:
            inline = {"name": "age", "datatype": "FP32", "shape": [1, 1], "raw": np.float32(100).tobytes()}
            surplus = {"name": "mood", "datatype": "BYTES", "shape": [1], "raw": b"\2\0\0\0ok"}
            (result,) = (await client.score("ctr", features=[inline, surplus], entities={})).results
            assert scores_of(result) == [100 + it for it in world.expected(["price"], ITEMS[:8])]
            assert [view for view, _, _ in world.asked] == ["item"]
            assert "mood" not in {tensor.name for tensor in leaf.received[0].inputs}

    run(test)


def test_a_model_that_the_map_lacks_gets_everything(tmp_path: Path) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        leaf.models["new"] = ScriptedModel(("price", "rating"))
        async with root_over(tmp_path, world, [leaf], BUNDLE) as client:
            inline = {"name": "mood", "datatype": "BYTES", "shape": [1], "raw": b"\2\0\0\0ok"}
            (result,) = (await client.score("new", features=[inline])).results
            assert result.outcome == "unknown_model"
            assert scores_of(result) == world.expected(["price", "rating"], ITEMS[:8])
            (got,) = leaf.received
            sent = {tensor.name: raw for tensor, raw in zip(got.inputs, got.raw_input_contents, strict=True)}
            assert {*sent} == {it.name for view in world.views.values() for it in view.features} | {"mood"}
            assert sent["mood"] == b"\2\0\0\0ok" * 8

    run(test)


POLICIES = [("lenient", "unknown_version", 8), ("strict", "strict_latest", 1)]


@pytest.mark.parametrize(("policy", "outcome", "inputs"), POLICIES)
def test_the_policy_decides_about_a_version_that_the_map_lacks(
    tmp_path: Path, policy: str, outcome: str, inputs: int
) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        bundle = bundle_of({"price": {"1": ["price", "clicks"], "2": ["price"]}})
        async with root_over(tmp_path, world, [leaf], bundle, policy=policy_of(policy)) as client:
            (result,) = (await client.score("price:9")).results
            assert (result.outcome, len(leaf.received[0].inputs)) == (outcome, inputs - (policy == "lenient"))
            assert scores_of(result) == world.expected(["price"], ITEMS[:8])

    run(test)


def policy_of(text: str) -> Any:
    from trimtab.bundles.outcomes import MissPolicy

    return MissPolicy(text)


def test_unknown_candidates_are_reported_and_left_out_of_every_column(tmp_path: Path) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        leaf.models["both"] = ScriptedModel(("price", "rating"))
        bundle = bundle_of({"both": {"1": ["price", "rating"]}})
        async with root_over(tmp_path, world, [leaf], bundle) as client:
            asked = ["p1", "p35", "nobody", "p2", "p1"]  # p35 has no shop
            answer = await client.score("both", items=asked)
            assert list(answer.unknown_candidates) == ["p35", "nobody"]
            assert scores_of(answer.results[0]) == world.expected(["price", "rating"], ["p1", "p2", "p1"])
            (none,) = (await client.score("both", items=["nobody"])).results
            assert none.error.code == "NOT_FOUND"

    run(test)


def test_an_entity_that_is_absent_is_named_with_the_leafs_refusal(tmp_path: Path) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        async with root_over(tmp_path, world, [leaf], BUNDLE) as client:
            for entities, text in (({}, "names no entity"), ({"user": "u9"}, "has no entity 'u9'")):
                ctr, price = (await client.score("ctr", "price", entities=entities)).results
                assert ctr.error.code == "INVALID_ARGUMENT"
                assert 'input "age" is missing' in ctr.error.message
                assert text in ctr.error.message
                assert scores_of(price)

    run(test)


def test_one_models_failure_is_not_the_others(tmp_path: Path) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        leaf.models["cvr"].refusal = (grpc.StatusCode.INTERNAL, "the engine broke")
        leaf.models["ctr"].delay_s = 120
        async with root_over(tmp_path, world, [leaf], BUNDLE) as client:
            ctr, cvr, gone, price = (await client.score("ctr", "cvr", "gone", "price", deadline_ms=2000)).results
            assert (ctr.error.code, cvr.error.code, gone.error.code) == ("DEADLINE_EXCEEDED", "INTERNAL", "NOT_FOUND")
            assert "the engine broke" in cvr.error.message
            assert scores_of(price) == world.expected(["price"], ITEMS[:8])
            text = client.server.metrics.render().decode()
            assert 'trimmer_model_failures_total{code="DEADLINE_EXCEEDED",model="ctr"} 1.0' in text

    run(test)


def test_a_feature_view_that_is_down_costs_the_models_that_need_it(tmp_path: Path) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        world.down["user"] = ConnectionError("the store is away")
        async with root_over(tmp_path, world, [leaf], BUNDLE) as client:
            ctr, price = (await client.score("ctr", "price")).results
            assert ctr.error.code == "UNAVAILABLE"
            assert "the store is away" in ctr.error.message
            assert scores_of(price)
            world.down.clear()
            assert scores_of((await client.score("ctr")).results[0])

    run(test)


def test_a_feature_view_that_hangs_costs_the_models_that_need_it_and_half_of_the_deadline(tmp_path: Path) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        hangs = threading.Event()
        world.slow["user"] = hangs
        async with root_over(tmp_path, world, [leaf], BUNDLE) as client:
            ctr, price = (await client.score("ctr", "price", deadline_ms=2000)).results
            hangs.set()
            assert ctr.error.code == "UNAVAILABLE"
            assert "did not answer within" in ctr.error.message
            assert scores_of(price) == world.expected(["price"], ITEMS[:8])

    run(test)


def test_an_unexpected_digest_is_counted_and_the_model_sent_untrimmed_until_the_map_changes(tmp_path: Path) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        leaf.models["price"] = ScriptedModel(("price", "clicks"), digest=digest_of("another"))
        async with root_over(tmp_path, world, [leaf], BUNDLE) as client:
            (first,) = (await client.score("price")).results
            # The leaf refused what the map trimmed, and said which signature it has: asked again with everything.
            assert scores_of(first) == world.expected(["price", "clicks"], ITEMS[:8])
            assert first.outcome == "digest_mismatch"
            assert scores_of((await client.score("price")).results[0])
            assert len(leaf.received) == 3
            assert 'trimmer_digest_mismatch_total{model="price"}' in client.server.metrics.render().decode()

            leaf.models["price"].digest = digest_of("price:2")
            leaf.models["price"].version = "2"
            from trimtab.bundles.bundle import write_bundle

            write_bundle(tmp_path / "ranking.bundle.json", bundle_of({"price": {"2": ["price", "clicks"]}}, serial=2))
            await eventually(lambda: client.server.loader.statuses[0].serial == 2)
            (after,) = (await client.score("price")).results
            assert after.outcome == "latest_attested_unversioned"
            assert {tensor.name for tensor in leaf.received[-1].inputs} == {"price", "clicks"}

    run(test)


def test_a_corrupt_bundle_leaves_the_last_known_good_in_force(tmp_path: Path) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        async with root_over(tmp_path, world, [leaf], BUNDLE, state=tmp_path / "state") as client:
            (tmp_path / "ranking.bundle.json").write_bytes(b"{")
            await eventually(lambda: client.server.loader.statuses[0].state == "kept_last_known_good")
            (result,) = (await client.score("price")).results
            assert (result.outcome, len(leaf.received[-1].inputs)) == ("latest_attested_unversioned", 1)

    run(test)


def test_models_are_found_on_the_leaf_that_has_them_and_found_again_when_they_move(tmp_path: Path) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        other = await ScriptedLeaf({}).start()
        async with root_over(tmp_path, world, [leaf, other], BUNDLE) as client:
            assert scores_of((await client.score("price")).results[0])
            other.models["price"] = leaf.models.pop("price")
            assert scores_of((await client.score("price")).results[0])
            assert len(other.received) == 1
            (nowhere,) = (await client.score("nowhere")).results
            assert nowhere.error.code == "NOT_FOUND"
            assert leaf.address in nowhere.error.message
        await other.stop()

    run(test)


def test_a_leaf_that_went_away_is_replaced_by_its_twin(tmp_path: Path) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        twin = await ScriptedLeaf(dict(leaf.models)).start()
        async with root_over(tmp_path, world, [leaf, twin], BUNDLE) as client:
            for _ in range(4):
                assert scores_of((await client.score("price")).results[0])
            await twin.stop()
            for _ in range(4):
                assert scores_of((await client.score("price")).results[0])

    run(test)


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED])
def test_a_call_that_a_closing_leaf_did_not_run_is_sent_once_more(tmp_path: Path, code: grpc.StatusCode) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        leaf.models["price"].refusal = (code, "closing")
        twin = await ScriptedLeaf({"price": ScriptedModel(("price",))}).start()
        async with root_over(tmp_path, world, [leaf, twin], BUNDLE) as client:
            for _ in range(4):
                assert scores_of((await client.score("price")).results[0]) == world.expected(["price"], ITEMS[:8])
            await twin.stop()
            leaf.received.clear()
            (result,) = (await client.score("price")).results
            assert (result.error.code, len(leaf.received)) == (code.name, 2)
        assert len(twin.received) == 4

    run(test)


def test_a_caller_that_hangs_up_is_not_sent_again(tmp_path: Path) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        leaf.models["price"].delay_s = 0.3
        async with root_over(tmp_path, world, [leaf], BUNDLE) as client:
            asking = asyncio.create_task(client.score("price"))
            await eventually(lambda: leaf.received)
            asking.cancel()
            await eventually(lambda: "trimmer_requests_in_flight 0.0" in client.server.metrics.render().decode())
            await asyncio.sleep(0.5)
            assert len(leaf.received) == 1

    run(test)


def test_names_that_only_requests_know_cannot_crowd_the_metrics(tmp_path: Path) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        async with root_over(tmp_path, world, [leaf], BUNDLE) as client:
            await client.score("x" * 5000, *(f"nowhere{number}" for number in range(600)))
            await client.score("price")
            text = client.server.metrics.render().decode()
            assert 'trimmer_model_latency_seconds_count{model="price"} 1.0' in text
            assert 'trimmer_model_latency_seconds_count{model="other"} 89.0' in text
            assert "xxx" not in text

    run(test)


def test_a_leaf_named_for_a_model_gets_that_model_alone(tmp_path: Path) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        own = await ScriptedLeaf({"ctr": leaf.models["ctr"]}).start()
        async with root_over(tmp_path, world, [leaf, f"ctr={own.address}"], BUNDLE) as client:
            await client.score("ctr", "price", "cvr")
            assert [it.model_name for it in own.received] == ["ctr"]
            assert sorted(it.model_name for it in leaf.received) == ["cvr", "price"]
        await own.stop()

    run(test)


BAD = [
    (b"\xff\xff", "ScoreRequest"),
    (b"", "at least one model"),
]


@pytest.mark.parametrize(("payload", "text"), BAD)
def test_a_request_that_is_not_one_is_refused(tmp_path: Path, payload: bytes, text: str) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        async with root_over(tmp_path, world, [leaf], BUNDLE) as client:
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await client.raw(payload)
            assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert text in refusal.value.details()

    run(test)


BAD_INLINE = [
    ({"name": "age", "datatype": "FP32", "shape": [1, 1], "raw": b"\0"}, "4 bytes"),
    ({"name": "age", "datatype": "FP32", "shape": [8, 1], "raw": b"\0" * 32}, "a shape [1, ...]"),
    ({"name": "age", "datatype": "FP31", "shape": [1], "raw": b""}, "'FP31'"),
    ({"name": "age", "datatype": "BYTES", "shape": [1], "raw": b"\5\0\0\0a"}, "behind its length"),
]


@pytest.mark.parametrize(("feature", "text"), BAD_INLINE)
def test_an_inline_feature_that_contradicts_itself_is_refused(tmp_path: Path, feature: dict, text: str) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        async with root_over(tmp_path, world, [leaf], BUNDLE) as client:
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await client.score("ctr", features=[feature])
            assert text in refusal.value.details()
            assert '"age"' in refusal.value.details()

    run(test)


def test_more_requests_than_allowed_are_refused_with_the_reason_and_the_others_answered(tmp_path: Path) -> None:
    async def test(leaf: ScriptedLeaf, world: World) -> None:
        leaf.models["price"].delay_s = 0.3
        async with root_over(tmp_path, world, [leaf], BUNDLE, max_in_flight=4) as client:
            answers = await asyncio.gather(*(client.score("price") for _ in range(12)), return_exceptions=True)
            refused = [it for it in answers if isinstance(it, grpc.aio.AioRpcError)]
            assert {it.code() for it in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
            assert "--max-in-flight" in refused[0].details()
            answered = [it for it in answers if not isinstance(it, BaseException)]
            assert len(answered) == 4
            assert all(scores_of(it.results[0]) for it in answered)

    run(test)
