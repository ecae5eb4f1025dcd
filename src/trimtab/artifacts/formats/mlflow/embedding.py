"""Write a signature document into the description of an MLflow model, under `metadata`, touching nothing else.

The text is edited, not written anew: comments, order and quotes stay as MLflow, or its user, wrote them. The result is
parsed before it replaces the old file.
"""

from __future__ import annotations

import json
import os
import re

from trimtab.artifacts.formats.mlflow.description import MAX_BYTES, Mapping, Scalar, is_null, parse
from trimtab.artifacts.formats.mlflow.reader import DESCRIPTION, DOCUMENT_KEY, METADATA
from trimtab.errors import ArtifactError
from trimtab.source.bytes import LocalFile
from trimtab.source.replace import replacing


def embed(path: str, document: bytes) -> None:
    """Write the document into the description at `path`, or into the one in the folder."""
    file = os.path.join(path, DESCRIPTION) if os.path.isdir(path) else path
    with LocalFile(file) as source:
        if source.size > MAX_BYTES - len(document):
            raise ArtifactError(where=file, expected=f"at most {MAX_BYTES} bytes with its signature", got="more")
        data = source.read(0, source.size)
    new = with_document(data.decode("utf-8", "surrogateescape"), document.decode(), file)
    try:
        with replacing(file) as temporary, open(temporary, "xb") as output:
            output.write(new.encode("utf-8", "surrogateescape"))
    except OSError as failure:
        raise ArtifactError(where=file, expected="a file that can be written", got=str(failure.strerror)) from None


def with_document(text: str, document: str, where: str) -> str:
    """The text of a description with the document in it, in place of the one that it has."""
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    text = text.removeprefix(mark)
    changed = _changed(text, _quoted(document), where)
    metadata = parse(changed, where).mapping(METADATA)
    written = metadata.entries.get(DOCUMENT_KEY) if metadata else None
    if not isinstance(written, Scalar) or written.text != document:
        raise ArtifactError(
            where=where,
            expected=f"a place for {METADATA}.{DOCUMENT_KEY}",
            got="YAML that cannot be edited in place",
            hint="Save it again as MLflow writes it: mlflow.models.Model.load(path).save(path + '/MLmodel')",
        )
    return mark + changed


def _changed(text: str, value: str, where: str) -> str:
    description = parse(text, where)
    top = description.top
    entry = f"{DOCUMENT_KEY}: {value}"
    node = top.entries.get(METADATA)
    if node is None:
        return _with_first_entry(text, top, f"{METADATA}: {{{entry}}}" if top.flow else f"{METADATA}:\n  {entry}")
    if isinstance(node, Scalar) and is_null(node):
        return f"{text[: node.start]}{' ' if text[: node.start].endswith(':') else ''}{{{entry}}}{text[node.end :]}"
    metadata = description.mapping(METADATA)
    assert metadata is not None
    old = metadata.entries.get(DOCUMENT_KEY)
    if isinstance(old, Scalar):
        end = old.start + len(text[old.start : old.end].rstrip())  # a block's end is that of its last line
        return f"{text[: old.start]}{'' if old.start < end else ' '}{value}{text[end:]}"
    if old is not None:
        raise ArtifactError(
            where=f"{where}: {METADATA}.{DOCUMENT_KEY}", expected="a string", got=f"a {type(old).__name__.lower()}"
        )
    return _with_first_entry(text, metadata, entry)


def _with_first_entry(text: str, mapping: Mapping, entry: str) -> str:
    """The text with an entry before the first of a map, in the same style and at the same depth."""
    if mapping.flow:
        comma = ", " if mapping.entries else ""
        return f"{text[: mapping.start + 1]}{entry}{comma}{text[mapping.start + 1 :]}"
    line = text.rfind("\n", 0, mapping.start) + 1
    indent = text[line : mapping.start]
    if indent.strip(" "):
        return text  # not at the beginning of its line: refused by whoever checks the result
    return f"{text[: mapping.start]}{entry}\n{indent}{text[mapping.start :]}"


def _quoted(text: str) -> str:
    """A YAML scalar on one line: in single quotes where nothing in it needs an escape."""
    if _PLAIN.fullmatch(text):
        return "'" + text.replace("'", "''") + "'"
    return _ASTRAL.sub(lambda match: f"\\U{ord(match.group()):08x}", _escaped(text))


def _escaped(text: str) -> str:
    """JSON's escapes are YAML's too, but for characters beyond U+FFFF, which stay as they are here."""
    return "".join(char if char > "\uffff" else json.dumps(char)[1:-1] for char in text).join('""')


_PLAIN = re.compile(r"[\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd]*")
_ASTRAL = re.compile(r"[\U00010000-\U0010ffff]")
