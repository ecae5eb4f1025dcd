"""A SavedModel is a folder: found, read, refused, embedded into and bundled like any other artifact."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from trimtab.artifacts import derive_signature, embed_signature, read_signature
from trimtab.artifacts.registry import open_artifact
from trimtab.bundles.building.build import build_bundle
from trimtab.bundles.repository import ModelRepository
from trimtab.cli.main import main
from trimtab.errors import ArtifactError, BundleError, ContradictionError, RefusedArtifactError
from trimtab.signature.model import Learned

DOCUMENT = Path("assets.extra") / "module_info.json"


@pytest.fixture
def model(corpus: Path, tmp_path: Path) -> Path:
    return copied(corpus, "nested", tmp_path / "model")


def copied(corpus: Path, name: str, folder: Path) -> Path:
    """A copy that may be written to, whatever the corpus's permissions."""
    shutil.copytree(corpus / "savedmodel" / name / "model", folder, copy_function=shutil.copyfile)
    for each in (folder, *folder.rglob("*")):
        each.chmod(0o755 if each.is_dir() else 0o644)
    return folder


@pytest.mark.parametrize("inside", ["", "saved_model.pb"])
def test_the_folder_and_the_proto_in_it_are_the_same_artifact(model: Path, inside: str) -> None:
    signature = read_signature(model / inside)
    assert signature.provenance.format == "savedmodel"
    assert signature.input_names == ("d", "d_1", "pair", "pair_1")


def test_the_text_form_is_read_from_the_folder_and_by_name(corpus: Path) -> None:
    folder = corpus / "savedmodel" / "pbtxt" / "model"
    assert read_signature(folder) == read_signature(folder / "saved_model.pbtxt")


def test_the_content_decides_not_the_name(model: Path, tmp_path: Path) -> None:
    shutil.copyfile(model / "saved_model.pb", tmp_path / "renamed.bin")
    assert read_signature(tmp_path / "renamed.bin").digest == read_signature(model).digest


@pytest.mark.parametrize("inside", ["", "saved_model.pb"])
def test_a_document_goes_beside_the_model_and_comes_back(model: Path, inside: str) -> None:
    before = contents(model)
    signature = derive_signature(model)
    embed_signature(model / inside, signature)
    after = contents(model)
    assert after.pop(str(DOCUMENT)).startswith(b'{"input_names"')
    assert after == before
    declared = read_signature(model)
    assert (declared.digest, declared.provenance.learned) == (signature.digest, Learned.DECLARED)
    embed_signature(model, signature)  # again, in place of the first
    assert list((model / "assets.extra").iterdir()) == [model / DOCUMENT]


def test_every_recorded_model_takes_its_own_signature(saved_model_folders: list[Path]) -> None:
    for folder in saved_model_folders:
        try:
            signature = derive_signature(folder)
        except RefusedArtifactError:
            continue
        embed_signature(folder, signature)
        assert read_signature(folder).digest == signature.digest, folder


@pytest.fixture
def saved_model_folders(corpus: Path, tmp_path: Path) -> list[Path]:
    names = sorted(each.name for each in (corpus / "savedmodel").iterdir())
    return [copied(corpus, name, tmp_path / name) for name in names]


def test_names_alone_are_completed_from_the_graph(model: Path) -> None:
    write_document(model, {"input_names": ["d", "d_1", "pair", "pair_1"], "output_names": ["output_0"]})
    signature = read_signature(model)
    assert signature.provenance.learned is Learned.DECLARED
    assert [str(it.type) for it in signature.inputs] == ["float32 []"] * 4


def test_an_input_stated_by_name_takes_its_place_from_the_graph(model: Path) -> None:
    """A document written by hand names inputs as requests do; where they sit in the user's call only the graph says."""
    from msgspec.structs import replace

    signature = derive_signature(model)
    entry_point = signature.entry_point()
    [overload] = entry_point.overloads
    bare = replace(overload, inputs=tuple(replace(it, path=None) for it in overload.inputs))
    embed_signature(model, replace(signature, entry_points=(replace(entry_point, overloads=(bare,)),)))
    assert [it.path for it in read_signature(model).inputs] == [it.path for it in overload.inputs]


def test_traces_are_compared_with_the_traces_that_they_are(corpus: Path, tmp_path: Path) -> None:
    folder = copied(corpus, "polymorphic", tmp_path / "model")
    signature = derive_signature(folder)
    embed_signature(folder, signature)
    assert read_signature(folder).entry_point("f").overloads == signature.entry_point("f").overloads


@pytest.mark.parametrize("names", [["d", "d_1", "pair"], ["d", "d_1", "pair", "pear"]])
def test_names_that_the_graph_does_not_have_are_refused(model: Path, names: list[str]) -> None:
    write_document(model, {"input_names": names, "output_names": ["output_0"]})
    with pytest.raises(ContradictionError, match="names in the document"):
        read_signature(model)


def test_the_document_is_all_there_is_of_a_model_that_says_nothing(corpus: Path, tmp_path: Path) -> None:
    from trimtab.savedmodel.messages import classes, serialize

    message = classes()["SavedModel"]()
    message.meta_graphs.add().meta_info_def.tags.append("serve")
    (tmp_path / "saved_model.pb").write_bytes(serialize(message))
    with pytest.raises(RefusedArtifactError, match="embed one"):
        read_signature(tmp_path)
    embed_signature(tmp_path, read_signature(corpus / "savedmodel" / "example" / "model"))
    assert read_signature(tmp_path).input_names == ("x",)


def test_a_write_that_is_cut_leaves_the_old_document(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embed_signature(model, derive_signature(model))
    before = contents(model)

    def cut(_source: str, _target: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", cut)
    with pytest.raises(ArtifactError, match="No space left"):
        embed_signature(model, derive_signature(model))
    assert contents(model) == before


def test_a_proto_under_another_name_has_no_place_for_a_document(model: Path) -> None:
    renamed = model / "renamed.pb"
    (model / "saved_model.pb").rename(renamed)
    with pytest.raises(ArtifactError, match="another name"):
        embed_signature(renamed, derive_signature(renamed))


def test_a_document_of_any_length_is_not_taken_in(model: Path) -> None:
    (model / "assets.extra").mkdir()
    with (model / DOCUMENT).open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(ArtifactError, match="at most 16777216 bytes"):
        read_signature(model)


FOLDERS = {
    "no model": ({"notes.txt": b""}, ArtifactError, r"got a directory with 'notes.txt'"),
    "nothing": ({}, ArtifactError, "got an empty directory"),
    "versions": ({"3/saved_model.pb": b""}, ArtifactError, "versions of a model, not a model"),
    "half a copy": ({"variables/variables.index": b""}, ArtifactError, "is the copy complete"),
    "a split proto": ({"saved_model.cpb": b""}, RefusedArtifactError, "split into chunks"),
    "an empty proto": ({"saved_model.pb": b""}, ArtifactError, "at least one MetaGraph"),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_a_folder_that_is_no_model_says_what_is_expected(tmp_path: Path, case: str) -> None:
    files, kind, says = FOLDERS[case]
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    with pytest.raises(kind, match=says) as error:
        read_signature(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_a_source_is_closed_when_no_format_wants_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"nothing of ours")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(ArtifactError):
            open_artifact(str(tmp_path / "file"))
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_plug_in_may_read_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = tmp_path / "folder_format.py"
    reader.write_text(
        "import os\n"
        "from trimtab.signature.model import EntryPoint, Input, Overload, Signature\n"
        "from trimtab.signature.types import Tensor\n"
        "from trimtab.source.bytes import LocalFile\n"
        "name = 'folder'\n"
        "def open_folder(path):\n"
        "    inside = os.path.join(path, 'inputs.txt')\n"
        "    return LocalFile(inside) if os.path.exists(inside) else None\n"
        "def match(source): return False\n"
        "def declared(source): return None\n"
        "def derive(source):\n"
        "    names = source.read(0, source.size).decode().split()\n"
        "    overload = Overload(inputs=tuple(Input(name=each, type=Tensor()) for each in names))\n"
        "    entry_point = EntryPoint(name='main', overloads=(overload,))\n"
        "    return Signature(entry_points=(entry_point,), default_entry_point='main')\n"
    )
    info = tmp_path / "folder_format-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: folder-format\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[trimtab.formats]\nfolder = folder_format\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "inputs.txt").write_text("user item")
    assert read_signature(tmp_path / "model").input_names == ("user", "item")


def test_a_repository_of_saved_models_is_bundled(corpus: Path, tmp_path: Path) -> None:
    copied(corpus, "nested", tmp_path / "ranker" / "1")
    copied(corpus, "pbtxt", tmp_path / "tagger" / "7")
    bundle = build_bundle(ModelRepository(tmp_path), name="leaf")
    assert {(name, version) for name, model in bundle.models.items() for version in model.versions} == {
        ("ranker", "1"),
        ("tagger", "7"),
    }


def test_a_version_is_another_one_when_any_file_of_it_changes(corpus: Path, tmp_path: Path) -> None:
    folder = copied(corpus, "nested", tmp_path / "ranker" / "1")
    [before] = ModelRepository(tmp_path).scan()
    assert before.path == folder
    assert {name for name, _ in before.identity} >= {"saved_model.pb", "variables/variables.index"}
    with (folder / "variables" / "variables.index").open("ab") as file:
        file.write(b"x")
    [after] = ModelRepository(tmp_path).scan()
    assert after.identity != before.identity


def test_a_saved_model_beside_another_model_file_is_two_artifacts(corpus: Path, tmp_path: Path) -> None:
    folder = copied(corpus, "nested", tmp_path / "ranker" / "1")
    (folder / "model.onnx").write_bytes(b"")
    [version] = ModelRepository(tmp_path).scan()
    with pytest.raises(BundleError, match=r"model\.onnx, the folder itself"):
        version.path  # noqa: B018  # the property is what raises


def test_the_command_line_reads_and_embeds_folders(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(model), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["input_names"] == ["d", "d_1", "pair", "pair_1"]
    assert main(["embed", str(model)]) == 0
    assert "embedded" in capsys.readouterr().out
    assert (model / DOCUMENT).is_file()
    assert main(["inspect", str(model.parent)]) == 0
    assert f"{model}  savedmodel " in capsys.readouterr().out


def test_tensorflow_loads_a_model_with_a_document(model: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    embed_signature(model, derive_signature(model))
    assert set(tf.saved_model.load(str(model)).signatures) == {"f"}


def write_document(model: Path, document: dict[str, list[str]]) -> None:
    (model / "assets.extra").mkdir()
    (model / DOCUMENT).write_text(json.dumps(document))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}
