"""References: what a text names, in files, repositories, bundles and stores."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signature_places import built, repository, stored
from trimtab.bundles.bundle import read_bundle
from trimtab.bundles.comparing.references import Reference, artifact_at, parse_reference, read_reference, version_at
from trimtab.bundles.store.entry import following
from trimtab.bundles.store.opening import open_store
from trimtab.bundles.store.pointers import Pointer, Stage, Tier
from trimtab.errors import TrimtabError

MODELS = {
    "ctr": {7: ["age"], 8: ["age", "item"], 10: ["age", "item", "user"]},
    "a:b": {1: ["colon"]},
    "a": {2: ["a"]},
    "ranker": {1: ["item"]},
}
"""Version 10 is after 8: numbers are no texts."""


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("places")
    repository(folder / "models", MODELS)
    built(folder / "models", folder / "ads.json")
    repository(folder / "next", {"ctr": {11: ["age", "new"]}})
    shutil.copy(folder / "ads.json", folder / "next.json")
    built(folder / "next", folder / "next.json")
    stored(folder / "store", folder / "ads.json", canary=folder / "next.json")
    repository(folder / "with#hash", {"m#1": {1: ["hash"]}})
    return folder


@pytest.fixture
def here(places: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(places)
    return places


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("models/ctr/8/signature.json", ["age", "item"]),
        ("models/ctr/8", ["age", "item"]),
        ("models/ctr/8/", ["age", "item"]),
        ("models#ctr:8", ["age", "item"]),
        ("models/#ctr:8", ["age", "item"]),
        ("models#ctr", ["age", "item", "user"]),
        ("models#a:b", ["colon"]),
        ("models#a:b:1", ["colon"]),
        ("models#a:2", ["a"]),
        ("with#hash#m#1", ["hash"]),
        ("with#hash#m#1:1", ["hash"]),
        ("with#hash/m#1/1/signature.json", ["hash"]),
        ("ads.json#ctr:7", ["age"]),
        ("ads.json#ctr", ["age", "item", "user"]),
        ("store#ctr:7", ["age"]),
        ("store#ctr", ["age", "item", "user"]),
        ("store@production#ctr", ["age", "item", "user"]),
        ("store@canary#ctr", ["age", "new"]),
        ("store@ads/canary#ctr:11", ["age", "new"]),
    ],
)
def test_what_a_reference_names(here: Path, text: str, names: list[str]) -> None:
    assert list(read_reference(text).input_names) == names


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("models#crt", r"expected a model 'crt', got .*\n.*Did you mean 'ctr'"),
        ("models#crt:7", r"expected a model 'crt'.*\n.*Did you mean 'ctr'"),
        ("models#ctr:9", r"models#ctr: expected version 9, got versions 7, 8, 10"),
        ("models#ctr:", r"expected version \(a positive integer\)"),
        ("models#ctr:08", r"expected version 08, got versions 7, 8, 10"),
        ("models", r"holds many signatures: expected one of them, got a, a:b, ctr, ranker.*\n.*models#a "),
        ("models#", r"holds many signatures"),
        ("ads.json", r"holds many signatures.*\n.*ads.json#a "),
        ("store", r"holds many signatures.*\n.*store#a "),
        ("store@canary", r"holds many signatures.*\n.*store@canary#ctr "),
        ("store@home#ctr", r"a repository of models, a bundle or a store.*nothing there"),
        ("store@home/canary#ctr", r"expected a bundle named 'home', got ads"),
        ("ads.json@canary#ctr", r"expected a store at ads.json"),
        ("missing#ctr", r"missing: expected a repository of models, a bundle or a store.*got nothing there"),
        ("models/ctr/8/signature.json#ctr", r"expected a bundle"),
        ("models/ctr#8", r"models/ctr: expected a repository.*got a folder without models"),
        ("missing.onnx", r"missing.onnx"),
    ],
)
def test_what_a_reference_does_not_name_is_an_error_that_says_what_is_there(
    here: Path, text: str, problem: str
) -> None:
    with pytest.raises(TrimtabError, match=problem):
        read_reference(text)


def test_a_bundle_without_its_index_says_how_to_get_it(places: Path, tmp_path: Path) -> None:
    shutil.copy(places / "ads.json", tmp_path / "ads.json")
    with pytest.raises(TrimtabError, match=r"(?s)ads.json#ctr:7: .*trimtab bundle build REPOSITORY -o .*ads.json"):
        read_reference(f"{tmp_path}/ads.json#ctr:7")


def test_a_store_without_a_signature_names_the_entry(places: Path, tmp_path: Path) -> None:
    shutil.copytree(places / "store", tmp_path / "store")
    shutil.rmtree(tmp_path / "store" / "signatures")
    with pytest.raises(TrimtabError, match="store#ctr:7"):
        read_reference(f"{tmp_path}/store#ctr:7")


def test_what_is_live_is_what_leaves_serve_and_without_leaves_what_roots_trim_by(places: Path, tmp_path: Path) -> None:
    now, pending = (read_bundle(places / name).digest for name in ("ads.json", "next.json"))
    for leaf, names in ((Pointer(now), ["age", "item", "user"]), (Pointer(), ["age", "new"])):
        place = stored(tmp_path / str(len(names)), places / "ads.json", canary=places / "next.json")
        store = open_store(place)
        head = store.head("ads")
        assert head is not None
        pointers = head.pointers.moved(Tier.ROOT, Stage.PRODUCTION, Pointer(now, pending))
        pointers = pointers.moved(Tier.LEAF, Stage.PRODUCTION, leaf)
        assert store.append(following(head, by="", why="", move="advance", pointers=pointers))
        assert list(read_reference(f"{place}#ctr").input_names) == names


def test_one_version_with_two_signatures_is_refused(places: Path, tmp_path: Path) -> None:
    stored(tmp_path / "store", places / "ads.json")
    repository(tmp_path / "other", {"ctr": {7: ["another"]}})
    stored(tmp_path / "store", built(tmp_path / "other", tmp_path / "home.json"))
    with pytest.raises(TrimtabError, match=r"(?s)two signatures.*store@home/production"):
        read_reference(f"{tmp_path}/store#ctr:7")
    assert read_reference(f"{tmp_path}/store@ads/production#ctr:7").input_names == ("age",)


@pytest.mark.parametrize(
    ("text", "there", "expected"),
    [
        ("a#b", {"a#b", "a"}, ("a#b", "")),
        ("a#b#c", {"a", "a#b"}, ("a#b", "c")),
        ("a#b#c", {"a"}, ("a", "b#c")),
        ("a@canary#c", {"a"}, ("a", "c", "canary")),
        ("a@canary#c", {"a", "a@canary"}, ("a@canary", "c")),
        ("a@x/production", {"a"}, ("a", "", "production", "x")),
        ("s3://b/a@x/canary#c#d", set(), ("s3://b/a", "c#d", "canary", "x")),
        ("s3://b/a", set(), ("s3://b/a", "")),
    ],
)
def test_how_a_reference_is_taken_apart(text: str, there: set[str], expected: tuple[str, ...]) -> None:
    read = parse_reference(text, lambda path: path in there)
    parts = (read.place, read.entry, read.stage or "", read.bundle)
    assert parts == (*expected, *[""] * (4 - len(expected)))


any_char = st.sampled_from("ab#@:/ ") | st.characters(codec="utf-8", exclude_characters="\0")


@given(st.text(any_char, max_size=12), st.booleans())
def test_any_name_is_a_reference_and_a_path_that_exists_wins(text: str, exists: bool) -> None:
    read = parse_reference(text, lambda _: exists)
    assert not exists or read == Reference(text=text, place=text)


@given(st.text(st.sampled_from("./#@:1a~\0 ") | st.characters(), max_size=12))
def test_no_text_brings_anything_but_an_error_of_ours(text: str) -> None:
    with contextlib.suppress(TrimtabError):
        version_at(parse_reference(text)).read()


@pytest.mark.parametrize(
    ("path", "where", "expected"),
    [
        ("models/ctr/8/signature.json", "", ("ctr", 8, "models")),
        ("models/ctr/8", "", ("ctr", 8, "models")),
        ("ctr/8", "models", ("ctr", 8, ".")),
        ("8/signature.json", "models/ctr", ("ctr", 8, "{here}/models")),
        (".", "models/ctr/8", ("ctr", 8, "{here}/models")),
        ("signature.json", "models/ctr/8", ("ctr", 8, "{here}/models")),
        ("../8/signature.json", "models/ctr/7", ("ctr", 8, "{here}/models")),
        ("./models//ctr/8/signature.json", "", ("ctr", 8, "models")),
        ("{here}/models/ctr/8/signature.json", "", ("ctr", 8, "{here}/models")),
        ("incoming/model.onnx", "", ("model", 0, "")),
        ("s3://bucket/ctr/8/model.onnx?x=1", "", ("model", 0, "")),
    ],
)
def test_the_model_and_version_that_a_place_tells(
    here: Path, path: str, where: str, expected: tuple[str, int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(here / where)
    found = artifact_at(path.format(here=here))
    assert (found.model, found.number, found.repository) == (*expected[:2], expected[2].format(here=here))
