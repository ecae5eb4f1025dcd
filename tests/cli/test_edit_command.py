"""`trimtab edit`, as it is typed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from trimtab.cli.main import main
from trimtab.savedmodel import load

FIVE = ["FunctionDef", "SignatureDef", "SavedFunction", "SavedBareConcreteFunction", "SavedConcreteFunction"]


@pytest.fixture
def model(request: pytest.FixtureRequest, corpus: Path, tmp_path: Path) -> Path:
    name = getattr(request, "param", "multi_sigs")
    return Path(shutil.copytree(corpus / "savedmodel" / name / "model", tmp_path / "model"))


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code = main(["edit", *(str(each) for each in arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def signatures(folder: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Inputs and outputs of every signature, as both places say."""
    found = {}
    with load(folder) as loaded:
        for key, served in loaded.signatures.items():
            definition = served.signature_def
            assert definition is not None
            if served.wrapper is not None:
                assert sorted(served.wrapper.arguments[1]) == sorted(definition.inputs)
                assert isinstance(served.wrapper.outputs, dict)
                assert sorted(served.wrapper.outputs) == sorted(definition.outputs)
            found[key] = (sorted(definition.inputs), sorted(definition.outputs))
    return found


def test_the_command_of_the_help(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["add-signature", "score", "--from", "model.predict", "--rename", "features=rows", "--output", "dst/"]
    arguments[-1] = f"{tmp_path}/dst/"
    code, out, err = run(capsys, model, *arguments)
    assert (code, err) == (0, "")
    assert f"{tmp_path}/dst: written" in out
    made = signatures(tmp_path / "dst")
    assert made["score"] == (["ids", "rows"], ["Logits/raw", "ids", "scores"])
    assert {key: made[key] for key in signatures(model)} == signatures(model)


SERVED = (["ids", "features"], ["Logits/raw", "ids", "scores"])
STEPS: list[tuple[list[str], str, Any]] = [
    (
        ["add-signature", "a", "--from", "predict", "--outputs", "ids,scores"],
        "a",
        (["features", "ids"], ["ids", "scores"]),
    ),
    (
        ["add-signature", "b", "--from", "serving_default", "--bind", "ids=[7, 8]", "--rename-output", "scores=s"],
        "b",
        (["features"], ["Logits/raw", "ids", "s"]),
    ),
    (["add-signature", "c", "--from", "embed:0", "--widen", "x=float32[?,?]"], "c", (["x"], ["output_0"])),
    (["rename-inputs", "train", "x=y", "y=x"], "train", (["x", "y"], ["output_0", "output_1"])),
    (["rename-outputs", "embed", "output_0=vector"], "embed", (["x"], ["vector"])),
    (
        ["bind-input", "serving_default", "ids=[7, 8]"],
        "serving_default",
        (["features"], ["Logits/raw", "ids", "scores"]),
    ),
    (["subset-outputs", "serving_default", "scores"], "serving_default", (["features", "ids"], ["scores"])),
    (["widen", "embed", "x=[...]"], "embed", (["x"], ["output_0"])),
    (["alias", "embed", "vectors"], "vectors", (["x"], ["output_0"])),
    (["rename", "embed", "vectors"], "vectors", (["x"], ["output_0"])),
    (["remove", "embed"], "embed", None),
]


@pytest.mark.parametrize(("step", "key", "expected"), STEPS, ids=[" ".join(step[:2]) for step, _, _ in STEPS])
def test_every_step_has_a_command(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], step: list[str], key: str, expected: Any
) -> None:
    code, out, err = run(capsys, model, *step, "-o", tmp_path / "dst")
    assert (code, err) == (0, "")
    assert signatures(tmp_path / "dst").get(key) == expected
    assert run(capsys, model, *step, "--dry-run")[1].splitlines()[:-1] == out.splitlines()[:-1]


@pytest.mark.parametrize("model", ["example"], indirect=True)
def test_a_trace_is_dropped(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, _ = run(capsys, model, "drop-trace", "polymorphic_fn:0", "--in-place")
    assert code == 0
    with load(model) as edited:
        assert [trace.name for trace in edited.function("polymorphic_fn").traces] == ["__inference_polymorphic_fn_77"]


@pytest.mark.parametrize("model", ["tf1_style"], indirect=True)
def test_tensors_of_a_tf1_graph_are_served(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    step = ["add-signature", "inner", "--input", "x=x:0", "--fetch", "product=MatMul:0"]
    assert run(capsys, model, *step, "--output", tmp_path / "dst")[0] == 0
    assert signatures(tmp_path / "dst")["inner"] == (["x"], ["product"])


@pytest.mark.parametrize("model", ["training_flag"], indirect=True)
def test_unused_inputs_are_dropped_or_said_to_be_used(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (key, (inputs, _)), *_ = signatures(model).items()
    code, _, err = run(capsys, model, "drop-inputs", key, inputs[0], "--dry-run")
    assert code == 1
    assert inputs[0] in err


def test_a_dry_run_tells_of_all_five_places_and_writes_nothing(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.rglob("*"))
    _, out, _ = run(capsys, model, "add-signature", "score", "--from", "predict", "--dry-run", "--in-place")
    assert all(place in out for place in FIVE)
    assert out.endswith("dry run: nothing is written\n")
    assert sorted(tmp_path.rglob("*")) == before


def test_json_says_the_same(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    step = ["add-signature", "score", "--from", "predict", "--json"]
    _, out, _ = run(capsys, model, *step, "--dry-run")
    planned = json.loads(out)
    assert (planned["dry_run"], planned["written"]) == (True, None)
    _, out, err = run(capsys, model, *step, "--output", tmp_path / "dst")
    done = json.loads(out)
    assert err == ""
    assert (done["steps"], done["changes"]) == (planned["steps"], planned["changes"])
    assert done["written"]["directory"] == str(tmp_path / "dst")
    assert done["written"]["left_out"] == ["fingerprint.pb"]
    assert {each["proto"] for each in done["steps"][0]["edits"]} > {*FIVE} - {"SavedFunction"}


def test_a_plan_is_a_file_of_steps(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = [
        {"step": "remove", "key": "train"},
        {"step": "alias", "key": "embed", "new_key": "vectors"},
        {"step": "add-signature", "key": "score", "source": "predict", "bind": {"ids": [1]}, "outputs": ["scores"]},
        {"step": "widen", "key": "vectors", "input": "x", "shape": [None, None]},
    ]
    (tmp_path / "steps.json").write_text(json.dumps(steps))
    code, out, err = run(capsys, model, "--plan", tmp_path / "steps.json", "--in-place")
    assert (code, err) == (0, "")
    assert all(f"{number}. " in out for number in range(1, 5))
    assert signatures(model) == {
        "serving_default": (["features", "ids"], ["Logits/raw", "ids", "scores"]),
        "embed": (["x"], ["output_0"]),
        "vectors": (["x"], ["output_0"]),
        "score": (["features"], ["scores"]),
    }
    assert (model / "saved_model.pb.bak-1").exists()
    assert "saved_model.pb.bak-1" in out


@pytest.mark.parametrize(
    "text",
    ["", "{}", '[{"step": "no"}]', '[{"step": "alias"}]', "[" * 5000, '[{"step": "remove", "key": "a", "b": 1}]'],
)
def test_a_plan_that_is_none_is_refused(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (tmp_path / "steps.json").write_text(text)
    code, _, err = run(capsys, model, "--plan", tmp_path / "steps.json", "--dry-run")
    assert code == 1
    assert "steps.json: expected a JSON list of steps" in err


def test_links_and_copies(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, model, "alias", "embed", "x", "--link", "-o", tmp_path / "dst")[0] == 0
    index = "variables/variables.index"
    assert (tmp_path / "dst" / index).samefile(model / index)
    assert run(capsys, model, "alias", "embed", "x", "-o", tmp_path / "copy")[0] == 0
    assert not (tmp_path / "copy" / index).samefile(model / index)


def test_what_changes_nothing_is_said_to(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, model, "widen", "embed", "x=[?,3]", "--in-place")
    assert code == 0
    assert "written" in out or "nothing changes" in out


USAGE = [
    (["alias", "embed", "x"], "--dry-run"),
    (["alias", "embed", "x", "--output", "dst", "--in-place"], "exclude each other"),
    (["alias", "embed", "x", "--in-place", "--link"], "--link goes with --output"),
    (["--in-place"], "Name a command"),
    (["no-such-step"], "no-such-step"),
    (["--json", "--in-place", "no-such-step"], "no-such-step"),
    (["rename-inputs", "embed", "x"], "NAME=VALUE"),
    (["rename-inputs", "embed", "x=a", "x=b", "--dry-run"], "twice"),
    (["bind-input", "embed", "x=words", "--dry-run"], "not JSON"),
    (["widen", "embed", "x=float32", "--dry-run"], "not a shape"),
    (["widen", "embed", "x=float32[a]", "--dry-run"], "not a size"),
    (["drop-trace", "embed", "--dry-run"], "embed:0 is the first"),
    (["add-signature"], "KEY"),
]


@pytest.mark.parametrize(("arguments", "message"), USAGE, ids=[" ".join(each) for each, _ in USAGE])
def test_wrong_usage(model: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    code, out, err = run(capsys, model, *arguments)
    told, silent = (out, err) if "--json" in arguments else (err, out)
    assert (code, silent) == (2, "")
    assert message in told


def test_options_before_the_command_are_wrong_usage(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["edit", "--in-place", str(model), "alias", "embed", "x"])
    assert code == 2
    assert "behind the command" in capsys.readouterr().err


ERRORS = [
    (["alias", "embde", "x", "--dry-run"], "'embed'"),
    (["add-signature", "x", "--from", "prdict", "--dry-run"], "'predict'"),
    (["widen", "embed", "x=int32[?,?]", "--dry-run"], "float32"),
    (["alias", "embed", "x", "--dry-run", "--tags", "train"], "serve"),
    (["alias", "embed", "x", "--output", "/proc/no/such/place"], "cannot be written"),
]


@pytest.mark.parametrize(("arguments", "message"), ERRORS, ids=[" ".join(each) for each, _ in ERRORS])
def test_errors_name_what_there_is(
    model: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    code, out, err = run(capsys, model, *arguments)
    assert (code, out) == (1, "")
    assert message in err
    code, out, err = run(capsys, model, *arguments, "--json")
    assert (code, err) == (1, "")
    assert message.strip("'") in json.loads(out)["error"].get("expected", "") + out


def test_a_directory_without_a_model_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, tmp_path, "alias", "a", "b", "--in-place")
    assert code == 1
    assert "a SavedModel" in err
