"""`trimtab inspect` of URLs, as it is typed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from range_server import Behavior, RangeServer, serving
from trimtab.artifacts import embed_signature, read_signature
from trimtab.cli.main import main

pytest.importorskip("obstore")

MODEL = "ts_multi_method.pt"


@pytest.fixture
def server(corpus: Path, tmp_path: Path) -> Iterator[RangeServer]:
    shutil.copy(corpus / "formats" / MODEL, tmp_path)
    embedded = shutil.copy(corpus / "formats" / MODEL, tmp_path / "embedded.pt")
    embed_signature(embedded, read_signature(embedded))
    with serving(tmp_path) as running:
        yield running


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["inspect", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_verbose_says_how_many_requests(server: RangeServer, capsys: pytest.CaptureFixture[str]) -> None:
    size = (server.folder / MODEL).stat().st_size
    code, out, err = run(capsys, "-v", f"{server.url}/{MODEL}")
    assert (code, out) == (0, f"{read_signature(server.folder / MODEL)}\n")
    assert err == f"1 request, {size:,} of {size:,} bytes\n"


def test_the_cost_is_said_of_what_fails_too(server: RangeServer, capsys: pytest.CaptureFixture[str]) -> None:
    (server.folder / "module_info.json").write_text('{"input_names": [1], "output_names": []}')
    code, _, err = run(capsys, "-v", f"{server.url}/module_info.json")
    assert code == 1
    assert err.startswith("1 request, ")


def test_the_graph_is_compared_where_asked_to(server: RangeServer, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"{server.url}/embedded.pt"
    assert f"trimtab verify {url}" in run(capsys, url)[1]
    assert run(capsys, url, "--compare")[1] == f"{read_signature(server.folder / 'embedded.pt')}\n"


def test_several_urls_and_files_are_a_table(server: RangeServer, capsys: pytest.CaptureFixture[str]) -> None:
    places = [f"{server.url}/{MODEL}?token=secret", f"{server.url}/none.pt", str(server.folder / "embedded.pt")]
    code, out, err = run(capsys, *places, "--json")
    found = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert err == "2 read, 1 not readable\n"
    assert [each["path"] for each in found] == sorted([f"{server.url}/{MODEL}", *places[1:]])
    assert "404" in next(each for each in found if each["path"].endswith("none.pt"))["error"]["got"]
    assert "secret" not in out


def test_a_link_with_a_question_mark_is_no_glob(server: RangeServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, f"{server.url}/{MODEL}?versionId=*[1]")[0] == 0


def test_an_error_is_json_where_asked_to(server: RangeServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.behavior[MODEL] = Behavior(status=403)
    code, out, _ = run(capsys, f"{server.url}/{MODEL}?token=secret", "--json")
    error = json.loads(out)["error"]
    assert code == 1
    assert (error["where"], error["got"]) == (f"{server.url}/{MODEL}", "a refusal (403 TestCode)")
