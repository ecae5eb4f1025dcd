"""`trimtab rollout status`, and what the commands that move a rollout print."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from trimtab.cli.store_option import chosen_name, name_option, store_option

if TYPE_CHECKING:
    from trimtab.bundles.store.entry import Entry
    from trimtab.bundles.store.pointers import Pointer
    from trimtab.rollout.status import RolloutStatus


@click.command()
@store_option
@name_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(*, place: str, name: str, as_json: bool) -> None:
    """Show how far a rollout is, who has followed, and what the next step waits for.

    \b
    Examples:
      trimtab rollout status --store deploy/store
      trimtab rollout status --store deploy/store --name ads --json | jq .awaited
    """
    import msgspec

    from trimtab.bundles.store.opening import open_store
    from trimtab.rollout.status import status as status_of

    store = open_store(place)
    found = status_of(store, chosen_name(store, name))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
        return
    _print(found)


def print_moved(head: Entry, made: tuple[Entry, ...], *, as_json: bool) -> None:
    """Print the entries that a command appended, and where the rollout is by them."""
    import msgspec

    position = "" if head.rollout is None else head.rollout.position
    if as_json:
        done = {"name": head.name, "entry": head.number, "position": position, "moved": [each.number for each in made]}
        encoded = msgspec.json.encode({**done, "pointers": head.pointers, "rollout": head.rollout})
        click.echo(msgspec.json.format(encoded, indent=2))
        return
    if not made:
        click.echo(f"{head.name}: nothing to do: it is at {position} already (entry {head.number})")
    for each in made:
        at = "" if each.rollout is None else each.rollout.position
        held = f", held: {each.rollout.held}" if each.rollout is not None and each.rollout.held else ""
        click.echo(f"{each.name}: entry {each.number}: {each.move}: {at}{held}")


def _print(found: RolloutStatus) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text(_headline(found)), soft_wrap=True)
    if found.steps:
        console.print(_stages(found))
    if found.followers:
        console.print(_followers(found))
    for line in _next(found):
        console.print(Text(line), soft_wrap=True)


def _headline(found: RolloutStatus) -> str:
    if found.pending is None:
        return f"{found.name}: entry {found.entry}; no rollout"
    into = f"{_bundle(found, found.pending)} after {_bundle(found, found.current)}"
    by = f"by {found.started_by}" + (f": {found.started_why}" if found.started_why else "")
    return f"{found.name}: {found.position}: {into}, started {_age(found.age_s)} ago {by}"


_STYLES = {"done": "green", "now": "bold cyan", "held": "bold yellow", "to come": "dim", "undone": "red"}


def _stages(found: RolloutStatus) -> object:
    """The five steps, each with the pointer that it moves and who follows that."""
    from rich.table import Table
    from rich.text import Text

    table = Table("", "step", "in force", "followed by", box=None)
    pointers = {f"{each.tier} {each.stage}": each for each in found.in_force}
    for step in found.steps:
        pointer = pointers.get(step.name)
        if pointer is None:
            in_force, followed = _analysis(found), ""
        else:
            in_force = _pointer(found, pointer.pointer)
            followed = f"{pointer.following} of {pointer.acknowledged}" if pointer.acknowledged else ""
        table.add_row(Text(step.mark, style=_STYLES[step.mark]), step.name, Text(in_force), followed)
    return table


def _followers(found: RolloutStatus) -> object:
    from rich.table import Table
    from rich.text import Text

    table = Table("instance", "tier", "has", "entry", "said", "", box=None)
    for each in found.followers:
        state = "follows" if each.follows else "silent" if each.silent else "has not followed"
        table.add_row(
            Text(each.instance),
            f"{each.tier} {each.stage}",
            Text(_pointer(found, each.in_force)),
            str(each.entry),
            f"{_age(each.age_s)} ago",
            Text(state, style="green" if each.follows else "dim" if each.silent else "yellow"),
        )
    return table


def _next(found: RolloutStatus) -> list[str]:
    if not found.next:
        return ["The rollout is over." if found.position else "Begin one: trimtab rollout start BUNDLE"]
    waits = [f"  {each}" for each in found.awaited]
    if found.can_move:
        back = found.position in ("covering_back", "leaves_back")
        return [f"next: {found.next}: trimtab rollout {'rollback' if back else 'advance'}"]
    needs = f" needs {found.needs}" if found.needs else ""
    if not waits:
        return [f"next: {found.next}{needs}"]
    return [f"next: {found.next}{needs + ', and' if needs else ''} waits for", *waits]


def _analysis(found: RolloutStatus) -> str:
    if found.analysis is None:
        return ""
    without = f"without: {found.analysis.without}" if found.analysis.without else ""
    return without or found.analysis.verdict


def _pointer(found: RolloutStatus, pointer: Pointer) -> str:
    serials = [str(found.serials.get(each) or each.removeprefix("sha256:")[:8]) for each in pointer.bundles]
    return f"serial {' + '.join(serials)}" if serials else "nothing"


def _bundle(found: RolloutStatus, digest: str | None) -> str:
    if digest is None:
        return "nothing"
    short = digest.removeprefix("sha256:")[:8]
    serial = found.serials.get(digest)
    return f"serial {serial} ({short})" if serial is not None else short


def _age(seconds: float) -> str:
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{max(seconds, 0):.0f} s"
