"""Read the signature of an ONNX model without onnx: a walk over the protobuf wire format that skips every weight.

The file has no magic number and no checksum; the walk refuses what the format cannot contain. Repeated singular
messages merge, as protobuf has it and onnx.load does. The signature document lies in the model's `metadata_props`
under `module_info.json`, behind the graph, so that reading it costs the same for any number of weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.artifacts.formats.onnx.graph import read_graph
from trimtab.artifacts.formats.onnx.model import document_fields, is_model, read_model
from trimtab.errors import ArtifactError
from trimtab.signature.document import FILE_NAME
from trimtab.signature.model import EntryPoint, Learned, Provenance, Signature

if TYPE_CHECKING:
    from trimtab.source.bytes import ByteSource

name = "onnx"

ENTRY_POINT = "main"


def match(source: ByteSource) -> bool:
    """Whether the fields up to the graph are those of an ONNX model."""
    return is_model(source)


def derive(source: ByteSource) -> Signature:
    """One entry point, `main`: the graph's inputs and outputs."""
    model = read_model(source)
    overload, notes = read_graph(model)
    return Signature(
        entry_points=(EntryPoint(name=ENTRY_POINT, overloads=(overload,)),),
        default_entry_point=ENTRY_POINT,
        provenance=Provenance(
            format=name,
            producer=" ".join(filter(None, (model.producer_name, model.producer_version))),
            learned=Learned.DERIVED,
            notes=(model.versions(), *notes),
        ),
    )


def declared(source: ByteSource) -> bytes | None:
    """The value of `module_info.json` in the model's metadata."""
    documents = document_fields(source)
    if len(documents) > 1:
        raise ArtifactError(
            where=f"{source.name}: metadata_props",
            expected=f"{FILE_NAME} once",
            got=f"{len(documents)} times",
            hint="Readers differ on which one counts, so the model is refused. "
            "Embed one again, and it is the only one: trimtab embed MODEL --derive",
        )
    return documents[0].read(source) if documents else None


def embed(path: str, document: bytes) -> None:
    """Write the document into the model's metadata."""
    from trimtab.artifacts.formats.onnx.metadata import write_document

    write_document(path, document)
