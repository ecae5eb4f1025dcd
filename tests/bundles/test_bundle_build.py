"""Building a bundle: what is derived, what is numbered, what is refused and how the refusal reads."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bundle_making import signature

from trimtab.bundles.building.build import Gate, build_bundle
from trimtab.bundles.building.refusals import RefusedBuildError, RefusedChangesError
from trimtab.bundles.bundle import Bundle
from trimtab.bundles.repository import ModelRepository
from trimtab.cli.main import main
from trimtab.errors import ArtifactError, BundleError, SignatureChangedError
from trimtab.signature.document import decode_document, encode_document
from trimtab.signature.dtypes import DType
from trimtab.signature.model import Feature, Input, Signature
from trimtab.signature.types import Mapping as MappingType
from trimtab.signature.types import Optional, Tensor

Lay = Callable[[Mapping[str, Signature | bytes]], ModelRepository]


@pytest.fixture
def repository(tmp_path: Path) -> Lay:
    """A repository whose artifacts are signature documents."""

    def lay(versions: Mapping[str, Signature | bytes]) -> ModelRepository:
        for version, content in versions.items():
            folder = tmp_path / "models" / version
            folder.mkdir(parents=True, exist_ok=True)
            data = content if isinstance(content, bytes) else encode_document(content)
            (folder / "signature.json").write_bytes(data)
        return ModelRepository(tmp_path / "models")

    return lay


def read(path: Path) -> Signature:
    return decode_document(path.read_bytes(), str(path))


def build(repository: ModelRepository, previous: Bundle | None = None, gate: Gate = Gate.CONFIG) -> Bundle:
    return build_bundle(repository, name="ads", previous=previous, gate=gate, read=read)


AGE_PRICE = signature("user_age", "price")
AGE = signature("user_age")
INT_AGE = signature(Input(name="user_age", type=Tensor(DType.INT64, ("batch", 1))), "price")


def test_a_bundle_states_what_the_artifacts_say(repository: Lay) -> None:
    bundle = build(repository({"ctr/7": AGE_PRICE, "ctr/10": AGE_PRICE, "ranker/1": AGE}))
    assert (bundle.name, bundle.serial) == ("ads", 1)
    assert list(bundle.models) == ["ctr", "ranker"]
    ctr = bundle.models["ctr"]
    assert list(ctr.versions) == ["7", "10"]
    assert ctr.versions["7"].digest == AGE_PRICE.digest
    assert ctr.versions["7"].input_digest == AGE_PRICE.input_digest
    assert ctr.versions["7"].format == "onnx"
    assert bundle.allowlist_names(ctr.versions["7"].allowlist) == ("price", "user_age")
    assert ctr.published == {AGE_PRICE.input_digest: "7"}
    assert all(model.attested_stable for model in bundle.models.values())
    assert len(bundle.allowlists) == 2
    assert (datetime.now(UTC) - bundle.created_at).total_seconds() < 60


def test_serials_rise_only_when_something_changed(repository: Lay) -> None:
    first = build(repository({"ctr/7": AGE_PRICE}))
    assert build(repository({}), first) is first
    second = build(repository({"ctr/8": AGE_PRICE}), first)
    assert (second.serial, second.models["ctr"].published) == (2, {AGE_PRICE.input_digest: "7"})
    third = build(repository({}), second, Gate.NONE)
    assert (third.serial, third.models["ctr"].attested_stable) == (3, False)


def test_the_history_outlives_the_model(repository: Lay, tmp_path: Path) -> None:
    first = build(repository({"ctr/7": AGE_PRICE, "ranker/1": AGE}))
    shutil.rmtree(tmp_path / "models" / "ctr")
    second = build(repository({}), first)
    assert second.models["ctr"].versions == {}
    assert build(repository({}), second) is second
    with pytest.raises(SignatureChangedError) as caught:
        build(repository({"ctr/9": AGE}), second)
    assert "ctr:9 (against 7)" in str(caught.value)
    assert "the inputs changed since a version that is gone and whose signature is in no index" in str(caught.value)


def test_without_the_gate_nothing_is_attested(repository: Lay) -> None:
    bundle = build(repository({"ctr/7": AGE_PRICE, "ctr/8": AGE, "ranker/1": AGE}), gate=Gate.NONE)
    assert not any(model.attested_stable for model in bundle.models.values())
    assert bundle.models["ctr"].published == {AGE_PRICE.input_digest: "7", AGE.input_digest: "8"}


def test_a_changed_version_is_refused_with_both_sides_and_the_remedy(repository: Lay, tmp_path: Path) -> None:
    models = repository({"ctr/7": AGE_PRICE, "ctr/8": INT_AGE})
    with pytest.raises(RefusedChangesError) as caught:
        build(models)
    root = tmp_path / "models"
    text = str(caught.value)
    assert text.startswith(f"{root}: the gate refuses 1 version of 1 model.\n  ctr:8 (against 7)\n")
    assert "main: input user_age: the dtype changed: float32 [batch, 1] -> int64 [batch, 1]" in text
    assert "who breaks" in text
    assert text.endswith(f"trimtab fork {root} ctr ctr_v2 --version 8 --move")
    facts = json.loads(json.dumps(caught.value.as_dict()))
    (comparison,) = facts["comparisons"]
    assert (comparison["model"], comparison["version"], comparison["against"]) == ("ctr", "8", "7")
    (change,) = facts["changes"]
    assert (change["rule"], change["before"]) == ("INPUT_SAME_DTYPE", "float32 [batch, 1]")
    assert change["fork"] == f"trimtab fork {root} ctr ctr_v2 --version 8 --move"


def test_the_remedy_works(repository: Lay, capsys: pytest.CaptureFixture[str]) -> None:
    models = repository({"ctr 2/7": AGE_PRICE, "ctr 2/8": INT_AGE, "ctr 2/9": INT_AGE, "ctr 2/10": AGE_PRICE})
    with pytest.raises(SignatureChangedError) as caught:
        build(models)
    assert "ctr 2:8, 9 (against 7)" in str(caught.value)
    command = shlex.split(str(caught.value).rpartition("new name: ")[2])
    assert command[0] == "trimtab"
    assert main(command[1:]) == 0, capsys.readouterr().err
    bundle = build(models)
    assert {name: list(model.versions) for name, model in bundle.models.items()} == {
        "ctr 2": ["7", "10"],
        "ctr 2_v2": ["1", "2"],
    }


def test_a_version_published_before_counts_though_its_artifact_is_gone(repository: Lay, tmp_path: Path) -> None:
    first = build(repository({"ctr/7": AGE_PRICE}))
    shutil.rmtree(tmp_path / "models" / "ctr" / "7")
    with pytest.raises(SignatureChangedError) as caught:
        build(repository({"ctr/8": AGE}), first)
    text = str(caught.value)
    assert "ctr:8 (against 7)" in text
    assert "the names of the inputs changed since a version that is gone" in text
    assert "price -> none" in text


def test_a_name_used_for_two_signatures_is_never_attested_again(repository: Lay, tmp_path: Path) -> None:
    first = build(repository({"ctr/7": AGE_PRICE, "ctr/8": AGE}), gate=Gate.NONE)
    shutil.rmtree(tmp_path / "models" / "ctr" / "8")
    second = build(repository({}), first)
    assert not second.models["ctr"].attested_stable
    assert list(second.models["ctr"].published.values()) == ["7", "8"]


def test_everything_wrong_is_reported_at_once(repository: Lay) -> None:
    models = repository({"a/1": AGE, "a/2": AGE_PRICE, "b/1": b"{", "c/1": AGE, "c/2": INT_AGE, "d/1": AGE, "d/2": AGE})
    (models.root / "d" / "1" / "signature.json").rename(models.root / "d" / "1" / "notes.txt")
    with pytest.raises(RefusedBuildError) as caught:
        build(models)
    assert not isinstance(caught.value, SignatureChangedError)  # something could not be read: an error, not a refusal
    assert [type(each).__name__ for each in caught.value.refusals] == [
        "BundleError",
        "SignatureError",
        "RefusedChangesError",
    ]
    text = str(caught.value)
    assert "the bundle was not built, for 3 reasons" in text
    for part in (f"{models.root}/b/1/signature.json", f"{models.root}/d/1", "a a_v2", "c c_v2"):
        assert part in text
    assert len(caught.value.as_dict()["refusals"]) == 3


def test_several_changed_models_are_still_a_refusal_on_purpose(repository: Lay) -> None:
    with pytest.raises(RefusedChangesError, match="the gate refuses 2 versions of 2 models"):
        build(repository({"a/1": AGE, "a/2": AGE_PRICE, "c/1": AGE, "c/2": INT_AGE}))


@pytest.mark.parametrize("failure", [OSError(5, "Input/output error"), ArtifactError("cut", where="model.pt: entry")])
def test_an_unreadable_artifact_is_named(repository: Lay, failure: Exception) -> None:
    def fail(path: Path) -> Signature:
        raise failure

    models = repository({"ctr/7": AGE})
    with pytest.raises((BundleError, ArtifactError)) as caught:
        build_bundle(models, name="ads", read=fail)
    assert caught.value.where.startswith(str(models.root / "ctr" / "7" / "signature.json"))


def test_maps_allow_their_keys_or_are_refused(repository: Lay) -> None:
    keys = (Feature(name="a", type=Tensor(), aliases=("old_a",)), Feature(name="b", type=Tensor()))
    closed = Input(name="feats", type=Optional(MappingType(DType.STRING, Tensor())), features=keys)
    bundle = build(repository({"ctr/1": signature(closed)}))
    assert bundle.allowlist_names(0) == ("a", "b", "feats", "old_a")
    numbered = Input(name="ids", type=MappingType(DType.INT64, Tensor()))
    assert build(repository({"ids/1": signature(numbered)})).models["ids"].attested_stable
    opened = Input(name="feats", type=MappingType(DType.STRING, Tensor()))
    with pytest.raises(BundleError, match=r"ranker/1.*'feats' is a map, and its keys are not declared"):
        build(repository({"ranker/1": signature(opened)}))


def test_an_empty_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no version of any model"):
        build(ModelRepository(tmp_path))


def test_another_bundle_is_no_predecessor(repository: Lay) -> None:
    first = build(repository({"ctr/7": AGE}))
    with pytest.raises(BundleError, match="expected a bundle named 'home', got 'ads'"):
        build_bundle(repository({}), name="home", previous=first, read=read)


def test_progress_is_told_after_each_artifact(repository: Lay) -> None:
    seen: list[tuple[int, int]] = []
    progress = lambda done, total: seen.append((done, total))  # noqa: E731
    build_bundle(repository({"a/1": AGE, "b/2": AGE}), name="ads", read=read, progress=progress)
    assert seen == [(1, 2), (2, 2)]
