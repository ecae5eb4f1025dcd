"""What TensorFlow computes with a model's signatures: TF2 by loading, TF1 by feeding a session, and after re-saving."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_oracle import argument, child, invoke, only_tags, read_proto

Feeds = dict[str, np.ndarray[Any, Any]]
PLAIN = ("tensor", "np", "npscalar", "zeros")


def loaded(folder: Path) -> Any:
    """The model, as TF2 loads it."""
    return tf.saved_model.load(str(folder), tags=only_tags(str(folder)))


def resave(folder: Path, target: Path) -> Path:
    """The model with its signatures, as TensorFlow writes what it has loaded."""
    model = loaded(folder)
    tf.saved_model.save(model, str(target), signatures=dict(model.signatures))
    return target


def signature_feeds(folder: Path) -> dict[str, list[Feeds]]:
    """Recorded calls of signatures that succeed with nothing but dense tensors, by key."""
    oracle = json.loads((folder / "oracle.json").read_text())
    found: dict[str, list[Feeds]] = {}
    for answer in oracle["calls"]:
        call = answer["call"]
        if "signature" not in call or "error" in answer:
            continue
        keywords = oracle["loaded_signatures"][call["signature"]]["arg_keywords"]
        terms = {**dict(zip(keywords, call["args"], strict=False)), **call["kwargs"]}
        if all(term["k"] in PLAIN for term in terms.values()):
            feeds = {name: np.asarray(argument(term)) for name, term in terms.items()}
            found.setdefault(call["signature"], []).append(feeds)
    return found


def path_results(folder: Path, answers: list[Any]) -> list[Any]:
    """What the functions of a model give for recorded calls, each on a fresh load; errors by their class."""
    calls = [answer["call"] for answer in answers]
    return [_answer(lambda call: _flat(invoke(child(loaded(folder), call["path"]), call)), call) for call in calls]


def in_tf2(folder: Path, calls: list[tuple[str, Feeds]]) -> list[Any]:
    """What signatures give, called one after the other on a fresh load with tensors by keyword."""
    model = loaded(folder)
    return [_answer(_call, model, key, feeds) for key, feeds in calls]


def in_tf1(folder: Path, calls: list[tuple[str, Feeds]], tags: list[str] | None = None) -> list[Any]:
    """What signatures give in a fresh session; None where the feeds leave an input out, or it is a sparse one."""
    session = Session(folder, tags)
    try:
        return [_answer(session.run, key, feeds) if session.takes(key, feeds) else None for key, feeds in calls]
    finally:
        session.close()


def _answer(function: Any, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except Exception as error:  # noqa: BLE001  # every class that TensorFlow raises is an answer
        return type(error).__name__


def _call(model: Any, key: str, feeds: Feeds) -> dict[str, Any]:
    outputs = model.signatures[key](**{name: tf.constant(value) for name, value in feeds.items()})
    return {name: _flat(value) for name, value in outputs.items()}


class Session:
    """A model in a TF1 session, where a signature is what its SignatureDef says: the same that C++ serves."""

    def __init__(self, folder: Path, tags: list[str] | None = None) -> None:
        self.graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=self.graph)
        with self.graph.as_default():
            self.meta_graph = tf.compat.v1.saved_model.loader.load(
                self._session, tags or list(read_proto(str(folder)).meta_graphs[0].meta_info_def.tags), str(folder)
            )

    def close(self) -> None:
        """End the session."""
        self._session.close()

    def takes(self, key: str, feeds: Feeds) -> bool:
        """Whether the feeds are all inputs of a signature, each a dense one."""
        return feeds.keys() == set(self.meta_graph.signature_def[key].inputs)

    def run(self, key: str, feeds: Feeds) -> dict[str, Any]:
        """A signature, fed and fetched by the tensors that it names."""
        signature = self.meta_graph.signature_def[key]
        return self._session.run(
            {name: self._tensors(info) for name, info in signature.outputs.items()},
            {signature.inputs[name].name: value for name, value in feeds.items()},
        )

    def _tensors(self, info: Any) -> Any:
        if info.WhichOneof("encoding") == "composite_tensor":
            return [each.name for each in info.composite_tensor.components]
        if info.WhichOneof("encoding") == "coo_sparse":
            sparse = info.coo_sparse
            return [sparse.indices_tensor_name, sparse.values_tensor_name, sparse.dense_shape_tensor_name]
        return info.name


def same(one: Any, other: Any) -> bool:
    """Equal bit for bit: structure, dtypes, shapes and every byte."""
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
    if one is None or isinstance(one, str):
        return bool(one == other)
    first, second = np.asarray(one), np.asarray(other)
    if first.dtype.kind in "OS":
        return first.shape == second.shape and first.tolist() == second.tolist()
    return first.dtype == second.dtype and first.shape == second.shape and first.tobytes() == second.tobytes()


def _flat(value: Any) -> list[Any]:
    """The tensors of a value, components of composites too, as arrays."""
    flat = tf.nest.flatten(value, expand_composites=True)
    return [each.numpy() if hasattr(each, "numpy") else each for each in flat]
