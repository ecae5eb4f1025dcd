"""How much of anything a reader takes in. Real models stay far below; a file of a few bytes can claim any number."""

from __future__ import annotations

from trimtab.errors import ArtifactError

MAX_VALUES = 1 << 16
"""Inputs and outputs of all entry points, keys of a dict, elements of a default."""

MAX_ENTRY_POINTS = 1000

MAX_JSON_PARTS = 500_000
"""Items and containers in a piece of JSON that becomes Python objects, each of them tens of times its text."""


MAX_DOCUMENT_PARTS = 200_000
"""The same, of a signature document: more than twenty thousand inputs, each with its type, or as many bare names."""


def check_document(data: bytes, where: str) -> None:
    """Refuse a signature document that is too long to be read, before it is parsed or written."""
    check_json(data, where, MAX_DOCUMENT_PARTS)


def check_json(text: bytes | str, where: str, limit: int = MAX_JSON_PARTS) -> None:
    """Refuse JSON of more parts than any model has, before it is parsed. Marks inside of strings count as well."""
    if isinstance(text, str):
        text = text.encode("utf-8", "surrogatepass")
    check_count(sum(map(text.count, (b",", b"{", b"["))), limit, "items and containers", where)


def check_count(count: int, limit: int, what: str, where: str) -> None:
    """Refuse more than `limit` of something (`what`, in the plural)."""
    if count > limit:
        raise ArtifactError(
            where=where,
            expected=f"at most {limit} {what}",
            got=f"{count} or more",
            hint="No model needs so many: the file is damaged, or made to exhaust whoever reads it.",
        )
