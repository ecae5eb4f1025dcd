"""The trimmer never raises, counts every outcome, and follows the map in force."""

from __future__ import annotations

import logging
import struct
from types import SimpleNamespace

import pytest

import trimtab
from trimtab import MissPolicy, Outcome, Trimmer, _kernel
from trimtab.protocols import oip


def models(*allowed: str, attested_stable: bool = False) -> SimpleNamespace:
    packed = struct.pack(f">{len(allowed)}I", *range(len(allowed)))
    return SimpleNamespace(
        compiled=_kernel.CompiledMap(allowed, [packed], [("ctr", attested_stable, 0, 0, [("1", 0)])])
    )


def request(version: str = "1", model: str = "ctr") -> bytes:
    message = oip.ModelInferRequest(model_name=model, model_version=version)
    for name in ("age", "price"):
        message.inputs.add(name=name, datatype="FP32", shape=[1])
        message.raw_input_contents.append(name.encode())
    return bytes(message.SerializeToString())


def inputs(payload: bytes) -> list[tuple[str, bytes]]:
    message = oip.ModelInferRequest.FromString(payload)
    return [(each.name, raw) for each, raw in zip(message.inputs, message.raw_input_contents, strict=True)]


def test_a_request_keeps_what_its_model_uses() -> None:
    trimmer = Trimmer(models("price"))
    assert inputs(trimmer.trim(request())) == [("price", b"price")]
    explained = trimmer.trim_explained(request())
    assert (explained.outcome, explained.kept, explained.dropped) == (Outcome.EXACT, 1, 1)
    assert trimmer.counts[Outcome.EXACT] == 2


@pytest.mark.parametrize(
    ("payload", "policy", "outcome"),
    [
        (request("7"), MissPolicy.LENIENT, Outcome.UNKNOWN_VERSION),
        (request("7"), MissPolicy.STRICT, Outcome.STRICT_LATEST),
        (request("1", "other"), MissPolicy.STRICT, Outcome.UNKNOWN_MODEL),
        (b"\xff", MissPolicy.LENIENT, Outcome.MALFORMED),
        (request()[:-7], MissPolicy.LENIENT, Outcome.MISALIGNED),
        ("not even bytes", MissPolicy.LENIENT, Outcome.INTERNAL_ERROR),
    ],
)
def test_every_outcome_is_counted(payload: bytes, policy: MissPolicy, outcome: Outcome) -> None:
    trimmer = Trimmer(models("price"), policy=policy)
    assert (trimmer.trim(payload) is payload) == outcome.passes_through
    assert {each: count for each, count in trimmer.counts.items() if count} == {outcome: 1}
    assert set(trimmer.counts) == set(Outcome)


def test_a_new_map_takes_effect_with_the_next_request() -> None:
    in_force = [models("price")]
    trimmer = Trimmer(lambda: in_force[0])
    assert [name for name, _ in inputs(trimmer.trim(request()))] == ["price"]
    in_force[0] = models("age", "price")
    assert trimmer.trim(payload := request()) is payload


def test_a_map_that_is_not_confirmed_trims_only_versions_that_it_has() -> None:
    unconfirmed = SimpleNamespace(compiled=models("price").compiled.exact_only)
    trimmer = Trimmer(lambda: unconfirmed)
    assert [name for name, _ in inputs(trimmer.trim(request()))] == ["price"]
    for version in ("", "7"):
        assert trimmer.trim(payload := request(version)) is payload
    assert trimmer.counts[Outcome.UNCONFIRMED] == 2
    strict = Trimmer(unconfirmed, policy=MissPolicy.STRICT)
    assert [name for name, _ in inputs(strict.trim(request("")))] == ["price"]


def test_a_supplier_that_fails_costs_no_request(caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> SimpleNamespace:
        raise RuntimeError("no map yet")

    trimmer = Trimmer(fails)
    with caplog.at_level(logging.ERROR):
        assert trimmer.trim(payload := request()) is payload
        assert trimmer.trim(payload) is payload
    assert trimmer.counts[Outcome.INTERNAL_ERROR] == 2
    assert len(caplog.records) == 1, "a lasting fault is logged once"


def test_a_service_with_one_model_needs_no_map() -> None:
    ledger = _kernel.Ledger()
    trimmer = Trimmer.from_allowlist(["price", "price"], ledger=ledger)
    assert inputs(trimmer.trim(request("77", "whatever"))) == [("price", b"price")]
    assert set(ledger.snapshot()) == {"age", "price"}


def test_a_consolidated_map_is_a_map_for_the_trimmer() -> None:
    trimmer = Trimmer(trimtab.ConsolidatedMap({}))
    assert trimmer.trim_explained(request()).outcome is Outcome.UNKNOWN_MODEL
