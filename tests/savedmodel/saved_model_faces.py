"""Every public way to look at a SavedModel, as calls that a hostile file goes through."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable
from typing import Any

from trimtab import savedmodel
from trimtab.errors import TrimtabError

ENOUGH = 25
"""Of each kind of part, how many are looked at one by one."""


def reading(folder: str) -> None:
    """Every property, of the first parts of each kind."""
    with savedmodel.load(folder) as model:
        repr(model)
        for meta_graph in model.meta_graphs[:ENOUGH]:
            for look in (_places, _objects, _functions, _signatures):
                attempt(look, meta_graph)


def _places(meta_graph: Any) -> None:
    for part in (
        lambda: (meta_graph.tags, repr(meta_graph), meta_graph.saver_def),
        lambda: meta_graph.asset_file_def,
        lambda: meta_graph.collection_def,
        lambda: meta_graph.signature_def,
        lambda: [
            (node.callees, *map(node.attr, node.attr_names)) for node in first(meta_graph.graph_def.node.values())
        ],
    ):
        attempt(part)
    for function in first(meta_graph.library.values()):
        for part in (
            lambda f=function: f.signature,
            lambda f=function: f.arg_attr,
            lambda f=function: (f.ret, f.control_ret),
            lambda f=function: [(node.callees, *map(node.attr, node.attr_names)) for node in f.node_def.values()],
            lambda f=function: f.callees,
        ):
            attempt(part)


def _objects(meta_graph: Any) -> None:
    objects = meta_graph.object_graph_def
    if objects is None:
        return
    for part in (
        lambda: objects.kinds,
        lambda: objects.paths,
        lambda: objects.find("a." * 500 + "b"),
        lambda: objects.find("predict"),
    ):
        attempt(part)
    for node_id in range(min(ENOUGH, len(objects.nodes))):
        attempt(lambda at=node_id: objects.nodes[at])
    for name in first(objects.concrete_functions):
        attempt(lambda at=name: objects.concrete_functions[at])


def _functions(meta_graph: Any) -> None:
    for function in first(meta_graph.functions.values()):
        attempt(lambda f=function: str(f))
        attempt(lambda f=function: f.saved)
        for trace in function.traces[:ENOUGH]:
            for part in ("arguments", "outputs", "captures", "traces"):
                attempt(getattr, trace, part)
    attempt(meta_graph.function, "predict")
    attempt(meta_graph.function, "nobody")
    attempt(meta_graph.concrete_function, "nobody")


def _signatures(meta_graph: Any) -> None:
    for signature in first(meta_graph.signatures.values()):
        for part in ("signature_def", "bare", "wrapper", "callee", "traces"):
            attempt(getattr, signature, part)
        if (wrapper := attempt(getattr, signature, "wrapper")) is not None:
            for part in ("arguments", "outputs", "captures"):
                attempt(getattr, wrapper, part)


def first(parts: Any) -> list[Any]:
    return list(itertools.islice(parts, ENOUGH))


def attempt(call: Callable[..., Any], *arguments: Any) -> Any:
    """The result; None when it is refused in our own words."""
    try:
        return call(*arguments)
    except TrimtabError as refusal:
        check_refusal(refusal)
        return None


def check_refusal(refusal: TrimtabError) -> None:
    """An error is for a person to read."""
    assert 10 < len(str(refusal)) < 10_000, str(refusal)[:500]


def inspecting(folder: str) -> None:
    """The canonical signature, its text and its document."""
    from trimtab.artifacts import read_signature
    from trimtab.signature.document import encode_document

    signature = read_signature(folder)
    str(signature)
    encode_document(signature)


def verifying(folder: str) -> None:
    """The findings."""
    for finding in savedmodel.verify(folder):
        str(finding)


def touring(folder: str) -> None:
    """The tour, as text and as data."""
    with savedmodel.load(folder) as model:
        tour = model.tour()
        str(tour)
        tour.as_dict()


def dispatching(folder: str) -> None:
    """Calls of the first functions and signatures."""
    with savedmodel.load(folder) as model:
        callables = first(attempt(lambda: list(model.functions.values())) or ())[:5]
        for function in callables:
            attempt(function.dispatch, 1.0)
            attempt(lambda f=function: f.dispatch(x=[1, [2]]))
            attempt(lambda f=function: f.dispatch())
        for signature in first(attempt(lambda: list(model.signatures.values())) or ())[:5]:
            attempt(lambda s=signature: s.call(x=1.0))


def editing(folder: str) -> None:
    """Plans of edits; nothing is written."""
    key = "serving_default"
    with_edits: tuple[Callable[[Any], Any], ...] = (
        lambda editor: editor.rename_inputs(key, {"x": "z"}),
        lambda editor: editor.alias_signature(key, "other"),
        lambda editor: editor.remove_signature(key),
        lambda editor: editor.add_signature("new", "predict"),
        lambda editor: editor.drop_trace("predict", 0),
        lambda editor: editor.bind_input(key, "x", 1.0),
    )
    for change in with_edits:
        editor = attempt(savedmodel.edit, folder)
        if editor is None:
            return
        try:
            attempt(lambda e=editor, c=change: str(c(e).plan()))
        finally:
            editor.close()


FACES: dict[str, Callable[[str], None]] = {
    each.__name__: each for each in (reading, inspecting, verifying, touring, dispatching, editing)
}


def main() -> None:
    """Run the named faces (all of them otherwise) on a folder, in this process, and print what each one took."""
    import json
    import time

    folder, *names = sys.argv[1:]
    for name in names or FACES:
        started = time.process_time()
        refused = ""
        try:
            FACES[name](folder)
        except TrimtabError as refusal:
            refused = str(refusal)
        took = time.process_time() - started
        print(json.dumps({"face": name, "seconds": took, "mib": peak_mib(), "refused": refused}), flush=True)


def peak_mib() -> int:
    """The most memory that this process has held. Unlike getrusage's figure, it is not inherited from the parent."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) >> 10 for line in status if line.startswith("VmHWM"))


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    main()
