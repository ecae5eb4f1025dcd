"""`trimtab.toml`: which category a model is held to, how much each rule weighs, and what is waived.

[stability]
category = "FREEZE"

[stability.levels]
OUTPUT_NO_ADD = "warning"

[[stability.models]]
match = "ctr_*"
category = "FEED"

[[stability.waivers]]
rule = "INPUT_NO_DELETE"
model = "ctr"
subject = "forward: input age"
reason = "No root sends it since May."
owner = "ads-ranking"
expires = 2027-01-31
"""

from __future__ import annotations

import difflib
import os
import tomllib
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from trimtab.errors import ConfigurationError
from trimtab.findings import Finding, Level
from trimtab.stability.category import Category
from trimtab.stability.change import Change
from trimtab.stability.rules import RULES
from trimtab.stability.waivers import Waiver, WaiverIndex

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable

FILE_NAME = "trimtab.toml"

_MAX_BYTES = 1 << 20

_Found = TypeVar("_Found", bound=Finding)


class ForModels(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What holds for the models whose names match. `category` None: as for all."""

    match: str
    category: Category | None = None
    levels: dict[str, Level] = field(default_factory=dict)


class Configuration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """The gate's configuration. Of `models`, the last that matches a name wins, rule by rule."""

    category: Category = Category.FREEZE
    levels: dict[str, Level] = field(default_factory=dict)
    models: tuple[ForModels, ...] = ()
    waivers: tuple[Waiver, ...] = ()

    def category_of(self, model: str) -> Category:
        """The category that a model is held to."""
        given = [each.category for each in self._matching(model) if each.category is not None]
        return given[-1] if given else self.category

    def weighed(self, found: _Found) -> _Found:
        """The finding at the level that it has: for its model, where it is a model's."""
        level = self.levels.get(found.rule, found.level)
        for each in self._matching(found.model) if isinstance(found, Change) else ():
            level = each.levels.get(found.rule, level)
        return found if level is found.level else replace(found, level=level)

    def refuses(self, changes: Iterable[Change], today: datetime.date) -> bool:
        """Whether any of the weighed changes is an error that no waiver lets through."""
        return any(it.level is Level.ERROR and not self._index.lets_through(it, today) for it in changes)

    @cached_property
    def _index(self) -> WaiverIndex:
        return WaiverIndex(self.waivers)

    def _matching(self, model: str) -> list[ForModels]:
        return [each for each in self.models if fnmatchcase(model, each.match)]


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    stability: Configuration = Configuration()


def read_configuration(path: str | os.PathLike[str]) -> Configuration:
    """Read a `trimtab.toml`.

    ConfigurationError for what cannot be read, is no such file, names an unknown rule, or waives without saying why and
    who answers for it.
    """
    name = os.fspath(path)
    try:
        read = msgspec.convert(tomllib.loads(configuration_text(name)), _File, strict=True).stability
    except (ValueError, RecursionError) as failure:  # of tomllib and msgspec alike
        raise ConfigurationError(str(failure), where=name, hint="docs/stability.md shows every key.") from None
    _check_rules(read, name)
    _check_waivers(read, name)
    return read


def configuration_text(path: str) -> str:
    """The text of a `trimtab.toml`. ConfigurationError for what cannot be read, is too large or no text."""
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as failure:
        raise ConfigurationError(where=path, expected="a readable file", got=failure.strerror or "") from None
    if len(data) > _MAX_BYTES:
        raise ConfigurationError(where=path, expected=f"at most {_MAX_BYTES} bytes", got="more")
    try:
        return data.decode()
    except UnicodeDecodeError as failure:
        raise ConfigurationError(where=path, expected="text in UTF-8", got=f"byte {failure.start} is none") from None


def find_configuration(start: str | os.PathLike[str]) -> Configuration:
    """The `trimtab.toml` of a folder or the nearest one above it; the defaults where there is none."""
    path = configuration_file(start)
    return read_configuration(path) if path else Configuration()


def configuration_file(start: str | os.PathLike[str]) -> str:
    """The path of the `trimtab.toml` in a folder or the nearest one above it; empty where there is none."""
    folder = os.path.abspath(start)
    while not os.path.isfile(path := os.path.join(folder, FILE_NAME)):
        above = os.path.dirname(folder)
        if above == folder:
            return ""
        folder = above
    return os.path.relpath(path) if os.path.commonpath((path, os.getcwd())) == os.getcwd() else path


def _check_rules(configuration: Configuration, name: str) -> None:
    named: Iterable[str] = (
        *configuration.levels,
        *(rule for each in configuration.models for rule in each.levels),
        *(each.rule for each in configuration.waivers),
    )
    for rule in named:
        if rule not in RULES:
            near = difflib.get_close_matches(rule[:_SHOWN].upper(), list(RULES), n=1)
            hint = f"Did you mean {near[0]}?" if near else "List them all: trimtab rules"
            raise ConfigurationError(
                where=f"{name}: [stability]", expected="the name of a rule", got=repr(rule[:_SHOWN]), hint=hint
            )


_SHOWN = 80


def _check_waivers(configuration: Configuration, name: str) -> None:
    """A waiver without a reason or an owner is a proposal that nobody has taken up."""
    for number, waiver in enumerate(configuration.waivers, 1):
        missing = [key for key in ("reason", "owner") if not getattr(waiver, key).strip()]
        if missing:
            raise ConfigurationError(
                f"a waiver without {' and '.join(missing)}",
                where=f"{name}: [[stability.waivers]] {number}",
                expected="why the change is let through, and who answers for it",
                got=f"{waiver.rule} of {waiver.model}, {waiver.subject}"[: 4 * _SHOWN],
                hint="Fill them in, or remove the waiver.",
            )
