"""TLS and mutual TLS, over gRPC and REST, with certificates made by the openssl command."""

from __future__ import annotations

import json
import ssl
import subprocess
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import grpc
import pytest
from oip_client import OipClient
from processes import ServerProcess, leaf_process
from small_models import deploy, ranker_inputs

from trimtab.errors import TrimtabError
from trimtab.serving.tls import ClientTls, ServerTls

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem signs server.pem and client.pem; other_ca.pem signs stranger.pem."""
    folder = tmp_path_factory.mktemp("certificates")
    for authority, names in (("ca", ("server", "client")), ("other_ca", ("stranger",))):
        openssl(folder, f"req -x509 -newkey ec:ec.txt -nodes -days 2 -subj /CN={authority}", authority)
        for name in names:
            openssl(folder, f"req -newkey ec:ec.txt -nodes -subj /CN={name}", name, suffix="csr")
            sign = f"x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial -days 2"
            run(folder, f"openssl {sign} -extfile names.txt -out {name}.pem")
    return folder


def openssl(folder: Path, command: str, name: str, suffix: str = "pem") -> None:
    if not (folder / "ec.txt").exists():
        run(folder, "openssl ecparam -name prime256v1 -out ec.txt")
        (folder / "names.txt").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    run(folder, f"openssl {command} -keyout {name}.key -out {name}.{suffix}")


def run(folder: Path, command: str) -> None:
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)


def serve(artifacts: dict[str, Path], folder: Path, *flags: str) -> Iterator[ServerProcess]:
    deploy(artifacts["ranker"], folder / "models", "ranker", 1)
    with leaf_process(folder / "models", *flags, folder=folder) as leaf:
        yield leaf


@pytest.fixture(scope="module")
def server_flags(certificates: Path) -> tuple[str, ...]:
    return ("--tls-cert", str(certificates / "server.pem"), "--tls-key", str(certificates / "server.key"))


@pytest.fixture(scope="module")
def tls_leaf(
    artifacts: dict[str, Path], server_flags: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    yield from serve(artifacts, tmp_path_factory.mktemp("tls"), *server_flags)


@pytest.fixture(scope="module")
def mutual_leaf(
    artifacts: dict[str, Path],
    certificates: Path,
    server_flags: tuple[str, ...],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ServerProcess]:
    flags = (*server_flags, "--tls-client-ca", str(certificates / "ca.pem"))
    yield from serve(artifacts, tmp_path_factory.mktemp("mutual"), *flags)


def client_tls(certificates: Path, who: str | None) -> ClientTls:
    ca = certificates / "ca.pem"
    return ClientTls(ca, certificates / f"{who}.pem", certificates / f"{who}.key") if who else ClientTls(ca)


def scored(leaf: ServerProcess, tls: ClientTls) -> bool:
    """Whether both faces answer this client."""
    answers = []
    with OipClient(leaf.grpc, tls.grpc_credentials()) as client:
        ready = grpc.channel_ready_future(client.channel)
        try:
            ready.result(timeout=5)
            answers.append("score" in client.infer("ranker", ranker_inputs()).outputs)
        except grpc.FutureTimeoutError:
            ready.cancel()
            answers.append(False)
    context = ssl.create_default_context(cafile=str(tls.ca))
    if tls.cert:
        context.load_cert_chain(tls.cert, tls.key)
    try:
        with urllib.request.urlopen(f"https://{leaf.http}/v2/health/ready", context=context) as answer:
            answers.append(json.load(answer)["ready"])
    except (urllib.error.URLError, ssl.SSLError, ConnectionError):
        answers.append(False)
    assert len(set(answers)) == 1, answers
    return answers[0]


def test_tls(tls_leaf: ServerProcess, certificates: Path) -> None:
    assert scored(tls_leaf, client_tls(certificates, None))
    assert not scored(tls_leaf, ClientTls(certificates / "other_ca.pem"))


@pytest.mark.parametrize(("who", "answered"), [("client", True), ("stranger", False), (None, False)])
def test_mutual_tls(mutual_leaf: ServerProcess, certificates: Path, who: str | None, answered: bool) -> None:
    assert scored(mutual_leaf, client_tls(certificates, who)) is answered


@pytest.mark.parametrize(
    ("cert", "key", "named"),
    [
        ("none.pem", "server.key", "none.pem"),
        ("server.pem", "client.key", "server.pem"),
        ("ec.txt", "ec.txt", "ec.txt"),
    ],
)
def test_files_that_do_not_fit_are_named(certificates: Path, cert: str, key: str, named: str) -> None:
    with pytest.raises(TrimtabError, match=named):
        ServerTls(certificates / cert, certificates / key).grpc_credentials()
