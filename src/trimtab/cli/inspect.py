"""`trimtab inspect`: the signature of a model, for a person or as the signature document."""

from __future__ import annotations

import click


@click.command()
@click.argument("artifact", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print the signature document (input_names, output_names first).")
def inspect(artifact: str, as_json: bool) -> None:
    """Read the signature of a model file, without its framework.

    ARTIFACT is a TorchScript .pt, a torch.export .pt2, an ONNX file, the folder of a TensorFlow SavedModel, or a
    signature document. Nothing is executed, nothing is unpickled, weights are not read. An embedded signature is
    compared with what the model's graph says.

    \b
    Examples:
      trimtab inspect model.onnx
      trimtab inspect saved_model_folder/
      trimtab inspect model.pt --json | jq .input_names
    """
    from trimtab.artifacts import read_signature

    signature = read_signature(artifact)
    if as_json:
        from trimtab.signature.document import encode_document

        click.echo(encode_document(signature, indent=2))
        return
    click.echo(str(signature))
