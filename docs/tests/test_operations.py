"""docs/operations.md against the code: the tests that it names exist, its metrics are those that the servers define."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trimtab.bundles.loading.status import FollowStatus
from trimtab.observing.leaf_metrics import Durations, LeafMetrics
from trimtab.observing.root_metrics import RootMetrics
from trimtab.serving.leaf.refusals import REASONS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
FAULTS = PAGE.partition("\n## Faults\n")[2].partition("\n## Metrics\n")[0]
METRICS = PAGE.partition("\n## Metrics\n")[2]

NAMED_TESTS = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", FAULTS)
METRIC_ROW = re.compile(r"^\| `(\w+)` \| (counter|gauge|histogram) \|([^|]*)\|", re.MULTILINE)
METRIC_NAME = re.compile(r"\b(?:trimmer|trimtab_(?:leaf|shadow)|nv_inference|request_(?:pre|post)?\w+)_\w+")


class Followed:
    """A leaf that follows a store in full."""

    entry = 1
    missing: tuple[str, ...] = ()


def of_leaf() -> str:
    """What a leaf shows when everything that it counts has happened."""
    metrics = LeafMetrics()
    version = metrics.of_version("m", "1")
    version.succeeded(1, Durations(1, 1, 1, 1))
    version.failed("overload")
    metrics.follows(Followed())
    return metrics.render().decode()


def of_root() -> str:
    """The same for a root."""
    followed = FollowStatus(stage="canary", entry=1, pointer="", instance="i", acknowledged=1, lease_s=1.0)
    metrics = RootMetrics(lambda: (1, 1), lambda: {"b": (1, 0.0)}, followed=lambda: {"b": followed})
    metrics.model("m")
    metrics.failed("m", "UNAVAILABLE")
    metrics.mismatched("m")
    metrics.shadow("m", "1")
    metrics.outcome("exact")
    metrics.refused.labels("UNAVAILABLE")
    return metrics.render().decode()


def defined() -> dict[str, tuple[str, frozenset[str]]]:
    """Kind and labels by metric."""
    lines = (of_leaf() + of_root()).splitlines()
    kinds = dict(line.split()[2:] for line in lines if line.startswith("# TYPE "))
    return {
        name: (kind, frozenset(re.findall(r'(\w+)="', " ".join(samples))) - {"le"})
        for name, kind in kinds.items()
        if not name.endswith("_created")
        for samples in [[line for line in lines if re.match(rf"{name}(_bucket|_sum|_count)?[{{ ]", line)]]
    }


def test_the_metrics_of_the_page_are_those_of_the_code() -> None:
    tables = {name: (kind, frozenset(re.findall(r"\w+", labels))) for name, kind, labels in METRIC_ROW.findall(METRICS)}
    assert tables == defined()


def test_no_other_metric_is_spoken_of() -> None:
    text = re.sub(r"^```.*?^```", "", PAGE, flags=re.MULTILINE | re.DOTALL)
    spoken_of = {name for code in re.findall(r"`([^`]+)`", text) for name in METRIC_NAME.findall(code)}
    assert spoken_of <= defined().keys()


@pytest.mark.parametrize("heading", re.findall(r"^### (.+)$", FAULTS, re.MULTILINE))
def test_every_fault_names_a_test_and_a_metric(heading: str) -> None:
    if heading == "What JSON cannot say":
        return
    section = FAULTS.partition(f"### {heading}\n")[2].partition("\n### ")[0]
    assert re.search(r"^\| test \| `tests/", section, re.MULTILINE)
    assert METRIC_NAME.search(section)


@pytest.mark.parametrize(("file", "test"), NAMED_TESTS, ids=[test for _, test in NAMED_TESTS])
def test_named_tests_exist(file: str, test: str) -> None:
    assert re.search(rf"^(async )?def {test}\(|^{test} = ", (ROOT / file).read_text(), re.MULTILINE)


def test_the_reasons_are_those_of_the_code() -> None:
    (what,) = re.findall(r"^\| `trimtab_leaf_refused_total` .*\| ([^|]*) \|$", METRICS, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", what)) <= {*REASONS, "cancelled"}


def test_lines_are_at_most_160_characters() -> None:
    assert not [line for line in PAGE.splitlines() if len(line) > 160]
