"""The kernel is the reference, only faster; and what every user of it may rely on."""

from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor

import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from payload_strategies import (
    MODELS,
    NAMES,
    TABLES,
    allowlists,
    at_path,
    infer_requests,
    message_field,
    mutated,
    names,
    number_field,
    payloads,
    requests,
    varint,
)

from trimtab import _kernel
from trimtab.bundles.outcomes import Outcome
from trimtab.protocols import oip
from trimtab.protocols.tables import INFER_INPUT_TENSOR, MODEL_INFER_REQUEST, PREDICT_REQUEST, PayloadTable

INFER = MODEL_INFER_REQUEST.compiled
TENSOR = INFER_INPUT_TENSOR.compiled


def compiled(models: dict[str, reference.Model]) -> _kernel.CompiledMap:
    lists: list[list[str]] = []

    def index(allowlist: frozenset[str]) -> int:
        if sorted(allowlist) not in lists:
            lists.append(sorted(allowlist))
        return lists.index(sorted(allowlist))

    rows = [
        (
            name,
            model.attested_stable,
            index(model.versions[model.latest]),
            index(frozenset().union(*model.versions.values())),
            [(version, index(allowlist)) for version, allowlist in model.versions.items()],
        )
        for name, model in models.items()
    ]
    return compiled_lists(lists, rows)


def compiled_lists(lists: list[list[str]], rows: list[tuple]) -> _kernel.CompiledMap:
    names = sorted({name for each in lists for name in each})
    packed = [struct.pack(f">{len(each)}I", *map(names.index, each)) for each in lists]
    return _kernel.CompiledMap(names, packed, rows)


@st.composite
def maps(draw: st.DrawFn) -> dict[str, reference.Model]:
    models = {}
    for name in draw(st.lists(st.sampled_from(MODELS[:2]), unique=True)):
        versions = {str(i + 1): frozenset(draw(allowlists)) for i in range(draw(st.integers(1, 3)))}
        models[name] = reference.Model(draw(st.booleans()), max(versions), versions)
    return models


MODELS_OF_EVERY_KIND = {
    "stable": reference.Model(True, "2", {"1": frozenset("ab"), "2": frozenset("bc")}),
    "moving": reference.Model(False, "2", {"1": frozenset("ab"), "2": frozenset("bc")}),
}
LOOKUP_TABLE = [  # the very table of docs/design.md
    ("stable", "1", False, "exact", "ab"),
    ("stable", "2", True, "exact", "bc"),
    ("stable", "", False, "latest_attested_unversioned", "bc"),
    ("moving", "", False, "union_unversioned", "abc"),
    ("moving", "", True, "union_unversioned", "abc"),
    ("stable", "3", False, "latest_attested_version", "bc"),
    ("stable", "3", True, "latest_attested_version", "bc"),
    ("moving", "3", False, "unknown_version", None),
    ("moving", "3", True, "strict_latest", "bc"),
    ("other", "1", False, "unknown_model", None),
    ("other", "1", True, "unknown_model", None),
    ("", "", False, "unknown_model", None),
]
EXACT_ONLY_TABLE = [
    ("stable", "1", False, "exact", "ab"),
    ("stable", "2", True, "exact", "bc"),
    ("stable", "", False, "unconfirmed", None),
    ("stable", "", True, "latest_attested_unversioned", "bc"),
    ("moving", "", False, "unconfirmed", None),
    ("moving", "", True, "union_unversioned", "abc"),
    ("stable", "3", False, "unconfirmed", None),
    ("stable", "3", True, "latest_attested_version", "bc"),
    ("moving", "3", False, "unconfirmed", None),
    ("moving", "3", True, "strict_latest", "bc"),
    ("other", "1", False, "unknown_model", None),
    ("other", "", True, "unknown_model", None),
]
LOOKUPS = [(False, *row) for row in LOOKUP_TABLE] + [(True, *row) for row in EXACT_ONLY_TABLE]


@pytest.mark.parametrize(("exact_only", "model", "version", "strict", "outcome", "allowed"), LOOKUPS)
def test_lookup(exact_only: bool, model: str, version: str, strict: bool, outcome: str, allowed: str | None) -> None:
    lookup = as_confirmed(compiled(MODELS_OF_EVERY_KIND), exact_only)
    number, index = lookup.lookup(model, version, strict)
    assert _kernel.OUTCOMES[number] == outcome
    assert (None if index < 0 else "".join(sorted(lookup.allowlist(index)))) == allowed
    expected = reference.lookup(MODELS_OF_EVERY_KIND, model.encode(), version.encode(), strict, exact_only)
    assert expected == (outcome, None if allowed is None else frozenset(allowed))


def as_confirmed(models: _kernel.CompiledMap, exact_only: bool) -> _kernel.CompiledMap:
    return models.exact_only if exact_only else models


def test_the_outcomes_are_those_of_python() -> None:
    assert {*_kernel.OUTCOMES, "internal_error"} == {*Outcome}


@pytest.mark.parametrize("table", TABLES, ids=["infer", "predict", "deep key"])
@given(data=st.data(), models=maps(), strict=st.booleans(), exact_only=st.booleans())
def test_kernel_equals_reference(
    table: PayloadTable, data: st.DataObject, models: dict[str, reference.Model], strict: bool, exact_only: bool
) -> None:
    payload, ledger = data.draw(payloads(table)), _kernel.Ledger()
    lookup = as_confirmed(compiled(models), exact_only)
    sent, number, kept, dropped = lookup.trim(payload, table.compiled, strict, ledger)
    expected = reference.trim(payload, table, models, strict, exact_only)
    assert (sent, _kernel.OUTCOMES[number], kept, dropped) == expected
    assert sent is payload or dropped
    assert len(sent) <= len(payload)
    if expected[1] != "malformed":
        _, allowlist = reference.lookup(models, *named(payload, table), strict, exact_only)
        request = reference.read(payload, table)
        gone = reference.dropped_by(request, allowlist) if dropped and allowlist is not None else []
        assert ledger.snapshot() == reference.accounts(payload, table, gone)
        assert table.compiled.identify(payload) == named(payload, table)
    else:
        assert ledger.snapshot() == {}
        assert table.compiled.identify(payload) is None


def named(payload: bytes, table: PayloadTable) -> tuple[bytes, bytes]:
    request = reference.read(payload, table)
    return request.model, request.version


@given(payload=infer_requests() | requests(MODEL_INFER_REQUEST) | mutated(MODEL_INFER_REQUEST), allowed=allowlists)
def test_locate_equals_reference(payload: bytes, allowed: list[str]) -> None:
    refusal, shell, inputs, total = _kernel.Mask(allowed).locate(payload, INFER, TENSOR)
    expected = reference.locate(payload, MODEL_INFER_REQUEST, INFER_INPUT_TENSOR, allowed)
    assert (refusal, shell, [tuple(each) for each in inputs], total) == expected


@given(payload=infer_requests(), allowed=allowlists)
def test_a_trimmed_request_is_the_request_less_its_other_inputs(payload: bytes, allowed: list[str]) -> None:
    request = oip.ModelInferRequest.FromString(payload)
    for index in reversed(range(len(request.inputs))):
        if request.inputs[index].name not in allowed:
            del request.inputs[index]
            if request.raw_input_contents:
                del request.raw_input_contents[index]
    sent, *_ = _kernel.Mask(allowed).trim(payload, INFER)
    assert oip.ModelInferRequest.FromString(sent) == request
    assert _kernel.Mask(allowed).trim(sent, INFER)[0] is sent, "trimming twice is trimming once"


@given(payload=requests(MODEL_INFER_REQUEST), allowed=allowlists, more=allowlists)
def test_what_is_allowed_is_kept_by_every_larger_allowlist(payload: bytes, allowed: list[str], more: list[str]) -> None:
    larger = list(dict.fromkeys([*allowed, *more]))
    through_both = _kernel.Mask(allowed).trim(_kernel.Mask(larger).trim(payload, INFER)[0], INFER)[0]
    assert through_both == _kernel.Mask(allowed).trim(payload, INFER)[0]


@given(first=infer_requests(), others=st.lists(payloads(MODEL_INFER_REQUEST), max_size=4), allowed=allowlists)
def test_what_came_before_changes_nothing(first: bytes, others: list[bytes], allowed: list[str]) -> None:
    """The kernel recalls the elements of the last payload: no order of calls may show it."""
    mask, lookup = _kernel.Mask(allowed), compiled({"ctr": reference.Model(True, "1", {"1": frozenset(NAMES[:3])})})
    longer = message_field(9, b"shifts every offset") + first
    expected = [mask_reference(payload, allowed) for payload in (first, longer, first)]
    for other in others:
        for table in reversed(TABLES):
            table.compiled.identify(other)
        assert mask.trim(other, INFER)[0] == mask_reference(other, allowed)
        lookup.trim(other, INFER)
        assert [mask.trim(payload, INFER)[0] for payload in (first, longer, first)] == expected
        lookup.trim(first, INFER)
        mask.locate(first, INFER, TENSOR)
        ledger = _kernel.Ledger()
        for payload in (first, longer, other, first):
            mask.trim(payload, INFER, ledger)
        total = sum(account[0] + account[2] for account in ledger.snapshot().values())
        assert total == 3 * count(first) + count(other)


def mask_reference(payload: bytes, allowed: list[str]) -> bytes:
    try:
        request = reference.read(payload, MODEL_INFER_REQUEST)
    except reference.MalformedError:
        return payload
    return request.without(reference.dropped_by(request, allowed)) if request.aligned else payload


def count(payload: bytes) -> int:
    try:
        return len(reference.read(payload, MODEL_INFER_REQUEST).elements)
    except reference.MalformedError:
        return 0


ELEMENT = at_path((5, 1), b"age")
DAMAGE = {
    "cut in a tag": ELEMENT + b"\x80",
    "cut in a length": ELEMENT + b"\x2a\x80",
    "length past the end": ELEMENT + b"\x2a\x05\x0a\x03",
    "length of 2**64 - 1": ELEMENT + b"\x2a" + varint((1 << 64) - 1),
    "length of 2**63": ELEMENT + b"\x2a" + varint(1 << 63),
    "eleven bytes of varint": ELEMENT + b"\x18" + b"\x80" * 10 + b"\x00",
    "varint of 65 bits": ELEMENT + b"\x18" + b"\xff" * 9 + b"\x02",
    "field number 0": ELEMENT + b"\x02\x00",
    "field number 2**29": ELEMENT + varint(1 << 32 | 2) + b"\x00",
    "start of a group": ELEMENT + b"\x1b\x1c",
    "end of a group": ELEMENT + b"\x1c",
    "wire type 6": ELEMENT + b"\x1e",
    "wire type 7": ELEMENT + b"\x1f",
    "fixed64 cut": ELEMENT + b"\x19" + bytes(7),
    "fixed32 cut": ELEMENT + b"\x1d" + bytes(3),
    "damage inside an element": ELEMENT + message_field(5, b"\x0a\x03ab"),
    "damage behind an element's name": ELEMENT + message_field(5, b"\x0a\x03age\x80"),
}


@pytest.mark.parametrize("payload", DAMAGE.values(), ids=DAMAGE)
def test_damage_passes_through(payload: bytes) -> None:
    sent, number, kept, dropped = _kernel.Mask([]).trim(payload, INFER)
    assert sent is payload
    assert (_kernel.OUTCOMES[number], kept, dropped) == ("malformed", 0, 0)
    assert _kernel.Mask([]).locate(payload, INFER, TENSOR) == ("malformed", b"", [], 0)


VALID_BUT_ODD = {
    "the largest field number": ELEMENT + message_field((1 << 29) - 1, b"x"),
    "padded tag and length": message_field(5, at_path((1,), b"age", 9), 9),
    "the same number as another type": ELEMENT + number_field(5, 3),
    "name twice, the last counts": message_field(5, at_path((1,), b"other") + at_path((1,), b"age")),
}


@pytest.mark.parametrize("payload", VALID_BUT_ODD.values(), ids=VALID_BUT_ODD)
def test_odd_encodings_are_read_as_protobuf_reads_them(payload: bytes) -> None:
    sent, _, kept, dropped = _kernel.Mask(["age"]).trim(payload, INFER)
    assert (sent, kept, dropped) == (payload, 1, 0)
    assert _kernel.Mask(["other"]).trim(payload, INFER)[2:] == (0, 1)


def test_parallel_entries_that_do_not_pair_up_pass_through() -> None:
    payload = ELEMENT + ELEMENT + message_field(7, b"one only")
    sent, number, kept, dropped = _kernel.Mask([]).trim(payload, INFER)
    assert (sent, _kernel.OUTCOMES[number], kept, dropped) == (payload, "misaligned", 2, 0)


def test_the_version_of_a_predict_request_is_a_number() -> None:
    spec = at_path((1, 1), b"ctr") + at_path((1, 2), number_field(1, 12))
    assert PREDICT_REQUEST.compiled.identify(spec) == (b"ctr", b"12")
    assert PREDICT_REQUEST.compiled.identify(spec + at_path((1, 2), number_field(1, -3))) == (b"ctr", b"-3")
    assert PREDICT_REQUEST.compiled.identify(at_path((1, 3), b"signature")) == (b"", b"")


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
def test_every_contiguous_buffer_is_a_payload(wrap: type) -> None:
    payload = wrap(ELEMENT + at_path((5, 1), b"price"))
    assert _kernel.Mask(["price"]).trim(payload, INFER)[0] == at_path((5, 1), b"price")
    assert _kernel.Mask(["price", "age"]).trim(payload, INFER)[0] is payload


def test_names_that_are_not_utf8_are_just_other_names() -> None:
    ledger = _kernel.Ledger()
    payload = at_path((1,), b"\xff") + at_path((5, 1), b"\xff\xfe")
    sent, number, *_ = compiled({}).trim(payload, INFER, False, ledger)
    assert (sent, _kernel.OUTCOMES[number]) == (payload, "unknown_model")
    assert list(ledger.snapshot()) == ["\\xff\\xfe"]


def test_a_ledger_bounds_what_requests_can_make_it_remember() -> None:
    ledger = _kernel.Ledger(max_names=2)
    elements = [at_path((5, 1), name) for name in (b"a", b"b", b"c", b"a", b"x" * 300)]
    for _ in range(2):
        _kernel.Mask(["a"]).trim(b"".join(elements), INFER, ledger)
    assert ledger.snapshot() == {"a": (4, 20, 0, 0), "b": (0, 0, 2, 10)}
    assert ledger.overflow == (0, 0, 4, 2 * (5 + len(elements[-1])))
    ledger.reset()
    assert (ledger.snapshot(), ledger.overflow) == ({}, (0, 0, 0, 0))
    _kernel.Mask([]).trim(elements[2], INFER, ledger)
    assert ledger.snapshot() == {"c": (0, 0, 1, 5)}


A = struct.pack(">I", 0)
WRONG_MAPS = {
    "no version": (["a"], [A], [("m", True, 0, 0, [])]),
    "empty version": (["a"], [A], [("m", True, 0, 0, [("", 0)])]),
    "version twice": (["a"], [A], [("m", True, 0, 0, [("1", 0), ("1", 0)])]),
    "model twice": (["a"], [A], [("m", True, 0, 0, [("1", 0)]), ("m", True, 0, 0, [("1", 0)])]),
    "no such latest": (["a"], [A], [("m", True, 1, 0, [("1", 0)])]),
    "no such union": (["a"], [A], [("m", True, 0, 1, [("1", 0)])]),
    "no such allowlist": (["a"], [A], [("m", True, 0, 0, [("1", 1)])]),
    "name twice": (["a", "a"], [A], []),
    "no such name": (["a"], [struct.pack(">2I", 0, 1)], []),
    "no name at all": ([], [A], []),
}


@pytest.mark.parametrize(("names", "allowlists", "models"), WRONG_MAPS.values(), ids=WRONG_MAPS)
def test_a_map_that_contradicts_itself_is_refused(names: list[str], allowlists: list[bytes], models: list) -> None:
    with pytest.raises(ValueError, match=r"model|name"):
        _kernel.CompiledMap(names, allowlists, models)


@given(lists=st.lists(st.lists(names, max_size=30), min_size=1, max_size=5), padding=st.integers(0, 4000))
def test_an_allowlist_is_what_it_was_given(lists: list[list[str]], padding: int) -> None:
    """With few names and with very many, where sets are kept in another form."""
    lookup = compiled_lists([*lists, [f"padding {i}" for i in range(padding)]], [])
    assert [lookup.allowlist(i) for i in range(len(lists))] == [sorted(set(each)) for each in lists]
    with pytest.raises(IndexError):
        lookup.allowlist(len(lists) + 1)


def test_many_threads_share_map_and_ledger() -> None:
    lookup, ledger = compiled(MODELS_OF_EVERY_KIND), _kernel.Ledger()
    payloads = []
    for size in (1, 50, 400):
        request = oip.ModelInferRequest(model_name="stable", model_version="1")
        for i in range(size):
            request.inputs.add(name="abcd"[i % 4], datatype="FP32", shape=[64])
            request.raw_input_contents.append(bytes(256))
        payloads.append(request.SerializeToString())
    expected = [reference.trim(payload, MODEL_INFER_REQUEST, MODELS_OF_EVERY_KIND)[0] for payload in payloads]

    def work(turn: int) -> bool:
        return lookup.trim(payloads[turn % 3], INFER, False, ledger)[0] == expected[turn % 3]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(600)))
    assert sum(kept + dropped for kept, _, dropped, _ in ledger.snapshot().values()) == 200 * (1 + 50 + 400)


@pytest.mark.parametrize(
    "wrong",
    [
        {"elements": 0},
        {"elements": 1 << 29},
        {"key": ()},
        {"key": (0,)},
        {"model_name": (1, 1 << 29)},
        {"parallel": 5},
        {"parallel": 1 << 29},
    ],
    ids=str,
)
def test_a_table_of_fields_that_protobuf_does_not_have_is_refused(wrong: dict[str, object]) -> None:
    facts = {"model_name": (1,), "model_version": (2,), "elements": 5, "key": (1,), "parallel": 7} | wrong
    with pytest.raises(ValueError, match="field"):
        _ = PayloadTable(**facts).compiled
