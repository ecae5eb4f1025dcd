"""The demo's report: one HTML file that needs nothing else, neither scripts nor a network."""

from __future__ import annotations

import io
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

from trimtab.signature.render import as_html

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from examples.demo.measuring import Measured
    from examples.demo.shipping import Refused, Shipped
    from trimtab.signature.model import Signature

mpl.use("svg")
mpl.rcParams.update(
    {"svg.fonttype": "none", "font.family": "sans-serif", "axes.spines.top": False, "axes.spines.right": False}
)

COLORS = {"untrimmed": "#9aa5b1", "lz4": "#d9a441", "trimmed": "#2a7f62"}


@dataclass(frozen=True)
class Story:
    """Everything that the report tells."""

    signatures: dict[str, Signature]
    universe_size: int
    measured: list[Measured]
    equal_scores: int
    shipped: Shipped
    refused: Refused


def write_report(path: Path, story: Story) -> None:
    """Write the report."""
    sections = [
        ("What each model consumes", _consumption(story), _signatures(story)),
        ("What trimming saves", _savings_table(story), _bytes_and_cpu(story), _latencies(story)),
        ("A new version ships while traffic flows", _shipping_text(story), _shipping(story)),
        ("A changed signature is refused", f"<pre>{escape(story.refused.message)}</pre>"),
    ]
    body = "".join(f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>" for title, *parts in sections)
    path.write_text(_PAGE.format(body=body), encoding="utf-8")


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", bbox_inches="tight")
    svg = text.getvalue()
    return f"<figure>{svg[svg.index('<svg') :]}</figure>"


def _figure(width: float, height: float, columns: int = 1) -> tuple[Figure, list]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(np.atleast_1d(figure.subplots(1, columns)))


def _consumption(story: Story) -> str:
    figure, (axes,) = _figure(8, 0.5 * len(story.signatures) + 0.8)
    names = list(story.signatures)
    counts = [len(story.signatures[name].input_names) for name in names]
    axes.barh(names, [story.universe_size] * len(names), color="#e4e7eb")
    axes.barh(names, counts, color=COLORS["trimmed"])
    for row, count in enumerate(counts):
        axes.text(count + 8, row, f"{count} of {story.universe_size}", va="center")
    axes.set_xlabel("features")
    axes.invert_yaxis()
    return _svg(figure)


def _signatures(story: Story) -> str:
    return "".join(
        f"<details><summary>{escape(name)}: {len(signature.input_names)} inputs, "
        f"{escape(signature.provenance.format)}</summary>{as_html(signature)}</details>"
        for name, signature in story.signatures.items()
    )


def _savings_table(story: Story) -> str:
    head = "<tr><th></th><th>bytes per request</th><th>p50</th><th>p99</th><th>root CPU</th><th>leaf CPU</th></tr>"
    rows = "".join(
        f"<tr><td>{escape(it.mode)}</td><td>{it.run.bytes_per_request / 1e6:.1f} MB</td>"
        f"<td>{it.run.percentile(50):.0f} ms</td><td>{it.run.percentile(99):.0f} ms</td>"
        f"<td>{it.root_cpu_ms:.0f} ms</td><td>{it.leaf_cpu_ms:.0f} ms</td></tr>"
        for it in story.measured
    )
    return f"<table>{head}{rows}</table><p>{story.equal_scores:,} scores compared: all equal, bit for bit.</p>"


def _bytes_and_cpu(story: Story) -> str:
    figure, (left, right) = _figure(8, 2.6, columns=2)
    modes = [it.mode for it in story.measured]
    colors = [COLORS[mode] for mode in modes]
    left.bar(modes, [it.run.bytes_per_request / 1e6 for it in story.measured], color=colors)
    left.set_ylabel("MB to leaves per score request")
    root = [it.root_cpu_ms for it in story.measured]
    right.bar(modes, root, color=colors)
    right.bar(modes, [it.leaf_cpu_ms for it in story.measured], bottom=root, color=colors, alpha=0.5)
    right.set_ylabel("CPU ms per score request\n(root solid, leaf light)")
    return _svg(figure)


def _latencies(story: Story) -> str:
    figure, (axes,) = _figure(8, 2.6)
    for it in story.measured:
        ordered = np.sort(it.run.latencies_ms)
        axes.step(
            ordered, np.arange(1, len(ordered) + 1) / len(ordered), color=COLORS[it.mode], label=it.mode, where="post"
        )
    axes.set_xlabel("latency of a score request, ms")
    axes.set_ylabel("share of requests")
    axes.set_xlim(left=0)
    axes.legend(frameon=False)
    return _svg(figure)


def _shipping_text(story: Story) -> str:
    shipped = story.shipped
    return (
        f"<p>{escape(shipped.model)}:{shipped.version} was published under load. "
        f"{len(shipped.answers):,} score requests were answered, {len(shipped.failures)} failed.</p>"
    )


def _shipping(story: Story) -> str:
    figure, (axes,) = _figure(8, 1.8)
    shipped = story.shipped
    start = shipped.answers[0][0]
    for version in sorted({versions[shipped.model] for _, versions in shipped.answers}):
        moments = [moment - start for moment, versions in shipped.answers if versions[shipped.model] == version]
        axes.scatter(moments, [f"version {version}"] * len(moments), s=8, color=COLORS["trimmed"])
    axes.axvline(shipped.published_at - start, color=COLORS["lz4"], label="published")
    axes.set_xlabel("seconds")
    axes.margins(y=0.4)
    axes.legend(frameon=False, loc="center right")
    return _svg(figure)


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>trimtab demo</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem }}
h1 {{ margin-bottom: 0 }} h2 {{ margin-top: 2.5rem }}
table {{ border-collapse: collapse; margin: 1rem 0 }} th, td {{ padding: .25rem .9rem; text-align: right }}
th:first-child, td:first-child {{ text-align: left }} tr + tr {{ border-top: 1px solid #e4e7eb }}
pre {{ background: #f5f7fa; padding: 1rem; white-space: pre-wrap }}
figure {{ margin: 1rem 0 }} svg {{ max-width: 100% }}
details {{ max-height: 24rem; overflow: auto }}
details table td {{ text-align: left; font: 13px/1.4 ui-monospace, monospace }}
</style></head><body>
<h1>trimtab demo</h1>
<p>From trained models to trimmed, converted, scored requests, with nobody maintaining a feature list.</p>
{body}</body></html>
"""
