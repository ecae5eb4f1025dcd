"""The value model: a signature, its entry points, their overloads, and the inputs and outputs inside.

Everything here is an immutable value. Nothing here knows a file, a network or a framework.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property

from msgspec import Struct, field

from trimtab.errors import SignatureError
from trimtab.signature.types import Literal, Type  # noqa: TC001  # msgspec reads the annotations at run time


class Presence(StrEnum):
    """Whether a request must carry a value."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    DEFAULT = "default"
    """May be absent; the artifact then uses its default."""


class Live(StrEnum):
    """Whether any output depends on an input."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Learned(StrEnum):
    """How a fact came to be known."""

    DECLARED = "declared"
    """Stated by the exporter in an embedded signature document."""
    DERIVED = "derived"
    """Read from the artifact's own graph or code."""
    EXAMPLE = "example"
    """Seen in example inputs kept by the exporter: true of the example, perhaps not of every request."""


class _Value(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the value objects: frozen, compact in JSON, strict about unknown fields."""


class Range(_Value, frozen=True):
    """A closed interval; None means unbounded on that side."""

    minimum: int | float | None = None
    maximum: int | float | None = None

    def __str__(self) -> str:
        low = "-inf" if self.minimum is None else self.minimum
        high = "inf" if self.maximum is None else self.maximum
        return f"{low}..{high}"


class Constraints(_Value, frozen=True):
    """What the elements of a value may be, beyond their dtype.

    categorical: they are categories, text or whole numbers and never fractions, without a list of those that there are.
    """

    range: Range | None = None
    categories: tuple[str | int | float | bool, ...] | None = None
    categorical: bool = False


class Quantization(_Value, frozen=True):
    """What the integers of a quantized value stand for: `scale * (value - zero_point)`."""

    scale: float
    zero_point: int = 0

    def __str__(self) -> str:
        return f"{self.scale:.9g} * (value {'+' if self.zero_point < 0 else '-'} {abs(self.zero_point)})"


class Feature(_Value, frozen=True):
    """One feature inside an input that carries many: a matrix column, a map entry, a key of a serialized example."""

    name: str
    type: Type
    presence: Presence = Presence.REQUIRED
    default: Literal | None = None
    nullable: bool = False
    constraints: Constraints | None = None
    id: str | None = None
    aliases: tuple[str, ...] = ()


class Input(_Value, frozen=True):
    """One value that a caller gives.

    name: what a request calls it.
    path: where it sits in the call, for example `feats["item.price"]` or `args[1].ids`; None when the same as the name.
    default: the value used when absent; None under `presence: default` means that only the artifact knows the value.
    nullable: whether a present value may be null. A third axis beside required and optional.
    quantization: what its integers stand for; None where they are what they are, or where nothing says otherwise.
    id: a stable identity that survives renames. aliases: other names that requests may use.
    live: whether any output depends on it.
    features: the features inside, where one tensor or map carries many.
    learned: facts of this input that were learned otherwise than the signature as a whole, by field name.
    """

    name: str
    type: Type
    path: str | None = None
    presence: Presence = Presence.REQUIRED
    default: Literal | None = None
    nullable: bool = False
    constraints: Constraints | None = None
    id: str | None = None
    aliases: tuple[str, ...] = ()
    live: Live = Live.UNKNOWN
    features: tuple[Feature, ...] = ()
    quantization: Quantization | None = None
    doc: str = ""
    learned: dict[str, Learned] = field(default_factory=dict)

    @property
    def call_path(self) -> str:
        """Where the value sits in the call."""
        return self.name if self.path is None else self.path


class Output(_Value, frozen=True):
    """One value that the model returns; `path` is its place in the returned structure (`""` is the whole of it).

    quantization: as of an input.
    """

    name: str
    type: Type
    path: str | None = None
    id: str | None = None
    quantization: Quantization | None = None
    doc: str = ""
    learned: dict[str, Learned] = field(default_factory=dict)

    @property
    def return_path(self) -> str:
        """Where the value sits in what the model returns."""
        return self.name if self.path is None else self.path


class Overload(_Value, frozen=True):
    """One way to call an entry point. `dimensions` bounds symbols and expressions that the shapes use."""

    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    dimensions: dict[str, Range] = field(default_factory=dict)
    name: str = ""


class EntryPoint(_Value, frozen=True):
    """A named callable of the model, with its overloads in the order in which they are tried."""

    name: str
    overloads: tuple[Overload, ...]

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs of all overloads, in order, each once."""
        return tuple(dict.fromkeys(value.name for overload in self.overloads for value in overload.inputs))

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs of all overloads, in order, each once."""
        return tuple(dict.fromkeys(value.name for overload in self.overloads for value in overload.outputs))


class Provenance(_Value, frozen=True):
    """Where a signature comes from: the artifact's format, what wrote it, and how its facts were learned."""

    format: str = ""
    producer: str = ""
    learned: Learned = Learned.DECLARED
    notes: tuple[str, ...] = ()


class Signature(Struct, frozen=True, dict=True, kw_only=True):
    """A model's declaration of its inputs and outputs. Equal contracts have equal digests."""

    entry_points: tuple[EntryPoint, ...]
    default_entry_point: str
    provenance: Provenance = Provenance()

    def __post_init__(self) -> None:
        """Refuse a signature that names no entry point, names one twice, or has an entry point without overloads."""
        names = [entry_point.name for entry_point in self.entry_points]
        if len(set(names)) != len(names):
            raise SignatureError(where="entry_points", expected="each name once", got=", ".join(map(repr, names)))
        if self.default_entry_point not in names:
            raise SignatureError(
                where="default_entry_point",
                expected=f"one of {', '.join(map(repr, names)) or 'at least one entry point'}",
                got=repr(self.default_entry_point),
            )
        for entry_point in self.entry_points:
            if not entry_point.overloads:
                raise SignatureError(
                    where=f"entry_points.{entry_point.name}", expected="at least one overload", got="none"
                )

    def entry_point(self, name: str | None = None) -> EntryPoint:
        """The entry point of that name, or the default one. Raises SignatureError, naming what there is."""
        wanted = self.default_entry_point if name is None else name
        for entry_point in self.entry_points:
            if entry_point.name == wanted:
                return entry_point
        known = ", ".join(repr(entry_point.name) for entry_point in self.entry_points)
        raise SignatureError("no such entry point", expected=f"one of {known}", got=repr(wanted))

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Inputs of the default entry point's first overload."""
        return self.entry_point().overloads[0].inputs

    @property
    def outputs(self) -> tuple[Output, ...]:
        """Outputs of the default entry point's first overload."""
        return self.entry_point().overloads[0].outputs

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the default entry point's inputs, in order, each once."""
        return self.entry_point().input_names

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the default entry point's outputs, in order, each once."""
        return self.entry_point().output_names

    @cached_property
    def allowlist(self) -> frozenset[str]:
        """Every name under which a request may carry an input of this model: all entry points, overloads and aliases.

        A superset on purpose: a name that any entry point consumes is never trimmed.
        """
        return frozenset(
            name
            for entry_point in self.entry_points
            for overload in entry_point.overloads
            for value in overload.inputs
            for name in (value.name, *value.aliases)
        )

    @cached_property
    def digest(self) -> str:
        """`sha256:…` over the whole contract (see `trimtab.signature.canonical`)."""
        from trimtab.signature.canonical import digest

        return digest(self)

    @cached_property
    def input_digest(self) -> str:
        """`sha256:…` over what a request must carry: what trimming depends on."""
        from trimtab.signature.canonical import input_digest

        return input_digest(self)

    def __str__(self) -> str:
        from trimtab.signature.render import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from trimtab.signature.render import as_html

        return as_html(self)
