"""Write the signature document into a CoreML model's user-defined metadata.

protobuf merges what is said of the description a second time, so the entry is appended to the end of the file. A file
of up to 64 MiB, and a model in a package nearly always is one, is copied with it and replaced in one step; one that an
earlier document was appended to loses that on the way. A larger file is appended to in place: the cost stays
independent of the weights, a failed write is taken back, and a file cut by a crash is reported by the reader with the
size to truncate it to. The last entry of a key is the one that counts.
"""

from __future__ import annotations

import fcntl
import os

from trimtab.artifacts.formats.carried import KEYS
from trimtab.artifacts.formats.coreml.message import Message
from trimtab.artifacts.formats.rewriting import rewrite
from trimtab.errors import ArtifactError
from trimtab.source.bytes import LocalFile
from trimtab.source.wire import BYTES, Wire, encode_field

COPY_BELOW = 64 << 20
MAX_PROTOBUF = (1 << 31) - 1

_DESCRIPTION, _METADATA, _USER_DEFINED = 2, 100, 100


def write_document(path: str, document: bytes) -> None:
    """Make `document` the value of `module_info` (or of `module_info.json`, where that is there already)."""
    with LocalFile(path) as source:
        wire = Wire(source)
        model = Message(wire, [(0, source.size)])
        size = source.size
        keys = _keys(model.message(_DESCRIPTION))
        last = max(model.fields(_DESCRIPTION), key=lambda field: field.at)
        ours = last.wire_type == BYTES and last.end == size and _is_appendix(Message(wire, [(last.start, last.end)]))
    key = next((each for each in KEYS if each in keys), KEYS[1])
    entry = encode_field(1, key.encode()) + encode_field(2, document)
    appendix = encode_field(_DESCRIPTION, encode_field(_METADATA, encode_field(_USER_DEFINED, entry)))
    if size + len(appendix) > MAX_PROTOBUF:
        raise ArtifactError(
            where=path,
            expected="a model of at most 2 GiB with its signature",
            got=f"{size + len(appendix)} bytes",
            hint="Put the signature beside it: trimtab embed --beside",
        )
    if size <= COPY_BELOW or os.stat(path).st_nlink > 1:
        rewrite(path, [(0, last.at if ours else size), appendix])
    else:
        _append(path, size, appendix)


def _keys(description: Message) -> set[str]:
    return {it.text(1) for it in description.message(_METADATA).messages(_USER_DEFINED)}


def _is_appendix(description: Message) -> bool:
    """Whether a description says nothing but a document."""
    metadata = description.message(_METADATA)
    return (
        set(description.numbers()) == {_METADATA}
        and set(metadata.numbers()) == {_USER_DEFINED}
        and _keys(description) <= set(KEYS)
    )


def _append(path: str, size: int, appendix: bytes) -> None:
    """Append to a file of that size, or leave it as it was."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                written = os.pwrite(descriptor, appendix, size)
                if written != len(appendix):
                    raise ArtifactError(where=path, expected=f"{len(appendix)} bytes written", got=str(written))
                os.fsync(descriptor)
            except BaseException:
                os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)
    except OSError as failure:
        raise ArtifactError(where=path, expected="a file that can be written", got=str(failure)) from failure
