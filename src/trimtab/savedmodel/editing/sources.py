"""Which function is meant where a signature is to be made from one: a path and a trace, a function's name, a key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.errors import ArtifactError
from trimtab.savedmodel.dtypes import dtype_name
from trimtab.savedmodel.editing.exposing import expose
from trimtab.savedmodel.editing.signature_steps import signature_keys
from trimtab.savedmodel.editing.wiring import read_served
from trimtab.savedmodel.structure import shape_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimtab.savedmodel.editing.draft import Draft
    from trimtab.savedmodel.editing.wrapper import Wrapper


def find_source(draft: Draft, source: str) -> Wrapper:
    """What a signature made from `source` does, before anything in it is changed.

    source: the object path of a polymorphic function, such as `model.predict`, with `:1` behind it for its second
    trace; or the name of a concrete function; or the key of a signature, as
    `signatures.KEY` where a function has its name.
    ArtifactError when it names nothing, or a function of several traces without saying which.
    """
    keys = signature_keys(draft)
    if source.removeprefix("signatures.") in keys and source.startswith("signatures."):
        return read_served(draft, source.removeprefix("signatures."))
    path, _, trace = source.rpartition(":")
    if path and trace.isdecimal():
        traces = _traces(draft, path)
        if traces is not None:
            if int(trace) >= len(traces):
                raise _which_trace(draft, path, traces, f"trace {trace}")
            return expose(draft, traces[int(trace)])
    traces = _traces(draft, source)
    if traces is not None:
        if len(traces) != 1:
            raise _which_trace(draft, source, traces, repr(source))
        return expose(draft, traces[0])
    if source in draft.functions:
        return expose(draft, source)
    if source in keys:
        return read_served(draft, source)
    paths = [*draft.meta_graph.functions, *keys]
    raise ArtifactError(
        "no function, trace or signature has this name",
        where=draft.meta_graph.where,
        expected=f"one of {', '.join(map(repr, paths[:12]))}" if paths else "a model with functions",
        got=repr(source),
        hint="List them all: trimtab tour MODEL",
    )


def _traces(draft: Draft, path: str) -> Sequence[str] | None:
    """The traces of the polymorphic function at that path; None when there is no such function.

    As in code, the path may begin with `model`, where the model has nothing of that name.
    """
    objects = draft.meta_graph.object_graph_def
    for each in (path, path.removeprefix("model.")):
        short = each.removeprefix("root.")
        function = draft.meta_graph.functions.get(short)
        node_id = function.node_id if function is not None else objects.find(short) if objects is not None else None
        node = draft.objects.get(node_id) if node_id is not None else None
        if node is not None and node.WhichOneof("kind") == "function":
            return list(node.function.concrete_functions)
        if node is not None and node.WhichOneof("kind") == "bare_concrete_function":
            return [node.bare_concrete_function.concrete_function_name]
    return None


def _which_trace(draft: Draft, path: str, traces: Sequence[str], got: str) -> ArtifactError:
    if not traces:
        return ArtifactError(
            "a function that was never traced",
            where=f"{draft.meta_graph.where}, {path}",
            expected="a function with a trace",
            got="none",
            hint="Call it, or its get_concrete_function, before the model is saved.",
        )
    lines = [f"{path}:{position} takes {_takes(draft, name)}" for position, name in enumerate(traces[:20])]
    lines += [f"signatures.{path} is the signature of that name"] if path in signature_keys(draft) else []
    return ArtifactError(
        "which trace is meant?" if len(traces) > 1 else "",
        where=f"{draft.meta_graph.where}, {path}",
        expected=f"one of the {len(traces)} traces {path}:0 to {path}:{len(traces) - 1}",
        got=got,
        hint="\n  ".join(lines),
    )


def _takes(draft: Draft, name: str) -> str:
    function = draft.functions.get(name)
    if function is None:
        return "?"
    inputs = expose(draft, name).inputs
    return ", ".join(f"{each.name}: {dtype_name(each.dtype)} {shape_text(each.shape)}" for each in inputs) or "nothing"
