"""`trimtab check`: a repository, or an incoming artifact, held against what is live."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

import jsonschema
import onnx
import pytest
from onnx import TensorProto, helper

from signature_places import built, repository, stored
from trimtab.cli.main import main


def save(path: Path, *inputs: str, document: str = "") -> Path:
    """An ONNX model that adds its inputs up; with an embedded document where one is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in (*inputs, "score")]
    graph = helper.make_graph([helper.make_node("Sum", inputs, ["score"])], "g", values[:-1], values[-1:])
    model = helper.make_model(graph, ir_version=8)
    if document:
        model.metadata_props.add(key="module_info.json", value=document)
    onnx.save(model, path)
    return path


@pytest.fixture
def live(tmp_path: Path) -> Path:
    save(tmp_path / "live" / "ctr" / "7" / "model.onnx", "age", "item")
    save(tmp_path / "live" / "related" / "1" / "model.onnx", "item")
    return tmp_path / "live"


def rules(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [each["rule"] for each in json.loads(capsys.readouterr().out)["changes"]]


def test_an_unchanged_version_passes(live: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = save(tmp_path / "incoming" / "ctr" / "8" / "model.onnx", "age", "item")
    assert main(["check", str(new), "--against", str(live)]) == 0
    assert capsys.readouterr().out == "1 compared: nothing is refused\n"


def test_a_changed_version_is_refused(live: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = save(tmp_path / "incoming" / "ctr" / "8" / "model.onnx", "age", "user")
    assert main(["check", str(new), "--against", str(live)]) == 100
    out = capsys.readouterr().out
    assert out.startswith(f"ctr: {new} against {live}/ctr/7/model.onnx\nerror INPUT_NO_DELETE\n")
    command = f"trimtab fork {tmp_path}/incoming ctr ctr_v2 --version 8 --move"
    assert f"Or: Publish it under a new name: {command}\n" in out
    assert out.endswith("1 compared: refused\n")


def test_a_repository_is_held_against_itself(live: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(live / "ctr" / "8" / "model.onnx", "age", "item")
    save(live / "ctr" / "9" / "model.onnx", "age")
    assert main(["check", str(live), "--against", str(live), "--json"]) == 100
    printed = json.loads(capsys.readouterr().out)
    pairs = [
        (Path(each["new"]).parent.name, each["old"] and Path(each["old"]).parent.name) for each in printed["compared"]
    ]
    assert pairs == [("7", None), ("8", "7"), ("9", "8"), ("1", None)]
    assert [(each["model"], each["rule"]) for each in printed["changes"]] == [("ctr", "INPUT_NO_DELETE")]


def test_new_versions_of_another_repository(live: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(live, tmp_path / "next")
    save(tmp_path / "next" / "ctr" / "8" / "model.onnx", "age", "item", "user")
    save(tmp_path / "next" / "brand_new" / "1" / "model.onnx", "x")
    assert main(["check", str(tmp_path / "next"), "--against", str(live), "--category", "feed", "--json"]) == 100
    assert rules(capsys) == ["INPUT_NO_ADD_REQUIRED"]


def test_the_configuration_is_found_above(live: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "trimtab.toml").write_text('[stability]\ncategory = "FEED"\n')
    new = save(tmp_path / "incoming" / "ctr" / "8" / "model.onnx", "age")
    assert main(["check", str(new), "--against", str(live)]) == 0
    (tmp_path / "trimtab.toml").write_text("[stability]\ncategory = 7\n")
    assert main(["check", str(new), "--against", str(live)]) == 1


def test_what_cannot_be_checked_is_a_finding(live: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = '{"input_names": ["age", "items"], "output_names": ["score"]}'
    contradicted = save(tmp_path / "ctr" / "8" / "model.onnx", "age", "item", document=document)
    assert main(["check", str(contradicted), "--against", str(live), "--json"]) == 100
    assert rules(capsys) == ["SIGNATURE_MATCHES_GRAPH"]
    silent = tmp_path / "ctr" / "9" / "model.pkl"
    silent.parent.mkdir()
    silent.write_bytes(pickle.dumps(complex(1, 2)))
    assert main(["check", str(silent), "--against", str(live), "--json"]) == 100
    assert rules(capsys) == ["SIGNATURE_PRESENT"]


@pytest.mark.parametrize("form", ["github", "sarif", "junit", "gitlab"])
def test_forms_of_other_tools(live: Path, tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    new = save(tmp_path / "incoming" / "ctr" / "8" / "model.onnx", "age")
    assert main(["check", str(new), "--against", str(live), "--format", form]) == 100
    assert "INPUT_NO_DELETE" in capsys.readouterr().out


def test_a_repository_needs_a_repository(live: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(live), "--against", str(live / "ctr" / "7" / "model.onnx")]) == 1
    assert "many versions cannot be held against one" in capsys.readouterr().err
    assert main(["check", str(live), "--against", str(live), "--model", "ctr"]) == 2


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What `--json` prints of a check that refuses."""
    assert main([*arguments, "--json"]) == 100
    return cast("dict[str, Any]", json.loads(capsys.readouterr().out))


def test_a_version_that_changed_in_place_is_refused(
    live: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = save(tmp_path / "next" / "ctr" / "7" / "model.onnx", "age")
    printed = refused(["check", str(tmp_path / "next"), "--against", str(live)], capsys)
    assert printed["compared"] == [{"model": "ctr", "new": str(new), "old": f"{live}/ctr/7/model.onnx"}]
    assert [each["rule"] for each in printed["changes"]] == ["INPUT_NO_DELETE"]


def test_the_same_on_both_sides_is_not_refused(live: Path, capsys: pytest.CaptureFixture[str]) -> None:
    artifact = str(live / "ctr" / "7" / "model.onnx")
    assert main(["check", artifact, "--against", artifact]) == 0
    assert main(["check", str(live), "--against", str(live)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "1 compared: nothing is refused",
        "0 compared, 2 without a version before: nothing is refused",
    ]
    assert main(["check", artifact, "--against", str(live)]) == 0
    assert "no other version of ctr" in capsys.readouterr().out


def test_bundles_and_stores(live: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = built(live, tmp_path / "ads.json")
    store = str(stored(tmp_path / "store", bundle))
    new = save(tmp_path / "next" / "ctr" / "8" / "model.onnx", "age")
    later = built(tmp_path / "next", tmp_path / "next.json")
    capsys.readouterr()
    for candidate in (new, new.parent, tmp_path / "next", f"{tmp_path}/next#ctr", later, f"{later}#ctr:8"):
        for against in (live, bundle, store, f"{store}@canary", f"{store}#ctr:7", f"{store}#ctr"):
            many = candidate in (tmp_path / "next", later)
            if many and "#" in str(against):
                continue
            printed = refused(["check", str(candidate), "--against", str(against)], capsys)
            assert [(each["model"], each["rule"]) for each in printed["changes"]] == [("ctr", "INPUT_NO_DELETE")]
            in_bundle = str(candidate).startswith(str(later))
            assert ("fork" in printed["changes"][0]) != in_bundle
    assert main(["check", str(bundle), "--against", store]) == 0


def test_outputs_in_another_order_are_seen_though_the_digest_is_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for version, outputs in ((1, ("a", "b")), (2, ("b", "a"))):
        path = tmp_path / f"r{version}" / "m" / str(version) / "model.onnx"
        path.parent.mkdir(parents=True)
        nodes = [helper.make_node("Identity", ["x"], [name]) for name in outputs]
        x, *values = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("x", *outputs))
        onnx.save(helper.make_model(helper.make_graph(nodes, "g", [x], values), ir_version=8), path)
    bundles = [built(tmp_path / f"r{version}", tmp_path / f"b{version}.json") for version in (1, 2)]
    store = stored(tmp_path / "store", bundles[0])
    capsys.readouterr()
    for new in (tmp_path / "r2", bundles[1]):
        for against in (tmp_path / "r1", bundles[0], store):
            printed = refused(["check", str(new), "--against", str(against)], capsys)
            assert [each["rule"] for each in printed["changes"]] == ["OUTPUT_SAME_ORDER"]


def test_what_cannot_be_read_does_not_hide_the_rest(
    live: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "next"
    save(root / "ctr" / "8" / "model.onnx", "age")
    (root / "broken" / "1").mkdir(parents=True)
    (root / "broken" / "1" / "model.onnx").write_bytes(b"\x08\x07\x3a\xff")
    save(root / "double" / "1" / "a.onnx", "x")
    save(root / "double" / "1" / "b.onnx", "x")
    (root / "empty" / "1").mkdir(parents=True)
    assert main(["check", str(root), "--against", str(live), "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["refused"]
    assert [each["rule"] for each in printed["changes"]] == ["INPUT_NO_DELETE"]
    assert [each["model"] for each in printed["errors"]] == ["broken", "double", "empty"]
    assert main(["check", str(root), "--against", str(live)]) == 1
    out = capsys.readouterr().out
    assert f"error: {root}/broken/1/model.onnx" in out
    assert out.endswith("\n1 compared, 3 not readable: refused\n")


def test_a_live_version_that_cannot_be_read_is_an_error_of_its_own(
    live: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (live / "ctr" / "7" / "model.onnx").write_bytes(b"\x08\x07\x3a\xff")
    new = save(tmp_path / "next" / "ctr" / "8" / "model.onnx", "age")
    assert main(["check", str(new), "--against", str(live)]) == 1
    assert capsys.readouterr().out.endswith("0 compared, 1 not readable: nothing else is refused\n")


def test_a_first_version_without_a_signature_is_refused(
    live: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    silent = tmp_path / "next" / "brand_new" / "1" / "model.pt"
    silent.parent.mkdir(parents=True)
    silent.write_bytes(pickle.dumps(complex(1, 2)))
    printed = refused(["check", str(tmp_path / "next"), "--against", str(live)], capsys)
    assert [each["rule"] for each in printed["changes"]] == ["SIGNATURE_PRESENT"]
    assert "trimtab fork" not in printed["changes"][0]["remedy"]


# --- waivers


def test_waivers_are_proposed_and_let_through_once_somebody_answers(
    live: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = save(tmp_path / "incoming" / "ctr" / "8" / "model.onnx", "age", "user")
    file = tmp_path / "trimtab.toml"
    (tmp_path / "kept.toml").write_text('[stability]\ncategory = "SCHEMA"\n')
    file.symlink_to("kept.toml")
    checked = ["check", str(new), "--against", str(live)]
    assert main([*checked, "--write-waivers", str(file)]) == 100
    assert "2 waivers proposed" in capsys.readouterr().err
    assert main(checked) == 1
    assert "a waiver without reason and owner" in capsys.readouterr().err
    file.write_text(file.read_text().replace('reason = ""', 'reason = "r"').replace('owner = ""', 'owner = "o"'))
    assert main([*checked, "--write-waivers", str(file)]) == 0
    assert "0 waivers proposed" in capsys.readouterr().err
    assert main(checked) == 0
    assert capsys.readouterr().out.count("waived: main: input") == 2
    assert file.is_symlink()


def test_proposals_alone_go_to_standard_output(live: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = save(tmp_path / "incoming" / "ctr" / "8" / "model.onnx", "age")
    checked = ["check", str(new), "--against", str(live)]
    assert main([*checked, "--write-waivers"]) == 100
    printed = capsys.readouterr()
    (waiver,) = tomllib.loads(printed.out)["stability"]["waivers"]
    assert (waiver["rule"], waiver["model"], waiver["subject"]) == ("INPUT_NO_DELETE", "ctr", "main: input item")
    assert printed.err.endswith("1 compared: refused\n")
    assert main([*checked, "--json", "--write-waivers"]) == 2
    assert list(json.loads(capsys.readouterr().out)) == ["error"]
    assert main(["check", str(live), "--against", str(live), "--write-waivers"]) == 0
    assert capsys.readouterr().out == ""


# --- forms of other tools


@pytest.fixture
def reported(live: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a change, a model with an odd name, a broken file and a configuration with a waiver."""
    save(live / "ctr" / "8" / "model.onnx", "age")
    save(live / "a,b:c%\n" / "1" / "model.onnx", "x")
    save(live / "a,b:c%\n" / "2" / "model.onnx", "x,\r\n::error::")
    odd = live / os.fsdecode(b"\xff") / "1" / "model.onnx"
    save(odd, "x").write_bytes(b"\x08\x07\x3a\xff")
    (live / "trimtab.toml").write_text(
        '[[stability.waivers]]\nrule = "OUTPUT_NO_ADD"\nreason = "r"\nowner = "o"\nexpires = 2020-01-31\n'
    )
    monkeypatch.chdir(tmp_path)
    return Path("live")


def printed_as(form: str, repository: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> bytes:
    assert main(["check", str(repository), "--against", str(repository), "--format", form]) == 1
    return capsysbinary.readouterr().out


SARIF = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "$schema": {"type": "string", "format": "uri"},
        "runs": {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/run"}},
    },
    "additionalProperties": False,
    "definitions": {
        "run": {
            "type": "object",
            "required": ["tool", "results"],
            "additionalProperties": False,
            "properties": {
                "tool": {
                    "type": "object",
                    "required": ["driver"],
                    "properties": {
                        "driver": {
                            "type": "object",
                            "required": ["name"],
                            "properties": {
                                "rules": {"type": "array", "uniqueItems": True, "items": {"$ref": "#/definitions/rule"}}
                            },
                        }
                    },
                },
                "results": {"type": "array", "items": {"$ref": "#/definitions/result"}},
            },
        },
        "rule": {
            "type": "object",
            "required": ["id"],
            "properties": {
                "id": {"type": "string"},
                "shortDescription": {"$ref": "#/definitions/text"},
                "help": {"$ref": "#/definitions/text"},
            },
        },
        "text": {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}},
        "result": {
            "type": "object",
            "required": ["message", "ruleId", "locations"],
            "additionalProperties": False,
            "properties": {
                "ruleId": {"type": "string"},
                "ruleIndex": {"type": "integer", "minimum": 0},
                "level": {"enum": ["none", "note", "warning", "error"]},
                "message": {"$ref": "#/definitions/text"},
                "partialFingerprints": {"type": "object", "additionalProperties": {"type": "string"}},
                "locations": {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/location"}},
            },
        },
        "location": {
            "type": "object",
            "required": ["physicalLocation"],
            "properties": {
                "physicalLocation": {
                    "type": "object",
                    "required": ["artifactLocation", "region"],
                    "properties": {
                        "artifactLocation": {
                            "type": "object",
                            "required": ["uri"],
                            "properties": {"uri": {"type": "string", "pattern": r"^[A-Za-z0-9._~%/-]+$"}},
                        },
                        "region": {
                            "type": "object",
                            "required": ["startLine"],
                            "properties": {"startLine": {"type": "integer", "minimum": 1}},
                        },
                    },
                },
                "logicalLocations": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"fullyQualifiedName": {"type": "string"}}},
                },
            },
        },
    },
}
"""What of the schema of SARIF 2.1.0 concerns what we write, and what GitHub demands beside it."""


def test_sarif_keeps_to_its_schema(reported: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    log = json.loads(printed_as("sarif", reported, capsysbinary))
    jsonschema.validate(log, SARIF)
    (run,) = log["runs"]
    named = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert [named[each["ruleIndex"]] for each in run["results"]] == [each["ruleId"] for each in run["results"]]
    assert {"INPUT_NO_DELETE", "NOT_READABLE", "WAIVER_EXPIRED"} <= set(named)
    prints = [each["partialFingerprints"]["trimtab/v1"] for each in run["results"]]
    assert len(prints) == len(set(prints))
    (deleted,) = [each for each in run["results"] if each["message"]["text"].startswith("ctr:8: ")]
    uri = deleted["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == "live/ctr/8/model.onnx"
    assert "trimtab fork live ctr ctr_v2 --version 8 --move" in deleted["message"]["text"]


def test_github_annotations_are_one_line_each(reported: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """The runner reads `::command key=value,key=value::message` line by line, and undoes %25, %0D, %0A, %3A and %2C."""
    lines = printed_as("github", reported, capsysbinary).decode().rstrip("\n").split("\n")
    files = set()
    for line in lines:
        read = re.fullmatch(r"::(error|warning|notice) file=([^:,\r\n]+),title=([^:,\r\n]+)::([^\r\n]+)", line)
        assert read, line
        path = read[2]
        for escaped, char in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
            path = path.replace(escaped, char)
        files.add(path)
    assert {"live/ctr/8/model.onnx", "live/a,b:c%\n/2/model.onnx", "live/trimtab.toml"} <= files
    assert len(lines) == len(files) + 1  # the odd model's input was renamed: one is gone, one came


def test_junit_fails_exactly_what_is_refused(reported: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    root = ElementTree.fromstring(printed_as("junit", reported, capsysbinary))
    failed = {case.get("classname"): case.findall("failure") for case in root.iter("testcase")}
    assert [len(failed[f"live/ctr/{version}/model.onnx"]) for version in (7, 8)] == [0, 1]
    for suite in root.iter("testsuite"):
        assert int(suite.get("tests", 0)) == len(suite.findall("testcase"))
        assert int(suite.get("failures", 0)) == len(suite.findall("testcase/failure"))


def test_gitlab_tells_every_finding_apart(reported: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    issues = json.loads(printed_as("gitlab", reported, capsysbinary))
    keys = {"description", "check_name", "fingerprint", "severity", "location"}
    assert all(issue.keys() == keys for issue in issues)
    assert len({issue["fingerprint"] for issue in issues}) == len(issues) == 5
    assert all(not issue["location"]["path"].startswith(("/", "./")) for issue in issues)


def test_versions_of_one_bundle_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    repository(tmp_path / "r", {model: {1: ["a"], 2: ["b"], 3: ["b"]} for model in ("m", "n")})
    bundle = built(tmp_path / "r", tmp_path / "ads.json")
    capsys.readouterr()
    assert main(["check", str(bundle), "--against", str(bundle), "--format", "gitlab"]) == 100
    issues = json.loads(capsys.readouterr().out)
    assert len({issue["fingerprint"] for issue in issues}) == len(issues) == 8
    assert {issue["location"]["path"] for issue in issues} == {str(bundle)}


@pytest.mark.parametrize("form", ["text", "json"])
def test_odd_names_are_printed(reported: Path, form: str, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    out = printed_as(form, reported, capsysbinary)
    assert b"\\udcff" in out.lower()
    assert form == "text" or json.loads(out)["errors"][0]["model"] == "\udcff"


# --- hostile configurations


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[stability]\n" + 'x = "' + "a" * (1 << 20) + '"', "at most 1048576 bytes"),
        ("x = " + "[" * 100_000, "toml"),
        ("[stability.levels]\n" + "\n".join(f"X{number} = 'note'" for number in range(30_000)), "the name of a rule"),
        ("[[stability.models]]\nmatch = 7", "match"),
        ("stability = 7", "stability"),
        ("[[stability.models]]\nmatch = 'a'\n[stability.models.levels]\nX = 'note'", "the name of a rule"),
        ("\0", "trimtab.toml"),
        ("[stability]\ncategory = 'FEED'\ncategory = 'FEED'", "trimtab.toml"),
        ("[[stability.waivers]]\nrule = 'OUTPUT_NO_ADD'\nreason = 'r'\nowner = 'o'\nexpires = 'soon'", "expires"),
    ],
    ids=["huge", "deep", "many unknown", "a number", "no table", "in a model", "a zero", "twice", "no day"],
)
def test_a_hostile_configuration_is_an_error(
    live: Path, text: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (live / "trimtab.toml").write_text(text)
    assert main(["check", str(live), "--against", str(live)]) == 1
    error = capsys.readouterr().err
    assert "trimtab.toml" in error
    assert problem in error
    assert len(error) < 1000


def test_a_configuration_that_is_no_text_or_a_circle_is_an_error(
    live: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.toml").write_bytes(b"\xff")
    (tmp_path / "y.toml").symlink_to("y.toml")
    for name, problem in (("x.toml", "text in UTF-8"), ("y.toml", "symbolic links"), ("z.toml", "No such file")):
        assert main(["check", str(live), "--against", str(live), "--config", str(tmp_path / name)]) == 1
        assert problem in capsys.readouterr().err
