"""What comes of a call: the trace that runs and what it is fed, or the refusal; and every trial on the way there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct

from trimtab.savedmodel.structure import shape_text

if TYPE_CHECKING:
    from trimtab.savedmodel.captures import Capture
    from trimtab.savedmodel.graph_protos import Shape

Difference: TypeAlias = Literal["structure", "keyword", "dtype", "rank", "dimension", "literal", "type", "conversion"]
"""How an argument differs from what a trace expects.

structure: containers nest otherwise, or have other lengths. keyword: other keys. type: a tensor where none is expected,
or none where one is; a composite of another class. conversion: no tensor can be made of the value.
"""

Stage: TypeAlias = Literal["lookup", "binding", "cast", "trial", "match", "call", "run"]
"""Where TensorFlow refuses: finding the function by its path or key, binding arguments to parameters, casting them to
the `input_signature`, in a trial that raises, after the last trial, when the chosen function is called, or while it
runs."""


class Mismatch(Struct, frozen=True):
    """The first difference between a call and a trace, in TensorFlow's order: the one that decides.

    path: the argument, as `x`, `feats['ids']`, `*args[1]`, `pair[0].score`.
    """

    path: str
    kind: Difference
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.path}: expected {self.expected}, got {self.got}"


class Trial(Struct, frozen=True):
    """One trace tried. position: in the stored order. allow_conversion: the second pass.

    mismatch: why it does not match. raised: the class of the error that TensorFlow raises instead of an answer, which
    ends the search though a later trace may match; `message` is its text.
    """

    trace: str
    position: int
    allow_conversion: bool
    matched: bool
    mismatch: Mismatch | None = None
    raised: str | None = None
    message: str = ""


class Feed(Struct, frozen=True):
    """One flat tensor that the function is fed. argument: its name in the FunctionDef, empty where that is missing.

    dtype, shape: as fed. path: the argument of the call it comes from.
    converted: whether TensorFlow made it from a Python value, or cast it.
    """

    argument: str
    dtype: str
    shape: Shape
    path: str
    converted: bool = False

    def __str__(self) -> str:
        return f"{self.argument} = {self.path} ({self.dtype} {shape_text(self.shape)})"


class Refusal(Struct, frozen=True):
    """TensorFlow's own error: its class, and its text as near as it can be had without TensorFlow."""

    tensorflow: str
    message: str
    stage: Stage

    def __str__(self) -> str:
        return f"{self.tensorflow}: {self.message}"


class Candidate(Struct, frozen=True):
    """A trace that does not take the call, with everything about the call that it does not take.

    differences: in the order of the arguments; the first one is what to look at. remedy: what to do about that one.
    """

    trace: str
    position: int
    differences: tuple[Mismatch, ...]
    remedy: str = ""

    @property
    def distance(self) -> int:
        """How far the call is from the trace: 0 where it matches. See `DISTANCES`."""
        return sum(DISTANCES[each.kind] for each in self.differences)


DISTANCES: dict[Difference, int] = {
    "dimension": 1,
    "dtype": 2,
    "literal": 2,
    "rank": 3,
    "conversion": 3,
    "type": 4,
    "keyword": 5,
    "structure": 6,
}
"""What each kind of difference counts: the less there is to change in the call, the nearer the trace."""


class Caution(Struct, frozen=True):
    """Something about a call that TensorFlow does without a word, and that the caller may not want.

    id: as VALUE_WRAPS; `cautions` lists them. path: the argument it is about, or empty.
    """

    id: str
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.id} {self.path}: {self.message}" if self.path else f"{self.id}: {self.message}"


class Dispatch(Struct, frozen=True):
    """What comes of a call. Either `trace` is the FunctionDef that runs, or `refusal` says how TensorFlow refuses.

    function: the object path, or the key of a signature. position: of the trace in the trial order; None for a
    signature or a bare concrete function, which have but one. allow_conversion: whether it took the second pass.
    feeds: the flat tensors, in the order of the FunctionDef's arguments. captures: what follows them.
    trials: each trace tried, in order, the last one the one that decided.
    candidates: of a refusal, the traces by nearness. advice: what to do about a refusal. warnings: what the caller may
    not want of a call that TensorFlow takes, and of one that it refuses for a reason of its own.
    Both `trace` and `refusal` are set when a function was chosen and TensorFlow is known to refuse running it.
    """

    function: str
    trace: str | None = None
    position: int | None = None
    allow_conversion: bool = False
    feeds: tuple[Feed, ...] = ()
    captures: tuple[Capture, ...] = ()
    trials: tuple[Trial, ...] = ()
    refusal: Refusal | None = None
    candidates: tuple[Candidate, ...] = ()
    advice: tuple[str, ...] = ()
    warnings: tuple[Caution, ...] = ()

    @property
    def dispatched(self) -> bool:
        """Whether a function runs."""
        return self.refusal is None
