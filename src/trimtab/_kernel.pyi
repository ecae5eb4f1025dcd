"""The native kernel: payloads, compiled maps and per-feature accounting over bytes (sources: native/).

Whatever the bytes, no call here raises for what a payload holds: a payload that cannot be trimmed comes back as it is,
with an outcome that says why. Names given from Python are str; names found in payloads are bytes and need not be UTF-8.
`bytes` and every other contiguous buffer are payloads. All objects are safe to use from many threads at once; the GIL
is released while 32 KiB or more are read or copied.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar, final

from typing_extensions import Buffer

_Payload = TypeVar("_Payload", bound=Buffer)
_Account = tuple[int, int, int, int]

OUTCOMES: tuple[str, ...]
"""Names of the outcomes; an outcome is returned as an index into this tuple."""

@final
class PayloadTable:
    """A payload format compiled for the kernel. Build it with `trimtab.protocols.tables.PayloadTable`."""

    def __init__(
        self,
        *,
        model_name: Sequence[int],
        model_version: Sequence[int],
        elements: int,
        key: Sequence[int],
        parallel: int = 0,
        version_is_varint: bool = False,
    ) -> None:
        """ValueError for a field number outside 1 to 2**29 - 1, or a path that is empty (`key`) or longer than 8."""
    def identify(self, payload: Buffer) -> tuple[bytes, bytes] | None:
        """The model and the version that `payload` names (b"" for none), or None when it is malformed."""

@final
class TensorFields:
    """Field numbers inside an element that is a tensor, for `Mask.locate`."""

    def __init__(self, *, datatype: int, shape: int, parameters: int, contents: int) -> None: ...

@final
class Ledger:
    """Counts elements and bytes per feature, over every payload that it is passed to.

    An account is (elements kept, bytes kept, elements dropped, bytes dropped); bytes are those of the element and of
    its parallel entry, with their tags and lengths. Elements of a payload that passes through are kept; those of a
    malformed one are not counted. At most `max_names` names of at most 256 bytes have accounts of their own.
    """

    def __init__(self, max_names: int = 65536) -> None: ...
    def snapshot(self) -> dict[str, _Account]:
        r"""Accounts by name; bytes of a name that are not UTF-8 are escaped as \xNN."""
    @property
    def overflow(self) -> _Account:
        """The one account of all other names."""
    def reset(self) -> None:
        """Zero every account and forget the names."""

@final
class CompiledMap:
    """Models, versions and allowlists in the form that requests are looked up in. Immutable."""

    def __init__(
        self,
        names: Sequence[str],
        allowlists: Sequence[bytes],
        models: Sequence[tuple[str, bool, int, int, Sequence[tuple[str, int]]]],
    ) -> None:
        """Compile a map. The GIL is released while the allowlists are read.

        names: of all features, each once. allowlists: each the positions of its names in `names`, as big-endian words
          of four bytes; the allowlists' own positions are the indices used below.
        models: (name, attested stable, index of the latest version's allowlist, index of the union of all its versions'
          allowlists, [(version, index), ...]).
        Raises ValueError for a repeated name, a position that no name has, a model without versions, an empty or
        repeated version, a repeated model, or an index that no allowlist has.
        """
    def lookup(self, model: str, version: str, strict: bool = False) -> tuple[int, int]:
        """Outcome and index of the allowlist (-1: pass through) for a request; an empty version means none is named."""
    def allowlist(self, index: int) -> list[str]:
        """The names of one allowlist, in the order of the map's names. IndexError when there is none."""
    @property
    def exact_only(self) -> CompiledMap:
        """The same map, of which every table is shared, as it answers while nobody confirms it.

        A request that names no version of a known model, or one that the map does not have, has the outcome
        `unconfirmed` and passes through; a strict one is answered as before.
        """
    def trim(
        self, payload: _Payload, table: PayloadTable, strict: bool = False, ledger: Ledger | None = None
    ) -> tuple[_Payload | bytes, int, int, int]:
        """Look up what `payload` asks for and trim it: (payload to send, outcome, elements kept, elements dropped).

        When nothing is dropped, the payload to send is the very object that was given. Both counts are 0 for a
        malformed payload.
        """

class LocatedInput(NamedTuple):
    """Where one input of a request lies; offsets are in bytes from the start of the payload."""

    position: int
    """Of its name in the mask."""
    datatype: bytes
    """As the request spells it; b"" when it does not."""
    shape: tuple[int, ...]
    element_begin: int
    """The element's content: a serialized tensor message."""
    element_end: int
    parallel_begin: int
    """The content of its parallel entry (raw contents); -1 when the request has no parallel entries."""
    parallel_end: int
    parameters: tuple[tuple[int, int], ...]
    """(begin, end) of each entry of the element's parameters."""
    contents: tuple[tuple[int, int], ...]
    """(begin, end) of the element's typed contents: empty, or one, or several that are to be read as one message."""

@final
class Mask:
    """One allowlist on its own, for a leaf or a service with one model."""

    def __init__(self, names: Sequence[str]) -> None:
        """ValueError when a name is given twice."""
    def trim(
        self, payload: _Payload, table: PayloadTable, ledger: Ledger | None = None
    ) -> tuple[_Payload | bytes, int, int, int]:
        """As `CompiledMap.trim`, whatever model the payload names; the outcome of a trimmed payload is `exact`."""
    def locate(
        self, payload: Buffer, table: PayloadTable, fields: TensorFields
    ) -> tuple[str | None, bytes, list[LocatedInput], int]:
        """Find the inputs that the mask names, without decoding a value.

        Returns (refusal, shell, inputs, total). refusal: None, or "malformed" or "misaligned" (the rest is then empty).
        shell: the payload without any element and parallel entry. inputs: in the order of the payload, duplicates
        included. total: how many elements the payload has, named by the mask or not.
        """
