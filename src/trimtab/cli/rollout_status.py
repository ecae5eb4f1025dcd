"""`trimtab rollout status`, and what the commands that move a rollout print."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from trimtab.cli.columns import colored, in_columns
from trimtab.cli.store_option import chosen_name, name_option, store_option, typed_options
from trimtab.signature.render import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    for line in _lines(found, typed_options(place, name)):
        click.echo(line)


def print_moved(head: Entry, made: tuple[Entry, ...], *, as_json: bool) -> None:
    """Print where a rollout is after a command, and as JSON what the command did; see `print_entry`."""
    import msgspec

    position = "" if head.rollout is None else head.rollout.position
    if as_json:
        done = {"name": head.name, "entry": head.number, "position": position, "moved": [each.number for each in made]}
        encoded = msgspec.json.encode({**done, "pointers": head.pointers, "rollout": head.rollout})
        click.echo(msgspec.json.format(encoded, indent=2))
    elif not made:
        click.echo(f"{head.name}: nothing to do: it is at {position} already (entry {head.number})")


def print_entry(entry: Entry) -> None:
    """Print one entry as soon as it is in the history: what a command did before it had to wait counts as well."""
    at = "" if entry.rollout is None else entry.rollout.position
    held = f", held: {entry.rollout.held}" if entry.rollout is not None and entry.rollout.held else ""
    click.echo(printable(f"{entry.name}: entry {entry.number}: {entry.move}: {at}{held}"))


def _lines(found: RolloutStatus, options: str) -> Iterator[str]:
    """The status for a person. options: by which the store was found, for the commands that come next."""
    yield printable(_headline(found))
    if found.steps:
        yield from _stages(found)
    if found.followers:
        yield from _followers(found)
    yield from _next(found, options)
    yield from (f"note: {each}" for each in found.notes)


def _headline(found: RolloutStatus) -> str:
    if found.pending is None:
        return f"{found.name}: entry {found.entry}; no rollout"
    into = f"{_bundle(found, found.pending)} after {_bundle(found, found.current)}"
    by = f"by {found.started_by}" + (f": {found.started_why}" if found.started_why else "")
    since = f"{found.position} since {age(found.at_position_s)}"
    return f"{found.name}: {since}: {into}, started {age(found.age_s)} ago {by}"


_COLORS = {"done": "green", "now": "cyan", "held": "yellow", "undoing": "yellow", "undone": "red"}


def _stages(found: RolloutStatus) -> Iterator[str]:
    """The five steps, each with the pointer that it moves and who follows that."""
    rows = [("", "step", "in force", "followed by")]
    pointers = {f"{each.tier} {each.stage}": each for each in found.in_force}
    for step in found.steps:
        pointer = pointers.get(step.name)
        if pointer is None:
            in_force, followed = printable(_analysis(found)), ""
        else:
            in_force = _pointer(found, pointer.pointer)
            followed = f"{pointer.following} of {pointer.acknowledged}" if pointer.acknowledged else "nobody"
        rows.append((step.mark, step.name, in_force, followed))
    for line, row in zip(in_columns(rows), rows, strict=True):
        yield colored(line, _COLORS, row[0])


_STATES = {"follows": "green", "has not followed": "yellow"}


def _followers(found: RolloutStatus) -> Iterator[str]:
    rows = [("instance", "tier", "has", "entry", "said", "")]
    for each in found.followers:
        state = "follows" if each.follows else "silent" if each.silent else "has not followed"
        has, said = _pointer(found, each.in_force), f"{age(each.age_s)} ago"
        rows.append((each.instance, f"{each.tier} {each.stage}", has, str(each.entry), said, state))
    for line, row in zip(in_columns(rows, right=(3,)), rows, strict=True):
        yield colored(line, _STATES, row[-1])


def _next(found: RolloutStatus, options: str) -> Iterator[str]:
    """What can be done now: forward, or further back; and how to go back."""
    if not found.next:
        yield "The rollout is over." if found.position else f"Begin one: trimtab rollout start BUNDLE{options}"
    elif found.can_move:
        back = found.position in ("covering_back", "leaves_back")
        yield f"next: {found.next}: trimtab rollout {'rollback' if back else 'advance'}{options}"
    else:
        needs = f" needs {found.needs}" if found.needs else ""
        waits = f"{', and' if needs else ''} waits for" if found.awaited else ""
        yield printable(f"next: {found.next}{needs}{waits}")
        yield from (f"  {each}" for each in found.awaited)
    if found.back:
        command = "abort" if found.next else "rollback"
        yield f"back: {found.back}: trimtab rollout {command}{options}{', waits for' if found.back_awaited else ''}"
        yield from (f"  {each}" for each in found.back_awaited)


def _analysis(found: RolloutStatus) -> str:
    if found.analysis is None:
        return ""
    without = f"without: {found.analysis.without}" if found.analysis.without else ""
    return without or found.analysis.verdict


def _pointer(found: RolloutStatus, pointer: Pointer) -> str:
    serials = [str(found.serials.get(each) or each.removeprefix("sha256:")[:12]) for each in pointer.bundles]
    return f"serial {' + '.join(serials)}" if serials else "nothing"


def _bundle(found: RolloutStatus, digest: str | None) -> str:
    if digest is None:
        return "nothing"
    short = digest.removeprefix("sha256:")[:12]
    serial = found.serials.get(digest)
    return f"serial {serial} ({short})" if serial is not None else short


def age(seconds: float) -> str:
    """A time that has passed, in the largest unit of which there is one."""
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{max(seconds, 0):.0f} s"
