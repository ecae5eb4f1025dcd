"""Fork a model: a version whose signature changed becomes the first one of a model with a name of its own."""

from __future__ import annotations

import os
import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


def fork_name(model: str, taken: Collection[str]) -> str:
    """The next free name for a fork: ctr, ctr_v2, ctr_v3, ..."""
    match = re.fullmatch(r"(.+)_v([1-9][0-9]{0,8})", model, re.DOTALL)
    stem, number = (match[1], int(match[2])) if match else (model, 1)
    while (name := f"{stem}_v{number + 1}") in taken:
        number += 1
    return name


def fork_command(root: str | os.PathLike[str], model: str, fork: str, *versions: int | str, move: bool = True) -> str:
    """The shell command that gives versions of a model a name of their own, numbered from 1.

    root: the repository. move: whether the versions then leave the old model.
    """
    options = [word for version in versions for word in ("--version", str(version))] + ["--move"] * move
    arguments = [os.fspath(root), model, fork]
    if any(each.startswith("-") for each in arguments):
        return shlex.join(["trimtab", "fork", *options, "--", *arguments])
    return shlex.join(["trimtab", "fork", *arguments, *options])
