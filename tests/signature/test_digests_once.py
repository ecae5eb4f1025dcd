"""A digest is computed once for equal contracts, and never taken for another's."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from msgspec import structs

from signature_strategies import signatures
from trimtab.signature import canonical
from trimtab.signature.dtypes import DType
from trimtab.signature.model import EntryPoint, Input, Overload, Presence, Provenance, Signature
from trimtab.signature.types import Literal, Tensor


def with_default(value: float | str | bool | None) -> Signature:
    literal = Literal(value=value)
    given = Input(name="x", type=Tensor(DType.FLOAT32), presence=Presence.DEFAULT, default=literal)
    return Signature(
        entry_points=(EntryPoint(name="main", overloads=(Overload(inputs=(given,)),)),), default_entry_point="main"
    )


@given(signatures(), signatures())
def test_remembering_changes_no_digest(one: Signature, other: Signature) -> None:
    remembered = [(each.digest, each.input_digest) for each in (one, other, one)]
    for (digest, input_digest), each in zip(remembered, (one, other, one), strict=True):
        canonical._digests.clear()
        fresh = structs.replace(each)
        assert (fresh.digest, fresh.input_digest) == (digest, input_digest)


def test_an_equal_contract_is_not_put_into_canonical_form_again(monkeypatch: pytest.MonkeyPatch) -> None:
    canonical._digests.clear()
    first = with_default("a").digest
    monkeypatch.setattr(canonical, "canonical_json", None)
    again = structs.replace(with_default("a"), provenance=Provenance(format="onnx"))
    assert again.digest == first
    with pytest.raises(TypeError):
        _ = with_default("b").digest


def test_values_that_compare_equal_are_not_one() -> None:
    assert len({with_default(value).digest for value in (True, 1, "1", None)}) == 4


def test_what_has_no_digest_has_none_the_second_time_either() -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="JSON compliant"):
            _ = with_default(math.nan).digest
