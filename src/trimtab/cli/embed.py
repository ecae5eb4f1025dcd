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
@click.option("--beside", is_flag=True, help="Write NAME.signature.json beside the file, and leave the file as it is.")
@click.option("--json", "as_json", is_flag=True, help="Print the signature document that was written.")
def embed(artifact: str, document: str | None, derive: bool, beside: bool, as_json: bool) -> None:
    """Write a signature document into a model file, in place.

    The cost does not grow with the weights where the format allows (zip archives, ONNX, CoreML, OpenVINO, …), and a
    cut at any moment leaves the old file readable. A format without room for a document, or --beside, gets it in a
    file of its own, ARTIFACT.signature.json, which holds for this very content of the model: it states its SHA-256.

    The result is read back and compared before the command succeeds; a signature that contradicts the file's graph is
    refused. Of a SavedModel or a CoreML package, ARTIFACT is the folder.

    \b
    Examples:
      trimtab embed model.pt --signature module_info.json
      trimtab embed model.onnx --derive
      trimtab embed weights.safetensors --signature model.onnx
    """
    from trimtab.artifacts import derive_signature, embed_signature, read_signature
    from trimtab.signature.render import headline

    if document is not None and derive:
        raise click.UsageError("--signature and --derive exclude each other: give one.")
    signature = derive_signature(artifact) if document is None else read_signature(document)
    place = embed_signature(artifact, signature, beside=beside)
    embedded = read_signature(artifact)
    if place == artifact:
        news = f"embedded into {artifact}: {headline(embedded)}"
    elif beside:
        news = f"written beside {artifact}, into {place}: {headline(embedded)}"
    else:
        news = f"{artifact} has no room for a document; written beside it, into {place}: {headline(embedded)}"
    if as_json:
        from trimtab.signature.document import encode_document

        click.echo(encode_document(embedded, indent=2))
    click.echo(news, err=as_json)
