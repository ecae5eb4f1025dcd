"""Saving from LightGBM: the file leaves with its signature inside, and lightgbm loads it as before."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trimtab.lightgbm
from trimtab.artifacts import read_signature
from trimtab.errors import ArtifactError, ContradictionError, LossyExportWarning, MissingExtraError
from trimtab.signature.dtypes import DType
from trimtab.signature.types import Tensor

lightgbm = pytest.importorskip("lightgbm")
pandas = pytest.importorskip("pandas")
pytest.importorskip("sklearn")

ROWS = 80
RANDOM = np.random.default_rng(0)
FRAME = pandas.DataFrame(
    {
        "age x": RANDOM.normal(size=ROWS).astype("float32"),
        "clicks": RANDOM.integers(0, 5, ROWS),
        "city": pandas.Categorical(RANDOM.choice(["de", "a=b"], ROWS)),
        "size": pandas.Categorical(RANDOM.choice(list("SML"), ROWS), categories=list("SML"), ordered=True),
    }
)
LABEL = RANDOM.integers(0, 2, ROWS)


@pytest.fixture(scope="module")
def estimator() -> Any:
    model = lightgbm.LGBMClassifier(n_estimators=2, verbosity=-1, min_child_samples=5, n_jobs=1)
    return model.fit(FRAME, LABEL)


@pytest.mark.parametrize("as_booster", [True, False])
def test_the_example_fills_in_what_the_file_forgets(as_booster: bool, estimator: Any, tmp_path: Path) -> None:
    """Names with spaces, dtypes, and which categories are whose: an ordered column is a number to lightgbm."""
    path = tmp_path / "model.txt"
    with pytest.warns(LossyExportWarning, match="'age x' to 'age_x'") as warned:
        signature = trimtab.lightgbm.save(estimator.booster_ if as_booster else estimator, path, FRAME.head(5))
    assert [it.filename for it in warned if it.category is LossyExportWarning] == [__file__]
    assert {it.name: (it.type, it.call_path) for it in signature.inputs} == {
        "age x": (Tensor(DType.FLOAT32, ("rows",)), 'data["age_x"]'),
        "clicks": (Tensor(DType.INT64, ("rows",)), 'data["clicks"]'),
        "city": (Tensor(DType.STRING, ("rows",)), 'data["city"]'),
        "size": (Tensor(DType.STRING, ("rows",)), 'data["size"]'),
    }
    categories = [it.constraints and it.constraints.categories for it in signature.inputs]
    assert categories == [None, None, ("a=b", "de"), ("S", "M", "L")]
    assert read_signature(path) == signature
    loaded = lightgbm.Booster(model_file=path)
    assert np.array_equal(loaded.predict(FRAME), estimator.booster_.predict(FRAME))


def test_without_an_example_the_file_speaks_for_itself(estimator: Any, tmp_path: Path) -> None:
    with pytest.warns(LossyExportWarning, match="which dtypes"):
        signature = trimtab.lightgbm.save(estimator, tmp_path / "model.txt")
    assert signature.input_names == ("age_x", "clicks", "city", "size")


def test_arrays_and_signatures(tmp_path: Path) -> None:
    rows = RANDOM.normal(size=(ROWS, 2))
    model = lightgbm.LGBMRegressor(n_estimators=2, verbosity=-1, n_jobs=1).fit(rows, LABEL)
    with warnings.catch_warnings():
        warnings.simplefilter("error", LossyExportWarning)
        signature = trimtab.lightgbm.save(model, tmp_path / "model.txt", rows)
        assert [it.type for it in signature.inputs] == [Tensor(DType.FLOAT64, ("rows",))] * 2
        again = trimtab.lightgbm.save(model, tmp_path / "again.txt", signature=signature)
    assert again.digest == signature.digest


@pytest.mark.parametrize(
    ("model", "example", "problem"),
    [
        (lightgbm.LGBMClassifier(), FRAME, "a fitted estimator"),
        (3, FRAME, "a lightgbm.Booster"),
        ("estimator", FRAME[["clicks"]], "a column for each feature of the model, as 'age_x'"),
        ("estimator", FRAME[["clicks"]].to_numpy(), "4 columns"),
        ("estimator", "text", "DataFrame"),
    ],
)
def test_bad_arguments_leave_nothing(model: Any, example: Any, problem: str, estimator: Any, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=problem):
        trimtab.lightgbm.save(estimator if isinstance(model, str) else model, tmp_path / "model.txt", example)
    assert os.listdir(tmp_path) == []


def test_a_contradiction_leaves_the_file_before(estimator: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.txt"
    rows = RANDOM.normal(size=(ROWS, 2))
    other = lightgbm.LGBMRegressor(n_estimators=1, verbosity=-1, n_jobs=1).fit(rows, LABEL)
    wrong = trimtab.lightgbm.save(other, path, rows)
    before = path.read_bytes()
    with pytest.raises(ContradictionError):
        trimtab.lightgbm.save(estimator, path, signature=wrong)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.txt"]


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(MissingExtraError, match=r"trimtab\[lightgbm\]"):
        trimtab.lightgbm.save(None, tmp_path / "model.txt")
