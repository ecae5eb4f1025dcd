"""`trimtab store list` and `prune`: which bundles lie in a store, what becomes of each, and which nobody needs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from trimtab.cli.columns import in_columns, numbered
from trimtab.cli.rollout_status import age
from trimtab.cli.store_option import store_option, typed_options
from trimtab.signature.render import printable

if TYPE_CHECKING:
    from trimtab.bundles.store.pruning import Pruned
    from trimtab.bundles.store.store import Store

_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")

_DAY_S = 86400


@click.command("list")
@store_option
@_JSON
def list_bundles(*, place: str, as_json: bool) -> None:
    """List the bundles that lie in a store, and what each is there for.

    The digest, or its first digits, is what `trimtab rollout start` and `trimtab store attest` take.

    \b
    Examples:
      trimtab store list --store deploy/store
      trimtab store list --store s3://models/store --json | jq -r '.bundles[].digest'
    """
    from trimtab.bundles.store.opening import open_store

    store = open_store(place)
    listed = _listed(store)
    if as_json:
        click.echo(json.dumps({"store": store.name, "bundles": listed}, ensure_ascii=False, indent=2))
    elif listed:
        click.echo("\n".join(in_columns([_HEADER, *map(_row, listed)], right=(1, 3))))
    else:
        click.echo(f"No bundle lies in {store.name}. Put one there: trimtab store publish BUNDLE")


_HEADER = ("name", "serial", "digest", "models", "published", "")


def _listed(store: Store) -> list[dict[str, Any]]:
    """Every bundle as `--json` has it, by name and serial."""
    from trimtab.bundles.store.needed import Use, uses
    from trimtab.errors import StoreError

    known, now, found = uses(store).of, store.now(), []
    for digest in store.bundles():
        try:
            bundle, published_at = store.bundle(digest), store.published_at(digest)
        except StoreError:
            if store.has_bundle(digest):
                raise
            continue  # pruned meanwhile
        use = known.get(digest, Use())
        found.append(
            {
                "name": bundle.name,
                "serial": bundle.serial,
                "digest": digest,
                "models": len(bundle.models),
                "versions": sum(len(model.versions) for model in bundle.models.values()),
                "published_s": round(now - published_at, 1),
                "needed": list(use.needed),
                "until": None if use.until is None else {"name": use.until[0], "entry": use.until[1]},
            }
        )
    return sorted(found, key=lambda each: (each["name"], each["serial"], each["digest"]))


def _row(each: dict[str, Any]) -> tuple[str, ...]:
    figures = str(each["models"]), f"{age(each['published_s'])} ago"
    return printable(each["name"]), str(each["serial"]), each["digest"][:_SHORT], *figures, _use(each)


_SHORT = len("sha256:") + 12
"""So much of a digest is told: enough to be typed in its place."""


def _use(each: dict[str, Any]) -> str:
    if each["needed"]:
        return "; ".join(each["needed"])
    until = each["until"]
    return "never started" if until is None else f"was in force until entry {until['entry']} of {until['name']}"


@click.command()
@store_option
@click.option(
    "--keep",
    "keep_days",
    type=click.FloatRange(0),
    default=30.0,
    show_default=True,
    metavar="DAYS",
    help="Keep what was published, or in force, within so many days.",
)
@click.option("--delete", is_flag=True, help="Do it. Without this, only what would be removed is listed.")
@_JSON
def prune(*, place: str, keep_days: float, delete: bool, as_json: bool) -> None:
    """List the bundles that nobody needs, and remove them with --delete.

    Never removed: what is in force anywhere or being rolled out, what a rollback restores, what was ever rolled back,
    what a root or leaf says that it has, and what is younger, or was in force more lately, than --keep says. With a
    bundle go its attestations, and signature documents that no other bundle names. The history stays whole. Safe while
    others publish, start and roll back.

    \b
    Examples:
      trimtab store prune --store deploy/store
      trimtab store prune --store deploy/store --keep 90 --delete
    """
    from trimtab.bundles.store import pruning
    from trimtab.bundles.store.opening import open_store

    store = open_store(place)
    found = (pruning.prune if delete else pruning.prunable)(store, keep_days * _DAY_S)
    if as_json:
        import msgspec

        facts = {"store": store.name, "deleted": delete, **msgspec.to_builtins(found)}
        click.echo(json.dumps(facts, ensure_ascii=False, indent=2))
        return
    for line in _pruned(found):
        click.echo(line)
    done = "removed" if delete else "may be removed"
    going = f"{numbered(len(found.bundles), 'bundle')} and {numbered(found.signatures, 'signature')}"
    click.echo(f"{going} {done}; {numbered(found.kept, 'bundle')} {'stays' if found.kept == 1 else 'stay'}")
    if not delete and (found.bundles or found.signatures):
        days = "" if keep_days == 30 else f" --keep {keep_days:g}"
        click.echo(f"Remove them: trimtab store prune{typed_options(place, '')}{days} --delete")


def _pruned(found: Pruned) -> list[str]:
    rows = [("name", "serial", "digest", "published", "in force")]
    for each in found.bundles:
        dropped = "never" if each.dropped_s is None else f"until {age(each.dropped_s)} ago"
        figures = each.digest[:_SHORT], f"{age(each.age_s)} ago", dropped
        rows.append((printable(each.name), str(each.serial), *figures))
    spared = [f"{each}: stays: somebody began to use it meanwhile" for each in found.spared]
    return [*(in_columns(rows, right=(1,)) if found.bundles else []), *spared]
