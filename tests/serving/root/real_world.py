"""Real processes over real artifacts: ONNX models, their bundle, packed rows in SQLite, a leaf and a root."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import onnx
from onnx import TensorProto, helper
from processes import ServerProcess, leaf_process, server_process
from small_world import World

from trimtab.bundles.building.build import build_bundle
from trimtab.bundles.bundle import Bundle, write_bundle
from trimtab.bundles.repository import ModelRepository
from trimtab.serving.root.features.source import FeatureSpec
from trimtab.serving.root.features.sqlite import SqliteFeatures
from trimtab.signature.dtypes import DType

ONNX_TYPES = {DType.FLOAT32: TensorProto.FLOAT, DType.INT64: TensorProto.INT64}
USES: dict[str, tuple[str, ...]] = {"ctr": ("price", "age"), "cvr": ("tags", "clicks", "tastes"), "price": ("price",)}


def write_model(path: Path, uses: Sequence[str], specs: Mapping[str, FeatureSpec]) -> None:
    """An ONNX model whose score is the sum of all values of its inputs."""
    inputs = [
        helper.make_tensor_value_info(name, ONNX_TYPES[specs[name].dtype], ["batch", *specs[name].shape])
        for name in uses
    ]
    nodes, sums = [], []
    for name in uses:
        nodes.append(helper.make_node("Cast", [name], [f"{name}.float"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("ReduceSum", [f"{name}.float", "axes"], [f"{name}.sum"], keepdims=1))
        sums.append(f"{name}.sum")
    nodes.append(helper.make_node("Sum", sums, ["score"]))
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    output = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch", 1])
    graph = helper.make_graph(nodes, "ranker", inputs, [output], [axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.parent.mkdir(parents=True)
    onnx.save(model, path)


class RealWorld:
    """A folder with a repository, its bundle and a feature file, and the values to check scores by."""

    def __init__(self, folder: Path, uses: Mapping[str, Sequence[str]] = USES) -> None:
        self.folder = folder
        self.world = World()
        self.repository = folder / "models"
        self.bundle_path = folder / "ranking.bundle.json"
        self.features_path = folder / "features.db"
        self.specs = {it.name: it for view in self.world.views.values() for it in view.features}
        for model, names in uses.items():
            write_model(self.repository / model / "1" / "model.onnx", names, self.specs)
        self.publish()
        features = SqliteFeatures.create(self.features_path, self.world.views.values())
        for view in self.world.views:
            keys = list(self.world.table[view])
            names = [it.name for it in self.world.views[view].features]
            features.write(view, keys, self.world.fetch(view, keys, names).columns)
        features.close()

    def publish(self, previous: Bundle | None = None) -> Bundle:
        bundle = build_bundle(ModelRepository(self.repository), name="ranking", previous=previous)
        write_bundle(self.bundle_path, bundle)
        return bundle

    def leaf(self, *flags: str) -> AbstractContextManager[ServerProcess]:
        return leaf_process(self.repository, "--poll-interval", "0.1", *flags, folder=self.folder / "logs")

    def root(self, leaves: Sequence[str], *flags: str) -> AbstractContextManager[ServerProcess]:
        own = [flag for leaf in leaves for flag in ("--leaf", leaf)]
        own += ["--bundle", str(self.bundle_path), "--features", f"sqlite:{self.features_path}"]
        own += ["--poll-interval", "0.05", "--deadline-ms", "10000"]
        return server_process("root", *own, *flags, folder=self.folder / "logs")
