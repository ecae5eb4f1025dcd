"""What the first transformers of a fitted estimator say of its columns: the only categories they take, and gaps."""

from __future__ import annotations

from typing import Any, NamedTuple

from trimtab.sklearn.tables import is_missing, plain_values

_MAX_NESTING = 32


class ColumnFacts(NamedTuple):
    """categories: the only values that the estimator takes, or None. nullable: whether it takes missing ones."""

    categories: tuple[Any, ...] | None = None
    nullable: bool = False


def column_facts(estimator: Any) -> dict[str, ColumnFacts]:
    """What is known of the columns of a fitted estimator, by name; of the others, nothing is known."""
    names = [str(each) for each in getattr(recording(estimator), "feature_names_in_", ())]
    return _facts(estimator, names, 0)


def recording(estimator: Any) -> Any:
    """The estimator that records what is taken: of a pipeline that passes its input on at first, a later step."""
    for _ in range(_MAX_NESTING):
        steps = [step for _, step in getattr(estimator, "steps", ()) if step is not None and step != "passthrough"]
        if hasattr(estimator, "n_features_in_") or not steps:
            break
        estimator = steps[0]
    return estimator


def _facts(estimator: Any, names: list[str], depth: int) -> dict[str, ColumnFacts]:
    if depth > _MAX_NESTING or not names:
        return {}
    kind = type(estimator).__name__
    if hasattr(estimator, "steps"):
        return _through(estimator.steps, names, depth)
    if kind == "ColumnTransformer" and hasattr(estimator, "transformers_"):
        found: dict[str, ColumnFacts] = {}
        taken: set[str] = set()
        for label, transformer, _ in estimator.transformers_:
            indices = estimator._transformer_to_input_indices.get(label, [])
            columns = [names[index] for index in indices]
            facts = _facts(transformer, columns, depth + 1)
            for column in columns:
                if column in taken:
                    found.pop(column, None)  # another transformer takes it as well, and may take more
                elif column in facts:
                    found[column] = facts[column]
            taken.update(columns if transformer != "drop" else [])
        return found
    if kind in ("SimpleImputer", "KNNImputer", "IterativeImputer"):
        return {name: ColumnFacts(nullable=True) for name in names}
    if kind in ("OneHotEncoder", "OrdinalEncoder") and hasattr(estimator, "categories_"):
        return {
            name: _encoded(values, estimator.handle_unknown == "error")
            for name, values in zip(names, estimator.categories_, strict=True)
        }
    return {}


def _through(steps: list[tuple[str, Any]], names: list[str], depth: int) -> dict[str, ColumnFacts]:
    """The facts of a pipeline: of its first step that does something, and past an imputer, of the next."""
    found: dict[str, ColumnFacts] = {}
    for _, step in steps:
        if step is None or step == "passthrough":
            continue
        facts = _facts(step, names, depth + 1)
        for name, fact in facts.items():
            before = found.get(name, ColumnFacts())
            found[name] = ColumnFacts(fact.categories, before.nullable or fact.nullable)
        if type(step).__name__ != "SimpleImputer" or getattr(step, "add_indicator", False):
            break
    return found


def _encoded(values: Any, closed: bool) -> ColumnFacts:
    items = values.tolist()
    gaps = any(map(is_missing, items))
    return ColumnFacts(plain_values(items) if closed else None, gaps)
