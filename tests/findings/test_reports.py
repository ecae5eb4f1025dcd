"""Findings in the forms of other tools: well-formed whatever names a model has, and one entry per finding."""

from __future__ import annotations

import json
from xml.parsers import expat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.findings import Finding, Level
from trimtab.findings.reports import REPORTS, Checked, as_github, as_gitlab, as_junit, as_sarif

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
findings = st.builds(
    Finding,
    rule=st.sampled_from(["INPUT_NO_DELETE", "OUTPUT_NO_ADD"]),
    level=st.sampled_from(Level),
    where=texts,
    problem=texts,
    expected=texts,
    got=texts,
)
checked = st.lists(st.tuples(texts, st.lists(findings, max_size=3)).map(lambda it: Checked(*it)), max_size=3)

ONE = Finding("INPUT_NO_DELETE", Level.ERROR, "forward: input age", "the input is gone", "float32 [n], required")


class Law:
    law = "No input is taken away."
    page = "No input is taken away.\n\nWho breaks: callers."


RULES = {"INPUT_NO_DELETE": Law(), "OUTPUT_NO_ADD": Law()}


def count(files: list[Checked]) -> int:
    return sum(len(file.findings) for file in files)


@given(checked)
def test_github_gets_one_line_per_finding(files: list[Checked]) -> None:
    lines = as_github(files, RULES).split("\n") if count(files) else []
    assert len(lines) == count(files)
    assert all(line.startswith(("::error ", "::warning ", "::notice ")) for line in lines)


@given(checked)
def test_sarif_and_gitlab_are_json_with_one_entry_per_finding(files: list[Checked]) -> None:
    (run,) = json.loads(as_sarif(files, RULES))["runs"]
    assert len(run["results"]) == count(files)
    assert all(run["tool"]["driver"]["rules"][it["ruleIndex"]]["id"] == it["ruleId"] for it in run["results"])
    assert len(json.loads(as_gitlab(files, RULES))) == count(files)


@given(checked)
def test_junit_is_xml_and_fails_for_errors_alone(files: list[Checked]) -> None:
    seen: list[str] = []
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda name, attributes: seen.append(name)
    parser.Parse(as_junit(files, RULES).encode(), True)
    errors = sum(it.level is Level.ERROR for file in files for it in file.findings)
    assert seen.count("failure") == errors
    assert seen.count("testsuite") == len(files)


def test_what_they_look_like() -> None:
    files = [Checked("models/ctr:1,2.onnx", [ONE])]
    assert as_github(files, RULES) == (
        "::error file=models/ctr%3A1%2C2.onnx,title=INPUT_NO_DELETE::"
        "forward: input age: the input is gone: expected float32 [n], required."
    )
    (result,) = json.loads(as_sarif(files, RULES))["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "models/ctr%3A1%2C2.onnx"
    (issue,) = json.loads(as_gitlab(files, RULES))
    assert (issue["severity"], issue["location"]["path"]) == ("critical", "models/ctr:1,2.onnx")
    assert issue["fingerprint"] == files[0].fingerprint(ONE)


def test_findings_of_one_rule_and_place_have_fingerprints_of_their_own() -> None:
    """Two waivers that are past their days, both in trimtab.toml; GitLab shows one issue of each fingerprint."""
    files = [Checked("trimtab.toml", [ONE, ONE, ONE]), Checked("model.onnx", [ONE])]
    fingerprints = [issue["fingerprint"] for issue in json.loads(as_gitlab(files, RULES))]
    assert len(set(fingerprints)) == 4
    (run,) = json.loads(as_sarif(files, RULES))["runs"]
    assert [it["partialFingerprints"]["trimtab/v1"] for it in run["results"]] == fingerprints


@pytest.mark.parametrize("form", REPORTS)
def test_nothing_found_is_a_report_too(form: str) -> None:
    assert isinstance(REPORTS[form]([Checked("model.onnx", [])], RULES), str)
