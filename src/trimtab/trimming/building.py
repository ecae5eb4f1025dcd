"""Build a ModelInferRequest straight from columns, for a root that owns the features.

Where the features are at hand, the cheapest way to trim is not to build what would be dropped. Everything about a
request but its values (names, datatypes, shapes, the framing of each raw buffer) depends only on the model version,
the batch size and the layout of the inputs: it is encoded once, kept, and joined with the columns' own buffers. No
object per input is made, and no value is looked at.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from operator import attrgetter
from threading import Lock
from typing import TYPE_CHECKING, Any

from trimtab.errors import ConversionError
from trimtab.protocols import oip
from trimtab.signature.dtypes import dtype_of
from trimtab.source.wire import encode_field, encode_tag, encode_varint

if TYPE_CHECKING:
    from collections.abc import Sequence

_ID, _RAW_INPUT_CONTENTS = 3, 7
"""Fields of ModelInferRequest."""


@dataclass(frozen=True, slots=True)
class InputLayout:
    """One input of a request but for its values.

    datatype: as the Open Inference Protocol writes it (`FP32`, `INT64`, `BYTES`).
    shape: fixed sizes, and None where the batch size stands.
    parameters: what goes into `InferInputTensor.parameters`, in order.
    """

    name: str
    datatype: str
    shape: tuple[int | None, ...]
    parameters: tuple[tuple[str, bool | int | str], ...] = ()


@dataclass(frozen=True, eq=False)
class RequestLayout:
    """The inputs of the requests to one model version, in the order in which their columns will be given.

    Compared by identity: a caller makes one per model version and keeps it, so that finding a template hashes nothing.
    """

    model_name: str
    model_version: str
    inputs: tuple[InputLayout, ...]


class RequestTemplate:
    """A request of one layout and batch size, encoded but for its values. Immutable; safe to share between threads."""

    def __init__(self, layout: RequestLayout, batch: int) -> None:
        """Encode what does not change. Raises ConversionError for a datatype that the protocol does not have."""
        self.layout = layout
        self.batch = batch
        self.header: bytes = _header(layout, batch)
        self._sizes = [_byte_size(layout, value, batch) for value in layout.inputs]
        self._variable = [index for index, size in enumerate(self._sizes) if size is None]
        # What will be joined: id, header, then framing and column in turn.
        self._parts: list[Any] = [b""] * (2 * len(layout.inputs) + 2)
        self._parts[1] = self.header
        self._parts[2::2] = [_frame(size or 0) for size in self._sizes]

    def build(self, columns: Sequence[Any], request_id: str = "") -> bytes:
        """The serialized ModelInferRequest with these values, one C-contiguous buffer per input of the layout.

        columns: numpy arrays, bytes or memoryviews whose bytes are the raw contents (little-endian, rows first;
        BYTES elements each behind their length as four bytes). Only sizes are checked, dtypes are the caller's.
        Raises ConversionError when the number of columns or the size of one is not the layout's.
        """
        try:
            sizes: list[Any] = list(map(_nbytes, columns))
        except AttributeError:
            sizes = [memoryview(column).nbytes for column in columns]
        parts = self._parts.copy()
        if sizes != self._sizes:
            self._check(sizes)
            for index in self._variable:
                parts[2 * index + 2] = _frame(sizes[index])
        parts[3::2] = columns
        if request_id:
            parts[0] = encode_field(_ID, request_id.encode())
        try:
            return b"".join(parts)
        except (BufferError, TypeError, ValueError) as problem:
            raise self._not_contiguous(columns, problem) from problem

    def _check(self, sizes: list[int]) -> None:
        layout = self.layout
        where = f"request for {layout.model_name}:{layout.model_version or 'latest'}"
        if len(sizes) != len(layout.inputs):
            raise ConversionError(where=where, expected=f"{len(layout.inputs)} columns", got=str(len(sizes)))
        for value, expected, got in zip(layout.inputs, self._sizes, sizes, strict=True):
            if expected is not None and got != expected:
                shape = ", ".join("N" if dim is None else str(dim) for dim in value.shape)
                raise ConversionError(
                    where=f'{where}: input "{value.name}"',
                    expected=f"{expected} bytes of {value.datatype} [{shape}] with N = {self.batch}",
                    got=f"{got} bytes",
                    hint="Give one buffer per input of the layout, in the layout's order.",
                )

    def _not_contiguous(self, columns: Sequence[Any], problem: Exception) -> ConversionError:
        for value, column in zip(self.layout.inputs, columns, strict=True):
            try:
                b"".join((b"", column))
            except (BufferError, TypeError, ValueError):
                return ConversionError(
                    where=f'request for {self.layout.model_name}: input "{value.name}"',
                    expected="a C-contiguous buffer of plain values",
                    got=f"{type(column).__name__} ({problem})",
                    hint="Pass it through numpy.ascontiguousarray first.",
                )
        return ConversionError(f"the columns cannot be joined: {problem}")


class RequestBuilder:
    """Templates of recent requests, by layout and batch size. Bounded, least recently used out first; thread-safe."""

    def __init__(self, capacity: int = 256) -> None:
        self.capacity = capacity
        self._templates: OrderedDict[tuple[RequestLayout, int], RequestTemplate] = OrderedDict()
        self._lock = Lock()

    def template(self, layout: RequestLayout, batch: int) -> RequestTemplate:
        """The template of that layout and batch size, made on first use."""
        key = (layout, batch)
        with self._lock:
            template = self._templates.get(key)
            if template is not None:
                self._templates.move_to_end(key)
                return template
        template = RequestTemplate(layout, batch)
        with self._lock:
            self._templates[key] = template
            while len(self._templates) > self.capacity:
                self._templates.popitem(last=False)
        return template

    def build(self, layout: RequestLayout, batch: int, columns: Sequence[Any], request_id: str = "") -> bytes:
        """`template(layout, batch).build(columns, request_id)`."""
        return self.template(layout, batch).build(columns, request_id)

    def __len__(self) -> int:
        return len(self._templates)


_nbytes = attrgetter("nbytes")


def _header(layout: RequestLayout, batch: int) -> bytes:
    request = oip.ModelInferRequest(model_name=layout.model_name, model_version=layout.model_version)
    for value in layout.inputs:
        tensor = request.inputs.add(
            name=value.name,
            datatype=value.datatype,
            shape=[batch if dim is None else dim for dim in value.shape],
        )
        for key, parameter in value.parameters:
            setattr(tensor.parameters[key], _parameter_field(parameter), parameter)
    header: bytes = request.SerializeToString(deterministic=True)
    return header


def _parameter_field(parameter: bool | int | str) -> str:
    if isinstance(parameter, bool):
        return "bool_param"
    return "int64_param" if isinstance(parameter, int) else "string_param"


def _byte_size(layout: RequestLayout, value: InputLayout, batch: int) -> int | None:
    if value.datatype == "BYTES":
        return None
    dtype = dtype_of("oip", value.datatype)
    if dtype is None or dtype.itemsize is None:
        raise ConversionError(
            where=f'request for {layout.model_name}: input "{value.name}"',
            expected="a datatype of the Open Inference Protocol, such as FP32 or INT64",
            got=repr(value.datatype),
        )
    size = dtype.itemsize
    for dim in value.shape:
        size *= batch if dim is None else dim
    return size


def _frame(size: int) -> bytes:
    """What stands before one entry of raw_input_contents of `size` bytes."""
    return encode_tag(_RAW_INPUT_CONTENTS) + encode_varint(size)
