"""Steps that build a wrapper: a new signature from a function, and other inputs or outputs for one that there is.

In a TF1 graph there are no wrappers: there the same steps edit the SignatureDef alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import field

from trimtab.errors import ArtifactError
from trimtab.savedmodel.editing import tf1_steps
from trimtab.savedmodel.editing.names import check_inputs, check_key
from trimtab.savedmodel.editing.plan import Step
from trimtab.savedmodel.editing.rewiring import (
    bind_inputs,
    drop_inputs,
    rename_inputs,
    rename_outputs,
    subset_outputs,
    widen_inputs,
)
from trimtab.savedmodel.editing.signature_steps import signature_keys
from trimtab.savedmodel.editing.sources import find_source
from trimtab.savedmodel.editing.wiring import read_served, serve
from trimtab.savedmodel.structure import shape_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from trimtab.savedmodel.editing.draft import Draft
    from trimtab.savedmodel.editing.wrapper import Wrapper


class AddSignature(Step, frozen=True, tag="add-signature"):
    """A new signature: a function under a key, with the inputs and outputs that are asked for.

    source: where it comes from, as in `sources.find_source`; in a TF1 graph the key of a signature.
    drop, bind, widen, rename: inputs by the names that TensorFlow would give them, or by their new ones.
    outputs: the ones to keep, all when None; rename_outputs: their names. Both kinds of name are understood here too.
    inputs, fetches: of a TF1 graph only, the tensors to feed and to fetch, by name.
    """

    key: str
    source: str | None = None
    rename: dict[str, str] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    bind: dict[str, Any] = field(default_factory=dict)
    rename_outputs: dict[str, str] = field(default_factory=dict)
    outputs: tuple[str, ...] | None = None
    widen: dict[str, tuple[int | None, ...] | None] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    fetches: dict[str, str] = field(default_factory=dict)

    def describe(self) -> str:
        """What it does."""
        return f"add signature {self.key!r}" + (f" from {self.source!r}" if self.source is not None else "")

    def apply(self, draft: Draft) -> None:
        """Write it in all five places. ArtifactError for an unfit key, source, name or value."""
        if draft.meta_graph.object_graph_def is None:
            self._apply_to_tf1(draft)
            return
        check_key(draft.meta_graph.where, self.key, signature_keys(draft))
        where = f"signature {self.key!r}"
        if self.source is None or self.inputs or self.fetches:
            raise ArtifactError(
                where=where,
                expected="a function to make the signature from",
                got="tensors of the graph" if self.inputs or self.fetches else "none",
                hint="Only a TF1 graph has signatures of single tensors.",
            )
        wrapper = find_source(draft, self.source)
        inputs, outputs = _before(self.rename), _before(self.rename_outputs)
        wrapper = drop_inputs(draft, wrapper, [inputs.get(name, name) for name in self.drop], where)
        wrapper = bind_inputs(wrapper, {inputs.get(name, name): value for name, value in self.bind.items()}, where)
        wrapper = widen_inputs(
            draft, wrapper, {inputs.get(name, name): shape for name, shape in self.widen.items()}, where
        )
        wrapper = rename_inputs(wrapper, self.rename, where)
        if self.outputs is not None:
            wrapper = subset_outputs(wrapper, [outputs.get(name, name) for name in self.outputs], where)
        wrapper = rename_outputs(wrapper, self.rename_outputs, where)
        check_inputs(where, [each.name for each in wrapper.inputs])
        serve(draft, self.key, wrapper)

    def _apply_to_tf1(self, draft: Draft) -> None:
        if self.bind:
            tf1_steps.refuse_bind(draft, self.key)
        tf1_steps.add_signature(
            draft,
            self.key,
            self.source,
            rename=self.rename,
            drop=self.drop,
            rename_outputs=self.rename_outputs,
            outputs=self.outputs,
            widen=self.widen,
            inputs=self.inputs,
            fetches=self.fetches,
        )


class RenameInputs(Step, frozen=True, tag="rename-inputs"):
    """Other names for the inputs of a signature."""

    key: str
    rename: dict[str, str]

    def describe(self) -> str:
        """What it does."""
        return f"rename inputs of {self.key!r}: {_pairs(self.rename)}"

    def apply(self, draft: Draft) -> None:
        """Rebuild the wrapper. ArtifactError for an unknown name, or one that is taken or refused."""
        if draft.meta_graph.object_graph_def is None:
            tf1_steps.rename_inputs(draft, self.key, self.rename)
        else:
            _rebuild(draft, self.key, lambda wrapper, where: rename_inputs(wrapper, self.rename, where))


class RenameOutputs(Step, frozen=True, tag="rename-outputs"):
    """Other names for the outputs of a signature."""

    key: str
    rename: dict[str, str]

    def describe(self) -> str:
        """What it does."""
        return f"rename outputs of {self.key!r}: {_pairs(self.rename)}"

    def apply(self, draft: Draft) -> None:
        """Rebuild the wrapper. ArtifactError for an unknown name, or one that is taken."""
        if draft.meta_graph.object_graph_def is None:
            tf1_steps.rename_outputs(draft, self.key, self.rename)
        else:
            _rebuild(draft, self.key, lambda wrapper, where: rename_outputs(wrapper, self.rename, where))


class DropInputs(Step, frozen=True, tag="drop-inputs"):
    """Fewer inputs: without some that nothing depends on."""

    key: str
    inputs: tuple[str, ...]

    def describe(self) -> str:
        """What it does."""
        return f"drop inputs of {self.key!r}: {', '.join(self.inputs)}"

    def apply(self, draft: Draft) -> None:
        """Rebuild the wrapper. ArtifactError for an unknown input, or one that is used."""
        if draft.meta_graph.object_graph_def is None:
            tf1_steps.drop_inputs(draft, self.key, self.inputs)
        else:
            _rebuild(draft, self.key, lambda wrapper, where: drop_inputs(draft, wrapper, self.inputs, where))


class BindInput(Step, frozen=True, tag="bind-input"):
    """One input less: fixed to a value. value: a number, text, bool, or nested lists of one of these."""

    key: str
    input: str
    value: Any

    def describe(self) -> str:
        """What it does."""
        return f"bind input {self.input!r} of {self.key!r} to {self.value!r:.60}"

    def apply(self, draft: Draft) -> None:
        """Rebuild the wrapper. ArtifactError for an unknown input, or a value of another dtype or shape."""
        if draft.meta_graph.object_graph_def is None:
            tf1_steps.refuse_bind(draft, self.key)
        _rebuild(draft, self.key, lambda wrapper, where: bind_inputs(wrapper, {self.input: self.value}, where))


class SubsetOutputs(Step, frozen=True, tag="subset-outputs"):
    """Fewer outputs: only these."""

    key: str
    outputs: tuple[str, ...]

    def describe(self) -> str:
        """What it does."""
        return f"keep of the outputs of {self.key!r}: {', '.join(self.outputs)}"

    def apply(self, draft: Draft) -> None:
        """Rebuild the wrapper. ArtifactError for an unknown output, or none."""
        if draft.meta_graph.object_graph_def is None:
            tf1_steps.subset_outputs(draft, self.key, self.outputs)
        else:
            _rebuild(draft, self.key, lambda wrapper, where: subset_outputs(wrapper, self.outputs, where))


class Widen(Step, frozen=True, tag="widen"):
    """A wider shape for an input: None for a size that is no longer fixed; None alone for an unknown rank."""

    key: str
    input: str
    shape: tuple[int | None, ...] | None

    def describe(self) -> str:
        """What it does."""
        return f"widen input {self.input!r} of {self.key!r} to {shape_text(self.shape)}"

    def apply(self, draft: Draft) -> None:
        """Rebuild the wrapper. ArtifactError for an unknown input, or a shape that allows less than its own."""
        shapes = {self.input: self.shape}
        if draft.meta_graph.object_graph_def is None:
            tf1_steps.widen(draft, self.key, shapes)
        else:
            _rebuild(draft, self.key, lambda wrapper, where: widen_inputs(draft, wrapper, shapes, where))


def _rebuild(draft: Draft, key: str, change: Callable[[Wrapper, str], Wrapper]) -> None:
    """Write the signature anew, changed: never in place, where the order of names decides what is fed to what."""
    serve(draft, key, change(read_served(draft, key), f"signature {key!r}"))


def _before(renamed: dict[str, str]) -> dict[str, str]:
    """By the new names, the old; names that are old ones too stand for those."""
    return {new: old for old, new in renamed.items() if new not in renamed}


def _pairs(renamed: dict[str, str]) -> str:
    return ", ".join(f"{old} to {new}" for old, new in renamed.items())
