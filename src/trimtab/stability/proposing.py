"""Propose waivers for what the gate refuses, as text for `trimtab.toml`: without a reason and an owner, for a person.

What is proposed is not accepted: a waiver without reason or owner is refused when the configuration is read.
"""

from __future__ import annotations

import datetime
import tomllib
from typing import TYPE_CHECKING

from trimtab.errors import ConfigurationError
from trimtab.findings import Level
from trimtab.signature.render import printable
from trimtab.stability.waivers import Waiver, literally

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trimtab.stability.change import Change

DAYS = 30
"""How long a proposed waiver counts."""


def proposed(changes: Iterable[Change], today: datetime.date) -> dict[Waiver, Change]:
    """A waiver for each change that refuses, each once, with the (first) change that it is for."""
    expires = today + datetime.timedelta(days=DAYS)
    found: dict[Waiver, Change] = {}
    for change in changes:
        if change.level is Level.ERROR:
            waiver = Waiver(
                rule=change.rule,
                model=_pattern(change.model),
                subject=_pattern(change.where),
                reason="",
                owner="",
                expires=expires,
            )
            found.setdefault(waiver, change)
    return found


def as_toml(waivers: Mapping[Waiver, Change]) -> str:
    """The waivers as tables of `trimtab.toml`, each below the change that it is for; ends in a line break."""
    return "\n".join(_table(waiver, change) for waiver, change in waivers.items())


def appended(text: str, waivers: Mapping[Waiver, Change], where: str) -> str:
    """A configuration's text with waivers at its end; everything before stays as it is.

    where: what errors call the file. ConfigurationError where the text is not TOML, or writes its waivers in another
    form, so that tables cannot follow.
    """
    joined = f"{text.rstrip()}\n\n{as_toml(waivers)}" if text.strip() else as_toml(waivers)
    before = _number(text, where)
    try:
        after = _number(joined, where)
    except ConfigurationError:
        after = before
    if after != before + len(waivers):
        raise ConfigurationError(
            "waivers cannot be appended",
            where=where,
            expected="a file in which waivers are tables ([[stability.waivers]])",
            hint="Print them, and put them where they belong: trimtab check ... --write-waivers",
        )
    return joined


def _number(text: str, where: str) -> int:
    """How many waivers a configuration holds."""
    try:
        stability = tomllib.loads(text).get("stability", {})
    except (ValueError, RecursionError) as failure:
        raise ConfigurationError(str(failure), where=where) from None
    waivers = stability.get("waivers", []) if isinstance(stability, dict) else []
    return len(waivers) if isinstance(waivers, list) else 0


def _table(waiver: Waiver, change: Change) -> str:
    values = {"rule": waiver.rule, "model": waiver.model, "subject": waiver.subject}
    lines = [f"# {printable(change.sentence)}", "[[stability.waivers]]"]
    lines += [f"{key} = {_quoted(value)}" for key, value in values.items()]
    lines += ['reason = ""', 'owner = ""', f"expires = {waiver.expires.isoformat()}"]
    return "\n".join(lines) + "\n"


def _pattern(text: str) -> str:
    """The pattern for a text; what TOML cannot hold, a name's byte that is no character, matches any character."""
    return "".join("?" if "\ud800" <= char <= "\udfff" else char for char in literally(text))


def _quoted(text: str) -> str:
    """A basic string of TOML."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    return f"\\u{ord(char):04x}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08x}"
