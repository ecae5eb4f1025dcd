"""The face of editing: a chain of steps that is planned, shown and then saved."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Self

from trimtab.errors import ArtifactError
from trimtab.savedmodel.editing.draft import Draft
from trimtab.savedmodel.editing.plan import make_plan
from trimtab.savedmodel.editing.signature_steps import AliasSignature, RemoveSignature, RenameSignature
from trimtab.savedmodel.editing.steps_expose import (
    AddSignature,
    BindInput,
    DropInputs,
    RenameInputs,
    RenameOutputs,
    SubsetOutputs,
    Widen,
)
from trimtab.savedmodel.editing.trace_steps import DropTrace
from trimtab.savedmodel.model import load

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trimtab.savedmodel.editing.plan import Plan, Step
    from trimtab.savedmodel.graph_protos import Shape


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

    def add_signature(
        self,
        key: str,
        source: str | None = None,
        *,
        rename: Mapping[str, str] | None = None,
        drop: Iterable[str] = (),
        bind: Mapping[str, Any] | None = None,
        rename_outputs: Mapping[str, str] | None = None,
        outputs: Iterable[str] | None = None,
        widen: Mapping[str, Sequence[int | None] | None] | None = None,
        inputs: Mapping[str, str] | None = None,
        fetches: Mapping[str, str] | None = None,
    ) -> Self:
        """Add a signature that exposes a function which may never have had one.

        source: the object path of a function, such as `model.predict`, with `:1` behind it for its second trace; or the
        name of a concrete function; or the key of a signature.
        rename, drop, bind, widen: what to do with its inputs, by name: other names, none of them (if unused), values,
        wider shapes. outputs: the ones to keep. rename_outputs: other names for them.
        inputs, fetches: in a TF1 graph, tensors to feed and to fetch (`x:0`), by the names that they get.
        """
        step = AddSignature(
            key=key,
            source=source,
            rename=dict(rename or {}),
            drop=tuple(drop),
            bind=dict(bind or {}),
            rename_outputs=dict(rename_outputs or {}),
            outputs=None if outputs is None else tuple(outputs),
            widen={name: _sizes(shape) for name, shape in (widen or {}).items()},
            inputs=dict(inputs or {}),
            fetches=dict(fetches or {}),
        )
        return self.add(step)

    def rename_inputs(self, key: str, names: Mapping[str, str]) -> Self:
        """Give inputs of a signature other names: `{old: new}`."""
        return self.add(RenameInputs(key, dict(names)))

    def rename_outputs(self, key: str, names: Mapping[str, str]) -> Self:
        """Give outputs of a signature other names: `{old: new}`."""
        return self.add(RenameOutputs(key, dict(names)))

    def drop_inputs(self, key: str, *names: str) -> Self:
        """Take from a signature inputs that nothing depends on."""
        return self.add(DropInputs(key, names))

    def bind_input(self, key: str, name: str, value: Any) -> Self:
        """Fix an input of a signature to a value."""
        return self.add(BindInput(key, name, value))

    def subset_outputs(self, key: str, *names: str) -> Self:
        """Keep only these outputs of a signature."""
        return self.add(SubsetOutputs(key, names))

    def widen(self, key: str, name: str, shape: Sequence[int | None] | None) -> Self:
        """Let an input of a signature have other sizes where the shape has None; None alone is an unknown rank."""
        return self.add(Widen(key, name, _sizes(shape)))

    def alias_signature(self, key: str, new_key: str) -> Self:
        """Give a signature a second key."""
        return self.add(AliasSignature(key, new_key))

    def rename_signature(self, key: str, new_key: str) -> Self:
        """Give a signature another key."""
        return self.add(RenameSignature(key, new_key))

    def remove_signature(self, key: str) -> Self:
        """Take a signature out, with all that only it used."""
        return self.add(RemoveSignature(key))

    def drop_trace(self, function: str, trace: int) -> Self:
        """Take a trace from a polymorphic function, by its position in the trial order, from 0."""
        return self.add(DropTrace(function, trace))

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


def _sizes(shape: Sequence[int | None] | None) -> Shape:
    return None if shape is None else tuple(shape)
