"""The plainest line of all, `trimtab inspect ARTIFACT`, run without click.

It is typed most, and looped over thousands of files by scripts. click takes as long to import as the signature of a
gigabyte's model takes to read, and has nothing to do here. Whatever else a line says is left to click, and a test
holds the two ways equal.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimtab.signature.model import Signature


def run_plain(arguments: Sequence[str]) -> int | None:
    """Run `inspect ARTIFACT`, with or without `--json`, of one that is here; None for every other line."""
    if len(arguments) not in (2, 3) or arguments[0] != "inspect" or _COMPLETION in os.environ:
        return None
    path, *options = arguments[1:]
    if path.startswith("-") or options not in ([], ["--json"]) or not _is_artifact(path):
        return None
    from trimtab.artifacts.read import read_signature

    text = as_printed(read_signature(path), as_json=bool(options))
    sys.stdout.write(_printable_in(sys.stdout.encoding, text))
    sys.stdout.write("\n")
    sys.stdout.flush()
    return 0


def _is_artifact(path: str) -> bool:
    """Whether this is a file, or a folder that is one artifact and not several."""
    if not os.path.isdir(path):
        return os.path.isfile(path)
    from trimtab.artifacts.candidates import is_one_artifact

    return is_one_artifact(path)


def as_printed(signature: Signature, *, as_json: bool) -> str:
    """What `trimtab inspect` prints of one artifact: a text for people, or the signature document."""
    if not as_json:
        return str(signature)
    from trimtab.signature.document import encode_document

    return encode_document(signature, indent=2).decode()


_COMPLETION = "_TRIMTAB_COMPLETE"


def _printable_in(encoding: str, text: str) -> str:
    """The text, with escapes for what the terminal's encoding does not have."""
    return text.encode(encoding, "backslashreplace").decode(encoding)
