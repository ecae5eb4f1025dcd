"""Verify sees every corruption that was thought of, and has nothing against what TensorFlow writes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from saved_model_corruptions import CORRUPTIONS, UNSEEN_BY_TENSORFLOW, Corruption

from trimtab.errors import ArtifactError, TrimtabError
from trimtab.findings import Level, Rule
from trimtab.savedmodel import SavedModel, load, verify
from trimtab.savedmodel.messages import classes, serialize
from trimtab.savedmodel.verifying import RULES
from trimtab.source.bytes import MemorySource


def corrupted(folder: Path, change: Any) -> SavedModel:
    """The model in a folder with its first MetaGraph changed; the files beside its proto are at hand."""
    proto = folder / "saved_model.pb"
    message = classes()["SavedModel"].FromString(proto.read_bytes())
    change(message.meta_graphs[0])
    return SavedModel(MemorySource(serialize(message), str(proto)))


def test_verify_is_silent_on_the_corpus(saved_model_corpus: list[Path]) -> None:
    found = {folder.name: verify(folder / "model") for folder in saved_model_corpus}
    assert {name: findings for name, findings in found.items() if findings} == {}


@pytest.mark.parametrize("case", CORRUPTIONS, ids=lambda case: case.name)
def test_a_corruption_is_seen_by_its_rule(corpus: Path, case: Corruption) -> None:
    model = corrupted(corpus / "savedmodel" / case.model / "model", case.change)
    findings = verify(model, notes=True)
    assert case.rule in {finding.rule for finding in findings}
    assert all(finding.where.startswith(model.name) and str(finding) for finding in findings)


def test_what_tensorflow_does_not_notice_is_an_error(corpus: Path) -> None:
    folder = corpus / "savedmodel" / "multi_sigs" / "model"
    seen = {name: verify(corrupted(folder, change)) for name, change in UNSEEN_BY_TENSORFLOW.items()}
    assert [name for name, found in seen.items() if Level.ERROR not in {each.level for each in found}] == []


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_rule_is_shown_by_a_corruption(name: str) -> None:
    assert name in {case.rule for case in CORRUPTIONS}


def test_only_and_ignore_choose_rules(corpus: Path) -> None:
    folder = corpus / "savedmodel" / "multi_sigs" / "model"
    change = UNSEEN_BY_TENSORFLOW["sigdef_dtype"]
    every = {finding.rule for finding in verify(corrupted(folder, change))}
    assert every == {"SIGNATURE_DEF_DTYPE", "SIGNATURE_SPEC"}
    assert {each.rule for each in verify(corrupted(folder, change), only=["SIGNATURE_SPEC"])} == {"SIGNATURE_SPEC"}
    assert {each.rule for each in verify(corrupted(folder, change), ignore=["SIGNATURE_SPEC"])} == every - {
        "SIGNATURE_SPEC"
    }


def test_notes_are_asked_for(corpus: Path) -> None:
    [case] = [case for case in CORRUPTIONS if case.rule == "DEFAULT_NAN"]
    folder = corpus / "savedmodel" / case.model / "model"
    assert verify(corrupted(folder, case.change)) == ()
    assert {each.level for each in verify(corrupted(folder, case.change), notes=True)} == {Level.NOTE}


def test_notes_of_a_folder(corpus: Path, tmp_path: Path) -> None:
    [case] = [case for case in CORRUPTIONS if case.rule == "DEFAULT_NAN"]
    model = corrupted(corpus / "savedmodel" / case.model / "model", case.change)
    (tmp_path / "saved_model.pb").write_bytes(model.source.read(0, model.source.size))
    assert [finding.rule for finding in verify(tmp_path, notes=True)] == ["DEFAULT_NAN"]


def test_what_cannot_be_read_is_reported_whatever_was_asked(corpus: Path) -> None:
    [case] = [case for case in CORRUPTIONS if case.rule == "PART_UNREADABLE"]
    model = corrupted(corpus / "savedmodel" / case.model / "model", case.change)
    assert {finding.rule for finding in verify(model, only=["SIGNATURE_DEF_SHAPE"])} == {"PART_UNREADABLE"}


def test_the_gravest_findings_come_first(corpus: Path) -> None:
    def change(graph: Any) -> None:
        for each in ("method_that_servers_do_not_know", "signature_def_says_another_dtype"):
            next(case for case in CORRUPTIONS if case.name == each).change(graph)

    findings = verify(corrupted(corpus / "savedmodel" / "multi_sigs" / "model", change))
    assert [finding.level for finding in findings] == [Level.ERROR, Level.ERROR, Level.WARNING]


def test_a_damaged_checkpoint_is_a_finding(corpus: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(corpus / "savedmodel" / "multi_sigs" / "model", tmp_path / "model"))
    index = folder / "variables" / "variables.index"
    index.chmod(0o644)
    index.write_bytes(index.read_bytes()[:-9])
    assert {finding.rule for finding in verify(folder)} == {"PART_UNREADABLE"}


def test_a_checkpoint_of_another_model_is_seen(corpus: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(corpus / "savedmodel" / "multi_sigs" / "model", tmp_path / "model"))
    shutil.rmtree(folder / "variables")
    shutil.copytree(corpus / "savedmodel" / "example" / "model" / "variables", folder / "variables")
    assert "CHECKPOINT_TENSOR" in {finding.rule for finding in verify(folder)}


def test_a_model_without_its_variables_is_verified_by_the_rest(corpus: Path) -> None:
    """What is at hand is compared; what is not is no finding."""
    data = (corpus / "savedmodel" / "multi_sigs" / "model" / "saved_model.pb").read_bytes()
    assert verify(SavedModel(MemorySource(data, "in memory"))) == ()


def test_a_loaded_model_stays_open(corpus: Path) -> None:
    with load(corpus / "savedmodel" / "example" / "model") as model:
        assert verify(model) == ()
        assert "capture_fn" in model.signatures


def test_what_is_no_saved_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError):
        verify(tmp_path)


DAMAGE = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=4), st.integers(0, 8)), max_size=5)


@settings(max_examples=150)
@given(model=st.sampled_from(["captures", "composites", "example", "multi_sigs", "tf1_style"]), damage=DAMAGE)
def test_damage_gives_findings_or_one_error(corpus: Path, model: str, damage: list[tuple[float, bytes, int]]) -> None:
    """Bytes overwritten, inserted and removed anywhere: nothing but findings and our own error comes of it."""
    data = bytearray((corpus / "savedmodel" / model / "model" / "saved_model.pb").read_bytes())
    for place, written, removed in damage:
        at = int(place * len(data))
        data[at : at + removed] = written
    try:
        findings = verify(SavedModel(MemorySource(bytes(data), "damaged")))
    except TrimtabError:
        return
    assert all(isinstance(RULES[finding.rule], Rule) for finding in findings)
