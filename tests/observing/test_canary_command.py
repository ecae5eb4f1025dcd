"""`trimtab canary analyze` from end to end: verdicts, exit codes, reports, pages, waiting, and the store's rollout."""

from __future__ import annotations

import html.parser
import json
import random
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from trimtab.bundles.store.entry import Position, Rollout, first_entry, following
from trimtab.bundles.store.local import LocalStorage
from trimtab.bundles.store.pointers import Pointers
from trimtab.bundles.store.store import Store
from trimtab.cli.main import main
from trimtab.errors import StoreError, TrimtabError
from trimtab.observing.canary.analyzing import Analyzer, analyze_until_clear, looks_within
from trimtab.observing.canary.configuration import Configuration, read_configuration
from trimtab.observing.canary.judging import Verdict
from trimtab.observing.canary.page import as_page
from trimtab.observing.canary.report import Report, read_report
from trimtab.observing.canary.rollout import canary_of
from trimtab.observing.canary.text import as_text
from trimtab.rollout import reports

CONFIG = """
[[metrics]]
name = "p99 latency <ms>"
baseline = {file = "latency.csv", column = "baseline"}
canary = {file = "latency.csv", column = "canary"}
margin = 0.05

[[metrics]]
name = "clicks"
baseline = {file = "clicks.jsonl", column = "baseline"}
canary = {file = "clicks.jsonl", column = "canary"}
bad = "decrease"
margin_absolute = 2.0
critical = false

[shadow]
file = "shadow.csv"
"""


class Folder:
    """A folder with a configuration and the data that it names."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "canary.toml"
        self.config.write_text(CONFIG)
        self.measure()

    def measure(self, slower: float = 0.0, fewer: float = 0.0, different: int = 0, samples: int = 60) -> None:
        rng = random.Random(1)
        rows = [(rng.gauss(50, 1), rng.gauss(50 + slower, 1)) for _ in range(samples)]
        (self.path / "latency.csv").write_text("baseline,canary\n" + "".join(f"{a},{b}\n" for a, b in rows))
        rows = [(rng.gauss(100, 1), rng.gauss(100 - fewer, 1)) for _ in range(samples)]
        lines = "".join(json.dumps({"baseline": a, "canary": b}) + "\n" for a, b in rows)
        (self.path / "clicks.jsonl").write_text(lines)
        (self.path / "shadow.csv").write_text(f"equal,different,failed\n0,0,0\n500,{different},1\n")

    def analyze(self, *more: str) -> int:
        return main(["canary", "analyze", str(self.config), *more])


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


CASES: dict[str, tuple[dict[str, Any], int, str, list[str]]] = {
    "good": ({}, 0, "pass", ["pass", "pass", "pass"]),
    "slow": ({"slower": 5.0}, 100, "fail", ["high", "pass", "pass"]),
    "at the margin": ({"slower": 2.6}, 100, "inconclusive", ["inconclusive", "pass", "pass"]),
    "fewer clicks": ({"fewer": 9.0}, 100, "fail", ["pass", "low", "pass"]),
    "other scores": ({"different": 1}, 100, "fail", ["pass", "pass", "high"]),
    "too short": ({"samples": 7}, 100, "inconclusive", ["nodata", "nodata", "pass"]),
}


@pytest.mark.parametrize("case", CASES)
def test_verdicts_and_exit_codes(folder: Folder, capsys: pytest.CaptureFixture[str], case: str) -> None:
    data, exit_code, verdict, results = CASES[case]
    folder.measure(**data)
    assert folder.analyze("--json") == exit_code
    report = json.loads(capsys.readouterr().out)
    assert report["verdict"] == verdict
    assert [metric["result"] for metric in report["metrics"]] == results
    assert folder.analyze() == exit_code
    assert f"\nverdict {verdict}: " in capsys.readouterr().out


def test_the_report_has_what_a_rollout_reads(folder: Folder) -> None:
    digest = f"sha256:{'ab' * 32}"
    file = folder.path / "report.json"
    assert folder.analyze("--bundle", digest, "--report", str(file)) == 0
    report = json.loads(file.read_text())
    assert {key: report[key] for key in ("report_version", "verdict", "bundle")} == {
        "report_version": 1,
        "verdict": "pass",
        "bundle": digest,
    }
    assert abs((datetime.now(UTC) - datetime.fromisoformat(report["made_at"])).total_seconds()) < 60
    latency, clicks, shadow = report["metrics"]
    assert latency["margin"] == pytest.approx(0.05 * latency["baseline"]["median"])
    assert clicks["margin"] == 2.0
    assert latency["effect"]["low"] < latency["effect"]["shift"] < latency["effect"]["high"] < latency["margin"]
    assert len(latency["canary"]["values"]) == latency["canary"]["samples"] == 60
    assert shadow["counts"] == {"equal": 500, "different": 0, "failed": 1}
    assert msgspec.json.decode(file.read_bytes(), type=Report) == read_report(file)
    as_rollouts_read = reports.read_report(file)
    assert (as_rollouts_read.verdict, as_rollouts_read.bundle) == ("pass", digest)


def test_the_page_stands_alone_and_shows_text_as_text(folder: Folder) -> None:
    file = folder.path / "report.html"
    folder.measure(slower=5)
    assert folder.analyze("--html", str(file)) == 100
    page = file.read_text()
    seen = Elements()
    seen.feed(page)
    assert not seen.open
    assert seen.names.count("svg") == 6
    assert seen.names.count("section") == 3
    assert not {"script", "link", "img", "iframe", "ms"} & set(seen.names)
    assert not [value for _, value in seen.attributes if value and "://" in value]
    assert "p99 latency &lt;ms&gt;" in page
    assert "worse: moved by" in page


class Elements(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("samples", [[0.0] * 20, [5.0] * 20, [-1e149] * 19 + [1e149], [1e-200] * 20], ids=str)
def test_pages_and_texts_of_extreme_samples(tmp_path: Path, samples: list[float]) -> None:
    (tmp_path / "a.csv").write_text("a\n" + "".join(f"{value!r}\n" for value in samples))
    source = {"file": "a.csv"}
    raw = {"metrics": [{"name": "it", "baseline": source, "canary": source, "bad": "either"}]}
    report = Analyzer(msgspec.convert(raw, Configuration), str(tmp_path)).analyze()
    assert "nan" not in as_page(report).lower()
    assert "verdict" in as_text(report)


def test_errors_are_no_verdicts(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    (folder.path / "latency.csv").unlink()
    assert folder.analyze() == 1
    assert "error: metric 'p99 latency <ms>', baseline: " in capsys.readouterr().err
    folder.measure()
    assert folder.analyze("--report", str(folder.path / "no" / "report.json")) == 1
    assert main(["canary", "analyze", str(folder.path / "no.toml")]) == 1
    texts = {"empty.json": "{}", "newer.json": '{"report_version": 2}', "cut.json": '{"report_version": 1, "verd'}
    for name, text in texts.items():
        (folder.path / name).write_text(text)
    for name in (*texts, "not-there.json"):
        with pytest.raises(TrimtabError, match=name):
            read_report(folder.path / name)
        assert main(["canary", "show", str(folder.path / name)]) == 1


@pytest.mark.parametrize(("slower", "exit_code"), [(0.0, 0), (5.0, 100)])
def test_a_written_report_is_shown_as_it_was_told(
    folder: Folder,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    slower: float,
    exit_code: int,
) -> None:
    folder.measure(slower=slower)
    report, page, again = (folder.path / name for name in ("report.json", "page.html", "again.html"))
    assert folder.analyze("--report", str(report), "--html", str(page)) == exit_code
    told = capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "scipy", None)
    assert main(["canary", "show", str(report), "--html", str(again)]) == exit_code
    assert capsys.readouterr().out == told
    assert again.read_bytes() == page.read_bytes()
    assert main(["canary", "show", str(report), "--json"]) == exit_code
    assert json.loads(capsys.readouterr().out) == json.loads(report.read_bytes())


def test_without_scipy_the_error_says_what_to_install(
    folder: Folder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    assert folder.analyze() == 1
    assert "pip install 'trimtab[canary]'" in capsys.readouterr().err


@pytest.mark.parametrize("terminal", [True, False])
def test_waiting_looks_again_and_tells_a_terminal(
    folder: Folder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    folder.measure(slower=2.6)
    assert folder.analyze("--wait", "0.3", "--interval", "0.1", "--json") == 100
    out, err = capsys.readouterr()
    assert json.loads(out)["looks"] == 4
    assert err.count("verdict inconclusive") == (3 if terminal else 0)


def test_waiting_ends_when_the_verdict_is_clear(folder: Folder) -> None:
    analyzer = Analyzer(read_configuration(folder.config), str(folder.path), looks=looks_within(600, 60))
    assert analyzer.looks == 11
    slept: list[float] = []
    told: list[object] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            (folder.path / "latency.csv").unlink()
        if len(slept) == 3:
            folder.measure(slower=9)

    folder.measure(samples=7)
    report = analyze_until_clear(analyzer, 60, told=told.append, sleep=sleep)
    assert report.verdict is Verdict.FAIL
    assert slept == [60, 60, 60]
    assert [type(each) for each in told] == [Report, Report, TrimtabError]


def test_waiting_for_what_cannot_be_fetched_ends_with_why(folder: Folder) -> None:
    (folder.path / "latency.csv").unlink()
    analyzer = Analyzer(read_configuration(folder.config), str(folder.path), looks=2)
    told: list[object] = []
    with pytest.raises(TrimtabError, match=r"latency\.csv"):
        analyze_until_clear(analyzer, 60, told=told.append, sleep=lambda _: None)
    assert len(told) == 1


def test_more_looks_are_each_held_to_more(folder: Folder) -> None:
    """What one look may call worse, one of a thousand may not."""
    folder.measure(slower=3.1)
    verdicts = [
        Analyzer(read_configuration(folder.config), str(folder.path), looks=looks).analyze().verdict
        for looks in (1, 1000)
    ]
    assert verdicts == [Verdict.FAIL, Verdict.INCONCLUSIVE]


# --- the rollout that is analyzed

OLD, NEW = f"sha256:{'0' * 64}", f"sha256:{'1' * 64}"


def store_at(path: Path, *positions: tuple[str, Position]) -> Store:
    store = Store.create(LocalStorage(str(path)))
    entry = None
    for number, (at, position) in enumerate(positions, 1):
        rollout = Rollout(started=1, current=OLD, pending=NEW, position=position)
        what = {"by": "me", "why": "", "move": "advance", "pointers": Pointers(), "rollout": rollout}
        entry = first_entry("ads", **what) if entry is None else following(entry, **what)
        entry = msgspec.structs.replace(entry, at=at)
        assert entry.number == number
        assert store.append(entry)
    return store


HISTORY = (
    ("2026-01-01T10:00:00.000000Z", Position.ROOT_CANARY),
    ("2026-01-01T11:00:00.000000Z", Position.LEAF_CANARY),
    ("2026-01-01T12:00:00.000000Z", Position.LEAF_CANARY),  # held, say
)


def test_the_window_begins_when_the_canary_did(tmp_path: Path) -> None:
    subject = canary_of(store_at(tmp_path, *HISTORY))
    assert subject.bundle == NEW
    assert datetime.fromtimestamp(subject.since, UTC) == datetime(2026, 1, 1, 11, tzinfo=UTC)
    raw = {
        "prometheus": {"url": "http://localhost", "duration_s": 3600, "step_s": 60},
        "metrics": [{"name": "it", "query": "$side"}],
    }
    analyzer = Analyzer(msgspec.convert(raw, Configuration), subject=subject)
    early, late = (analyzer._window(subject.since + after) for after in (600, 86400))
    assert early is not None
    assert late is not None
    assert (early.start - subject.since, early.end - early.start, early.samples) == (0, 600, 11)
    assert late.end - late.start == 3600


@pytest.mark.parametrize("positions", [(), HISTORY[:1], (*HISTORY, ("2026-01-01T13:00:00Z", Position.LEAVES_BACK))])
def test_without_a_canary_there_is_nothing_to_analyze(
    tmp_path: Path, positions: tuple[Any, ...], folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    store = store_at(tmp_path / "store", *positions)
    with pytest.raises(StoreError):
        canary_of(store)
    assert folder.analyze("--store", str(tmp_path / "store")) == 1
    assert "trimtab rollout" in capsys.readouterr().err


def test_the_report_names_the_pending_bundle_of_the_store(
    tmp_path: Path, folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    store_at(tmp_path / "store", *HISTORY)
    assert folder.analyze("--store", str(tmp_path / "store"), "--name", "ads", "--json") == 0
    assert json.loads(capsys.readouterr().out)["bundle"] == NEW


def test_samples_are_summed_up_as_numpy_does(folder: Folder) -> None:
    report = Analyzer(read_configuration(folder.config), str(folder.path)).analyze()
    side = report.metrics[0].canary
    assert side is not None
    assert side.p95 == np.quantile(side.values, 0.95)
    assert (side.mean, side.minimum, side.maximum) == (np.mean(side.values), min(side.values), max(side.values))
