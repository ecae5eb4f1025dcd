"""The messages of a SavedModel as protobuf classes, for the text form and for edits. Reading needs none of them.

They live in a descriptor pool of their own under a package of our own, so that TensorFlow may share the process.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf import text_format

from trimtab.errors import ArtifactError
from trimtab.savedmodel.schema import SCHEMA
from trimtab.source.descriptors import message_classes


@cache
def classes() -> dict[str, Any]:
    """The class of each message, by its name in the schema (`SavedModel`, `TensorInfo.CooSparse`)."""
    top = message_classes(SCHEMA, __name__)
    found = {}
    for name in SCHEMA.messages:
        outer, *nested = name.split(".")
        found[name] = top[outer]
        for part in nested:
            found[name] = getattr(found[name], part)
    return found


def serialize(message: Any) -> bytes:
    """Deterministic bytes: equal to what TensorFlow writes for an equal message."""
    data: bytes = message.SerializeToString(deterministic=True)
    return data


def parse_text(data: bytes, where: str) -> bytes:
    """The binary form of a SavedModel in protobuf's text form. ArtifactError where it is not one."""
    message = classes()["SavedModel"]()
    try:
        text_format.Parse(data.decode(), message)
    except (text_format.ParseError, UnicodeDecodeError) as failure:
        got = str(failure)[:_LONGEST_REASON]
        raise ArtifactError(where=where, expected="a SavedModel in protobuf's text form", got=got) from None
    except RecursionError:
        raise ArtifactError(where=where, expected="messages nested at most 100 deep", got="deeper nesting") from None
    return serialize(message)


_LONGEST_REASON = 300
"""Of protobuf's own words, which quote what they do not understand in full."""


def format_text(data: bytes) -> bytes:
    """The text form of a SavedModel in binary form."""
    text: str = text_format.MessageToString(classes()["SavedModel"].FromString(data))
    return text.encode()
