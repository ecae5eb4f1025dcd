"""`trimtab inspect`: the signature of a model, for a person or as the signature document; and of many at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from trimtab.cli.plain import as_printed

if TYPE_CHECKING:
    from trimtab.source.bytes import ByteSource


@click.command()
@click.argument("artifacts", metavar="ARTIFACT...", nargs=-1, required=True, type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print the signature document, of many artifacts one per line.")
@click.option("-v", "--verbose", is_flag=True, help="Say on standard error how much was read, in how many requests.")
@click.option(
    "--compare/--no-compare",
    default=None,
    help="Hold an embedded signature against the model's graph. By default files are, URLs are not.",
)
@click.option(
    "--anonymous", is_flag=True, help="Look for no credentials: the URL is of an object that everyone may read."
)
@click.option(
    "--jobs", type=click.IntRange(min=1), metavar="N", help="Processes for many artifacts [default: processors]."
)
def inspect(
    artifacts: tuple[str, ...],
    *,
    as_json: bool,
    verbose: bool,
    compare: bool | None,
    anonymous: bool,
    jobs: int | None,
) -> int:
    """Read the signature of a model file, without its framework.

    ARTIFACT is a model file of any kind that is read, the folder of a TensorFlow SavedModel or an MLflow model, a
    signature document, or a URL (s3://, gs://, az://, https://), of which only the bytes needed are fetched. Nothing is
    executed, nothing is unpickled, weights are not read. An embedded signature is compared with what the model's graph
    says.

    Several of them, a folder of models, or a quoted glob give a table, or with --json a line each. What is no model in
    a folder is passed over; what cannot be read is shown, stops nothing, and makes the exit code 1.

    \b
    Examples:
      trimtab inspect model.onnx
      trimtab inspect saved_model_folder/
      trimtab inspect model.pt --json | jq .input_names
      trimtab inspect -v s3://models/ranker/7/model.pt
      trimtab inspect models/ 'archive/**/*.onnx' --json
    """
    if len(artifacts) > 1 or not _is_one(artifacts[0]):
        from trimtab.artifacts.survey import Reading
        from trimtab.cli.inspect_many import inspect_many

        reading = Reading(documents=as_json, compare=compare, anonymous=anonymous)
        return inspect_many(artifacts, jobs=jobs, reading=reading, as_json=as_json, verbose=verbose)
    from trimtab.artifacts.read import opened, read_from

    with opened(artifacts[0], anonymous=anonymous) as (format_, source):
        try:
            signature = read_from(format_, source, compare=compare)
        finally:
            if verbose:
                click.echo(_cost(source), err=True)
    click.echo(as_printed(signature, as_json=as_json))
    return 0


def _is_one(target: str) -> bool:
    """Whether this is one artifact. What is no folder and no glob is told without an import."""
    import os

    if not os.path.isdir(target) and not any(each in target for each in "*?["):
        return True
    from trimtab.artifacts.candidates import is_one_artifact

    return is_one_artifact(target)


def _cost(source: ByteSource) -> str:
    what = "request" if source.remote else "read"
    return f"{source.reads} {what}{'' if source.reads == 1 else 's'}, {source.bytes_read:,} of {source.size:,} bytes"
