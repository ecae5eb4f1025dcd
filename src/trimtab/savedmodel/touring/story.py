"""What a tour tells, as immutable data: the shape of `trimtab tour --json`.

Every `where` is a path in the SavedModel proto, such as `meta_graphs[0].object_graph_def.nodes[8]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct, to_builtins

if TYPE_CHECKING:
    from trimtab.savedmodel.touring.outline import Branch


class Value(Struct, frozen=True, omit_defaults=True):
    """An input or a result: its name, its type in words, and what else is to be said of it."""

    name: str
    type: str
    note: str = ""


class Step(Struct, frozen=True, omit_defaults=True):
    """One place of a chain.

    place: the message that lies there, by the name of its proto. title: what it says. facts: the same in detail.
    depth: how deep the calls nest that lead to a FunctionDef; the wrapper is 0.
    node_id, function: the node of the object graph, or the FunctionDef, that the place is or names.
    """

    place: str
    where: str
    title: str
    facts: tuple[str, ...] = ()
    depth: int = 0
    node_id: int | None = None
    function: str = ""


class CapturedValue(Struct, frozen=True, omit_defaults=True):
    """What a function is fed at every call besides its arguments.

    argument, position: of the FunctionDef, where it is fed.
    """

    node_id: int
    kind: str
    path: str
    name: str
    type: str
    argument: str
    position: int
    where: str


class Copy(Struct, frozen=True, omit_defaults=True):
    """What one place declares of a value. A dtype or shape that the place does not state is None."""

    place: str
    where: str
    name: str
    dtype: str | None = None
    shape: str | None = None
    argument: int | None = None


class Declared(Struct, frozen=True, omit_defaults=True):
    """One value of a signature in all the places that declare it; `differences` is empty when they agree."""

    direction: str
    name: str
    copies: tuple[Copy, ...]
    differences: tuple[str, ...] = ()


class TraceReference(Struct, frozen=True, omit_defaults=True):
    """A trace by its function's object path and its position in the trial order.

    twin: what the signature calls is a copy of it under another name.
    """

    function: str
    position: int
    name: str
    twin: bool = False


class SignatureTour(Struct, frozen=True, omit_defaults=True):
    """An entry point. `told` is False where only its inputs and results are told, for want of room.

    served_by: the loaders that find it: `TF2`, `TF1 and C++`.
    """

    key: str
    served_by: tuple[str, ...]
    inputs: tuple[Value, ...] = ()
    outputs: tuple[Value, ...] = ()
    told: bool = True
    steps: tuple[Step, ...] = ()
    traces: tuple[TraceReference, ...] = ()
    captures: tuple[CapturedValue, ...] = ()
    declared: tuple[Declared, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether every value is declared alike wherever it is declared."""
        return not any(value.differences for value in self.declared)


class TraceTour(Struct, frozen=True, omit_defaults=True):
    """A trace of a polymorphic function: one concrete function, tried after those before it."""

    name: str
    arguments: tuple[Value, ...]
    result: str
    captures: tuple[CapturedValue, ...] = ()
    where: str = ""
    problem: str = ""


class FunctionTour(Struct, frozen=True, omit_defaults=True):
    """A polymorphic function, by the path from the root; `traces` are in trial order.

    parameters: as they stood in Python. input_signature: what the function was constrained to, by position.
    signatures: the keys of the signatures that run one of its traces. left_out: how many traces are not told.
    """

    path: str
    node_id: int
    where: str
    parameters: str
    input_signature: tuple[str, ...] | None = None
    jit_compile: bool | None = None
    traces: tuple[TraceTour, ...] = ()
    signatures: tuple[str, ...] = ()
    left_out: int = 0
    problem: str = ""


class CollectionTour(Struct, frozen=True, omit_defaults=True):
    """A collection of a TF1 graph: its name and what it holds, in words."""

    name: str
    where: str
    size: int
    items: tuple[str, ...] = ()


class MetaGraphTour(Struct, frozen=True, omit_defaults=True):
    """One graph of the model with its entry points.

    made_by: Keras and its kin, when the file shows it. objects: the number of nodes of each kind.
    left_out: how many signatures and functions are not even named, for want of room.
    """

    where: str
    tags: tuple[str, ...]
    tensorflow_version: str
    tf2: bool
    made_by: str = ""
    graph_nodes: int = 0
    library_functions: int = 0
    objects: dict[str, int] = {}
    init_op: Step | None = None
    signatures: tuple[SignatureTour, ...] = ()
    functions: tuple[FunctionTour, ...] = ()
    collections: tuple[CollectionTour, ...] = ()
    assets: tuple[str, ...] = ()
    left_out: dict[str, int] = {}


class Tour(Struct, frozen=True, omit_defaults=True):
    """A SavedModel, told. `print` it, or let a notebook show it; `as_dict` is the shape of `trimtab tour --json`."""

    file: str
    size: int
    schema_version: int
    meta_graphs: tuple[MetaGraphTour, ...]

    def as_dict(self) -> dict[str, Any]:
        """The tour as what JSON holds; what is empty, absent or False is left out."""
        found: dict[str, Any] = to_builtins(self)
        return found

    def outline(self) -> Branch:
        """The tour as a tree of lines, the same in the terminal and in a notebook."""
        from trimtab.savedmodel.touring.outline import outline

        return outline(self)

    def __str__(self) -> str:
        from trimtab.savedmodel.touring.text import as_text

        return as_text(self.outline())

    def _repr_html_(self) -> str:
        from trimtab.savedmodel.touring.text import as_html

        return as_html(self.outline())
