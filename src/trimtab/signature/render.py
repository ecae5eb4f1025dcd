"""A signature for people: plain text for a terminal, HTML for a notebook.

Names come from artifacts of any origin. Control, bidirectional and escape characters are shown as escapes, never sent
to the screen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trimtab.signature.model import Live, Presence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.signature.model import EntryPoint, Feature, Input, Output, Overload, Signature


class Row(NamedTuple):
    """One line of a signature's table."""

    direction: str
    name: str
    type: str
    facts: str


def printable(text: str) -> str:
    """Text with everything that a terminal could act on written as an escape."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def rows(overload: Overload) -> Iterator[Row]:
    """The inputs, the features inside them, and the outputs of an overload, a row each."""
    for value in overload.inputs:
        yield Row("input", printable(value.name), printable(str(value.type)), _facts(value))
        for feature in value.features:
            yield Row("feature", f"  {printable(feature.name)}", printable(str(feature.type)), _feature_facts(feature))
    for output in overload.outputs:
        yield Row("output", printable(output.name), printable(str(output.type)), _output_facts(output))


def headline(signature: Signature) -> str:
    """One line: format, producer, how it was learned, digests in short."""
    origin = " ".join(part for part in (signature.provenance.format, signature.provenance.producer) if part)
    learned = str(signature.provenance.learned)
    digests = f"digest {short(signature.digest)} · inputs {short(signature.input_digest)}"
    return printable(f"{origin or 'signature'} · {learned} · {digests}")


def short(digest: str) -> str:
    """The first twelve hex digits of a digest: enough to tell two apart by eye."""
    return digest.removeprefix("sha256:")[:12]


def as_text(signature: Signature) -> str:
    """The whole signature as aligned plain text."""
    lines = [headline(signature)]
    for title, overload in _overloads(signature):
        lines += ["", title]
        table = list(rows(overload))
        widths = [max((len(row[column]) for row in table), default=0) for column in range(3)]
        lines += [
            "  "
            + "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row.facts]).rstrip()
            for row in table
        ]
        lines += [f"  where {printable(symbol)} is {limits}" for symbol, limits in overload.dimensions.items()]
    lines += [f"note: {printable(note)}" for note in signature.provenance.notes]
    return "\n".join(lines)


def as_html(signature: Signature) -> str:
    """The whole signature as an HTML fragment without scripts or styles of its own."""
    from html import escape  # only notebooks need it, and it costs every command two milliseconds

    parts = [f"<div><p>{escape(headline(signature))}</p>"]
    for title, overload in _overloads(signature):
        parts.append(f"<table><caption>{escape(title)}</caption><tr><th></th><th>name</th><th>type</th><th></th></tr>")
        parts += ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows(overload)]
        parts.append("</table>")
    parts += [f"<p>{escape(printable(note))}</p>" for note in signature.provenance.notes]
    return "".join([*parts, "</div>"])


def _overloads(signature: Signature) -> Iterator[tuple[str, Overload]]:
    for entry_point in signature.entry_points:
        for number, overload in enumerate(entry_point.overloads, 1):
            yield _title(signature, entry_point, number), overload


def _title(signature: Signature, entry_point: EntryPoint, number: int) -> str:
    default = " (default)" if entry_point.name == signature.default_entry_point else ""
    of_many = f", overload {number} of {len(entry_point.overloads)}" if len(entry_point.overloads) > 1 else ""
    return f"{printable(entry_point.name)}{default}{of_many}"


def _facts(value: Input) -> str:
    facts = [f"at {value.call_path}"] if value.call_path != value.name else []
    facts += _own_facts(value)
    if value.quantization is not None:
        facts.append(f"quantized: {value.quantization}")
    if value.live is Live.NO:
        facts.append("dead: no output depends on it")
    facts += [f"{fact} from {learned}" for fact, learned in value.learned.items()]
    return printable(", ".join(facts))


def _output_facts(value: Output) -> str:
    facts = [f"at {value.path}"] if value.path and value.path != value.name else []
    if value.quantization is not None:
        facts.append(f"quantized: {value.quantization}")
    return printable(", ".join(facts))


def _feature_facts(feature: Feature) -> str:
    return printable(", ".join(_own_facts(feature)))


def _own_facts(value: Input | Feature) -> list[str]:
    facts = []
    if value.presence is Presence.DEFAULT:
        facts.append(f"default {value.default}" if value.default is not None else "default in the artifact")
    elif value.presence is Presence.OPTIONAL:
        facts.append("optional")
    if value.nullable:
        facts.append("nullable")
    if value.constraints and value.constraints.range:
        facts.append(str(value.constraints.range))
    if value.constraints and value.constraints.categories is not None:
        facts.append(f"{len(value.constraints.categories)} categories")
    if value.constraints and value.constraints.categorical:
        facts.append("categorical")
    return facts
