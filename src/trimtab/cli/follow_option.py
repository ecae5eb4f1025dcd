"""The options of servers that follow a store: which, at which stage, under which name, and whom to believe."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trimtab.bundles.loading.following import Follow

_Command = TypeVar("_Command", bound="Callable[..., object]")
_FILE = click.Path(path_type=Path, dir_okay=False)


def follow_options(command: _Command) -> _Command:
    """`--stage`, `--store`, `--public-key` and `--instance`. Nothing is followed without a stage."""
    options = (
        click.option(
            "--store", "place", envvar="TRIMTAB_STORE", show_envvar=True, metavar="PLACE",
            help="The store to follow: a folder or a URL. Needs --stage.",
        ),
        click.option(
            "--stage", type=click.Choice(["canary", "production"]),
            help="Follow the store's pointers of this stage.",
        ),
        click.option(
            "--public-key", "public_keys", multiple=True, type=_FILE,
            help="Use only bundles that the holder of this PEM key attests. Repeatable.",
        ),
        click.option(
            "--instance", default="",
            help="The name to acknowledge under, unlike all others.  [default: one that is made]",
        ),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def to_follow(
    context: click.Context, names: Sequence[str], place: str | None, stage: str | None, public_keys: Sequence[Path]
) -> tuple[Follow, ...]:
    """What the options ask for: each name of the store, at the stage; nothing without a stage.

    Raises UsageError for options that lack another one, and StoreError for keys that cannot be read.
    """
    if stage is None:
        if place is not None and context.get_parameter_source("place") is not click.core.ParameterSource.ENVIRONMENT:
            raise click.UsageError("--store needs --stage canary or --stage production", context)
        if names or public_keys:
            raise click.UsageError("--name and --public-key belong to --store and --stage", context)
        return ()
    if place is None:
        raise click.UsageError("--stage needs --store PLACE (or TRIMTAB_STORE in the environment)", context)
    from trimtab.bundles.loading.following import Follow
    from trimtab.bundles.store.pointers import Stage

    verify = None
    if public_keys:
        from trimtab.bundles.store.attestation import read_public_keys, verify_attested

        verify = partial(verify_attested, keys=read_public_keys(public_keys))
    return tuple(Follow(store=place, name=name, stage=Stage(stage), verify=verify) for name in names)


def names_in(place: str, stage: str, state: Path | None = None) -> list[str]:
    """The bundle names that a store has. While it is away: those whose last-known-good the state folder keeps.

    StoreError where there are none.
    """
    from trimtab.bundles.loading.last_known_good import kept_names
    from trimtab.bundles.store.opening import open_store
    from trimtab.bundles.store.pointers import Stage
    from trimtab.errors import StoreError

    try:
        names = open_store(place).names()
    except StoreError:
        if state is None or not (kept := kept_names(state, Stage(stage))):
            raise
        return kept
    if not names:
        raise StoreError(
            "the store has no bundle yet",
            where=place,
            hint="Name the one that is to come, to follow it then: --name NAME",
        )
    return names
