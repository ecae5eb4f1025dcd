"""`trimtab canary`: hold the canary against the baseline, metric by metric."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trimtab.cli.exit_codes import EXIT_REFUSED
from trimtab.cli.lazy import OrderedGroup
from trimtab.cli.store_option import name_option

if TYPE_CHECKING:
    from trimtab.errors import TrimtabError
    from trimtab.observing.canary.analyzing import Subject
    from trimtab.observing.canary.report import Report

_FILE = click.Path(path_type=Path, dir_okay=False)

_html_option = click.option(
    "--html", "html_file", type=_FILE, metavar="FILE", help="Write a page with the distributions there."
)

_json_option = click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")


@click.group(cls=OrderedGroup)
def canary() -> None:
    """Compare a canary with the baseline beside it, and say whether it is worse.

    Metrics come from Prometheus or from files. The report is what `trimtab rollout advance --analysis` asks for.

    \b
    Example:
      trimtab canary analyze canary.toml --report report.json && trimtab rollout advance --analysis report.json
    """


@canary.command()
@click.argument("config", type=_FILE)
@click.option("--report", "report_file", type=_FILE, metavar="FILE.json", help="Write the report there.")
@_html_option
@click.option(
    "--store", "place", envvar="TRIMTAB_STORE", show_envvar=True, metavar="PLACE",
    help="The store whose rollout is analyzed: its pending bundle, from when its canary began.",
)  # fmt: skip
@name_option
@click.option("--bundle", default="", metavar="DIGEST", help="The bundle that the canary serves, to ask no store.")
@click.option(
    "--wait", "wait_s", default=0.0, show_default=True, type=click.FloatRange(0), metavar="SECONDS",
    help="Go on analyzing for so long while the verdict is inconclusive.",
)  # fmt: skip
@click.option(
    "--interval", "interval_s", default=60.0, show_default=True, type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS", help="Between analyses, with --wait.",
)  # fmt: skip
@_json_option
def analyze(
    *,
    config: Path,
    report_file: Path | None,
    html_file: Path | None,
    place: str | None,
    name: str,
    bundle: str,
    wait_s: float,
    interval_s: float,
    as_json: bool,
) -> int:
    """Judge a canary: pass, fail or inconclusive.

    CONFIG (canary.toml) names the metrics, where they come from, and by how much each may be worse; docs/canary.md has
    every key. Exit code 0 for the verdict pass. 100 for fail, and also for inconclusive, which the last line and the
    report's "verdict" tell apart: there the data show neither, and more of them may.

    \b
    Examples:
      trimtab canary analyze canary.toml --report report.json --html report.html
      trimtab canary analyze canary.toml --store deploy/store --name ads --wait 1800 --interval 120
      trimtab canary analyze canary.toml --json | jq -r .verdict
    """
    from trimtab.observing.canary.analyzing import Analyzer, analyze_until_clear, looks_within
    from trimtab.observing.canary.configuration import read_configuration
    from trimtab.observing.canary.report import encode_report

    configuration = read_configuration(config)
    subject = _subject(place, name, bundle)
    analyzer = Analyzer(configuration, str(config.parent), subject, looks_within(wait_s, interval_s))
    report = analyze_until_clear(analyzer, interval_s, told=_progress)
    if report_file is not None:
        _write(report_file, encode_report(report))
    return _tell(report, html_file, as_json=as_json)


@canary.command()
@click.argument("report_file", type=_FILE, metavar="REPORT.json")
@_html_option
@_json_option
def show(*, report_file: Path, html_file: Path | None, as_json: bool) -> int:
    """Show a report that an analysis wrote: the verdict, metric by metric, and why.

    The exit code is the verdict's, as of `trimtab canary analyze`: 0 for pass, 100 for fail and inconclusive.

    \b
    Examples:
      trimtab canary show report.json
      trimtab canary show report.json --html report.html
    """
    from trimtab.observing.canary.report import read_report

    return _tell(read_report(report_file), html_file, as_json=as_json)


def _tell(report: Report, html_file: Path | None, *, as_json: bool) -> int:
    from trimtab.observing.canary.judging import Verdict
    from trimtab.observing.canary.page import as_page
    from trimtab.observing.canary.report import encode_report
    from trimtab.observing.canary.text import as_text

    if html_file is not None:
        _write(html_file, as_page(report).encode())
    click.echo(encode_report(report).decode().rstrip() if as_json else as_text(report))
    return 0 if report.verdict is Verdict.PASS else EXIT_REFUSED


def _subject(place: str | None, name: str, bundle: str) -> Subject:
    from trimtab.bundles.store.opening import open_store
    from trimtab.observing.canary.analyzing import Subject
    from trimtab.observing.canary.rollout import canary_of

    if bundle or place is None:
        return Subject(bundle=bundle)
    return canary_of(open_store(place), name)


def _progress(seen: Report | TrimtabError) -> None:
    """What a look gave that was not the last: failures always, verdicts to a terminal."""
    from trimtab.errors import TrimtabError
    from trimtab.observing.canary.text import verdict_line

    if isinstance(seen, TrimtabError):
        click.echo(f"error: {seen}", err=True)
    elif sys.stderr.isatty():
        click.echo(f"{seen.made_at}  {verdict_line(seen)}", err=True)


def _write(path: Path, data: bytes) -> None:
    from trimtab.errors import TrimtabError

    try:
        path.write_bytes(data)
    except OSError as failure:
        raise TrimtabError(
            where=str(path), expected="a file that can be written", got=failure.strerror or str(failure)
        ) from None
