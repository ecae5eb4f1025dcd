"""The entry of the command line: how a line is run, and how errors become exit codes.

Exit codes: 0 done, 1 error, 2 wrong usage, 100 a refusal on purpose (a finding, a move that must wait).
"""

from __future__ import annotations

import gc
import io
import os
import sys

from trimtab.cli.exit_codes import EXIT_ERROR, EXIT_INTERRUPTED, EXIT_REFUSED
from trimtab.cli.plain import run_plain
from trimtab.errors import MoveRefusedError, SignatureChangedError, TrimtabError

_OBJECTS_BETWEEN_COLLECTIONS = 50_000
"""Most commands are done before there is anything to collect: Python's 700 cost them a twentieth of their time."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code; errors of ours are printed, with `--json` as an object."""
    arguments = sys.argv[1:] if arguments is None else arguments
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be text
    try:
        exit_code = run_plain(arguments)
        if exit_code is None:
            from trimtab.cli.commands import run  # click takes as long to import as a plain line takes to run

            exit_code = run(arguments)
    except TrimtabError as problem:
        _print(problem, as_json="--json" in arguments)
        return EXIT_REFUSED if isinstance(problem, SignatureChangedError | MoveRefusedError) else EXIT_ERROR
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return EXIT_ERROR
    except OSError as failure:
        if failure.filename is not None:
            raise
        _end_output(failure)
        return EXIT_ERROR
    return exit_code


def _end_output(failure: OSError) -> None:
    """Say that standard output takes no more, and keep Python from trying it once more at its end."""
    sys.stderr.write(f"error: standard output: cannot be written: {failure.strerror or failure}.\n")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print(problem: TrimtabError, *, as_json: bool) -> None:
    import json

    import click

    if as_json:
        text = json.dumps({"error": problem.as_dict()}, ensure_ascii=False)
        click.echo(text.encode("utf-8", "backslashreplace").decode())
    else:
        click.echo(f"error: {problem}", err=True)
