"""CatBoost models, read without CatBoost, agree with it; features called dead change no prediction."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.artifacts import derive_signature, embed_signature, read_signature
from trimtab.artifacts.formats import catboost as reader
from trimtab.errors import ArtifactError
from trimtab.signature.document import FILE_NAME
from trimtab.signature.dtypes import DType
from trimtab.signature.model import Constraints, Learned, Live, Signature
from trimtab.signature.types import Tensor
from trimtab.source.bytes import LocalFile, MemorySource

catboost = pytest.importorskip("catboost")

ROWS = 120
QUIET = {"iterations": 3, "depth": 3, "verbose": 0, "allow_writing_files": False, "random_seed": 0, "thread_count": 1}


class Case(NamedTuple):
    """A trained model and data like those that it was trained on."""

    model: Any
    rows: list[list[Any]]


def numbers(generator: Any, columns: int) -> list[list[float]]:
    return [list(map(float, generator.random(columns))) for _ in range(ROWS)]


def mixed(generator: Any) -> list[list[Any]]:
    return [
        [
            float(generator.random()),
            str(generator.choice(["a", "b", "c"])),
            float("nan") if generator.random() < 0.2 else float(generator.random()),
            0.0,
            str(generator.choice(["hello world", "foo bar baz", "x"])),
            int(generator.integers(0, 3)),
            list(map(float, generator.random(3))),
        ]
        for _ in range(ROWS)
    ]


MIXED = ["ag e", 'ünï"c', "n", "unused", "text", "cat2", "emb"]


@pytest.fixture(scope="module")
def cases() -> dict[str, Case]:
    generator = np.random.default_rng(0)
    four = numbers(generator, 4)
    many = mixed(generator)
    two = generator.integers(0, 2, ROWS)

    def fit(kind: str, rows: Any, target: Any, names: list[str] | None = None, **options: Any) -> Case:
        parts = {key: options.pop(key) for key in tuple(options) if key.endswith("_features") or key == "group_id"}
        ignored = {key: parts.pop(key) for key in ("ignored_features",) if key in parts}
        pool = catboost.Pool(rows, target, feature_names=names, **parts)
        settings = {**QUIET, **options, **ignored}
        made = catboost.CatBoost(settings) if kind == "CatBoost" else getattr(catboost, kind)(**settings)
        return Case(made.fit(pool), rows)

    halves = [[row[0], row[2]] for row in many]
    return {
        "binary": fit("CatBoostClassifier", four, two),
        "plain": fit("CatBoost", four, two, loss_function="Logloss"),
        "regression": fit("CatBoostRegressor", four, generator.random(ROWS)),
        "classes": fit("CatBoostClassifier", four, generator.choice(["ä", 'b "q"', "c"], ROWS)),
        "flags": fit("CatBoostClassifier", four, generator.choice([True, False], ROWS)),
        "one_vs_all": fit(
            "CatBoostClassifier", four, generator.integers(0, 4, ROWS), loss_function="MultiClassOneVsAll"
        ),
        "labels": fit("CatBoostClassifier", four, generator.integers(0, 2, (ROWS, 3)), loss_function="MultiLogloss"),
        "targets": fit("CatBoostRegressor", four, generator.random((ROWS, 2)), loss_function="MultiRMSE"),
        "uncertain": fit("CatBoostRegressor", four, generator.random(ROWS), loss_function="RMSEWithUncertainty"),
        "ranking": fit(
            "CatBoostRanker",
            four,
            generator.random(ROWS),
            loss_function="YetiRank",
            group_id=np.repeat(range(ROWS // 10), 10),
        ),
        "lossguide": fit("CatBoostClassifier", four, two, grow_policy="Lossguide"),
        "missing_last": fit("CatBoostRegressor", halves, two, ["ag e", "n"], nan_mode="Max"),
        "forbidden": fit("CatBoostRegressor", four, two, ["a", "b", "c", "d"], nan_mode="Forbidden"),
        "ignored": fit("CatBoostRegressor", four, two, ["a", "b", "c", "d"], ignored_features=[1]),
        "categories": fit(
            "CatBoostClassifier",
            [[row[1], row[5]] for row in many],
            [int(row[1] == "a") ^ int(row[5] == 1) for row in many],
            ["one", "two"],
            cat_features=[0, 1],
        ),
        "mixed": fit(
            "CatBoostClassifier",
            many,
            two,
            MIXED,
            cat_features=[1, 5],
            text_features=[4],
            embedding_features=[6],
        ),
        "unnamed_mixed": fit(
            "CatBoostClassifier", many, two, cat_features=[1, 5], text_features=[4], embedding_features=[6]
        ),
    }


NAMES = (
    *("binary", "plain", "regression", "classes", "flags", "one_vs_all", "labels", "targets", "uncertain", "ranking"),
    *("lossguide", "missing_last", "forbidden", "ignored", "categories", "mixed", "unnamed_mixed"),
)
FORMATS = ("cbm", "json")


# Texts and embeddings are not exported as JSON.
SAVED = [*((name, "json") for name in NAMES if "mixed" not in name), *((name, "cbm") for name in NAMES)]


def save(model: Any, folder: Path, format_: str) -> Path:
    path = folder / f"model.{format_}"
    model.save_model(str(path), format=format_)
    return path


def load(path: Path) -> Any:
    return catboost.CatBoost().load_model(str(path), format=path.suffix[1:])


def predict(model: Any, rows: list[list[Any]]) -> Any:
    pool = catboost.Pool(
        rows,
        feature_names=model.feature_names_,
        cat_features=model.get_cat_feature_indices(),
        text_features=model.get_text_feature_indices(),
        embedding_features=model.get_embedding_feature_indices(),
    )
    return np.asarray(model.predict(pool, prediction_type="RawFormulaVal"))


def columns(signature: Signature) -> list[Any]:
    """The features, whether they are inputs of their own or the columns of one."""
    return list(signature.inputs[0].features or signature.inputs)


@pytest.mark.parametrize(("name", "format_"), SAVED)
def test_agrees_with_catboost(cases: dict[str, Case], tmp_path: Path, name: str, format_: str) -> None:
    case = cases[name]
    path = save(case.model, tmp_path, format_)
    model = load(path)
    signature = read_signature(path)
    assert signature.provenance.format == "catboost"
    assert signature.provenance.producer == f"catboost {catboost.__version__}"
    assert signature.provenance.learned is Learned.DERIVED
    assert signature.default_entry_point == "predict"
    assert [it.name for it in columns(signature)] == model.feature_names_
    kinds = {
        "categorical": model.get_cat_feature_indices(),
        "text": model.get_text_feature_indices(),
        "embedding": model.get_embedding_feature_indices(),
    }
    special = {index: kind for kind, indices in kinds.items() for index in indices}
    for index, it in enumerate(columns(signature)):
        wanted = {"text": Tensor(DType.STRING, ("rows",)), "embedding": Tensor(None, ("rows", None))}
        assert it.type == wanted.get(special.get(index, ""), Tensor(None, ("rows",)))
        assert it.constraints == (Constraints(categorical=True) if special.get(index) == "categorical" else None)
    if signature.input_names == ("data",):
        assert signature.inputs[0].type == Tensor(None, ("rows", len(model.feature_names_)))
    else:
        assert [it.doc for it in signature.inputs] == [
            f"{special.get(index, 'float')} feature" for index in range(len(signature.inputs))
        ]
        assert [it.call_path for it in signature.inputs] == [
            f"data[{json.dumps(it, ensure_ascii=False)}]" for it in model.feature_names_
        ]
    (score,) = signature.outputs
    raw = predict(model, case.rows)
    assert score.type == Tensor(DType.FLOAT64, ("rows", *raw.shape[1:]))
    loss = case.model.get_all_params()["loss_function"].partition(":")[0]
    classes = [it.item() if hasattr(it, "item") else it for it in getattr(case.model, "classes_", [])]
    assert score.doc == "; ".join(filter(None, (loss, f"classes {', '.join(map(repr, classes))}" if classes else "")))


def test_agrees_with_the_corpus(corpus: Path) -> None:
    for path in (corpus / "formats" / "cat.json", corpus / "formats" / "cat_text.cbm"):
        oracle = json.loads(path.with_name(f"{path.name}.oracle.json").read_text())
        signature = read_signature(path)
        assert signature.provenance.producer == f"catboost {oracle['by']['catboost']}"
        assert list(signature.input_names) == oracle["feature_names"]
        for kind, key in (("categorical", "cat"), ("text", "text")):
            assert [index for index, it in enumerate(signature.inputs) if it.doc == f"{kind} feature"] == oracle[key]


def test_missing_values_are_those_of_the_training(cases: dict[str, Case], tmp_path: Path) -> None:
    for name, wanted in (("mixed", {"n"}), ("missing_last", {"n"}), ("forbidden", set())):
        signature = read_signature(save(cases[name].model, tmp_path, "cbm"))
        assert {it.name for it in signature.inputs if it.nullable} == wanted


@pytest.mark.parametrize(
    ("name", "format_"), [each for each in SAVED if each[0] in ("ignored", "categories", "mixed", "missing_last")]
)
def test_changing_a_dead_feature_changes_no_prediction(
    cases: dict[str, Case], tmp_path: Path, name: str, format_: str
) -> None:
    case = cases[name]
    path = save(case.model, tmp_path, format_)
    inputs = read_signature(path).inputs
    model = load(path)
    others = {"float": 1e9, "categorical": "never seen", "text": "never seen", "embedding": [9.0, -9.0, 9.0]}
    before = predict(model, case.rows)
    for index, it in enumerate(inputs):
        rows = [[*row[:index], others[it.doc.split()[0]], *row[index + 1 :]] for row in case.rows]
        changed = not np.array_equal(before, predict(model, rows))
        assert not (changed and it.live is Live.NO), it.name
    dead = {it.name for it in inputs if it.live is Live.NO}
    assert {"ignored": {"b"}, "mixed": {"unused"}}.get(name, set()) <= dead


@pytest.mark.parametrize(("name", "format_"), [each for each in SAVED if each[0] in ("binary", "categories", "mixed")])
def test_a_document_goes_in_and_catboost_does_not_mind(
    cases: dict[str, Case], tmp_path: Path, name: str, format_: str
) -> None:
    case = cases[name]
    path = save(case.model, tmp_path, format_)
    original, before = path.read_bytes(), load(path)
    signature = read_signature(path)
    for _ in range(2):
        assert embed_signature(path, signature) == str(path)
        again = read_signature(path)
        assert again.provenance.learned is Learned.DECLARED
        assert again.digest == signature.digest
    model = load(path)
    assert np.array_equal(predict(model, case.rows), predict(before, case.rows))
    assert model.feature_names_ == before.feature_names_
    if format_ == "json":
        metadata = dict(model.get_metadata())
        document = json.loads(metadata.pop("module_info"))
        assert metadata == dict(before.get_metadata())
    else:
        assert path.read_bytes().startswith(original)
        with zipfile.ZipFile(path) as archive:
            document = json.loads(archive.read(FILE_NAME))
    assert document["digest"] == signature.digest


@pytest.mark.parametrize("format_", FORMATS)
def test_the_models_own_metadata_hold_a_document(cases: dict[str, Case], tmp_path: Path, format_: str) -> None:
    path = save(cases["categories"].model, tmp_path, "cbm")
    model = load(path)
    model.get_metadata()["module_info"] = json.dumps({"input_names": ["one", "two"], "output_names": ["score"]})
    path = save(model, tmp_path, format_)
    signature = read_signature(path)
    assert signature.provenance.learned is Learned.DECLARED
    assert signature.input_names == ("one", "two")
    embed_signature(path, derive_signature(path))  # the later one counts
    assert read_signature(path).inputs[0].doc == "categorical feature"


def test_two_features_at_one_place_are_refused(cases: dict[str, Case], tmp_path: Path) -> None:
    path = save(cases["forbidden"].model, tmp_path, "json")
    model = json.loads(path.read_text())
    for each in model["features_info"]["float_features"]:
        each["flat_feature_index"] = 0
    with pytest.raises(ArtifactError, match="a position of its own"):
        read_signature(MemorySource(json.dumps(model).encode()))


def test_exports_before_multiple_biases_are_read(cases: dict[str, Case], tmp_path: Path) -> None:
    path = save(cases["classes"].model, tmp_path, "json")
    model = json.loads(path.read_text())
    model["scale_and_bias"] = [1, 0]
    (score,) = read_signature(MemorySource(json.dumps(model).encode())).outputs
    assert score.type == Tensor(DType.FLOAT64)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda content: content[:3000], "cut short"),
        (lambda content: content[:6], "bytes"),
        (lambda content: content[:4] + bytes(4) + content[8:], "flatbuffer"),
        (lambda content: content.replace(b"FlabuffersModel_v1", b"FlabuffersModel_v9"), "FlabuffersModel_v1"),
        (lambda content: b'{"features_info": {"float_features": [', "JSON object"),
        (lambda content: b'{"features_info": {"float_features": 3}}', "JSON"),
    ],
)
def test_damage_is_named(cases: dict[str, Case], tmp_path: Path, damage: Any, problem: str) -> None:
    content = save(cases["mixed"].model, tmp_path, "cbm").read_bytes()
    with pytest.raises(ArtifactError, match=problem):
        read_signature(MemorySource(damage(content)))


@pytest.fixture(scope="module")
def contents(cases: dict[str, Case], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("catboost")
    return {format_: save(cases["categories"].model, folder, format_).read_bytes() for format_ in FORMATS}


@settings(max_examples=200)
@given(st.data())
def test_damage_gives_an_answer_or_our_error(contents: dict[str, bytes], data: st.DataObject) -> None:
    content = bytearray(contents[data.draw(st.sampled_from(FORMATS))])
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=6)):
        content[at] = data.draw(st.integers(0, 255))
    try:
        read_signature(
            MemorySource(bytes(content[: data.draw(st.one_of(st.just(len(content)), st.integers(8, len(content))))]))
        )
    except ArtifactError:
        return


def test_trees_are_not_read(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    rows, target = generator.random((200, 6)), generator.random((200, 6))
    options = {**QUIET, "iterations": 30, "depth": 10, "border_count": 16, "loss_function": "MultiRMSE"}
    model = catboost.CatBoostRegressor(**options).fit(rows, target)
    for format_ in FORMATS:
        path = save(model, tmp_path, format_)
        assert path.stat().st_size > 1 << 20
        with LocalFile(path) as source:
            reader.derive(source)
            reader.declared(source)
            assert source.bytes_read < 300 << 10
