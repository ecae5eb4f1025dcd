"""The bundle document: what is written is read, and nothing else is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from bundle_making import bundle, bundles, digest_of
from hypothesis import given
from hypothesis import strategies as st

from trimtab.bundles import bundle as bundle_module
from trimtab.bundles.bundle import MAX_BUNDLE_BYTES, Bundle, decode_bundle, encode_bundle, read_bundle, write_bundle
from trimtab.errors import BundleError


@given(bundles)
def test_what_is_written_is_read(original: Bundle) -> None:
    again = decode_bundle(encode_bundle(original))
    assert again == original
    assert again.digest == original.digest


@given(bundles)
def test_the_digest_can_be_computed_by_any_json_library(original: Bundle) -> None:
    value = json.loads(encode_bundle(original))
    stated = value.pop("digest")
    del value["created"]
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert stated == f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"


@given(bundles, st.data())
def test_a_mutated_document_is_refused_or_means_the_same(original: Bundle, data: st.DataObject) -> None:
    document = bytearray(encode_bundle(original))
    for _ in range(data.draw(st.integers(1, 3))):
        begin = data.draw(st.integers(0, len(document)))
        end = data.draw(st.integers(begin, min(len(document), begin + 20)))
        document[begin:end] = data.draw(st.binary(max_size=4) | st.sampled_from([b"1", b"9", b'"', b"[", b"}", b"e"]))
    try:
        read = decode_bundle(bytes(document), "ads.json")
    except BundleError:
        return
    assert read.digest == original.digest
    assert read.same_content(original)


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(BundleError):
        decode_bundle(data)


@given(bundles, st.integers(0, 400))
def test_a_cut_document_is_refused(original: Bundle, kept: int) -> None:
    document = encode_bundle(original).strip()
    with pytest.raises(BundleError):
        decode_bundle(document[: min(kept, len(document) - 1)])


def _rewritten(**changes: Any) -> bytes:
    """A document whose digest fits, but whose content was made by somebody else."""
    original = bundle({"ctr": {7: ["age", "clicks"], 8: ["age"]}}, attested=False)
    value = {**json.loads(encode_bundle(original)), **changes}
    hashed = {key: part for key, part in value.items() if key not in ("created", "digest")}
    canonical = json.dumps(hashed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    value["digest"] = changes.get("digest", f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}")
    return json.dumps(value).encode()


def _model(**changes: Any) -> dict[str, Any]:
    version = {"digest": digest_of(1), "input_digest": digest_of(2), "allowlist": 0, "format": "onnx"}
    model = {"attested_stable": True, "versions": {"7": version}, "published": {digest_of(2): "7"}}
    for key, value in changes.items():
        (version if key in version else model)[key] = value
    return {"ctr": model}


REFUSED = [
    ({"bundle_version": 2}, "bundle_version", "a version from 1 to 1"),
    ({"bundle_version": True}, "", ""),
    ({"bundle_version": None}, "", "a JSON object with the key bundle_version"),
    ({"extra": 1}, "", ""),
    ({"name": "../ads"}, "", ""),
    ({"name": ""}, "", ""),
    ({"serial": 0}, "", ""),
    ({"serial": 2**53}, "", ""),
    ({"serial": "1"}, "", ""),
    ({"created": "yesterday"}, "", ""),
    ({"created": "2026-13-01T00:00:00Z"}, "created", "RFC 3339"),
    ({"digest": "sha256:0"}, "", ""),
    ({"digest": digest_of()}, "digest", "sha256:"),
    ({"names": ["clicks", "age"]}, "names", "ascending"),
    ({"names": ["age", "age"]}, "names", "ascending"),
    ({"allowlists": [[0, 1], [0]]}, "allowlists", "ascending"),
    ({"allowlists": [[0], [0]]}, "allowlists", "ascending"),
    ({"allowlists": [[0], [2]]}, "allowlists[1]", "ascending indices of the 2 names"),
    *(
        ({"allowlists": [[0], wrong]}, "", "")
        for wrong in ([1, 0], [1, 1], [-1], [2**32], [2**70], ["1"], [True], [1.0], [None], [[1]], None, 1, "1", {})
    ),
    ({"models": _model(allowlist=2)}, "models.ctr.versions.7.allowlist", "an index of the 2 allowlists"),
    ({"models": _model(allowlist=-1)}, "models.ctr.versions.7.allowlist", "an index of the 2 allowlists"),
    ({"models": _model(published={})}, "models.ctr.attested_stable", "one single input digest"),
    ({"models": _model(published={digest_of(3): "7"})}, "models.ctr.published", "the input digest of version 7"),
    ({"models": _model(versions={"07": {}})}, "", ""),
    ({"models": _model(digest="md5:0")}, "", ""),
    ({"models": {"": _model()["ctr"]}}, "", ""),
]


def test_a_rewritten_document_with_nothing_wrong_is_read() -> None:
    assert decode_bundle(_rewritten(models=_model(), allowlists=[[0, 1]])).models["ctr"].attested_stable


@pytest.mark.parametrize(("changes", "where", "expected"), REFUSED, ids=[str(row[0])[:60] for row in REFUSED])
def test_a_document_whose_digest_fits_is_checked_all_the_same(
    changes: dict[str, Any], where: str, expected: str
) -> None:
    with pytest.raises(BundleError) as caught:
        decode_bundle(_rewritten(**changes), "ads.json")
    assert caught.value.where == (f"ads.json: {where}" if where else "ads.json")
    assert expected in caught.value.expected


def test_one_input_digest_has_one_allowlist() -> None:
    versions = {
        text: {"digest": digest_of(text), "input_digest": digest_of(2), "allowlist": place, "format": "onnx"}
        for text, place in (("7", 0), ("8", 1))
    }
    with pytest.raises(BundleError, match="one allowlist for one input digest"):
        decode_bundle(_rewritten(models=_model(versions=versions)))


def test_keys_given_twice_are_refused() -> None:
    document = encode_bundle(bundle({}))
    with pytest.raises(BundleError, match="twice"):
        decode_bundle(document.replace(b'"serial":1', b'"serial":9,"serial":1'))


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "ads.json").open("wb") as file:
        file.truncate(MAX_BUNDLE_BYTES + (1 << 30))
    with pytest.raises(BundleError, match=f"at most {MAX_BUNDLE_BYTES} bytes"):
        read_bundle(tmp_path / "ads.json")


def test_equal_content_has_one_digest_whenever_it_was_created() -> None:
    one, two = (bundle({"m": {1: ["a"]}}, created=f"2026-01-0{day}T00:00:00Z") for day in (1, 2))
    assert one.digest == two.digest
    assert one.same_content(two)
    assert bundle({"m": {1: ["a"]}}, serial=2).digest != one.digest


def test_200_models_of_500_names_are_small() -> None:
    shared = [f"feature_with_a_long_name_{number}" for number in range(500)]
    document = encode_bundle(bundle({f"model_{number}": {1: shared} for number in range(200)}))
    assert len(document) < 100_000


def test_written_files_are_read_back(tmp_path: Path) -> None:
    original = bundle({"m": {1: ["a"]}})
    write_bundle(tmp_path / "ads.json", original)
    assert read_bundle(tmp_path / "ads.json") == original
    assert [path.name for path in tmp_path.iterdir()] == ["ads.json"]


def test_what_could_not_be_loaded_is_not_published(tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        write_bundle(tmp_path / "ads.json", bundle({"m": {1: ["x" * 5000]}}))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["missing.json", "."])
def test_an_unreadable_file_is_named(tmp_path: Path, path: str) -> None:
    with pytest.raises(BundleError) as caught:
        read_bundle(tmp_path / path)
    assert caught.value.where == str(tmp_path / path)


GOLDEN = sorted((Path(__file__).parents[1] / "data" / "bundles").glob("*.json"))


@pytest.mark.parametrize("path", GOLDEN, ids=[path.name for path in GOLDEN])
def test_released_documents_are_still_read(path: Path) -> None:
    data = path.read_bytes()
    read = decode_bundle(data, path.name)
    assert read.digest == json.loads(data)["digest"]
    if json.loads(data)["bundle_version"] == 1:
        assert encode_bundle(read) == data
    assert read.models["ctr"].attested_stable
    assert read.models["ctr"].versions.keys() == {"7", "8"}
    assert read.allowlist_names(read.models["ctr"].versions["8"].allowlist) == ("item.price", "user_age", "ärger")
    assert not read.models["ranker"].attested_stable
    assert read.models["gone"].versions == {}
    assert len(read.models["gone"].published) == 1


def test_there_is_a_golden_document_for_every_version() -> None:
    assert [path.name for path in GOLDEN] == ["bundle-v1.json"]


@pytest.mark.parametrize(
    ("value", "times"),
    [(b"[]", 4_000_000), (b'{"":{}}', 2_000_000), (b'""', 8_000_000), (b"0", 32_000_001)],
    ids=["empty lists", "objects", "empty texts", "numbers"],
)
def test_what_takes_gigabytes_to_parse_is_not_parsed(value: bytes, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_module, "_DECODER", None)  # whoever parses fails
    data = b'{"allowlists":[' + (value + b",") * times + value + b"]}"
    assert len(data) < MAX_BUNDLE_BYTES
    with pytest.raises(BundleError, match="more values than a bundle has"):
        decode_bundle(data, "ads.json")
