"""Analyze once, or again and again until the verdict is clear.

Who looks more often finds more by chance. An analysis that may be repeated therefore says beforehand how many looks
there will be, and each has that part of the error rate.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from trimtab.errors import TrimtabError
from trimtab.observing.canary.configuration import Source
from trimtab.observing.canary.files import COLUMN, read_series
from trimtab.observing.canary.judging import Verdict, adjusted, judged, judged_shadow, score, too_few, verdict_of
from trimtab.observing.canary.prometheus import PrometheusClient
from trimtab.observing.canary.report import MetricReport, Report, side_of
from trimtab.observing.canary.samples import Window, counted, sample_of
from trimtab.observing.canary.statistics import Comparison, compare

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trimtab.observing.canary.configuration import Configuration, Metric
    from trimtab.observing.canary.judging import Judgment
    from trimtab.observing.canary.samples import Fetched, Sample

SHADOW = "shadow comparison"
"""The name of the built-in metric."""

RESULTS = ("equal", "different", "failed")
"""Of a comparison, as the root counts them."""


class Subject(Struct, frozen=True, kw_only=True):
    """What is analyzed. bundle: the digest of what the canary serves. since: when it began to, seconds since 1970."""

    bundle: str = ""
    since: float = 0.0


class Analyzer:
    """Analyzes by one configuration. folder: where the files that it names are. looks: how many there may be.

    ConfigurationError for a [prometheus] that cannot be used.
    """

    def __init__(
        self, configuration: Configuration, folder: str = ".", subject: Subject | None = None, looks: int = 1
    ) -> None:
        self.configuration = configuration
        self.folder = folder
        self.subject = subject or Subject()
        self.looks = looks
        settings = configuration.prometheus
        self._client = None if settings is None else PrometheusClient(settings, folder)

    def analyze(self, now: float | None = None) -> Report:
        """Fetch, compare and judge. now: where the time looked at ends. TrimtabError for what cannot be fetched."""
        now = time.time() if now is None else now
        window = self._window(now)
        analysis = self.configuration.analysis
        alpha = (1 - analysis.confidence) / self.looks
        measured = [self._measured(metric, window, 1 - alpha) for metric in self.configuration.metrics]
        shadow = self._shadow(window)
        compared = [each.comparison for each in measured if each.comparison is not None]
        corrected = iter(adjusted([each.p_worse for each in compared], analysis.correction))
        reports, judgments = [], []
        for each in measured:
            p_worse = None if each.comparison is None else next(corrected)
            judgment = each.judgment(p_worse, alpha)
            judgments.append((each.metric, judgment))
            reports.append(each.report(judgment, p_worse))
        least, most = score(judgments)
        return Report(
            verdict=verdict_of(judgments, None if shadow is None else shadow[1], analysis),
            bundle=self.subject.bundle,
            made_at=_rfc3339(now),
            score=least,
            score_at_most=most,
            pass_score=analysis.pass_score,
            confidence=analysis.confidence,
            correction=analysis.correction,
            looks=self.looks,
            start="" if window is None else _rfc3339(window.start),
            end="" if window is None else _rfc3339(window.end),
            metrics=(*reports, *([] if shadow is None else [shadow[0]])),
        )

    def _window(self, now: float) -> Window | None:
        """The time to look at: `duration_s` back, but not from before the canary began. On the grid of the steps."""
        settings = self.configuration.prometheus
        if settings is None:
            return None
        step = settings.step_s
        end = now // step * step
        start = max(end - settings.duration_s, -(-self.subject.since // step) * step)
        return Window(min(start, end), end, step)

    def _measured(self, metric: Metric, window: Window | None, confidence: float) -> _Measured:
        baseline, canary = (
            self._sample(metric, source, window, side)
            for source, side in zip(self.configuration.sources(metric), ("baseline", "canary"), strict=True)
        )
        missing = too_few(metric, baseline, canary)
        comparison = None
        if missing is None:
            middle = abs(side.median) if (side := side_of(baseline)) is not None else 0.0
            comparison = compare(
                baseline.values,
                canary.values,
                bad=metric.bad,
                margin=max(metric.margin * middle, metric.margin_absolute),
                confidence=confidence,
                autocorrelation=self.configuration.analysis.autocorrelation,
            )
        return _Measured(metric, self.configuration.sources(metric), baseline, canary, comparison, missing)

    def _sample(self, metric: Metric, source: Source, window: Window | None, side: str) -> Sample:
        where = f"metric {metric.name!r}, {side}"
        try:
            fetched = self._fetched(source, window)
        except TrimtabError as failure:
            raise failure.within(where) from None
        return sample_of(fetched, metric.several, metric.average, f"{where}: {source}")

    def _fetched(self, source: Source, window: Window | None) -> Fetched:
        if source.file:
            return read_series(os.path.join(self.folder, source.file), source.column)
        assert self._client is not None
        assert window is not None
        return self._client.query_range(source.query, window)

    def _shadow(self, window: Window | None) -> tuple[MetricReport, Judgment] | None:
        """The shadow comparison: counters of the root, or what a file says of them."""
        shadow = self.configuration.shadow
        if shadow is None:
            return None
        source = Source(query=shadow.query, file=shadow.file)
        try:
            fetched = self._fetched(source, window)
        except TrimtabError as failure:
            raise failure.within(SHADOW) from None
        counts = dict.fromkeys(RESULTS, 0.0)
        begins = window.start if window is not None and shadow.query else None
        for series in fetched.series:
            result = series.labels.get("result") or series.labels.get(COLUMN, "")
            if result not in counts:
                raise TrimtabError(
                    where=f"{SHADOW}: {source}",
                    expected=f"series or columns that say {', '.join(RESULTS)}",
                    got=repr(result)[:100],
                    hint='Query the counter itself, and keep its label "result": trimtab_shadow_total{...}',
                )
            counts[result] += counted(series, begins, window.step_s if window is not None else 0.0)
        judgment = judged_shadow(shadow, counts["equal"], counts["different"], self.configuration.analysis.confidence)
        report = MetricReport(
            name=SHADOW,
            result=judgment.result,
            counts_as=judgment.counts_as,
            why=judgment.why,
            critical=True,
            weight=0.0,
            canary_source=str(source),
            warnings=fetched.warnings,
            counts=counts,
        )
        return report, judgment


def analyze_until_clear(
    analyzer: Analyzer,
    interval_s: float,
    *,
    told: Callable[[Report | TrimtabError], None],
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.time,
) -> Report:
    """Analyze until the verdict is pass or fail, or the analyzer's `looks` are spent; the last report.

    interval_s: between looks. told: called with every report but the last, and with every failure to fetch but the
    last, which is raised.
    """
    for look in range(analyzer.looks):
        last = look == analyzer.looks - 1
        try:
            report = analyzer.analyze(clock())
        except TrimtabError as failure:
            if last:
                raise
            told(failure)
        else:
            if last or report.verdict is not Verdict.INCONCLUSIVE:
                return report
            told(report)
        sleep(interval_s)
    raise AssertionError("the last look returns or raises")


def looks_within(wait_s: float, interval_s: float) -> int:
    """How many looks there are in a time: one at its beginning, and one after each interval."""
    return 1 + int(wait_s / interval_s + 1e-9)


class _Measured(NamedTuple):
    """One metric before it is judged: its tests are corrected for the number of all."""

    metric: Metric
    sources: Sequence[Source]
    baseline: Sample
    canary: Sample
    comparison: Comparison | None
    missing: Judgment | None

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.baseline.warnings, *self.canary.warnings)))

    def judgment(self, p_worse: float | None, alpha: float) -> Judgment:
        if self.missing is not None:
            return self.missing
        assert self.comparison is not None
        assert p_worse is not None
        return judged(self.metric, self.comparison, p_worse=p_worse, alpha=alpha, warnings=self.warnings)

    def report(self, judgment: Judgment, p_worse: float | None) -> MetricReport:
        metric = self.metric
        report = MetricReport(
            name=metric.name,
            result=judgment.result,
            counts_as=judgment.counts_as,
            why=judgment.why,
            critical=metric.critical,
            weight=metric.weight,
            bad=metric.bad,
            baseline_source=str(self.sources[0]),
            canary_source=str(self.sources[1]),
            baseline=side_of(self.baseline),
            canary=side_of(self.canary),
            warnings=self.warnings,
        )
        found = self.comparison
        if found is None:
            return report
        return replace(
            report,
            margin=found.margin,
            effect=found.effect,
            p_worse=found.p_worse,
            p_worse_corrected=p_worse,
            p_not_worse=found.p_not_worse,
            autocorrelation=found.autocorrelation,
            step=found.step,
        )


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
