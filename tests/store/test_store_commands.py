"""`trimtab store`: what it prints, its exit codes, and that its errors say what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from store_making import NEW, OLD, a_signature, begin, documents, start, wide_bundle

from trimtab.bundles.bundle import write_bundle
from trimtab.bundles.store.acknowledged import Acknowledgment, acknowledge
from trimtab.bundles.store.opening import open_store
from trimtab.bundles.store.pointers import Pointer, Stage, Tier
from trimtab.bundles.store.publishing import publish
from trimtab.bundles.store.store import Store
from trimtab.cli.main import main

ED25519 = "cryptography.hazmat.primitives.asymmetric.ed25519"


@pytest.fixture
def place(tmp_path: Path) -> str:
    assert main(["store", "init", str(tmp_path / "deploy" / "store")]) == 0
    return str(tmp_path / "deploy" / "store")


@pytest.fixture
def moving(place: str) -> Store:
    """A store with a rollout in motion, and the word of two roots."""
    store = open_store(place)
    for bundle, names in ((OLD, "a"), (NEW, "ab")):
        publish(store, bundle, documents(a_signature(*names)).get)
    first = begin()
    second = start(first, by="ci", why="ctr:9\x1b[31m")
    assert store.append(first)
    assert store.append(second)
    for instance, entry in (("root-1", 2), ("root-2", 1)):
        said = Acknowledgment(entry=entry, in_force=Pointer(OLD.digest, NEW.digest if entry == 2 else None))
        acknowledge(store, "ads", Tier.ROOT, Stage.CANARY, instance=instance, said=said)
    return store


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main(["store", *arguments]) == code
    return capsys.readouterr().out


def test_a_store_is_begun_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = str(tmp_path / "store")
    first = printed(capsys, "init", place, "--lease", "60", "--acknowledge", "no", "--json")
    assert json.loads(first) == {"store": place, "lease_s": 60, "acknowledge": False}
    assert "The lease of a root: 60 s; roots only read." in printed(capsys, "init", place)
    assert main(["store", "init", place, "--lease", "61"]) == 1
    assert "Begin another store where they must differ" in capsys.readouterr().err
    assert main(["store", "init", place, "--lease", "-1"]) == 1


def test_a_bundle_is_published_with_its_signatures(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], corpus: Path
) -> None:
    artifact = tmp_path / "models" / "ctr" / "1" / "model.onnx"
    artifact.parent.mkdir(parents=True)
    artifact.write_bytes((corpus / "formats" / "onnx_varied_types.onnx").read_bytes())
    file = str(tmp_path / "ads.json")
    assert main(["bundle", "build", str(tmp_path / "models"), "-o", file]) == 0
    found = json.loads(printed(capsys, "publish", file, "--store", place, "--json"))
    assert (found["new"], found["signatures"], found["written"], found["missing"]) == (True, 1, 1, [])
    store = open_store(place)
    (version,) = store.bundle(found["digest"]).models["ctr"].versions.values()
    assert store.signature(version.digest).digest == version.digest
    assert "was there already" in printed(capsys, "publish", file, "--store", place)
    assert printed(capsys, "verify", "--store", place).endswith("no history: sound\n")


def test_missing_documents_are_told(place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_bundle(tmp_path / "ads.json", OLD)
    capsys.readouterr()
    assert main(["store", "publish", str(tmp_path / "ads.json"), "--store", place]) == 0
    assert "1 signature documents are missing" in capsys.readouterr().err
    assert "note: bundles/sha256/" in printed(capsys, "verify", "--store", place)


def test_what_is_no_bundle_is_not_published(place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ads.json").write_text("{}")
    for arguments in ((str(tmp_path / "ads.json"), "--store", place), (str(tmp_path / "none"), "--store", place)):
        assert main(["store", "publish", *arguments]) == 1
    assert "bundle build" in capsys.readouterr().err
    write_bundle(tmp_path / "ads.json", OLD)
    assert main(["store", "publish", str(tmp_path / "ads.json"), "--store", str(tmp_path / "none")]) == 1
    assert "trimtab store init" in capsys.readouterr().err
    assert main(["store", "publish", str(tmp_path / "ads.json")]) == 2


def test_the_place_may_come_from_the_environment(
    place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRIMTAB_STORE", place)
    assert "Nothing is in force yet" in printed(capsys, "show")


def test_show_says_what_is_in_force_and_who_follows(moving: Store, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "show", "--store", moving.name)
    old, new = (each.digest.removeprefix("sha256:")[:12] for each in (OLD, NEW))
    assert f"{old} + {new}" in text
    assert "rollout at root_canary" in text
    assert "by 2, 1 of them follow" in text
    names = json.loads(printed(capsys, "show", "--store", moving.name, "--json"))["names"]
    pointer = names["ads"]["pointers"]["root_canary"]
    assert (pointer["current"], pointer["pending"]) == (OLD.digest, NEW.digest)
    assert [(each["instance"], each["entry"]) for each in pointer["acknowledged"]] == [("root-1", 2), ("root-2", 1)]


def test_history_says_who_moved_what_and_why(moving: Store, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "history", "--store", moving.name)
    old, new = (each.digest.removeprefix("sha256:")[:12] for each in (OLD, NEW))
    assert text.index("start by ci: ctr:9") < text.index("start by somebody: a test")
    assert f"    root canary: {old} -> {old} + {new}\n    rollout: settled -> root_canary\n" in text
    assert f"    leaf production: nothing -> {old}\n    rollout: none -> settled\n" in text
    assert "\x1b" not in text
    found = json.loads(printed(capsys, "history", "--store", moving.name, "--limit", "1", "--json"))
    assert [(each["number"], each["by"], each["move"]) for each in found["entries"]] == [(2, "ci", "start")]
    head = moving.head("ads")
    assert head is not None
    assert found["entries"][0]["hash"] == head.hash


def test_the_name_may_be_left_out_where_there_is_one(moving: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert moving.append(begin(name="home"))
    assert main(["store", "history", "--store", moving.name]) == 1
    assert "got ads, home" in capsys.readouterr().err
    assert "start" in printed(capsys, "history", "--store", moving.name, "--name", "home")
    error = json.loads(printed(capsys, "history", "--store", moving.name, "--name", "none", "--json", code=1))["error"]
    assert error["expected"] == "the name of a bundle with a history (ads, home)"


def test_verify_exits_100_where_something_is_not_sound(moving: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert "ads ends with entry 2: sound" in printed(capsys, "verify", "--store", moving.name)
    (Path(moving.name) / "history" / "ads" / "000000000001.json").unlink()
    text = printed(capsys, "verify", "--store", moving.name, code=100)
    assert "error: history/ads/: a gap: there is no entry from 1 to 1" in text
    assert text.endswith(": not sound\n")
    found = json.loads(printed(capsys, "verify", "--store", moving.name, "--json", code=100))
    assert not found["sound"]
    assert found["flaws"][0]["level"] == "error"


def test_a_key_is_made_and_attests(place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("cryptography")
    made = json.loads(printed(capsys, "keygen", str(tmp_path / "release"), "--json"))
    assert (tmp_path / "release.pem").stat().st_mode & 0o777 == 0o600
    assert main(["store", "keygen", str(tmp_path / "release")]) == 1
    assert "File exists" in capsys.readouterr().err
    write_bundle(tmp_path / "ads.json", OLD)
    key = str(tmp_path / "release.pem")
    assert made["key"] in printed(capsys, "publish", str(tmp_path / "ads.json"), "--store", place, "--attest", key)
    assert made["key"] in printed(capsys, "attest", OLD.digest, "--store", place, "--key", key)
    assert main(["store", "attest", NEW.digest, "--store", place, "--key", key]) == 1


@pytest.mark.parametrize("room", [10, 115], ids=["for nothing", "for the public key alone"])
def test_a_key_that_finds_no_room_leaves_nothing(tmp_path: Path, room: int) -> None:
    pytest.importorskip("cryptography")
    limited = (
        f"import resource, sys; from trimtab.cli.main import main; import trimtab.cli.store, {ED25519};"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room})); sys.exit(main())"
    )
    line = ["store", "keygen", str(tmp_path / "release")]
    done = subprocess.run([sys.executable, "-c", limited, *line], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert main(line) == 0


def test_of_a_bundle_of_many_versions_only_new_signatures_are_written(place: str) -> None:
    signatures = [a_signature("a", f"b{number}") for number in range(300)]
    named = documents(*signatures)
    store = open_store(place)
    asked: list[str] = []

    def document(digest: str) -> bytes | None:
        asked.append(digest)
        return named.get(digest)

    steps: list[tuple[int, int]] = []
    first = publish(store, wide_bundle(signatures[:200]), document, lambda done, total: steps.append((done, total)))
    assert (first.new, first.signatures, first.written, first.missing) == (True, 200, 200, ())
    assert steps == [(number, 200) for number in range(1, 201)]
    assert len(asked) == 200
    asked.clear()
    named[signatures[299].digest] = b"{}"
    del named[signatures[298].digest]
    second = publish(store, wide_bundle(signatures, serial=2), document)
    assert (second.signatures, second.written) == (300, 98)
    assert second.missing == tuple(sorted(each.digest for each in signatures[298:]))
    assert not set(asked) & {each.digest for each in signatures[:200]}
    named.update(documents(*signatures))
    third = publish(store, wide_bundle(signatures, serial=2), document)
    assert (third.new, third.written, third.missing) == (False, 2, ())
