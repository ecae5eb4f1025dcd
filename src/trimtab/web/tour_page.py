"""The tour of a SavedModel as one HTML page that needs nothing else: no network, no other file.

The page is the templates in `tour/` with the tour and the drawing as data in it. What the data says is shown as text,
never as markup, and the page's own policy forbids it to load anything.
"""

from __future__ import annotations

import html
import json
import os
from typing import TYPE_CHECKING, Any

from trimtab.errors import ArtifactError
from trimtab.savedmodel.touring.drawing import drawing

if TYPE_CHECKING:
    from trimtab.savedmodel.model import SavedModel

_TEMPLATES = os.path.join(os.path.dirname(__file__), "tour")
_SCRIPTS = ("page.js", "panels.js", "graph.js", "start.js")


def tour_page(model: SavedModel, *, signature: str | None = None, function: str | None = None) -> str:
    """The page. signature, function: what it shows first; ArtifactError when nothing has that key or path."""
    if signature is not None or function is not None:
        model.tour(signature=signature, function=function)
    data = {
        **model.tour().as_dict(),
        "drawings": [drawing(each) for each in model.meta_graphs],
        "first": {"signature": signature, "function": function},
    }
    directory = os.path.basename(os.path.dirname(os.path.abspath(model.name))) or "SavedModel"
    return _filled(
        _template("page.html"),
        title=html.escape(f"{directory}: a tour"),
        style=_template("page.css"),
        data=embedded(data),
        script="".join(map(_template, _SCRIPTS)),
    )


def write_tour_page(model: SavedModel, path: str, *, signature: str | None = None, function: str | None = None) -> None:
    """Write the page to the file `path`. ArtifactError when it cannot be written."""
    page = tour_page(model, signature=signature, function=function)
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(page)
    except OSError as failure:
        raise ArtifactError(
            where=path, expected="a file that can be written", got=failure.strerror or str(failure)
        ) from None


def embedded(data: Any) -> str:
    """JSON that can stand inside a `script` element: nothing in it ends the element or begins a comment."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _template(name: str) -> str:
    with open(os.path.join(_TEMPLATES, name), encoding="utf-8") as file:
        return file.read()


def _filled(template: str, **parts: str) -> str:
    """The template with each `{{part}}` replaced; what a part holds is never taken for a template itself."""
    first, *rest = template.split("{{")
    filled = [first]
    for piece in rest:
        name, _, after = piece.partition("}}")
        filled += [parts[name], after]
    return "".join(filled)
