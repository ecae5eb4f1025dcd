"""Attested from the build to the root: what nobody with the key vouched for is not started, and not put in force."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from trimtab.bundles.loading.loader import BundleLoader
from trimtab.cli.follow_option import to_follow
from trimtab.cli.main import main

pytest.importorskip("cryptography")

DOCUMENT = json.dumps({"input_names": ["age", "item"], "output_names": ["score"]})


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A folder with a repository of one version, a store, and two pairs of keys: the release's and a stranger's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRIMTAB_STORE", "store")
    add_version(tmp_path, 1)
    assert main(["store", "init", "store"]) == 0
    assert main(["store", "keygen", "release"]) == main(["store", "keygen", "stranger"]) == 0
    capsys.readouterr()
    return tmp_path


def add_version(place: Path, number: int) -> None:
    folder = place / "models" / "ctr" / str(number)
    folder.mkdir(parents=True)
    (folder / "signature.json").write_text(DOCUMENT)
    assert main(["bundle", "build", "models", "-o", "ads.json"]) == 0


def root(key: str) -> BundleLoader:
    """A root that believes the holder of one key, as `trimtab serve root` makes it from its options."""
    follow = to_follow(click.Context(click.Command("root")), ["ads"], "store", "canary", [Path(key)])
    return BundleLoader(follow=follow, instance=f"root-of-{Path(key).stem}", in_flight_s=0.0)


def test_a_bundle_that_is_attested_is_started_and_put_in_force(place: Path) -> None:
    assert main(["store", "publish", "ads.json", "--attest", "release.pem"]) == 0
    assert main(["rollout", "start", "ads.json", "--public-key", "release.pub.pem"]) == 0
    assert "ctr" in root("release.pub.pem").current.models


def test_a_bundle_that_only_a_stranger_attests_is_not_started(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["store", "publish", "ads.json", "--attest", "stranger.pem"]) == 0
    assert main(["rollout", "start", "ads.json", "--public-key", "release.pub.pem"]) == 1
    assert "attest" in capsys.readouterr().err
    assert main(["rollout", "status"]) == 1, "nothing was begun"


def test_a_root_keeps_what_it_had_when_the_next_bundle_is_not_attested(place: Path) -> None:
    assert main(["store", "publish", "ads.json", "--attest", "release.pem"]) == 0
    assert main(["rollout", "start", "ads.json"]) == 0
    for step in ([], ["--without-analysis", "--why", "the first"], [], [], []):
        assert main(["rollout", "advance", *step]) == 0
    believer, stranger = root("release.pub.pem"), root("stranger.pub.pem")
    add_version(place, 2)
    assert main(["rollout", "start", "ads.json"]) == 0, "whoever starts it does not ask for keys"
    believer.refresh()
    assert believer.current.models["ctr"].versions == ("1",)
    assert "attest" in believer.statuses[0].error
    assert stranger.current.models == {}
