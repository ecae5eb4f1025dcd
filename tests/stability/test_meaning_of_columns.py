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
from request_sending import requests_for, send

import trimtab.lightgbm
import trimtab.sklearn
import trimtab.xgboost
from trimtab.signature.model import Signature
from trimtab.stability import Category, diff


@dataclass(frozen=True)
class Table:
    """What a model is trained on. missing: whether ages may be, and the model fills them in."""

    columns: tuple[str, ...] = ("age", "country")
    countries: tuple[str, ...] = ("de", "fr", "us")
    missing: bool = False

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
        return frame[list(self.columns)]

    @property
    def labels(self) -> np.ndarray:
        """The country decides, and where there is none the age does."""
        frame = self.frame
        return (frame["country"] == "de" if "country" in frame else frame["age"] > 50).to_numpy(int)


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

    model = XGBClassifier(n_estimators=4, enable_categorical=True).fit(_categorical(table.frame), table.labels)
    signature = trimtab.xgboost.save(model, path / "model.json", X_example=_categorical(table.frame))
    return signature, lambda frame: model.predict_proba(_categorical(frame))


def lightgbm(table: Table, path: Path) -> tuple[Signature, Callable[[pd.DataFrame], Any]]:
    from lightgbm import LGBMClassifier

    model = LGBMClassifier(n_estimators=4, verbose=-1, cat_smooth=0).fit(_categorical(table.frame), table.labels)
    signature = trimtab.lightgbm.save(model, path / "model.txt", X_example=_categorical(table.frame))
    return signature, lambda frame: model.predict_proba(_categorical(frame))


def _categorical(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(country=frame["country"].astype("category")) if "country" in frame else frame


FRAMEWORKS = {"sklearn": sklearn, "xgboost": xgboost, "lightgbm": lightgbm}
BASE = Table()
WIDER = replace(BASE, columns=("age", "clicks", "country"))
FEWER = replace(BASE, countries=("de", "fr"))

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
    try:
        return model.run({it.name: arrays[it.name] for it in model.signature.inputs})["score"]
    except (KeyError, ValueError):
        return None


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
