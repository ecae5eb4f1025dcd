"""The tour's page: one file, nothing loaded, nothing of the model taken for markup, and what a browser makes of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from browser import dom, texts
from hypothesis import given
from hypothesis import strategies as st

from trimtab import savedmodel
from trimtab.errors import ArtifactError
from trimtab.savedmodel.messages import classes, serialize
from trimtab.web.tour_page import embedded, tour_page, write_tour_page

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>{{data}}\u202e\x1b[31m"


@pytest.fixture(scope="module")
def example(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(corpus / "savedmodel" / "example" / "model", tmp_path_factory.mktemp("example"))


def written(model: Path, folder: Path, **first: str) -> Path:
    page = folder / "tour.html"
    with savedmodel.load(model) as loaded:
        write_tour_page(loaded, str(page), **first)
    return page


def hostile_model(folder: Path) -> Path:
    """A model whose every name tries to break out of the page."""
    proto = classes()["SavedModel"](saved_model_schema_version=1)
    graph = proto.meta_graphs.add()
    graph.meta_info_def.tags.append(HOSTILE)
    graph.signature_def[HOSTILE].method_name = HOSTILE
    graph.signature_def[HOSTILE].inputs[HOSTILE].name = HOSTILE
    root = graph.object_graph_def.nodes.add()
    root.user_object.identifier = HOSTILE
    root.children.add(node_id=1, local_name=HOSTILE)
    root.children.add(node_id=9, local_name="dangling")
    graph.object_graph_def.nodes.add().variable.name = HOSTILE
    graph.graph_def.library.function.add().signature.name = HOSTILE
    (folder / "saved_model.pb").write_bytes(serialize(proto))
    return folder


def large_model(folder: Path, objects: int) -> Path:
    proto = classes()["SavedModel"](saved_model_schema_version=1)
    nodes = proto.meta_graphs.add().object_graph_def.nodes
    root = nodes.add()
    root.user_object.identifier = "_generic_user_object"
    for number in range(1, objects):
        root.children.add(node_id=number, local_name=f"weight_{number}")
        nodes.add().variable.name = f"weight_{number}"
    (folder / "saved_model.pb").write_bytes(serialize(proto))
    return folder


def test_the_page_is_one_file_that_loads_nothing(example: Path) -> None:
    page = example.read_text()
    assert "default-src 'none'" in page
    markup = re.sub(r"<script type=\"application/json\".*?</script>", "", page, flags=re.DOTALL)
    assert not re.findall(r"(?:src|href)\s*=\s*[\"'](?!#)", markup)
    assert not re.findall(r"@import|url\((?!#)|https?://(?!www\.w3\.org/2000/svg)", markup)


def test_every_model_of_the_corpus_has_a_page_with_its_data(corpus: Path) -> None:
    for folder in sorted((corpus / "savedmodel").iterdir()):
        with savedmodel.load(folder / "model") as loaded:
            page = tour_page(loaded)
            data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
            assert data["meta_graphs"] == json.loads(json.dumps(loaded.tour().as_dict()))["meta_graphs"]
            objects = loaded.meta_graph.object_graph_def
            assert len(data["drawings"][0]["objects"]) == (len(objects.nodes) if objects else 0)


@given(st.text() | st.dictionaries(st.text(), st.text()))
def test_embedded_data_cannot_end_its_element(value: object) -> None:
    text = embedded({"value": value, "hostile": HOSTILE})
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == {"value": value, "hostile": HOSTILE}


def test_a_browser_tells_the_story_of_the_example(example: Path, tmp_path: Path) -> None:
    document = dom(example, tmp_path)
    assert 'data-ready="yes"' in document
    assert 'aria-pressed="true"' in document
    assert [title[0] for title in texts(document, "step wide") if title] == ["1", "7"]
    steps = re.findall(r'<li class="step.*?</h3>', document, flags=re.DOTALL)
    places = [re.sub(r"<[^>]+>", "", re.sub(r".*<h3>", "", step, flags=re.DOTALL)) for step in steps]
    assert places == [
        "1SignatureDef",
        "2signatures map",
        "3SavedBareConcreteFunction",
        "4SavedConcreteFunction",
        "5FunctionDef",
        "6SavedFunction",
        "7Capture",
    ]
    lit = re.findall(r'<g class="node lit[^"]*".*?data-node="(\d+)"', document)
    assert sorted(map(int, lit)) == [1, 2, 4, 8]
    assert "the copies agree" in document


def test_a_search_finds_and_shows_an_object(example: Path, tmp_path: Path) -> None:
    keys = "const key = (each) => search.dispatchEvent(new KeyboardEvent('keydown', {key: each, bubbles: true}));"
    script = (
        "const search = document.getElementById('search'); search.value = 'variable weight';"
        f"search.dispatchEvent(new Event('input')); {keys} key('Enter');"
    )
    document = dom(example, tmp_path, script=script)
    details = document.partition('id="details"')[2].partition("</aside>")[0]
    assert "variable, node 1" in details
    assert "captures it" in details
    assert "__inference_capture_fn_57" in re.sub(r"<[^>]+>", "", details)


def test_arrow_keys_walk_and_open_the_graph(example: Path, tmp_path: Path) -> None:
    script = (
        "const press = (each) => document.activeElement.dispatchEvent("
        "new KeyboardEvent('keydown', {key: each, bubbles: true}));"
        "document.querySelector('[data-node=\"0\"]').focus();"
        "press('ArrowRight'); press('ArrowDown'); press('ArrowDown'); press('ArrowRight'); press('Enter');"
    )
    document = dom(example, tmp_path, script=script)
    details = document.partition('id="details"')[2].partition("</aside>")[0]
    assert "polymorphic_fn" in re.sub(r"<[^>]+>", "", details)
    assert re.search(r'data-node="3"[^>]*aria-expanded="true"', document)


@pytest.mark.parametrize("width", [1280, 800])
def test_nothing_is_wider_than_the_window(example: Path, tmp_path: Path, width: int) -> None:
    script = "document.body.dataset.wide = document.documentElement.scrollWidth > innerWidth ? 'yes' : 'no';"
    assert 'data-wide="no"' in dom(example, tmp_path, script=script, width=width)


def test_the_theme_is_light_or_dark(example: Path, tmp_path: Path) -> None:
    assert 'data-theme="dark"' in dom(example, tmp_path / "dark", fragment="#theme=dark")
    switched = dom(
        example, tmp_path / "light", fragment="#theme=dark", script="document.getElementById('theme').click()"
    )
    assert 'data-theme="light"' in switched


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    page = written(hostile_model(model), tmp_path)
    document = dom(page, tmp_path / "profile")
    assert 'data-ready="yes"' in document
    assert "<title>model: a tour</title>" in document
    assert "<img" not in document
    shown = document.partition("</header>")[2].partition('<script type="application/json"')[0]
    assert "\u202e" not in shown
    assert "\x1b" not in shown


def test_three_thousand_objects_are_drawn_as_asked_for(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    page = written(large_model(model, 3000), tmp_path)
    document = dom(page, tmp_path / "profile")
    assert 'data-ready="yes"' in document
    assert document.count("data-node=") < 60
    assert "2,999" in document or "variable 2,999" in document
    assert re.search(r"\d+ more…", document)


def test_the_first_view_can_be_chosen(corpus: Path, tmp_path: Path) -> None:
    page = written(corpus / "savedmodel" / "example" / "model", tmp_path, function="polymorphic_fn")
    assert "Function polymorphic_fn" in dom(page, tmp_path / "profile")
    with pytest.raises(ArtifactError, match="no signature has this key"):
        written(corpus / "savedmodel" / "example" / "model", tmp_path, signature="nothing")


def test_a_page_that_cannot_be_written_is_one_error(corpus: Path, tmp_path: Path) -> None:
    with savedmodel.load(corpus / "savedmodel" / "example" / "model") as loaded, pytest.raises(ArtifactError):
        write_tour_page(loaded, str(tmp_path / "no" / "such" / "folder.html"))
