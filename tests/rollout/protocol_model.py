"""The whole of delivery as a model to be walked: publishers, roots, leaves, what may go wrong with each, at any moment.

Real are the moves (trimtab.rollout.machine decides each, on the evidence that the model gathers) and the answers (a
root's are those of a real ConsolidatedMap, or of its `exact_only`). The model adds what is between them: reading,
keeping, acknowledging and confirming as steps of their own, between which a process may hang for ever or die.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping

from msgspec.structs import force_setattr, replace
from protocol_world import (
    AHEAD,
    BEFORE,
    END,
    LONG_AGO,
    SINCE,
    Known,
    Leaf,
    Root,
    World,
    answering,
    leaf_after,
    long_ago,
    root_after,
)
from small_bundles import Models, small_bundle, wrongly_trimmed

from trimtab.bundles.bundle import Bundle
from trimtab.bundles.consolidated import ConsolidatedMap
from trimtab.bundles.store.acknowledged import Acknowledged, Acknowledgment
from trimtab.bundles.store.entry import Analysis, Entry, Position, Rollout
from trimtab.bundles.store.pointers import Pointer, Pointers, Stage, Tier
from trimtab.errors import MoveRefusedError, StoreError
from trimtab.rollout import machine
from trimtab.rollout.evidence import Evidence, Moved

LEASE_S, LONG_AGO_S = 600.0, 1e9

LAWS = {"root leads", "leaves go back before roots", "roots cover before leaves go back"}
"""Guards that the pointers themselves hold."""


class Delivery:
    """The model.

    bundles: by letter; the first is in force at the beginning, to all. roots, leaves: the stage of each.
    without: the names of guards that are taken away. acknowledge: the store's setting. faults: how many of the roots,
    and of the leaves, may crash, lose their lease, or be withdrawn. again: whether a rollout may follow another.
    set_back: whether the store may be set back to an older copy. holds: whether a rollout may be held. from_nothing:
    whether the history begins with the first rollout. hesitating: whether anything may happen between evidence and
    move.
    """

    def __init__(
        self,
        bundles: Mapping[str, Models],
        *,
        roots: tuple[Stage, ...] = (Stage.CANARY,),
        leaves: tuple[Stage, ...] = (Stage.CANARY,),
        without: frozenset[str] = frozenset(),
        acknowledge: bool = True,
        faults: int = 99,
        again: bool = True,
        holds: bool = False,
        from_nothing: bool = False,
        hesitating: bool = True,
        set_back: bool = False,
    ) -> None:
        self.letters = list(bundles)
        self.bundles: list[Bundle] = [small_bundle(models) for models in bundles.values()]
        self.roots, self.leaves, self.without = roots, leaves, without
        self.acknowledge, self.faults, self.may_be_set_back = acknowledge, faults, set_back
        self.again, self.holds, self.from_nothing, self.hesitating = again, holds, from_nothing, hesitating
        self._refused = StoreError if without & LAWS else MoveRefusedError  # after a lawless move all are refused
        self.digests = {bundle.digest: number for number, bundle in enumerate(self.bundles)}
        known = {(m, v) for bundle in self.bundles for m, each in bundle.models.items() for v in each.versions}
        self.questions = sorted(known | {(model, version) for model, _ in known for version in ("", "999")})
        self.heads: list[Entry] = []
        self.pointers: list[Pointer] = []
        self._numbers: dict[object, int] = {}
        self._moves: dict[object, int | None] = {}
        self._answers: dict[tuple[int, bool, int], str] = {}

    def initial(self) -> Iterator[World]:
        """The first bundle in force; everybody follows and has said so. Or: nothing in force, and nobody has spoken."""
        if self.from_nothing:
            head = self._head(Pointers(), self.bundles[0].digest)
            yield self._world(head, lambda known: Root(known, known), None)
        else:
            head = self._head(_settled(self.bundles[0].digest), self.bundles[0].digest)
            yield self._world(head, lambda known: Root(known, known, None, END, END), frozenset({0}))

    def wrong(self, world: World) -> str:
        """A request that some root trims, or has trimmed, too short for some leaf of its stage."""
        for i, root in enumerate(world.roots):
            maps = {(root.under_way, True)} if root.under_way is not None else set()
            if root.held is not None:
                maps.add((root.held.pointer, self._answers_fully(root)))
            for j, leaf in enumerate(world.leaves):
                if self.leaves[j] is not self.roots[i]:
                    continue
                for bundle in answering(leaf):
                    for pointer, fully in maps:
                        if said := self._wrongly(pointer, bundle, fully=fully):
                            by = f"root {i + 1} by {self._text(pointer)}, leaf {j + 1} with {self.letters[bundle]}"
                            return f"{by}: {said}"
        return ""

    def steps(self, world: World) -> Iterator[tuple[str, World]]:
        """Everything that may happen next."""
        yield from self._publish(world)
        for i, root in enumerate(world.roots):
            for what, after in self._of_root(world, root, self.roots[i], fails=i < self.faults):
                yield f"root {i + 1} {what}", world._replace(roots=_with(world.roots, i, after))
        for j, leaf in enumerate(world.leaves):
            for what, served in self._of_leaf(world, leaf, self.leaves[j], fails=j < self.faults):
                yield f"leaf {j + 1} {what}", world._replace(leaves=_with(world.leaves, j, served))
        if not self.acknowledge:
            yield from self._grow_old(world)

    # What publishers do

    def _publish(self, world: World) -> Iterator[tuple[str, World]]:
        if world.set_back:
            return
        if world.decided is not None:
            yield f"publisher appends {self._name(world.decided)}", self._appended(world, world.decided)
        for what in self._moves_from(world.head):
            reached = self._move(world, what)
            if reached is None:
                continue
            if what in ("forward", "back") and self.hesitating:
                if reached != world.decided:
                    yield f"publisher finds no reason against {self._name(reached)}", world._replace(decided=reached)
            else:
                yield f"publisher: {what}: {self._name(reached)}", self._appended(world, reached)
        if self.may_be_set_back and world.head:
            yield "the store is set back to how it was before the rollout", self._set_back(world)

    def _moves_from(self, head: int) -> Iterator[str]:
        rollout = self.heads[head].rollout
        if rollout is None or not rollout.position.over:
            yield from ("forward", "back")
            if self.holds:
                yield from ("hold", "release")
        else:
            yield "back"
            if self.again or head == 0:
                yield from (f"start {letter}" for letter in self.letters)

    def _move(self, world: World, what: str) -> int | None:
        """The head after a move, by the real machine; None where it refuses."""
        key: object = (world.head, what)
        if what in ("forward", "back"):
            key = (key, tuple(root.word for root in world.roots), tuple(leaf.word for leaf in world.leaves), world.old)
        if key not in self._moves:
            try:
                entry = self._by_machine(self.heads[world.head], what, world)
            except self._refused:
                self._moves[key] = None
            else:
                self._moves[key] = self._number_of(entry)
        return self._moves[key]

    def _by_machine(self, head: Entry, what: str, world: World) -> Entry:
        who = {"by": "", "why": "lunch"}
        if what == "forward":
            at_canary = head.rollout is not None and head.rollout.position is Position.LEAF_CANARY
            return machine.advance(
                head, self._evidence(world), analysis=Analysis(verdict="pass") if at_canary else None, **who
            )
        if what == "back":
            if "leaves go back before roots" in self.without and _at(head, Position.LEAF_CANARY):
                return self._roots_back_first(head)
            if "roots cover before leaves go back" in self.without and _at(head, Position.SETTLED):
                return self._leaves_back_uncovered(head)
            return machine.go_back(head, self._evidence(world), move="rollback", **who)
        if what == "hold":
            return machine.hold(head, **who)
        if what == "release":
            return machine.release(head, **who)
        pending = self.bundles[self.letters.index(what[-1])].digest
        entry = machine.start(head, name="ads", pending=pending, **who)
        return self._leaf_first(entry) if "root leads" in self.without else entry

    def _evidence(self, world: World) -> Evidence:
        words: dict[tuple[Tier, Stage], list[Acknowledged]] = {(tier, each): [] for tier in Tier for each in Stage}
        if "roots are awaited" not in self.without:
            for i, root in enumerate(world.roots):
                if root.word is not None:  # what it says of an older entry is of no consequence: any pointer will do
                    current = self.heads[world.head].pointers.at(Tier.ROOT, self.roots[i])
                    said = Acknowledgment(entry=root.word + 1, in_force=current if root.word else Pointer())
                    words[Tier.ROOT, self.roots[i]].append(Acknowledged(instance=f"root{i}", said=said, age_s=0.0))
        if "leaves are awaited" not in self.without:
            for j, leaf in enumerate(world.leaves):
                if leaf.word is not None:
                    both = [self.bundles[each].digest for each in leaf.word]
                    said = Acknowledgment(entry=1, in_force=Pointer(*both))
                    words[Tier.LEAF, self.leaves[j]].append(Acknowledged(instance=f"leaf{j}", said=said, age_s=0.0))
        old = (True, True) if "leases are awaited" in self.without else world.old
        return Evidence(
            lease_s=LEASE_S,
            acknowledge=self.acknowledge,
            words={place: tuple(said) for place, said in words.items()},
            moved={
                (Tier.ROOT, stage): Moved(SINCE + 1, 0.0, LONG_AGO_S if old[number] else 0.0)
                for number, stage in enumerate(Stage)
            },
        )

    def _appended(self, world: World, head: int) -> World:
        """Everything that was at the history's end is no longer there."""
        before, after = self.heads[world.head].pointers, self.heads[head].pointers
        moved = [before.at(Tier.ROOT, stage) != after.at(Tier.ROOT, stage) for stage in Stage]
        by_stage = dict(zip(Stage, moved, strict=True))
        old = tuple(was and not now for was, now in zip(world.old, moved, strict=True))
        return world._replace(
            head=head,
            decided=None,
            roots=tuple(root_after(root, by_stage[stage]) for root, stage in zip(world.roots, self.roots, strict=True)),
            leaves=tuple(leaf_after(leaf) for leaf in world.leaves),
            old=(True, True) if self.acknowledge else (old[0], old[1]),
        )

    def _set_back(self, world: World) -> World:
        """The first head again. What says anything but the first pointer is of an entry that the store has lost."""
        first = self._known(self.heads[0].pointers.root_canary, END).pointer
        roots = tuple(
            root._replace(
                held=root.held and Known(root.held.pointer, SINCE if root.held.pointer == first else AHEAD),
                disk=Known(root.disk.pointer, SINCE if root.disk.pointer == first else AHEAD),
                seen=None,
            )
            for root in world.roots
        )
        return world._replace(head=0, decided=None, roots=roots, set_back=True)

    # What roots do

    def _of_root(self, world: World, root: Root, stage: Stage, *, fails: bool) -> Iterator[tuple[str, Root]]:
        if root.held is None:
            lease = END if "a lease ends with its process" in self.without else None
            yield f"starts again with {self._text(root.disk.pointer)}", root._replace(held=root.disk, lease=lease)
        else:
            yield from self._of_running_root(world, root, root.held, stage)
            if fails:
                yield "is killed", self._sent(root)._replace(held=None, seen=None, lease=None)
        if root.under_way is not None:
            yield "has no older request under way any more", root._replace(under_way=None)
        if fails and not self.may_be_set_back:
            yield from self._of_time(root)

    def _of_running_root(self, world: World, root: Root, held: Known, stage: Stage) -> Iterator[tuple[str, Root]]:
        if root.seen is not None:
            yield f"puts {self._text(root.seen.pointer)} in force", self._adopted(root, root.seen)
        else:
            yield from self._look(world, root, held, stage)
            if root.disk != held:
                yield f"keeps {self._text(held.pointer)} on its disk", root._replace(disk=held)
            if self.acknowledge:
                yield from self._speak(root, held)

    def _look(self, world: World, root: Root, held: Known, stage: Stage) -> Iterator[tuple[str, Root]]:
        if held.entry == END:
            if not self.acknowledge and root.lease != END:
                yield "finds nothing new", root._replace(lease=END)
            return
        if held.entry == AHEAD and "roots refuse to go back" not in self.without:
            return
        seen = self._known(self.heads[world.head].pointers.at(Tier.ROOT, stage), END)
        yield f"reads {self._text(seen.pointer)}", root._replace(seen=seen)

    def _adopted(self, root: Root, seen: Known) -> Root:
        after = self._sent(root) if root.held is not None and root.held.pointer != seen.pointer else root
        held = Known(seen.pointer, max(seen.entry, BEFORE))
        after = after._replace(held=held, disk=held, seen=None)
        if "kept before it is acknowledged" in self.without:
            after = after._replace(disk=root.disk)
        if not self.acknowledge and seen.entry != LONG_AGO:
            after = after._replace(lease=seen.entry)
        return after

    def _speak(self, root: Root, held: Known) -> Iterator[tuple[str, Root]]:
        drained = root.under_way is None or "older requests drain before the word" in self.without
        if root.word != held.entry and drained:
            spoken = root._replace(word=held.entry)
            if "confirmed before the lease" in self.without:
                spoken = spoken._replace(lease=END)
            yield f"acknowledges {self._text(held.pointer)}", spoken
        if root.word == END and held.entry == END and root.lease is None:
            yield "confirms that nothing moved, and has a lease", root._replace(lease=END)

    def _of_time(self, root: Root) -> Iterator[tuple[str, Root]]:
        if root.lease is not None:
            yield "loses its lease", self._sent(root)._replace(lease=None)
        outlived = root.lease is None and (root.under_way is None or "a margin beyond the lease" in self.without)
        if root.word is not None and (outlived or "a word lives as long as a lease" in self.without):
            yield "is silent for longer than a lease, or has ended for good", root._replace(word=None)

    def _grow_old(self, world: World) -> Iterator[tuple[str, World]]:
        """Without acknowledgments: a lease has passed since the roots' pointer moved."""
        for number, stage in enumerate(Stage):
            of_stage = [root for i, root in enumerate(world.roots) if self.roots[i] is stage]
            if world.old[number] or any(root.lease == BEFORE or root.under_way is not None for root in of_stage):
                continue
            old = (True, world.old[1]) if number == 0 else (world.old[0], True)
            roots = tuple(long_ago(root) if self.roots[i] is stage else root for i, root in enumerate(world.roots))
            yield f"a lease has passed since roots of {stage} were moved", world._replace(old=old, roots=roots)

    def _sent(self, root: Root) -> Root:
        """A request that it has trimmed by the map at hand is under way from now on, if none is watched already."""
        if root.held is None or root.under_way is not None or not self._answers_fully(root):
            return root
        return root._replace(under_way=root.held.pointer)

    def _answers_fully(self, root: Root) -> bool:
        return root.lease is not None or "only exact answers without a lease" in self.without

    # What leaves do

    def _of_leaf(self, world: World, leaf: Leaf, stage: Stage, *, fails: bool) -> Iterator[tuple[str, Leaf]]:
        if leaf.target is None:
            if not world.set_back:  # one that runs keeps what it serves; one that starts anew then is beyond help
                yield from self._of_resting_leaf(world, leaf, stage, fails=fails)
        else:
            yield from self._of_moving_leaf(leaf, *leaf.target)
        if fails and (leaf.serving is not None or leaf.target is not None):
            yield "is killed", leaf._replace(serving=None, target=None)

    def _of_resting_leaf(self, world: World, leaf: Leaf, stage: Stage, *, fails: bool) -> Iterator[tuple[str, Leaf]]:
        current = self.heads[world.head].pointers.at(Tier.LEAF, stage).current
        bundle = None if current is None else self.digests[current]
        if bundle != leaf.serving or leaf.word != _those(bundle):
            how = "switch" if "leaves speak before they serve" in self.without else "speak"
            yield f"reads {self._letter(bundle)}", leaf._replace(target=(bundle, True, how))
        if leaf.serving is None and leaf.word is not None:
            if leaf.disk is not None and leaf.disk in leaf.word:
                yield f"starts again with {self._letter(leaf.disk)}", leaf._replace(serving=leaf.disk)
            if fails:
                yield "has ended, its word is withdrawn", leaf._replace(word=None, disk=None)

    def _of_moving_leaf(self, leaf: Leaf, bundle: int | None, at_end: bool, to_do: str) -> Iterator[tuple[str, Leaf]]:
        match to_do:
            case "speak":
                spoken = leaf._replace(word=_those(leaf.disk, bundle), target=(bundle, at_end, "confirm"))
                yield f"acknowledges that it is about to serve {self._letter(bundle)}", spoken
            case "confirm" if at_end or "leaves confirm before they serve" in self.without:
                yield "confirms that nothing moved", leaf._replace(target=(bundle, at_end, "switch"))
            case "confirm":
                yield "finds that something moved", leaf._replace(target=None)
            case "switch":
                served = leaf._replace(serving=bundle, disk=bundle, target=(bundle, at_end, "end"))
                yield f"serves {self._letter(bundle)}", served
            case _:
                spoken = leaf._replace(word=_those(bundle), target=None)
                yield f"acknowledges {self._letter(bundle)}", spoken

    # Moves that break the law, for the guards that are taken away

    def _leaf_first(self, start: Entry) -> Entry:
        """The leaf serves the pending bundle before the root has it."""
        assert start.rollout is not None
        before = _settled(start.rollout.current)
        return _lawless(start, Position.LEAF_CANARY, before, leaf_canary=Pointer(start.rollout.pending))

    def _roots_back_first(self, head: Entry) -> Entry:
        assert head.rollout is not None
        return _lawless(head, Position.LEAVES_BACK, head.pointers, root_canary=Pointer(head.rollout.current))

    def _leaves_back_uncovered(self, head: Entry) -> Entry:
        assert head.rollout is not None
        return _lawless(head, Position.LEAVES_BACK, head.pointers, leaf_canary=Pointer(head.rollout.current))

    # Tables

    def _world(self, head: int, root: Callable[[Known], Root], word: frozenset[int] | None) -> World:
        pointers = self.heads[head].pointers
        bundle = None if word is None else next(iter(word))
        return World(
            head=head,
            roots=tuple(root(self._known(pointers.at(Tier.ROOT, stage), END)) for stage in self.roots),
            leaves=tuple(Leaf(bundle, bundle, word) for _ in self.leaves),
        )

    def _head(self, pointers: Pointers, pending: str) -> int:
        over = Position.SETTLED if pointers.bundles else Position.ROLLED_BACK
        rollout = Rollout(started=1, current=None, pending=pending, position=over)
        return self._number_of(
            Entry(name="ads", number=1, previous="", at="", by="", why="", move="", pointers=pointers, rollout=rollout)
        )

    def _number_of(self, entry: Entry) -> int:
        """The entry without what nothing depends on."""
        assert entry.rollout is not None
        rollout = replace(entry.rollout, started=1, held=entry.rollout.held and "lunch", analysis=None)
        if rollout.position is Position.ROLLED_BACK:
            rollout = replace(rollout, pending=self.bundles[0].digest)
        same = Entry(
            name="ads",
            number=END + 1,
            previous="",
            at="",
            by="",
            why="",
            move="",
            pointers=entry.pointers,
            rollout=rollout,
        )
        return self._intern(same, self.heads)

    def _known(self, pointer: Pointer, entry: int) -> Known:
        return Known(self._intern(pointer, self.pointers), entry)

    def _intern(self, value: object, table: list) -> int:  # type: ignore[type-arg]  # two tables of two types
        number = self._numbers.setdefault(value, len(table))
        if number == len(table):
            table.append(value)
        return number

    def _wrongly(self, pointer: int, serving: int, *, fully: bool) -> str:
        key = (pointer, fully, serving)
        if key not in self._answers:
            held = self.pointers[pointer].bundles
            if "both bundles while in transition" in self.without:
                held = held[-1:]
            bundles = ConsolidatedMap({f"ads {each}": self.bundles[self.digests[each]] for each in held})
            used = bundles if fully else bundles.exact_only
            self._answers[key] = wrongly_trimmed(used, self.bundles[serving], self.questions)
        return self._answers[key]

    def _text(self, pointer: int) -> str:
        return "+".join(self.letters[self.digests[each]] for each in self.pointers[pointer].bundles) or "nothing"

    def _letter(self, bundle: int | None) -> str:
        return "nothing" if bundle is None else self.letters[bundle]

    def _name(self, head: int) -> str:
        entry = self.heads[head]
        assert entry.rollout is not None
        held = ", held" if entry.rollout.held else ""
        places = [
            f"{tier} {stage} {self._text(self._known(entry.pointers.at(tier, stage), END).pointer)}"
            for stage in Stage
            for tier in Tier
        ]
        return f"{entry.rollout.position}{held} ({', '.join(places)})"


def _settled(digest: str | None) -> Pointers:
    each = Pointer(digest)
    return Pointers(root_canary=each, leaf_canary=each, root_production=each, leaf_production=each)


def _at(head: Entry, position: Position) -> bool:
    return head.rollout is not None and head.rollout.current is not None and head.rollout.position is position


def _lawless(entry: Entry, position: Position, pointers: Pointers, **moved: Pointer) -> Entry:
    """An entry with pointers that cannot be made: they are changed afterwards."""
    changed = copy.copy(pointers)
    for place, pointer in moved.items():
        force_setattr(changed, place, pointer)
    assert entry.rollout is not None
    return replace(entry, pointers=changed, rollout=replace(entry.rollout, position=position))


def _with(those: tuple, place: int, one: object) -> tuple:  # type: ignore[type-arg]  # of roots, or of leaves
    return (*those[:place], one, *those[place + 1 :])


def _those(*bundles: int | None) -> frozenset[int]:
    return frozenset(each for each in bundles if each is not None)
