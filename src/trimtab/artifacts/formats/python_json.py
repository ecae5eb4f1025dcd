"""JSON as Python's `json` writes and reads it by default: with NaN and infinities, and otherwise strict.

Keras and MLflow keep settings so; a file that they read must not be refused for a mask value of NaN.
"""

from __future__ import annotations

import json
from typing import Any

from trimtab.artifacts.limits import check_json
from trimtab.errors import ArtifactError


def parse_json(text: str, where: str) -> Any:
    """The value. ArtifactError for what is no JSON, has a key twice, a lone surrogate, or far too many parts."""
    check_json(text, where)
    try:
        value = json.loads(text, object_pairs_hook=_unique)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except _TwiceError as twice:
        failure = ("each key once", f"{twice.args[0]!r} twice in one object")
    except UnicodeEncodeError:
        failure = ("text in Unicode", "a lone surrogate")
    except RecursionError:
        failure = ("JSON", "deeper nesting than any model has")
    except ValueError as error:
        failure = ("JSON", str(error)[:200])
    else:
        return value
    raise ArtifactError(where=where, expected=failure[0], got=failure[1])


class _TwiceError(Exception):
    """Carries a key that stands twice out of the parser's hook."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _TwiceError(key[:80])
            seen.add(key)
    return unique
