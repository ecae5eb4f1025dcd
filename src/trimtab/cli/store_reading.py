"""`trimtab store show`, `history` and `verify`: what is in force, who moved it when, and whether the store is sound."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from trimtab.cli.columns import in_columns, numbered
from trimtab.cli.exit_codes import EXIT_REFUSED
from trimtab.cli.progress import progress
from trimtab.cli.store_option import chosen_name, name_option, store_option

if TYPE_CHECKING:
    from trimtab.bundles.store.acknowledged import Acknowledged
    from trimtab.bundles.store.entry import Entry
    from trimtab.bundles.store.pointers import Pointer, Stage, Tier
    from trimtab.bundles.store.store import Store

_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.command()
@store_option
@_JSON
def show(*, place: str, as_json: bool) -> None:
    """Show what is in force: for each bundle name its pointers, and what roots and leaves say they have.

    \b
    Examples:
      trimtab store show --store deploy/store
      trimtab store show --store s3://models/store --json | jq .names
    """
    from trimtab.bundles.store.opening import open_store

    store = open_store(place)
    shown = {name: _state(store, name) for name in store.names()}
    if as_json:
        settings = {"lease_s": store.settings.lease_s, "acknowledge": store.settings.acknowledge}
        click.echo(json.dumps({"store": store.name, **settings, "names": shown}, indent=2))
        return
    click.echo(f"{store.name}: {numbered(len(store.bundles()), 'bundle')}, lease {store.settings.lease_s:g} s")
    for name, state in shown.items():
        at = f", rollout at {state['position']}" if state["position"] else ""
        click.echo(f"\n{name}: entry {state['number']} of {state['at'][:19]}Z{at}")
        click.echo("\n".join(_pointer_lines(state, store.settings.lease_s)))
    if not shown:
        click.echo("Nothing is in force yet. Begin: trimtab rollout start BUNDLE")


def _state(store: Store, name: str) -> dict[str, Any]:
    from trimtab.bundles.store.pointers import Stage, Tier

    head = store.head(name)
    if head is None:
        return {}
    return {
        "number": head.number,
        "hash": head.hash,
        "at": head.at,
        "position": head.rollout.position.value if head.rollout is not None else None,
        "pointers": {
            f"{tier}_{stage}": {
                **_pointer(head.pointers.at(tier, stage)),
                "acknowledged": [_said(each) for each in _acknowledged(store, name, tier, stage)],
            }
            for stage in Stage
            for tier in Tier
        },
    }


def _acknowledged(store: Store, name: str, tier: Tier, stage: Stage) -> list[Acknowledged]:
    """What was acknowledged. Where it cannot be read, or nothing may be written to ask the time, that is said."""
    from trimtab.bundles.store.acknowledged import acknowledged
    from trimtab.errors import StoreError

    try:
        return acknowledged(store, name, tier, stage)
    except StoreError as failure:
        click.echo(f"note: acknowledgments of the {tier} of {stage} cannot be read: {failure}", err=True)
        return []


def _pointer(pointer: Pointer) -> dict[str, str | None]:
    return {"current": pointer.current, "pending": pointer.pending}


def _said(each: Acknowledged) -> dict[str, object]:
    return {
        "instance": each.instance,
        "entry": each.said.entry,
        "age_s": round(each.age_s, 1),
        **_pointer(each.said.in_force),
    }


def _pointer_lines(state: dict[str, Any], lease_s: float) -> list[str]:
    rows = [("stage", "tier", "in force", "acknowledged")]
    for place, pointer in state["pointers"].items():
        tier, _, stage = place.partition("_")
        bundles = [each.removeprefix("sha256:")[:12] for each in (pointer["current"], pointer["pending"]) if each]
        rows.append((stage, tier, " + ".join(bundles) or "nothing", _followed(tier, pointer, lease_s)))
    return in_columns(rows)


def _followed(tier: str, pointer: dict[str, Any], lease_s: float) -> str:
    """How many have said what they have, and how many of them have what the pointer says."""
    said = pointer["acknowledged"]
    if not said:
        return "by nobody"
    follow = sum((each["current"], each["pending"]) == (pointer["current"], pointer["pending"]) for each in said)
    silent = sum(each["age_s"] > lease_s for each in said) if tier == "root" else 0
    return f"by {len(said)}, {follow} of them follow" + (f", {silent} silent" if silent else "")


@click.command()
@store_option
@name_option
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many entries.")
@_JSON
def history(*, place: str, name: str, limit: int, as_json: bool) -> None:
    """List who moved what, when and why, the newest first.

    \b
    Examples:
      trimtab store history --store deploy/store --name ads
      trimtab store history --store deploy/store --limit 1 --json | jq '.entries[0].pointers'
    """
    import msgspec

    from trimtab.bundles.store.opening import open_store

    store = open_store(place)
    name = chosen_name(store, name)
    # One more than is shown: what an entry moved is told by the one before it.
    entries = store.newest(name, limit + 1)
    shown = entries[:limit]
    if as_json:
        listed = [{**msgspec.to_builtins(each), "hash": each.hash} for each in shown]
        click.echo(json.dumps({"name": name, "entries": listed}, ensure_ascii=False, indent=2))
        return
    _print_history(shown, entries)


def _print_history(shown: list[Entry], entries: list[Entry]) -> None:
    from trimtab.signature.render import printable

    before = {each.number: each for each in entries}
    for each in shown:
        why = f": {printable(each.why)}" if each.why else ""
        click.echo(f"entry {each.number}  {each.at[:19]}Z  {printable(each.move)} by {printable(each.by)}{why}")
        for moved in _moves(before.get(each.number - 1), each):
            click.echo(f"    {moved}")


def _moves(before: Entry | None, entry: Entry) -> list[str]:
    """Which pointers an entry moved, and its rollout's position."""
    from trimtab.bundles.store.pointers import Pointers, Stage, Tier

    old = before.pointers if before is not None else Pointers()
    moved = [
        f"{tier} {stage}: {old.at(tier, stage)} -> {entry.pointers.at(tier, stage)}"
        for stage in Stage
        for tier in Tier
        if str(old.at(tier, stage)) != str(entry.pointers.at(tier, stage))  # "nothing and A" is told like "A"
    ]
    was = before.rollout if before is not None else None
    if entry.rollout is not None and (was is None or was.position is not entry.rollout.position):
        moved.append(f"rollout: {was.position if was is not None else 'none'} -> {entry.rollout.position}")
    return moved


@click.command()
@store_option
@_JSON
def verify(*, place: str, as_json: bool) -> int:
    """Read everything in a store, and say what of it is not sound.

    Every object is held to its digest, each history to the hashes that chain it, its pointers to the bundles that are
    there and to the order of a rollout. Exit code 100 when anything is not sound; notes do not count.

    \b
    Examples:
      trimtab store verify --store deploy/store
      trimtab store verify --store s3://models/store --json | jq .flaws
    """
    from trimtab.bundles.store.opening import open_store
    from trimtab.bundles.store.verifying import verify_store

    with progress("verifying objects") as told:
        store = open_store(place)
        found = verify_store(store, told)
    if as_json:
        flaws = [{"level": each.level.value, "where": each.where, "problem": each.problem} for each in found.flaws]
        result = {"store": store.name, "sound": found.sound, "objects": found.objects, "heads": found.heads}
        click.echo(json.dumps({**result, "flaws": flaws}, ensure_ascii=False, indent=2))
    else:
        for each in found.flaws:
            click.echo(f"{each.level}: {each.where}: {each.problem}")
        heads = ", ".join(f"{name} ends with entry {number}" for name, number in sorted(found.heads.items()))
        click.echo(f"{found.objects} objects, {heads or 'no history'}: {'sound' if found.sound else 'not sound'}")
    return 0 if found.sound else EXIT_REFUSED
