"""Save a booster, or one of LightGBM's scikit-learn estimators, with its signature in the file."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

from trimtab.artifacts import derive_signature, embed_signature, read_signature
from trimtab.errors import ArtifactError, LossyExportWarning, missing_extra
from trimtab.sklearn.tables import table_of
from trimtab.sklearn.trees import with_columns
from trimtab.source.replace import replacing

if TYPE_CHECKING:
    from trimtab.signature.model import Signature


def save(
    model: Any,
    path: str | os.PathLike[str],
    X_example: Any = None,  # noqa: N803  # scikit-learn's own spelling
    signature: Signature | None = None,
) -> Signature:
    """Save a model so that the file declares its signature; returns that signature.

    model: a lightgbm.Booster, or a fitted estimator (LGBMClassifier, LGBMRanker, …).
    X_example: a few rows as the model takes them (pandas DataFrame, pyarrow Table or array), whose dtypes, whose
    categories column by column, and whose names with spaces the file alone does not keep.
    signature: what to declare in place of all that.

        trimtab.lightgbm.save(booster, "ranker.txt", X_example=frame.head())

    The file appears complete or not at all. A signature that contradicts the model is refused (ContradictionError).
    LossyExportWarning where the file alone would forget the dtypes, and where LightGBM has renamed columns. A model
    that LightGBM loads and saves again has lost the signature.
    """
    try:
        import lightgbm
    except ImportError:
        raise missing_extra("lightgbm", "lightgbm", "saving LightGBM models") from None
    name = os.fspath(path)
    booster = _booster(lightgbm, model)
    with replacing(name) as temporary:
        try:
            booster.save_model(temporary)
        except lightgbm.basic.LightGBMError as failure:
            raise ArtifactError(where="model", expected="a trained model", got=str(failure)[:300]) from failure
        if signature is None:
            signature = _completed(derive_signature(temporary), X_example, name)
        embed_signature(temporary, signature)
        return read_signature(temporary)


def _booster(lightgbm: Any, model: Any) -> Any:
    if isinstance(model, lightgbm.Booster):
        return model
    if not isinstance(model, lightgbm.LGBMModel):
        raise ArtifactError(
            where="model", expected="a lightgbm.Booster, or an estimator of lightgbm", got=type(model).__name__
        )
    try:
        return model.booster_
    except ValueError as failure:  # scikit-learn's NotFittedError
        raise ArtifactError(where="model", expected="a fitted estimator", got=str(failure)[:300]) from failure


def _completed(derived: Signature, example: Any, path: str) -> Signature:
    if example is None:
        _warn(f"{path} does not say which dtypes its features have. Pass X_example or a signature.")
        return derived
    table = table_of(example)
    renamed = {each.name: each.name.replace(" ", "_") for each in table.columns if " " in each.name}
    if renamed:
        pairs = ", ".join(f"{old!r} to {new!r}" for old, new in renamed.items())
        _warn(f"LightGBM renames columns with spaces: {pairs}. Requests keep your names.")
    return with_columns(derived, table, saved_as=renamed)


def _warn(message: str) -> None:
    warnings.warn(message, LossyExportWarning, stacklevel=4)
