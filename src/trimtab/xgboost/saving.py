"""Save a booster, or one of XGBoost's scikit-learn estimators, with its signature in the file."""

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

    model: an xgboost.Booster, or a fitted estimator (XGBClassifier, XGBRanker, …). path: `.json` or `.ubj`.
    X_example: a few rows as the model takes them (pandas DataFrame, pyarrow Table or array), whose dtypes and
    categories the file alone does not keep. signature: what to declare in place of all that.

        trimtab.xgboost.save(booster, "ranker.ubj", X_example=frame.head())

    The file appears complete or not at all. A signature that contradicts the model is refused (ContradictionError).
    LossyExportWarning where the file alone would forget the dtypes, and where XGBoost cuts categories that are not
    ASCII.
    """
    try:
        import xgboost
    except ImportError:
        raise missing_extra("xgboost", "xgboost", "saving XGBoost models") from None
    name = os.fspath(path)
    if os.path.splitext(name)[1].lower() not in (".json", ".ubj"):
        raise ArtifactError(
            where=name,
            expected="a name that ends in .json or .ubj",
            got=repr(os.path.basename(name)),
            hint="XGBoost chooses the encoding by the name. .ubj is the smaller one.",
        )
    if not isinstance(model, xgboost.Booster | xgboost.XGBModel):
        raise ArtifactError(
            where="model", expected="an xgboost.Booster, or an estimator of xgboost", got=type(model).__name__
        )
    with replacing(name) as temporary:
        try:
            model.save_model(temporary)
        except (ValueError, AttributeError) as failure:  # XGBoostError and NotFittedError are of these kinds
            problem = str(failure).partition("\nStack trace")[0][:300]
            raise ArtifactError(where="model", expected="a trained model", got=problem) from failure
        if signature is None:
            signature = _completed(derive_signature(temporary), X_example, name)
        embed_signature(temporary, signature)
        return read_signature(temporary)


def _completed(derived: Signature, example: Any, path: str) -> Signature:
    if example is None:
        _warn(f"{path} does not say which dtypes its features have. Pass X_example or a signature.")
        return derived
    table = table_of(example)
    cut = [it.name for it in table.columns if not all(str(each).isascii() for each in it.categories or ())]
    if cut:
        _warn(
            f"XGBoost may cut categories that are not ASCII, of {', '.join(cut)}: in the file and when it predicts. "
            "Use ASCII categories, or codes."
        )
    return with_columns(derived, table)


def _warn(message: str) -> None:
    warnings.warn(message, LossyExportWarning, stacklevel=4)
