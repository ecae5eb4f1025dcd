"""Small real models for the servers' tests. Their arithmetic is exact in float32: scores compare by equality."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper

if TYPE_CHECKING:
    from pathlib import Path

FLOAT, INT64, STRING, FLOAT16 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING, TensorProto.FLOAT16


def make(folder: Path) -> dict[str, Path]:
    """Every model, by name."""
    made = {
        "ranker": _save(ranker(offset=0), folder / "ranker.onnx"),
        "ranker_plus_100": _save(ranker(offset=100), folder / "ranker_plus_100.onnx"),
        "changed_inputs": _save(ranker(offset=0, more_input="clicks"), folder / "changed_inputs.onnx"),
        "half": _save(half(), folder / "half.onnx"),
        "spin": _save(spin(), folder / "spin.onnx"),
        "every_datatype": _save(identity(["batch", 2]), folder / "every_datatype.onnx"),
        "every_scalar": _save(identity([]), folder / "every_scalar.onnx"),
    }
    return made | torch_models(folder)


def deploy(artifact: Path, repository: Path, model: str, version: int) -> Path:
    """Put an artifact into a repository the way that is always safe: write beside, then rename."""
    folder = repository / model / str(version)
    folder.mkdir(parents=True)
    target = folder / f"model{artifact.suffix}"
    part = folder / f".{target.name}.part"
    shutil.copyfile(artifact, part)
    part.rename(target)
    return target


def ranker_inputs(rows: int = 3, seed: int = 0) -> dict[str, np.ndarray]:
    """Whole numbers, so that sums are exact."""
    rng = np.random.default_rng(seed)
    return {
        "user_age": rng.integers(0, 99, (rows, 1)).astype(np.float32),
        "item_id": rng.integers(0, 1000, rows),
        "emb": rng.integers(-9, 9, (rows, 4)).astype(np.float32),
        "country": np.array([b"no", b"se", b"dk"][:rows] + [b"fi"] * (rows - 3), dtype=object),
    }


def ranker_score(inputs: dict[str, np.ndarray], offset: float = 0) -> np.ndarray:
    """What `ranker` gives, by numpy."""
    ids = inputs["item_id"].astype(np.float32)[:, None]
    return inputs["user_age"] + ids + inputs["emb"].sum(1, keepdims=True) + np.float32(offset)


def ranker(offset: float, more_input: str = "") -> Any:
    """score = user_age + item_id + sum(emb) + offset; home = country."""
    inputs = [
        helper.make_tensor_value_info("user_age", FLOAT, ["batch", 1]),
        helper.make_tensor_value_info("item_id", INT64, ["batch"]),
        helper.make_tensor_value_info("emb", FLOAT, ["batch", 4]),
        helper.make_tensor_value_info("country", STRING, ["batch"]),
    ]
    nodes = [
        helper.make_node("Cast", ["item_id"], ["ids"], to=FLOAT),
        helper.make_node("Unsqueeze", ["ids", "one"], ["id_column"]),
        helper.make_node("ReduceSum", ["emb", "one"], ["emb_sum"]),
        helper.make_node("Sum", ["user_age", "id_column", "emb_sum", "offset"], ["score"]),
        helper.make_node("Identity", ["country"], ["home"]),
    ]
    if more_input:
        inputs.append(helper.make_tensor_value_info(more_input, FLOAT, ["batch", 1]))
        nodes[3].input.append(more_input)
    outputs = [
        helper.make_tensor_value_info("score", FLOAT, ["batch", 1]),
        helper.make_tensor_value_info("home", STRING, ["batch"]),
    ]
    constants = [
        helper.make_tensor("one", INT64, [1], [1]),
        helper.make_tensor("offset", FLOAT, [1], [offset]),
    ]
    return _model(nodes, inputs, outputs, constants)


def half() -> Any:
    """twice = 2 * x in float16, which the protocol carries as raw contents only."""
    nodes = [helper.make_node("Add", ["x", "x"], ["twice"])]
    inputs = [helper.make_tensor_value_info("x", FLOAT16, ["batch"])]
    return _model(nodes, inputs, [helper.make_tensor_value_info("twice", FLOAT16, ["batch"])], [])


EVERY = {
    "BOOL": TensorProto.BOOL,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": INT64,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "FP16": FLOAT16,
    "FP32": FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": STRING,
}


def identity(shape: list[Any]) -> Any:
    """One input and one output of each datatype, equal: `in_FP32` and `out_FP32`, and so on."""
    nodes = [helper.make_node("Identity", [f"in_{name}"], [f"out_{name}"]) for name in EVERY]
    inputs = [helper.make_tensor_value_info(f"in_{name}", type_, shape) for name, type_ in EVERY.items()]
    outputs = [helper.make_tensor_value_info(f"out_{name}", type_, shape) for name, type_ in EVERY.items()]
    return _model(nodes, inputs, outputs, [])


def spin() -> Any:
    """score = x + turns, counted up one by one: a request says itself how long it takes (some microseconds a turn)."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["go_on_out"]),
            helper.make_node("Add", ["state", "step"], ["state_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state_out", FLOAT, None),
        ],
    )
    nodes = [helper.make_node("Loop", ["turns", "", "x"], ["score"], body=body)]
    inputs = [
        helper.make_tensor_value_info("x", FLOAT, ["batch"]),
        helper.make_tensor_value_info("turns", INT64, []),
    ]
    outputs = [helper.make_tensor_value_info("score", FLOAT, ["batch"])]
    return _model(nodes, inputs, outputs, [helper.make_tensor("step", FLOAT, [], [1.0])])


def torch_models(folder: Path) -> dict[str, Path]:
    """TorchScript and torch.export models with nested and optional arguments."""
    import torch
    from torch_modules import Nested, Scripted, Twice

    scripted = folder / "scripted.pt"
    torch.jit.script(Scripted().eval()).save(str(scripted))
    batch = torch.export.Dim("batch", min=1, max=4096)
    age, first, second, scale = torch.ones(4, 4, 2)  # one tensor given twice would be exported as one input
    program = torch.export.export(
        Nested().eval(),
        ({"user.age": age, "ids": torch.ones(4, 3, dtype=torch.int64)}, (first, second)),
        {"scale": scale},
        dynamic_shapes={
            "feats": {"user.age": {0: batch}, "ids": {0: batch}},
            "pair": ({0: batch}, {0: batch}),
            "scale": {0: batch},
        },
    )
    exported = folder / "exported.pt2"
    torch.export.save(program, str(exported))
    brain = folder / "brain.pt2"
    halves = torch.ones(3, 2, dtype=torch.bfloat16)
    torch.export.save(torch.export.export(Twice().eval(), (halves,), dynamic_shapes=({0: batch},)), str(brain))
    return {"scripted": scripted, "exported": exported, "brain": brain}


def _model(nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: list[Any]) -> Any:
    graph = helper.make_graph(nodes, "small", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def _save(model: Any, path: Path) -> Path:
    onnx.save(model, str(path))
    return path
