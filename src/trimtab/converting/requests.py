"""Read a plan's inputs out of a serialized ModelInferRequest, in place.

The kernel says where each wanted input lies. Inputs of one request mostly share a few datatypes and shapes, so each
combination is checked once and its further inputs cost one view each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from google.protobuf.message import DecodeError
from msgspec import Struct

from trimtab.converting.assembly import Assembly
from trimtab.converting.contents import read_raw, read_typed
from trimtab.converting.refusals import array_text, mismatch, place, twice
from trimtab.errors import ConversionError
from trimtab.protocols import oip
from trimtab.signature.dtypes import DType, dtype_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trimtab._kernel import LocatedInput
    from trimtab.converting.plan import Place, Plan, Wanted

BROADCAST_PARAMETER = "broadcast"
"""An input with this parameter true and one row is a request-level feature: it holds for every row of the request."""

BROADCAST_EXTENSION = "trimtab_broadcast"
"""What a leaf lists in ServerMetadata.extensions to say that it repeats request-level features itself."""


class RequestedOutput(Struct, frozen=True):
    """An output that the request asks for by name."""

    name: str
    parameters: dict[str, bool | int | float | str]


class RequestHeader(Struct, frozen=True):
    """What a request says beside its inputs. `raw`: its inputs came as raw contents."""

    model_name: str = ""
    model_version: str = ""
    id: str = ""
    parameters: dict[str, bool | int | float | str] = {}
    outputs: tuple[RequestedOutput, ...] = ()
    raw: bool = False


def read_header(shell: bytes, *, raw: bool) -> RequestHeader:
    """The header of a request from its bytes without inputs. ConversionError when they are malformed."""
    try:
        message = oip.ModelInferRequest.FromString(shell)
    except DecodeError:
        raise malformed() from None
    outputs = message.outputs
    return RequestHeader(
        message.model_name,
        message.model_version,
        message.id,
        parameters_of(message.parameters),
        tuple(RequestedOutput(each.name, parameters_of(each.parameters)) for each in outputs) if outputs else (),
        raw,
    )


def parameters_of(message: Any) -> dict[str, bool | int | float | str]:
    """A map of InferParameter as plain values; one that says nothing is left out."""
    return {
        key: getattr(parameter, choice)
        for key, parameter in message.items()
        if (choice := parameter.WhichOneof("parameter_choice"))
    }


def malformed() -> ConversionError:
    """The error of bytes that are no request at all."""
    return ConversionError(
        expected="a serialized inference.ModelInferRequest", got="malformed bytes", hint="Nothing was scored."
    )


def read_inputs(
    payload: bytes, located: Sequence[LocatedInput], places: Sequence[Place | None], plan: Plan
) -> Assembly:
    """Place every located input. places: for each name of the mask, where it belongs."""
    assembly = Assembly(plan)
    arrays = assembly.arrays
    forms: dict[_Form, NDArray[Any]] = {}
    windows: NDArray[Any] | None = None
    last_pattern = last_size = -1
    last_shape: tuple[int, ...] = ()
    last_datatype = b""
    request_level: list[tuple[LocatedInput, int, Wanted]] = []
    others = 0
    for at in located:
        index, datatype, shape, _, _, begin, end, parameters, contents = at
        here = places[index]
        if here is None:
            others += 1
            continue
        pattern, name, wanted = here
        if parameters and shape[:1] == (1,) and not wanted.scalar and _says_broadcast(payload, parameters):
            request_level.append((at, pattern, wanted))
            continue
        if (
            pattern != last_pattern
            or end - begin != last_size
            or shape is not last_shape  # the kernel uses one object again for the like of it
            or datatype is not last_datatype
            or contents
        ):
            last_pattern, last_datatype, last_shape, last_size = pattern, datatype, shape, end - begin
            windows = None if contents else forms.get((pattern, datatype, shape, last_size))
        if windows is not None:
            arrays[name] = windows[begin]
        elif (found := _read_input(payload, at, wanted, assembly)) is not None:
            windows = forms[pattern, datatype, shape, last_size] = found
    if request_level:
        _repeat_rows(payload, request_level, assembly)
    if len(arrays) + others != len(located):
        raise _one_twice(located, places)
    return assembly


_Form: TypeAlias = tuple[int, bytes, tuple[int, ...], int]
"""A pattern of the signature, a datatype, a shape and a number of raw bytes: inputs that agree in all are alike."""


def _read_input(payload: bytes, at: LocatedInput, wanted: Wanted, assembly: Assembly) -> NDArray[Any] | None:
    """Check and place one input. If further inputs of its form need no other check, the windows of that form."""
    datatype, dtype = _dtype(at, wanted)
    shape = assembly.check(wanted, dtype, datatype, at.shape)
    array = _read(payload, at, wanted, dtype, shape)
    assembly.put(wanted, array)
    return _windows(payload, at, array) if shape else None


def _repeat_rows(payload: bytes, request_level: Sequence[tuple[LocatedInput, int, Wanted]], assembly: Assembly) -> None:
    """Place the request-level features, now that the others have said how many rows there are."""
    forms: dict[_Form, NDArray[Any]] = {}
    for at, pattern, wanted in request_level:
        form = (pattern, at.datatype, at.shape, at.parallel_end - at.parallel_begin)
        windows = None if at.contents else forms.get(form)
        if windows is not None:
            assembly.put(wanted, windows[at.parallel_begin])
            continue
        datatype, dtype = _dtype(at, wanted)
        full = assembly.check_once(wanted, dtype, datatype, at.shape)
        array = np.broadcast_to(_read(payload, at, wanted, dtype, at.shape), full)
        assembly.put(wanted, array)
        windows = _windows(payload, at, array)
        if windows is not None:
            forms[form] = windows


def _dtype(at: LocatedInput, wanted: Wanted) -> tuple[str, DType]:
    """The datatype as the request spells it, and what it is; text is bytes unless the signature says string."""
    datatype = at.datatype.decode("ascii", "replace")
    dtype = dtype_of("oip", datatype)
    if dtype is None:
        raise mismatch(wanted.input, str(wanted.input.type), array_text(datatype, at.shape))
    return datatype, DType.BYTES if dtype is DType.STRING and wanted.dtype is not DType.STRING else dtype


def _windows(payload: bytes, at: LocatedInput, like: NDArray[Any]) -> NDArray[Any] | None:
    """Every array of that form that the payload could hold, by the byte it begins at: the cheapest way to a view.

    None where the number of bytes does not say whether they are right: typed contents, text, flags.
    """
    if at.parallel_begin < 0 or like.dtype.kind in "Ob" or not like.size:
        return None
    count = len(payload) - (at.parallel_end - at.parallel_begin) + 1
    return np.ndarray((count, *like.shape), like.dtype, payload, 0, (1, *like.strides))


def _read(payload: bytes, at: LocatedInput, wanted: Wanted, dtype: DType, shape: tuple[int, ...]) -> NDArray[Any]:
    try:
        if at.parallel_begin < 0:
            return read_typed(dtype, shape, b"".join(payload[begin:end] for begin, end in at.contents))
        if at.contents:
            raise ConversionError(expected="raw contents or typed contents", got="both")
        return read_raw(dtype, shape, payload, at.parallel_begin, at.parallel_end)
    except ConversionError as refused:
        raise refused.within(place(wanted.name)) from None


def _one_twice(located: Sequence[LocatedInput], places: Sequence[Place | None]) -> ConversionError:
    seen: set[str] = set()
    for at in located:
        here = places[at.position]
        if here is not None:
            _, name, wanted = here
            if name in seen:
                return twice(wanted.input, (name, *wanted.input.aliases))
            seen.add(name)
    raise AssertionError("called for a request without duplicates")


def _says_broadcast(payload: bytes, entries: tuple[tuple[int, int], ...]) -> bool:
    """Whether the parameters hold `broadcast: true`. The form that encoders write is known by its bytes."""
    if len(entries) == 1 and payload[entries[0][0] : entries[0][1]] == _BROADCAST_ENTRY:
        return True
    try:
        parameters = [_PARAMETERS_ENTRY.FromString(payload[begin:end]) for begin, end in entries]
    except DecodeError:
        raise malformed() from None
    return bool({entry.key: entry.value.bool_param for entry in parameters}.get(BROADCAST_PARAMETER))


_PARAMETERS_ENTRY = oip.ModelInferRequest.InferInputTensor.ParametersEntry
_BROADCAST_ENTRY = _PARAMETERS_ENTRY(
    key=BROADCAST_PARAMETER, value=oip.InferParameter(bool_param=True)
).SerializeToString()


def element_names(payload: bytes) -> list[str]:
    """The name of every input that a request carries, to explain what is missing; empty where protobuf cannot say."""
    try:
        return [tensor.name for tensor in oip.ModelInferRequest.FromString(payload).inputs]
    except DecodeError:
        return []
