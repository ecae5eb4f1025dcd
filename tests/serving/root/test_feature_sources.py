"""Packed rows, the SQLite source and the cache: whatever is cut out of a row is what was written into it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.serving.root.features.cache import FeatureCache
from trimtab.serving.root.features.rows import RowLayout
from trimtab.serving.root.features.source import (
    FeatureSourceError,
    FeatureSpec,
    Fetched,
    Level,
    View,
    check_views,
    open_features,
)
from trimtab.serving.root.features.sqlite import SqliteFeatures
from trimtab.signature.dtypes import DType

DTYPES = [DType.FLOAT32, DType.INT64, DType.BOOL, DType.FLOAT16, DType.UINT8, DType.BFLOAT16, DType.INT32]
shapes = st.lists(st.integers(0, 4), max_size=2).map(tuple)
views = st.lists(
    st.builds(FeatureSpec, st.text(min_size=1, max_size=8), st.sampled_from(DTYPES), shapes),
    min_size=1,
    max_size=12,
    unique_by=lambda feature: feature.name,
).map(lambda features: View("item", tuple(features)))


def columns_of(view: View, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        feature.name: random.integers(0, 2, (count, *feature.shape)).astype(feature.storage)
        for feature in view.features
    }


def same(left: Mapping[str, np.ndarray], right: Mapping[str, np.ndarray]) -> bool:
    return left.keys() == right.keys() and all(
        left[name].dtype == right[name].dtype and np.array_equal(left[name], right[name]) for name in left
    )


@given(views, st.integers(0, 5), st.data())
def test_what_is_unpacked_is_what_was_packed(view: View, count: int, data: st.DataObject) -> None:
    layout, columns = RowLayout(view), columns_of(view, count)
    rows = layout.pack(columns)
    wanted = data.draw(st.lists(st.sampled_from(list(columns)), unique=True))
    unpacked = layout.unpack(rows, wanted)
    assert same(unpacked, {name: columns[name] for name in wanted})
    assert all(column.flags.c_contiguous for column in unpacked.values())


ITEM = View("item", (FeatureSpec("price", DType.FLOAT32, (1,)), FeatureSpec("ids", DType.INT64, (3,))))
USER = View("user", (FeatureSpec("age", DType.FLOAT32, (1,)),), Level.REQUEST)


@pytest.fixture
def store(tmp_path: Path) -> SqliteFeatures:
    source = SqliteFeatures.create(tmp_path / "features.db", [ITEM, USER])
    source.write("item", [f"i{n}" for n in range(1200)], columns_of(ITEM, 1200))
    return source


def test_sqlite_gives_rows_in_the_order_of_the_keys_and_names_the_missing(store: SqliteFeatures) -> None:
    keys = [f"i{n}" for n in (5, 1199, 3)]
    fetched = store.fetch("item", ["i5", "nobody", "i1199", "i3"], ["ids"])
    assert fetched.missing == ("nobody",)
    assert same(fetched.columns, {"ids": columns_of(ITEM, 1200)["ids"][[5, 1199, 3]]})
    assert same(store.fetch("item", keys, ["ids"]).columns, fetched.columns)


def test_sqlite_reads_more_keys_than_one_statement_holds_and_the_same_key_twice(store: SqliteFeatures) -> None:
    keys = [f"i{n}" for n in range(1200)] + ["i0"]
    assert store.fetch("item", keys, ["price"]).columns["price"].shape == (1201, 1)


def test_sqlite_is_read_from_many_threads(store: SqliteFeatures) -> None:
    results: list[Fetched] = []
    threads = [
        threading.Thread(target=lambda: results.append(store.fetch("item", ["i1"], ["price"]))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()
    assert len(results) == 8


def test_sqlite_keeps_the_views_it_was_made_with(store: SqliteFeatures) -> None:
    assert open_features(f"sqlite:{store.path}").views == {"item": ITEM, "user": USER}


def test_a_newer_write_replaces_the_row(store: SqliteFeatures) -> None:
    store.write("item", ["i1"], {"price": np.full((1, 1), 9, np.float32), "ids": np.zeros((1, 3), np.int64)})
    assert store.fetch("item", ["i1"], ["price"]).columns["price"].item() == 9


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"price": np.zeros((1, 1), np.float32)}, "1 absent (ids)"),
        ({"price": np.zeros((1, 1)), "ids": np.zeros((1, 3), np.int64)}, "expected float32 [1, 1], got float64 [1, 1]"),
        ({"price": np.zeros(1, np.float32), "ids": np.zeros((1, 3), np.int64)}, "got float32 [1]"),
    ],
)
def test_a_write_that_does_not_fit_is_refused_whole(
    store: SqliteFeatures, columns: dict[str, np.ndarray], text: str
) -> None:
    with pytest.raises(FeatureSourceError) as refusal:
        store.write("item", ["new"], columns)
    assert text in str(refusal.value)
    assert store.fetch("item", ["new"], ["price"]).missing == ("new",)


def test_a_file_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello " * 100)
    for path in (tmp_path / "text", tmp_path / "absent", tmp_path):
        with pytest.raises(FeatureSourceError, match=r"SqliteFeatures\.create"):
            SqliteFeatures(path)


def test_a_file_damaged_while_open_is_an_error_of_ours(store: SqliteFeatures) -> None:
    store.fetch("item", ["i1"], ["price"])
    store.path.write_bytes(b"\xff" * store.path.stat().st_size)
    with pytest.raises(FeatureSourceError):
        store.fetch("item", [f"i{key}" for key in range(1200)], ["price"])


@pytest.mark.parametrize("specification", ["redis:host", "sqlite", ""])
def test_an_unknown_scheme_says_which_there_are(specification: str) -> None:
    with pytest.raises(FeatureSourceError, match="sqlite:"):
        open_features(specification)


def test_an_installed_package_brings_its_own_scheme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shelf.py").write_text("def open_shelf(rest):\n    return ('shelf', rest)\n")
    metadata = tmp_path / "shelf-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: shelf\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[trimtab.feature_sources]\nshelf = shelf:open_shelf\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert open_features("shelf:top:left") == ("shelf", "top:left")
    with pytest.raises(FeatureSourceError, match="sqlite:… or shelf:…"):
        open_features("box:1")


def test_a_feature_of_variable_size_cannot_be_stored() -> None:
    with pytest.raises(FeatureSourceError, match="inline"):
        View("item", (FeatureSpec("title", DType.STRING),))


def test_one_feature_name_in_two_views_is_refused(tmp_path: Path) -> None:
    twin = View("twin", ITEM.features)
    with pytest.raises(FeatureSourceError, match="price"):
        check_views(SqliteFeatures.create(tmp_path / "f.db", [ITEM, twin]))


class Recording:
    """A source without packed rows that remembers what it was asked."""

    def __init__(self, view: View = ITEM, count: int = 20) -> None:
        self.views = {view.name: view}
        self.table = columns_of(view, count)
        self.asked: list[tuple[tuple[str, ...], frozenset[str]]] = []

    def fetch(self, view: str, keys: Sequence[str], features: Sequence[str]) -> Fetched:
        self.asked.append((tuple(keys), frozenset(features)))
        found = [int(key) for key in keys if int(key) < len(self.table["price"])]
        missing = tuple(key for key in keys if int(key) not in found)
        return Fetched({name: self.table[name][found] for name in features}, missing)

    def close(self) -> None:
        pass


def test_cached_rows_are_shared_by_different_unions() -> None:
    source = Recording()
    cache = FeatureCache(source)
    cache.fetch("item", ["1", "2"], ["price", "ids"])
    assert same(cache.fetch("item", ["2"], ["ids"]).columns, {"ids": source.table["ids"][[2]]})
    assert source.asked == [(("1", "2"), frozenset({"price", "ids"}))]
    cache.fetch("item", ["2", "3"], ["price"])
    assert source.asked[-1] == (("3",), frozenset({"price"}))
    assert (cache.hits, cache.misses) == (2, 3)


def test_a_row_that_lacks_a_feature_is_completed_and_keeps_the_rest() -> None:
    source = Recording()
    cache = FeatureCache(source)
    cache.fetch("item", ["1"], ["price"])
    cache.fetch("item", ["1"], ["ids"])
    assert source.asked == [(("1",), frozenset({"price"})), (("1",), frozenset({"ids"}))]
    both = cache.fetch("item", ["1"], ["price", "ids"]).columns
    assert same(both, {name: source.table[name][[1]] for name in both})
    assert len(source.asked) == 2


def test_a_source_that_leaves_a_feature_out_is_caught() -> None:
    class Forgetful(Recording):
        def fetch(self, view: str, keys: Sequence[str], features: Sequence[str]) -> Fetched:
            return super().fetch(view, keys, features[:1])

    with pytest.raises(FeatureSourceError, match="none for ids"):
        FeatureCache(Forgetful()).fetch("item", ["1"], ["price", "ids"])


def test_rows_expire_and_the_least_recently_used_goes_first() -> None:
    now = [0.0]
    source = Recording()
    cache = FeatureCache(source, entries=2, ttl_s=10, clock=lambda: now[0])
    for key in ("1", "2", "1", "3"):
        cache.fetch("item", [key], ["price"])
    assert len(cache) == 2
    assert cache.fetch_held("item", ["1"], ["price"]) is not None
    assert cache.fetch_held("item", ["2"], ["price"]) is None
    now[0] = 10.0
    assert cache.fetch_held("item", ["1"], ["price"]) is None


def test_the_cache_is_bounded_in_bytes_too() -> None:
    source = Recording()
    row = RowLayout(ITEM).row_bytes
    cache = FeatureCache(source, max_bytes=3 * row)
    for key in ("1", "2", "1", "3", "4"):
        cache.fetch("item", [key], ["price"])
        assert cache.held_bytes == len(cache) * row
    assert len(cache) == 3
    assert cache.fetch_held("item", ["1"], ["price"]) is not None
    assert cache.fetch_held("item", ["2"], ["price"]) is None


def test_a_cache_over_packed_rows_fills_every_feature_at_once(store: SqliteFeatures) -> None:
    cache = FeatureCache(store)
    cache.fetch("item", ["i1", "nobody"], ["price"])
    held = cache.fetch_held("item", ["i1"], ["ids"])
    assert held is not None
    assert same(held.columns, store.fetch("item", ["i1"], ["ids"]).columns)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 24).map(str), max_size=6),
            st.lists(st.sampled_from(["price", "ids"]), unique=True, min_size=1),
            st.floats(0, 6),
        ),
        max_size=12,
    ),
    st.integers(1, 8),
)
def test_cached_equals_uncached(asks: list[tuple[list[str], list[str], float]], entries: int) -> None:
    now = [0.0]
    source = Recording()
    cache = FeatureCache(source, entries=entries, ttl_s=10, clock=lambda: now[0])
    for keys, features, pause in asks:
        now[0] += pause
        cached, plain = cache.fetch("item", keys, features), source.fetch("item", keys, features)
        assert cached.missing == plain.missing
        assert same(cached.columns, plain.columns)
        assert len(cache) <= entries
