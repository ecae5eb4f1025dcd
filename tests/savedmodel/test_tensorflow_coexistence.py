"""trimtab and TensorFlow in one process, in either order: neither takes the other's protobuf messages or modules."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from hostile_saved_models import sound, write

from trimtab.savedmodel.messages import serialize

if TYPE_CHECKING:
    from pathlib import Path

USE = """
from trimtab import savedmodel
from trimtab.artifacts import read_signature
from trimtab.savedmodel.messages import classes, format_text, parse_text

def use(folder):
    signature = read_signature(folder)
    with savedmodel.load(folder) as model:
        traces = {path: function.trace_names for path, function in model.functions.items()}
        with open(model.name, "rb") as file:
            data = file.read()
    assert parse_text(format_text(data), "text") == data
    assert classes()["SavedModel"].DESCRIPTOR.full_name == "trimtab.tensorflow.SavedModel"
    plan = savedmodel.edit(folder).alias_signature("serving_default", "other").plan()
    return [[each.name for each in signature.entry_points], traces, bool(str(plan)), str(savedmodel.verify(folder))]
"""

TENSORFLOW = """
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2, saved_object_graph_pb2

def read(folder):
    with open(folder + "/saved_model.pb", "rb") as file:
        message = saved_model_pb2.SavedModel.FromString(file.read())
    assert message.DESCRIPTOR.full_name == "tensorflow.SavedModel"
    return [len(message.meta_graphs[0].object_graph_def.nodes), float(tf.reduce_sum(tf.constant([1.0, 2.0])))]
"""


def told(code: str, folder: Path) -> list[object]:
    """What the code leaves in `answers`, in a process of its own."""
    script = f"import json, sys\n{code}\nprint('\\n' + json.dumps([answers, sorted(sys.modules)]))"
    done = subprocess.run([sys.executable, "-c", script, folder], check=True, capture_output=True, text=True)
    answers: list[object] = json.loads(done.stdout.splitlines()[-1])
    return answers


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    write(folder, serialize(sound()))
    return folder


@pytest.fixture(scope="module")
def alone(folder: Path) -> list[object]:
    return told(f"{USE}\nanswers = use(sys.argv[1])", folder)


def test_tensorflow_is_never_imported(alone: list[object]) -> None:
    _, modules = alone
    assert isinstance(modules, list)
    assert not [name for name in modules if name.partition(".")[0] in ("tensorflow", "keras", "tf_keras", "torch")]


@pytest.mark.skipif(find_spec("tensorflow") is None, reason="TensorFlow is not installed")
@pytest.mark.parametrize(
    "code",
    [
        f"{USE}\nanswers = use(sys.argv[1])\n{TENSORFLOW}\nassert read(sys.argv[1]) == [5, 3.0]",
        f"{TENSORFLOW}\nassert read(sys.argv[1]) == [5, 3.0]\n{USE}\nanswers = use(sys.argv[1])",
    ],
    ids=["trimtab first", "tensorflow first"],
)
def test_both_work_in_one_process(code: str, folder: Path, alone: list[object]) -> None:
    assert told(f"{code}\nread(sys.argv[1])", folder)[0] == alone[0]
