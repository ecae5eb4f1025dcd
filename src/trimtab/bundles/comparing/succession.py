"""Which version is to replace which: what the stability gate holds new versions against."""

from __future__ import annotations

import difflib
import os
from bisect import bisect_right
from itertools import groupby
from typing import TYPE_CHECKING

from msgspec import Struct

from trimtab.bundles.comparing.references import artifact_at, parse_reference, version_at, versions_at, what_is_at
from trimtab.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from trimtab.bundles.comparing.versions import Version


class Successor(Struct, frozen=True):
    """A new version, and the one that it is to replace or to follow. old: None for the first of its model."""

    model: str
    new: Version
    old: Version | None


class Succession(Struct, frozen=True):
    """What is to be compared.

    successors: by model and version. taken: the names that models have on either side. whole: whether all models of a
    place are among them, and not one version that was named. notes: what a person should know of it.
    """

    successors: list[Successor]
    taken: frozenset[str]
    whole: bool
    notes: tuple[str, ...] = ()


def successors(new: str, against: str, model: str = "") -> Succession:
    """What is to be compared, model by model and version by version.

    new, against: references (`trimtab.bundles.comparing.references`) to one version, or to a repository, a bundle or
    a store; both may be the same one, whose versions are then held against the ones before them.
    model: the name of a single version's model, where its place does not tell it.

    A version whose number is live already is held against the live one of that number; any other against the nearest
    one below it, live or new, or else against the lowest live one.

    Raises BundleError where many are to replace one, where the name of a single version's model is not known, and as
    of `trimtab.bundles.comparing.references`.
    """
    of_new, of_live = parse_reference(new), parse_reference(against)
    versions = None if of_new.entry else versions_at(of_new)
    live = None if of_live.entry else versions_at(of_live)
    if versions is None:
        return _of_one(version_at(of_new) if of_new.entry else artifact_at(new), live, against, model)
    if live is None:
        there = what_is_at(against)
        one = there == "one artifact" or bool(of_live.entry)
        raise BundleError(
            "many versions cannot be held against one" if one else "there is nothing to hold the versions against",
            where=new,
            expected="a repository, a bundle or a store" + (", or one new version" if one else ""),
            got=against if of_live.entry else f"{against}, {there}",
            hint=f"Name the new version: trimtab check {new}#MODEL:VERSION --against {against}" if one else "",
        )
    same = os.path.lexists(new) and os.path.lexists(against) and os.path.samefile(new, against)
    before = [] if same else live
    notes = () if same or live else (f"nothing is live in {against} yet",)
    taken = frozenset(each.model for each in (*versions, *live))
    return Succession(list(_by_model(versions, before)), taken, whole=True, notes=notes)


def _of_one(new: Version, live: Sequence[Version] | None, against: str, model: str) -> Succession:
    """One version, against one, or against those of its model."""
    name = model or new.model
    if live is None:
        one = version_at(parse_reference(against))
        return Succession([Successor(name, new, one)], frozenset({name, one.model}), whole=False)
    taken = frozenset(each.model for each in live) | {name}
    of_model = [each for each in live if each.model == name and not _is_of(new, each)]
    if not new.number and (there := what_is_at(new.name)) == "nothing there":
        raise BundleError(where=new.name, expected="a model file, or a version's folder", got=there)
    if not of_model and not model and not new.number and name not in {each.model for each in live}:
        near = difflib.get_close_matches(name, taken - {name}, n=1)
        raise BundleError(
            "it is not known which model this is a version of",
            where=new.name,
            expected="MODEL/VERSION/artifact, or the model's name",
            got=name,
            hint=f"Name it: --model {near[0] if near else next(iter(sorted(taken - {name})), 'MODEL')}",
        )
    notes = () if of_model else (_first(name, against, taken - {name} if model else ()),)
    old = _before(new.number, of_model, []) if new.number else (of_model[-1] if of_model else None)
    return Succession([Successor(name, new, old)], taken, whole=False, notes=notes)


def _first(model: str, against: str, others: Iterable[str]) -> str:
    """What a person should know of a version that nothing is held against. others: names that may have been meant."""
    near = difflib.get_close_matches(model, list(others), n=1)
    meant = f" Did you mean --model {near[0]}?" if near else ""
    return f"no other version of {model} in {against}: nothing to hold this one against.{meant}"


def _is_of(new: Version, live: Version) -> bool:
    """Whether two versions are the same folder on the disk."""
    if not new.folder or not live.folder:
        return False
    return os.path.realpath(new.folder) == os.path.realpath(live.folder)


def _by_model(versions: Sequence[Version], live: Sequence[Version]) -> Iterator[Successor]:
    """Each new version with what it follows. Both are sorted by model and number."""
    of_live = {model: list(group) for model, group in groupby(live, lambda it: it.model)}
    for model, group in groupby(versions, lambda it: it.model):
        before: list[Version] = []
        for each in group:
            yield Successor(model, each, _before(each.number, of_live.get(model, []), before))
            before.append(each)


def _before(number: int, live: Sequence[Version], new: Sequence[Version]) -> Version | None:
    """What a version follows: its live self, or the nearest one below it, or the lowest live one. Both are sorted."""
    at = bisect_right(live, number, key=lambda it: it.number)
    below = [*live[max(at - 1, 0) : at], *new[-1:]]
    if below:
        return max(below, key=lambda it: it.number)
    return live[0] if live else None
