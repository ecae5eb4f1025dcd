"""The client of Prometheus, against a real one and against what a real one answered before."""

from __future__ import annotations

import base64
import json
import math
import ssl
import subprocess
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_servers import (
    COUNT,
    END,
    QUERIES,
    RECORDED,
    START,
    STEP,
    answer,
    ask,
    installed,
    real_prometheus,
    replayed,
    server,
)

from trimtab.errors import ConfigurationError, TrimtabError
from trimtab.observing.canary.analyzing import Analyzer
from trimtab.observing.canary.configuration import Bad, Configuration, Prometheus, SeveralSeries
from trimtab.observing.canary.judging import Result, Verdict
from trimtab.observing.canary.prometheus import PrometheusClient
from trimtab.observing.canary.samples import Window

WINDOW = Window(START, END, STEP)
OK = b'{"status":"success","data":{"resultType":"matrix","result":[]}}'


@pytest.fixture(scope="module", params=["real", "replayed"])
def prometheus(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a Prometheus, or of a server that says what one said."""
    if request.param == "replayed":
        with server(replayed) as url:
            yield url
    elif not installed():
        pytest.skip("no Prometheus here: apt-get install prometheus")
    else:
        with real_prometheus() as url:
            yield url


def client(url: str, folder: str = ".", **settings: Any) -> PrometheusClient:
    return PrometheusClient(Prometheus(url=url, **{"timeout_s": 20.0, **settings}), folder)


def test_what_is_replayed_is_what_a_real_one_answers(prometheus: str) -> None:
    recorded = json.loads(RECORDED.read_text())
    assert list(recorded) == list(QUERIES)
    for query in QUERIES:
        assert list(ask(prometheus, query)) == recorded[query]


def test_series_of_a_query(prometheus: str) -> None:
    fetched = client(prometheus).query_range('latency_seconds{stage="production"}', WINDOW)
    (series,) = fetched.series
    assert fetched.expected == COUNT == len(series.values)
    assert series.labels == {"__name__": "latency_seconds", "stage": "production"}
    assert series.times == tuple(START + STEP * at for at in range(COUNT))
    assert all(0.08 < value < 0.12 for value in series.values)


@pytest.mark.parametrize(
    ("query", "lengths", "nan", "infinite"),
    [
        ("never_was", [], 0, 0),
        ('instances_seconds{stage="production"}', [COUNT, 35], 0, 0),  # gone for longer than five minutes: stale
        ('sometimes{stage="production"}', [COUNT], 54, 0),
        ('latency_seconds{stage="production"} / on () group_left () zero', [COUNT], 0, COUNT),
    ],
)
def test_gaps_and_values_that_are_none(
    prometheus: str, query: str, lengths: list[int], nan: int, infinite: int
) -> None:
    fetched = client(prometheus).query_range(query, WINDOW)
    values = [value for series in fetched.series for value in series.values]
    assert [len(series.values) for series in fetched.series] == lengths
    assert (sum(map(math.isnan, values)), sum(map(math.isinf, values))) == (nan, infinite)


def test_what_prometheus_refuses_is_told_in_its_words(prometheus: str) -> None:
    with pytest.raises(TrimtabError, match=r"sum\(: Prometheus refused the query: got bad_data: 1:5: parse error"):
        client(prometheus).query_range("sum(", WINDOW)


LATENCY = {"min_samples": 30, "margin": 0.05}
ANALYSES: dict[str, tuple[dict[str, Any], Result, str]] = {
    "equal": ({"query": 'latency_seconds{stage="$side"}'}, Result.PASS, "not worse: moved by"),
    "slower": ({"query": 'latency_slower_seconds{stage="$side"}'}, Result.HIGH, "worse: moved by +0.0"),
    "slower is good": (
        {"query": 'latency_slower_seconds{stage="$side"}', "bad": Bad.DECREASE}, Result.PASS, "not worse",
    ),
    "several, averaged": (
        {"query": 'instances_seconds{stage="$side"}', "several": SeveralSeries.MEAN}, Result.PASS, "not worse",
    ),
    "gone": (
        {"baseline": {"query": "never_was"}, "canary": {"query": "never_was"}}, Result.NODATA, "has 0 of 30 samples",
    ),
    "not there half the time": (
        {side: {"query": 'sometimes{stage="production"}'} for side in ("baseline", "canary")},
        Result.NODATA, "the baseline has 6 of 30 samples; the canary has 6",
    ),
    "divided by zero": (
        {side: {"query": QUERIES[7]} for side in ("baseline", "canary")}, Result.INCONCLUSIVE, "60 values of the",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ANALYSES)
def test_analyses(prometheus: str, case: str) -> None:
    given, result, why = ANALYSES[case]
    configuration = configuration_of(prometheus, {"name": case, **LATENCY, **given})
    report = Analyzer(configuration).analyze(END + 1)
    (metric,) = report.metrics
    assert (metric.result, why in metric.why) == (result, True), metric.why
    assert report.start == "2023-11-14T22:14:00.000000Z"
    assert report.end == "2023-11-14T23:13:00.000000Z"


def configuration_of(url: str, metric: dict[str, Any] | None = None, **more: Any) -> Configuration:
    raw = {"prometheus": {"url": url, "duration_s": END - START, "step_s": STEP}, **more}
    return msgspec.convert({**raw, "metrics": [metric] if metric else []}, Configuration)


def test_several_series_are_refused_unless_told_otherwise(prometheus: str) -> None:
    configuration = configuration_of(prometheus, {"name": "it", "query": 'instances_seconds{stage="$side"}'})
    with pytest.raises(TrimtabError, match=r'metric .it., baseline: .*expected one series, got 2: .*instance="a"'):
        Analyzer(configuration).analyze(END + 1)


@pytest.mark.parametrize(
    ("stage", "result", "counts"),
    [
        # A difference that was first counted within the hour is seen, although increase() would say 0 of it.
        ("canary", Result.HIGH, {"equal": 413, "different": 1, "failed": 0}),
        # What was counted before is none of this canary's.
        ("production", Result.PASS, {"equal": 59, "different": 0, "failed": 0}),
    ],
)
def test_the_shadow_comparison_counts_what_rose(
    prometheus: str, stage: str, result: Result, counts: dict[str, int]
) -> None:
    configuration = configuration_of(prometheus, shadow={"query": f'trimtab_shadow_total{{stage="{stage}"}}'})
    report = Analyzer(configuration).analyze(END + 1)
    (metric,) = report.metrics
    assert (metric.result, metric.counts) == (result, counts)
    assert report.verdict is (Verdict.FAIL if result is Result.HIGH else Verdict.PASS)


def test_the_shadow_comparison_needs_the_label_that_tells_results_apart(prometheus: str) -> None:
    configuration = configuration_of(prometheus, shadow={"query": 'latency_seconds{stage="canary"}'})
    with pytest.raises(TrimtabError, match="expected series or columns that say equal, different, failed"):
        Analyzer(configuration).analyze(END + 1)


# --- a server that is not as it should be


ANSWERS: dict[str, tuple[int, bytes, str]] = {
    "another service": (200, b"<html>", "not an answer of Prometheus"),
    "not found": (404, b"404 page not found", "got 404 Not Found"),
    "not authorized": (401, b"", r"got 401 Unauthorized(.|\n)*Set bearer_token_file"),
    "overloaded": (503, b'{"status":"error","errorType":"timeout","error":"query timed out"}', "query timed out"),
    "an instant query": (200, b'{"status":"success","data":{"resultType":"vector","result":[]}}', "got a vector"),
    "native histograms": (
        200,
        b'{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"histograms":[[1,{}]]}]}}',
        "native histograms(.|\n)*histogram_quantile",
    ),
    "a value that is no number": (
        200,
        b'{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"x"]]}]}}',
        "could not convert",
    ),
    "success without data": (200, b'{"status":"success"}', "refused the query: got success"),
    "nothing": (200, b"", "not an answer of Prometheus"),
    "deep": (200, b"[" * 100_000, "not an answer of Prometheus"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_answers_that_are_none(case: str) -> None:
    status, body, told = ANSWERS[case]
    with (
        server(lambda handler, _: answer(handler, status, body)) as url,
        pytest.raises(TrimtabError, match=told) as raised,
    ):
        client(url).query_range("up", WINDOW)
    assert url in raised.value.where


def test_warnings_leave_a_metric_open_unless_partial_answers_count() -> None:
    points = ",".join(f'[{START + STEP * at},"{1 + at % 7 / 100}"]' for at in range(COUNT))
    body = (
        '{"status":"success","warnings":["a store did not answer"],"infos":["not a counter"],"data":{"resultType":'
        f'"matrix","result":[{{"metric":{{}},"values":[{points}]}}]}}}}'
    )
    with server(lambda handler, _: answer(handler, 200, body.encode())) as url:
        found = {}
        for partial in (False, True):
            metric = {"name": "it", "query": "up $side", "margin": 0.05, "partial": partial}
            report = Analyzer(configuration_of(url, metric)).analyze(END + 1)
            found[partial] = report.metrics[0]
    assert (found[False].result, found[True].result) == (Result.INCONCLUSIVE, Result.PASS)
    assert "the source warned: a store did not answer" in found[False].why
    assert found[True].warnings == ("a store did not answer",)


@pytest.mark.parametrize("status", [302, 307])
def test_redirects_are_not_followed_and_secrets_not_shown(status: int) -> None:
    def elsewhere(handler: BaseHTTPRequestHandler, _: str) -> None:
        answer(
            handler, status, b"", Location=f"http://eve:secret@127.0.0.1:{handler.server.server_port}/x?token=secret"
        )

    with server(elsewhere) as url, pytest.raises(TrimtabError, match=r"a redirect to http://127.0.0.1/x") as raised:
        client(url.replace("//", "//me:secret@")).query_range("up", WINDOW)
    assert "secret" not in str(raised.value)


def seen_headers(folder: Path, url_with: str = "", **settings: Any) -> list[str | None]:
    seen: list[str | None] = []

    def note(handler: BaseHTTPRequestHandler, _: str) -> None:
        seen.append(handler.headers["Authorization"])
        answer(handler, 200, OK)

    with server(note) as url:
        client(url.replace("//", f"//{url_with}"), str(folder), **settings).query_range("up", WINDOW)
    return seen


def test_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("of-a-file\n")
    monkeypatch.setenv("PROMETHEUS_TOKEN", "of-the-environment")
    basic = base64.b64encode(b"me:p@ss").decode()
    assert seen_headers(tmp_path) == [None]
    assert seen_headers(tmp_path, "me:p%40ss@") == [f"Basic {basic}"]
    assert seen_headers(tmp_path, bearer_token_file="token") == ["Bearer of-a-file"]
    assert seen_headers(tmp_path, bearer_token_env="PROMETHEUS_TOKEN") == ["Bearer of-the-environment"]


@pytest.mark.parametrize(
    ("url", "settings", "told"),
    [
        ("ftp://host", {}, "expected http://HOST:PORT"),
        ("file:///etc/passwd", {}, "expected http://HOST:PORT"),
        ("http://me:secret@", {}, "expected http://HOST:PORT"),
        ("http://host:port", {}, "expected http://HOST:PORT"),
        ("prometheus:9090", {}, "expected http://HOST:PORT"),
        ("http://me:secret@host", {"bearer_token_file": "token"}, "got both of them"),
        ("http://host", {"bearer_token_file": "not-there"}, "expected a file with a bearer token"),
        ("http://host", {"bearer_token_file": "two-lines"}, "a bearer token on one line"),
        ("http://host", {"bearer_token_env": "NOT_THERE"}, "NOT_THERE: expected a bearer token on one line"),
        ("https://host", {"ca_file": "token"}, "expected a file of PEM certificates"),
    ],
)
def test_settings_that_cannot_be_used(tmp_path: Path, url: str, settings: dict[str, str], told: str) -> None:
    (tmp_path / "token").write_text("secret")
    (tmp_path / "two-lines").write_text("secret\r\nX-Header: secret\n")
    with pytest.raises(ConfigurationError, match=told) as raised:
        client(url, str(tmp_path), **settings)
    assert "secret" not in str(raised.value)


def test_a_server_that_is_not_there() -> None:
    with server(replayed) as url:
        pass
    with pytest.raises(TrimtabError, match=r"Prometheus cannot be asked: got Connection refused(.|\n)*server up"):
        client(url.replace("//", "//me:secret@")).query_range("up", WINDOW)


@pytest.mark.parametrize("first", [b"", b"{"], ids=["silent", "by drops"])
def test_a_server_that_never_comes_to_an_end(first: bytes) -> None:
    def slow(handler: BaseHTTPRequestHandler, _: str) -> None:
        if first:
            handler.send_response(200)
            handler.end_headers()
        until = time.monotonic() + 5
        while time.monotonic() < until:
            time.sleep(0.05)
            try:
                handler.wfile.write(first)
                handler.wfile.flush()
            except OSError:
                return

    with server(slow) as url, pytest.raises(TrimtabError, match=r"timed out|not complete"):
        client(url, timeout_s=0.3).query_range("up", WINDOW)


def test_tls_is_verified_by_the_authority_that_is_given(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    making = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*making.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with server(lambda handler, _: answer(handler, 200, OK), context) as url:
        assert client(url, str(tmp_path), ca_file="cert.pem").query_range("up", WINDOW).series == ()
        with pytest.raises(TrimtabError, match="certificate verify failed"):
            client(url).query_range("up", WINDOW)
