"""The signature document: what is written is read back, and what is wrong is refused with the reason."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signature_strategies import signatures
from trimtab.errors import SignatureError
from trimtab.signature import strict_json
from trimtab.signature.document import (
    DOCUMENT_VERSION,
    MAX_DOCUMENT_BYTES,
    decode_document,
    decode_if_document,
    document_of,
    encode_document,
)
from trimtab.signature.model import Signature
from trimtab.signature.schema import SCHEMA_FILE, document_schema, document_schema_text

GOLDEN = sorted((Path(__file__).parents[1] / "data" / "documents").glob("v*/*.json"))
OF_VERSION_2 = (b'"quantization":{', b'"categorical":true', b'"row_splits":"')
PLAIN = {"input_names": ["b", "a"], "output_names": ["score"]}


@given(signatures(), st.sampled_from([None, 2]))
def test_round_trip(signature: Signature, indent: int | None) -> None:
    data = encode_document(signature, indent=indent)
    assert decode_document(data) == signature
    assert decode_if_document(data) == signature


@given(signatures())
def test_the_first_two_keys_are_pinterests(signature: Signature) -> None:
    value = json.loads(encode_document(signature))
    assert list(value)[:2] == ["input_names", "output_names"]
    assert value["input_names"] == list(signature.input_names)


@given(signatures())
def test_every_document_fits_the_shipped_schema(signature: Signature) -> None:
    jsonschema.validate(json.loads(encode_document(signature)), document_schema())


def test_the_shipped_schema_is_the_generated_one() -> None:
    import trimtab.signature

    shipped = Path(str(trimtab.signature.__file__)).with_name(SCHEMA_FILE)
    assert shipped.read_text() == document_schema_text(), "run: python -m trimtab.signature.schema > that file"


def test_a_plain_module_info_gives_names_in_order() -> None:
    signature = decode_document(json.dumps(PLAIN | {"someone_elses": 1}).encode())
    assert signature.input_names == ("b", "a")
    assert signature.output_names == ("score",)
    assert signature.allowlist == {"a", "b"}


def test_metadata_of_somebody_else_is_no_document() -> None:
    assert decode_if_document(b'{"z": 1}') is None
    assert decode_if_document(b'{"input_names": ["x"]}') is None
    with pytest.raises(SignatureError, match="NaN"):
        decode_if_document(b'{"z": NaN}')


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_released_documents_are_still_read(path: Path) -> None:
    signature = decode_document(path.read_bytes())
    assert signature.digest == json.loads(path.read_bytes())["digest"]


def test_there_are_golden_documents_for_each_version() -> None:
    versions = [json.loads(path.read_bytes())["document_version"] for path in GOLDEN]
    assert versions == [int(path.parent.name[1:]) for path in GOLDEN]
    assert versions.count(1) >= 3
    assert set(versions) == set(range(1, DOCUMENT_VERSION + 1))


@given(signatures())
def test_a_document_is_of_the_oldest_version_that_has_room(signature: Signature) -> None:
    """A reader of version 1 refuses a field that it does not know, and is told by the version what to do about it."""
    document = encode_document(signature)
    assert json.loads(document)["document_version"] == (2 if any(it in document for it in OF_VERSION_2) else 1)


REFUSED = {
    "not JSON": (b"{", "expected JSON"),
    "not UTF-8": (b'{"input_names": ["\xff"]}', "byte 0xff at offset 18"),
    "NaN": (b'{"input_names": [], "output_names": [], "range": NaN}', "NaN"),
    "overflow": (b'{"input_names": [], "output_names": [], "range": 1e999}', "overflows"),
    "duplicate key": (b'{"input_names": [], "input_names": ["x"], "output_names": []}', "'input_names' twice"),
    "lone surrogate": (b'{"input_names": ["\\ud800"], "output_names": []}', "lone surrogate"),
    "too deep": (b'{"input_names": [], "output_names": [], "x":' + b"[" * 300 + b"]" * 300 + b"}", "deep"),
    "far too deep": (b"[" * 100_000, "deep"),
    "no object": (b"[]", "keys input_names and output_names"),
    "one key": (b'{"input_names": ["x"]}', "keys input_names and output_names"),
    "names not a list": (b'{"input_names": "x", "output_names": []}', "input_names: expected a list of strings"),
    "newer version": (b'{"input_names": [], "output_names": [], "document_version": 99}', "newer trimtab"),
    "wrong version type": (b'{"input_names": [], "output_names": [], "document_version": true}', "expected a version"),
    "huge": (b" " * (MAX_DOCUMENT_BYTES + 1), "at most"),
}


@pytest.mark.parametrize(("data", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_refusals_name_the_place_and_the_reason(data: bytes, says: str) -> None:
    with pytest.raises(SignatureError) as refusal:
        decode_document(data, where="model.pt")
    assert says in str(refusal.value)
    assert str(refusal.value).startswith("model.pt")


@given(signatures(), st.sampled_from(["input_names", "output_names", "digest", "input_digest"]))
def test_a_document_that_contradicts_itself_is_refused(signature: Signature, key: str) -> None:
    value = msgspec.to_builtins(document_of(signature))
    value[key] = [*value[key], "x"] if isinstance(value[key], tuple | list) else "sha256:0"
    with pytest.raises(SignatureError, match=key):
        decode_document(json.dumps(value).encode())


@given(
    st.binary(max_size=200) | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(repr).map(str.encode)
)
def test_arbitrary_bytes_never_escape_as_a_foreign_exception(data: bytes) -> None:
    with suppress(SignatureError):
        decode_document(data)


@given(signatures(), st.data())
def test_mutated_documents_are_read_or_refused(signature: Signature, data: st.DataObject) -> None:
    document = bytearray(encode_document(signature))
    position = data.draw(st.integers(0, len(document) - 1))
    document[position] = data.draw(st.integers(0, 255))
    with suppress(SignatureError):
        decode_document(bytes(document))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)
json_texts = st.one_of(
    json_values.map(msgspec.json.encode),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(
        [b'{"a":1,"a":1}', b"NaN", b"1e999", b'"\\ud800"', b"1.0e0", b"123456789012345678901234567890", b"-0", b"{}x"]
    ),
    st.binary(max_size=12),
)


@given(json_texts)
def test_the_quick_way_of_strict_json_is_the_slow_one(data: bytes) -> None:
    def outcome(quick: bool) -> str:
        with pytest.MonkeyPatch.context() as patch:
            if not quick:
                patch.setattr(strict_json, "_as_we_write_it", lambda data: None)
            try:
                return repr(strict_json.parse(data))
            except SignatureError as error:
                return f"refused: {error}"

    assert outcome(quick=True) == outcome(quick=False)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
@pytest.mark.parametrize("depth", [198, 199, 200, 201, 5000, 100_000])
def test_both_ways_of_strict_json_refuse_the_same_depth(depth: int, opening: bytes, closing: bytes) -> None:
    data = opening * depth + b"1" + closing * depth
    with pytest.MonkeyPatch.context() as patch:
        outcomes = []
        for _ in range(2):
            try:
                strict_json.parse(data)
                outcomes.append("read")
            except SignatureError:
                outcomes.append("refused")
            patch.setattr(strict_json, "_as_we_write_it", lambda data: None)
    assert outcomes[0] == outcomes[1]
