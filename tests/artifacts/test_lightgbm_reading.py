"""LightGBM models: the file's own facts are those that lightgbm gives after loading it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from trimtab.artifacts import embed_signature, read_signature
from trimtab.artifacts.formats import lightgbm as reader
from trimtab.artifacts.formats.lightgbm import model_text
from trimtab.errors import ArtifactError, ContradictionError
from trimtab.signature.document import encode_document
from trimtab.signature.dtypes import DType
from trimtab.signature.model import Learned, Live, Signature
from trimtab.signature.path import Key, parse_path
from trimtab.signature.types import Tensor
from trimtab.source.bytes import LocalFile, MemorySource

lightgbm = pytest.importorskip("lightgbm")
pandas = pytest.importorskip("pandas")

ROWS = 200
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(ROWS, 4))
YES = (X[:, 0] > 0).astype(int)
CLASS = RANDOM.integers(0, 3, ROWS)


def train(parameters: dict[str, Any], features: Any = X, label: Any = YES, rounds: int = 2, **more: Any) -> Any:
    parameters = {"verbosity": -1, "min_data_in_leaf": 5, "num_leaves": 4, "seed": 1, "num_threads": 1, **parameters}
    return lightgbm.train(parameters, lightgbm.Dataset(features, label, **more), rounds)


MODELS: dict[str, tuple[dict[str, Any], Any]] = {
    "binary": ({"objective": "binary"}, YES),
    "cross entropy": ({"objective": "cross_entropy"}, YES),
    "regression": ({"objective": "regression"}, X[:, 1]),
    "quantile": ({"objective": "quantile"}, X[:, 1]),
    "monotone": ({"objective": "regression", "monotone_constraints": [1, 0, -1, 0]}, X[:, 1]),
    "linear leaves": ({"objective": "regression", "linear_tree": True}, X[:, 1] + X[:, 2]),
    "forest": ({"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, YES),
    "dart": ({"objective": "binary", "boosting": "dart"}, YES),
    "multiclass": ({"objective": "multiclass", "num_class": 3}, CLASS),
    "one against all": ({"objective": "multiclassova", "num_class": 3}, CLASS),
    "custom": ({"objective": lambda scores, data: (scores - data.get_label(), np.ones(ROWS))}, YES),
    "no split": ({"objective": "binary", "min_data_in_leaf": 1000}, YES),
}


def saved(booster: Any, folder: Path) -> Path:
    path = folder / "model.txt"
    booster.save_model(path)
    return path


HUGE = 1e300
"""What lightgbm's description has for everything larger."""


def check_agreement(signature: Signature, booster: Any) -> None:
    """The names, and the ranges and categories, are those of lightgbm's own description of the model."""
    description = booster.dump_model()
    assert list(signature.input_names) == description["feature_names"] == booster.feature_name()
    for value in signature.inputs:
        stated = description["feature_infos"].get(value.name)  # features of a single value are not listed
        constraints = value.constraints
        if constraints is not None and constraints.range is not None:
            assert stated is not None
            low, high = constraints.range.minimum, constraints.range.maximum
            clipped = [max(-HUGE if low is None else low, -HUGE), min(HUGE if high is None else high, HUGE)]
            assert clipped == [float(stated["min_value"]), float(stated["max_value"])]
        elif constraints is not None and stated is not None and not booster.pandas_categorical:
            assert constraints.categories == tuple(sorted(it for it in stated["values"] if it >= 0))


@pytest.mark.parametrize("kind", MODELS)
def test_inputs_are_the_features_and_the_output_what_predict_gives(kind: str, tmp_path: Path) -> None:
    parameters, label = MODELS[kind]
    path = saved(train(parameters, label=label), tmp_path)
    booster = lightgbm.Booster(model_file=path)
    signature = read_signature(path)
    check_agreement(signature, booster)
    assert all(it.type == Tensor(None, ("rows",)) and it.nullable for it in signature.inputs)
    assert [parse_path(it.call_path) for it in signature.inputs] == [
        ("data", (Key(name),)) for name in booster.feature_name()
    ]
    (output,) = signature.outputs
    scores = booster.predict(X)
    assert output.type == Tensor(DType.FLOAT64, ("rows", *scores.shape[1:]))
    assert scores.dtype == np.float64
    assert signature.provenance.format == "lightgbm"


NAMES = st.text(st.characters(exclude_characters='",:[]{}', exclude_categories=["Cs"]), min_size=1, max_size=8)
"""Without what lightgbm refuses always, so that most draws count."""


@settings(max_examples=40)
@given(st.lists(NAMES, min_size=4, max_size=4, unique=True))
def test_names_are_those_that_lightgbm_loads(names: list[str]) -> None:
    try:
        text = train({}, rounds=1, feature_name=names).model_to_string()
        loaded = lightgbm.Booster(model_str=text)
    except (lightgbm.basic.LightGBMError, UnicodeError, ValueError):
        assume(False)  # names that lightgbm itself refuses, or writes and then cannot load
    try:
        signature = read_signature(MemorySource(text.encode()))
    except ArtifactError:
        assert any(re.search(r"[\r\n\0]", name) for name in names)
        return
    assert list(signature.input_names) == loaded.feature_name()


def test_extreme_values(tmp_path: Path) -> None:
    features = X.copy()
    features[0, 0], features[1, 1], features[:, 2] = np.inf, np.nan, 1.0
    features[:, 3] *= 1e300
    path = saved(train({}, features), tmp_path)
    signature = read_signature(path)
    check_agreement(signature, lightgbm.Booster(model_file=path))
    assert signature.inputs[2].constraints is None
    assert [it.learned.get("constraints") for it in signature.inputs] == [
        Learned.EXAMPLE,
        Learned.EXAMPLE,
        None,
        Learned.EXAMPLE,
    ]


def test_missing_values_are_taken_where_the_training_says_so(tmp_path: Path) -> None:
    signature = read_signature(saved(train({"use_missing": False}), tmp_path))
    assert not any(it.nullable for it in signature.inputs)


def test_codes_of_categories(tmp_path: Path) -> None:
    features = np.c_[RANDOM.integers(0, 5, ROWS), X]
    path = saved(train({}, features, categorical_feature=[0]), tmp_path)
    signature = read_signature(path)
    check_agreement(signature, lightgbm.Booster(model_file=path))
    constraints = signature.inputs[0].constraints
    assert constraints is not None
    assert constraints.categories == (0, 1, 2, 3, 4)
    assert signature.inputs[0].type == Tensor(None, ("rows",))


COLUMNS = {
    "city": ["de", "ünï", "a=b", ""],
    "code": [10, 20, -3],
    "rate": [1.5, 2.5],
    "flag": [False, True],
    "only": ["k"],
}


def frame(columns: dict[str, list[Any]] = COLUMNS) -> Any:
    data = {
        name: pandas.Categorical.from_codes(RANDOM.integers(0, len(values), ROWS), categories=values)
        for name, values in columns.items()
    }
    return pandas.DataFrame({**data, "age": X[:, 0], "clicks": RANDOM.integers(0, 9, ROWS)})


def test_categories_are_those_of_the_data_frame(tmp_path: Path) -> None:
    path = saved(train({}, frame()), tmp_path)
    booster = lightgbm.Booster(model_file=path)
    signature = read_signature(path)
    found = [it.constraints.categories for it in signature.inputs if it.name in COLUMNS and it.constraints is not None]
    assert list(map(list, (it for it in found if it is not None))) == booster.pandas_categorical
    assert [it.type for it in signature.inputs] == [
        Tensor(dtype, ("rows",))
        for dtype in (DType.STRING, DType.INT64, DType.FLOAT64, DType.BOOL, DType.STRING, None, None)
    ]
    assert all(it.learned["type"] is Learned.EXAMPLE for it in signature.inputs if it.name in COLUMNS)


def test_lists_that_may_be_of_other_columns_are_given_to_none(tmp_path: Path) -> None:
    """An ordered column is a number to lightgbm, and its categories are in the file without a name."""
    data = frame({"city": ["de", "fr"]})
    data["size"] = pandas.Categorical(RANDOM.choice(list("SML"), ROWS), categories=list("SML"), ordered=True)
    signature = read_signature(saved(train({}, data), tmp_path))
    assert all(it.constraints is None or it.constraints.categories is None for it in signature.inputs)
    assert any("cannot be matched" in note for note in signature.provenance.notes)


@pytest.mark.parametrize("name", ["lgb_cat.txt"])
def test_the_shared_corpus(corpus: Path, name: str) -> None:
    path = corpus / "formats" / name
    oracle = json.loads(Path(f"{path}.oracle.json").read_text())
    signature = read_signature(path)
    assert list(signature.input_names) == oracle["feature_names"]
    categories = iter(oracle["pandas_categorical"])
    for value in signature.inputs:
        stated = oracle["feature_infos"][value.name]
        assert value.constraints is not None
        if stated["values"]:
            assert value.constraints.categories == tuple(next(categories))
        else:
            assert value.constraints.range is not None
            limits = [value.constraints.range.minimum, value.constraints.range.maximum]
            assert limits == [stated["min_value"], stated["max_value"]]
    assert f"objective {oracle['objective']}" in signature.provenance.notes


# Liveness


@pytest.mark.parametrize("kind", MODELS)
def test_changing_a_dead_input_changes_no_score(kind: str, tmp_path: Path) -> None:
    for seed in range(4):
        parameters, label = MODELS[kind]
        booster = train({**parameters, "seed": seed, "feature_fraction": 0.5}, label=label)
        signature = read_signature(saved(booster, tmp_path))
        importance = booster.feature_importance()
        live = [it.live for it in signature.inputs]
        assert all(it is Live.YES for it, count in zip(live, importance, strict=True) if count)
        dead = [index for index, it in enumerate(live) if it is Live.NO]
        changed = X.copy()
        changed[:, dead] = np.nan
        changed[::2, dead] = -1e30
        assert np.array_equal(booster.predict(X), booster.predict(changed))


def test_a_feature_constant_in_the_last_training_may_be_split_on_by_trees_before_it(tmp_path: Path) -> None:
    first = train({}, X[:, :2], (X[:, 1] > 0).astype(int))
    flat = X[:, :2].copy()
    flat[:, 1] = 3
    data = lightgbm.Dataset(flat, YES)
    both = lightgbm.train({"verbosity": -1, "objective": "binary"}, data, 2, init_model=first)
    path = saved(both, tmp_path)
    assert b"feature_infos=" in path.read_bytes()
    assert path.read_text().splitlines()[8].endswith(" none")
    assert read_signature(path).inputs[1].live is Live.YES


def test_of_large_files_only_both_ends_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(train({}, frame()), tmp_path)
    small = read_signature(path)
    text = path.read_bytes()
    middle = text.index(b"end of trees")
    path.write_bytes(text[:middle] + b"#" * (9 << 20) + b"\n" + text[middle:])
    with LocalFile(path) as source:
        large = read_signature(source)
        assert source.bytes_read < 300_000
    assert large.digest == small.digest
    assert {it.live for it in large.inputs} == {Live.UNKNOWN}


# The document


@pytest.mark.parametrize("kind", ["binary", "multiclass", "no split"])
def test_the_document_is_a_header_line_that_lightgbm_passes_over(kind: str, tmp_path: Path) -> None:
    parameters, label = MODELS[kind]
    names = ["a=b=c", "ü", "x\\u003dy", "d"]
    path = saved(train(parameters, label=label, feature_name=names), tmp_path)
    before = lightgbm.Booster(model_file=path)
    plain = path.read_bytes()
    signature = read_signature(path)
    for _ in range(2):
        embed_signature(path, signature)  # the second replaces the first
    with LocalFile(path) as source:
        document = reader.declared(source)
    assert document is not None
    assert b"a=b=c" in document
    after = lightgbm.Booster(model_file=path)
    assert np.array_equal(after.predict(X), before.predict(X))
    assert after.feature_name() == before.feature_name()
    lines = path.read_bytes().splitlines(keepends=True)
    assert b"".join(line for line in lines if not line.startswith(b"module_info=")) == plain
    assert read_signature(path).digest == signature.digest


def test_a_document_that_contradicts_the_model_is_refused(tmp_path: Path) -> None:
    other = read_signature(saved(train({}, feature_name=list("abcd")), tmp_path))
    path = saved(train({}), tmp_path)
    before = path.read_bytes()
    with pytest.raises(ContradictionError):
        embed_signature(path, other)
    assert path.read_bytes() == before


# Damage


@pytest.fixture(scope="module")
def text() -> bytes:
    encoded: bytes = train({}, frame()).model_to_string().encode() + b"\npandas_categorical:null\n"
    return encoded


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b"max_feature_idx=6", b"max_feature_idx=99999999999", "a line with a number"),
        (b"max_feature_idx=6", b"max_feature_idx=7", "expected 8 of them"),
        (b"max_feature_idx=6\n", b"", "got none"),
        (b"num_class=1", b"num_class=x", "a line with a number"),
        (b"feature_names=city code", b"feature_names=city city", "each name once"),
        (b"feature_names=city ", b"feature_names=", "expected 7 of them"),
        (b"feature_names=city ", b"feature_names=\xff ", "UTF-8"),
        (b" none", b" [1:2:3]", "minimum:maximum"),
        (b" none", b" 1:99999999999999", "category codes"),
        (b"label_index=0", b"feature_names=a b", "the line once"),
        (b"\npandas_categorical:null", b"\npandas_categorical:{}", "a list of lists"),
        (b"\npandas_categorical:null", b"\npandas_categorical:[[NaN]]", "strict JSON"),
    ],
)
def test_contradictions_are_refused(text: bytes, old: bytes, new: bytes, problem: str) -> None:
    assert text.count(old) == 1
    with pytest.raises(ArtifactError, match=problem):
        read_signature(MemorySource(text.replace(old, new)))


def test_numbers_beyond_64_bits_are_held_as_floats_or_not_at_all() -> None:
    data = frame({"code": [1, 2]})
    text = train({}, data).model_to_string() + "\npandas_categorical:[[1, 99999999999999999999999]]\n"
    text = re.sub(r"\[0:8\]", "[0:99999999999999999999999]", text)
    signature = read_signature(MemorySource(text.encode()))
    code, _, clicks = signature.inputs
    assert code.constraints is None
    assert clicks.constraints is not None
    assert clicks.constraints.range is not None
    assert clicks.constraints.range.maximum == 1e23
    encode_document(signature)


def test_windows_line_ends_are_refused_before_lightgbm_crashes(text: bytes) -> None:
    with pytest.raises(ArtifactError, match="lines that end in LF"):
        read_signature(MemorySource(text.replace(b"\n", b"\r\n")))


def test_cuts_are_read_or_refused(text: bytes) -> None:
    for length in range(0, len(text), 7):
        try:
            read_signature(MemorySource(text[:length]))
        except ArtifactError:
            continue
        assert length > text.index(b"tree_sizes=")


@settings(max_examples=300)
@given(st.data())
def test_changed_bytes_are_read_or_refused(text: bytes, data: st.DataObject) -> None:
    changed = bytearray(text)
    edges = st.integers(0, text.index(b"Tree=0")) | st.integers(text.index(b"end of trees"), len(text) - 1)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(edges)] = data.draw(st.integers(0, 255))
    try:
        signature = read_signature(MemorySource(bytes(changed)))
    except ArtifactError:
        return
    encode_document(signature)


def test_a_header_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_text, "MAX_HEADER_BYTES", 1 << 16)
    with pytest.raises(ArtifactError, match="trees, or their sizes"):
        read_signature(MemorySource(b"tree\nversion=v4\nfeature_names=" + b"a " * (1 << 16)))
