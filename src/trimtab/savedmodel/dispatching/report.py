"""What comes of a call as text for a person, and as an object for a program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trimtab.savedmodel.structure import shape_text
from trimtab.signature.render import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.savedmodel.captures import Capture
    from trimtab.savedmodel.dispatching.outcome import Candidate, Dispatch, Mismatch, Refusal

_SHOWN = 5


def as_dict(outcome: Dispatch) -> dict[str, Any]:
    """`{"trace": NAME, ...}` of a function that runs, `{"error": {"tensorflow": CLASS, ...}}` of a refusal."""
    if outcome.refusal is not None:
        error = {
            "tensorflow": outcome.refusal.tensorflow,
            "message": outcome.refusal.message,
            "stage": outcome.refusal.stage,
            "advice": list(outcome.advice),
            "candidates": [_candidate(each) for each in outcome.candidates],
        }
        return {"error": error, "function": outcome.function, "trace": outcome.trace, **_common(outcome)}
    return {
        "trace": outcome.trace,
        "function": outcome.function,
        "position": outcome.position,
        "converted": outcome.allow_conversion,
        "feeds": [
            {
                "argument": feed.argument,
                "path": feed.path,
                "dtype": feed.dtype,
                "shape": None if feed.shape is None else list(feed.shape),
                "converted": feed.converted,
            }
            for feed in outcome.feeds
        ],
        "captures": [_capture(each) for each in outcome.captures],
        **_common(outcome),
    }


def _common(outcome: Dispatch) -> dict[str, Any]:
    return {
        "warnings": [{"id": each.id, "path": each.path, "message": each.message} for each in outcome.warnings],
        "trials": [
            {
                "trace": each.trace,
                "position": each.position,
                "allow_conversion": each.allow_conversion,
                "matched": each.matched,
                "mismatch": None if each.mismatch is None else _mismatch(each.mismatch),
                "raised": each.raised,
            }
            for each in outcome.trials
        ],
    }


def _candidate(each: Candidate) -> dict[str, Any]:
    return {
        "trace": each.trace,
        "position": each.position,
        "distance": each.distance,
        "differences": [_mismatch(difference) for difference in each.differences],
        "remedy": each.remedy,
    }


def _mismatch(each: Mismatch) -> dict[str, str]:
    return {"path": each.path, "kind": each.kind, "expected": each.expected, "got": each.got}


def _capture(each: Capture) -> dict[str, Any]:
    return {
        "argument": each.argument,
        "kind": each.kind,
        "path": each.path,
        "name": each.name,
        "dtype": each.dtype,
        "shape": None if each.shape is None else list(each.shape),
    }


def as_text(outcome: Dispatch, *, explain: bool = False) -> str:
    """The answer in lines. explain: every trial, TensorFlow's whole text, and every candidate too."""
    lines = list(_refused(outcome, outcome.refusal, explain=explain) if outcome.refusal else _runs(outcome))
    lines += [f"warning  {each}" for each in outcome.warnings]
    if explain and outcome.trials:
        lines += ["trials, in TensorFlow's order:", *_trials(outcome)]
    return "\n".join(printable(line) for line in lines)


def _runs(outcome: Dispatch) -> Iterator[str]:
    place = "" if outcome.position is None else f", trace {outcome.position + 1} of its order"
    converted = ", after conversion" if outcome.allow_conversion else ""
    yield f"{outcome.function}: runs {outcome.trace}{place}{converted}"
    names = [*(feed.argument for feed in outcome.feeds), *(capture.argument for capture in outcome.captures)]
    width = max(map(len, names), default=0)
    for feed in outcome.feeds:
        made = "  (converted)" if feed.converted else ""
        yield f"  feed     {feed.argument:<{width}}  {feed.dtype} {shape_text(feed.shape)}  from {feed.path}{made}"
    for each in outcome.captures:
        holds = f"{each.dtype} {shape_text(each.shape)}" if each.kind == "variable" else each.dtype
        yield f"  capture  {each.argument:<{width}}  {each.kind} {each.label}  {holds}".rstrip()


def _refused(outcome: Dispatch, refusal: Refusal, *, explain: bool) -> Iterator[str]:
    yield f"{outcome.function}: TensorFlow refuses with {refusal.tensorflow} ({_STAGES[refusal.stage]})"
    text = refusal.message.splitlines() or [""]
    yield from (f"  {line}" for line in (text if explain else text[:1]))
    shown = outcome.candidates if explain else outcome.candidates[:_SHOWN]
    for at, each in enumerate(shown):
        head = "nearest" if at == 0 else "then"
        yield f"  {head}: trace {each.position + 1}, {each.trace}"
        for difference in each.differences if explain or at == 0 else each.differences[:1]:
            yield f"    {difference.kind}  {difference}"
        if not each.differences:
            yield "    takes the call, but was not reached"
    if len(shown) < len(outcome.candidates):
        yield f"  and {len(outcome.candidates) - len(shown)} more: --explain shows them all"
    yield from (f"  {each}" for each in outcome.advice)


_STAGES = {
    "lookup": "there is no such function",
    "binding": "binding arguments to parameters",
    "cast": "casting an argument to the input_signature",
    "trial": "while it tried a trace",
    "match": "no trace takes the call",
    "call": "calling the function",
    "run": "while the function runs",
}


def _trials(outcome: Dispatch) -> Iterator[str]:
    for each in outcome.trials:
        how = "with conversion" if each.allow_conversion else "as they are"
        answer = "takes the call" if each.matched else f"raises {each.raised}" if each.raised else str(each.mismatch)
        yield f"  trace {each.position + 1} ({each.trace}), arguments {how}: {answer}"
