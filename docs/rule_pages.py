"""Write docs/rules/*/*.md, one page for each rule of `trimtab verify`, from the rules' own docstrings.

    python docs/rule_pages.py

A test compares the pages with what this makes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimtab.artifacts.verifying import ARTIFACT_RULES
from trimtab.savedmodel.verifying import RULES

if TYPE_CHECKING:
    from trimtab.findings import Rule

FOLDER = Path(__file__).parent / "rules"

SETS: dict[str, tuple[str, dict[str, Rule[Any]]]] = {
    "artifacts": ("Rules of `trimtab verify` for artifacts of any format", ARTIFACT_RULES),
    "savedmodel": ("Rules of `trimtab verify`", RULES),
}
"""By folder, the title and the rules."""

INTRODUCTION = """\
Generated from the rules themselves: `python docs/rule_pages.py`. An error refuses a model (exit code 100), a warning
does with `--strict`, a note is only shown with `--notes`.

| rule | level | what must hold |
| --- | --- | --- |
"""


def page(rule: Rule[Any]) -> str:
    """The page of one rule."""
    law, _, rest = rule.page.partition("\n\n")
    named = rest.replace("\nWho breaks: ", "\n\n**Who breaks:** ").replace("\nInstead: ", "\n\n**Instead:** ")
    for label in ("Who breaks: ", "Instead: "):
        if named.startswith(label):
            named = f"**{label.strip()}** {named.removeprefix(label)}"
    return f"# {rule.name}\n\n*{rule.level.value}*\n\n{law}\n\n{named}\n"


def pages() -> dict[str, str]:
    """Every page by its path below `rules`."""
    found = {}
    for folder, (title, rules) in SETS.items():
        rows = [f"| [{each.name}]({each.name}.md) | {each.level.value} | {each.law} |" for each in rules.values()]
        found[f"{folder}/README.md"] = f"# {title}\n\n{INTRODUCTION}" + "\n".join(rows) + "\n"
        found.update({f"{folder}/{each.name}.md": page(each) for each in rules.values()})
    return found


if __name__ == "__main__":
    for old in FOLDER.glob("*/*.md"):
        old.unlink()
    for name, text in pages().items():
        (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / name).write_text(text)
