"""A document names the arguments that a compiled artifact tells apart by their places alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from trimtab.artifacts import derive_signature, embed_signature, read_signature
from trimtab.errors import ContradictionError
from trimtab.signature.document import decode_document
from trimtab.signature.dtypes import DType
from trimtab.signature.model import Input, Signature
from trimtab.signature.types import Tensor

PACKAGES = Path(__file__).parents[1] / "data" / "aotinductor"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A compiled package whose tensors have no names, and not even certain places."""
    return Path(shutil.copy(PACKAGES / "baked_in.pt2", tmp_path))


def names(*inputs: str, outputs: tuple[str, ...] = ("score", "ids")) -> Signature:
    return decode_document(json.dumps({"input_names": inputs, "output_names": outputs}).encode())


def test_names_count_in_the_order_of_the_places(package: Path) -> None:
    derived = derive_signature(package)
    embed_signature(package, names("user", "bias", "scale"))
    read = read_signature(package)
    assert read.input_names == ("user", "bias", "scale")
    assert [it.type for it in read.inputs] == [it.type for it in derived.inputs]


def test_a_whole_signature_is_held_against_the_places(package: Path) -> None:
    derived = derive_signature(package)
    (overload,) = derived.entry_point().overloads

    def declaring(*inputs: Input) -> Signature:
        entry_point = replace(derived.entry_point(), overloads=(replace(overload, inputs=inputs),))
        return replace(derived, entry_points=(entry_point,))

    called = [replace(it, name=name, path=None) for it, name in zip(overload.inputs, ("a", "b", "c"), strict=True)]
    embed_signature(package, declaring(*called))
    assert read_signature(package).input_names == ("a", "b", "c")
    called[1] = replace(called[1], type=Tensor(DType.INT64, (3,)))
    with pytest.raises(ContradictionError, match="input 'b'"):
        embed_signature(package, declaring(*called))


@pytest.mark.parametrize("inputs", [("user",), ("user", "bias", "scale", "more")])
def test_another_number_of_names_is_a_contradiction(package: Path, inputs: tuple[str, ...]) -> None:
    with pytest.raises(ContradictionError):
        embed_signature(package, names(*inputs))
