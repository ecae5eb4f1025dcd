"""Hold a repository to the gate: each version against the one before it, and against what was published before.

What the rules say of two signatures is `trimtab.stability`; here is which two are compared. The comparison goes up
through the versions of a model, and one that is refused is not what the next is held against: so what is refused is
what must go, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from trimtab.bundles.forking.fork import fork_command, fork_name, names_in
from trimtab.findings import Finding, Level, worst
from trimtab.stability.category import Category
from trimtab.stability.change import Change, Seen
from trimtab.stability.gate import Candidate, judged, weighed_changes

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import TypeAlias

    from trimtab.bundles.building.index import SignatureIndex
    from trimtab.bundles.building.signature_facts import SignatureFacts
    from trimtab.bundles.bundle import Bundle, BundledVersion
    from trimtab.signature.model import Signature
    from trimtab.stability.configuration import Configuration
    from trimtab.stability.waivers import Waived

    Versions: TypeAlias = Mapping[int, SignatureFacts]
    SignatureOf: TypeAlias = Callable[[str, int, SignatureFacts], Signature]


class Comparison(Struct, frozen=True, kw_only=True):
    """A version that is refused, or let through with remarks.

    version, against: the two versions. in_place: `version` was published before with other inputs, and roots that hold
    it will never ask again. changes: what stands against it; in place, also what is waived.
    """

    model: str
    version: int
    against: str
    changes: tuple[Change, ...]
    in_place: bool = False

    @property
    def refused(self) -> bool:
        """Whether the build must not go on."""
        return self.in_place or worst(self.changes) is Level.ERROR

    def as_dict(self) -> dict[str, object]:
        """The comparison as the object that `--json` prints."""
        return {
            "model": self.model,
            "version": str(self.version),
            "against": self.against,
            "in_place": self.in_place,
            "refused": self.refused,
            "rules": sorted({change.rule for change in self.changes}),
        }


class Judgement(Struct, frozen=True, kw_only=True):
    """What the gate says of a repository.

    comparisons: those with something to say, in the order of the models. waived: changes that were let through.
    problems: of the waivers themselves. held: the models whose inputs are held to FREEZE, so that they may be attested.
    """

    comparisons: tuple[Comparison, ...] = ()
    waived: tuple[Waived, ...] = ()
    problems: tuple[Finding, ...] = ()
    held: frozenset[str] = frozenset()

    @property
    def refused(self) -> bool:
        """Whether the build must not go on."""
        return any(each.refused for each in self.comparisons) or worst(self.problems) is Level.ERROR


def changed_in_place(models: Mapping[str, Versions], previous: Bundle | None) -> Iterator[tuple[str, int]]:
    """Versions that were published before with other inputs. Roots hold an exact version for good."""
    for model, versions in models.items():
        before = previous.models.get(model) if previous is not None else None
        for number, facts in versions.items():
            known = before.versions.get(str(number)) if before is not None else None
            if known is not None and known.input_digest != facts.input_digest:
                yield model, number


class Judge:
    """Judges the models of one repository.

    configuration, category, today: as of `trimtab.stability.gate.gate`. previous: what was published before; indexes:
    where its signatures may be. signature_of: gives the signature of a version in the repository.
    """

    def __init__(
        self,
        root: Path,
        previous: Bundle | None,
        indexes: Sequence[SignatureIndex],
        signature_of: SignatureOf,
        *,
        configuration: Configuration,
        category: Category | None,
        today: datetime.date,
    ) -> None:
        self._root = root
        self._previous = previous
        self._indexes = indexes
        self._signature_of = signature_of
        self._configuration = configuration
        self._category = category
        self._today = today

    def judge(self, models: Mapping[str, Versions]) -> Judgement:
        """The judgement over signatures by model and version."""
        compared = [each for model, versions in models.items() for each in self._compared(model, versions)]
        named = list(self._with_forks(compared, models))
        verdict = judged([change for each in named for change in each.changes], self._configuration, self._today)
        standing = set(verdict.changes)
        judged_comparisons = (
            each if each.in_place else replace(each, changes=tuple(c for c in each.changes if c in standing))
            for each in named
        )
        return Judgement(
            comparisons=tuple(each for each in judged_comparisons if each.changes),
            waived=tuple(verdict.waived),
            problems=tuple(verdict.problems),
            held=frozenset(model for model in models if self._holds_inputs(model)),
        )

    def _category_of(self, model: str) -> Category:
        return self._category or self._configuration.category_of(model)

    def _holds_inputs(self, model: str) -> bool:
        """Whether no change of the model's inputs would be let through by its category or by a lowered level."""
        if self._category_of(model) is not Category.FREEZE:
            return False
        named = {*self._configuration.levels, *(rule for each in self._configuration.models for rule in each.levels)}
        declared = (Change(rule, Level.ERROR, "", "", model=model) for rule in named if not rule.startswith("OUTPUT_"))
        return all(self._configuration.weighed(change).level is Level.ERROR for change in declared)

    def _compared(self, model: str, versions: Versions) -> Iterator[Comparison]:
        """The comparisons of one model that found anything, waived or not."""
        past = _Past.of(model, versions, self._previous)
        accepted: int | None = None
        for number in sorted(versions):
            facts = versions[number]
            if number not in past.kept:
                found = self._in_place(past, number, facts) or self._with_the_past(past, number, facts, accepted)
                if found is not None:
                    yield found
                    if self._refuses(found):
                        continue
            if accepted is None:
                accepted = number
                continue
            changes = self._changes_between(model, (accepted, versions[accepted]), (number, facts))
            if not changes:
                accepted = number
                continue
            newcomer_below = accepted not in past.kept and number in past.kept
            version, against = (accepted, number) if newcomer_below else (number, accepted)
            found = Comparison(model=model, version=version, against=str(against), changes=changes)
            yield found
            if newcomer_below or not self._refuses(found):
                accepted = number

    def _refuses(self, comparison: Comparison) -> bool:
        return comparison.in_place or self._configuration.refuses(comparison.changes, self._today)

    def _in_place(self, past: _Past, number: int, facts: SignatureFacts) -> Comparison | None:
        """A version whose number was published with another signature."""
        known = past.published.get(number)
        if known is None:
            return None
        changes = self._changes_since(past, known, facts, number)
        if not changes:
            return None
        for_good = self._category_of(past.model) is Category.FREEZE and known.input_digest != facts.input_digest
        return Comparison(
            model=past.model, version=number, against=f"{number} as published", in_place=for_good, changes=changes
        )

    def _with_the_past(
        self, past: _Past, number: int, facts: SignatureFacts, accepted: int | None
    ) -> Comparison | None:
        """A new version, and a published one below it that is no longer in the repository."""
        below = max((each for each in past.gone if each < number), default=None)
        if below is None and accepted is None and not past.kept:
            below = min(past.gone, default=None)  # there is none below: then the one above is what it replaces
        if below is not None and (accepted is None or below > accepted):
            against, changes = str(below), self._changes_since(past, past.published[below], facts, number)
        elif accepted is None and not past.kept and past.inputs and facts.input_digest not in past.inputs:
            last = max(past.inputs, key=lambda digest: int(past.inputs[digest]))
            against, changes = past.inputs[last], self._changes_since_inputs(past, last, facts, number)
        else:
            return None
        return Comparison(model=past.model, version=number, against=against, changes=changes) if changes else None

    def _changes_between(
        self, model: str, old: tuple[int, SignatureFacts], new: tuple[int, SignatureFacts]
    ) -> tuple[Change, ...]:
        """The changes between two versions of the repository."""
        if old[1].document_hash == new[1].document_hash:
            return ()
        candidate = Candidate(model, self._signature_of(model, *old), self._signature_of(model, *new))
        return tuple(weighed_changes(candidate, self._configuration, self._category))

    def _changes_since(
        self, past: _Past, known: BundledVersion, facts: SignatureFacts, number: int
    ) -> tuple[Change, ...]:
        """The changes from a version that was published before, whose artifact is no longer there."""
        if known.digest == facts.digest:
            return ()
        old = _first(index.signature(known.digest) for index in self._indexes)
        if old is None:
            names = past.bundle.allowlist_names(known.allowlist) if past.bundle is not None else None
            return self._unseen(past.model, (known.digest, known.input_digest), facts, names)
        candidate = Candidate(past.model, old, self._signature_of(past.model, number, facts))
        return tuple(weighed_changes(candidate, self._configuration, self._category))

    def _changes_since_inputs(
        self, past: _Past, input_digest: str, facts: SignatureFacts, number: int
    ) -> tuple[Change, ...]:
        """The changes from inputs of which the bundle knows nothing but their digest."""
        old = _first(index.signature_of_inputs(input_digest) for index in self._indexes)
        if old is None:
            return self._unseen(past.model, ("", input_digest), facts, None)
        candidate = Candidate(past.model, old, self._signature_of(past.model, number, facts))
        changes = weighed_changes(candidate, self._configuration, self._category)
        return tuple(change for change in changes if not change.rule.startswith("OUTPUT_"))

    def _unseen(
        self, model: str, old: tuple[str, str], facts: SignatureFacts, names: tuple[str, ...] | None
    ) -> tuple[Change, ...]:
        """That something changed since a signature that nobody has any more: refused, for it cannot be judged."""
        digest, input_digest = old
        freeze = self._category_of(model) is Category.FREEZE
        if input_digest == facts.input_digest and not (freeze and digest):
            return ()
        what = "the contract" if input_digest == facts.input_digest else "the inputs"
        before, after = (
            (digest, facts.digest) if input_digest == facts.input_digest else (input_digest, facts.input_digest)
        )
        if names is not None and set(names) != set(facts.names):
            before, after = _names(set(names) - set(facts.names)), _names(set(facts.names) - set(names))
            what = "the names of the inputs"
        seen = Seen(
            "SIGNATURE_SAME_DIGEST",
            "signature",
            f"{what} changed since a version that is gone and whose signature is in no index",
            before,
            after,
        )
        return tuple(weighed_changes(Candidate(model, None, seen), self._configuration, self._category))

    def _with_forks(self, compared: Iterable[Comparison], models: Mapping[str, Versions]) -> Iterator[Comparison]:
        """Comparisons whose changes carry the command that forks their version, and those that are like it."""
        listed = list(compared)
        alike: dict[tuple[str, str], list[int]] = {}
        for each in listed:
            versions = alike.setdefault((each.model, models[each.model][each.version].digest), [])
            if each.version not in versions:
                versions.append(each.version)
        taken = {*models, *(self._previous.models if self._previous is not None else ()), *names_in(self._root)}
        commands: dict[tuple[str, str], str] = {}
        for (model, digest), versions in alike.items():
            name = fork_name(model, taken)
            taken.add(name)
            commands[model, digest] = fork_command(self._root, model, name, *versions)
        for each in listed:
            command = commands[each.model, models[each.model][each.version].digest]
            yield replace(each, changes=tuple(replace(change, fork=command) for change in each.changes))


class _Past(Struct, frozen=True, kw_only=True):
    """What the previous bundle says of one model.

    published: its versions. kept: those of the repository that are as they were published. gone: published ones that
    are not in the repository. inputs: every input digest under the name, with the first version that had it.
    """

    model: str
    bundle: Bundle | None = None
    published: Mapping[int, BundledVersion] = {}
    kept: frozenset[int] = frozenset()
    gone: frozenset[int] = frozenset()
    inputs: Mapping[str, str] = {}

    @classmethod
    def of(cls, model: str, versions: Versions, previous: Bundle | None) -> _Past:
        known = previous.models.get(model) if previous is not None else None
        if known is None:
            return cls(model=model)
        published = {int(number): each for number, each in known.versions.items()}
        return cls(
            model=model,
            bundle=previous,
            published=published,
            kept=frozenset(n for n, each in published.items() if n in versions and versions[n].digest == each.digest),
            gone=frozenset(published.keys() - versions.keys()),
            inputs=known.published,
        )


def _first(found: Iterable[Signature | None]) -> Signature | None:
    return next((each for each in found if each is not None), None)


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
