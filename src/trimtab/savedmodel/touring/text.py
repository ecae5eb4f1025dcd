"""The outline of a tour as plain text, and as an HTML fragment for a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.savedmodel.touring.outline import Branch


def as_text(branch: Branch) -> str:
    """The tree with its guides, one line each, the place in the proto at the end of the line."""
    return "\n".join([_line(branch), *_lines(branch, "")])


def as_html(branch: Branch) -> str:
    """The tree as nested lists, escaped, without scripts or styles of its own; entry points can be folded."""
    from html import escape  # only notebooks need it

    place = f" <code>{escape(branch.where)}</code>" if branch.where else ""
    line = f"{escape(branch.text)}{place}"
    if not branch.below:
        return f"<li>{line}</li>" if branch.kind != "title" else f"<p>{line}</p>"
    inside = f"<ul>{''.join(map(as_html, branch.below))}</ul>"
    if branch.kind == "title":
        return f"<div><p>{line}</p>{inside}</div>"
    folded = "" if branch.kind in ("signature", "function", "trace") else " open"
    return f"<li><details{folded}><summary>{line}</summary>{inside}</details></li>"


def _lines(branch: Branch, indent: str) -> Iterator[str]:
    for at, child in enumerate(branch.below):
        last = at == len(branch.below) - 1
        yield f"{indent}{'└─ ' if last else '├─ '}{_line(child)}"
        yield from _lines(child, f"{indent}{'   ' if last else '│  '}")


def _line(branch: Branch) -> str:
    return f"{branch.text}  @ {branch.where}" if branch.where else branch.text
