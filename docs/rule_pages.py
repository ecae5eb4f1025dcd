"""Write docs/rules/savedmodel/*.md, one page for each rule of `trimtab verify`, from the rules' own docstrings.

    python docs/rule_pages.py

A test compares the pages with what this makes.
"""

from __future__ import annotations

from pathlib import Path

from trimtab.findings import Rule
from trimtab.savedmodel.verifying import RULES

FOLDER = Path(__file__).parent / "rules" / "savedmodel"

INTRODUCTION = """\
# Rules of `trimtab verify`

Generated from the rules themselves: `python docs/rule_pages.py`. An error refuses a model (exit code 100), a warning
does with `--strict`, a note is only shown with `--notes`.

| rule | level | what must hold |
| --- | --- | --- |
"""


def page(rule: Rule[...]) -> str:
    """The page of one rule."""
    law, _, rest = rule.page.partition("\n\n")
    named = rest.replace("\nWho breaks: ", "\n\n**Who breaks:** ").replace("\nInstead: ", "\n\n**Instead:** ")
    for label in ("Who breaks: ", "Instead: "):
        if named.startswith(label):
            named = f"**{label.strip()}** {named.removeprefix(label)}"
    return f"# {rule.name}\n\n*{rule.level.value}*\n\n{law}\n\n{named}\n"


def pages() -> dict[str, str]:
    """Every page by the name of its file."""
    rows = [f"| [{each.name}]({each.name}.md) | {each.level.value} | {each.law} |" for each in RULES.values()]
    index = INTRODUCTION + "\n".join(rows) + "\n"
    return {"README.md": index, **{f"{each.name}.md": page(each) for each in RULES.values()}}


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.md"):
        old.unlink()
    for name, text in pages().items():
        (FOLDER / name).write_text(text)
