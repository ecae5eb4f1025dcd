"""What hostile files are made of."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

MARK = "TRIMTAB_WAS_HERE"
"""A file of this name appears in the working folder when code of a hostile file runs."""

SHELL = f"touch {MARK}"
PYTHON = f"__import__('os').system('{SHELL}')"


class Hostile(NamedTuple):
    """How to make a hostile file, and what is to come of it.

    expect: `error` is a refusal of our family, `read` a signature, `either` one of the two: whoever made the format
    could have meant the file.
    """

    make: Callable[[], bytes]
    expect: str = "error"


def archive(entries: dict[str, bytes | str], method: int = zipfile.ZIP_STORED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as file:
        for name, content in entries.items():
            file.writestr(zipfile.ZipInfo(name), content, compress_type=method)
    return target.getvalue()


def deep(opening: str, closing: str, depth: int, inside: str = "") -> str:
    return opening * depth + inside + closing * depth
