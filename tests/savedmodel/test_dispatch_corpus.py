"""Every recorded call of every model against what TensorFlow did with it: the trace, the trials, or the error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trimtab import savedmodel
from trimtab.savedmodel.dispatching import Dispatch, dispatch_call, parse_call

PAYLOADS = ("Feature: ", "Could not parse")
"""Errors of operations that read the bytes of an argument: no one can tell without running them."""


def recorded(folder: Path) -> list[tuple[dict[str, Any], Dispatch]]:
    model = savedmodel.load(folder / "model")
    told = json.loads((folder / "oracle.json").read_text())
    return [(each, dispatch_call(model.meta_graph, parse_call(each["call"]))) for each in told["calls"]]


def test_every_call_comes_to_what_tensorflow_did(saved_model_corpus: list[Path]) -> None:
    wrong = []
    for folder in saved_model_corpus:
        for theirs, ours in recorded(folder):
            if any(payload in theirs.get("error", "") for payload in PAYLOADS):
                continue
            if theirs.get("chosen") or "result" in theirs:
                agrees = ours.refusal is None and theirs.get("chosen") in (None, ours.trace)
            else:
                agrees = ours.refusal is not None and ours.refusal.tensorflow == theirs["error_type"]
            if not agrees:
                wrong.append((folder.name, theirs["call"], theirs.get("chosen") or theirs.get("error"), ours.refusal))
    assert not wrong


def test_every_trial_is_the_one_that_tensorflow_made(saved_model_corpus: list[Path]) -> None:
    for folder in saved_model_corpus:
        for theirs, ours in recorded(folder):
            if "trials" in theirs:
                made = [
                    [each.trace, each.allow_conversion, None if each.raised else each.matched] for each in ours.trials
                ]
                assert made == [list(each) for each in theirs["trials"]], theirs["call"]


def test_a_refusal_by_every_trace_reads_as_tensorflows(saved_model_corpus: list[Path]) -> None:
    compared = same = 0
    for folder in saved_model_corpus:
        for theirs, ours in recorded(folder):
            if theirs.get("error", "").startswith("Could not find matching concrete function"):
                assert ours.refusal is not None
                compared += 1
                same += theirs["error"] == ours.refusal.message
    assert compared > 20
    assert same / compared > 0.9


def test_what_is_fed_fits_the_function(saved_model_corpus: list[Path]) -> None:
    """As many tensors as the FunctionDef has arguments, of their dtypes, with the captures behind them."""
    for folder in saved_model_corpus:
        model = savedmodel.load(folder / "model").meta_graph
        for theirs, ours in recorded(folder):
            if ours.trace not in model.library:
                continue
            arguments = model.library[ours.trace].signature.input_arg
            assert len(ours.feeds) + len(ours.captures) == len(arguments), theirs["call"]
            assert [each.argument for each in ours.feeds] == [each.name for each in arguments[: len(ours.feeds)]]
            assert all(feed.dtype == _dtype(arg.type) for feed, arg in zip(ours.feeds, arguments, strict=False))


def _dtype(code: int) -> str:
    from trimtab.savedmodel.dtypes import dtype_name

    return dtype_name(code)


@pytest.mark.parametrize(
    ("path", "error"), [("nothing", "TypeError"), ("signatures.nothing", "KeyError"), ("weight", "TypeError")]
)
def test_what_is_no_function_is_refused_as_tensorflow_refuses_it(corpus: Path, path: str, error: str) -> None:
    model = savedmodel.load(corpus / "savedmodel" / "example" / "model")
    said = dispatch_call(model.meta_graph, parse_call({"path": path, "args": []}))
    assert said.refusal is not None
    assert (said.refusal.tensorflow, said.refusal.stage) == (error, "lookup")
