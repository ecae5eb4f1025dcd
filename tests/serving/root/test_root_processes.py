"""Roots and leaves as real processes, over real models: what is promised when all is well and when something is not."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from processes import ServerProcess, wait_until
from real_world import USES, RealWorld, write_model
from scripted_leaf import ScriptedLeaf, ScriptedModel
from small_world import ITEMS, Client, eventually, scores_of

from trimtab.bundles.bundle import read_bundle
from trimtab.protocols import score


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> RealWorld:
    return RealWorld(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def leaf(real: RealWorld) -> Iterator[ServerProcess]:
    with real.leaf("--queue", "512") as process:
        yield process


@pytest.fixture(scope="module")
def root(real: RealWorld, leaf: ServerProcess) -> Iterator[ServerProcess]:
    with real.root([leaf.grpc]) as process:
        yield process


def ask(root: ServerProcess, *models: str, **fields: Any) -> Any:
    async def main() -> Any:
        client = Client(root.grpc)
        try:
            return await client.score(*models, **fields)
        finally:
            await client.close()

    return asyncio.run(main())


def with_client(root: ServerProcess, test: Callable[[Client], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        client = Client(root.grpc)
        try:
            return await test(client)
        finally:
            await client.close()

    return asyncio.run(main())


def get(address: str, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as problem:
        return problem.code, problem.read()


def post(address: str, path: str, body: bytes) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", data=body, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as problem:
        return problem.code, json.loads(problem.read())


def test_trimmed_scores_equal_untrimmed_and_compressed_ones(
    real: RealWorld, leaf: ServerProcess, root: ServerProcess
) -> None:
    trimmed = ask(root, *USES, items=ITEMS[:30])
    sent = {"trim": sum(it.bytes_sent for it in trimmed.results)}
    for mode in (["--trim", "off"], ["--trim", "off", "--compression", "lz4"]):
        with real.root([leaf.grpc], *mode) as other:
            answer = ask(other, *USES, items=ITEMS[:30])
            sent[mode[-1]] = sum(it.bytes_sent for it in answer.results)
            for result, same in zip(trimmed.results, answer.results, strict=True):
                assert scores_of(result) == scores_of(same)
                assert result.signature_digest == same.signature_digest != ""
    for result in trimmed.results:
        assert scores_of(result) == real.world.expected(USES[result.model_name], ITEMS[:30])
        assert result.model_version == "1"
        assert result.outcome == "latest_attested_unversioned"
    assert sent["trim"] < sent["lz4"] < sent["off"]


def test_json_gives_the_same_scores(real: RealWorld, root: ServerProcess) -> None:
    body = {
        "id": "r1",
        "models": ["ctr:1", {"name": "cvr"}],
        "candidates": ["p1", "nobody"],
        "entities": {"user": "u1"},
    }
    status, answer = post(root.http, "/v1/score", json.dumps(body).encode())
    assert (status, answer["id"], answer["unknown_candidates"]) == (200, "r1", ["nobody"])
    for result in answer["results"]:
        (output,) = result["outputs"]
        assert output["data"] == real.world.expected(USES[result["model"]], ["p1"])
        assert output["shape"] == [1, 1]


BAD_BODIES = [
    (b"{", "not JSON"),
    (b"[]", "JSON object"),
    (b'{"models": ["ctr"]}', "at least one key"),
    (b'{"models": [], "candidates": ["p1"]}', "at least one model"),
    (b'{"models": [7], "candidates": ["p1"]}', "models"),
    (b'{"models": ["ctr"], "candidates": ["p1"], "user": "u1"}', "user"),
    (b'{"models": ["ctr"], "candidates": ["p1"], "features": {"age": {"datatype": "FP32", "data": ["x"]}}}', '"age"'),
    (b'{"models": ["ctr"], "candidates": ["p1"], "features": {"age": {"datatype": "INT64", "data": [1.5]}}}', '"age"'),
    (b'{"models": ["ctr"], "candidates": ["p1"], "deadline_ms": -1}', "deadline_ms"),
    (b'{"models": ["ctr"], "candidates": ["p1"], "deadline_ms": 4294967296}', "deadline_ms"),
    (b'{"models": ["ctr"], "candidates": ["p1"], "deadline_ms": 1%s}' % (b"0" * 400), "deadline_ms"),
    (b"[" * 100_000, "not JSON"),
    (b'{"models":' + b"[" * 50_000 + b"]" * 50_000 + b"}", "not JSON"),
]


@pytest.mark.parametrize(("body", "text"), BAD_BODIES)
def test_json_that_does_not_fit_is_refused(root: ServerProcess, body: bytes, text: str) -> None:
    status, answer = post(root.http, "/v1/score", body)
    assert (status, answer["error"]["code"]) == (400, "INVALID_ARGUMENT")
    assert text in answer["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "text"),
    [
        ("GET", "/v1/nothing", 404, "NOT_FOUND", "/v1/nothing"),
        ("GET", "/v1/score", 405, "INVALID_ARGUMENT", "GET /v1/score"),
        ("POST", "/v1/score", 400, "INVALID_ARGUMENT", "the body cannot be read"),
    ],
)
def test_every_http_error_is_json(
    root: ServerProcess, method: str, path: str, status: int, code: str, text: str
) -> None:
    body = b"not gzip" if method == "POST" else None
    request = urllib.request.Request(
        f"http://{root.http}{path}", data=body, method=method, headers={"Content-Encoding": "gzip"} if body else {}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    error = json.load(refused.value)["error"]
    assert (refused.value.code, error["code"]) == (status, code)
    assert text in error["message"]


def test_a_caller_that_hangs_up_in_the_middle_of_a_body_leaves_no_traceback(root: ServerProcess) -> None:
    host, _, port = root.http.rpartition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
        wait_until(lambda: b"trimmer_requests_in_flight 1.0" in get(root.http, "/metrics")[1])
    wait_until(lambda: b"trimmer_requests_in_flight 0.0" in get(root.http, "/metrics")[1])
    assert "ConnectionResetError" not in root.log_text()


def test_health_models_and_metrics(root: ServerProcess) -> None:
    ask(root, "ctr", "nowhere")
    assert get(root.http, "/healthz")[0] == get(root.http, "/readyz")[0] == 200
    models = json.loads(get(root.http, "/v1/models")[1])
    assert models["models"]["ctr"] == {"versions": ["1"], "latest": "1", "attested_stable": True}
    assert models["bundles"][0]["serial"] == 1
    text = get(root.http, "/metrics")[1].decode()
    for line in (
        'trimmer_bytes_sent_total{model="ctr"}',
        'trimmer_bytes_saved_total{model="ctr"}',
        'trimmer_lookup_outcomes_total{outcome="unknown_model"}',
        'trimmer_model_latency_seconds_count{model="ctr"}',
        'trimmer_model_failures_total{code="NOT_FOUND",model="nowhere"}',
        'trimmer_map_serial{bundle="ranking"} 1.0',
        'trimmer_map_age_seconds{bundle="ranking"}',
        "trimmer_cache_hits_total",
        "trimmer_cache_misses_total",
    ):
        assert line in text


def test_64_clients_at_once_all_get_their_scores(real: RealWorld, root: ServerProcess) -> None:
    async def one(number: int) -> None:
        client = Client(root.grpc)
        mine = [ITEMS[(number + step) % 30] for step in range(10)]
        for _ in range(3):
            for result in (await client.score(*USES, items=mine)).results:
                assert scores_of(result) == real.world.expected(USES[result.model_name], mine)
        await client.close()

    async def main() -> None:
        await asyncio.gather(*(one(number) for number in range(64)))

    asyncio.run(main())


def test_a_leaf_killed_in_mid_request_costs_no_request_where_there_is_another(real: RealWorld) -> None:
    with real.leaf() as first, real.leaf() as second, real.root([first.grpc, second.grpc]) as root:

        async def test(client: Client) -> None:
            await client.score(*USES)
            asks = [asyncio.create_task(client.score(*USES)) for _ in range(40)]
            await asyncio.sleep(0.01)
            first.kill()
            asks += [asyncio.create_task(client.score(*USES)) for _ in range(10)]
            for answer in await asyncio.gather(*asks):
                for result in answer.results:
                    assert scores_of(result) == real.world.expected(USES[result.model_name], ITEMS[:8])

        with_client(root, test)


def test_the_only_leaf_killed_in_mid_request_is_an_error_that_says_so_until_it_is_back(real: RealWorld) -> None:
    async def main() -> None:
        slow = await ScriptedLeaf({"price": ScriptedModel(("price",), delay_s=120)}).start()
        with real.root([slow.address]) as root:
            client = Client(root.grpc)
            ask = asyncio.create_task(client.score("price"))
            await eventually(lambda: slow.received)
            await slow.stop()
            (result,) = (await ask).results
            assert result.error.code == "UNAVAILABLE"
            assert slow.address in result.error.message
            slow.models["price"].delay_s = 0
            await slow.start(int(slow.address.rpartition(":")[2]))
            until = time.monotonic() + 60
            while (await client.score("price")).results[0].HasField("error"):
                assert time.monotonic() < until
                await asyncio.sleep(0.1)
            await client.close()
        await slow.stop()

    asyncio.run(main())


def test_sigterm_lets_requests_in_flight_finish_and_refuses_new_ones(real: RealWorld) -> None:
    async def main() -> None:
        slow = await ScriptedLeaf({"price": ScriptedModel(("price",), delay_s=1)}).start()
        with real.root([slow.address]) as root:
            client = Client(root.grpc)
            asks = [asyncio.create_task(client.score("price")) for _ in range(5)]
            await eventually(lambda: len(slow.received) == 5)
            root.terminate()
            for answer in await asyncio.gather(*asks):
                assert scores_of(answer.results[0]) == real.world.expected(["price"], ITEMS[:8])
            assert await asyncio.to_thread(root.wait, 60) == 0
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await client.score("price")
            assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE
            await client.close()
        await slow.stop()

    asyncio.run(main())


def test_whoever_asks_during_a_stop_is_answered_or_told_to_go_elsewhere(real: RealWorld, leaf: ServerProcess) -> None:
    codes: set[grpc.StatusCode] = set()

    async def ask(address: str) -> None:
        client = Client(address)
        try:
            while True:
                for result in (await client.score("price")).results:
                    assert scores_of(result)
        except grpc.aio.AioRpcError as refusal:
            codes.add(refusal.code())
        await client.close()

    async def main() -> None:
        with real.root([leaf.grpc]) as root:
            asks = [asyncio.create_task(ask(root.grpc)) for _ in range(16)]
            await asyncio.sleep(0.1)
            root.terminate()
            await asyncio.gather(*asks)
            assert await asyncio.to_thread(root.wait, 60) == 0

    asyncio.run(main())
    assert codes == {grpc.StatusCode.UNAVAILABLE}


def test_a_slow_leaf_is_given_up_at_the_deadline_and_the_fast_one_answers(real: RealWorld, leaf: ServerProcess) -> None:
    async def main() -> None:
        slow = await ScriptedLeaf({"slow": ScriptedModel(("price",), delay_s=120)}).start()
        with real.root([leaf.grpc, f"slow={slow.address}"]) as root:
            client = Client(root.grpc)
            start = time.monotonic()
            late, fast = (await client.score("slow", "price", deadline_ms=2000)).results
            assert time.monotonic() - start < 60
            assert late.error.code == "DEADLINE_EXCEEDED"
            assert slow.address in late.error.message
            assert scores_of(fast)
            await client.close()
        await slow.stop()

    asyncio.run(main())


def test_a_corrupt_bundle_leaves_the_last_known_good_in_force_over_a_restart(tmp_path: Path) -> None:
    real = RealWorld(tmp_path)
    state = ["--state", str(tmp_path / "state")]
    with real.leaf() as leaf:
        with real.root([leaf.grpc], *state) as root:
            real.bundle_path.write_bytes(real.bundle_path.read_bytes()[:-20])
            wait_until(lambda: bundle_of(root)["state"] == "kept_last_known_good")
            assert bundle_of(root)["error"]
            assert ask(root, "price").results[0].outcome == "latest_attested_unversioned"
        with real.root([leaf.grpc], *state) as root:
            (result,) = ask(root, "price").results
            assert result.outcome == "latest_attested_unversioned"
            assert scores_of(result) == real.world.expected(["price"], ITEMS[:8])


def bundle_of(root: ServerProcess) -> dict[str, Any]:
    return json.loads(get(root.http, "/v1/models")[1])["bundles"][0]


def test_a_bundle_that_disagrees_with_the_leaf_costs_trimming_and_no_scores(tmp_path: Path) -> None:
    real = RealWorld(tmp_path)
    stale = real.publish()
    # The leaf's model is replaced by one that needs more, and nobody builds the bundle again.
    artifact = real.repository / "price" / "1" / "model.onnx"
    artifact.unlink()
    artifact.parent.rmdir()
    write_model(artifact, ["price", "rating"], real.specs)
    with real.leaf() as leaf, real.root([leaf.grpc]) as root:
        for _ in range(2):
            (result,) = ask(root, "price").results
            assert scores_of(result) == real.world.expected(["price", "rating"], ITEMS[:8])
            assert result.outcome == "digest_mismatch"
        assert root.log_text().count("sent untrimmed until the map changes") == 1
        assert 'trimmer_digest_mismatch_total{model="price"}' in get(root.http, "/metrics")[1].decode()
        assert scores_of(ask(root, "ctr").results[0]) == real.world.expected(USES["ctr"], ITEMS[:8])
        assert read_bundle(real.bundle_path) == stale


def test_a_new_version_while_traffic_flows_fails_no_request(tmp_path: Path) -> None:
    real = RealWorld(tmp_path)
    first = read_bundle(real.bundle_path)
    with real.leaf() as leaf, real.root([leaf.grpc]) as root:

        async def test(client: Client) -> None:
            async def publish() -> None:
                staged = tmp_path / "staged" / "model.onnx"
                write_model(staged, USES["ctr"], real.specs)
                staged.parent.rename(real.repository / "ctr" / "2")
                await asyncio.to_thread(real.publish, first)

            async def version_that_answers() -> str:
                ctr, cvr = (await client.score("ctr", "cvr")).results
                for result in (ctr, cvr):
                    assert scores_of(result) == real.world.expected(USES[result.model_name], ITEMS[:8])
                return ctr.model_version

            assert await version_that_answers() == "1"
            publishing = asyncio.create_task(publish())
            async with asyncio.timeout(60):
                while await version_that_answers() != "2":
                    pass
            await publishing

        with_client(root, test)


def test_a_feature_file_that_breaks_costs_the_models_that_need_it(tmp_path: Path, leaf: ServerProcess) -> None:
    real = RealWorld(tmp_path)
    with real.root([leaf.grpc], "--cache-ttl", "0") as root:
        assert scores_of(ask(root, "price").results[0])
        real.features_path.write_bytes(b"\xff" * real.features_path.stat().st_size)
        inline = {"name": "price", "datatype": "FP32", "shape": [1, 1], "raw": np.float32(3).tobytes()}
        given, ctr = ask(root, "price", "ctr", features=[inline], entities={"user": "u1"}).results
        assert scores_of(given) == [3.0] * 8
        assert ctr.error.code == "UNAVAILABLE"
        assert "features.db" in ctr.error.message


def test_a_message_that_is_too_large_is_refused_with_the_limit(real: RealWorld, leaf: ServerProcess) -> None:
    with real.root([leaf.grpc], "--max-message-bytes", "20000") as root:
        (result,) = ask(root, "cvr", items=ITEMS * 20).results
        assert result.error.code == "RESOURCE_EXHAUSTED"
        assert "20000" in result.error.message
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            ask(root, "cvr", items=["x" * 30_000])
        assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        status, answer = post(root.http, "/v1/score", b" " * 30_000)
        assert (status, answer["error"]["code"]) == (413, "RESOURCE_EXHAUSTED")
        assert "20000" in answer["error"]["message"]
        assert scores_of(ask(root, "price").results[0])


def test_mutual_tls_on_both_hops(tmp_path: Path, real: RealWorld) -> None:
    make_certificates(tmp_path)
    pem = {name: str(tmp_path / f"{name}.pem") for name in ("ca", "cert", "key")}
    server = ["--tls-cert", pem["cert"], "--tls-key", pem["key"], "--tls-client-ca", pem["ca"]]
    to_leaf = ["--leaf-tls-ca", pem["ca"], "--leaf-tls-cert", pem["cert"], "--leaf-tls-key", pem["key"]]
    with real.leaf(*server) as leaf:
        port = leaf.grpc.rpartition(":")[2]
        with real.root([f"localhost:{port}"], *to_leaf, *server) as root:
            address = f"localhost:{root.grpc.rpartition(':')[2]}"
            credentials = grpc.ssl_channel_credentials(
                *(Path(pem[name]).read_bytes() for name in ("ca", "key", "cert"))
            )
            request = score.ScoreRequest(models=[{"name": "price"}], candidates=ITEMS[:8])
            with grpc.secure_channel(address, credentials) as channel:
                answer = channel.unary_unary(score.METHODS["Score"])(request.SerializeToString(), timeout=60)
            (result,) = score.ScoreResponse.FromString(answer).results
            assert scores_of(result) == real.world.expected(["price"], ITEMS[:8])
            nameless = grpc.ssl_channel_credentials(Path(pem["ca"]).read_bytes())
            with grpc.secure_channel(address, nameless) as channel, pytest.raises(grpc.RpcError):
                channel.unary_unary(score.METHODS["Score"])(request.SerializeToString(), timeout=30)


def make_certificates(folder: Path) -> None:
    """An authority and one certificate for localhost, by the openssl command."""
    (folder / "extensions").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    new_key = "openssl req -newkey rsa:2048 -nodes -subj"
    for command in (
        f"{new_key} /CN=test-authority -x509 -days 2 -keyout ca-key.pem -out ca.pem",
        f"{new_key} /CN=localhost -keyout key.pem -out cert.csr",
        "openssl x509 -req -in cert.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 -extfile extensions"
        " -out cert.pem",
    ):
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)


WRONG_FLAGS = [
    (["--leaf", "nowhere"], "--leaf"),
    (["--features", "redis:x"], "sqlite:"),
    (["--features", "sqlite:absent.db"], "absent.db"),
]


@pytest.mark.parametrize(("flags", "text"), WRONG_FLAGS)
def test_what_cannot_be_served_is_said_before_anything_starts(real: RealWorld, flags: list[str], text: str) -> None:
    with (
        pytest.raises(AssertionError, match="before it was ready") as failure,
        real.root(["127.0.0.1:1"], *flags),
    ):
        pass
    assert text in str(failure.value)
    assert "Traceback" not in str(failure.value)


def test_a_port_that_is_taken_is_said_in_one_clear_sentence(real: RealWorld, root: ServerProcess) -> None:
    for flag, address in (("--http-port", root.http), ("--grpc-port", root.grpc)):
        with (
            pytest.raises(AssertionError, match=r"cannot listen on 127\.0\.0\.1") as failure,
            real.root(["127.0.0.1:1"], flag, address.rpartition(":")[2]),
        ):
            pass
        assert flag in str(failure.value)
        assert "Traceback" not in str(failure.value)
        assert "never awaited" not in str(failure.value)
