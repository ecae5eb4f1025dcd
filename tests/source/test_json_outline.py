"""Large JSON around its bulk: the outline is what a parser makes of the whole text, with the bulk left out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.errors import ArtifactError
from trimtab.source import json_walk
from trimtab.source.bytes import MemorySource
from trimtab.source.json_walk import outline

TEXT = st.text(alphabet=st.sampled_from('ab"\\[]{}:,\nü '), max_size=12) | st.text(max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
BULK = ("model", "trees")


@st.composite
def texts(draw: st.DrawFn) -> tuple[Any, bytes]:
    """An object with a bulk somewhere inside, and one of its texts."""
    names = st.text(alphabet='ab"\\', max_size=3)
    model = {**draw(st.dictionaries(names, JSON, max_size=3)), "trees": draw(st.lists(JSON, max_size=5))}
    model |= draw(st.dictionaries(names, JSON, max_size=3))
    value = {**draw(st.dictionaries(names, JSON, max_size=3)), "model": model}
    value |= {**draw(st.dictionaries(names, JSON, max_size=3)), "needed": draw(JSON)}
    text = json.dumps(value, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 2])))
    return value, text.encode()


@given(texts())
def test_the_outline_is_the_text_without_its_bulk(case: tuple[Any, bytes]) -> None:
    value, text = case
    found = outline(MemorySource(text), bulk=[BULK], needed=[b'"needed"'])
    value["model"]["trees"] = []
    assert json.loads(found.text) == value


@pytest.mark.parametrize("window", [1, 7, 64])
def test_what_is_needed_is_found_through_small_windows(window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_walk, "_FIRST_WINDOW", window)

    @given(texts())
    def check(case: tuple[Any, bytes]) -> None:
        value, text = case
        found = json.loads(outline(MemorySource(text), bulk=[BULK], needed=[b'"needed"']).text)
        assert found["needed"] == value["needed"]
        before = list(value["model"])[: list(value["model"]).index("trees")]
        assert {key: found["model"][key] for key in before} == {key: value["model"][key] for key in before}
        assert found["model"]["trees"] == []

    check()


@given(texts())
def test_left_out_values_become_null_and_located_ones_are_found(case: tuple[Any, bytes]) -> None:
    value, text = case
    found = outline(MemorySource(text), bulk=[], left_out=[BULK], located=[("model",)])
    start, end = found.spans[("model",)]
    assert json.loads(text[start:end]) == value["model"]
    start, end = found.spans[BULK]
    assert json.loads(text[start:end]) == value["model"]["trees"]
    value["model"]["trees"] = None
    assert json.loads(found.text) == value


@given(texts())
def test_every_cut_is_refused_by_the_outline_or_by_a_parser_of_it(case: tuple[Any, bytes]) -> None:
    _, text = case
    for length in range(0, len(text), max(1, len(text) // 40)):
        with pytest.raises((ArtifactError, ValueError)):
            json.loads(outline(MemorySource(text[:length]), bulk=[BULK], needed=[b'"needed"']).text)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for text in (data, b'{"model":{"trees":[' + data):
        try:
            outline(MemorySource(text), bulk=[BULK])
        except ArtifactError:
            continue


def test_the_bulk_is_not_read() -> None:
    text = b'{"model":{"trees":[' + b"{}," * (1 << 20) + b'{}],"name":"x"},"needed":1}'
    source = MemorySource(text)
    assert json.loads(outline(source, bulk=[BULK], needed=[b'"needed"']).text) == {
        "model": {"trees": [], "name": "x"},
        "needed": 1,
    }
    assert source.bytes_read < 200_000


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b'{"a":' * 100, "nested at most 64"),
        (b'{"a":1} {', "the end of the JSON object"),
        (b"]", "a JSON object"),
        (b'{"model":{"trees":[1,2', "closed"),
        (b'{"model":{"trees":[1]},"other":1}', "behind it"),
    ],
)
def test_refusals_name_what_is_wrong(text: bytes, problem: str) -> None:
    with pytest.raises(ArtifactError, match=problem):
        outline(MemorySource(text), bulk=[BULK], needed=[b'"needed"'])
