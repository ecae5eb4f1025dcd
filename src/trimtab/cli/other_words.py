"""What to answer to a command or option that there is not: the one that is meant, also where other tools call it so."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_COMMANDS = {
    "rollout advance": ("promote", "next", "continue", "proceed", "step"),
    "rollout start": ("deploy", "begin", "launch", "ship"),
    "rollout hold": ("pause", "freeze"),
    "rollout hold --release": ("resume", "unpause", "release", "unhold"),
    "rollout abort": ("cancel", "stop", "kill"),
    "rollout rollback": ("undo", "revert", "back"),
    "rollout status": ("state", "watch", "progress"),
    "store history": ("log", "audit", "events"),
    "store list": ("ls", "bundles"),
    "store prune": ("gc", "clean", "cleanup", "delete", "rm"),
    "store init": ("create", "new"),
    "bundle build": ("make", "derive", "generate"),
    "check": ("gate", "lint", "validate"),
    "diff": ("compare",),
    "can-deploy": ("can_deploy", "candeploy", "can-i-deploy"),
    "canary analyze": ("analyse", "analysis", "judge"),
}
"""Commands, each with what other tools call the like."""

_OPTIONS = {
    "--why": ("--reason", "--message", "--msg", "--comment", "--note", "-m"),
    "--by": ("--who", "--user", "--author", "--owner"),
    "--store": ("--repo", "--bucket", "--url"),
    "--to": ("--stage", "--env", "--environment", "--target"),
    "--stage": ("--env", "--environment"),
    "--wait": ("--timeout",),
    "--against": ("--baseline", "--old", "--base"),
    "--analysis": ("--report",),
    "--output": ("--out",),
    "--delete": ("--yes", "-y", "--force", "-f"),
}


def for_command(word: str, group: Sequence[str], here: Collection[str], paths: Collection[str]) -> str:
    """A sentence after "No such command": which one may be meant, or which there are.

    group: the words of the group that was asked, after `trimtab`. here: its commands. paths: every command there is,
    `rollout start`.
    """
    from difflib import get_close_matches

    meant = [path for path, words in _COMMANDS.items() if word.lower() in words]
    meant += [path for path in paths if path.split()[-1] == word.lower()]
    # Of several that are called so, the one of the group that was asked.
    meant.sort(key=lambda path: path.split()[: len(group)] != [*group])
    meant += [" ".join([*group, near]) for near in get_close_matches(word.lower(), here, n=1)]
    return f"Did you mean: trimtab {meant[0]}?" if meant else f"There are: {', '.join(here)}."


def for_option(word: str, known: Collection[str]) -> str:
    """The option that may be meant, of those which a command has; empty where none is known to be."""
    return next((option for option, words in _OPTIONS.items() if option in known and word in words), "")
