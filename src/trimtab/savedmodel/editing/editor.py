"""The face of editing: a chain of steps that is planned, shown and then saved."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Self

from trimtab.errors import ArtifactError
from trimtab.savedmodel.editing.draft import Draft
from trimtab.savedmodel.editing.plan import make_plan
from trimtab.savedmodel.model import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimtab.savedmodel.editing.plan import Plan, Step


def edit(path: str | os.PathLike[str], *, tags: Sequence[str] | None = None) -> Editor:
    """Start to edit a SavedModel. Nothing is written before `save`.

    path: its directory. tags: of the MetaGraph to edit; the serving one unless they are given.
    ArtifactError when it cannot be read.
    """
    return Editor(path, tags=tags)


class Editor:
    """The steps of an edit, in order. Each method adds one and gives the editor back."""

    def __init__(self, path: str | os.PathLike[str], *, tags: Sequence[str] | None = None) -> None:
        """Read the outline of the SavedModel at `path`."""
        self.saved_model = load(path)
        self.meta_graph = self.saved_model.tagged(*tags) if tags is not None else self.saved_model.meta_graph
        self._steps: list[Step] = []

    def add(self, *steps: Step) -> Self:
        """Add steps as they are."""
        self._steps += steps
        return self

    def plan(self) -> Plan:
        """What the steps change. Print it, or take it as a dict. ArtifactError when a step cannot be done."""
        return make_plan(Draft(self.saved_model, self.meta_graph), tuple(self._steps))

    def save(self, output: str | os.PathLike[str] | None = None, *, in_place: bool = False, link: bool = False) -> Plan:
        """Write the edited SavedModel, read it back, and give the plan that was carried out.

        output: a new directory. in_place: replace the proto instead, in one step, and keep the old one as a backup.
        link: hard-link variables and assets into the new directory instead of copying them.
        ArtifactError when a step cannot be done, or nothing could be written; then nothing has changed.
        """
        if in_place == (output is not None):
            raise ArtifactError(
                where=self.saved_model.name,
                expected="a directory to write to, or in_place",
                got="both" if in_place else "neither",
            )
        from trimtab.savedmodel.editing.output import write_saved_model

        plan = self.plan()
        destination = None if output is None else os.fspath(output)
        write_saved_model(self.saved_model, self.meta_graph, plan.changes, destination, link=link)
        return plan

    def close(self) -> None:
        """Close the file."""
        self.saved_model.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
