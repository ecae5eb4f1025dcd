"""Objects of a real web server, read by ranges: what is asked for, what is refused, and what errors say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from range_server import Behavior, RangeServer, serving
from trimtab.errors import ArtifactError, MissingExtraError
from trimtab.source import object_client
from trimtab.source.object_url import is_url, parse_url, public_name
from trimtab.source.remote import HEAD_BYTES, TAIL_BYTES, RemoteLimits, RemoteObject

pytest.importorskip("obstore")

QUICK = RemoteLimits(timeout=2.0, retries=1, whole=100_000)
CONTENT = bytes(index * 7 % 251 for index in range(1_000_000))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RangeServer]:
    (tmp_path / "object.bin").write_bytes(CONTENT)
    (tmp_path / "small.bin").write_bytes(CONTENT[:1000])
    (tmp_path / "empty.bin").write_bytes(b"")
    with serving(tmp_path) as running:
        yield running


def opened(server: RangeServer, name: str = "object.bin", limits: RemoteLimits = QUICK) -> RemoteObject:
    return RemoteObject(f"{server.url}/{name}", limits=limits)


def refusal(server: RangeServer, behavior: Behavior, *, read: tuple[int, int] = (0, 4)) -> ArtifactError:
    server.behavior["object.bin"] = behavior
    with pytest.raises(ArtifactError) as caught:
        opened(server).read(*read)
    assert caught.value.where.startswith(f"{server.url}/object.bin")
    assert "hidden" not in str(caught.value)
    return caught.value


def test_the_end_tells_the_size_in_one_request(server: RangeServer) -> None:
    source = opened(server)
    assert (source.size, source.name) == (len(CONTENT), f"{server.url}/object.bin")
    assert source.read(len(CONTENT) - TAIL_BYTES, TAIL_BYTES) == CONTENT[-TAIL_BYTES:]
    assert [each.range for each in server.asked] == [f"bytes=-{TAIL_BYTES}"]


def test_the_beginning_is_the_second_request(server: RangeServer) -> None:
    source = opened(server)
    assert source.head(64) == CONTENT[:64]
    assert source.read(0, HEAD_BYTES) == CONTENT[:HEAD_BYTES]
    assert (source.reads, source.bytes_read) == (len(server.asked), server.sent) == (2, TAIL_BYTES + HEAD_BYTES)
    assert TAIL_BYTES + HEAD_BYTES == 128 << 10


@pytest.mark.parametrize(("name", "size"), [("small.bin", 1000), ("empty.bin", 0)])
def test_a_small_object_is_here_after_the_first_answer(server: RangeServer, name: str, size: int) -> None:
    source = opened(server, name)
    assert source.read(0, size) == CONTENT[:size]
    assert source.bytes_read == size


@given(
    reads=st.lists(
        st.tuples(st.integers(0, len(CONTENT)), st.integers(0, 200_000)).map(
            lambda it: (it[0], min(it[1], len(CONTENT) - it[0]))
        ),
        max_size=8,
    )
)
@settings(max_examples=60)
def test_what_is_read_is_what_is_there(served: RangeServer, reads: list[tuple[int, int]]) -> None:
    served.reset()
    source = opened(served)
    for offset, length in reads:
        assert source.read(offset, length) == CONTENT[offset : offset + length]
        start, data = source.window(offset, length)
        assert start <= offset
        assert data[offset - start :][:length] == CONTENT[offset : offset + length]
    asked = len(served.asked)
    for offset, length in reads:
        source.read(offset, length)
    assert len(served.asked) == asked == source.reads <= len(reads) + 1
    assert source.bytes_read == served.sent


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RangeServer]:
    folder = tmp_path_factory.mktemp("served")
    (folder / "object.bin").write_bytes(CONTENT)
    with serving(folder) as running:
        yield running


def test_a_long_range_is_one_request_for_what_is_missing(server: RangeServer) -> None:
    source = opened(server)
    assert source.read(0, len(CONTENT)) == CONTENT
    assert [each.range for each in server.asked][1:] == [f"bytes=0-{len(CONTENT) - TAIL_BYTES - 1}"]


def test_reading_straight_on_takes_ever_longer_steps(server: RangeServer) -> None:
    source = opened(server)
    for offset in range(200_000, 900_000, 100):
        source.read(offset, 100)
    assert source.reads <= 8


def test_beyond_the_end_is_an_error_without_a_request(server: RangeServer) -> None:
    source = opened(server)
    with pytest.raises(ArtifactError, match=f"the end at {len(CONTENT)}"):
        source.read(len(CONTENT) - 1, 2)
    assert source.reads == 1


def test_every_range_is_asked_of_the_version_seen_first(server: RangeServer) -> None:
    opened(server).head(4)
    assert [each.if_match for each in server.asked] == [None, '"version 1"']


def test_a_weak_version_is_compared_here_and_not_by_the_server(server: RangeServer) -> None:
    server.behavior["object.bin"] = Behavior(e_tags=['W/"1"', 'W/"1"', 'W/"2"'])
    source = opened(server)
    source.head(4)
    assert server.asked[1].if_match is None
    with pytest.raises(ArtifactError, match="changed"):
        source.read(500_000, 4)


def test_an_object_that_changes_is_no_mix_of_two(server: RangeServer) -> None:
    assert "changed while it was read" in str(refusal(server, Behavior(e_tags=['"1"', '"2"'])))


@pytest.mark.parametrize("content", [CONTENT[:500_000], CONTENT + b"more", b""])
def test_a_change_shows_without_versions_too(server: RangeServer, content: bytes) -> None:
    server.behavior["object.bin"] = Behavior(no_e_tag=True)
    source = opened(server)
    (server.folder / "object.bin").write_bytes(content)
    with pytest.raises(ArtifactError, match="changed while it was read"):
        source.read(600_000, 4)


@pytest.mark.parametrize("status", [416, 501])
def test_a_server_without_suffix_ranges_is_asked_for_the_beginning(server: RangeServer, status: int) -> None:
    server.behavior["object.bin"] = Behavior(refuse_suffix=status)
    source = opened(server)
    assert source.read(700_000, 10) == CONTENT[700_000:700_010]
    assert source.size == len(CONTENT)


def test_a_server_without_ranges_sends_small_objects_whole(server: RangeServer) -> None:
    server.behavior["small.bin"] = Behavior(no_ranges=True)
    assert opened(server, "small.bin").read(0, 1000) == CONTENT[:1000]


def test_a_server_without_ranges_is_not_asked_for_large_objects(server: RangeServer) -> None:
    error = refusal(server, Behavior(no_ranges=True))
    assert "at most 100000 bytes" in error.expected
    assert error.got == "1000000 bytes"


TROUBLES = [
    (Behavior(status=401), "a refusal (401 TestCode)"),
    (Behavior(status=403), "a refusal (403 TestCode)"),
    (Behavior(status=404), "none of that name (404 TestCode)"),
    (Behavior(status=400), "status 400 TestCode"),
    (Behavior(status=429), "status 429 TestCode"),
    (Behavior(status=503), "status 503 TestCode"),
    (Behavior(range_shift=-5), "other bytes than were asked for"),
    (Behavior(no_content_range=True), "bytes without a Content-Range"),
    (Behavior(cut=1000), "an answer that was cut"),
    (Behavior(delay=0.05), "no answer within 2 s"),
    (Behavior(no_ranges=True, no_length=True), "an object without a length"),
    (Behavior(excess=1 << 30), "more"),
    (Behavior(redirect="/object.bin"), "redirects without end"),
    (Behavior(password="user:secret"), "a refusal (401 TestCode)"),
]


@pytest.mark.parametrize(("behavior", "got"), TROUBLES, ids=[got for _, got in TROUBLES])
def test_trouble_is_named(server: RangeServer, behavior: Behavior, got: str) -> None:
    error = refusal(server, behavior)
    assert error.got == got
    assert error.hint


def test_what_passes_is_tried_again(server: RangeServer) -> None:
    server.behavior["object.bin"] = Behavior(statuses=[503, 200, 200])
    assert opened(server).head(4) == CONTENT[:4]


def test_a_redirect_is_followed_with_its_range(server: RangeServer) -> None:
    server.behavior["moved.bin"] = Behavior(redirect=f"{server.url}/object.bin")
    source = opened(server, "moved.bin")
    assert source.head(4) == CONTENT[:4]
    assert source.size == len(CONTENT)


@pytest.mark.parametrize("name", ["a b%c#d?é/ü.bin", "plus+and&equals=.bin", "%41.bin"])
def test_names_are_sent_as_they_are_written(server: RangeServer, name: str) -> None:
    from urllib.parse import quote

    (server.folder / name).parent.mkdir(exist_ok=True)
    (server.folder / name).write_bytes(b"here")
    assert opened(server, quote(name)).head(4) == b"here"


def test_a_signed_link_keeps_its_query_and_tells_nobody(server: RangeServer) -> None:
    source = RemoteObject(f"{server.url}/small.bin?X-Amz-Signature=a%2Fb&expires=1", limits=QUICK)
    assert server.asked[0].path.endswith("/small.bin?X-Amz-Signature=a%2Fb&expires=1")
    assert source.name == f"{server.url}/small.bin"
    for missing in (
        f"{server.url}/no.bin?token=hidden",
        "http://127.0.0.1:1/a?token=hidden",
        "http://[::1?token=hidden",
    ):
        with pytest.raises(ArtifactError) as caught:
            RemoteObject(missing, limits=QUICK)
        assert "hidden" not in str(caught.value)


def test_user_and_password_are_sent_and_not_told(server: RangeServer) -> None:
    server.behavior["small.bin"] = Behavior(password="me:pa ss@:")
    source = RemoteObject(f"http://me:pa%20ss%40%3A@127.0.0.1:{server.port}/small.bin", limits=QUICK)
    assert source.head(4) == CONTENT[:4]
    assert source.name == f"{server.url}/small.bin"


def test_the_bytes_fetched_are_limited(server: RangeServer) -> None:
    source = opened(server, limits=RemoteLimits(bytes_read=200_000))
    source.head(4)
    with pytest.raises(ArtifactError, match="within 200000 bytes"):
        source.read(100_000, 100_000)


def test_the_requests_are_limited(server: RangeServer) -> None:
    source = opened(server, limits=RemoteLimits(reads=3))
    source.read(100_000, 4)
    source.read(300_000, 4)
    with pytest.raises(ArtifactError, match="3 requests"):
        source.read(500_000, 4)


@pytest.mark.parametrize(
    ("url", "store", "bucket", "account", "key"),
    [
        ("s3://bucket/a/b c#d?e%20", "s3", "bucket", "", "a/b c#d?e%20"),
        ("S3A://bucket/a", "s3", "bucket", "", "a"),
        ("gs://bucket/a", "gs", "bucket", "", "a"),
        ("az://container/a", "az", "container", "", "a"),
        ("abfss://container@account.dfs.core.windows.net/a", "az", "container", "account", "a"),
        ("https://host/a?b", "http", "", "", ""),
    ],
)
def test_addresses(url: str, store: str, bucket: str, account: str, key: str) -> None:
    assert is_url(url)
    parsed = parse_url(url)
    assert (parsed.store, parsed.bucket, parsed.account, parsed.key) == (store, bucket, account, key)


@pytest.mark.parametrize("url", ["ftp://host/a", "file:///a", "s3://bucket", "s3://bucket/", "s3:///key", "hdfs://a/b"])
def test_addresses_that_name_no_object(url: str) -> None:
    with pytest.raises(ArtifactError, match="expected"):
        RemoteObject(url)


@pytest.mark.parametrize("path", ["model.pt", "/a/b://c", "c:\\model.pt", "a:b", "://x", ""])
def test_paths_are_no_addresses(path: str) -> None:
    assert not is_url(path)


@given(st.text(max_size=20), st.text(max_size=20), st.text("abc/", max_size=9), st.text(max_size=20))
def test_public_names_hold_no_secret(user: str, password: str, path: str, query: str) -> None:
    clean = "".join(each for each in user + password if each not in "/?#")
    assert public_name(f"https://{clean}@host/{path}?{query}") == f"https://host/{path}"


@pytest.mark.parametrize(
    ("scheme", "environment", "requests"),
    [
        ("s3", "AWS_ENDPOINT_URL", 2),
        ("gs", "GOOGLE_BASE_URL", 2),
        ("az", "AZURE_STORAGE_ENDPOINT", 2),  # which knows no suffix ranges: the beginning comes first
    ],
)
def test_stores_are_reached_where_the_environment_says(
    server: RangeServer, scheme: str, environment: str, requests: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (server.folder / "bucket").mkdir()
    (server.folder / "bucket" / "a b+c.bin").write_bytes(CONTENT)
    monkeypatch.setenv(environment, server.url)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    source = RemoteObject(f"{scheme}://bucket/a b+c.bin", anonymous=True, limits=QUICK)
    assert source.size == len(CONTENT)
    assert source.head(100) == CONTENT[:100]
    assert source.read(len(CONTENT) - 65557, 65557) == CONTENT[-65557:]
    assert source.reads == len(server.asked) == requests
    assert all(each.if_match for each in server.asked[1:])


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'trimtab\[remote\]'"):
        object_client.ObjectClient("https://host/a", anonymous=False, timeout=1, retries=0)
