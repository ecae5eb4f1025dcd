"""Names of rules on the command line: an unknown one is answered with the nearest."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


def check_rule_names(names: Iterable[str], known: Collection[str], *, listed_by: str) -> None:
    """Refuse, as wrong usage, a name that no rule has. listed_by: the command that lists them."""
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name.upper(), list(known), n=1)
            hint = f" Did you mean {near[0]}?" if near else f" List them all: {listed_by}"
            raise click.UsageError(f"No rule is called {name!r}.{hint}")
