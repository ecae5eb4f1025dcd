"""A repository of 10,000 model versions in the formats that a fleet mixes, made in about a minute.

Half of the models are ONNX, a third TorchScript with an embedded signature document, the others TensorFlow SavedModels
and plans of TensorRT with a document beside them. A model's five versions have one signature, of 20 to 320 inputs.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

MODELS = 2_000
VERSIONS = 5
SAVED_MODEL = Path(__file__).parent.parent / "docs" / "example-model"


def make(folder: Path, models: int = MODELS) -> Path:
    """The repository in `folder`; made unless it is there."""
    done = folder / f".{models}-made"
    if done.exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    kinds = (onnx_model, torchscript_model, onnx_model, torchscript_model, onnx_model, onnx_model, onnx_model)
    for number in range(models):
        random.seed(number)
        kind = (*kinds, torchscript_model, saved_model, plan)[number % 10]
        for version in range(1, VERSIONS + 1):
            place = folder / f"{kind.__name__.removesuffix('_model')}_{number:05}" / str(version)
            place.mkdir(parents=True)
            kind(place, number, version)
    done.touch()
    return folder


def names(number: int) -> list[str]:
    """The inputs of a model: some of the 5,000 features that there are."""
    chosen = random.Random(number).sample(range(5_000), 20 + number * 7 % 300)
    return [f"feature.group_{each % 17}.name_{each}" for each in sorted(chosen)]


def onnx_model(place: Path, number: int, version: int) -> None:
    from onnx import TensorProto, helper

    inputs = [helper.make_tensor_value_info(each, TensorProto.FLOAT, ["batch", 1]) for each in names(number)]
    total = helper.make_node("Sum", [each.name for each in inputs], ["sum"])
    nodes = [total, helper.make_node("Mul", ["sum", "w"], ["score"])]
    weights = [helper.make_tensor("w", TensorProto.FLOAT, [1], [float(version)])]
    outputs = [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch", 1])]
    graph = helper.make_graph(nodes, "ranker", inputs, outputs, weights)
    (place / "model.onnx").write_bytes(helper.make_model(graph).SerializeToString())


_scripted: dict[int, bytes] = {}
_TEMPLATES = 40


def torchscript_model(place: Path, number: int, version: int) -> None:  # noqa: ARG001  # all makers are called alike
    template = number // 2 % _TEMPLATES
    if template not in _scripted:
        _scripted[template] = scripted(template)
    (place / "model.pt").write_bytes(_scripted[template])


def scripted(number: int) -> bytes:
    """A scripted sum of keyword arguments, with its document inside."""
    import tempfile

    import torch

    from trimtab.artifacts import derive_signature, embed_signature

    inputs = [each.replace(".", "_") for each in names(number * 7)]
    given = ", ".join(f"{each}: Tensor" for each in inputs)
    source = f"def forward(self, {given}) -> Tensor:\n    return {' + '.join(inputs)}\n"
    module = torch.jit.script(type(f"Ranker{number}", (torch.nn.Module,), {})())
    module.define(source)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.pt")
        module.save(path)
        embed_signature(path, derive_signature(path))
        return Path(path).read_bytes()


def saved_model(place: Path, number: int, version: int) -> None:  # noqa: ARG001  # all makers are called alike
    shutil.copytree(SAVED_MODEL, place, dirs_exist_ok=True)


def plan(place: Path, number: int, version: int) -> None:
    from trimtab.signature.document import encode_document
    from trimtab.signature.dtypes import DType
    from trimtab.signature.model import EntryPoint, Input, Output, Overload, Signature
    from trimtab.signature.types import Tensor

    kind = Tensor(DType.FLOAT32, ("batch", 1))
    inputs = tuple(Input(name=each, type=kind) for each in names(number))
    overload = Overload(inputs=inputs, outputs=(Output(name="score", type=kind),))
    entry_points = (EntryPoint(name="forward", overloads=(overload,)),)
    signature = Signature(entry_points=entry_points, default_entry_point="forward")
    (place / "model.plan").write_bytes(b"engine %d" % version)
    (place / "signature.json").write_bytes(encode_document(signature))
