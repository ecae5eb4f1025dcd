"""Write docs/rules/*/*.md, one page for each rule, from what the rules say of themselves.

    python docs/rule_pages.py

Rules of `trimtab verify` say it in their docstrings, those of `trimtab check` in their declarations; the latter have an
example each, the files with which they are tested. A test compares the pages with what this makes.
"""

from __future__ import annotations

import difflib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimtab.artifacts.verifying import ARTIFACT_RULES
from trimtab.savedmodel.verifying import RULES
from trimtab.stability import RULES as STABILITY_RULES

if TYPE_CHECKING:
    from trimtab.findings import Rule
    from trimtab.stability import StabilityRule

FOLDER = Path(__file__).parent / "rules"
EXAMPLES = Path(__file__).parents[1] / "tests" / "data" / "stability"

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


STABILITY = """\
# Rules of `trimtab diff` and `trimtab check`

Generated from the rules themselves: `python docs/rule_pages.py`. A rule belongs to the category that is named and to
every stricter one: FREEZE, SCHEMA, FEED, WIRE. An error refuses a version (exit code 100); `trimtab.toml` gives a rule
another level, or waives a change.

| rule | category | level | what must hold |
| --- | --- | --- | --- |
"""


def page(rule: Rule[Any]) -> str:
    """The page of one rule of `trimtab verify`."""
    law, _, rest = rule.page.partition("\n\n")
    named = rest.replace("\nWho breaks: ", "\n\n**Who breaks:** ").replace("\nInstead: ", "\n\n**Instead:** ")
    for label in ("Who breaks: ", "Instead: "):
        if named.startswith(label):
            named = f"**{label.strip()}** {named.removeprefix(label)}"
    return f"# {rule.name}\n\n*{rule.level.value}*\n\n{law}\n\n{named}\n"


def stability_page(rule: StabilityRule) -> str:
    """The page of one rule of `trimtab check`, with the example that the tests hold it to."""
    facts = [
        f"# {rule.name}",
        f"*{rule.level.value}, in {', '.join(each.value for each in rule.categories)}*",
        rule.law,
        f"**Who breaks:** {rule.breaks}",
        f"**How they notice:** {rule.notice.value}.",
        f"**Instead:** {rule.remedy}" if rule.remedy else "",
        "**Or:** publish the model under a new name: `trimtab fork REPOSITORY MODEL NEW_NAME`." if rule.forks else "",
        f"**Why in this category:** {rule.why}" if rule.why else "",
        _example(EXAMPLES / rule.name),
    ]
    return "\n\n".join(each for each in facts if each) + "\n"


def _example(folder: Path) -> str:
    """What changed between the two documents of a rule's folder, and what is said of it."""
    found = json.loads((folder / "findings.json").read_text())
    lines = [
        f"- `{each['rule']}` at `{each['subject']}`: {each['problem']}"
        + (f": `{_sides(each)}`" if _sides(each) else "")
        for each in found
    ]
    shown = _difference(folder)
    return "## Example\n\n" + (f"```diff\n{shown}\n```\n\n" if shown else "") + "\n".join(lines)


def _sides(finding: dict[str, str]) -> str:
    return " -> ".join(finding[side] for side in ("before", "after") if finding.get(side))


def _difference(folder: Path) -> str:
    """The lines of the documents that differ, without those that follow from them; none for other files."""
    paths = [folder / name for name in ("before.json", "after.json")]
    if not all(path.is_file() for path in paths):
        return ""
    before, after = ([line.strip().rstrip(",") for line in path.read_text().splitlines()] for path in paths)
    lines = list(difflib.unified_diff(before, after, lineterm="", n=0))[2:]
    return "\n".join(line for line in lines if not _FOLLOWS.match(line))


_FOLLOWS = re.compile(r'@@|[-+]"(digest|input_digest|input_names|output_names)"')


def pages() -> dict[str, str]:
    """Every page by its path below `rules`."""
    found = {}
    for folder, (title, rules) in SETS.items():
        rows = [f"| [{each.name}]({each.name}.md) | {each.level.value} | {each.law} |" for each in rules.values()]
        found[f"{folder}/README.md"] = f"# {title}\n\n{INTRODUCTION}" + "\n".join(rows) + "\n"
        found.update({f"{folder}/{each.name}.md": page(each) for each in rules.values()})
    rows = [
        f"| [{each.name}]({each.name}.md) | {each.category.value} | {each.level.value} | {each.law} |"
        for each in STABILITY_RULES.values()
    ]
    found["stability/README.md"] = STABILITY + "\n".join(rows) + "\n"
    found.update({f"stability/{each.name}.md": stability_page(each) for each in STABILITY_RULES.values()})
    return found


if __name__ == "__main__":
    made = pages()  # all of them before any is removed
    for old in FOLDER.glob("*/*.md"):
        old.unlink()
    for name, text in made.items():
        (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / name).write_text(text)
