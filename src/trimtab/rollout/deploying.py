"""May this version be deployed there? Answered from what is in force, for whoever deploys models and not bundles.

A leaf may load a version when the roots of its stage know it: their pointer names a bundle with that version, with that
very signature, and no root that holds a lease is without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from trimtab.bundles.store.entry import Position
from trimtab.bundles.store.pointers import Stage, Tier
from trimtab.rollout.awaited import MARGIN_S, roots_awaited
from trimtab.rollout.evidence import gather

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    for name in store.names():
        head = store.head(name)
        answer = _by_history(store, head, question) if head is not None else None
        if answer is not None and answer.yes:
            return answer
        if answer is not None:
            answers.append(answer)
    if answers:
        return answers[0]
    what = f"{question.model}:{question.version}"
    return _answer(question, None, [f"no bundle in force, or being rolled out, has {what}"], [_BUILD])


_BUILD = (
    "Build a bundle that has it, and roll it out: trimtab bundle build REPOSITORY -o FILE, then trimtab rollout start"
    " FILE"
)


def _by_history(store: Store, head: Entry, question: Question) -> CanDeploy | None:
    """What one history says; None where nothing of it knows the version."""
    pointer = head.pointers.at(Tier.ROOT, question.stage)
    digests = _stated(store, pointer.bundles, question)
    what = f"{question.model}:{question.version}"
    if not digests:
        return _on_its_way(store, head, question)
    if question.digest and question.digest not in digests:
        reason = (
            f"the bundle {head.name} has {what} with the signature {digests[0]}, the artifact has {question.digest}"
        )
        return _answer(question, head, [reason], [_BUILD], digests)
    known = f"roots of {question.stage} know {what} from the bundle {head.name}"
    if question.tier is Tier.LEAF:
        behind = list(_behind(store, head, question))
        if behind:
            return _answer(question, head, [known, *behind], [_WAIT], digests)
    return _answer(question, head, [known], [], digests)


_WAIT = "Wait until they have followed, or are silent for longer than a lease: trimtab rollout status"


def _stated(store: Store, bundles: tuple[str, ...], question: Question) -> tuple[str, ...]:
    """The digests that bundles state for the version."""
    found = set()
    for digest in bundles:
        model = store.bundle(digest).models.get(question.model)
        version = model.versions.get(question.version) if model is not None else None
        if version is not None:
            found.add(version.digest)
    return tuple(sorted(found))


def _behind(store: Store, head: Entry, question: Question) -> Iterator[str]:
    """Roots of the stage that may trim by a map without the version."""
    evidence = gather(store, head)
    if not evidence.acknowledge:
        current = () if head.rollout is None or head.rollout.current is None else (head.rollout.current,)
        if not _stated(store, current, question):
            pointer = head.pointers.at(Tier.ROOT, question.stage)
            yield from map(str, roots_awaited(head, question.stage, pointer, evidence))
        return
    for each in evidence.words[Tier.ROOT, question.stage]:
        leased = each.age_s <= evidence.lease_s + MARGIN_S
        if leased and not _stated(store, each.said.in_force.bundles, question):
            yield f"root {each.instance} has {each.said.in_force} (entry {each.said.entry}), which is without it"


def _on_its_way(store: Store, head: Entry, question: Question) -> CanDeploy | None:
    """Of a version that the roots of the stage do not know: whether a rollout is about to bring it there."""
    rollout = head.rollout
    pending = () if rollout is None or rollout.position is Position.ROLLED_BACK else (rollout.pending,)
    if rollout is None or not _stated(store, pending, question):
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
