"""`trimtab rollout`: bring a bundle into force stage by stage, watch it, and take it back."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from trimtab.cli.lazy import OrderedGroup
from trimtab.cli.rollout_status import age, print_entry, print_moved, status
from trimtab.cli.store_option import chosen_name, name_option, store_option, who_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from trimtab.bundles.bundle import Bundle
    from trimtab.bundles.store.entry import Entry
    from trimtab.bundles.store.store import Store
    from trimtab.rollout.awaited import AwaitedError
    from trimtab.rollout.rollouts import Rollouts
    from trimtab.stability.configuration import Configuration

_Command = TypeVar("_Command", bound="Callable[..., object]")

_FILE = click.Path(path_type=Path, dir_okay=False)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_WAIT = click.option(
    "--wait", "wait_s", type=click.FloatRange(0), default=0.0, metavar="SECONDS", help="Wait so long for others."
)
_GONE = click.option("--gone", multiple=True, metavar="LEAF", help="This leaf has ended for good: await it no longer.")


def _on_rollout(command: _Command) -> _Command:
    """The options of every command that moves a rollout."""
    return store_option(name_option(who_options(_JSON(command))))


@click.group(cls=OrderedGroup)
def rollout() -> None:
    """Roll a bundle out stage by stage: roots first, back leaves first.

    root canary, leaf canary, canary analysis, root production, leaf production: each step is one `advance`, which
    refuses with exit code 100 while somebody has not followed the step before. `abort` and `rollback` go back.

    \b
    Example:
      trimtab rollout start ads.json --store deploy/store && trimtab rollout status --store deploy/store
    """


@rollout.command()
@click.argument("bundle", metavar="BUNDLE")
@click.option(
    "--public-key",
    "keys",
    type=_FILE,
    multiple=True,
    metavar="KEY",
    help="Refuse a bundle that no holder of such a key attested (PEM).",
)
@click.option(
    "--gate",
    type=click.Choice(["config", "none"]),
    default="config",
    show_default=True,
    help="config: hold changed models to the nearest trimtab.toml. none: to nothing, as `bundle build --gate none`.",
)
@_on_rollout
def start(
    *, bundle: str, keys: tuple[Path, ...], gate: str, place: str, name: str, by: str, why: str, as_json: bool
) -> None:
    """Publish a bundle, and let the roots of the canary take it beside the one in force.

    BUNDLE is a file, which is put into the store with its signatures, or the digest of a bundle that lies there. It is
    refused unless it is built on the bundle in force, passes the gate against it, and changes no version in place.
    Starting what is in force, or is being rolled out already, does nothing.

    \b
    Examples:
      trimtab rollout start ads.json --store deploy/store --why "ctr:9"
      trimtab rollout start sha256:3b5d… --store s3://models/store --public-key release.pub.pem
    """
    from trimtab.bundles.store.opening import open_store
    from trimtab.errors import StoreError
    from trimtab.rollout.rollouts import Rollouts

    store = open_store(place)
    pending = _published(store, bundle)
    if name and name != pending.name:
        raise StoreError(
            where=bundle,
            expected=f"a bundle named {name!r}",
            got=repr(pending.name),
            hint="A bundle brings its name along: leave --name out, or build it with that: trimtab bundle build --name",
        )
    if keys:
        from trimtab.bundles.store.attestation import read_public_keys, verify_attested

        verify_attested(store, pending.digest, read_public_keys(keys))
    configuration = _configuration(bundle) if gate == "config" else None
    rollouts = Rollouts(store, pending.name, moved=_told(as_json=as_json))
    entry, begun = rollouts.start(pending, configuration=configuration, by=by, why=why)
    print_moved(entry, (entry,) if begun else (), as_json=as_json)


rollout.add_command(status)


@rollout.command()
@click.option(
    "--to",
    type=click.Choice(["leaf_canary", "analyzed", "root_production", "leaf_production", "settled"]),
    metavar="POSITION",
    help="Make the step that leads to leaf_canary, analyzed, root_production, leaf_production or settled, and no other;"
    " nothing is done where it is made already.",
)
@click.option("--analysis", type=_FILE, metavar="REPORT", help="The report of the canary's analysis (JSON).")
@click.option(
    "--without-analysis", is_flag=True, help="Go on without one: --why says who answers for it, and why they may."
)
@_GONE
@_WAIT
@_on_rollout
def advance(
    *,
    to: str | None,
    analysis: Path | None,
    without_analysis: bool,
    gone: tuple[str, ...],
    wait_s: float,
    place: str,
    name: str,
    by: str,
    why: str,
    as_json: bool,
) -> None:
    """Make the next step of a rollout.

    After the leaf canary the report of `trimtab canary analyze` is asked for: its verdict must be pass, it must be
    about this bundle, and be made since the canary serves it. Refused with exit code 100 while somebody has not
    followed: --wait asks again until they have. Scripts that may be run again say --to, lest they make two steps.

    \b
    Examples:
      trimtab rollout advance --store deploy/store --wait 60
      trimtab rollout advance --store deploy/store --to leaf_canary
      trimtab rollout advance --store deploy/store --analysis report.json
    """
    from trimtab.bundles.store.entry import Position
    from trimtab.rollout.reports import read_report

    if analysis is not None and without_analysis:
        raise click.UsageError("--analysis and --without-analysis exclude each other.")
    if without_analysis and not why.strip():
        raise click.UsageError("--without-analysis needs --why: it is written into the history.")
    rollouts = _rollouts(place, name, as_json=as_json)
    position = Position(to) if to is not None else None
    reached = rollouts.reached(position) if position is not None else None
    if reached is not None:
        print_moved(reached, (), as_json=as_json)
        return
    entry = rollouts.advance(
        to=position,
        report=read_report(analysis) if analysis is not None else None,
        without_analysis=without_analysis,
        gone=gone,
        wait_s=wait_s,
        by=by,
        why=why,
    )
    print_moved(entry, (entry,), as_json=as_json)


@rollout.command()
@click.option("--release", is_flag=True, help="Let a held rollout go on.")
@_on_rollout
def hold(*, release: bool, place: str, name: str, by: str, why: str, as_json: bool) -> None:
    """Keep a rollout from going forward, or release it.

    --why is the reason that whoever wants to advance is told. A held rollout may still go back.

    \b
    Examples:
      trimtab rollout hold --store deploy/store --why "the on-call looks at ctr first"
      trimtab rollout hold --store deploy/store --release
    """
    if not release and not why.strip():
        raise click.UsageError("hold needs --why: whoever wants to advance is told.")
    rollouts = _rollouts(place, name, as_json=as_json)
    entry = rollouts.release(by=by, why=why) if release else rollouts.hold(by=by, why=why)
    print_moved(entry, (entry,), as_json=as_json)


@rollout.command()
@_GONE
@_WAIT
@_on_rollout
def abort(*, gone: tuple[str, ...], wait_s: float, place: str, name: str, by: str, why: str, as_json: bool) -> None:
    """Give a rollout in motion up: leaves go back to the bundle in force before, then roots.

    Makes every step that can be made now. Exit code 100 where somebody has to follow first: do it again, or --wait.

    \b
    Example:
      trimtab rollout abort --store deploy/store --why "ctr:9 scores zero" --wait 60
    """
    head, made = _rollouts(place, name, as_json=as_json).go_back("abort", gone=gone, wait_s=wait_s, by=by, why=why)
    print_moved(head, made, as_json=as_json)


@rollout.command()
@_GONE
@_WAIT
@_on_rollout
def rollback(*, gone: tuple[str, ...], wait_s: float, place: str, name: str, by: str, why: str, as_json: bool) -> None:
    """Restore the bundle that was in force before, also after a rollout has settled.

    Roots that have dropped it take it again first, then leaves go back, then roots drop the newer one. Makes every
    step that can be made now. Exit code 100 where somebody has to follow first: do it again, or --wait.

    \b
    Example:
      trimtab rollout rollback --store deploy/store --why "revenue fell" --wait 600
    """
    rollouts = _rollouts(place, name, as_json=as_json)
    head, made = rollouts.go_back("rollback", gone=gone, wait_s=wait_s, by=by, why=why)
    print_moved(head, made, as_json=as_json)


def _rollouts(place: str, name: str, *, as_json: bool) -> Rollouts:
    from trimtab.bundles.store.opening import open_store
    from trimtab.rollout.rollouts import Rollouts

    store = open_store(place)
    return Rollouts(store, chosen_name(store, name), moved=_told(as_json=as_json), waiting=_Waiting())


def _told(*, as_json: bool) -> Callable[[Entry], None]:
    """What is done with each entry at once: it is printed, or left to the JSON at the end."""
    return (lambda _entry: None) if as_json else print_entry


class _Waiting:
    """Tells a terminal who is waited for, once for each change of that."""

    def __init__(self) -> None:
        self._last: list[tuple[str, str, str]] = []

    def __call__(self, refusal: AwaitedError, left_s: float) -> None:
        awaited = [(str(each.tier), str(each.stage), each.instance) for each in refusal.awaited]
        if awaited != self._last and sys.stderr.isatty():
            told = "\n".join(f"  {each}" for each in refusal.awaited)
            click.echo(f"waiting for at most {age(left_s)} for\n{told}", err=True)
        self._last = awaited


def _published(store: Store, bundle: str) -> Bundle:
    """The bundle, which lies in the store now with its signatures."""
    from trimtab.errors import StoreError

    if bundle.startswith("sha256:"):
        return store.bundle(store.with_beginning(bundle))
    if not os.path.exists(bundle):
        raise StoreError(
            where=bundle,
            expected="the file of a bundle, or the digest (sha256:…) of one in the store",
            got="nothing there",
            hint=f"Build it: trimtab bundle build REPOSITORY -o {shlex.quote(bundle)}"
            f"\n  What lies in the store: trimtab store list --store {shlex.quote(store.name)}",
        )
    from trimtab.bundles.building.index import SignatureIndex
    from trimtab.bundles.bundle import read_bundle
    from trimtab.bundles.store.publishing import publish
    from trimtab.cli.progress import progress

    read = read_bundle(bundle)
    with SignatureIndex.beside(Path(bundle)) as index, progress("publishing signatures") as told:
        publish(store, read, index.document, told)
    return read


def _configuration(bundle: str) -> Configuration:
    """What the trimtab.toml nearest to the bundle's file says, or to where we are; FREEZE where there is none."""
    from trimtab.stability.configuration import Configuration, configuration_file, read_configuration

    found = configuration_file("." if bundle.startswith("sha256:") else os.path.dirname(bundle) or ".")
    return read_configuration(found) if found else Configuration()
