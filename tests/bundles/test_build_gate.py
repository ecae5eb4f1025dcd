"""What a build refuses: the gate over a repository and its past, and which models are attested stable."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pytest
from bundle_making import signature
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from trimtab.bundles.building.build import Built, Gate, derive_bundle
from trimtab.bundles.building.index import SignatureIndex
from trimtab.bundles.building.refusals import RefusedChangesError
from trimtab.bundles.bundle import Bundle
from trimtab.bundles.repository import ModelRepository
from trimtab.errors import SignatureChangedError
from trimtab.findings import Level
from trimtab.signature.document import decode_document, encode_document
from trimtab.signature.dtypes import DType
from trimtab.signature.model import EntryPoint, Input, Output, Overload, Presence, Signature
from trimtab.signature.types import Tensor
from trimtab.stability import Category, diff
from trimtab.stability.configuration import Configuration, ForModels
from trimtab.stability.waivers import Waiver

FLOATS = Tensor(DType.FLOAT32, ("batch", 1))
TODAY = datetime.date(2026, 6, 1)


def scored(base: Signature) -> Signature:
    """The same inputs, and an output."""
    overload = Overload(inputs=base.inputs, outputs=(Output(name="score", type=FLOATS),))
    return structs.replace(base, entry_points=(EntryPoint(name="main", overloads=(overload,)),))


AGE = signature("age")
BOTH = signature("age", "price")
AGE_SCORED = scored(AGE)
OPTIONAL = signature("age", Input(name="price", type=FLOATS, presence=Presence.OPTIONAL))
INT_AGE = signature(Input(name="age", type=Tensor(DType.INT64, ("batch", 1))))
SIGNATURES = {"AGE": AGE, "BOTH": BOTH, "SCORED": AGE_SCORED, "OPTIONAL": OPTIONAL, "INT": INT_AGE}
NAMES = {each.digest: name for name, each in SIGNATURES.items()}


def waiver(rule: str, model: str = "*", expires: datetime.date = TODAY) -> Waiver:
    return Waiver(rule=rule, model=model, reason="agreed", owner="ads", expires=expires)


class Models:
    """A repository whose artifacts are signature documents; builds follow one another."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "models"
        self.index: Path | None = folder / "ads.index.sqlite"
        self.previous: Bundle | None = None
        self.configuration = Configuration()

    def lay(self, versions: Mapping[str, str]) -> None:
        """Make the repository hold these versions and no others, by "MODEL/VERSION" and the name of a signature."""
        shutil.rmtree(self.root, ignore_errors=True)
        for version, name in versions.items():
            (self.root / version).mkdir(parents=True)
            (self.root / version / "signature.json").write_bytes(encode_document(SIGNATURES[name]))

    def build(
        self, versions: Mapping[str, str], *, gate: Gate = Gate.CONFIG, category: Category | None = None
    ) -> Built:
        self.lay(versions)
        built = derive_bundle(
            ModelRepository(self.root),
            name="ads",
            previous=self.previous,
            gate=gate,
            configuration=self.configuration,
            category=category,
            index=self.index,
            read=lambda path: decode_document(path.read_bytes()),
            today=TODAY,
        )
        self.previous = built.bundle
        return built

    def refused(self, versions: Mapping[str, str]) -> list[tuple[str, str]]:
        """The versions that a build refuses, each with what it is held against; none where it goes through."""
        try:
            self.build(versions)
        except RefusedChangesError as refusal:
            return [
                (f"{each.model}/{each.version}", each.against) for each in refusal.judgement.comparisons if each.refused
            ]
        return []


@pytest.fixture
def models(tmp_path: Path) -> Models:
    return Models(tmp_path)


WITHIN = [
    ("all alike", {"m/1": "AGE", "m/2": "AGE", "m/10": "AGE"}, []),
    ("one that differs", {"m/1": "AGE", "m/2": "INT", "m/3": "AGE"}, [("m/2", "1")]),
    ("the ones after it", {"m/1": "AGE", "m/2": "INT", "m/3": "INT"}, [("m/2", "1"), ("m/3", "1")]),
    ("outputs too", {"m/1": "AGE", "m/2": "SCORED"}, [("m/2", "1")]),
    ("several models", {"a/1": "AGE", "a/2": "INT", "b/1": "INT", "b/2": "AGE"}, [("a/2", "1"), ("b/2", "1")]),
]


@pytest.mark.parametrize(("versions", "refused"), [row[1:] for row in WITHIN], ids=[row[0] for row in WITHIN])
def test_versions_of_a_repository(models: Models, versions: dict[str, str], refused: list[tuple[str, str]]) -> None:
    assert models.refused(versions) == refused


SINCE = [
    ("a new version", {"m/7": "AGE"}, {"m/7": "AGE", "m/8": "INT"}, [("m/8", "7")]),
    ("after one that is gone", {"m/7": "AGE"}, {"m/8": "INT"}, [("m/8", "7")]),
    ("below all", {"m/7": "AGE"}, {"m/5": "INT", "m/7": "AGE"}, [("m/5", "7")]),
    ("below one that is gone", {"m/7": "AGE"}, {"m/5": "INT"}, [("m/5", "7")]),
    ("outputs below one that is gone", {"m/7": "AGE"}, {"m/5": "SCORED"}, [("m/5", "7")]),
    ("between", {"m/5": "AGE", "m/9": "AGE"}, {"m/5": "AGE", "m/7": "INT", "m/9": "AGE"}, [("m/7", "5")]),
    ("in place", {"m/7": "AGE"}, {"m/7": "INT"}, [("m/7", "7 as published")]),
    ("outputs in place", {"m/7": "AGE"}, {"m/7": "SCORED"}, [("m/7", "7 as published")]),
    ("another model", {"m/7": "AGE"}, {"n/1": "INT"}, []),
    ("as before", {"m/7": "AGE"}, {"m/8": "AGE"}, []),
]


@pytest.mark.parametrize("index", [True, False], ids=["index", "no index"])
@pytest.mark.parametrize(("before", "after", "refused"), [row[1:] for row in SINCE], ids=[row[0] for row in SINCE])
def test_versions_since_the_bundle_before(
    models: Models, before: dict[str, str], after: dict[str, str], refused: list[tuple[str, str]], *, index: bool
) -> None:
    models.build(before)
    if not index:
        models.index = None
    assert models.refused(after) == refused


def test_a_new_version_follows_the_last_published_one_below_it(models: Models) -> None:
    models.build({"m/5": "AGE", "m/7": "INT"}, gate=Gate.NONE)
    assert models.refused({"m/5": "AGE", "m/9": "AGE"}) == [("m/9", "7")]


@pytest.mark.parametrize("index", [True, False], ids=["index", "no index"])
def test_the_history_of_a_model_that_left_the_repository(models: Models, *, index: bool) -> None:
    models.build({"m/7": "AGE", "n/1": "AGE"})
    models.build({"n/1": "AGE"})
    if not index:
        models.index = None
    assert models.refused({"m/9": "INT", "n/1": "AGE"}) == [("m/9", "7")]
    assert models.refused({"m/9": "SCORED", "n/1": "AGE"}) == []


def test_the_index_tells_what_changed_since_a_version_that_is_gone(models: Models) -> None:
    models.build({"m/7": "AGE"})
    with pytest.raises(RefusedChangesError, match="the dtype changed: float32"):
        models.build({"m/8": "INT"})
    models.index = None
    with pytest.raises(RefusedChangesError, match="whose signature is in no index: sha256:"):
        models.build({"m/8": "INT"})
    with pytest.raises(RefusedChangesError, match=r"the names of the inputs changed .*: none -> price"):
        models.build({"m/8": "BOTH"})


@pytest.mark.parametrize("category", [Category.SCHEMA, Category.FEED, Category.WIRE])
def test_what_cannot_be_compared_is_refused_whatever_the_category(models: Models, category: Category) -> None:
    models.configuration = Configuration(category=category)
    models.build({"m/7": "AGE"})
    models.index = None
    assert models.refused({"m/8": "INT"}) == [("m/8", "7")]
    assert models.refused({"m/8": "SCORED"}) == []


SAME, SCORED, OTHER = ({"m/1": "AGE", "m/2": each} for each in ("AGE", "SCORED", "INT"))
FEED_FOR_N = ForModels(match="n", category=Category.FEED)


def test_another_index_may_tell_what_changed(models: Models) -> None:
    models.build({"m/7": "AGE"})
    models.lay({"m/8": "INT"})
    with (
        SignatureIndex.beside(models.root.with_name("ads.json")) as past,
        pytest.raises(RefusedChangesError, match="the dtype changed"),
    ):
        derive_bundle(ModelRepository(models.root), name="ads", previous=models.previous, past=past)


ATTESTED = [
    ("alike", Configuration(), SAME, True),
    ("another category", Configuration(category=Category.FEED), SAME, False),
    ("another category for others", Configuration(models=(FEED_FOR_N,)), SAME, True),
    ("an output rule lowered", Configuration(levels={"OUTPUT_NO_ADD": Level.NOTE}), SCORED, True),
    ("an input rule lowered", Configuration(levels={"INPUT_SAME_DTYPE": Level.WARNING}), SAME, False),
    ("a change of inputs waived", Configuration(waivers=(waiver("INPUT_SAME_DTYPE"),)), OTHER, False),
    ("a change of outputs waived", Configuration(waivers=(waiver("OUTPUT_NO_ADD"),)), SCORED, True),
]


@pytest.mark.parametrize(
    ("configuration", "versions", "attested"), [row[1:] for row in ATTESTED], ids=[row[0] for row in ATTESTED]
)
def test_attested_stable(
    models: Models, configuration: Configuration, versions: dict[str, str], *, attested: bool
) -> None:
    models.configuration = configuration
    assert models.build(versions).bundle.models["m"].attested_stable is attested


def test_a_waived_change_is_let_through_and_told(models: Models) -> None:
    models.configuration = Configuration(waivers=(waiver("INPUT_SAME_DTYPE", "m"), waiver("OUTPUT_NO_ADD", "m")))
    built = models.build({"m/1": "AGE", "m/2": "INT"})
    assert [each.change.rule for each in built.judgement.waived] == ["INPUT_SAME_DTYPE"]
    assert [each.rule for each in built.judgement.problems] == ["WAIVER_UNMATCHED"]
    assert models.refused({"m/1": "AGE", "m/2": "INT", "n/1": "AGE", "n/2": "INT"}) == [("n/2", "1")]


def test_a_waiver_past_its_day_lets_nothing_through(models: Models) -> None:
    yesterday = TODAY - datetime.timedelta(days=1)
    models.configuration = Configuration(waivers=(waiver("INPUT_SAME_DTYPE", expires=yesterday),))
    assert models.refused({"m/1": "AGE", "m/2": "INT"}) == [("m/2", "1")]
    with pytest.raises(RefusedChangesError, match="the gate refuses the waivers") as caught:
        models.build({"m/1": "AGE"})
    assert "past its day" in caught.value.hint


def test_no_waiver_lets_inputs_change_in_place(models: Models) -> None:
    models.configuration = Configuration(
        waivers=(waiver("INPUT_*"), waiver("INPUT_SAME_DTYPE"), waiver("OUTPUT_NO_ADD"))
    )
    models.build({"m/7": "AGE"})
    with pytest.raises(RefusedChangesError, match="put that artifact back") as caught:
        models.build({"m/7": "INT"})
    assert caught.value.judgement.comparisons[0].in_place
    assert models.refused({"m/7": "SCORED"}) == []


@pytest.mark.parametrize("how", [{"gate": Gate.NONE}, {"category": Category.FEED}])
def test_inputs_changed_in_place_are_told_where_they_are_let_through(models: Models, how: dict[str, object]) -> None:
    models.build({"m/7": "AGE"})
    built = models.build({"m/7": "OPTIONAL"}, **how)  # type: ignore[arg-type]  # the two are typed in the table
    assert "m:7 was published before with other inputs" in built.notes[0]
    assert not built.bundle.models["m"].attested_stable


def test_the_nearest_configuration_counts(models: Models, tmp_path: Path) -> None:
    (tmp_path / "trimtab.toml").write_text('[stability]\ncategory = "FEED"\n')
    models.configuration = None  # type: ignore[assignment]  # as when none is given
    assert models.refused({"m/1": "AGE", "m/2": "OPTIONAL"}) == []
    assert models.refused({"m/1": "AGE", "m/2": "OPTIONAL", "m/3": "INT"}) == [("m/3", "2")]


def test_versions_that_are_alike_are_forked_together(models: Models) -> None:
    with pytest.raises(SignatureChangedError) as caught:
        models.build({"m/1": "AGE", "m/2": "INT", "m/3": "BOTH", "m/4": "INT", "m_v2/1": "AGE"})
    text = str(caught.value)
    assert f"trimtab fork {models.root} m m_v3 --version 2 --version 4 --move" in text
    assert f"trimtab fork {models.root} m m_v4 --version 3 --move" in text
    assert "m:2, 4 (against 1)" in text


steps = st.lists(
    st.dictionaries(
        st.sampled_from(["m/1", "m/2", "m/3", "m/4"]), st.sampled_from(sorted(SIGNATURES)), min_size=1, max_size=4
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(histories=steps, category=st.sampled_from(list(Category)), index=st.booleans())
def test_laws_of_builds_that_follow_one_another(
    tmp_path_factory: pytest.TempPathFactory, histories: list[dict[str, str]], category: Category, *, index: bool
) -> None:
    models = Models(tmp_path_factory.mktemp("laws"))
    models.configuration = Configuration(category=category)
    if not index:
        models.index = None
    inputs: set[str] = set()
    for versions in histories:
        before = models.previous
        if models.refused(versions):
            assert models.previous is before
            continue
        assert models.previous is not None
        assert models.refused(versions) == [], "what went through goes through again"
        inputs |= {SIGNATURES[name].input_digest for name in versions.values()}
        model = models.previous.models["m"]
        assert set(model.published) == inputs
        assert model.attested_stable == (category is Category.FREEZE)
        if category is Category.FREEZE:
            assert len({SIGNATURES[name].digest for name in versions.values()}) == 1


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(st.sampled_from(sorted(SIGNATURES)), min_size=1, max_size=5),
    category=st.sampled_from(list(Category)),
)
def test_a_first_build_refuses_exactly_what_follows_with_a_change(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], category: Category
) -> None:
    models = Models(tmp_path_factory.mktemp("first"))
    models.index = None
    models.configuration = Configuration(category=category)
    followed = [diff(SIGNATURES[old], SIGNATURES[new], category) for old, new in pairwise(names)]
    refused = models.refused({f"m/{number}": name for number, name in enumerate(names, 1)})
    assert bool(refused) == any(followed)
    if refused:
        first = next(number for number, changes in enumerate(followed, 2) if changes)
        assert refused[0] == (f"m/{first}", str(first - 1))
