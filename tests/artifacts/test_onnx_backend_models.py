"""The models that onnx ships for testing backends, two thousand of every operator: each is read as onnx reads it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import onnx
import onnxruntime
from onnx.backend.test import loader
from onnxruntime.capi.onnxruntime_pybind11_state import Fail as UnknownOperatorError
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NoKernelError
from test_onnx_agreement import check_with_onnx, check_with_onnxruntime
from test_onnx_hostile import reached, uses

from trimtab.artifacts import read_signature
from trimtab.signature.model import Live, Signature
from trimtab.source.bytes import MemorySource


def operator_models() -> Iterator[onnx.ModelProto]:
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield from (case.model for case in collect_testcases(None) if case.model is not None)


def check_with_reachability(signature: Signature, made: onnx.ModelProto) -> None:
    """What is live is what the slow and obvious way gives, exactly; what no node reads is dead."""
    between = [*uses(made.graph)]
    reached_by_outputs = reached({it.name for it in made.graph.output}, between)
    read = reached_by_outputs.union(*(reads for _, reads in between))
    for each in signature.inputs:
        assert (each.live is Live.YES) == (each.name in reached_by_outputs)
        assert each.live is Live.NO or each.name in read


def test_every_operators_models_are_read_as_onnx_reads_them() -> None:
    count = 0
    for made in operator_models():
        signature = read_signature(MemorySource(made.SerializeToString()))
        check_with_onnx(signature, made)
        check_with_reachability(signature, made)
        count += 1
    assert count > 1000


def test_converted_models_agree_with_onnxruntime() -> None:
    run = 0
    for path in sorted(Path(loader.DATA_DIR).glob("*/*/model.onnx")):
        signature = read_signature(path)
        made = onnx.load(path)
        check_with_onnx(signature, made)
        check_with_reachability(signature, made)
        with suppress(NoKernelError, UnknownOperatorError):  # first versions of operators, and training
            check_with_onnxruntime(signature, onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]))
            run += 1
    assert run > 50
