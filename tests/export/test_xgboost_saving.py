"""Saving from XGBoost: the file leaves with its signature inside, and xgboost loads it as before."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trimtab.xgboost
from trimtab.artifacts import read_signature
from trimtab.errors import ArtifactError, ContradictionError, LossyExportWarning, MissingExtraError
from trimtab.signature.document import decode_document
from trimtab.signature.dtypes import DType
from trimtab.signature.types import Tensor

pandas = pytest.importorskip("pandas")
xgboost = pytest.importorskip("xgboost")

ROWS = 60
RANDOM = np.random.default_rng(0)
FRAME = pandas.DataFrame(
    {
        "age x": RANDOM.normal(size=ROWS).astype("float32"),
        "clicks": RANDOM.integers(0, 5, ROWS),
        "flag": RANDOM.integers(0, 2, ROWS).astype(bool),
        "size": pandas.Categorical(RANDOM.choice(list("SML"), ROWS), categories=list("SML"), ordered=True),
    }
)
LABEL = RANDOM.integers(0, 2, ROWS)


@pytest.fixture(scope="module")
def estimator() -> Any:
    return xgboost.XGBClassifier(n_estimators=2, max_depth=3, n_jobs=1, enable_categorical=True).fit(FRAME, LABEL)


@pytest.mark.parametrize("suffix", ["json", "ubj"])
@pytest.mark.parametrize("as_booster", [True, False])
def test_the_example_fills_in_what_the_file_forgets(
    suffix: str, as_booster: bool, estimator: Any, tmp_path: Path
) -> None:
    path = tmp_path / f"model.{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("error", LossyExportWarning)
        model = estimator.get_booster() if as_booster else estimator
        signature = trimtab.xgboost.save(model, path, FRAME.head(5))
    assert {it.name: it.type for it in signature.inputs} == {
        "age x": Tensor(DType.FLOAT32, ("rows",)),
        "clicks": Tensor(DType.INT64, ("rows",)),
        "flag": Tensor(DType.BOOL, ("rows",)),
        "size": Tensor(DType.STRING, ("rows",)),
    }
    constraints = signature.inputs[3].constraints
    assert constraints is not None
    assert constraints.categories == ("S", "M", "L")
    assert signature.outputs[0].type == Tensor(DType.FLOAT32, ("rows",))
    assert read_signature(path) == signature
    loaded = xgboost.XGBClassifier(n_jobs=1)
    loaded.load_model(path)
    assert np.array_equal(loaded.predict_proba(FRAME), estimator.predict_proba(FRAME))
    assert decode_document(loaded.get_booster().attr("module_info").encode()).digest == signature.digest


def test_a_model_that_was_loaded_with_a_document_gets_a_new_one(estimator: Any, tmp_path: Path) -> None:
    trimtab.xgboost.save(estimator, tmp_path / "first.ubj", FRAME)
    loaded = xgboost.Booster(model_file=tmp_path / "first.ubj")
    loaded.feature_names = ["a", "b", "c", "d"]
    with pytest.warns(LossyExportWarning, match="which dtypes") as warned:
        assert trimtab.xgboost.save(loaded, tmp_path / "second.ubj").input_names == ("a", "b", "c", "d")
    assert [it.filename for it in warned if it.category is LossyExportWarning] == [__file__]


def test_arrays_and_signatures(tmp_path: Path) -> None:
    rows = FRAME[["age x", "clicks"]].to_numpy()
    model = xgboost.XGBRegressor(n_estimators=2, n_jobs=1).fit(rows, LABEL)
    signature = trimtab.xgboost.save(model, tmp_path / "model.ubj", rows)
    assert [it.type for it in signature.inputs] == [Tensor(DType.FLOAT64, ("rows", 2))]
    assert trimtab.xgboost.save(model, tmp_path / "again.json", signature=signature).digest == signature.digest


def test_categories_that_xgboost_cuts_are_warned_of(tmp_path: Path) -> None:
    frame = pandas.DataFrame({"city": pandas.Categorical(["ü", "de", "x"] * 20)})
    model = xgboost.XGBClassifier(n_estimators=1, n_jobs=1, enable_categorical=True).fit(frame, LABEL)
    with pytest.warns(LossyExportWarning, match="not ASCII, of city"):
        signature = trimtab.xgboost.save(model, tmp_path / "model.ubj", frame)
    constraints = signature.inputs[0].constraints
    assert constraints is not None
    assert constraints.categories == ("de", "x", "ü")


@pytest.mark.parametrize(
    ("name", "model", "example", "problem"),
    [
        ("model.txt", "estimator", FRAME, r"\.json or \.ubj"),
        ("model.ubj", xgboost.XGBClassifier(), FRAME, "a trained model"),
        ("model.ubj", xgboost.Booster(), FRAME, "a trained model"),
        ("model.ubj", 3, FRAME, "an xgboost.Booster"),
        ("model.ubj", "estimator", FRAME[["clicks"]], "a column for each feature of the model, as 'age x'"),
        ("model.ubj", "estimator", FRAME[["clicks"]].to_numpy(), "4 columns"),
    ],
)
def test_bad_arguments_leave_nothing(
    name: str, model: Any, example: Any, problem: str, estimator: Any, tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError, match=problem) as refusal:
        trimtab.xgboost.save(estimator if isinstance(model, str) else model, tmp_path / name, example)
    assert "Stack trace" not in str(refusal.value)
    assert os.listdir(tmp_path) == []


def test_a_contradiction_leaves_the_file_before(estimator: Any, tmp_path: Path) -> None:
    rows = FRAME[["clicks"]].rename(columns={"clicks": "other"})
    other = xgboost.XGBRegressor(n_estimators=1, n_jobs=1).fit(rows, LABEL)
    wrong = trimtab.xgboost.save(other, tmp_path / "model.ubj", rows)
    before = (tmp_path / "model.ubj").read_bytes()
    with pytest.raises(ContradictionError):
        trimtab.xgboost.save(estimator, tmp_path / "model.ubj", signature=wrong)
    assert (tmp_path / "model.ubj").read_bytes() == before
    assert os.listdir(tmp_path) == ["model.ubj"]


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(MissingExtraError, match=r"trimtab\[xgboost\]"):
        trimtab.xgboost.save(None, tmp_path / "model.ubj")
