"""May this version be deployed there? Answered from what is in force, for whoever deploys models and not bundles.

A leaf may load a version when the roots of its stage know it: their pointer names a bundle with that version, with that
very signature, and no root that holds a lease is without it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from msgspec import Struct

from trimtab.bundles.store.entry import Position
from trimtab.bundles.store.pointers import Stage, Tier
from trimtab.rollout.awaited import MARGIN_S, roots_awaited
from trimtab.rollout.evidence import gather

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from trimtab.bundles.store.entry import Entry
    from trimtab.bundles.store.store import Store


class CanDeploy(Struct, frozen=True, kw_only=True):
    """The answer.

    yes: whether it may be deployed. reasons: why, one sentence each. what_to_do: what brings it there; empty where the
    answer is yes. bundle: the name of the bundle that knows the version; empty where none does. position: of its
    rollout. digests: of the version's signature, as the bundles in force state it.
    """

    model: str
    version: str
    stage: Stage
    tier: Tier
    yes: bool
    bundle: str = ""
    position: str = ""
    digests: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    what_to_do: tuple[str, ...] = ()


class Question(Struct, frozen=True, kw_only=True):
    """What is asked.

    tier: LEAF asks whether leaves of the stage may load the version, ROOT whether its roots are told of it.
    digest: of the signature of the artifact that is to be deployed; empty where it is not at hand.
    """

    model: str
    version: str
    stage: Stage
    tier: Tier = Tier.LEAF
    digest: str = ""


def can_deploy(store: Store, question: Question) -> CanDeploy:
    """The answer by every bundle name of the store: the first yes, or else the first no that knows the version.

    StoreError where the store fails.
    """
    answers = []
    known = _Known(store, question)
    for name in store.names():
        head = store.head(name)
        answer = _by_history(known, head) if head is not None else None
        if answer is not None and answer.yes:
            return answer
        if answer is not None:
            answers.append(answer)
    if answers:
        return answers[0]
    what = f"{question.model}:{question.version}"
    return _answer(question, None, [f"no bundle in force, or being rolled out, has {what}"], [_BUILD])


def can_deploy_within(
    store: Store, question: Question, wait_s: float, *, sleep: Callable[[float], None] = time.sleep
) -> CanDeploy:
    """The answer as soon as it is yes, or else the last one after `wait_s` seconds. StoreError as of `can_deploy`."""
    deadline = time.monotonic() + wait_s
    while True:
        answer = can_deploy(store, question)
        left = deadline - time.monotonic()
        if answer.yes or left <= 0:
            return answer
        sleep(min(POLL_S, left))


POLL_S = 1.0
"""How often the store is asked again."""

_BUILD = (
    "Build a bundle that has it, and roll it out: trimtab bundle build REPOSITORY -o FILE, then trimtab rollout start"
    " FILE"
)


class _Known:
    """What the bundles of a store state for the version that is asked about, each of them read once."""

    def __init__(self, store: Store, question: Question) -> None:
        self.store = store
        self.question = question
        self._stated: dict[str, str | None] = {}

    def stated(self, bundles: Iterable[str]) -> tuple[str, ...]:
        """The digests that bundles state for the version, each once."""
        found = {self._of(digest) for digest in bundles}
        return tuple(sorted(each for each in found if each is not None))

    def _of(self, digest: str) -> str | None:
        if digest not in self._stated:
            model = self.store.bundle(digest).models.get(self.question.model)
            version = model.versions.get(self.question.version) if model is not None else None
            self._stated[digest] = version.digest if version is not None else None
        return self._stated[digest]


def _by_history(known: _Known, head: Entry) -> CanDeploy | None:
    """What one history says; None where nothing of it knows the version."""
    question = known.question
    digests = known.stated(_staying(head, question.stage))
    what = f"{question.model}:{question.version}"
    if not digests:
        return _on_its_way(known, head)
    if question.digest and question.digest not in digests:
        reason = (
            f"the bundle {head.name} has {what} with the signature {digests[0]}, the artifact has {question.digest}"
        )
        return _answer(question, head, [reason], [_BUILD], digests)
    told = f"roots of {question.stage} know {what} from the bundle {head.name}"
    if question.tier is Tier.LEAF:
        behind = list(_behind(known, head))
        if behind:
            return _answer(question, head, [told, *behind], [_WAIT], digests)
    return _answer(question, head, [told], [], digests)


def _staying(head: Entry, stage: Stage) -> tuple[str, ...]:
    """What roots of the stage trim by, without what a rollout on its way back is about to take from them."""
    rollout = head.rollout
    leaving = rollout.pending if rollout is not None and rollout.position.back else None
    return tuple(each for each in head.pointers.at(Tier.ROOT, stage).bundles if each != leaving)


_WAIT = "Wait until they have followed, or are silent for longer than a lease: trimtab rollout status"


def _behind(known: _Known, head: Entry) -> Iterator[str]:
    """Roots of the stage that may trim by a map without the version."""
    stage = known.question.stage
    evidence = gather(known.store, head)
    if not evidence.acknowledge:
        current = () if head.rollout is None or head.rollout.current is None else (head.rollout.current,)
        if not known.stated(current):
            yield from map(str, roots_awaited(head, stage, head.pointers.at(Tier.ROOT, stage), evidence))
        return
    for each in evidence.words[Tier.ROOT, stage]:
        leased = each.age_s <= evidence.lease_s + MARGIN_S
        if leased and not known.stated(each.said.in_force.bundles):
            yield f"root {each.instance} has {each.said.in_force} (entry {each.said.entry}), which is without it"


def _on_its_way(known: _Known, head: Entry) -> CanDeploy | None:
    """Of a version that the roots of the stage do not know: whether a rollout is about to bring it there."""
    question, rollout = known.question, head.rollout
    pending = () if rollout is None or rollout.position is Position.ROLLED_BACK else (rollout.pending,)
    if rollout is None or not known.stated(pending):
        return None
    what = f"{question.model}:{question.version}"
    reasons = [f"{what} is in the bundle of {head.name} that is being rolled out, at {rollout.position}"]
    if rollout.position.back:
        return _answer(question, head, [*reasons, "the rollout is on its way back"], [_BUILD])
    if rollout.held:
        reasons.append(f"the rollout is held: {rollout.held}")
    return _answer(question, head, reasons, [f"Bring it on: trimtab rollout advance --name {head.name}"])


def _answer(
    question: Question,
    head: Entry | None,
    reasons: list[str],
    what_to_do: list[str],
    digests: tuple[str, ...] = (),
) -> CanDeploy:
    rollout = head.rollout if head is not None else None
    return CanDeploy(
        model=question.model,
        version=question.version,
        stage=question.stage,
        tier=question.tier,
        yes=not what_to_do,
        bundle="" if head is None else head.name,
        position="" if rollout is None else rollout.position,
        digests=digests,
        reasons=tuple(reasons),
        what_to_do=tuple(what_to_do),
    )
