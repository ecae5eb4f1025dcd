"""Artifacts in an S3-compatible store: moto's server, which checks nothing but speaks the protocol."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from trimtab.artifacts import embed_signature, read_signature
from trimtab.cli.main import main
from trimtab.errors import ArtifactError
from trimtab.source.remote import RemoteObject

pytest.importorskip("moto.server", reason="moto is not installed, the S3-compatible server of these tests")
obstore = pytest.importorskip("obstore")

FILES = ["ts_multi_method.pt", "pt2_dynamic.pt2", "onnx_varied_types.onnx", "xgb_cat.json", "tflite_keras.tflite"]
CREDENTIALS = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
SIGNED = "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
KEYS = ["plain.pt", "with space/ünï/é.pt", "a+b=c&d.pt", "per%20cent.pt", "hash#and?mark.pt", "tilde~(1)'!.pt"]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket, with credentials and endpoint in the environment, as anybody sets them."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    for name in CREDENTIALS:
        monkeypatch.setenv(name, "any")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    send("PUT", f"{endpoint}/models")
    return "models"


def send(method: str, url: str, headers: dict[str, str] | None = None) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, method=method, headers=headers or {})) as answer:
        assert answer.status == 200


def put(bucket: str, key: str, data: bytes) -> str:
    store = obstore.store.S3Store(bucket, client_options={"allow_http": True})
    obstore.put(store, key, data)
    return f"s3://{bucket}/{key}"


@pytest.mark.parametrize("name", FILES)
def test_an_object_gives_what_the_file_gives(bucket: str, corpus: Path, name: str) -> None:
    path = corpus / "formats" / name
    assert read_signature(put(bucket, f"formats/{name}", path.read_bytes()), compare=True) == read_signature(path)


@pytest.mark.parametrize("key", KEYS)
def test_keys_are_taken_literally(bucket: str, corpus: Path, key: str) -> None:
    path = corpus / "formats" / FILES[0]
    assert read_signature(put(bucket, key, path.read_bytes())) == read_signature(path)


def test_a_document_in_a_large_object_costs_two_requests(bucket: str, corpus: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes((corpus / "formats" / "onnx_varied_types.onnx").read_bytes())
    with path.open("ab") as file:
        file.write(b"\x32" + b"\x80\x80\x80\x04" + bytes(8 << 20))  # a doc_string of 8 MiB
    embed_signature(path, read_signature(path))
    with RemoteObject(put(bucket, "large.onnx", path.read_bytes())) as source:
        assert read_signature(source).digest == read_signature(path).digest
        assert (source.reads, source.bytes_read) == (2, 128 << 10)


def test_an_empty_object_is_no_model(bucket: str) -> None:
    with pytest.raises(ArtifactError, match="an empty file"):
        read_signature(put(bucket, "empty", b""))


@pytest.mark.parametrize("url", ["s3://models/none.pt", "s3://no-such-bucket/none.pt"])
def test_what_is_not_there_is_named(bucket: str, url: str) -> None:
    with pytest.raises(ArtifactError, match=f"{url}: expected an object, got none of that name"):
        read_signature(url)


def test_objects_that_everyone_may_read(
    bucket: str, endpoint: str, corpus: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = (corpus / "formats" / FILES[0]).read_bytes()
    url, private = put(bucket, "public.pt", data), put(bucket, "private.pt", data)
    send("PUT", f"{endpoint}/{bucket}/public.pt?acl", {"x-amz-acl": "public-read", "Authorization": SIGNED})
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    assert main(["inspect", "--anonymous", "-v", url]) == 0
    assert "1 request, " in capsys.readouterr().err
    assert main(["inspect", "--anonymous", private]) == 1
    assert "a refusal (403" in capsys.readouterr().err


def test_without_credentials_the_error_says_which_to_set(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(ArtifactError, match="AWS_ACCESS_KEY_ID"):
        RemoteObject(f"s3://{bucket}/private.pt")
