"""A report as one HTML page that needs nothing else: drawings are inline, there is no script, and nothing is loaded.

Everything that comes from the report is escaped; the page's own policy forbids what could slip through.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from trimtab.observing.canary.configuration import Bad
from trimtab.observing.canary.text import WHAT_NEXT, bins_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trimtab.observing.canary.report import MetricReport, Report, Side

_BINS = 48
_WIDTH, _HALF, _FOOT = 640, 56, 22
_STRIP = 90


def as_page(report: Report) -> str:
    """The page."""
    title = escape(f"canary analysis: {report.verdict}")
    bundle = f"<dt>bundle</dt><dd><code>{escape(report.bundle)}</code></dd>" if report.bundle else ""
    looked = f"<dt>looked at</dt><dd>{escape(report.start)} to {escape(report.end)}</dd>" if report.start else ""
    looks = f", {report.looks} looks" if report.looks > 1 else ""
    score = _range(report.score, report.score_at_most)
    sections = "\n".join(_section(metric) for metric in report.metrics)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>Canary analysis: <span class="{report.verdict}">{report.verdict}</span></h1>
<p>{escape(WHAT_NEXT[report.verdict])}</p>
<dl><dt>made at</dt><dd>{escape(report.made_at)}</dd>{bundle}{looked}
<dt>score</dt><dd>{score} of 100, {report.pass_score:g} needed</dd>
<dt>confidence</dt><dd>{report.confidence:.1%}, correction {report.correction}{looks}</dd></dl>
</header>
<main>
{sections}
</main>
</body>
</html>
"""


def _section(metric: MetricReport) -> str:
    weighs = "critical" if metric.critical else f"weight {metric.weight:g}"
    sides = [(name, side) for name, side in (("baseline", metric.baseline), ("canary", metric.canary)) if side]
    parts = [
        f'<section><h2>{escape(metric.name)} <span class="{metric.result}">{metric.result}</span></h2>',
        f"<p>{escape(metric.why)}. <small>{weighs}, counts as {metric.counts_as}</small></p>",
        *(f'<p class="inconclusive">warning: {escape(warning)}</p>' for warning in metric.warnings),
    ]
    if sides:
        parts += [_distributions(metric.name, sides), _effect(metric), _in_time(sides), _table(sides)]
    if metric.counts:
        parts.append(f"<p>{escape(', '.join(f'{name}: {count:.0f}' for name, count in metric.counts.items()))}</p>")
    parts.append(f"<details><summary>where it is from</summary>{_sources(metric)}{_tests(metric)}</details></section>")
    return "\n".join(part for part in parts if part)


def _distributions(name: str, sides: Sequence[tuple[str, Side]]) -> str:
    """Histograms over one axis: the baseline upwards, the canary downwards."""
    counts, low, high = bins_of([side for _, side in sides], _BINS)
    most = max(max(histogram) / sum(histogram) for histogram in counts)
    bar = _WIDTH / _BINS
    shapes = []
    for (side_name, side), histogram in zip(sides, counts, strict=True):
        up = side_name == "baseline"
        for at, count in enumerate(histogram):
            height = count / sum(histogram) / most * (_HALF - 4)
            top = _HALF - height if up else _HALF
            if count:
                shapes.append(
                    f'<rect class="{side_name}" x="{at * bar:.1f}" y="{top:.1f}" width="{bar - 1:.1f}" '
                    f'height="{height:.1f}"><title>{side_name}: {count}</title></rect>'
                )
        middle = (side.median - low) / (high - low) * _WIDTH
        ends = (4, _HALF) if up else (_HALF, 2 * _HALF - 4)
        shapes.append(f'<line class="median" x1="{middle:.1f}" x2="{middle:.1f}" y1="{ends[0]}" y2="{ends[1]}"/>')
    shapes.append(f'<line class="axis" x1="0" x2="{_WIDTH}" y1="{_HALF}" y2="{_HALF}"/>')
    return _drawing(f"distributions of {name}", 2 * _HALF, shapes, (low, high), "baseline above, canary below")


def _effect(metric: MetricReport) -> str:
    """The shift with its interval, against zero and the margin."""
    effect, margin = metric.effect, metric.margin
    if effect is None or margin is None:
        return ""
    high = {Bad.INCREASE: (margin,), Bad.DECREASE: (-margin,), Bad.EITHER: (-margin, margin)}[metric.bad or Bad.EITHER]
    marks = (0.0, effect.low, effect.high, *high)
    reach = (max(marks) - min(marks)) or 1.0
    low, top = min(marks) - reach * 0.1, max(marks) + reach * 0.1

    def x(value: float) -> str:
        return f"{(value - low) / (top - low) * _WIDTH:.1f}"

    shapes = [f'<line class="axis" x1="{x(0)}" x2="{x(0)}" y1="2" y2="34"/>']
    shapes += [
        f'<line class="margin" x1="{x(at)}" x2="{x(at)}" y1="2" y2="34"><title>margin</title></line>' for at in high
    ]
    shapes.append(f'<line class="interval" x1="{x(effect.low)}" x2="{x(effect.high)}" y1="18" y2="18"/>')
    shapes.append(f'<circle class="canary" cx="{x(effect.shift)}" cy="18" r="5"/>')
    note = "shift of the canary with its interval; dashed: the margin"
    return _drawing(f"shift of {metric.name}", 36, shapes, (low, top), note)


def _in_time(sides: Sequence[tuple[str, Side]]) -> str:
    low, high = min(side.minimum for _, side in sides), max(side.maximum for _, side in sides)
    reach = (high - low) or 1.0
    shapes = []
    for name, side in sides:
        step = _WIDTH / max(len(side.values) - 1, 1)
        points = " ".join(
            f"{at * step:.1f},{4 + (high - value) / reach * (_STRIP - 8):.1f}" for at, value in enumerate(side.values)
        )
        shapes.append(f'<polyline class="{name}" points="{points}"/>')
    return _drawing("samples in time", _STRIP, shapes, None, f"in order of time, {low:.4g} to {high:.4g}")


def _drawing(label: str, height: int, shapes: Sequence[str], ends: tuple[float, float] | None, note: str) -> str:
    low, high = ("", "") if ends is None else (f"{ends[0]:.4g}", f"{ends[1]:.4g}")
    texts = (
        f'<text x="0" y="{height + 15}">{low}</text>'
        f'<text x="{_WIDTH / 2}" y="{height + 15}" text-anchor="middle">{escape(note)}</text>'
        f'<text x="{_WIDTH}" y="{height + 15}" text-anchor="end">{high}</text>'
    )
    box = f"0 0 {_WIDTH} {height + _FOOT}"
    return f'<svg role="img" aria-label="{escape(label)}" viewBox="{box}">{"".join(shapes)}{texts}</svg>'


def _table(sides: Sequence[tuple[str, Side]]) -> str:
    names = ("samples", "missing", "minimum", "p05", "p25", "median", "p75", "p95", "maximum", "mean")
    head = "".join(f"<th>{name}</th>" for name in ("", *names))
    rows = "".join(
        f"<tr><th>{side_name}</th>{''.join(f'<td>{getattr(side, name):.5g}</td>' for name in names)}</tr>"
        for side_name, side in sides
    )
    return f"<table><tr>{head}</tr>{rows}</table>"


def _sources(metric: MetricReport) -> str:
    named = (("baseline", metric.baseline_source), ("canary", metric.canary_source))
    return "".join(f"<p>{name}: <code>{escape(source)}</code></p>" for name, source in named if source)


def _tests(metric: MetricReport) -> str:
    return "".join(f"<p>{text}</p>" for text in _test_texts(metric))


def _test_texts(metric: MetricReport) -> Iterator[str]:
    if metric.p_worse is not None and metric.p_worse_corrected is not None and metric.p_not_worse is not None:
        yield (
            f"p of worse than the margin {metric.p_worse:.3g}, corrected {metric.p_worse_corrected:.3g}; "
            f"p of not worse {metric.p_not_worse:.3g}"
        )
    if metric.effect is not None:
        yield f"probability that a canary's value is above a baseline's: {metric.effect.share:.3g}"
    if metric.autocorrelation:
        yield f"lag-1 autocorrelation allowed for: {metric.autocorrelation:.2f}"


def _range(low: float, high: float) -> str:
    return f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"


_STYLE = """
:root { color-scheme: light dark; --paper: #f7f8fa; --card: #fff; --ink: #1b2230; --soft: #5a6577; --line: #d9dee7;
  --good: #1b6e3c; --bad: #b3261e; --open: #a8590a; --baseline: #5b6b84; --canary: #d08a00; }
@media (prefers-color-scheme: dark) { :root { --paper: #11151c; --card: #1a202a; --ink: #e6eaf1; --soft: #9aa6b8;
  --line: #2e3745; --good: #6fd39a; --bad: #ff8a80; --open: #f2b05e; --baseline: #9fb0c8; --canary: #ffc14d; } }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 14px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
header, section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px 20px;
  margin: 16px auto; max-width: 720px; }
h1 { font-size: 20px; margin: 0; } h2 { font-size: 16px; margin: 0; overflow-wrap: anywhere; }
p { margin: 6px 0; overflow-wrap: anywhere; }
.pass { color: var(--good); } .fail, .high, .low { color: var(--bad); }
.inconclusive, .nodata { color: var(--open); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 14px; margin: 8px 0 0; }
dt, small, summary { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
code { font: 12px ui-monospace, "DejaVu Sans Mono", Menlo, monospace; overflow-wrap: anywhere; }
svg { display: block; width: 100%; margin: 8px 0; } svg text { font-size: 11px; fill: var(--soft); }
rect.baseline, circle.baseline { fill: var(--baseline); } rect.canary, circle.canary { fill: var(--canary); }
polyline { fill: none; stroke-width: 1.3; } polyline.baseline { stroke: var(--baseline); }
polyline.canary, line.interval { stroke: var(--canary); } line.interval { stroke-width: 3; }
line.axis { stroke: var(--line); } line.median { stroke: var(--ink); }
line.margin { stroke: var(--bad); stroke-dasharray: 4 3; }
table { border-collapse: collapse; font-size: 12px; width: 100%; display: block; overflow-x: auto; }
th, td { text-align: right; padding: 2px 6px; border-bottom: 1px solid var(--line); font-weight: 400; }
th { color: var(--soft); }
"""
