"""Pickles are never opened: the refusal names what one is of, or what it would call."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import tarfile
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from trimtab.artifacts import embed_signature, read_signature
from trimtab.artifacts.formats import pickled
from trimtab.artifacts.sidecar import sidecar_path
from trimtab.errors import ArtifactError, RefusedArtifactError
from trimtab.source.bytes import LocalFile, MemorySource
from trimtab.source.pickle import pickled_names

NAMES = '{"input_names": ["user_age"], "output_names": ["score"]}'


class Attack:
    def __reduce__(self) -> Any:
        return os.system, ("exit 1",)


def fitted() -> LogisticRegression:
    return LogisticRegression().fit(np.eye(4), [0, 1, 0, 1])


def saved(value: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def dumped(value: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    joblib.dump(value, file, **options)
    return file.getvalue()


def packaged() -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), torch.package.PackageExporter(file) as package:
        package.extern("**")
        package.save_pickle("model", "model.pkl", torch.nn.Linear(2, 2))
    return file.getvalue()


MODULE = "a pickled torch module, class `torch.nn.modules.linear.Linear`: unpickling runs code"
WEIGHTS = "weights without a model"
SKLEARN = "class `sklearn.linear_model._logistic.LogisticRegression`: unpickling runs code"
ATTACK = f"would call `{os.system.__module__}.system`: unpickling runs code"
LINEAR = torch.nn.Linear(2, 2)
OLD: dict[str, Any] = {"_use_new_zipfile_serialization": False}

CASES = {
    "a module": (lambda: saved(LINEAR), MODULE),
    "a module before 1.6": (lambda: saved(LINEAR, **OLD), MODULE),
    "a state dict": (lambda: saved(LINEAR.state_dict()), WEIGHTS),
    "a state dict before 1.6": (lambda: saved(LINEAR.state_dict(), **OLD), WEIGHTS),
    "a checkpoint": (lambda: saved({"epoch": 3, "model": LINEAR.state_dict(), "dtype": torch.bfloat16}), WEIGHTS),
    "a parameter": (lambda: saved(LINEAR.weight), WEIGHTS),
    "a checkpoint with an object": (
        lambda: saved(OrderedDict(model=LINEAR.state_dict(), estimator=fitted())),
        "a checkpoint of torch.save with `sklearn.linear_model._logistic.LogisticRegression` in it",
    ),
    "an attack in torch.save": (lambda: saved({"weights": Attack()}), f"a torch.save file that {ATTACK}"),
    "an attack before 1.6": (lambda: saved(Attack(), **OLD), f"a torch.save file that {ATTACK}"),
    "a package": (packaged, "torch.package archive"),
    "joblib": (lambda: dumped(fitted()), SKLEARN),
    "joblib, zlib": (lambda: dumped(fitted(), compress=("zlib", 3)), f"{SKLEARN} .compressed"),
    "joblib, gzip": (lambda: dumped(fitted(), compress=("gzip", 3)), f"{SKLEARN} .compressed"),
    "joblib, bz2": (lambda: dumped(fitted(), compress=("bz2", 3)), "compressed with bzip2"),
    "joblib, xz": (lambda: dumped(fitted(), compress=("xz", 3)), "compressed with xz"),
    "joblib, lzma": (lambda: dumped(fitted(), compress=("lzma", 3)), "compressed with lzma"),
    "joblib, lz4": (lambda: dumped(fitted(), compress=("lz4", 3)), "compressed with lz4"),
    "an attack": (lambda: pickle.dumps(Attack()), f"a pickle that {ATTACK}"),
    **{f"protocol {number}": (lambda number=number: pickle.dumps(fitted(), number), SKLEARN) for number in range(6)},
    **{
        f"plain values, protocol {number}": (lambda number=number: pickle.dumps({"a": [1]}, number), "plain values")
        for number in range(6)
    },
}


@pytest.mark.parametrize("case", CASES)
def test_a_pickle_is_refused_by_what_it_is(case: str) -> None:
    make, says = CASES[case]
    with pytest.raises(RefusedArtifactError, match=says) as refusal:
        read_signature(MemorySource(make(), "model"))
    assert refusal.value.hint


@pytest.mark.parametrize("value", [LINEAR, LINEAR.state_dict()], ids=["module", "state dict"])
def test_an_archive_of_torch_save_has_room_and_still_loads(value: Any, tmp_path: Path) -> None:
    path, names = tmp_path / "model.pt", tmp_path / "names.json"
    torch.save(value, path)
    names.write_text(NAMES)
    for _ in range(2):
        assert embed_signature(path, read_signature(names)) == str(path)
        read = read_signature(path)
        assert read.input_names == ("user_age",)
        assert read.provenance.format == "pickled"
    loaded = torch.load(path, weights_only=not isinstance(value, torch.nn.Module))
    state = loaded.state_dict() if isinstance(loaded, torch.nn.Module) else loaded
    assert all((state[key] == LINEAR.state_dict()[key]).all() for key in state)
    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read("model/extra/module_info.json"))["input_names"] == ["user_age"]


@pytest.mark.parametrize("make", [lambda: dumped(fitted()), packaged, lambda: saved(LINEAR, **OLD)])
def test_other_pickles_have_a_document_beside_them(make: Any, tmp_path: Path) -> None:
    path, names = tmp_path / "model.pkl", tmp_path / "names.json"
    data = make()
    path.write_bytes(data)
    names.write_text(NAMES)
    with pytest.raises(RefusedArtifactError, match="no room"):
        pickled.embed(str(path), NAMES.encode())
    assert embed_signature(path, read_signature(names)) == sidecar_path(str(path))
    assert path.read_bytes() == data
    assert read_signature(path).input_names == ("user_age",)


def test_nothing_is_read_of_a_pickle_but_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "big.pt"
    torch.save({"w": torch.zeros(4_000_000)}, path)
    with LocalFile(path) as source:
        with pytest.raises(RefusedArtifactError):
            read_signature(source)
        assert source.bytes_read < 200_000


@pytest.mark.parametrize("kind", ["hdf5", "ort"])
def test_kinds_that_are_known_and_not_read_take_a_document_beside(kind: str, tmp_path: Path) -> None:
    path, names = tmp_path / "model", tmp_path / "names.json"
    path.write_bytes({"hdf5": b"\x89HDF\r\n\x1a\n" + bytes(99), "ort": b"\x20\0\0\0ORTM" + bytes(99)}[kind])
    names.write_text(NAMES)
    with pytest.raises(RefusedArtifactError, match="not read") as refusal:
        read_signature(path)
    assert "trimtab embed" in refusal.value.hint
    assert embed_signature(path, read_signature(names)) == sidecar_path(str(path))
    assert read_signature(path).provenance.format == kind


class Recorder(pickle.Unpickler):
    """Python's own machine, which loads what this test made and writes down what it imports."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), fix_imports=False)
        self.names: dict[str, None] = {}

    def find_class(self, module: str, name: str) -> Any:
        self.names[f"{module}.{name}"] = None
        renamed = {"__builtin__": "builtins", "copy_reg": "copyreg"}.get(module, module)
        return super().find_class(renamed, name)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "value",
    [fitted(), [fitted(), np.arange(3), np.float64(1)], {"a": OrderedDict(b={1, 2}), "c": Path("x")}, LINEAR],
    ids=["estimator", "list", "containers", "module"],
)
def test_names_are_those_that_unpickling_imports(value: Any, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    recorder = Recorder(data)
    recorder.load()
    assert [str(each) for each in pickled_names(data)] == list(recorder.names)


# Archives and folders with models in them


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
    return file.getvalue()


def tarred(mode: Any) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        archive.addfile(tarfile.TarInfo("model_config.yaml"), io.BytesIO())
    return file.getvalue()


ARCHIVES = {
    "one model": (lambda: zipped("a/readme.txt", "a/model.onnx"), "holds 'a/model.onnx'.*\n.*Unpack it"),
    "several models": (lambda: zipped("a.onnx", "b.pt", "c.txt"), "holds 2 models: 'a.onnx', 'b.pt'"),
    "an OpenVINO pair": (lambda: zipped("m.xml", "m.bin", "n.xml"), "holds 'm.xml'"),
    "TorchServe": (
        lambda: zipped("MAR-INF/MANIFEST.json", "model.pt", "handler.py"),
        r"\.mar\), which holds 'model.pt'",
    ),
    "a Python package": (lambda: zipped("p-1.dist-info/WHEEL", "p/__init__.py"), "Python package"),
    "numpy arrays": (lambda: zipped("a.npy", "b.npy"), "numpy arrays"),
    "no model": (lambda: zipped("a.txt"), "got 'a.txt'"),
    "tar": (lambda: tarred("w"), "tar archive"),
    "tar.gz": (lambda: tarred("w:gz"), "compressed tar archive"),
    "Git LFS": (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "pointer of Git LFS"),
    "PMML": (lambda: b'<?xml version="1.0"?>\n<PMML version="4.4"></PMML>', "PMML"),
    "a shared library": (lambda: b"\x7fELF" + bytes(60), "compiled code"),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_an_archive_says_what_it_holds(case: str) -> None:
    make, says = ARCHIVES[case]
    with pytest.raises(RefusedArtifactError, match=says):
        read_signature(MemorySource(make(), "archive"))


def test_a_folder_lists_the_models_below(tmp_path: Path, corpus: Path) -> None:
    for name in ("a/one.onnx", "a/b/two.pt", "c/saved_model.pb", "c/variables/variables.index", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    shutil.copy(corpus / "formats" / "openvino_dyn.xml", tmp_path / "c.xml")
    (tmp_path / "c.bin").touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    with pytest.raises(ArtifactError, match="holds models, and is none") as error:
        read_signature(tmp_path)
    assert error.value.got == "4 below: 'c.xml', 'a/one.onnx', 'c', 'a/b/two.pt'"
    assert error.value.hint == f"Name one of them: {tmp_path}/a/b/two.pt"


def test_a_large_folder_is_not_walked_to_the_end(tmp_path: Path) -> None:
    for index in range(60):
        (tmp_path / f"{index:02}").mkdir()
        for inner in range(20):
            (tmp_path / f"{index:02}" / f"{inner}.txt").touch()
    (tmp_path / "zz").mkdir()
    (tmp_path / "zz" / "model.onnx").touch()
    with pytest.raises(ArtifactError, match="a directory with '00', '01'"):
        read_signature(tmp_path)
