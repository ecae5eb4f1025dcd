"""Rebuilding nested calls from flat inputs, and the limits of an error's text."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.errors import ArtifactError, TrimtabError
from trimtab.serving.leaf.engines.structure import ABSENT, call_places, fill, named_outputs
from trimtab.serving.leaf.refusals import wire_text
from trimtab.signature.dtypes import DType
from trimtab.signature.model import Input, Output
from trimtab.signature.types import Mapping, Tensor


class Pair(NamedTuple):
    left: object
    right: object


@pytest.mark.parametrize(
    ("paths", "values", "expected"),
    [
        (["age"], [1], {"age": 1}),
        (['feats["a.b"]', 'feats["c"]'], [1, 2], {"feats": {"a.b": 1, "c": 2}}),
        (["args[1]", "args[0]"], [1, 2], {"args": (2, 1)}),
        (["pair.left", "pair.right"], [1, 2], {"pair": (1, 2)}),
        (['x["a"][0].f', 'x["a"][1]', "y"], [1, 2, 3], {"x": {"a": ((1,), 2)}, "y": 3}),
    ],
)
def test_a_call_is_rebuilt_from_paths(paths: list[str], values: list[int], expected: dict[str, object]) -> None:
    inputs = [Input(name=f"i{at}", type=Tensor(), path=path) for at, path in enumerate(paths)]
    given_values = {f"i{at}": value for at, value in enumerate(values)}
    assert {root: fill(place, given_values) for root, place in call_places(inputs).items()} == expected


def test_what_is_absent_is_left_out() -> None:
    places = call_places([Input(name="a", type=Tensor(), path='f["a"]'), Input(name="b", type=Tensor(), path='g["b"]')])
    assert fill(places["f"], {"b": 1}) is ABSENT
    assert fill(places["g"], {"b": 1}) == {"b": 1}


@pytest.mark.parametrize("paths", [["a", "a"], ["a", 'a["b"]'], ['a["b"]', "a"]])
def test_two_inputs_in_one_place_are_refused(paths: list[str]) -> None:
    with pytest.raises(ArtifactError, match="a path of its own"):
        call_places([Input(name=f"i{at}", type=Tensor(), path=path) for at, path in enumerate(paths)])


@pytest.mark.parametrize(
    ("returned", "outputs", "expected"),
    [
        (7, [("output_0", "")], {"output_0": 7}),
        (7, [("score", None)], {"score": 7}),
        ((7, 8), [("a", "[0]"), ("b", "[1]")], {"a": 7, "b": 8}),
        ((7, 8), [("a", None), ("b", None)], {"a": 7, "b": 8}),
        (Pair(7, 8), [("right", ".right"), ("left", ".left")], {"right": 8, "left": 7}),
        (Pair(7, 8), [("right", None), ("left", None)], {"right": 8, "left": 7}),
        ({"s": 7, "t": (8, 9)}, [("s", '["s"]'), ("u", '["t"][1]')], {"s": 7, "u": 9}),
        ({"s": 7}, [("s", None)], {"s": 7}),
    ],
)
def test_outputs_are_found_where_their_paths_say(returned: object, outputs: list, expected: dict[str, object]) -> None:
    declared = [Output(name=name, type=Tensor(), path=path) for name, path in outputs]
    assert named_outputs(returned, declared) == expected


def test_an_output_that_is_a_mapping_gives_one_value_per_key() -> None:
    output = Output(name="output_0", type=Mapping(DType.STRING, Tensor()), path="")
    assert named_outputs({"a": 1, "b": 2}, [output]) == {"a": 1, "b": 2}


@pytest.mark.parametrize(("returned", "path"), [((7,), "[1]"), ({"a": 1}, '["b"]'), (7, ".x"), ({"a": 1}, None)])
def test_an_output_that_is_not_there_is_named(returned: object, path: str | None) -> None:
    with pytest.raises(ArtifactError, match="no output 'score'"):
        named_outputs(returned, [Output(name="score", type=Tensor(), path=path)])


@given(st.text(max_size=6000))
def test_an_error_fits_the_metadata_of_grpc(text: str) -> None:
    said = wire_text(TrimtabError(text))
    assert len(quote(said, safe=" ")) <= 3 * 4096 + 9
    assert said.rstrip("…") in str(TrimtabError(text))


def test_an_error_of_a_hundred_thousand_letters_is_cut() -> None:
    for letter in "aå𝄞\n%":
        said = wire_text(TrimtabError(letter * 100_000))
        assert len(quote(said, safe="abcdefgh ")) < 6000
        assert said.endswith("…")
