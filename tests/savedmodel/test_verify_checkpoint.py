"""The checkpoint's index is read as TensorFlow reads it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.errors import ArtifactError
from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.verifying.checkpoint import INDEX, OBJECT_GRAPH_KEY, read_checkpoint


def test_tensors_are_those_of_tensorflow(saved_model_corpus: list[Path]) -> None:
    tf = pytest.importorskip("tensorflow")
    for folder in saved_model_corpus:
        checkpoint = read_checkpoint(str(folder / "model"))
        if checkpoint is None:
            continue
        reader = tf.train.load_checkpoint(str(folder / "model" / "variables" / "variables"))
        dtypes, shapes = reader.get_variable_to_dtype_map(), reader.get_variable_to_shape_map()
        theirs = {name: (dtypes[name].name, tuple(shapes[name])) for name in dtypes}
        assert {name: (dtype_name(each.dtype), each.shape) for name, each in checkpoint.tensors.items()} == theirs


def test_many_variables_span_blocks(tmp_path: Path) -> None:
    """A table of more than one block, with keys that share prefixes."""
    tf = pytest.importorskip("tensorflow")
    module = tf.Module()
    module.layers = [tf.Variable(tf.zeros([number % 5, 2], tf.float32)) for number in range(400)]
    tf.train.Checkpoint(module=module).write(str(tmp_path / "variables" / "variables"))
    checkpoint = read_checkpoint(str(tmp_path))
    assert checkpoint is not None
    stored = {f"module/layers/{number}/.ATTRIBUTES/VARIABLE_VALUE": (number % 5, 2) for number in range(400)}
    shapes = {name: each.shape for name, each in checkpoint.tensors.items() if name != OBJECT_GRAPH_KEY}
    assert shapes.items() >= stored.items()
    node = 0
    for name in ("module", "layers", "399"):
        node = checkpoint.objects[node].children[name]
    assert checkpoint.objects[node].stored["VARIABLE_VALUE"][1] == "module/layers/399/.ATTRIBUTES/VARIABLE_VALUE"


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert read_checkpoint(str(tmp_path)) is None


@settings(max_examples=200)
@given(damage=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=3)), min_size=1, max_size=4))
def test_a_damaged_index_is_one_error(
    corpus: Path, tmp_path_factory: pytest.TempPathFactory, damage: list[tuple[float, bytes]]
) -> None:
    data = bytearray((corpus / "savedmodel" / "captures" / "model" / INDEX).read_bytes())
    for place, written in damage:
        at = int(place * len(data))
        data[at : at + len(written)] = written
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "variables").mkdir()
    (folder / INDEX).write_bytes(data)
    with contextlib.suppress(ArtifactError):
        read_checkpoint(str(folder))


def test_an_index_that_names_a_block_again_and_again_is_refused(tmp_path: Path) -> None:
    """So few bytes could otherwise take hours."""
    block = b"".join(b"\x00\x02\x00%c%c" % (number >> 8, number & 255) for number in range(1000)) + bytes(4)
    handle = b"\x00" + varint(len(block))
    index = b"".join(b"\x00\x02%c%c%c%s" % (len(handle), number >> 8, number & 255, handle) for number in range(1000))
    index += bytes(4)
    footer = b"\x00\x00" + varint(len(block) + 5) + varint(len(index))
    footer += bytes(40 - len(footer)) + (0xDB4775248B80FB57).to_bytes(8, "little")
    (tmp_path / "variables").mkdir()
    (tmp_path / INDEX).write_bytes(block + bytes(5) + index + bytes(5) + footer)
    with pytest.raises(ArtifactError, match="tensors"):
        read_checkpoint(str(tmp_path))


def varint(value: int) -> bytes:
    return bytes([value & 0x7F | 0x80]) + varint(value >> 7) if value > 0x7F else bytes([value])
