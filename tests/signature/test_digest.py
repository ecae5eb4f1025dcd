"""What the digests see and what they do not."""

from __future__ import annotations

import json
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signature_strategies import signatures
from trimtab.signature.canonical import canonical_json
from trimtab.signature.dtypes import DType
from trimtab.signature.model import (
    Constraints,
    EntryPoint,
    Input,
    Learned,
    Live,
    Output,
    Overload,
    Presence,
    Provenance,
    Quantization,
    Range,
    Signature,
)
from trimtab.signature.types import Literal, Tensor


def ranker(**changes: object) -> Signature:
    fields: dict[str, object] = {"name": "age", "type": Tensor(DType.FLOAT32, ("batch", 1)), "path": 'feats["age"]'}
    changed = Input(**{**fields, **changes})
    other = Input(name="ids", type=Tensor(DType.INT64, ("batch", "k")), path='feats["ids"]')
    output = Output(name="score", type=Tensor(DType.FLOAT32, ("batch",)), path="")
    overload = Overload(inputs=(changed, other), outputs=(output,), dimensions={"batch": Range(minimum=1)})
    return Signature(entry_points=(EntryPoint(name="forward", overloads=(overload,)),), default_entry_point="forward")


CHANGES_BOTH = {
    "name": {"name": "years"},
    "dtype": {"type": Tensor(DType.FLOAT64, ("batch", 1))},
    "rank": {"type": Tensor(DType.FLOAT32, ("batch",))},
    "unknown rank": {"type": Tensor(DType.FLOAT32, None)},
    "rank 0": {"type": Tensor(DType.FLOAT32, ())},
    "dimension": {"type": Tensor(DType.FLOAT32, ("batch", 2))},
    "unbound": {"type": Tensor(DType.FLOAT32, ("k", 1))},
    "presence": {"presence": Presence.OPTIONAL},
    "default": {"presence": Presence.DEFAULT, "default": Literal(1)},
    "nullable": {"nullable": True},
    "quantization": {"quantization": Quantization(scale=0.5)},
    "alias": {"aliases": ("years",)},
}
CHANGES_WHOLE = {"path": {"path": "age"}, "id": {"id": "f17"}}
CHANGES_NOTHING = {
    "doc": {"doc": "in years"},
    "live": {"live": Live.YES},
    "learned": {"learned": {"type": Learned.EXAMPLE}},
}


@pytest.mark.parametrize("change", CHANGES_BOTH.values(), ids=CHANGES_BOTH.keys())
def test_the_contract_of_inputs_changes_both_digests(change: dict[str, object]) -> None:
    assert ranker(**change).digest != ranker().digest
    assert ranker(**change).input_digest != ranker().input_digest


@pytest.mark.parametrize("change", CHANGES_WHOLE.values(), ids=CHANGES_WHOLE.keys())
def test_the_place_in_the_call_changes_the_whole_digest_alone(change: dict[str, object]) -> None:
    assert ranker(**change).digest != ranker().digest
    assert ranker(**change).input_digest == ranker().input_digest


@pytest.mark.parametrize("change", CHANGES_NOTHING.values(), ids=CHANGES_NOTHING.keys())
def test_remarks_change_no_digest(change: dict[str, object]) -> None:
    assert ranker(**change).digest == ranker().digest


@given(signatures(), st.randoms(use_true_random=False))
def test_order_that_nobody_sees_does_not_matter(signature: Signature, shuffle: random.Random) -> None:
    def shuffled(values: tuple) -> tuple:
        return tuple(shuffle.sample(values, len(values)))

    entry_points = shuffled(
        tuple(
            msgspec.structs.replace(
                entry_point,
                overloads=tuple(
                    msgspec.structs.replace(each, inputs=shuffled(each.inputs), outputs=shuffled(each.outputs))
                    for each in entry_point.overloads
                ),
            )
            for entry_point in signature.entry_points
        )
    )
    same = Signature(entry_points=entry_points, default_entry_point=signature.default_entry_point)
    assert same.digest == signature.digest
    assert same.input_digest == signature.input_digest


@given(signatures())
def test_canonical_json_is_stable_and_free_of_provenance(signature: Signature) -> None:
    without = Signature(
        entry_points=signature.entry_points,
        default_entry_point=signature.default_entry_point,
        provenance=Provenance(),
    )
    assert canonical_json(signature) == canonical_json(without) == canonical_json(signature)


@pytest.mark.parametrize("renamed", ["n", "s10", "B"])
def test_renaming_a_symbol_changes_nothing(renamed: str) -> None:
    def shaped(symbol: str) -> Signature:
        overload = Overload(
            inputs=(
                Input(name="x", type=Tensor(DType.FLOAT32, (symbol, f"2*{symbol} + Max(1, other)"))),
                Input(name="y", type=Tensor(DType.FLOAT32, (symbol, "?"))),
            ),
            dimensions={symbol: Range(minimum=2), f"{symbol} + 1": Range(maximum=9)},
        )
        return Signature(entry_points=(EntryPoint(name="f", overloads=(overload,)),), default_entry_point="f")

    assert shaped(renamed).digest == shaped("batch").digest
    assert b"Max(1, d" in canonical_json(shaped(renamed))


def test_the_allowlist_covers_every_entry_point_overload_and_alias() -> None:
    def entry(name: str, *inputs: Input) -> EntryPoint:
        return EntryPoint(name=name, overloads=tuple(Overload(inputs=(each,)) for each in inputs))

    signature = Signature(
        entry_points=(
            entry("forward", Input(name="a", type=Tensor(), aliases=("old_a",)), Input(name="b", type=Tensor())),
            entry("embed", Input(name="c", type=Tensor())),
        ),
        default_entry_point="forward",
    )
    assert signature.allowlist == {"a", "old_a", "b", "c"}
    assert signature.input_names == ("a", "b")


def test_literals_that_python_calls_equal_are_told_apart() -> None:
    def constants(*values: object) -> Signature:
        inputs = tuple(Input(name=f"c{index}", type=Literal.from_python(value)) for index, value in enumerate(values))
        overload = Overload(inputs=inputs)
        return Signature(entry_points=(EntryPoint(name="f", overloads=(overload,)),), default_entry_point="f")

    assert constants(True, 1).digest != constants(True, True).digest


_values = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(1e-9, 1e-4),
    st.integers(-(1 << 70), 1 << 70),
    st.booleans(),
    st.none(),
    st.text(),
)


@given(_values, st.one_of(st.floats(0, 1e30), st.integers()), st.integers(-(1 << 70), 1 << 70), st.text())
def test_canonical_json_is_what_python_writes(default: object, limit: float, size: int, name: str) -> None:
    """To the byte, numbers of any size and characters of any kind too: digests are compared across versions."""
    changed = ranker(
        name=name,
        default=Literal.from_python((default,)),
        type=Tensor(DType.FLOAT32, (size, name)),
        constraints=Constraints(range=Range(maximum=limit), categories=(name, limit)),
    )
    written = canonical_json(changed)
    parsed = json.loads(written)
    assert written == json.dumps(parsed, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    inputs = {each["name"]: each for each in parsed["entry_points"][0]["overloads"][0]["inputs"]}
    assert inputs[name]["type"]["shape"][0] == size
    assert inputs[name]["constraints"]["range"]["maximum"] == limit
    assert inputs[name]["default"]["value"][0].get("value") == default
