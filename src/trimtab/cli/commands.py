"""The `trimtab` command as click has it: its table of commands and its help."""

from __future__ import annotations

import json

import click

from trimtab.cli.exit_codes import EXIT_INTERRUPTED
from trimtab.cli.lazy import LazyCommand, LazyGroup
from trimtab.cli.other_words import for_option

COMMANDS = {
    "inspect": LazyCommand("trimtab.cli.inspect:inspect", "Read the signature of a model file, without its framework."),
    "tour": LazyCommand("trimtab.cli.tour:tour", "Explain a TensorFlow SavedModel, from each entry point down."),
    "embed": LazyCommand("trimtab.cli.embed:embed", "Write a signature document into a model file, in place."),
    "edit": LazyCommand("trimtab.cli.edit:edit", "Add, rename, change or remove signatures of a SavedModel."),
    "dispatch": LazyCommand(
        "trimtab.cli.dispatch:dispatch", "Say which trace of a SavedModel's function TensorFlow would run for a call."
    ),
    "verify": LazyCommand(
        "trimtab.cli.verify:verify", "Check that what a model declares of its inputs and outputs is true."
    ),
    "diff": LazyCommand("trimtab.cli.diff:diff", "Compare two signatures, and say who breaks by what changed."),
    "check": LazyCommand("trimtab.cli.check:check", "Refuse a new version of a model whose signature changed."),
    "fork": LazyCommand("trimtab.cli.fork:fork", "Make a new model out of a version whose signature changed."),
    "rules": LazyCommand("trimtab.cli.rules:rules", "List the rules between versions of a model, or explain one."),
    "bundle": LazyCommand("trimtab.cli.bundle:bundle", "Derive the allowlists of all models of a repository."),
    "store": LazyCommand("trimtab.cli.store:store", "Keep bundles, and the history of what is in force where."),
    "rollout": LazyCommand(
        "trimtab.cli.rollout:rollout", "Roll a bundle out stage by stage: roots first, back leaves first."
    ),
    "can-deploy": LazyCommand(
        "trimtab.cli.can_deploy:can_deploy", "Say whether a version of a model may be deployed, and why."
    ),
    "canary": LazyCommand(
        "trimtab.cli.canary:canary", "Compare a canary with the baseline beside it, and say whether it is worse."
    ),
    "serve": LazyCommand("trimtab.cli.serve:serve", "Run a leaf (scores models) or a root (fetches, trims, fans out)."),
}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 error, 2 wrong usage, 100 refused on purpose.",
)
@click.version_option(package_name="trimtab")
def trimtab() -> None:
    """Model signatures, read from the artifact, as the one source of truth of every serving tier.

    Start with:  trimtab inspect model.onnx

    Completion:  eval "$(_TRIMTAB_COMPLETE=bash_source trimtab)"  (or zsh_source, fish_source)
    """


def run(arguments: list[str]) -> int:
    """Run a command line and return its exit code. Errors of ours are raised; those of usage are printed by click."""
    try:
        result = trimtab.main(args=arguments, prog_name="trimtab", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.Abort:
        click.echo("interrupted", err=True)
        return EXIT_INTERRUPTED
    except click.ClickException as problem:
        _show(problem, as_json="--json" in arguments)
        return problem.exit_code
    return result if isinstance(result, int) else 0


def _show(problem: click.ClickException, *, as_json: bool) -> None:
    """Print what is wrong with a line: as click does, or for programs as an object."""
    context = problem.ctx if isinstance(problem, click.UsageError) else None
    if isinstance(problem, click.NoSuchOption) and context is not None:
        meant = for_option(problem.option_name, {name for each in context.command.params for name in each.opts})
        if meant:
            problem = click.UsageError(f"{problem.message} Did you mean {meant}?", context)
    if as_json:
        hint = f"{context.command_path} --help" if context is not None else "trimtab --help"
        error = {"kind": "UsageError", "problem": problem.format_message(), "hint": hint}
        click.echo(json.dumps({"error": error}, ensure_ascii=False))
    else:
        problem.show()
