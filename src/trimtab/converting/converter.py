"""The feature converter: exactly the inputs of a signature, from whatever carries the features.

It is compiled from the signature once. A request's unneeded features are stepped over, never decoded; those that are
needed become views over the request's own bytes wherever the dtype allows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from trimtab._kernel import Mask
from trimtab.converting.assembly import Assembly
from trimtab.converting.columns import array_of, arrow_array, fit, record_batch, row_names, rows_array
from trimtab.converting.contents import as_text, datatype_of
from trimtab.converting.plan import Plan, Wanted
from trimtab.converting.refusals import array_text, mismatch, naming, quoted, twice
from trimtab.converting.requests import RequestHeader, element_names, malformed, read_header, read_inputs
from trimtab.converting.torch_tensors import torch_tensors
from trimtab.errors import ConversionError
from trimtab.protocols.tables import INFER_INPUT_TENSOR, MODEL_INFER_REQUEST
from trimtab.signature.dtypes import DType

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from trimtab.signature.model import Overload, Signature


class Converted(Struct, frozen=True, eq=False):
    """The inputs of one request, ready for an engine.

    arrays: by name, in the signature's order; absent optional inputs are left out. Arrays are to be read only: they may
      be views over the request (unaligned, if its bytes lie so) or repeat one row by a stride of 0.
    dimensions: the size of every symbol and expression that the signature's shapes use and the request says.
    batch: the number of rows, or None where the signature leaves no leading dimension open.
    overload: the one whose inputs these are.
    request: the header of the request they came in; None for columns and rows.
    """

    arrays: dict[str, Any]
    dimensions: dict[str, int]
    batch: int | None
    overload: Overload
    request: RequestHeader | None = None

    def aligned(self) -> Converted:
        """The same with every unaligned array copied, for code that cannot read one."""
        arrays = {
            name: array if array.flags.aligned else np.require(array, requirements=["A"])
            for name, array in self.arrays.items()
        }
        return Converted(arrays, self.dimensions, self.batch, self.overload, self.request)


class FeatureConverter:
    """Converts requests for one entry point of one model version. Immutable, safe to use from many threads."""

    def __init__(
        self, signature: Signature, *, model: str = "", version: str = "", entry_point: str | None = None
    ) -> None:
        """Compile the converter of `entry_point`, or of the default one.

        model, version: for error messages; when empty, those that the request names. Raises ConversionError for a
        signature with a required input that no request tensor can carry (ragged, sparse, a mapping), or with one name
        for two inputs; SignatureError for an entry point that it does not have.
        """
        self._model, self._version = model, version
        chosen = signature.entry_point(entry_point)
        self._plans = [Plan(overload) for overload in chosen.overloads]
        names = list(dict.fromkeys(name for plan in self._plans for name in plan.by_name))
        self._mask = Mask(names)
        self._places = [plan.places(names) for plan in self._plans]
        self._table, self._fields = MODEL_INFER_REQUEST.compiled, INFER_INPUT_TENSOR.compiled

    def from_request(self, payload: bytes) -> Converted:
        """Convert a serialized `inference.ModelInferRequest`, with raw or typed contents.

        Inputs that the signature does not name are ignored, whatever their contents. Request-level features (one row,
        parameter `broadcast` true) are repeated for all rows without a copy. Raises ConversionError, and nothing else,
        for bytes that are no request and for a request that does not fit the signature.
        """
        refusal, shell, located, _ = self._mask.locate(payload, self._table, self._fields)
        if refusal is not None:
            raise self._refused_payload(refusal)
        try:
            header = read_header(shell, raw=bool(located) and located[0].parallel_begin >= 0)
        except ConversionError as failure:
            raise failure.within(self._where()) from None
        return self._first_fit(
            lambda number: read_inputs(payload, located, self._places[number], self._plans[number]),
            lambda: element_names(payload),
            header,
        )

    def from_columns(self, columns: Mapping[str, NDArray[Any]], *, broadcast: Collection[str] = ()) -> Converted:
        """Convert arrays by name, of the signature's dtypes and shapes (uint16 bits for bfloat16).

        broadcast: names of request-level features, whose one row holds for all. Raises ConversionError.
        """

        def assemble(number: int) -> Assembly:
            assembly = Assembly(self._plans[number])
            there = sorted(_there(columns, self._plans[number]), key=lambda each: each[1] in broadcast)
            for wanted, name in there:
                with naming(wanted.input):
                    array = array_of(columns[name])
                _place(assembly, wanted, array, once=name in broadcast)
            return assembly

        return self._first_fit(assemble, lambda: columns)

    def from_arrow(self, batch: Any) -> Converted:
        """Convert an Arrow record batch (anything with `__arrow_c_array__`), one row per candidate.

        Only the columns that the signature names are touched. Fixed-size lists become `[N, k]` without a copy. A null
        is refused, unless the input is nullable and floating-point: there it becomes NaN. Raises ConversionError.
        """
        try:
            batch = record_batch(batch)
        except ConversionError as failure:
            raise failure.within(self._where()) from None
        names: list[str] = batch.schema.names
        columns: dict[str, list[int]] = {}
        for position, name in enumerate(names):
            columns.setdefault(name, []).append(position)

        def assemble(number: int) -> Assembly:
            assembly = Assembly(self._plans[number])
            for wanted, name in _there(columns, self._plans[number]):
                if len(columns[name]) > 1:
                    raise twice(wanted.input, (name,))
                with naming(wanted.input):
                    array = arrow_array(batch.column(columns[name][0]), nullable=wanted.input.nullable)
                _place(assembly, wanted, fit(array, wanted))
            return assembly

        return self._first_fit(assemble, lambda: names)

    def from_rows(self, rows: Sequence[Mapping[str, Any]]) -> Converted:
        """Convert one mapping of feature values per candidate: Python numbers, text, lists, or numpy arrays.

        A value must be one that the dtype can hold. A feature that only some rows have takes the signature's default in
        the others, if it states one. Raises ConversionError.
        """
        try:
            names = row_names(rows)
        except ConversionError as failure:
            raise failure.within(self._where()) from None

        def assemble(number: int) -> Assembly:
            assembly = Assembly(self._plans[number])
            for wanted, name in _there(names, self._plans[number]):
                with naming(wanted.input):
                    array = rows_array(rows, name, wanted)
                _place(assembly, wanted, fit(array, wanted))
            return assembly

        return self._first_fit(assemble, lambda: names)

    def to_torch(self, converted: Converted) -> dict[str, Any]:
        """The arrays as torch tensors over the same memory; text as nested lists. The tensors are to be read only."""
        dtypes = {wanted.name: wanted.dtype for plan in self._plans for wanted in plan.wanted}
        return torch_tensors(converted.arrays, dtypes)

    def _first_fit(
        self,
        assemble: Callable[[int], Assembly],
        present: Callable[[], Iterable[str]],
        header: RequestHeader | None = None,
    ) -> Converted:
        """The first overload that fits; else the error of the nearest."""
        refused: list[tuple[Plan, ConversionError]] = []
        for number, plan in enumerate(self._plans):
            try:
                assembly = assemble(number)
                arrays = assembly.finish(present)
            except ConversionError as failure:
                refused.append((plan, failure))
                continue
            return Converted(arrays, assembly.sizes, assembly.batch(), plan.overload, header)
        if len(refused) > 1:
            names = set(present())
            refused.sort(key=lambda each: _distance(each[0], names))
        raise refused[0][1].within(self._where(header)) from None

    def _where(self, header: RequestHeader | None = None) -> str:
        model = self._model or (header.model_name if header else "")
        version = self._version or (header.model_version if header else "")
        named = ":".join(quoted(part)[1:-1] for part in (model, version) if part)
        return f"request for {named}" if named else "request"

    def _refused_payload(self, refusal: str) -> ConversionError:
        if refusal == "misaligned":
            return ConversionError(
                where=self._where(),
                expected="raw_input_contents for every input or for none",
                got="fewer or more of them than inputs",
                hint="Something between the client and here dropped one without the other.",
            )
        error = malformed()
        return ConversionError(where=self._where(), expected=error.expected, got=error.got, hint=error.hint)


def _there(names: Collection[str], plan: Plan) -> Iterable[tuple[Wanted, str]]:
    """Each input of the plan that is there, with the name it has there."""
    for wanted in plan.wanted:
        there = [name for name in dict.fromkeys((wanted.name, *wanted.input.aliases)) if name in names]
        if len(there) > 1:
            raise twice(wanted.input, there)
        if there:
            yield wanted, there[0]


def _place(assembly: Assembly, wanted: Wanted, array: NDArray[Any], *, once: bool = False) -> None:
    """Check and store an array that is in memory already."""
    dtype = datatype_of(array)
    if dtype is DType.STRING:
        dtype = DType.STRING if wanted.dtype is DType.STRING else DType.BYTES
        with naming(wanted.input):
            array = as_text(array, dtype)
    elif wanted.dtype is DType.BFLOAT16 and dtype in (DType.UINT16, DType.BFLOAT16):
        array, dtype = array.view(np.uint16), DType.BFLOAT16
    elif dtype is None:
        raise mismatch(wanted.input, str(wanted.input.type), array_text(array.dtype.name, array.shape))
    elif not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if once and array.shape[:1] == (1,) and not wanted.scalar:
        full = assembly.check_once(wanted, dtype, str(dtype), array.shape)
        assembly.put(wanted, np.broadcast_to(array, full))
        return
    shape = assembly.check(wanted, dtype, str(dtype), array.shape)
    assembly.put(wanted, array.reshape(shape) if shape != array.shape else array)


def _distance(plan: Plan, present: set[str]) -> tuple[int, int]:
    """How far a request is from an overload: first by what it lacks, then by how little it has."""
    there = {plan.by_name[name].name for name in present if name in plan.by_name}
    return sum(wanted.required and wanted.name not in there for wanted in plan.wanted), -len(there)
