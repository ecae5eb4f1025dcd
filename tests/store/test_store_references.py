"""What is live in an object store: named, compared with, and asked for as little as can be."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from onnx import TensorProto, helper
from s3_server import SmallS3, environment, small_s3

from signature_places import built, repository, stored
from trimtab.bundles.comparing.references import read_reference
from trimtab.cli.main import main
from trimtab.errors import TrimtabError

pytest.importorskip("obstore")

PLACE = "s3://bucket/deploy/store"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallS3]:
    with small_s3() as server:
        for name, value in environment(server.url).items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return repository(tmp_path / "models", {f"m{number}": {1: ["a", "b"], 2: ["a", "b"]} for number in range(40)})


@pytest.fixture
def store(server: SmallS3, models: Path, tmp_path: Path) -> SmallS3:
    stored(PLACE, built(models, tmp_path / "ads.json"))
    server.asked.clear()
    return server


@pytest.mark.parametrize("text", [f"{PLACE}#m7:1", f"{PLACE}#m7", f"{PLACE}@canary#m7", f"{PLACE}@ads/production#m7"])
def test_a_version_that_is_live(store: SmallS3, text: str) -> None:
    assert read_reference(text).input_names == ("a", "b")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"{PLACE}#m70", "expected a model 'm70'"),
        (f"{PLACE}@home/canary#m7", "expected a bundle named 'home'"),
        (PLACE, "holds many signatures"),
        ("s3://bucket/other#m7", "other#m7"),
    ],
)
def test_what_is_not_there(store: SmallS3, text: str, problem: str) -> None:
    with pytest.raises(TrimtabError, match=problem):
        read_reference(text)


def test_a_key_with_a_number_sign_is_still_an_artifacts(store: SmallS3) -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [x], [y])
    data = helper.make_model(graph, ir_version=8).SerializeToString()
    for key in ("a#b.onnx", "plain.onnx"):
        store.objects[key] = (data, datetime.now(UTC))
        assert read_reference(f"s3://bucket/{key}").input_names == ("x",)


def test_many_versions_are_few_requests(store: SmallS3, models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    repository(models, {"m7": {3: ["a"]}})
    assert main(["check", str(models), "--against", PLACE]) == 100
    assert capsys.readouterr().out.endswith("81 compared: refused\n")
    assert sum(key.startswith("deploy/store/signatures") for _, key in store.asked) == 1
    assert len(store.asked) < 15
