"""XGBoost models: the file's own facts are those that xgboost gives after loading it, in both encodings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from trimtab.artifacts import embed_signature, read_signature
from trimtab.artifacts.formats import xgboost as reader
from trimtab.artifacts.formats.xgboost import model_file
from trimtab.errors import ArtifactError, ContradictionError, RefusedArtifactError
from trimtab.signature.document import encode_document
from trimtab.signature.dtypes import DType
from trimtab.signature.model import Live, Signature
from trimtab.signature.path import Key, parse_path
from trimtab.signature.types import Tensor
from trimtab.source.bytes import LocalFile, MemorySource
from trimtab.stability import diff

pandas = pytest.importorskip("pandas")
xgboost = pytest.importorskip("xgboost")

ROWS = 120
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(ROWS, 5)).astype(np.float32)
YES = (X[:, 0] > 0).astype(int)
CLASS = RANDOM.integers(0, 3, ROWS)
AMOUNT = np.abs(X[:, 1]) + 0.1
TWO = np.stack([X[:, 0], X[:, 1] * 2], 1)


def train(parameters: dict[str, Any], label: Any = YES, rounds: int = 3, **more: Any) -> Any:
    data = xgboost.DMatrix(X, label, nthread=1, **more)
    if str(parameters.get("objective")).startswith("rank:"):
        data.set_group([ROWS // 2, ROWS // 2])
    return xgboost.train({"max_depth": 2, "seed": 1, "verbosity": 0, "nthread": 1, **parameters}, data, rounds)


MODELS: dict[str, tuple[dict[str, Any], Any]] = {
    "logistic": ({"objective": "binary:logistic"}, YES),
    "logitraw": ({"objective": "binary:logitraw"}, YES),
    "hinge": ({"objective": "binary:hinge"}, YES),
    "squared": ({"objective": "reg:squarederror"}, AMOUNT),
    "gamma": ({"objective": "reg:gamma"}, AMOUNT),
    "poisson": ({"objective": "count:poisson"}, AMOUNT),
    "tweedie": ({"objective": "reg:tweedie"}, AMOUNT),
    "cox": ({"objective": "survival:cox"}, AMOUNT),
    "quantile": ({"objective": "reg:quantileerror", "quantile_alpha": 0.5}, AMOUNT),
    "quantiles": ({"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.5, 0.9]}, AMOUNT),
    "pairwise": ({"objective": "rank:pairwise"}, YES),
    "ndcg": ({"objective": "rank:ndcg"}, YES),
    "softprob": ({"objective": "multi:softprob", "num_class": 3}, CLASS),
    "softmax": ({"objective": "multi:softmax", "num_class": 3}, CLASS),
    "dart": ({"objective": "multi:softprob", "num_class": 3, "booster": "dart"}, CLASS),
    "linear": ({"objective": "binary:logistic", "booster": "gblinear", "max_depth": 0}, YES),
    "targets": ({"objective": "reg:squarederror"}, TWO),
    "vector leaves": ({"multi_strategy": "multi_output_tree", "tree_method": "hist"}, TWO),
}


def saved(booster: Any, folder: Path, suffix: str) -> Path:
    path = folder / f"model.{suffix}"
    booster.save_model(path)
    return path


@pytest.fixture(params=["json", "ubj"])
def suffix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_without_names_takes_a_matrix_and_gives_what_predict_gives(
    kind: str, suffix: str, tmp_path: Path
) -> None:
    booster = train(*MODELS[kind])
    signature = read_signature(saved(booster, tmp_path, suffix))
    assert signature.default_entry_point == "predict"
    assert [(it.name, it.type, it.nullable) for it in signature.inputs] == [
        ("data", Tensor(None, ("rows", booster.num_features())), True)
    ]
    (output,) = signature.outputs
    scores = booster.predict(xgboost.DMatrix(X))
    assert output.type == Tensor(DType.FLOAT32, ("rows", *scores.shape[1:]))
    assert scores.dtype == np.float32
    assert signature.provenance.format == "xgboost"
    assert signature.provenance.producer == f"xgboost {xgboost.__version__}"


@pytest.mark.parametrize("kind", MODELS)
def test_both_encodings_say_the_same(kind: str, tmp_path: Path) -> None:
    booster = train(*MODELS[kind])
    assert read_signature(saved(booster, tmp_path, "json")) == read_signature(saved(booster, tmp_path, "ubj"))


def test_named_features_are_inputs_of_their_own(suffix: str, tmp_path: Path) -> None:
    names = ["age", "a b", "", 'q"u\\o', "ünï\n"]
    kinds = ["float", "int", "i", "q", "float"]
    booster = train({}, feature_names=names, feature_types=kinds)
    path = saved(booster, tmp_path, suffix)
    signature = read_signature(path)
    loaded = xgboost.Booster(model_file=path)
    assert list(signature.input_names) == loaded.feature_names == names
    assert all(it.type == Tensor(None, ("rows",)) for it in signature.inputs)
    assert [it.doc.split()[2].rstrip(":") for it in signature.inputs] == loaded.feature_types
    assert [parse_path(it.call_path) for it in signature.inputs] == [("data", (Key(name),)) for name in names]


NAMES = st.text(st.characters(exclude_characters="[]<", exclude_categories=["Cs"]), max_size=8)
"""Without what xgboost refuses always, so that most draws count."""


@settings(max_examples=40)
@given(st.lists(NAMES, min_size=5, max_size=5, unique=True))
def test_names_are_those_that_xgboost_loads(names: list[str]) -> None:
    try:
        booster = train({}, rounds=1, feature_names=names)
    except ValueError:
        assume(False)  # names that xgboost itself refuses
    for encoding in ("json", "ubj"):
        raw = bytes(booster.save_raw(encoding))
        try:
            loaded = xgboost.Booster(model_file=bytearray(raw))
        except (xgboost.core.XGBoostError, UnicodeDecodeError):
            with pytest.raises(ArtifactError):
                read_signature(MemorySource(raw))
            continue
        if len(set(loaded.feature_names)) == len(names):
            assert list(read_signature(MemorySource(raw)).input_names) == loaded.feature_names


def test_categories_are_those_of_the_data_frame(suffix: str, tmp_path: Path) -> None:
    columns = {
        "city": ["de", "x y", "", "us"],
        "size": ["S", "M", "L"],
        "code": pandas.Index([10, 20, -3], dtype="int64"),
        "small": pandas.Index([1, 2, 3], dtype="uint8"),
    }
    frame = pandas.DataFrame(
        {
            name: pandas.Categorical.from_codes(RANDOM.integers(0, len(values), ROWS), categories=values)
            for name, values in columns.items()
        }
    )
    frame["age"] = X[:, 0]
    data = xgboost.DMatrix(frame, YES, enable_categorical=True)
    signature = read_signature(saved(xgboost.train({"max_depth": 2, "nthread": 1}, data, 2), tmp_path, suffix))
    stated = {it.name: it for it in signature.inputs}
    for name, values in columns.items():
        constraints = stated[name].constraints
        assert constraints is not None
        assert constraints.categories == tuple(values)
    assert [stated[name].type for name in columns] == [
        Tensor(dtype, ("rows",)) for dtype in (DType.STRING, DType.STRING, DType.INT64, DType.UINT8)
    ]
    assert stated["age"].constraints is None


def test_a_number_that_becomes_a_code_is_a_change(suffix: str, tmp_path: Path) -> None:
    """The file says nothing of codes but that they are such: there are none below 0."""
    values = np.column_stack([RANDOM.integers(0, 4, ROWS), RANDOM.random(ROWS)])
    number, code = (
        read_signature(
            saved(
                xgboost.train(
                    {"max_depth": 2, "nthread": 1},
                    xgboost.DMatrix(
                        values, YES, feature_names=["a", "b"], feature_types=[kind, "q"], enable_categorical=True
                    ),
                    2,
                ),
                tmp_path,
                suffix,
            )
        )
        for kind in ("q", "c")
    )
    assert [change.rule for change in diff(number, code)] == ["INPUT_RANGE_NOT_NARROWED"]
    assert [change.rule for change in diff(code, number)] == ["INPUT_RANGE_NOT_WIDENED"]


def test_categories_that_xgboost_has_cut_are_no_constraint(suffix: str, tmp_path: Path) -> None:
    """xgboost takes lengths in characters of text that it keeps in bytes."""
    frame = pandas.DataFrame({"c": pandas.Categorical(["ü", "日本", "de", "x"] * 30)})
    data = xgboost.DMatrix(frame, YES, enable_categorical=True)
    signature = read_signature(saved(xgboost.train({"max_depth": 2, "nthread": 1}, data, 2), tmp_path, suffix))
    (value,) = signature.inputs
    assert value.constraints is None
    assert value.type == Tensor(DType.STRING, ("rows",))
    assert any("cuts text that is not ASCII" in note for note in signature.provenance.notes)


def test_categories_given_by_arrow_are_whole(suffix: str, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"c": pyarrow.array(["ü", "日本", "de", "x"] * 30).dictionary_encode()})
    data = xgboost.DMatrix(table, YES, enable_categorical=True)
    signature = read_signature(saved(xgboost.train({"max_depth": 2, "nthread": 1}, data, 2), tmp_path, suffix))
    constraints = signature.inputs[0].constraints
    assert constraints is not None
    assert constraints.categories == ("ü", "日本", "de", "x")


@pytest.mark.parametrize("name", ["xgb_cat.json"])
def test_the_shared_corpus(corpus: Path, name: str) -> None:
    path = corpus / "formats" / name
    oracle = json.loads(Path(f"{path}.oracle.json").read_text())
    signature = read_signature(path)
    assert list(signature.input_names) == oracle["feature_names"]
    assert len(signature.inputs) == oracle["num_feature"]
    found = [it.constraints and it.constraints.categories for it in signature.inputs]
    assert found == [values and tuple(values) for values in oracle["categories"]]
    assert signature.provenance.producer == f"xgboost {oracle['by']['xgboost']}"
    with LocalFile(path) as source:
        document = reader.declared(source)
    assert document == oracle["attributes"]["module_info"].encode()


# Liveness


@pytest.mark.parametrize("booster", ["gbtree", "dart"])
def test_changing_a_dead_input_changes_no_score(booster: str, suffix: str, tmp_path: Path) -> None:
    names = [f"f{index}" for index in range(5)]
    for seed in range(6):
        label = (X[:, seed % 5] > 0).astype(int)
        model = train({"booster": booster, "seed": seed, "max_depth": 1}, label, rounds=2, feature_names=names)
        signature = read_signature(saved(model, tmp_path, suffix))
        used = set(model.get_score())
        assert {it.name for it in signature.inputs if it.live is Live.YES} == used
        dead = [index for index, it in enumerate(signature.inputs) if it.live is Live.NO]
        assert len(dead) == 5 - len(used)
        changed = X.copy()
        changed[:, dead] = np.nan
        changed[::2, dead] = 1e30
        before, after = (model.predict(xgboost.DMatrix(it, feature_names=names)) for it in (X, changed))
        assert np.array_equal(before, after)


def test_linear_models_leave_liveness_open(suffix: str, tmp_path: Path) -> None:
    signature = read_signature(saved(train(*MODELS["linear"]), tmp_path, suffix))
    assert [it.live for it in signature.inputs] == [Live.UNKNOWN]


def test_large_files_are_jumped_through(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("logistic", "dart", "linear"):
        path = saved(train(*MODELS[kind], rounds=40), tmp_path, suffix)
        small = read_signature(path)
        with monkeypatch.context() as patch:
            for module in ("binary", "text", "model_file"):
                patch.setattr(f"trimtab.artifacts.formats.xgboost.{module}.USAGE_BELOW", 0)
            with LocalFile(path) as source:
                jumped = read_signature(source)
        assert jumped.provenance == small.provenance
        assert jumped.digest == small.digest
        assert [it.live for it in jumped.inputs] == [Live.UNKNOWN]


# The document


@pytest.mark.parametrize("kind", ["logistic", "dart", "linear", "softprob"])
def test_the_document_is_an_attribute_that_survives_saving(kind: str, suffix: str, tmp_path: Path) -> None:
    booster = train(*MODELS[kind], feature_names=["a=b", 'q"', "ü", "\\u00fc", "e"])
    booster.set_attr(owner='an "owner"\\ of\nlines', best_iteration="2")
    path = saved(booster, tmp_path, suffix)
    signature = read_signature(path)
    for _ in range(2):
        embed_signature(path, signature)  # the second replaces the first
    loaded = xgboost.Booster(model_file=path)
    with LocalFile(path) as source:
        document = reader.declared(source)
    assert document is not None
    assert {**loaded.attributes(), "module_info": ""} == {**booster.attributes(), "module_info": ""}
    assert loaded.attr("module_info").encode() == document
    rows = xgboost.DMatrix(X, feature_names=booster.feature_names)
    assert np.array_equal(loaded.predict(rows), booster.predict(rows))
    for again in ("json", "ubj"):
        assert read_signature(saved(loaded, tmp_path, again)).digest == signature.digest


def test_trees_keep_their_bytes(suffix: str, tmp_path: Path) -> None:
    path = saved(train({}), tmp_path, suffix)
    before = path.read_bytes()
    embed_signature(path, read_signature(path))
    after = path.read_bytes()
    assert after.endswith(before[before.index(b"feature_names") :])


def test_a_document_that_contradicts_the_model_is_refused(suffix: str, tmp_path: Path) -> None:
    path = saved(train({}), tmp_path, suffix)
    before = path.read_bytes()
    other = tmp_path / "other.json"
    train({}, feature_names=list("abcde")).save_model(other)
    with pytest.raises(ContradictionError):
        embed_signature(path, read_signature(other))
    assert path.read_bytes() == before


# What other writers and damage leave


def rewritten(model: dict[str, Any], **more: Any) -> bytes:
    return json.dumps(model, **more).encode()


@pytest.fixture(scope="module")
def model() -> dict[str, Any]:
    raw = train({}, feature_names=list("abcde")).save_raw("json")
    value: dict[str, Any] = json.loads(bytes(raw))
    return value


@pytest.mark.parametrize("more", [{"indent": 1}, {"ensure_ascii": False}, {"separators": (",", ":")}])
def test_json_written_by_others_is_read(model: dict[str, Any], more: dict[str, Any]) -> None:
    turned = {"version": model["version"], "learner": dict(reversed(model["learner"].items()))}
    for value in (model, turned):
        assert read_signature(MemorySource(rewritten(value, **more))).input_names == tuple("abcde")


def test_categories_behind_the_trees_are_found(corpus: Path) -> None:
    value = json.loads((corpus / "formats" / "xgb_cat.json").read_text())
    model = value["learner"]["gradient_booster"]["model"]
    model["cats"] = model.pop("cats")
    constraints = read_signature(MemorySource(rewritten(value))).inputs[2].constraints
    assert constraints is not None
    assert constraints.categories == ("de", "fr", "us")


def test_a_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedArtifactError, match="configuration"):
        read_signature(MemorySource(train({}).save_config().encode()))


def test_names_with_backslash_u_are_taken_as_xgboost_takes_them(model: dict[str, Any]) -> None:
    model = json.loads(json.dumps(model))
    model["learner"]["feature_names"][0] = "ü"
    data = rewritten(model)
    assert b"\\u00fc" in data
    loaded = xgboost.Booster(model_file=bytearray(data))
    assert read_signature(MemorySource(data)).input_names[0] == loaded.feature_names[0] == "\\u00fc"


@pytest.mark.parametrize(
    ("place", "value", "problem"),
    [
        ("feature_names", ["a", "b"], "expected one for each of the 5"),
        ("feature_names", ["a", "a", "c", "d", "e"], "each name once"),
        ("feature_names", [1, 2, 3, 4, 5], "layout of an XGBoost model"),
        ("feature_types", ["q"], "feature_types"),
        ("attributes", {"module_info": 1}, "layout"),
        ("learner_model_param", {"num_feature": "5e9"}, "num_feature"),
        ("learner_model_param", {"num_feature": 5}, "layout"),
        ("objective", {}, "layout"),
    ],
)
def test_contradictions_are_refused(model: dict[str, Any], place: str, value: Any, problem: str) -> None:
    wrong = {**model, "learner": {**model["learner"], place: value}}
    with pytest.raises(ArtifactError, match=problem):
        read_signature(MemorySource(rewritten(wrong)))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("xgboost")
    booster = train({}, rounds=2, feature_names=list("abcde"))
    return [saved(booster, folder, each).read_bytes() for each in ("json", "ubj")]


def test_every_cut_is_refused(files: list[bytes]) -> None:
    for data in files:
        for length in {*range(0, len(data), 41), *range(len(data) - 60, len(data))}:
            with pytest.raises(ArtifactError):
                read_signature(MemorySource(data[:length]))


@settings(max_examples=300)
@given(st.data())
def test_changed_bytes_are_read_or_refused(files: list[bytes], data: st.DataObject) -> None:
    original = data.draw(st.sampled_from(files))
    changed = bytearray(original)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(12, len(changed) - 1))] = data.draw(st.integers(0, 255))
    for bound in (model_file.USAGE_BELOW, 0):
        with pytest.MonkeyPatch.context() as patch:
            for module in ("binary", "text"):
                patch.setattr(f"trimtab.artifacts.formats.xgboost.{module}.USAGE_BELOW", bound)
            try:
                signature = read_signature(MemorySource(bytes(changed)))
            except ArtifactError:
                continue
            assert isinstance(signature, Signature)
            encode_document(signature)


@pytest.mark.parametrize("values", ["[$d#U\x02" + "\x7f\xc0\0\0" * 2, "SU\x02ab", "[#U\x02ZZ"])
def test_trees_of_other_than_numbers_leave_liveness_open(files: list[bytes], values: str) -> None:
    key = b"left_children[$l#L"
    data = files[1]
    start = data.index(key) + key.index(b"[")
    count = int.from_bytes(data[start + 5 : start + 13], "big")
    changed = data[:start] + values.encode("latin-1") + data[start + 13 + 4 * count :]
    assert {it.live for it in read_signature(MemorySource(changed)).inputs} == {Live.UNKNOWN}


@pytest.mark.parametrize("number", [b"\x7f\x80\0\0", b"\x7f\xc0\0\0"])
def test_categories_that_are_no_numbers_are_no_constraint(number: bytes, tmp_path: Path) -> None:
    frame = pandas.DataFrame({"c": pandas.Categorical([10, 20, 35, 10] * 30)})
    data = xgboost.DMatrix(frame, YES, enable_categorical=True)
    raw = bytes(xgboost.train({"max_depth": 2, "nthread": 1}, data, 2).save_raw("ubj"))
    start = raw.index(b"[$L#L", raw.index(b"typei\x0f"))
    changed = raw[:start] + b"[$d#i\x03" + number * 3 + raw[start + 5 + 8 + 24 :]
    signature = read_signature(MemorySource(changed))
    assert signature.inputs[0].constraints is None
    assert any("not all numbers" in note for note in signature.provenance.notes)
    encode_document(signature)


def test_bytes_behind_a_model_are_refused(files: list[bytes]) -> None:
    for data in files:
        with pytest.raises(ArtifactError, match=r"the end of the|Extra data"):
            read_signature(MemorySource(data + b"{}"))
