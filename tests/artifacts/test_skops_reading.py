"""skops files: what is read of an estimator is what scikit-learn says of the one that skops loads."""

from __future__ import annotations

import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.artifacts import embed_signature, read_signature
from trimtab.artifacts.formats import skops as reader
from trimtab.errors import ArtifactError, ContradictionError, RefusedArtifactError
from trimtab.signature.document import encode_document
from trimtab.signature.dtypes import DType, dtype_of
from trimtab.signature.model import Live
from trimtab.signature.path import Key, parse_path
from trimtab.signature.types import Tensor
from trimtab.source.bytes import LocalFile, MemorySource

pandas = pytest.importorskip("pandas")
skops = pytest.importorskip("skops.io")
pytest.importorskip("sklearn")

from sklearn import (  # noqa: E402  # after the check that it is installed
    calibration,
    cluster,
    compose,
    decomposition,
    ensemble,
    feature_extraction,
    feature_selection,
    frozen,
    impute,
    linear_model,
    model_selection,
    multiclass,
    multioutput,
    naive_bayes,
    neighbors,
    pipeline,
    preprocessing,
    svm,
)

ROWS = 80
RANDOM = np.random.default_rng(0)
FRAME = pandas.DataFrame(
    {
        "age": RANDOM.normal(size=ROWS),
        "clicks x": RANDOM.integers(0, 5, ROWS).astype(float),
        "ünï": RANDOM.choice(["de", "fr"], ROWS),
        "junk": RANDOM.choice(["q", "w"], ROWS),
    }
)
NUMBERS = FRAME[["age", "clicks x"]]
ARRAY = NUMBERS.to_numpy()
LABEL = RANDOM.integers(0, 2, ROWS)
WORDS = np.array(["no", "yes"])[LABEL]
AMOUNT = RANDOM.normal(size=ROWS)
BOTH = np.c_[LABEL, 1 - LABEL]


def picking(**more: Any) -> Any:
    return compose.ColumnTransformer(
        [
            ("numbers", preprocessing.StandardScaler(), ["age", "clicks x"]),
            ("words", preprocessing.OneHotEncoder(), ["ünï"]),
        ],
        **more,
    )


def logistic() -> Any:
    return linear_model.LogisticRegression()


VOTERS = [("one", logistic()), ("two", naive_bayes.GaussianNB())]

ESTIMATORS: dict[str, tuple[Any, Any, Any]] = {
    "pipeline": (pipeline.make_pipeline(picking(), logistic()), FRAME, WORDS),
    "nested": (pipeline.make_pipeline(pipeline.make_pipeline(picking()), logistic()), FRAME, WORDS),
    "search": (
        model_selection.GridSearchCV(
            pipeline.make_pipeline(picking(), logistic()), {"logisticregression__C": [1, 2]}, cv=2
        ),
        FRAME,
        LABEL,
    ),
    "forest on an array": (ensemble.RandomForestClassifier(5), ARRAY, LABEL.astype(bool)),
    "object labels": (svm.SVC(), NUMBERS, WORDS.astype(object)),
    "regression": (linear_model.LinearRegression(), NUMBERS, AMOUNT),
    "voting": (ensemble.VotingClassifier(VOTERS), NUMBERS, WORDS),
    "voting on an array": (ensemble.VotingClassifier(VOTERS), ARRAY, WORDS),
    "stacking": (ensemble.StackingClassifier(VOTERS, cv=2), NUMBERS, LABEL),
    "stacking on an array": (ensemble.StackingClassifier(VOTERS, cv=2), ARRAY, LABEL),
    "target": (compose.TransformedTargetRegressor(linear_model.Ridge()), NUMBERS, AMOUNT),
    "target on an array": (compose.TransformedTargetRegressor(linear_model.Ridge()), ARRAY, AMOUNT),
    "selection": (feature_selection.SelectFromModel(logistic()), ARRAY, LABEL),
    "elimination": (feature_selection.RFE(logistic()), NUMBERS, LABEL),
    "several labels": (ensemble.RandomForestClassifier(3), NUMBERS, BOTH),
    "several classifiers": (multioutput.MultiOutputClassifier(logistic()), NUMBERS, BOTH),
    "neighbors": (neighbors.KNeighborsClassifier(), NUMBERS, LABEL),
    "clusters": (cluster.KMeans(2), NUMBERS, None),
    "components": (decomposition.PCA(1), NUMBERS, None),
    "calibrated": (calibration.CalibratedClassifierCV(logistic(), cv=2), NUMBERS, LABEL),
    "one against all": (multiclass.OneVsRestClassifier(svm.LinearSVC()), NUMBERS, LABEL),
    "union": (
        pipeline.FeatureUnion([("a", preprocessing.StandardScaler()), ("b", decomposition.PCA(1))]),
        NUMBERS,
        None,
    ),
    "bagging": (ensemble.BaggingClassifier(logistic(), max_features=1), ARRAY, LABEL),
    "imputing": (pipeline.make_pipeline(impute.SimpleImputer(), logistic()), NUMBERS, LABEL),
    "dropping": (
        compose.ColumnTransformer(
            [("no", "drop", ["age"]), ("words", preprocessing.OneHotEncoder(), ["ünï"])], remainder="passthrough"
        ),
        FRAME,
        None,
    ),
    "selecting by type": (
        pipeline.make_pipeline(
            compose.ColumnTransformer(
                [("n", preprocessing.StandardScaler(), compose.make_column_selector(dtype_include="number"))]
            ),
            linear_model.Ridge(),
        ),
        FRAME,
        AMOUNT,
    ),
    "slices and masks": (
        pipeline.make_pipeline(
            compose.ColumnTransformer(
                [
                    ("slice", preprocessing.StandardScaler(), slice(0, 2)),
                    ("mask", preprocessing.MinMaxScaler(), [True, False, False, False]),
                ]
            ),
            linear_model.Ridge(),
        ),
        FRAME,
        AMOUNT,
    ),
    "picking twice": (
        pipeline.FeatureUnion(
            [("a", picking()), ("b", compose.ColumnTransformer([("w", preprocessing.OneHotEncoder(), ["junk"])]))]
        ),
        FRAME,
        None,
    ),
    "frozen": (frozen.FrozenEstimator(logistic().fit(NUMBERS, LABEL)), NUMBERS, LABEL),
    "threshold": (model_selection.TunedThresholdClassifierCV(logistic(), cv=2), NUMBERS, LABEL),
}


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(params=ESTIMATORS)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Any, Any, Path]:
    """A fitted estimator, rows that it takes, and its file."""
    estimator, rows, label = ESTIMATORS[request.param]
    estimator.fit(rows, label)
    return estimator, rows, dumped(estimator, tmp_path)


def dumped(estimator: Any, folder: Path, **more: Any) -> Path:
    path = folder / "model.skops"
    skops.dump(estimator, path, **more)
    return path


def loaded(path: Path) -> Any:
    return skops.load(path, trusted=skops.get_untrusted_types(file=path))


def test_inputs_and_outputs_agree_with_scikit_learn(case: tuple[Any, Any, Path]) -> None:
    estimator, rows, path = case
    signature = read_signature(path)
    names = list(getattr(estimator, "feature_names_in_", []))
    if names:
        assert list(signature.input_names) == names
        assert [parse_path(it.call_path) for it in signature.inputs] == [("X", (Key(name),)) for name in names]
    else:
        assert [it.type for it in signature.inputs] == [Tensor(None, ("rows", estimator.n_features_in_))]
    kind = type(estimator)
    assert signature.provenance.notes[0] == f"{kind.__module__}.{kind.__name__}"
    for entry_point in signature.entry_points:
        result = getattr(estimator, entry_point.name)(rows)
        (output,) = entry_point.overloads[0].outputs
        assert isinstance(output.type, Tensor)
        if output.type.shape is not None:
            assert output.type.shape == ("rows", *result.shape[1:])
        if output.type.dtype is not None:
            text = result.dtype.kind in "UO"
            assert output.type.dtype == (DType.STRING if text else dtype_of("numpy", str(result.dtype)))


def test_dead_columns_can_be_anything_or_missing(case: tuple[Any, Any, Path]) -> None:
    estimator, rows, path = case
    signature = read_signature(path)
    dead = [it.name for it in signature.inputs if it.live is Live.NO]
    if not dead:
        return
    answer = getattr(estimator, signature.default_entry_point)
    wanted = np.asarray(answer(rows))
    changed = rows.copy()
    changed[dead] = changed[dead].map(lambda _: 3)
    assert np.array_equal(np.asarray(answer(changed)), wanted)
    assert np.array_equal(np.asarray(answer(rows.drop(columns=dead))), wanted)


@pytest.mark.parametrize(
    ("name", "dead"),
    [
        ("pipeline", ["junk"]),
        ("nested", ["junk"]),
        ("dropping", ["age"]),
        ("selecting by type", ["ünï", "junk"]),
        ("slices and masks", ["ünï", "junk"]),
        ("picking twice", []),
        ("search", []),
    ],
)
def test_columns_that_no_transformer_gets_are_dead(name: str, dead: list[str], tmp_path: Path) -> None:
    estimator, rows, label = ESTIMATORS[name]
    signature = read_signature(dumped(estimator.fit(rows, label), tmp_path))
    assert [it.name for it in signature.inputs if it.live is Live.NO] == dead


def test_what_passes_through_leaves_the_names_to_the_next_step(tmp_path: Path) -> None:
    estimator = pipeline.Pipeline([("no", "passthrough"), ("scale", preprocessing.StandardScaler()), ("c", svm.SVC())])
    signature = read_signature(dumped(estimator.fit(NUMBERS, LABEL), tmp_path))
    assert signature.input_names == ("age", "clicks x")


def test_columns_that_share_a_name_are_one_table(tmp_path: Path) -> None:
    """scikit-learn before 1.9 takes such data frames."""
    path = dumped(logistic().fit(NUMBERS, LABEL), tmp_path)
    with zipfile.ZipFile(path) as archive:
        arrays = {name: archive.read(name) for name in archive.namelist()}
    schema = arrays.pop("schema.json").decode().replace('\\"clicks x\\"', '\\"age\\"')
    signature = read_signature(packed(schema, tmp_path, **arrays))
    assert [(it.name, it.type) for it in signature.inputs] == [("X", Tensor(None, ("rows", 2)))]
    assert any("share names" in note for note in signature.provenance.notes)


def test_texts(tmp_path: Path) -> None:
    estimator = pipeline.make_pipeline(feature_extraction.text.TfidfVectorizer(), logistic())
    signature = read_signature(dumped(estimator.fit(["aa bb", "cc dd"] * 40, LABEL), tmp_path))
    assert [(it.name, it.type) for it in signature.inputs] == [("X", Tensor(DType.STRING, ("rows",)))]


@pytest.mark.parametrize("thing", [logistic(), {"a": 1}, [1, 2], np.ones(3), "text"])
def test_what_says_nothing_of_inputs_is_refused_by_its_class(thing: Any, tmp_path: Path) -> None:
    path = dumped(thing, tmp_path)
    with pytest.raises(RefusedArtifactError, match=type(thing).__name__) as refusal:
        read_signature(path)
    assert "trimtab embed" in refusal.value.hint


def test_the_shared_corpus(corpus: Path) -> None:
    path = corpus / "formats" / "sk_pipeline.skops"
    oracle = json.loads(Path(f"{path}.oracle.json").read_text())
    signature = read_signature(path)
    assert list(signature.input_names) == oracle["feature_names_in"]
    assert signature.provenance.notes[0] in (oracle["class"], f"{oracle['class']}")
    assert signature.provenance.producer == f"skops {oracle['by']['skops']}"


# The document


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_skops_loads_the_file_with_a_document(compression: int, tmp_path: Path) -> None:
    estimator, rows, label = ESTIMATORS["pipeline"]
    path = dumped(estimator.fit(rows, label), tmp_path, compression=compression)
    signature = read_signature(path)
    for _ in range(2):
        embed_signature(path, signature)  # the second replaces the first
    assert read_signature(path).digest == signature.digest
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist().count("module_info.json") == 1
        document = archive.read("module_info.json")
    with LocalFile(path) as source:
        assert reader.declared(source) == document
    assert np.array_equal(loaded(path).predict(rows), estimator.predict(rows))


def test_an_estimator_that_records_nothing_is_what_its_document_says(tmp_path: Path) -> None:
    signature = read_signature(dumped(logistic().fit(NUMBERS, LABEL), tmp_path))
    path = dumped(logistic(), tmp_path)
    embed_signature(path, signature)
    assert read_signature(path).digest == signature.digest


def test_a_document_that_contradicts_the_estimator_is_refused(tmp_path: Path) -> None:
    other = read_signature(dumped(logistic().fit(FRAME[["age"]], LABEL), tmp_path))
    path = dumped(logistic().fit(NUMBERS, LABEL), tmp_path)
    before = path.read_bytes()
    with pytest.raises(ContradictionError):
        embed_signature(path, other)
    assert path.read_bytes() == before


# Damage


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> str:
    estimator, rows, label = ESTIMATORS["pipeline"]
    path = dumped(estimator.fit(rows, label), tmp_path_factory.mktemp("skops"))
    with zipfile.ZipFile(path) as archive:
        return archive.read("schema.json").decode()


def packed(schema: str, folder: Path, **others: bytes) -> Path:
    path = folder / "made.skops"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in others.items():
            archive.writestr(name, data)
        archive.writestr("schema.json", schema.encode("utf-8", "surrogateescape"))
    return path


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"content": "4"', '"content": "5"', "contradicts itself"),
        ('"ListNode"', '"ListNode', "JSON as skops writes it"),
        ('"content": "\\"age\\""', '"content": "\\"age"', "JSON as skops writes it"),
    ],
)
def test_contradictions_are_refused(schema: str, old: str, new: str, problem: str, tmp_path: Path) -> None:
    assert old in schema
    with pytest.raises(ArtifactError, match=problem):
        read_signature(packed(schema.replace(old, new), tmp_path))


def test_deep_and_endless_descriptions_are_refused(tmp_path: Path) -> None:
    start = '{"__class__": "Pipeline", "__module__": "sklearn.pipeline", "__loader__": "ObjectNode", "content": '
    step = start + '{"__loader__": "DictNode", "content": {"estimator": '
    for text in (step * 3000 + "null" + "}}}" * 3000, "[" * 100_000, step * 3000):
        with pytest.raises(ArtifactError):
            read_signature(packed('{"__class__":"A","__module__":"b","x":' + text + "}", tmp_path))
        with pytest.raises(ArtifactError):
            read_signature(packed(text if text.startswith("{") else start + text, tmp_path))


def test_the_arrays_are_not_read(tmp_path: Path) -> None:
    array = RANDOM.normal(size=(4000, 300))
    path = dumped(neighbors.KNeighborsClassifier().fit(array, np.arange(4000) % 2), tmp_path)
    with LocalFile(path) as source:
        signature = read_signature(source)
        assert source.size > 8 << 20
        assert source.bytes_read < 300_000
    assert signature.inputs[0].type == Tensor(None, ("rows", 300))


@settings(max_examples=200)
@given(data=st.data())
def test_changed_descriptions_are_read_or_refused(
    schema: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    changed = bytearray(schema.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.sampled_from(b'"\\{}[]:,0a\xff'))
    text = bytes(changed).decode("utf-8", "surrogateescape")
    try:
        signature = read_signature(packed(text, tmp_path_factory.mktemp("changed")))
    except ArtifactError:
        return
    encode_document(signature)


def test_a_zip_with_another_schema_is_not_taken(tmp_path: Path) -> None:
    path = packed('{"title": "a JSON schema"}', tmp_path)
    assert not reader.match(MemorySource(path.read_bytes()))
    with pytest.raises(ArtifactError):
        read_signature(path)
