"""Hostile SavedModels: every public way to look at one gives a result or one refusal, soon and in little memory."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hostile_saved_models import HOSTILE, TEXT, sound, write
from hypothesis import given, settings
from hypothesis import strategies as st
from saved_model_faces import FACES, check_refusal

from trimtab import savedmodel
from trimtab.errors import ArtifactError, TrimtabError
from trimtab.savedmodel.index import MAX_OBJECT_GRAPH_BYTES
from trimtab.savedmodel.messages import serialize
from trimtab.source.wire import encode_varint

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 2.5
"""Of the processor's time for one way to look. What is asked is one second on a quiet machine; CI's is not quiet."""

MIB = 256


def looked_at(folder: Path) -> list[dict[str, object]]:
    """What every face took, one after the other in a process of their own."""
    script = os.path.join(os.path.dirname(__file__), "saved_model_faces.py")
    done = subprocess.run([sys.executable, script, folder], check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_proto_is_read_or_refused_soon_and_in_little_memory(tmp_path: Path, name: str) -> None:
    write(tmp_path, HOSTILE[name]())
    told = looked_at(tmp_path)
    assert [each["face"] for each in told] == list(FACES)
    assert not [each for each in told if float(str(each["seconds"])) > SECONDS or int(str(each["mib"])) > MIB]


@pytest.mark.parametrize("name", TEXT)
def test_a_hostile_text_proto_is_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path, TEXT[name](), "saved_model.pbtxt")
    with pytest.raises(ArtifactError) as refusal:
        savedmodel.load(tmp_path)
    assert str(refusal.value).startswith(str(tmp_path))
    assert len(str(refusal.value)) < 1_000


def test_the_sound_model_is_sound(tmp_path: Path) -> None:
    write(tmp_path, serialize(sound()))
    with savedmodel.load(tmp_path) as model:
        assert list(model.signatures) == ["serving_default"]
        assert model.function("predict").dispatch(1.0).trace == "body"


def face_all(folder: Path) -> None:
    """Each face ends in a result or in an error of ours; others escape from here."""
    for face in FACES.values():
        try:
            face(str(folder))
        except TrimtabError as refusal:
            check_refusal(refusal)


def test_a_proto_that_is_cut_anywhere(tmp_path: Path) -> None:
    data = serialize(sound())
    for length in random.Random(0).sample(range(len(data)), 60):
        write(tmp_path, data[:length])
        face_all(tmp_path)


def test_text_that_is_no_text_anywhere(tmp_path: Path) -> None:
    data = serialize(sound())
    texts = sorted({match.start() for match in re.finditer(rb"[a-z_]{3,}", data)})
    for at in texts[::2]:
        write(tmp_path, data[:at] + b"\xff" + data[at + 1 :])
        face_all(tmp_path)


@given(st.binary(max_size=60))
@settings(max_examples=60)
def test_arbitrary_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.getbasetemp() / "arbitrary"
    for content in (data, b"\x12" + bytes([len(data)]) + data):
        write(folder, content)
        face_all(folder)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "a SavedModel"),
        ({"saved_model.cpb": b"riegeli"}, "split into chunks"),
        ({"saved_model.pb": b""}, "at least one MetaGraph"),
    ],
    ids=["empty folder", "split", "empty proto"],
)
def test_what_is_no_saved_model_is_refused(tmp_path: Path, files: dict[str, bytes], says: str) -> None:
    for name, content in files.items():
        write(tmp_path, content, name)
    with pytest.raises(ArtifactError, match=says):
        savedmodel.load(tmp_path)


def test_an_object_graph_that_claims_to_be_large_is_refused_unread(tmp_path: Path) -> None:
    claimed = MAX_OBJECT_GRAPH_BYTES + 1
    objects = b"\x3a" + encode_varint(claimed)
    head = b"\x12" + encode_varint(len(objects) + claimed) + objects
    with (tmp_path / "saved_model.pb").open("wb") as file:
        file.write(head)
        file.truncate(len(head) + claimed)
    with pytest.raises(ArtifactError, match=f"at most {MAX_OBJECT_GRAPH_BYTES} bytes"):
        savedmodel.load(tmp_path)


def test_more_nodes_than_are_checked_are_one_finding(tmp_path: Path) -> None:
    write(tmp_path, HOSTILE["almost too many graph nodes"]())
    [finding] = savedmodel.verify(tmp_path)
    assert "is not checked" in finding.problem
    assert savedmodel.verify(tmp_path, only=["CALLEE_MISSING"]) == ()


def test_a_proto_of_two_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "saved_model.pb").open("wb") as file:
        file.truncate(1 << 31)
    with pytest.raises(ArtifactError, match="less than 2 GiB"):
        savedmodel.load(tmp_path)
