"""`trimtab embed`: write a signature document into a model file."""

from __future__ import annotations

import click


@click.command()
@click.argument("artifact", type=click.Path())
@click.option(
    "--signature",
    "document",
    type=click.Path(),
    help="Take the signature from this file: a signature document, a module_info.json, or another model file.",
)
@click.option("--derive", is_flag=True, help="Take the signature from the artifact's own graph (the default).")
@click.option("--json", "as_json", is_flag=True, help="Print the embedded signature document.")
def embed(artifact: str, document: str | None, derive: bool, as_json: bool) -> None:
    """Write a signature document into a model file, in place.

    The cost does not grow with the weights, and a cut at any moment leaves the old file readable. The result is read
    back and compared before the command succeeds; a signature that contradicts the file's graph is refused. Of a
    SavedModel, ARTIFACT is the folder: the document goes into its assets.extra.

    \b
    Examples:
      trimtab embed model.pt --signature module_info.json
      trimtab embed model.onnx --derive
    """
    from trimtab.artifacts import derive_signature, embed_signature, read_signature

    if document is not None and derive:
        raise click.UsageError("--signature and --derive exclude each other: give one.")
    embed_signature(artifact, derive_signature(artifact) if document is None else read_signature(document))
    embedded = read_signature(artifact)
    if as_json:
        from trimtab.signature.document import encode_document

        click.echo(encode_document(embedded, indent=2))
        return
    from trimtab.signature.render import headline

    click.echo(f"embedded into {artifact}: {headline(embedded)}")
