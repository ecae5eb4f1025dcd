"""Succession: which version is held against which; and comparing them: each is read once, in one process or more."""

from __future__ import annotations

import datetime
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signature_places import built, repository, stored
from signature_strategies import signatures
from trimtab.artifacts import read_signature
from trimtab.bundles.comparing import versions
from trimtab.bundles.comparing.checking import _BATCH, Held, _written_alike, hold
from trimtab.bundles.comparing.succession import Succession, _before, successors
from trimtab.bundles.comparing.versions import InArtifact, Version
from trimtab.cli.main import main
from trimtab.errors import TrimtabError
from trimtab.signature.model import Signature
from trimtab.stability import diff
from trimtab.stability.configuration import Configuration

TODAY = datetime.date(2026, 11, 21)


def of(succession: Succession) -> list[tuple[str, int, int | None]]:
    return [
        (each.model, each.new.number, None if each.old is None else each.old.number) for each in succession.successors
    ]


def versions_of(numbers: list[int]) -> list[Version]:
    return [Version(model="m", number=it, name=str(it), source=InArtifact(str(it))) for it in numbers]


@pytest.mark.parametrize(
    ("number", "live", "new", "expected"),
    [
        (8, [], [], None),
        (8, [7], [], 7),
        (8, [7, 8, 9], [], 8),
        (8, [6], [7], 7),
        (8, [7], [6], 7),
        (8, [9, 10], [], 9),
        (8, [9, 10], [7], 7),
    ],
    ids=["first", "after the live one", "in its place", "after a new one", "live is nearer", "before all", "both"],
)
def test_what_a_version_follows(number: int, live: list[int], new: list[int], expected: int | None) -> None:
    found = _before(number, versions_of(live), versions_of(new))
    assert (found.number if found is not None else None) == expected


@given(st.integers(1, 9), st.sets(st.integers(1, 9)), st.sets(st.integers(1, 9)))
def test_what_a_version_follows_is_the_nearest_below(number: int, live: set[int], new: set[int]) -> None:
    new = {each for each in new if each < number}
    found = _before(number, versions_of(sorted(live)), versions_of(sorted(new)))
    below = {each for each in live if each <= number} | new
    assert (found.number if found is not None else None) == max(below, default=min(live, default=None))


@pytest.fixture
def places(tmp_path: Path) -> Path:
    repository(tmp_path / "live", {"ctr": {7: ["age"], 9: ["age"]}, "old": {1: ["x"]}})
    repository(tmp_path / "next", {"ctr": {7: ["age"], 8: ["age"], 10: ["age"]}, "new": {1: ["x"], 2: ["y"]}})
    built(tmp_path / "live", tmp_path / "live.json")
    stored(tmp_path / "store", tmp_path / "live.json")
    return tmp_path


NEXT = [("ctr", 7, 7), ("ctr", 8, 7), ("ctr", 10, 9), ("new", 1, None), ("new", 2, 1)]


@pytest.mark.parametrize(
    ("new", "against", "expected"),
    [
        ("next", "live", NEXT),
        ("next", "live.json", NEXT),
        ("next", "store", NEXT),
        ("next", "next", [("ctr", 7, None), ("ctr", 8, 7), ("ctr", 10, 8), ("new", 1, None), ("new", 2, 1)]),
        ("next", "next/", [("ctr", 7, None), ("ctr", 8, 7), ("ctr", 10, 8), ("new", 1, None), ("new", 2, 1)]),
        ("live.json", "store", [("ctr", 7, 7), ("ctr", 9, 9), ("old", 1, 1)]),
        ("next/ctr/8", "live", [("ctr", 8, 7)]),
        ("next/ctr/8/signature.json", "next", [("ctr", 8, 7)]),
        ("next#ctr", "store", [("ctr", 10, 9)]),
        ("next#ctr:8", "live#ctr", [("ctr", 8, 9)]),
        ("next/ctr/8", "live/old/1", [("ctr", 8, 1)]),
        ("next/new/1", "live", [("new", 1, None)]),
    ],
)
def test_what_is_held_against_what(
    places: Path, new: str, against: str, expected: list[tuple[str, int, int | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(places)
    assert of(successors(new, against)) == expected


def test_a_version_that_is_a_link_to_nothing_cannot_be_read(places: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (places / "next" / "ctr" / "99").symlink_to("gone")
    found = successors(str(places / "next"), str(places / "next")).successors
    assert ("ctr", 99) in [(each.model, each.new.number) for each in found]
    assert main(["check", str(places / "next"), "--against", str(places / "next")]) == 1
    assert f"{places}/next/ctr/99: expected a version's folder, got a link" in "".join(capsys.readouterr())


def test_a_version_that_is_not_there_is_said_to_be_so(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not that the name of its model is missing."""
    monkeypatch.chdir(places)
    for new in ("next/ctr/99", "nowhere.onnx"):
        with pytest.raises(TrimtabError, match="nothing there"):
            successors(new, "next")


def test_a_version_outside_of_a_repository_needs_its_models_name(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(places)
    Path("crt.json").write_text(Path("next/ctr/8/signature.json").read_text())
    with pytest.raises(TrimtabError, match=r"(?s)not known which model.*--model ctr"):
        successors("crt.json", "live")
    assert of(successors("crt.json", "live", "ctr")) == [("ctr", 0, 9)]
    found = successors("crt.json", "live", "ctx")
    assert of(found) == [("ctx", 0, None)]
    assert "Did you mean --model ctr?" in found.notes[0]
    for one in ("live#ctr", "live/ctr/7/signature.json"):
        with pytest.raises(TrimtabError, match=r"(?s)many versions cannot.*next#MODEL:VERSION"):
            successors("next", one)
    for none, what in (("missing", "nothing there"), (".", "a folder without models")):
        with pytest.raises(TrimtabError, match=f"nothing to hold the versions against.*got {re.escape(none)}, {what}"):
            successors("next", none)


def held(new: Path, against: Path, **options: int) -> list[Held]:
    return hold(successors(str(new), str(against)), Configuration(), TODAY, **options)


def test_of_a_chain_each_version_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository(tmp_path, {"m": {number: ["a"] for number in range(1, 40)}})
    read: list[str] = []

    def counting(path: str) -> Signature:
        read.append(path)
        return read_signature(path)

    monkeypatch.setattr("trimtab.artifacts.read_signature", counting)
    assert versions.InArtifact  # reads through the package, as patched above
    assert not any(each.changes or each.error for each in held(tmp_path, tmp_path))
    assert len(set(read)) == 39
    assert len(read) == 39 + 39 // _BATCH


def test_equal_digests_are_not_read(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But where order counts beyond the digest: of a document it does not."""

    def unread(self: object, opened: object) -> Signature:
        raise AssertionError(self)

    for kind in (versions.InBundle, versions.InStore):
        monkeypatch.setattr(kind, "read", unread)
    assert not any(each.changes or each.error for each in held(places / "live", places / "store"))
    monkeypatch.setattr(versions.InArtifact, "read", unread)
    assert not any(each.changes or each.error for each in held(places / "live.json", places / "store"))


def test_several_processes_find_what_one_does(tmp_path: Path) -> None:
    models: dict[str, Mapping[int, list[str]]] = {
        f"m{number}": {1: ["a"], 2: ["a"] if number % 3 else ["b"]} for number in range(90)
    }
    repository(tmp_path / "r", models)
    for number in (5, 50):
        (tmp_path / "r" / f"m{number}" / "2" / "signature.json").write_text("{")
    one, more = held(tmp_path / "r", tmp_path / "r", jobs=1), held(tmp_path / "r", tmp_path / "r", jobs=2)
    assert [(each.successor, each.changes, str(each.error)) for each in one] == [
        (each.successor, each.changes, str(each.error)) for each in more
    ]
    assert sum(bool(each.changes) for each in one) == 30
    assert sum(each.error is not None for each in one) == 2


def test_a_fault_of_a_reader_is_that_versions_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository(tmp_path, {"m": {1: ["a"], 2: ["b"]}, "n": {1: ["a"]}})

    def failing(path: str) -> Signature:
        if "/m/1/" in path:
            raise KeyError("x")
        return read_signature(path)

    monkeypatch.setattr("trimtab.artifacts.read_signature", failing)
    errors = [each.error for each in held(tmp_path, tmp_path)]
    assert [error is None for error in errors] == [False, True, True]
    assert "not foreseen" in str(errors[0])


def test_what_is_refused_is_what_must_go_and_the_commands_do_it(tmp_path: Path) -> None:
    inputs = {1: ["a"], 2: ["b"], 3: ["b"], 4: ["a"], 5: ["c"], 6: ["b"], 7: ["a"]}
    repository(tmp_path, {"m": inputs, "m_v2": {1: ["z"]}})
    commands = {each.successor.new.number: each.changes[0].fork for each in held(tmp_path, tmp_path) if each.changes}
    first = f"trimtab fork {tmp_path} m m_v3 --version 2 --version 3 --version 6 --move"
    assert commands == {2: first, 3: first, 5: f"trimtab fork {tmp_path} m m_v4 --version 5 --move", 6: first}
    for command in dict.fromkeys(commands.values()):
        assert main(shlex.split(command)[1:]) == 0
    assert not any(each.changes or each.error for each in held(tmp_path, tmp_path))


@given(signatures(), signatures())
def test_what_is_written_alike_has_no_changes(old: Signature, new: Signature) -> None:
    """Why the comparison may be left out."""
    for other in (old, new):
        if _written_alike(old, other):
            assert old.digest == other.digest
            assert diff(old, other) == []
