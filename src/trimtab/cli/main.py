"""The `trimtab` command: its table of commands and how errors become exit codes.

Exit codes: 0 done, 1 error, 2 wrong usage, 100 a refusal on purpose (a finding, a changed signature).
"""

from __future__ import annotations

import gc
import json
import sys

import click

from trimtab.cli.lazy import LazyCommand, LazyGroup
from trimtab.errors import SignatureChangedError, TrimtabError

EXIT_ERROR = 1
EXIT_REFUSAL = 100

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
    "rules": LazyCommand("trimtab.cli.rules:rules", "List the rules between versions of a model, or explain one."),
    "bundle": LazyCommand("trimtab.cli.bundle:bundle", "Derive the allowlists of all models of a repository."),
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


_OBJECTS_BETWEEN_COLLECTIONS = 50_000
"""Most commands are done before there is anything to collect: Python's 700 cost them a twentieth of their time."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code; errors of ours are printed, with `--json` as an object."""
    arguments = sys.argv[1:] if arguments is None else arguments
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    try:
        result = trimtab.main(args=arguments, prog_name="trimtab", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.Abort:
        click.echo("interrupted", err=True)
        return 130
    except click.ClickException as problem:
        problem.show()
        return problem.exit_code
    except TrimtabError as problem:
        if "--json" in arguments:
            click.echo(json.dumps({"error": problem.as_dict()}, ensure_ascii=False))
        else:
            click.echo(f"error: {problem}", err=True)
        return EXIT_REFUSAL if isinstance(problem, SignatureChangedError) else EXIT_ERROR
    except BrokenPipeError:
        sys.stderr.close()
        return EXIT_ERROR
    return result if isinstance(result, int) else 0
