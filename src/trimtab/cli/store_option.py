"""The options that every command on a store has."""

from __future__ import annotations

import getpass
import os
import shlex
from typing import TYPE_CHECKING, TypeVar

import click

from trimtab.cli.completing import bundle_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from trimtab.bundles.store.store import Store

_Command = TypeVar("_Command", bound="Callable[..., object]")


def store_option(command: _Command) -> _Command:
    """`--store PLACE`, or TRIMTAB_STORE in the environment."""
    return click.option(
        "--store",
        "place",
        required=True,
        envvar="TRIMTAB_STORE",
        show_envvar=True,
        metavar="PLACE",
        help="The store: a folder or a URL.",
    )(command)


def name_option(command: _Command) -> _Command:
    """`--name NAME`: which bundle's history; the only one of the store when left out."""
    return click.option(
        "--name",
        default="",
        shell_complete=bundle_names,
        help="The bundle's name.  [default: the only one in the store]",
    )(command)


def chosen_name(store: Store, name: str) -> str:
    """The name that was given, or the only one of the store. StoreError where it has no such one, none, or several."""
    from trimtab.errors import StoreError

    if name and store.entry(name, 1) is not None:
        return name
    names, begin = store.names(), "Begin one: trimtab rollout start BUNDLE"
    if name:
        raise StoreError(
            where=store.name,
            expected=f"the name of a bundle with a history ({', '.join(names) or 'there is none'})",
            got=repr(name),
            hint=begin,
        )
    if not names:
        raise StoreError(where=store.name, expected="one bundle name with a history", got="none", hint=begin)
    if len(names) > 1:
        raise StoreError(
            where=store.name,
            expected="the name of a bundle",
            got=", ".join(names),
            hint="Say which: --name NAME. All of them at once: trimtab store show",
        )
    return names[0]


def typed_options(place: str, name: str) -> str:
    """The options by which a command found its history, to be put behind the commands that it advises."""
    source = click.get_current_context().get_parameter_source("place")
    said = [] if source is click.core.ParameterSource.ENVIRONMENT else ["--store", place]
    return "".join(f" {shlex.quote(word)}" for word in [*said, *(["--name", name] if name else [])])


def who_options(command: _Command) -> _Command:
    """`--by` and `--why`, for what is written into a history."""
    why = click.option("--why", default="", help="Why, for the history.")
    by = click.option("--by", default=_who, show_default="the user and host", help="Who does it, for the history.")
    return by(why(command))


def _who() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # no name for the user's number, as in many containers
        user = str(os.getuid())
    return f"{user}@{os.uname().nodename}"
