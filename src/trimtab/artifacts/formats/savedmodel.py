"""Read the signature of a TensorFlow SavedModel without TensorFlow, and keep a signature document in its folder.

The artifact is a folder with `saved_model.pb` or `saved_model.pbtxt` in it; either file names the folder too. A
document lies in `assets.extra`, which TensorFlow leaves to users for files that go with the model; loaders ignore it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from trimtab.artifacts.limits import MAX_ENTRY_POINTS, check_count
from trimtab.errors import ArtifactError, RefusedArtifactError
from trimtab.savedmodel.file import BINARY, MAX_BINARY_BYTES, MAX_TEXT_BYTES, TEXT, find_proto, open_proto
from trimtab.savedmodel.index import looks_like_saved_model
from trimtab.savedmodel.model import SavedModel
from trimtab.savedmodel.signature import signature_of
from trimtab.signature.document import FILE_NAME, MAX_DOCUMENT_BYTES
from trimtab.source.bytes import LocalFile, MemorySource

if TYPE_CHECKING:
    from trimtab.signature.model import Signature
    from trimtab.source.bytes import ByteSource

name = "savedmodel"

_EXTRA = "assets.extra"
_FOLDER = "savedmodel: folder"
_HEAD_BYTES = 64 << 10


def open_folder(path: str) -> ByteSource | None:
    """The proto of the SavedModel in a folder, or None where there is none. RefusedArtifactError when it is split."""
    if find_proto(path) is None:
        return None
    source = open_proto(path)
    source.memo[_FOLDER] = path
    return source


def match(source: ByteSource) -> bool:
    """Whether this is the proto of a SavedModel, in binary or in protobuf's text form."""
    return looks_like_saved_model(source) or _is_text(source)


def derive(source: ByteSource) -> Signature:
    """The signatures as entry points; of a model that has none, its traced functions."""
    text = _is_text(source)
    if source.size >= (MAX_TEXT_BYTES if text else MAX_BINARY_BYTES):
        raise RefusedArtifactError(
            where=source.name,
            expected="a SavedModel's proto of less than 2 GiB, or of 64 MiB as text",
            got=f"{source.size} bytes",
        )
    if text:
        from trimtab.savedmodel.messages import parse_text

        source = MemorySource(parse_text(source.read(0, source.size), source.name), source.name)
    model = SavedModel(source)
    check_count(len(model.meta_graph.signatures), MAX_ENTRY_POINTS, "signatures", source.name)
    return signature_of(model)


def declared(source: ByteSource) -> bytes | None:
    """The signature document in the folder; None where there is none, or the source is not a file in a folder."""
    folder = source.memo.get(_FOLDER) or (os.path.dirname(source.name) if isinstance(source, LocalFile) else None)
    if folder is None or not _is_proto(source.name):
        return None
    path = os.path.join(folder, _EXTRA, FILE_NAME)
    if not os.path.lexists(path):
        return None
    with LocalFile(path) as file:
        if file.size > MAX_DOCUMENT_BYTES:
            raise ArtifactError(where=path, expected=f"at most {MAX_DOCUMENT_BYTES} bytes", got=str(file.size))
        return file.read(0, file.size)


def embed(path: str, document: bytes) -> None:
    """Write the document into `assets.extra`, in one step: the model's own files are not touched.

    path: the folder, or the proto in it under its usual name, by which the document is found again.
    """
    from trimtab.source.replace import replacing  # reading does not need it

    folder = path
    if not os.path.isdir(path):
        if not _is_proto(path):
            raise ArtifactError(
                where=path,
                expected="the folder of a SavedModel",
                got="its proto under another name, beside which a document would not be found",
                hint="Rename it to saved_model.pb, in a folder of its own.",
            )
        folder = os.path.dirname(path)
    extra = os.path.join(folder, _EXTRA)
    try:
        os.makedirs(extra, exist_ok=True)
        with replacing(os.path.join(extra, FILE_NAME)) as temporary, open(temporary, "xb") as file:
            file.write(document)
    except OSError as failure:
        raise ArtifactError(where=extra, expected="a folder to write into", got=str(failure.strerror)) from None


def _is_text(source: ByteSource) -> bool:
    """Whether the text form of a SavedModel begins here, after comments."""
    lines = (line.strip() for line in source.head(_HEAD_BYTES).splitlines())
    first = next((line for line in lines if line and not line.startswith(b"#")), b"")
    return first.startswith((b"saved_model_schema_version", b"meta_graphs"))


def _is_proto(path: str) -> bool:
    return os.path.basename(path) in (BINARY, TEXT)
