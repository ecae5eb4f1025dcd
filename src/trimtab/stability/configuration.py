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
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from trimtab.errors import ConfigurationError
from trimtab.findings import Level  # noqa: TC001  # msgspec reads the annotations at run time
from trimtab.stability.category import Category
from trimtab.stability.rules import RULES
from trimtab.stability.waivers import Waiver  # noqa: TC001  # likewise

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trimtab.stability.change import Change

FILE_NAME = "trimtab.toml"

_MAX_BYTES = 1 << 20


class ForModels(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What holds for the models whose names match. `category` None: as for all."""

    match: str
    category: Category | None = None
    levels: dict[str, Level] = field(default_factory=dict)


class Configuration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The gate's configuration. Of `models`, the last that matches a name wins, rule by rule."""

    category: Category = Category.FREEZE
    levels: dict[str, Level] = field(default_factory=dict)
    models: tuple[ForModels, ...] = ()
    waivers: tuple[Waiver, ...] = ()

    def category_of(self, model: str) -> Category:
        """The category that a model is held to."""
        given = [each.category for each in self._matching(model) if each.category is not None]
        return given[-1] if given else self.category

    def weighed(self, change: Change) -> Change:
        """The change at the level that it has for its model."""
        level = self.levels.get(change.rule, change.level)
        for each in self._matching(change.model):
            level = each.levels.get(change.rule, level)
        return change if level is change.level else replace(change, level=level)

    def _matching(self, model: str) -> list[ForModels]:
        return [each for each in self.models if fnmatchcase(model, each.match)]


class _File(Struct, frozen=True):
    stability: Configuration = Configuration()


def read_configuration(path: str | os.PathLike[str]) -> Configuration:
    """Read a `trimtab.toml`. ConfigurationError for what cannot be read, is no such file, or names an unknown rule."""
    name = os.fspath(path)
    try:
        with open(name, "rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as failure:
        raise ConfigurationError(where=name, expected="a readable file", got=failure.strerror or "") from None
    if len(data) > _MAX_BYTES:
        raise ConfigurationError(where=name, expected=f"at most {_MAX_BYTES} bytes", got="more")
    try:
        read = msgspec.convert(tomllib.loads(data.decode()), _File, strict=True).stability
    except (ValueError, RecursionError) as failure:  # of tomllib, UTF-8 and msgspec alike
        raise ConfigurationError(str(failure), where=name, hint="docs/stability.md shows every key.") from None
    _check_rules(read, name)
    return read


def find_configuration(start: str | os.PathLike[str]) -> Configuration:
    """The `trimtab.toml` of a folder or the nearest one above it; the defaults where there is none."""
    folder = os.path.abspath(start)
    while True:
        path = os.path.join(folder, FILE_NAME)
        if os.path.isfile(path):
            return read_configuration(path)
        above = os.path.dirname(folder)
        if above == folder:
            return Configuration()
        folder = above


def _check_rules(configuration: Configuration, name: str) -> None:
    named: Iterable[str] = (
        *configuration.levels,
        *(rule for each in configuration.models for rule in each.levels),
        *(each.rule for each in configuration.waivers),
    )
    for rule in named:
        if rule not in RULES:
            near = difflib.get_close_matches(rule.upper(), list(RULES), n=1)
            hint = f"Did you mean {near[0]}?" if near else "List them all: trimtab rules"
            raise ConfigurationError(where=f"{name}: [stability]", expected="the name of a rule", got=rule, hint=hint)
