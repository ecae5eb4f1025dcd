"""A small world in which roots, leaves and a publisher share a store, and in which everything goes wrong.

Roots are real `BundleLoader`s with a state folder, leaves are real `StoreDigests` over a pretended repository, moves
are those of the real state machine. Made up is what surrounds them: the time, and a store in memory that fails, loses
answers, and at any operation lets the process that asked be killed, or hang while others go on.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec
from bundle_making import bundle, digest_of

from trimtab.bundles.bundle import Bundle
from trimtab.bundles.consolidated import ConsolidatedMap
from trimtab.bundles.loading.following import Follow, Follower
from trimtab.bundles.loading.loader import BundleLoader
from trimtab.bundles.store.acknowledged import withdraw
from trimtab.bundles.store.entry import Analysis, Entry
from trimtab.bundles.store.pointers import Stage, Tier
from trimtab.bundles.store.store import Settings, Store
from trimtab.errors import StoreError, TrimtabError
from trimtab.rollout import machine
from trimtab.rollout.evidence import gather
from trimtab.serving.leaf.following import StoreDigests

NAME = "ads"
LEASE_S = 10.0
IN_FLIGHT_S = 1.0

INPUTS = {
    ("ctr", 1): {"a"},
    ("ctr", 2): {"a"},
    ("ctr", 3): {"a", "b"},
    ("ctr", 4): {"c"},
    ("rank", 1): {"q"},
    ("rank", 2): {"q", "r"},
}
"""What each version of each model consumes: the truth, which nobody in this world can change."""

ASKED = [(model, version) for model in ("ctr", "rank") for version in (None, 1, 2, 3, 4, 9)]
"""What requests name."""

SERVED = [
    [("ctr", 1)],
    [("ctr", 1), ("ctr", 2), ("rank", 1)],
    [("ctr", 1), ("ctr", 3), ("rank", 1)],
    [("ctr", 2), ("ctr", 4)],
    [("ctr", 3), ("rank", 2)],
]


def _bundles() -> list[Bundle]:
    made = []
    for serial, served in enumerate(SERVED, 1):
        models: dict[str, dict[int, set[str]]] = {}
        for model, version in served:
            models.setdefault(model, {})[version] = INPUTS[model, version]
        made.append(bundle(models, name=NAME, serial=serial))
    return made


BUNDLES = _bundles()


Killed = SystemExit
"""The process is no more. A thread that ends by this very exception is silent about it."""


WORD, AFTER_WORD = -1, -2


class Step(NamedTuple):
    """Something that goes on in the world: who can follows, time passes, somebody moves.

    but: roots (0, 1, 2) and leaves (3, 4) that do not follow. quick: nobody looks twice, which takes a second.
    """

    move: str
    which: int = 0
    wait: float = 0.0
    but: frozenset[int] = frozenset()
    quick: bool = False


class Plan(NamedTuple):
    """What happens to a process at its n-th operation on the store, from 0, at its word (WORD), or just after that.

    what: fails (before anything is done), lost (it is done and the answer is lost), killed; or the request, or the
    answer, is slow, and meanwhile others do something.
    """

    at: int
    what: str
    meanwhile: tuple[Step, ...] = ()


class MemoryStorage:
    """A store's place, with a clock of its own. What is read is always what was written last."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.name = "memory"
        self.clock = clock
        self.objects: dict[str, tuple[bytes, float]] = {}

    def prepare(self) -> None:
        """Nothing to make."""

    def read(self, key: str, limit: int) -> bytes | None:
        found = self.objects.get(key)
        if found is not None and len(found[0]) > limit:
            raise StoreError(where=key, got="too much")
        return None if found is None else found[0]

    def create(self, key: str, data: bytes) -> bool:
        if key in self.objects:
            return False
        self.objects[key] = (data, self.clock())
        return True

    def replace(self, key: str, data: bytes) -> None:
        self.objects[key] = (data, self.clock())

    def delete(self, key: str) -> None:
        self.objects.pop(key, None)

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in self.objects if key.startswith(prefix))

    def folders(self, prefix: str) -> list[str]:
        return sorted({key.removeprefix(prefix).split("/")[0] for key in self.keys(prefix)})

    def changed_at(self, key: str) -> float | None:
        found = self.objects.get(key)
        return None if found is None else found[1]


class Client:
    """One process's way to the storage, where plans come true."""

    def __init__(self, storage: MemoryStorage, meanwhile: Callable[[Sequence[Step]], None]) -> None:
        self.name = storage.name
        self._storage = storage
        self._meanwhile = meanwhile
        self._plans: dict[int, Plan] = {}
        self._operations = 0
        self._said = False
        self.killed = False

    def begin(self, plans: Sequence[Plan]) -> None:
        self._plans = {plan.at: plan for plan in plans}
        self._operations = 0
        self._said = False
        self.killed = False

    @contextmanager
    def _operation(self, key: str = "") -> Iterator[None]:
        plan = self._plans.pop(self._operations, None)
        self._operations += 1
        if self._said:
            plan = self._plans.pop(AFTER_WORD, plan)
        if key.startswith("acknowledged/"):
            plan = self._plans.pop(WORD, plan)
        self._said = key.startswith("acknowledged/")
        if plan is not None and plan.what == "killed":
            self.killed = True
            raise Killed
        if plan is not None and plan.what == "fails":
            raise StoreError(where="memory", got="no answer")
        if plan is not None and plan.what == "slow request":
            self._meanwhile(plan.meanwhile)
        yield
        if plan is not None and plan.what == "slow answer":
            self._meanwhile(plan.meanwhile)
        if plan is not None and plan.what == "lost":
            raise StoreError(where="memory", got="an answer that was lost")

    def prepare(self) -> None:
        with self._operation():
            self._storage.prepare()

    def read(self, key: str, limit: int) -> bytes | None:
        with self._operation():
            return self._storage.read(key, limit)

    def create(self, key: str, data: bytes) -> bool:
        with self._operation():
            return self._storage.create(key, data)

    def replace(self, key: str, data: bytes) -> None:
        with self._operation(key):
            self._storage.replace(key, data)

    def delete(self, key: str) -> None:
        with self._operation():
            self._storage.delete(key)

    def keys(self, prefix: str) -> list[str]:
        with self._operation():
            return self._storage.keys(prefix)

    def folders(self, prefix: str) -> list[str]:
        with self._operation():
            return self._storage.folders(prefix)

    def changed_at(self, key: str) -> float | None:
        with self._operation():
            return self._storage.changed_at(key)


@dataclass
class Root:
    """One root: a disk, and a process while it runs."""

    stage: Stage
    state: Path
    client: Client
    skew: float = 0.0
    loader: BundleLoader | None = None


@dataclass
class Leaf:
    """One leaf: a process while it runs. served: what it has loaded, by its digests."""

    stage: Stage
    client: Client
    instance: str
    skew: float = 0.0
    digests: StoreDigests | None = None
    served: dict[tuple[str, int], str] = field(default_factory=dict)
    busy: bool = False


@dataclass
class Answering:
    """A map by which requests were trimmed that may still be on their way, until a time."""

    map: ConsolidatedMap
    until: float


class World:
    """Everything, and the one law: `check`."""

    def __init__(self, folder: Path, *, acknowledge: bool) -> None:
        self.time = 1e6
        self.folder = folder
        self.storage = MemoryStorage(lambda: self.time - 3e5)
        self.store = Store.create(self.storage, Settings(lease_s=LEASE_S, acknowledge=acknowledge))
        for each in BUNDLES:
            self.store.put_bundle(each)
        stages = (Stage.CANARY, Stage.CANARY, Stage.PRODUCTION)
        self.roots = [Root(stage, folder / f"root-{n}", self._client()) for n, stage in enumerate(stages)]
        self.leaves = [Leaf(stage, self._client(), f"leaf-{n}") for n, stage in enumerate((stages[0], stages[2]))]
        self.ghosts: list[tuple[Stage, str]] = []
        self.on_the_way: dict[tuple[int, int], Answering] = {}
        self.snapshots: list[dict[str, tuple[bytes, float]]] = []
        self.restored = False
        self.disk_damaged = False
        self.damaged: tuple[str, tuple[bytes, float]] | None = None
        self.failure: AssertionError | None = None
        self.nested = False

    # --- roots

    def look(self, number: int, plans: Sequence[Plan]) -> None:
        """A root looks at the store, or starts and then does."""
        root = self.roots[number]
        with self._begun(root.client, plans):
            if root.loader is None:
                root.loader = BundleLoader(
                    state=root.state,
                    follow=[Follow(store=root.client, name=NAME, stage=root.stage)],
                    in_flight_s=IN_FLIGHT_S,
                    clock=lambda: self.time + root.skew,
                )
            else:
                root.loader.refresh()
        if root.client.killed:
            root.loader = None
        self.check()

    def kill_root(self, number: int) -> None:
        root = self.roots[number]
        self.check()
        root.loader = None
        root.skew += 1e4  # another boot, another beginning of time

    def stop_root(self, number: int, plans: Sequence[Plan]) -> None:
        """A clean stop: requests on their way are waited for, then the word is withdrawn."""
        root = self.roots[number]
        if root.loader is not None:
            self.on_the_way = {key: each for key, each in self.on_the_way.items() if key[0] != number}
            loader, root.loader = root.loader, None
            with self._begun(root.client, plans):
                loader.close()

    def damage_disk(self, number: int, file: int, content: bytes) -> None:
        """Some file of a root's disk is another now; what runs does not notice."""
        files = sorted(path for path in self.roots[number].state.rglob("*.json") if path.is_file())
        if files and not self.restored:
            self.disk_damaged = True
            files[file % len(files)].write_bytes(content)

    # --- leaves

    def step(self, number: int, broken: frozenset[tuple[str, int]], plans: Sequence[Plan]) -> None:
        """A leaf looks at the store and loads what it can, as its ModelLoader does; or starts and then does."""
        leaf = self.leaves[number]
        if leaf.busy:
            return
        leaf.busy = True
        with self._begun(leaf.client, plans), suppress(TrimtabError):
            if leaf.digests is None:
                follower = Follower(Follow(store=leaf.client, name=NAME, stage=leaf.stage), Tier.LEAF)
                leaf.digests = StoreDigests(follower, leaf.instance, lambda: self.time + leaf.skew)
            digests = leaf.digests
            digests.refresh()
            self._forget(leaf)
            for (model, version), names in INPUTS.items():
                if digests.wants(model, version) and (model, version) not in broken:
                    leaf.served[model, version] = digest_of(sorted(names), "")
                    self.check()
            if digests.settle(leaf.served):
                self._forget(leaf)
            digests.confirm()
        leaf.busy = False
        if leaf.client.killed:
            self.kill_leaf(number, same_name=True)
        self.check()

    def kill_leaf(self, number: int, *, same_name: bool) -> None:
        leaf = self.leaves[number]
        leaf.digests, leaf.served = None, {}
        leaf.skew += 1e4
        if not same_name:
            self.ghosts.append((leaf.stage, leaf.instance))
            leaf.instance += "-again"

    def stop_leaf(self, number: int, plans: Sequence[Plan]) -> None:
        leaf = self.leaves[number]
        digests, leaf.digests, leaf.served = leaf.digests, None, {}
        if digests is not None:
            with self._begun(leaf.client, plans):
                digests.close()

    def answer_for_ghosts(self) -> None:
        """Somebody says of leaves that have ended that they have."""
        for stage, instance in self.ghosts:
            withdraw(self.store, NAME, Tier.LEAF, stage, instance)
        self.ghosts.clear()

    def end_process(self, number: int, how: str) -> None:
        """A root (0, 1, 2) or leaf (3, 4) is killed or stopped; nothing else is an end."""
        if number < len(self.roots):
            if how == "killed":
                self.kill_root(number)
            elif how == "stopped":
                self.stop_root(number, [])
        elif how == "killed":
            self.kill_leaf(number - len(self.roots), same_name=True)
        elif how == "stopped":
            self.stop_leaf(number - len(self.roots), [])

    # --- the publisher

    def move(self, move: str, which: int, plans: Sequence[Plan]) -> None:
        """One move of a rollout, or none where it is refused."""
        if self.damaged is None and not self.restored:
            self.snapshots.append(dict(self.storage.objects))
        store, client = Store(self.storage), self._client()
        store.storage = client
        with self._begun(client, plans), suppress(TrimtabError):
            head = store.head(NAME)
            entry = self._entry(store, head, move, BUNDLES[which])
            if entry is not None and self._may(head, entry):
                store.append(entry)
        self.check()

    def _entry(self, store: Store, head: Entry | None, move: str, pending: Bundle) -> Entry | None:
        who = {"by": "somebody", "why": "somehow"}
        if move == "start":
            return machine.start(head, name=NAME, pending=pending.digest, **who)
        if head is None:
            return None
        if move == "hold":
            return machine.hold(head, **who)
        if move == "release":
            return machine.release(head, **who)
        evidence = gather(store, head)
        if move in ("abort", "rollback"):
            return machine.go_back(head, evidence, move=move, **who)
        at_canary = head.rollout is not None and head.rollout.position == "leaf_canary"
        analysis = Analysis(verdict="pass", report="sha256:" + "0" * 64) if at_canary else None
        return machine.advance(head, evidence, analysis=analysis, **who)

    def _may(self, head: Entry | None, entry: Entry) -> bool:
        """Where nobody acknowledges, whoever lets roots forget a bundle has seen to it that no leaf serves it."""
        if self.store.settings.acknowledge or head is None:
            return True
        for stage in Stage:
            before, after = (each.pointers.at(Tier.ROOT, stage) for each in (head, entry))
            stays = {(m, v) for each in BUNDLES if each.digest in after.bundles for m, v in versions(each)}
            wanted = {
                key
                for leaf in self.leaves
                for key in INPUTS
                if leaf.stage is stage and leaf.digests is not None and leaf.digests.wants(*key)
            }
            if not after.covers(before) and (self.nested or not wanted <= stays):
                return False
        return True

    # --- the rest of the world

    def wait(self, seconds: float) -> None:
        """Time goes on, in steps so small that every lease is seen to run out."""
        end = self.time + seconds
        while self.time < end:
            self.time = min(self.time + 0.25, end)
            self.check()

    def meanwhile(self, steps: Sequence[Step]) -> None:
        """What happens while a process hangs in an operation; nobody else hangs in it."""
        if self.nested:
            return
        self.nested = True
        self.check()
        self.go(steps)
        self.nested = False

    def go(self, steps: Sequence[Step], broken: frozenset[tuple[str, int]] = frozenset()) -> None:
        """One step after another. broken: versions that leaves cannot load meanwhile."""
        for step in steps:
            self.wait(step.wait)
            self._follow(step.but, broken)
            if not step.quick:
                self.wait(IN_FLIGHT_S)
                self._follow(step.but, broken)
            self.move(step.move, step.which, [])
        self._follow(steps[-1].but if steps else frozenset(), broken)

    def _follow(self, but: frozenset[int], broken: frozenset[tuple[str, int]]) -> None:
        """Whoever runs, does not hang, and is not left out, looks once."""
        for number, root in enumerate(self.roots):
            if number not in but and root.loader is not None and not root.loader._leased[0]._looking.locked():
                self.look(number, [])
        for number, leaf in enumerate(self.leaves):
            if number + len(self.roots) not in but and leaf.digests is not None:
                self.step(number, broken, [])

    def damage_store(self, which: int, content: bytes) -> None:
        """An object of the store cannot be read, until `mend_store`."""
        keys = [key for key in self.storage.keys("") if key.startswith(("history/", "bundles/"))]
        if keys and self.damaged is None:
            key = keys[which % len(keys)]
            self.damaged = (key, self.storage.objects[key])
            self.storage.objects[key] = (content, self.storage.clock())

    def mend_store(self) -> None:
        """The object is as it was."""
        if self.damaged is not None:
            self.storage.objects[self.damaged[0]] = self.damaged[1]
            self.damaged = None

    def restore_older_store(self, which: int) -> None:
        """The store is as it was, by somebody's mistake.

        Roots that have seen a later entry refuse it. So only where each has, and can still know it: what no root knows
        of, none can refuse.
        """
        if not self.snapshots or self.restored or self.disk_damaged:
            return
        snapshot = self.snapshots[which % len(self.snapshots)]
        number = max((int(key[-17:-5]) for key in snapshot if key.startswith("history/")), default=0)
        if all(entry is not None and entry > number for entry in self._acknowledged()):
            self.storage.objects = dict(snapshot)
            self.restored = True
            self.wait(LEASE_S)  # nobody starts before the leases have run out of those who go on
            self._follow(frozenset(), frozenset())

    def _acknowledged(self) -> list[int | None]:
        """For each root the entry that it last acknowledged."""
        found: list[int | None] = []
        for root in self.roots:
            name = root.state / "instance"
            key = f"acknowledged/{NAME}/root/{root.stage}/{name.read_text().strip() if name.exists() else '?'}.json"
            said = self.storage.objects.get(key)
            found.append(None if said is None else msgspec.json.decode(said[0])["entry"])
        return found

    def check(self) -> None:
        """No request, on its way or sent now, is trimmed of what the version consumes that would answer it."""
        if self.failure is None:
            try:
                self._check()
            except AssertionError as failure:
                self.failure = failure
        if self.failure is not None:  # once more for the main thread, if it was another's
            raise self.failure

    def _check(self) -> None:
        for number, root in enumerate(self.roots):
            if root.loader is not None:
                current = root.loader.current
                self.on_the_way[number, id(current)] = Answering(current, self.time + IN_FLIGHT_S)
        self.on_the_way = {key: each for key, each in self.on_the_way.items() if self.time < each.until}
        for (number, _), each in self.on_the_way.items():
            for leaf in self.leaves:
                if leaf.stage is self.roots[number].stage:
                    _check(each.map, leaf, f"root {number}")

    def _forget(self, leaf: Leaf) -> None:
        assert leaf.digests is not None
        leaf.served = {key: digest for key, digest in leaf.served.items() if leaf.digests.wants(*key)}
        self.check()

    def _client(self) -> Client:
        return Client(self.storage, self.meanwhile)

    @contextmanager
    def _begun(self, client: Client, plans: Sequence[Plan]) -> Iterator[None]:
        client.begin(plans)
        with suppress(Killed):
            yield
        killed = client.killed
        client.begin([])
        client.killed = killed

    def end(self) -> None:
        for root in self.roots:
            root.loader = None
        shutil.rmtree(self.folder)


def versions(each: Bundle) -> list[tuple[str, int]]:
    return [(model, int(version)) for model, bundled in each.models.items() for version in bundled.versions]


def _check(current: ConsolidatedMap, leaf: Leaf, who: str) -> None:
    for model, asked in ASKED:
        served = [version for name, version in leaf.served if name == model]
        answering = asked if asked in served else max(served, default=None) if asked is None else None
        if answering is None:
            continue  # the leaf refuses, or has no such model
        found = current.lookup(model, "" if asked is None else str(asked))
        dropped = INPUTS[model, answering] - found.allowlist if found.allowlist is not None else set()
        assert not dropped, (
            f"{who}: a request for {model}:{asked or '(no version)'} lost {sorted(dropped)} ({found.outcome}),"
            f" and {leaf.instance} answers it with version {answering}"
        )
