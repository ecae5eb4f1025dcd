"""`trimtab store`: begin a store of bundles, publish into it, and attest what lies in it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from trimtab.cli.lazy import OrderedGroup
from trimtab.cli.progress import progress
from trimtab.cli.store_contents import list_bundles, prune
from trimtab.cli.store_option import store_option
from trimtab.cli.store_reading import history, show, verify

_FILE = click.Path(path_type=Path, dir_okay=False)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group(cls=OrderedGroup)
def store() -> None:
    """Keep bundles, and the history of what is in force where.

    A store is a folder, or a place in an object store (s3://, gs://, az://). What is put into it is never changed; the
    end of a history says which bundle each tier has in force, and is moved by `trimtab rollout`.

    \b
    Example:
      trimtab store init deploy/store && trimtab store publish ads.json --store deploy/store
    """


@store.command()
@click.argument("place", envvar="TRIMTAB_STORE")
@click.option("--lease", type=float, metavar="SECONDS", help="How long a root out of touch trims.  [default: 600]")
@click.option("--acknowledge", type=click.Choice(["yes", "no"]), help="Whether roots can write here.  [default: yes]")
@_JSON
def init(*, place: str, lease: float | None, acknowledge: str | None, as_json: bool) -> None:
    """Begin a store at PLACE: a folder, or s3://BUCKET/PREFIX, gs://… or az://…; or at TRIMTAB_STORE's.

    --lease: for so long after a root last heard from the store it trims requests that name no exact version; then it
    lets them pass through. The longer, the longer a rollout may have to wait for a root that has gone silent.
    --acknowledge no: roots only read the store, and each move of a leaf waits for a whole lease.

    A store that is there already stays as it is.

    \b
    Examples:
      trimtab store init deploy/store
      trimtab store init s3://models/store --lease 60
    """
    from msgspec.structs import replace

    from trimtab.bundles.store.opening import storage_at
    from trimtab.bundles.store.store import Settings, Store

    settings = Settings()
    if lease is not None:
        settings = replace(settings, lease_s=lease)
    if acknowledge is not None:
        settings = replace(settings, acknowledge=acknowledge == "yes")
    begun = Store.create(storage_at(place), None if lease is None and acknowledge is None else settings)
    settings = begun.settings
    if as_json:
        click.echo(json.dumps({"store": begun.name, "lease_s": settings.lease_s, "acknowledge": settings.acknowledge}))
        return
    said = "say what they have in force" if settings.acknowledge else "only read"
    click.echo(f"{begun.name}: a store. The lease of a root: {settings.lease_s:g} s; roots {said}.")


@store.command()
@click.argument("bundle", type=_FILE)
@store_option
@click.option("--attest", "key", type=_FILE, metavar="KEY", help="Attest the bundle with this private key (PEM).")
@_JSON
def publish(*, bundle: Path, place: str, key: Path | None, as_json: bool) -> None:
    """Put a bundle into a store, and the signature documents of its versions.

    The documents come from the index that `trimtab bundle build` wrote beside the file BUNDLE. Nothing is in force by
    that: `trimtab rollout start` begins to move it. What is there already is not written again, so that a publish that
    was cut short is simply repeated.

    \b
    Examples:
      trimtab store publish ads.json --store deploy/store
      trimtab store publish ads.json --store s3://models/store --attest release.pem
    """
    from trimtab.bundles.building.index import SignatureIndex
    from trimtab.bundles.bundle import read_bundle
    from trimtab.bundles.store import publishing
    from trimtab.bundles.store.opening import open_store

    opened = open_store(place)
    read = read_bundle(bundle)
    with SignatureIndex.beside(bundle) as index, progress("publishing signatures") as told:
        done = publishing.publish(opened, read, index.document, told)
        note = index.note
    by = _attested(place, read.digest, key) if key is not None else ""
    if as_json:
        found = {"digest": read.digest, "new": done.new, "signatures": done.signatures, "written": done.written}
        click.echo(json.dumps({**found, "missing": list(done.missing), "attested_by": by or None}))
        return
    state = "published" if done.new else "was there already"
    click.echo(f"bundle {read.name!r}, serial {read.serial}, {read.digest}: {state}")
    click.echo(f"{done.signatures} signatures, {done.written} of them written now")
    if by:
        click.echo(f"attested by the key {by}")
    if done.missing:
        why = note or "the index beside the bundle does not have them"
        click.echo(f"note: {len(done.missing)} signature documents are missing: {why}", err=True)
        click.echo("  Build the bundle where its artifacts are, and publish it again: trimtab bundle build", err=True)


@store.command()
@click.argument("name", type=click.Path(path_type=Path))
@_JSON
def keygen(*, name: Path, as_json: bool) -> None:
    """Make a key for attesting: NAME.pem, which is secret, and NAME.pub.pem.

    The secret one stays with who releases bundles. The public one is given to roots and leaves, which then put nothing
    in force that its holder did not attest. Nothing is overwritten.

    \b
    Example:
      trimtab store keygen release
    """
    from trimtab.bundles.store.attestation import key_id, new_key, read_public_keys
    from trimtab.errors import StoreError

    if not name.name:
        raise click.BadParameter(f"expected the beginning of two files' names, got {str(name)!r}.", param_hint="NAME")
    pair = new_key()
    private, public = name.with_name(f"{name.name}.pem"), name.with_name(f"{name.name}.pub.pem")
    _write_new(public, pair.public, 0o644)
    try:
        _write_new(private, pair.private, 0o600)
    except StoreError:
        public.unlink(missing_ok=True)  # of a key that nobody has
        raise
    made = key_id(next(iter(read_public_keys([public]).by_id.values())))
    if as_json:
        click.echo(json.dumps({"key": made, "private": str(private), "public": str(public)}))
        return
    click.echo(f"{private}: the private key; keep it secret\n{public}: the public key {made}")


@store.command()
@click.argument("digest")
@store_option
@click.option("--key", type=_FILE, required=True, metavar="KEY", help="The private key (PEM).")
@_JSON
def attest(*, digest: str, place: str, key: Path, as_json: bool) -> None:
    """Attest a bundle that lies in a store: state with a key that it may be used.

    \b
    Example:
      trimtab store attest sha256:3b5d… --key release.pem --store deploy/store
    """
    by = _attested(place, digest, key)
    if as_json:
        click.echo(json.dumps({"digest": digest, "attested_by": by}))
        return
    click.echo(f"{digest}: attested by the key {by}")


for _command in (list_bundles, show, history, verify, prune):
    store.add_command(_command)


def _attested(place: str, digest: str, key: Path) -> str:
    from trimtab.bundles.store.attestation import attest
    from trimtab.bundles.store.opening import open_store

    opened = open_store(place)
    return attest(opened, opened.with_beginning(digest), key)


def _write_new(path: Path, data: bytes, mode: int) -> None:
    """Write a file that is not there yet, in whole or not at all. StoreError where it is there."""
    from trimtab.errors import StoreError

    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except OSError as failure:
        hint = "" if not os.path.lexists(path) else "It is left as it is: take another NAME, or move it out of the way."
        reason = failure.strerror or str(failure)
        raise StoreError("the key cannot be written", where=str(path), got=reason, hint=hint) from None
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
    except OSError as failure:
        path.unlink(missing_ok=True)
        raise StoreError("the key cannot be written", where=str(path), got=failure.strerror or str(failure)) from None
