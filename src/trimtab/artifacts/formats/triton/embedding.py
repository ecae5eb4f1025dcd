"""Write a signature document into a model configuration: the parameter `module_info`, whose value is a string.

Parameters reach backends and clients of the server (`model_config` shows them). A parameter that is there is replaced
where it stands; else a line is added at the end of the text, whose fields merge in any order.
"""

from __future__ import annotations

import os

from trimtab.artifacts.formats.triton.config import DOCUMENT_KEY, document_entry, read_tree
from trimtab.artifacts.formats.triton.reader import CONFIG
from trimtab.errors import ArtifactError
from trimtab.source.bytes import LocalFile
from trimtab.source.replace import replacing
from trimtab.source.text_proto import MAX_TEXT_BYTES, decode_text, encode_text, parse_text, quoted


def embed(path: str, document: bytes) -> None:
    """Write the document into the configuration at `path`, or into the one in the folder, which is made if need be."""
    file = os.path.join(path, CONFIG) if os.path.isdir(path) else path
    old = _read(file)
    new = encode_text(with_document(old, document.decode(), file))
    if len(new) > MAX_TEXT_BYTES:
        raise ArtifactError(
            where=file, expected=f"at most {MAX_TEXT_BYTES} bytes with its signature", got=str(len(new))
        )
    try:
        with replacing(file) as temporary, open(temporary, "xb") as output:
            output.write(new)
    except OSError as failure:
        raise ArtifactError(where=file, expected="a file that can be written", got=str(failure.strerror)) from None


def with_document(text: str, document: str, where: str) -> str:
    """The text of a configuration with the document in it, in place of the one that it has."""
    tree = parse_text(text, where)
    entry = document_entry(tree)
    value = f'{{ key: "{DOCUMENT_KEY}" value: {{ string_value: {quoted(document)} }} }}'
    if entry is None:
        end = "" if not text or text.endswith("\n") else "\n"
        return f"{text}{end}parameters: {value}\n"
    old = next(field for field in tree.fields if field.value is entry)
    return text[: old.start] + value + text[old.end :]


def _read(file: str) -> str:
    if not os.path.lexists(file):
        return ""
    with LocalFile(file) as source:
        read_tree(source)  # says what is wrong with it
        return decode_text(source.read(0, source.size), file)
