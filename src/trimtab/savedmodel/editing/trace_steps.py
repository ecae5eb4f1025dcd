"""The step that takes a trace from a polymorphic function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.errors import ArtifactError
from trimtab.savedmodel.editing.plan import Step
from trimtab.savedmodel.editing.references import remove_unused_concrete_function, remove_unused_object

if TYPE_CHECKING:
    from trimtab.savedmodel.editing.draft import Draft
    from trimtab.savedmodel.links import PolymorphicFunction


class DropTrace(Step, frozen=True, tag="drop-trace"):
    """The end of one trace of a polymorphic function, and of what only it used.

    function: the object path, which may begin with `model.` as in code. trace: its position in the trial order, from 0.
    """

    function: str
    trace: int

    def describe(self) -> str:
        """What it does."""
        return f"drop trace {self.trace} of {self.function!r}"

    def apply(self, draft: Draft) -> None:
        """Take it from the function's list. ArtifactError when there is no such trace, or it is the last one."""
        polymorphic = _function(draft, self.function)
        node_id = polymorphic.node_id
        node = draft.objects[node_id]
        traces = node.function.concrete_functions
        if not 0 <= self.trace < len(traces):
            listed = ", ".join(f"{at}: {name}" for at, name in enumerate(traces)) or "none"
            raise ArtifactError(
                "the function has no such trace",
                where=polymorphic.where,
                expected=f"one of {listed}",
                got=str(self.trace),
            )
        if len(traces) == 1:
            raise ArtifactError(
                "the only trace of a function cannot be dropped",
                where=polymorphic.where,
                expected="a function with another trace",
                got=f"{polymorphic.path!r} with one",
                hint="TensorFlow could not call it any more.",
            )
        name = traces[self.trace]
        del traces[self.trace]
        children = [
            child.node_id
            for edges in (node.children, node.dependencies)
            for child in edges
            if child.local_name == f"trace_{self.trace}"
        ]
        for edges in (node.children, node.dependencies):
            kept = [edge for edge in edges if edge.local_name != f"trace_{self.trace}"]
            for edge in kept:
                edge.local_name = _moved_up(edge.local_name, self.trace)
            del edges[:]
            edges.extend(kept)
        draft.objects.put(node_id, node, f"{polymorphic.path!r} without trace {self.trace}, {name}")
        note = f"only trace {self.trace} of {polymorphic.path!r} used it"
        for child in dict.fromkeys(children):
            remove_unused_object(draft, child, note)
        remove_unused_concrete_function(draft, name, note)


def _function(draft: Draft, path: str) -> PolymorphicFunction:
    """The function at a path; where the model has no `model` of its own, a leading one stands for the root."""
    try:
        return draft.meta_graph.function(path)
    except ArtifactError:
        if not path.startswith("model."):
            raise
        return draft.meta_graph.function(path.removeprefix("model."))


def _moved_up(local_name: str, dropped: int) -> str:
    """Children are called by the position of their trace: `trace_2` becomes `trace_1` when one before it goes."""
    stem, _, number = local_name.rpartition("_")
    if stem == "trace" and number.isdecimal() and len(number) < 10 and int(number) > dropped:
        return f"trace_{int(number) - 1}"
    return local_name
