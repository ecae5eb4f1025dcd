"""Saving from scikit-learn: the file and its document come together, and say what the example shows."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

import trimtab.sklearn
from trimtab.artifacts import derive_signature, read_signature
from trimtab.artifacts.sidecar import sidecar_path
from trimtab.errors import ArtifactError, ContradictionError, LossyExportWarning, MissingExtraError
from trimtab.signature.dtypes import DType
from trimtab.signature.model import Input, Learned, Live
from trimtab.signature.types import Tensor

pandas = pytest.importorskip("pandas")
joblib = pytest.importorskip("joblib")
skops = pytest.importorskip("skops.io")
pytest.importorskip("skl2onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from sklearn import (  # noqa: E402  # after the check that it is installed
    compose,
    ensemble,
    feature_extraction,
    impute,
    linear_model,
    pipeline,
    preprocessing,
)

ROWS = 60
RANDOM = np.random.default_rng(0)
FRAME = pandas.DataFrame(
    {
        "age": RANDOM.normal(size=ROWS).astype("float32"),
        "clicks x": RANDOM.integers(0, 5, ROWS),
        "city": RANDOM.choice(["de", "fr"], ROWS),
        "junk": RANDOM.choice(["q", "w"], ROWS),
        "size": pandas.Categorical(RANDOM.choice(["S", "M"], ROWS)),
        "gap": np.where(RANDOM.random(ROWS) < 0.3, np.nan, RANDOM.normal(size=ROWS)),
    }
)
LABEL = RANDOM.integers(0, 2, ROWS)
EXAMPLE = FRAME.head(20)


def make_ranker(frame: Any = FRAME) -> Any:
    columns = compose.ColumnTransformer(
        [
            ("numbers", preprocessing.StandardScaler(), ["age", "clicks x"]),
            ("closed", preprocessing.OneHotEncoder(), ["city"]),
            ("open", preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["size"]),
            ("gaps", pipeline.make_pipeline(impute.SimpleImputer(), preprocessing.StandardScaler()), ["gap"]),
        ]
    )
    return pipeline.make_pipeline(columns, linear_model.LogisticRegression()).fit(frame, LABEL)


@pytest.fixture(scope="module")
def ranker() -> Any:
    return make_ranker()


def facts(inputs: tuple[Input, ...]) -> dict[str, tuple[Any, ...]]:
    return {
        it.name: (
            it.type.dtype if isinstance(it.type, Tensor) else None,
            it.nullable,
            it.constraints and it.constraints.categories,
        )
        for it in inputs
    }


WANTED = {
    "age": (DType.FLOAT32, False, None),
    "clicks x": (DType.INT64, False, None),
    "city": (DType.STRING, False, ("de", "fr")),
    "junk": (DType.STRING, False, None),
    "size": (DType.STRING, False, ("M", "S")),
    "gap": (DType.FLOAT64, True, None),
}


@pytest.mark.parametrize("name", ["ranker.skops", "ranker.joblib", "ranker.pkl"])
def test_the_document_has_the_dtypes_categories_and_gaps(name: str, ranker: Any, tmp_path: Path) -> None:
    path = tmp_path / name
    with warnings.catch_warnings():
        warnings.simplefilter("error", LossyExportWarning)
        signature = trimtab.sklearn.save(ranker, path, EXAMPLE)
    assert facts(signature.inputs) == WANTED
    assert {it.name: [o.type for o in it.overloads[0].outputs] for it in signature.entry_points} == {
        "predict": [Tensor(DType.INT64, ("rows",))],
        "predict_proba": [Tensor(DType.FLOAT64, ("rows", 2))],
    }
    assert signature.provenance.learned is Learned.DECLARED
    assert read_signature(path) == signature


def test_onnx_inputs_keep_what_the_example_says_though_they_are_renamed(tmp_path: Path) -> None:
    frame = FRAME.astype({"gap": "float32"})  # skl2onnx mixes up floats of two widths
    ranker = make_ranker(frame)
    path = tmp_path / "ranker.onnx"
    with pytest.warns(LossyExportWarning, match="'clicks x' to 'clicks_x'"):
        signature = trimtab.sklearn.save(ranker, path, frame.head(20))
    wanted = {**WANTED, "gap": (DType.FLOAT32, True, None)}
    assert facts(signature.inputs) == {key.replace(" ", "_"): value for key, value in wanted.items()}
    session = onnxruntime.InferenceSession(path)
    assert [it.name for it in session.get_inputs()] == list(signature.input_names)
    feed = {name.replace(" ", "_"): frame[[name]].to_numpy() for name in frame.columns}
    feed |= {name: feed[name].astype(object) for name in ("city", "junk", "size")}
    label, probabilities = session.run(None, feed)
    assert np.array_equal(label, ranker.predict(frame))
    assert np.allclose(probabilities, ranker.predict_proba(frame), atol=1e-5)


def test_skops_loads_the_file(ranker: Any, tmp_path: Path) -> None:
    path = tmp_path / "ranker.skops"
    signature = trimtab.sklearn.save(ranker, path, EXAMPLE)
    again = skops.load(path, trusted=skops.get_untrusted_types(file=path))
    assert np.array_equal(again.predict(FRAME), ranker.predict(FRAME))
    assert [it.name for it in signature.inputs if it.live is Live.NO] == ["junk"]
    assert derive_signature(path).input_names == signature.input_names


def test_joblib_loads_the_file_and_the_document_is_of_no_other(ranker: Any, tmp_path: Path) -> None:
    path = tmp_path / "ranker.joblib"
    trimtab.sklearn.save(ranker, path, EXAMPLE)
    assert np.array_equal(joblib.load(path).predict(FRAME), ranker.predict(FRAME))
    assert sorted(os.listdir(tmp_path)) == ["ranker.joblib", "ranker.joblib.signature.json"]
    joblib.dump(ranker.named_steps, path)
    with pytest.raises(ArtifactError, match="not of this file"):
        read_signature(path)


@pytest.mark.parametrize("suffix", ["skops", "joblib", "onnx"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arrays(suffix: str, dtype: str, tmp_path: Path) -> None:
    rows = FRAME[["age", "clicks x"]].to_numpy().astype(dtype)
    model = ensemble.RandomForestRegressor(2).fit(rows, LABEL)
    signature = trimtab.sklearn.save(model, tmp_path / f"model.{suffix}", rows)
    (value,) = signature.inputs
    rows_dimension = None if suffix == "onnx" else "rows"
    assert value.name == "X"
    assert value.type == Tensor(DType(dtype), (rows_dimension, 2))
    assert len(signature.outputs) == 1


@pytest.mark.parametrize("suffix", ["skops", "joblib", "onnx"])
def test_texts(suffix: str, tmp_path: Path) -> None:
    model = pipeline.make_pipeline(feature_extraction.text.TfidfVectorizer(), linear_model.LogisticRegression())
    model.fit(["aa bb", "cc dd"] * 30, LABEL)
    signature = trimtab.sklearn.save(model, tmp_path / f"model.{suffix}", ["aa", "cc"])
    (value,) = signature.inputs
    assert isinstance(value.type, Tensor)
    assert value.type.dtype is DType.STRING


def test_arrow_tables_are_examples_too(ranker: Any, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    model = linear_model.LinearRegression().fit(FRAME[["age", "clicks x"]], LABEL)
    table = pyarrow.table({"age": pyarrow.array([1.0, None], pyarrow.float32()), "clicks x": [1, 2]})
    description = trimtab.sklearn.describe(model)
    assert [it.type for it in description.inputs] == [Tensor(None, ("rows",))] * 2
    inputs = trimtab.sklearn.describing.completed_inputs(
        description.inputs, model, trimtab.sklearn.tables.table_of(table)
    )
    assert facts(inputs) == {"age": (DType.FLOAT32, True, None), "clicks x": (DType.INT64, False, None)}


@pytest.mark.parametrize(
    ("column", "dtype", "nullable", "categories"),
    [
        (pandas.array([1, None], dtype="Int64"), DType.INT64, True, None),
        (pandas.array([True, False], dtype="boolean"), DType.BOOL, False, None),
        (pandas.array(["a", None], dtype="string"), DType.STRING, True, None),
        (pandas.Series(["a", None], dtype=object), DType.STRING, True, None),
        (pandas.Series([b"a", b"b"], dtype=object), DType.BYTES, False, None),
        (pandas.Series(["a", 1], dtype=object), None, False, None),
        (pandas.Categorical([1, 2]), DType.INT64, False, (1, 2)),
        (pandas.Categorical([1.5, None]), DType.FLOAT64, True, (1.5,)),
        (pandas.to_datetime(["2026-01-01", "2026-01-02"]), None, False, None),
        (np.array([1, 2], np.uint8), DType.UINT8, False, None),
    ],
)
def test_columns_of_every_kind(column: Any, dtype: DType | None, nullable: bool, categories: Any) -> None:
    (found,) = trimtab.sklearn.tables.table_of(pandas.DataFrame({"x": column})).columns
    assert found == ("x", dtype, nullable, categories)


@pytest.mark.parametrize(
    ("encoder", "columns", "wanted"),
    [
        (preprocessing.OneHotEncoder(), ["city"], ("de", "fr")),
        (preprocessing.OrdinalEncoder(), ["city"], ("de", "fr")),
        (preprocessing.OneHotEncoder(handle_unknown="ignore"), ["city"], None),
        (preprocessing.OneHotEncoder(handle_unknown="infrequent_if_exist"), ["city"], None),
    ],
)
def test_only_encoders_that_refuse_other_values_close_a_column(encoder: Any, columns: Any, wanted: Any) -> None:
    model = pipeline.make_pipeline("passthrough", encoder, linear_model.LogisticRegression())
    (value,) = trimtab.sklearn.describe(model.fit(FRAME[columns], LABEL)).inputs
    assert (value.constraints and value.constraints.categories) == wanted


def test_a_column_that_goes_elsewhere_too_is_not_closed() -> None:
    columns = compose.ColumnTransformer(
        [("a", preprocessing.OneHotEncoder(), ["city"]), ("b", "passthrough", ["city"])]
    )
    (value,) = trimtab.sklearn.describe(columns.fit(FRAME[["city"]])).inputs
    assert value.constraints is None


# What is warned of, and refused


def test_a_file_that_would_forget_dtypes_is_warned_of(ranker: Any, tmp_path: Path) -> None:
    with pytest.warns(LossyExportWarning, match="which dtypes") as warned:
        trimtab.sklearn.save(ranker, tmp_path / "ranker.skops")
    assert [it.filename for it in warned] == [__file__]


@pytest.mark.parametrize("suffix", ["skops", "joblib", "onnx"])
@pytest.mark.parametrize(
    ("estimator", "example", "problem"),
    [
        (linear_model.LogisticRegression(), EXAMPLE, "not fitted"),
        ("text", EXAMPLE, "fitted scikit-learn estimator, got str"),
        (None, EXAMPLE, "fitted scikit-learn estimator"),
        ("ranker", EXAMPLE[["age"]], "columns are missing|a column|column name"),
        ("ranker", 3, "DataFrame"),
        ("ranker", np.zeros((2, 2, 2)), "DataFrame"),
    ],
)
def test_bad_arguments_leave_nothing(
    suffix: str, estimator: Any, example: Any, problem: str, ranker: Any, tmp_path: Path
) -> None:
    model = ranker if isinstance(estimator, str) and estimator == "ranker" else estimator
    with pytest.raises(ArtifactError, match=problem):
        trimtab.sklearn.save(model, tmp_path / f"model.{suffix}", example)
    assert os.listdir(tmp_path) == []


def test_onnx_needs_an_example(ranker: Any, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="X_example"):
        trimtab.sklearn.save(ranker, tmp_path / "ranker.onnx")


def test_the_name_says_the_format(ranker: Any, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"\.skops, \.onnx"):
        trimtab.sklearn.save(ranker, tmp_path / "ranker.bin", EXAMPLE)


@pytest.mark.parametrize("suffix", ["skops", "onnx"])
def test_a_contradiction_leaves_the_file_before(suffix: str, ranker: Any, tmp_path: Path) -> None:
    path = tmp_path / f"ranker.{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signature = trimtab.sklearn.save(ranker, path, EXAMPLE)
        before = path.read_bytes()
        entry_point = signature.entry_point()
        overload = replace(entry_point.overloads[0], inputs=(Input(name="other", type=Tensor()),))
        wrong = replace(signature, entry_points=(replace(entry_point, overloads=(overload,)),))
        with pytest.raises(ContradictionError):
            trimtab.sklearn.save(ranker, path, EXAMPLE, wrong)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


def test_a_document_beside_comes_back_when_the_model_cannot_be_replaced(
    ranker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ranker.joblib"
    trimtab.sklearn.save(ranker, path, EXAMPLE)
    before = {it.name: it.read_bytes() for it in tmp_path.iterdir()}
    replace_file = os.replace

    def failing(source: str, target: str) -> None:
        if target == str(path):
            raise OSError(28, "No space left on device")
        replace_file(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", failing)
        with pytest.raises(OSError, match="space"):
            trimtab.sklearn.save(ranker, path, FRAME.head(3))
    assert {it.name: it.read_bytes() for it in tmp_path.iterdir()} == before
    assert sidecar_path(str(path)) in {str(it) for it in tmp_path.iterdir()}


@pytest.mark.parametrize(
    ("module", "suffix"), [("skops.io", "skops"), ("skl2onnx", "onnx"), ("joblib", "joblib"), ("sklearn", "skops")]
)
def test_what_is_not_installed_is_named(
    module: str, suffix: str, ranker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(sys.modules):
        if name == module or name.startswith(f"{module}."):
            monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"trimtab\[sklearn\]"):
        trimtab.sklearn.save(ranker, tmp_path / f"ranker.{suffix}", EXAMPLE)
