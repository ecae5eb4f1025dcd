"""Read the signature of a Keras 3 model without Keras, and keep a signature document in its archive.

The archive holds `metadata.json`, `config.json` and the weights, which are never touched. Keras leaves other entries
alone when it loads a model, so the document lies beside them as `module_info.json`; a model that Keras saves again has
lost it. Layout: keras/src/saving/saving_lib.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trimtab.artifacts.formats.keras.layers import read_call
from trimtab.artifacts.formats.python_json import parse_json
from trimtab.errors import ArtifactError
from trimtab.signature.document import FILE_NAME, MAX_DOCUMENT_BYTES
from trimtab.signature.model import EntryPoint, Learned, Provenance, Signature
from trimtab.source.zip import LOCAL_MAGIC, ZipDirectory

if TYPE_CHECKING:
    from trimtab.source.bytes import ByteSource

name = "keras"

ENTRY_POINT = "call"
CONFIG, METADATA = "config.json", "metadata.json"
MAX_CONFIG_BYTES = 64 << 20
MAX_METADATA_BYTES = 64 << 10


def match(source: ByteSource) -> bool:
    """Whether this is a zip archive with the two JSON files of Keras at its top."""
    if source.head(4) != LOCAL_MAGIC:
        return False
    directory = ZipDirectory.open(source)
    if CONFIG not in directory.entries or METADATA not in directory.entries:
        return False
    return b'"keras_version"' in directory.read_prefix(METADATA, MAX_METADATA_BYTES)


def derive(source: ByteSource) -> Signature:
    """One entry point, `call`: what the model takes and gives when it is called."""
    directory = ZipDirectory.open(source)
    metadata = _object(directory, METADATA, MAX_METADATA_BYTES)
    config = _object(directory, CONFIG, MAX_CONFIG_BYTES)
    call = read_call(config, f"{source.name}: {CONFIG}")
    return Signature(
        entry_points=(EntryPoint(name=ENTRY_POINT, overloads=(call.overload,)),),
        default_entry_point=ENTRY_POINT,
        provenance=Provenance(
            format=name,
            producer=f"keras {metadata.get('keras_version', '')}".strip()[:80],
            learned=Learned.DERIVED,
            notes=call.notes,
        ),
    )


def declared(source: ByteSource) -> bytes | None:
    """The document at the top of the archive."""
    directory = ZipDirectory.open(source)
    return directory.read(FILE_NAME, limit=MAX_DOCUMENT_BYTES) if FILE_NAME in directory.entries else None


def embed(path: str, document: bytes) -> None:
    """Append the document to the archive."""
    from trimtab.source.append import append_entry  # reading does not need it

    append_entry(path, FILE_NAME, document)


def _object(directory: ZipDirectory, entry: str, limit: int) -> dict[str, Any]:
    place = f"{directory.source.name}: {entry}"
    data = directory.read(entry, limit=limit)
    try:
        value = parse_json(data.decode(), place)
    except UnicodeDecodeError as failure:
        raise ArtifactError(
            where=place, expected="UTF-8", got=f"byte {data[failure.start]:#04x} at offset {failure.start}"
        ) from None
    if not isinstance(value, dict):
        raise ArtifactError(where=place, expected="a JSON object", got=type(value).__name__)
    return value
