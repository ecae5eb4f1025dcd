"""What is sent to a leaf is what an obvious root would send; what comes back is what the leaf said."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_world import ITEMS, World, bundle_of

from trimtab.bundles.consolidated import ConsolidatedMap
from trimtab.errors import ConversionError
from trimtab.observing.root_metrics import RootMetrics
from trimtab.protocols import oip, score
from trimtab.serving.root.answers import decode_answer
from trimtab.serving.root.features.cache import FeatureCache
from trimtab.serving.root.features.source import Level
from trimtab.serving.root.fetching import Fetcher
from trimtab.serving.root.leaves import Answer, CallFailure
from trimtab.serving.root.planning import Planner
from trimtab.serving.root.request import InlineFeature, ModelRef, ScoreCall, call_from_json, decode_call
from trimtab.serving.root.scoring import Scorer

WORLD = World()
SPECS = {it.name: it for view in WORLD.views.values() for it in view.features}
LEVELS = {it.name: view.level for view in WORLD.views.values() for it in view.features}
VIEWS = {it.name: view.name for view in WORLD.views.values() for it in view.features}
EXECUTOR = ThreadPoolExecutor(2)


class Holds:
    """A map that stays."""

    def __init__(self, current: ConsolidatedMap) -> None:
        self.current = current


class Catches:
    """In the place of the leaves: keeps what would be sent."""

    def __init__(self, broadcasts: bool) -> None:
        self.broadcasts = broadcasts
        self.requests: dict[str, Any] = {}

    async def infer(self, model: ModelRef, build: Callable[[Any, bool], bytes], deadline: float) -> Answer:
        payload = build(None, self.broadcasts)
        self.requests[model.name] = oip.ModelInferRequest.FromString(payload)
        return Answer(oip.ModelInferResponse(model_version="1").SerializeToString(), "", len(payload))


models = st.dictionaries(
    st.sampled_from(["a", "b", "c"]), st.sets(st.sampled_from([*SPECS, "elsewhere"]), min_size=1), min_size=1
)
calls = st.fixed_dictionaries(
    {
        "candidates": st.lists(st.sampled_from([*ITEMS[:4], "p35", "nobody"]), min_size=1, max_size=6),
        "user": st.sampled_from(["u1", "u9", None]),
        "inline": st.sets(st.sampled_from(["age", "price", "elsewhere"])),
        "broadcasts": st.booleans(),
        "trim": st.booleans(),
    }
)


@settings(max_examples=150)
@given(models, calls)
def test_requests_are_what_an_obvious_root_would_send(uses: dict[str, set[str]], given_call: dict[str, Any]) -> None:
    names, user = given_call["candidates"], given_call["user"]
    inline = {name: np.float32([[len(name)]]) for name in given_call["inline"]}
    call = ScoreCall(
        tuple(map(ModelRef, uses)),
        tuple(names),
        {} if user is None else {"user": user},
        tuple(InlineFeature(name, "FP32", (1, 1), value.tobytes()) for name, value in inline.items()),
    )
    leaves = Catches(given_call["broadcasts"])
    planner = Planner(
        WORLD.views, Holds(ConsolidatedMap({"ranking": bundle_of({m: {"1": u} for m, u in uses.items()})})),
        trim=given_call["trim"],
    )  # fmt: skip
    scorer = Scorer(planner, Fetcher(FeatureCache(WORLD), EXECUTOR), leaves, RootMetrics(lambda: (0, 0), dict))
    scores = asyncio.run(scorer.score(call, time.monotonic() + 10))

    allowed = {model: set(names) if given_call["trim"] else {*SPECS, *inline} for model, names in uses.items()}
    asked_views = {VIEWS[name] for names in allowed.values() for name in names if name in SPECS and name not in inline}
    known = [
        key
        for key in names
        if all(key in WORLD.table[view] for view in asked_views if WORLD.views[view].level is Level.CANDIDATE)
    ]
    assert scores.unknown_candidates == tuple(dict.fromkeys(key for key in names if key not in known))
    for model, result in zip(call.models, scores.results, strict=True):
        if not known:
            assert result.code == "NOT_FOUND"
            continue
        read = {name for name in uses[model.name] if name not in inline and LEVELS.get(name) is Level.CANDIDATE}
        once = given_call["broadcasts"] and bool(read)
        expected = obvious(allowed[model.name], known, user, inline, once)
        request = leaves.requests[model.name]
        got = {
            tensor.name: (tuple(tensor.shape), raw, tensor.parameters["broadcast"].bool_param)
            for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True)
        }
        assert len(got) == len(request.inputs)
        assert got == expected


def obvious(
    allowed: set[str], known: list[str], user: str | None, inline: dict[str, np.ndarray], once: bool
) -> dict[str, tuple[tuple[int, ...], bytes, bool]]:
    columns: dict[str, tuple[np.ndarray, bool]] = {}
    for name in allowed:
        if name in inline:
            columns[name] = (inline[name], True)
        elif name in SPECS and LEVELS[name] is Level.CANDIDATE:
            columns[name] = (np.stack([WORLD.table[VIEWS[name]][key][name] for key in known]), False)
        elif name in SPECS and user in WORLD.table["user"]:
            columns[name] = (WORLD.table["user"][user][name][None], True)
    return {
        name: (value.shape, value.tobytes(), True)
        if is_once and once
        else ((len(known), *value.shape[1:]), (value.tobytes() * len(known) if is_once else value.tobytes()), False)
        for name, (value, is_once) in columns.items()
    }


def test_typed_contents_of_a_foreign_leaf_become_raw_ones() -> None:
    message = oip.ModelInferResponse(model_version="3")
    for name, datatype, field, values in (
        ("score", "FP32", "fp32_contents", [0.5, 2]),
        ("rank", "INT16", "int_contents", [-1, 7]),
        ("flag", "BOOL", "bool_contents", [True, False]),
        ("label", "BYTES", "bytes_contents", [b"a", b"\xff"]),
    ):
        tensor = message.outputs.add(name=name, datatype=datatype, shape=[2])
        getattr(tensor.contents, field).extend(values)
    answer = decode_answer(message.SerializeToString())
    assert answer.model_version == "3"
    assert [it.values() for it in answer.outputs] == [[0.5, 2], [-1, 7], [True, False], ["a", "\\xff"]]


def test_half_precision_outputs_are_numbers() -> None:
    message = oip.ModelInferResponse(raw_output_contents=[b"\x00\x3c", b"\x80\x3f"])
    message.outputs.add(name="half", datatype="FP16", shape=[1])
    message.outputs.add(name="brain", datatype="BF16", shape=[1])
    assert [it.values() for it in decode_answer(message.SerializeToString()).outputs] == [[1.0], [1.0]]


BAD_ANSWERS = [
    (b"\xff", "not a ModelInferResponse"),
    (oip.ModelInferResponse(raw_output_contents=[b""]).SerializeToString(), "0 outputs with 1 raw"),
    (
        oip.ModelInferResponse(
            outputs=[{"name": "s", "datatype": "FP32", "shape": [2]}], raw_output_contents=[b"1234"]
        ).SerializeToString(),
        "expected 8 bytes",
    ),
    (oip.ModelInferResponse(outputs=[{"name": "s", "datatype": "FP31"}]).SerializeToString(), "FP31"),
    (oip.ModelInferResponse(outputs=[{"name": "s", "datatype": "FP16", "shape": [1]}]).SerializeToString(), "2 bytes"),
]


@pytest.mark.parametrize(("payload", "text"), BAD_ANSWERS)
def test_an_answer_that_is_not_one_is_a_failure_of_that_model(payload: bytes, text: str) -> None:
    with pytest.raises(CallFailure, match=text) as failure:
        decode_answer(payload)
    assert failure.value.code == "INTERNAL"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_call_or_refused(payload: bytes) -> None:
    try:
        decode_call(payload)
    except ConversionError:
        return


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
fields = ["id", "models", "candidates", "entities", "features", "deadline_ms"]


@given(st.dictionaries(st.sampled_from(fields), json_values) | json_values)
def test_any_json_is_a_call_or_refused(document: object) -> None:
    if isinstance(document, dict):
        document = {"models": ["ctr"], "candidates": ["p1"], **document}
    try:
        call_from_json(document)
    except ConversionError:
        return


@given(st.sampled_from(["FP32", "INT64", "INT8", "BOOL", "BYTES", "FP16", "BF16", "X"]), json_values, json_values)
def test_any_inline_feature_is_taken_or_refused(datatype: str, data: object, shape: object) -> None:
    feature = {"datatype": datatype, "data": data, "shape": shape}
    try:
        call = call_from_json({"models": ["ctr"], "candidates": ["p1"], "features": {"age": feature}})
    except ConversionError:
        return
    assert call.features[0].datatype == datatype


@pytest.mark.parametrize("shape", ["11", [1.0, 1], [True, 1], 1, None, [1, 0, 10**30], {"1": 1}])
def test_a_shape_that_is_no_list_of_sizes_is_refused(shape: object) -> None:
    feature = {"datatype": "FP32", "data": [2], "shape": shape}
    with pytest.raises(ConversionError, match='"age"'):
        call_from_json({"models": ["ctr"], "candidates": ["p1"], "features": {"age": feature}})


def test_json_and_protobuf_say_the_same() -> None:
    message = score.ScoreRequest(id="r", candidates=["p1"], entities={"user": "u1"}, deadline_ms=5)
    message.models.add(name="ctr", version="7")
    message.features.add(name="age", datatype="FP32", shape=[1, 2], raw=np.float32([1, 2]).tobytes())
    message.features.add(name="mood", datatype="BYTES", shape=[1], raw=b"\2\0\0\0ok")
    document = {
        "id": "r", "candidates": ["p1"], "entities": {"user": "u1"}, "deadline_ms": 5, "models": ["ctr:7"],
        "features": {
            "age": {"datatype": "FP32", "data": [[1, 2]]},
            "mood": {"datatype": "BYTES", "shape": [1], "data": ["ok"]},
        },
    }  # fmt: skip
    assert call_from_json(document) == decode_call(message.SerializeToString())
