"""What to do about a refusal: a sentence for the nearest trace's first difference, or for a binding that failed."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from msgspec import UNSET

from trimtab.savedmodel.dispatching.parameters import safe_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trimtab.savedmodel.dispatching.outcome import Candidate, Difference, Mismatch
    from trimtab.savedmodel.dispatching.parameters import Parameter
    from trimtab.savedmodel.dispatching.values import Value

_REMEDIES: dict[Difference, str] = {
    "dtype": "Cast {path}: TensorFlow casts no tensor or array when it looks for a trace.",
    "rank": "Reshape {path}: no trace was made for this rank.",
    "dimension": "No trace was made for this size of {path}: pass one that a trace takes, or trace the function again "
    "with tf.TensorSpec and None for the size, and save it.",
    "literal": "{path} is a Python value that is compiled in: only the values that were traced can be passed.",
    "type": "{path} must be {expected}.",
    "conversion": "TensorFlow makes no such tensor of it: pass {path} as {expected}.",
    "keyword": "Pass exactly these: each trace has its own set of keys.",
    "structure": "Nest {path} as the trace does: a list is no tuple, and lengths count.",
}


def remedy(difference: Mismatch, candidates: Iterable[Candidate]) -> str:
    """What to do about a difference. candidates: all of them, for what other traces take at the same place."""
    if difference.path.startswith("("):  # the call as a whole
        return f"Pass {difference.expected}: each trace has a number and keys of its own."
    text = _REMEDIES[difference.kind].format(path=difference.path, expected=difference.expected)
    if difference.kind in ("dimension", "literal", "rank", "dtype"):
        others = dict.fromkeys(
            other.expected
            for candidate in candidates
            for other in candidate.differences
            if other.path == difference.path and other.kind == difference.kind
        )
        if len(others) > 1:
            shown = ", ".join(list(others)[:8]) + (", ..." if len(others) > 8 else "")
            text += f" Traces were made for {shown}."
    return text


def binding_advice(
    parameters: tuple[Parameter, ...], args: tuple[Value, ...], kwargs: dict[str, Value]
) -> tuple[str, ...]:
    """Why a call does not bind: what is missing, what has no parameter, what is given twice."""
    found = []
    by_position = [each.name for each in parameters if each.kind in ("positional", "plain")]
    by_name = [each.name for each in parameters if each.kind in ("plain", "keyword")]
    given = [safe_name(key) for key in kwargs if key]
    takes_more = {each.kind for each in parameters} & {"varargs", "varkw"}
    if len(args) > len(by_position) and "varargs" not in takes_more:
        found.append(f"It takes {len(by_position)} positional arguments, got {len(args)}.")
    for name in given:
        if name in by_position[: len(args)] and name in by_name:
            found.append(f"{name!r} is given by position and by keyword.")
        elif name not in by_name and "varkw" not in takes_more:
            near = difflib.get_close_matches(name, by_name, n=1)
            found.append(f"There is no parameter {name!r}" + (f": is {near[0]!r} meant?" if near else "."))
    required = [each for each in parameters if each.default is UNSET and each.kind not in ("varargs", "varkw")]
    missing = [each.name for each in required if each.name not in given and each.name not in by_position[: len(args)]]
    if missing:
        found.append(f"Missing: {', '.join(map(repr, missing))}.")
    return tuple(found)
