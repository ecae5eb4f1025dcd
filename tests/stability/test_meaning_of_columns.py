"""The same proof for models over columns: scikit-learn, XGBoost and LightGBM say what a changed column does.

These models do not give back what they were given. What a request means to a new version is what that version scores
when it is handed the request's own columns; a request that was trimmed and converted must score the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from echo_models import Arrays, Exported
from request_sending import handed, requests_for, send

import trimtab.lightgbm
import trimtab.sklearn
import trimtab.xgboost
from trimtab.artifacts import read_signature
from trimtab.signature.model import Signature
from trimtab.stability import Category, diff

pytestmark = pytest.mark.filterwarnings("ignore::trimtab.errors.LossyExportWarning")


@dataclass(frozen=True)
class Table:
    """What a model is trained on.

    missing: whether ages may be, and the model fills them in. number: the dtype of ages. coded: whether a country is a
    number. categorical: what CatBoost is told to take for categories. bare: whether the file alone says what it takes,
    with no example.
    """

    columns: tuple[str, ...] = ("age", "country")
    countries: tuple[str, ...] = ("de", "fr", "us")
    missing: bool = False
    number: str = "float64"
    coded: bool = False
    categorical: tuple[str, ...] = ("country",)
    bare: bool = False

    @property
    def frame(self) -> pd.DataFrame:
        random = np.random.default_rng(1)
        rows = 90
        frame = pd.DataFrame(
            {
                "age": random.uniform(18, 90, rows),
                "clicks": random.uniform(0, 9, rows),
                "country": np.resize(self.countries, rows),
            }
        )
        if self.coded:
            frame["country"] = frame["country"].map({name: code for code, name in enumerate(self.countries)})
        return frame[list(self.columns)].astype({"age": self.number} if "age" in self.columns else {})

    def as_taken(self, frame: pd.DataFrame) -> pd.DataFrame:
        """A frame as XGBoost and LightGBM take it: what is a category, as one."""
        if self.coded or "country" not in frame:
            return frame
        known = dict.fromkeys((*self.countries, *frame["country"].dropna()))
        return frame.assign(country=pd.Categorical(frame["country"], [*known]))

    @property
    def example(self) -> pd.DataFrame | None:
        return None if self.bare else self.as_taken(self.frame)

    @property
    def labels(self) -> np.ndarray:
        """The country decides, and where there is none the age does."""
        frame = self.frame
        return (frame["country"].isin(["de", 0]) if "country" in frame else frame["age"] > 50).to_numpy(int)


def sklearn(table: Table, path: Path) -> tuple[Signature, Callable[[pd.DataFrame], Any]]:
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    numbers = [it for it in table.columns if it != "country"]
    texts = [it for it in table.columns if it == "country"]
    columns = make_column_transformer(
        *([(OneHotEncoder(), texts)] if texts else []), (SimpleImputer() if table.missing else "passthrough", numbers)
    )
    pipeline = make_pipeline(columns, LogisticRegression()).fit(table.frame, table.labels)
    signature = trimtab.sklearn.save(pipeline, path / "model.skops", X_example=table.frame)
    return signature, pipeline.predict_proba


def xgboost(table: Table, path: Path) -> tuple[Signature, Callable[[pd.DataFrame], Any]]:
    from xgboost import XGBClassifier

    model = XGBClassifier(n_estimators=4, enable_categorical=True).fit(table.as_taken(table.frame), table.labels)
    signature = trimtab.xgboost.save(model, path / "model.json", X_example=table.example)
    return signature, lambda frame: model.predict_proba(table.as_taken(frame))


def lightgbm(table: Table, path: Path) -> tuple[Signature, Callable[[pd.DataFrame], Any]]:
    from lightgbm import LGBMClassifier

    model = LGBMClassifier(n_estimators=4, verbose=-1, cat_smooth=0)
    model.fit(table.as_taken(table.frame), table.labels)
    signature = trimtab.lightgbm.save(model, path / "model.txt", X_example=table.example)
    return signature, lambda frame: model.predict_proba(table.as_taken(frame))


def catboost(table: Table, path: Path) -> tuple[Signature, Callable[[pd.DataFrame], Any]]:
    from catboost import CatBoostClassifier

    model = CatBoostClassifier(iterations=4, verbose=False, allow_writing_files=False)
    model.fit(table.frame, table.labels, cat_features=[it for it in table.columns if it in table.categorical])
    model.save_model(str(path / "model.cbm"))
    return read_signature(path / "model.cbm"), model.predict_proba


FRAMEWORKS = {it.__name__: it for it in (sklearn, xgboost, lightgbm, catboost)}
BASE = Table()
WIDER = replace(BASE, columns=("age", "clicks", "country"))
FEWER = replace(BASE, countries=("de", "fr"))
CODED = replace(BASE, coded=True)
BARE, BARE_CODED = replace(BASE, bare=True), replace(CODED, bare=True)
NARROW = replace(BASE, number="float32")
NUMBERS = Table(columns=("age", "clicks"))
NUMBERED = replace(CODED, categorical=())

CASES = [
    ("sklearn", "nothing", BASE, BASE, ""),
    ("sklearn", "a column more", BASE, WIDER, "INPUT_NO_ADD_REQUIRED"),
    ("sklearn", "a column less", WIDER, BASE, ""),
    ("sklearn", "columns in another order", BASE, replace(BASE, columns=("country", "age")), ""),
    ("sklearn", "a category less", BASE, FEWER, "INPUT_CATEGORY_NO_DELETE"),
    ("sklearn", "a category more", FEWER, BASE, ""),
    ("sklearn", "no longer filled in", replace(BASE, missing=True), BASE, "INPUT_NOT_MADE_NON_NULLABLE"),
    ("sklearn", "filled in", BASE, replace(BASE, missing=True), ""),
    ("xgboost", "a column more", BASE, WIDER, "INPUT_NO_ADD_REQUIRED"),
    ("xgboost", "a column less", WIDER, BASE, ""),
    ("xgboost", "columns in another order", BASE, replace(BASE, columns=("country", "age")), ""),
    ("xgboost", "a category less", BASE, FEWER, "INPUT_CATEGORY_NO_DELETE"),
    ("xgboost", "a category more", FEWER, BASE, ""),
    ("lightgbm", "a column more", BASE, WIDER, "INPUT_NO_ADD_REQUIRED"),
    ("lightgbm", "a column less", WIDER, BASE, ""),
    ("lightgbm", "columns in another order", BASE, replace(BASE, columns=("country", "age")), ""),
    *(
        (framework, *row)
        for framework in ("xgboost", "lightgbm")
        for row in (
            ("nothing", BASE, BASE, ""),
            ("categories in another order", BASE, replace(BASE, countries=("us", "de", "fr")), ""),
            ("a category is a number", BASE, CODED, "INPUT_SAME_DTYPE"),
            ("a category is a number, by the file alone", BARE, BARE_CODED, "INPUT_SAME_DTYPE"),
            ("float64 to float32", BASE, NARROW, "INPUT_SAME_DTYPE"),
            ("float32 to float64", NARROW, BASE, "INPUT_SAME_DTYPE"),
            ("float64 to float32, by the file alone", BARE, replace(NARROW, bare=True), ""),
        )
    ),
    ("sklearn", "float64 to float32", BASE, NARROW, "INPUT_SAME_DTYPE"),
    ("sklearn", "a category is a number", BASE, CODED, "INPUT_SAME_DTYPE INPUT_CATEGORY_NO_DELETE"),
    ("sklearn", "categories in another order", BASE, replace(BASE, countries=("us", "de", "fr")), ""),
    ("catboost", "a column more", Table(columns=("age",)), NUMBERS, "INPUT_NO_ADD_REQUIRED"),
    ("catboost", "a column less", NUMBERS, Table(columns=("age",)), ""),
    ("catboost", "columns in another order", NUMBERS, Table(columns=("clicks", "age")), ""),
    ("catboost", "nothing", BASE, BASE, ""),
    ("catboost", "columns in another order, with categories", BASE, replace(BASE, columns=("country", "age")), ""),
    ("catboost", "a category less", BASE, FEWER, ""),
    ("catboost", "a category is a whole number", BASE, CODED, ""),
    ("catboost", "a category is no longer one", BASE, NUMBERED, "INPUT_SAME_CATEGORICAL"),
    ("catboost", "whole numbers are no longer categories", CODED, NUMBERED, "INPUT_SAME_CATEGORICAL"),
    ("catboost", "a number is a category", NUMBERED, CODED, "INPUT_SAME_CATEGORICAL"),
    ("catboost", "float64 to float32", NUMBERS, replace(NUMBERS, number="float32"), ""),
]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Table], Exported]:
    """Trains each model once."""
    made: dict[tuple[str, Table], Exported] = {}

    def of(framework: str, table: Table) -> Exported:
        if (framework, table) not in made:
            signature, score = FRAMEWORKS[framework](table, tmp_path_factory.mktemp(framework))
            made[framework, table] = Exported(signature, lambda arrays: {"score": score(_frame(arrays))})
        return made[framework, table]

    return of


def _frame(arrays: Arrays) -> pd.DataFrame:
    return pd.DataFrame(dict(arrays))


@pytest.mark.parametrize(
    ("framework", "before", "after", "rule"),
    [pytest.param(row[0], *row[2:], id=f"{row[0]}: {row[1]}") for row in CASES],
)
def test_a_changed_column_counts_in_feed_exactly_if_a_request_is_refused_or_misread(
    trained: Callable[[str, Table], Exported], framework: str, before: Table, after: Table, rule: str
) -> None:
    old, new = trained(framework, before), trained(framework, after)
    assert {change.rule for change in diff(old.signature, new.signature, Category.FEED)} == set(rule.split())
    broken = False
    for arrays in requests_for(old.signature, 8):
        assert send(arrays, old) is not None
        read = send(arrays, new)
        meant = _scored_by_hand(arrays, new)
        broken |= read is None or meant is None or read["score"].tolist() != meant.tolist()
    assert broken == bool(rule)


def _scored_by_hand(arrays: Arrays, model: Exported) -> Any:
    """What the model scores when it is handed the columns that it names, in its order."""
    names = model.signature.input_names
    read = handed({name: arrays[name] for name in names}, model) if arrays.keys() >= set(names) else None
    return None if read is None else read["score"]


@pytest.mark.parametrize(
    ("before", "after", "rule"), [(2, 2, ""), (2, 3, "INPUT_DIM_NOT_NARROWED"), (3, 2, "INPUT_DIM_NOT_NARROWED")]
)
def test_a_matrix_of_another_width_is_refused(tmp_path: Path, before: int, after: int, rule: str) -> None:
    old, new = (matrix(width, tmp_path / str(number)) for number, width in enumerate((before, after)))
    assert {change.rule for change in diff(old.signature, new.signature, Category.FEED)} == set(rule.split())
    for arrays in requests_for(old.signature, 4):
        assert send(arrays, old) is not None
        assert (send(arrays, new) is None) == (handed(arrays, new) is None) == bool(rule)


def matrix(width: int, folder: Path) -> Exported:
    """A model of scikit-learn that was trained on an array without names."""
    from sklearn.linear_model import LogisticRegression

    rows = np.random.default_rng(1).uniform(0, 1, (90, width))
    model = LogisticRegression().fit(rows, rows[:, 0] > 0.5)
    folder.mkdir()
    signature = trimtab.sklearn.save(model, folder / "model.skops", X_example=rows)
    return Exported(signature, lambda arrays: {"score": model.predict_proba(arrays[signature.input_names[0]])})


def test_a_category_that_lightgbm_does_not_know_is_scored_as_a_missing_value(
    trained: Callable[[str, Table], Exported],
) -> None:
    old, new = trained("lightgbm", BASE), trained("lightgbm", FEWER)
    assert "INPUT_CATEGORY_NO_DELETE" in {change.rule for change in diff(old.signature, new.signature, Category.FEED)}
    rows = [{"age": np.array([30.0]), "country": np.array([it], dtype=object)} for it in ("us", None, "de")]
    unknown, missing, known = (new.run(row)["score"].tolist() for row in rows)
    assert unknown == missing != known


@pytest.mark.parametrize(
    ("framework", "outcome"), [("sklearn", "the same"), ("xgboost", "refused"), ("lightgbm", "another score")]
)
def test_whoever_passes_columns_by_position_minds_their_order(
    trained: Callable[[str, Table], Exported], framework: str, outcome: str
) -> None:
    """A ColumnTransformer looks columns up by name, XGBoost checks their order, LightGBM takes what is there."""
    numbers = Table(columns=("age", "clicks"))
    old, new = trained(framework, numbers), trained(framework, replace(numbers, columns=("clicks", "age")))
    assert {change.rule for change in diff(old.signature, new.signature, Category.SCHEMA)} == {"INPUT_SAME_ORDER"}
    row = {"age": np.array([80.0]), "clicks": np.array([1.0])}
    meant = _scored_by_hand(row, new)
    try:
        passed = new.run(row)["score"].tolist()
    except ValueError:
        assert outcome == "refused"
        return
    assert outcome == ("the same" if passed == meant.tolist() else "another score")
