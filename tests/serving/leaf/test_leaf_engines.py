"""Engines on artifacts as trimtab's own exporters and other people leave them, without a server around."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from torch_modules import Keyed, Nested

import trimtab.torch
from trimtab.artifacts import read_signature
from trimtab.converting.converter import FeatureConverter
from trimtab.errors import ArtifactError
from trimtab.serving.leaf.engines.engine import open_engine
from trimtab.serving.leaf.warm_up import warm_up

if TYPE_CHECKING:
    from pathlib import Path

    from trimtab.serving.leaf.engines.engine import Engine

SERVABLE = [
    "onnx_external.onnx",
    "pt2_archive_root.pt2",
    "pt2_dynamic.pt2",
    "pt2_legacy_layout.pt2",
    "pt2_two_models.pt2",
    "ts_frozen.pt",
    "ts_hooks.pt",
    "ts_kwonly.pt",
    "ts_lite.ptl",
    "ts_multi_method.pt",
]


def engine_of(path: Path) -> Engine:
    return open_engine(path, read_signature(path), threads=1)


def keyed_features(rows: int) -> dict[str, torch.Tensor]:
    return {"user.age": torch.rand(rows, 1), "item.ids": torch.randint(0, 9, (rows, 3))}


@pytest.mark.parametrize("name", SERVABLE)
def test_artifacts_of_other_people_open(corpus: Path, name: str) -> None:
    path = corpus / "formats" / name
    engine_of(path)
    FeatureConverter(read_signature(path))


@pytest.mark.parametrize("make", [torch.jit.script, lambda it: torch.jit.trace(it, (keyed_features(4),), strict=False)])
def test_a_dictionary_of_features_is_rebuilt_from_the_declared_names(tmp_path: Path, make: object) -> None:
    path = tmp_path / "model.pt"
    trimtab.torch.save(make(Keyed().eval()), path, example_inputs=(keyed_features(4),))
    feats = keyed_features(7)
    outputs = engine_of(path).run({name: tensor.numpy() for name, tensor in feats.items()}, ())
    expected = Keyed()(feats)
    assert {name: it.array.tolist() for name, it in outputs.items()} == {
        name: tensor.tolist() for name, tensor in expected.items()
    }


def test_names_that_the_exporter_gave_to_outputs_are_served(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    args = ({"user.age": torch.rand(4, 2), "ids": torch.ones(4, 3, dtype=torch.int64)}, tuple(torch.rand(2, 4, 2)))
    scale = {"scale": torch.rand(4, 2)}
    program = torch.export.export(Nested().eval(), args, scale)
    trimtab.torch.save(program, path, output_names=["click", "next_ids", "rough"])
    arrays = {"user.age": args[0]["user.age"], "ids": args[0]["ids"], "pair[0]": args[1][0], "pair[1]": args[1][1]}
    outputs = engine_of(path).run({name: it.numpy() for name, it in (arrays | scale).items()}, {"click", "rough"})
    assert {name: it.datatype for name, it in outputs.items()} == {"click": "FP32", "rough": "BF16"}
    assert np.array_equal(outputs["click"].array, Nested()(*args, **scale)["score"].numpy())


def test_a_warm_up_runs_what_the_signature_describes(artifacts: dict[str, Path]) -> None:
    class Recorder:
        platform = "recorder"

        def __init__(self) -> None:
            self.runs: list[dict[str, tuple[int, ...]]] = []

        def run(self, arrays, wanted):
            self.runs.append({name: array.shape for name, array in arrays.items()})
            return {}

    signature = read_signature(artifacts["ranker"])
    recorder = Recorder()
    warm_up(recorder, FeatureConverter(signature), signature)
    assert recorder.runs[0] == {"user_age": (2, 1), "item_id": (2,), "emb": (2, 4), "country": (2,)}


def test_a_format_that_no_engine_runs_is_named(tmp_path: Path, artifacts: dict[str, Path]) -> None:
    signature = read_signature(artifacts["ranker"])
    other = replace(signature, provenance=replace(signature.provenance, format="abacus"))
    with pytest.raises(ArtifactError, match=r"that an engine of the leaf runs \(.*onnx\), got the format 'abacus'"):
        open_engine(artifacts["ranker"], other, threads=1)


def test_onnx_is_fed_by_the_names_of_its_graph(artifacts: dict[str, Path]) -> None:
    signature = read_signature(artifacts["half"])
    (entry_point,) = signature.entry_points
    (overload,) = entry_point.overloads
    renamed = replace(
        overload,
        inputs=(replace(overload.inputs[0], name="price", path="x"),),
        outputs=(replace(overload.outputs[0], name="doubled", path="twice"),),
    )
    declared = replace(signature, entry_points=(replace(entry_point, overloads=(renamed,)),))
    outputs = open_engine(artifacts["half"], declared, threads=1).run({"price": np.array([3], np.float16)}, {"doubled"})
    assert outputs["doubled"].array.tolist() == [6]


def test_a_file_that_the_framework_refuses_is_our_error(tmp_path: Path, artifacts: dict[str, Path]) -> None:
    signature = read_signature(artifacts["ranker"])
    for name in ("ranker", "scripted", "exported"):
        signature = read_signature(artifacts[name])
        path = tmp_path / artifacts[name].name
        path.write_bytes(artifacts[name].read_bytes()[:200])
        with pytest.raises(ArtifactError, match=path.name):
            open_engine(path, signature, threads=1)
