"""The `config.pbtxt` of Triton for a model that gets another name: the same text, with the new name in it.

Triton refuses a model whose configuration states another name than that of its folder.
"""

from __future__ import annotations

from trimtab.errors import ArtifactError, BundleError
from trimtab.source.text_proto import decode_text, encode_text, parse_text, quoted


def renamed(data: bytes, name: str, where: str) -> bytes:
    """A configuration with another model name; as it is where it states none.

    BundleError where the text cannot be parsed, or names versions, which are numbered anew.
    """
    try:
        text = decode_text(data, where)
        message = parse_text(text, where)
        policy = message.message("version_policy")
        if policy is not None and policy.message("specific") is not None:
            raise _not_certain(f"{where}: version_policy", "a policy that names no versions", "specific")
        field = message.one("name")
        if field is None:
            return data
        message.as_text(field)
        text = f"{text[: field.start]}{quoted(name)}{text[field.end :]}"
        if parse_text(text, where).text("name") != name:
            raise _not_certain(where, f"{name!r} as the name after the edit", "another one")
    except ArtifactError as failure:
        raise _not_certain(failure.where, failure.expected, failure.got) from None
    return encode_text(text)


def _not_certain(where: str, expected: str, got: str) -> BundleError:
    return BundleError(
        "the configuration cannot be taken along",
        where=where,
        expected=expected,
        got=got,
        hint="Fork without it (--without-config), and write one for the new model by hand.",
    )
