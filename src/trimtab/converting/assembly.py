"""One conversion under way: arrays are placed, their dimensions bound, and what is absent is met at the end.

Every source of features (request bytes, Arrow, rows, arrays) ends here, so that all of them mean the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trimtab.converting.contents import element_count
from trimtab.converting.refusals import array_text, mismatch, missing, place, quoted, twice
from trimtab.errors import ConversionError
from trimtab.signature.dtypes import DType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from trimtab.converting.plan import Plan, Wanted

MOST_ROWS = 1 << 20
"""A request-level feature is repeated for at most so many rows: a few bytes must not become any amount of memory."""


class Assembly:
    """The arrays of one request under one plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.arrays: dict[str, NDArray[Any]] = {}
        self.sizes: dict[str, int] = {}
        self._bound_by: dict[str, str] = {}
        self._rows: dict[int, str] = {}

    def check(self, wanted: Wanted, dtype: DType | None, got: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Check a dtype and a shape against the signature, bind the dimensions, and give the shape to use.

        got: how the request spells the dtype, for the error.
        """
        if dtype is not wanted.dtype:
            if wanted.dtype is not None:
                raise self._mismatch(wanted, got, shape)
            if dtype is DType.BFLOAT16:  # its bits, held as uint16, would reach the model as if they were numbers
                raise self._mismatch(wanted, got, shape, "Only a signature that declares bfloat16 takes it: embed one.")
        if wanted.scalar and shape == (1,):
            return ()
        pattern = wanted.shape
        if pattern is None:
            if shape:
                self._rows.setdefault(shape[0], wanted.name)
            return shape
        if len(pattern) != len(shape):
            raise self._mismatch(wanted, got, shape)
        for dim, size in zip(pattern, shape, strict=True):
            if isinstance(dim, str):
                if self.sizes.setdefault(dim, size) != size:
                    other = self._bound_by[dim]
                    raise self._mismatch(wanted, got, shape, f"{dim} is {self.sizes[dim]} in input {quoted(other)}.")
                self._bound_by.setdefault(dim, wanted.name)
            elif dim is not None and dim != size:
                raise self._mismatch(wanted, got, shape)
        if pattern and not isinstance(pattern[0], int):
            self._rows.setdefault(shape[0], wanted.name)
        return shape

    def check_once(self, wanted: Wanted, dtype: DType | None, got: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The same for a request-level feature, whose one row is to be repeated: the shape to repeat it to.

        To be asked when all other inputs are checked, for they say how many rows there are: the signature's leading
        dimension, as bound; where that says nothing, the number of rows on which the others agree.
        """
        rows = self.plan.sizes.resolve(wanted.shape[0], self.sizes) if wanted.shape else None
        if rows is None:
            rows = self._rows_agreed(wanted)
        if not 0 <= rows <= MOST_ROWS:
            raise mismatch(wanted.input, f"at most {MOST_ROWS} rows to repeat it for", str(rows))
        full = (rows, *shape[1:])
        element_count(full)
        return self.check(wanted, dtype, got, full)

    def put(self, wanted: Wanted, array: NDArray[Any]) -> None:
        """Store the array of an input whose dtype and shape were checked."""
        if wanted.name in self.arrays:
            raise twice(wanted.input, (wanted.name, *wanted.input.aliases))
        self.arrays[wanted.name] = array

    def finish(self, present: Callable[[], Iterable[str]]) -> dict[str, NDArray[Any]]:
        """The arrays by name in the signature's order, after all checks that need the whole.

        present: every name that the request carries, asked for only to explain what is missing.
        """
        if broken := self.plan.sizes.contradiction(self.sizes):
            raise self._contradiction(*broken)
        names = self.plan.names
        if len(self.arrays) < len(names):
            self._meet_absence(present)
        if tuple(self.arrays) == names:
            return self.arrays
        return {name: self.arrays[name] for name in names if name in self.arrays}

    def batch(self) -> int | None:
        """The number of rows: the size of the first leading dimension that the signature leaves open."""
        for wanted in self.plan.wanted:
            array = self.arrays.get(wanted.name)
            if array is not None and array.ndim and (wanted.shape is None or not isinstance(wanted.shape[0], int)):
                return int(array.shape[0])
        return None

    def _rows_agreed(self, wanted: Wanted) -> int:
        if not self._rows:
            return 1
        if len(self._rows) == 1:
            return next(iter(self._rows))
        (first, first_name), (second, second_name) = list(self._rows.items())[:2]
        raise ConversionError(
            where=place(wanted.name),
            expected="one number of rows to repeat a request-level feature for",
            got=f"{first} in input {quoted(first_name)}, {second} in {quoted(second_name)}",
            hint="Send it once per row, or declare its leading dimension in the signature.",
        )

    def _meet_absence(self, present: Callable[[], Iterable[str]]) -> None:
        absent = [wanted for wanted in self.plan.wanted if wanted.name not in self.arrays]
        if required := [wanted.input for wanted in absent if wanted.required]:
            raise missing(required, present(), self.plan.by_name)
        for wanted in absent:
            default = self._default(wanted)
            if default is not None:
                self.put(wanted, default)

    def _default(self, wanted: Wanted) -> NDArray[Any] | None:
        if wanted.default is None or wanted.shape is None:
            return None
        shape = [self.plan.sizes.resolve(dim, self.sizes) for dim in wanted.shape]
        sizes = tuple(size for size in shape if size is not None)
        if len(sizes) != len(shape) or (sizes and sizes[0] > MOST_ROWS):
            return None
        try:
            return np.broadcast_to(wanted.default, sizes)
        except ValueError:
            return None

    def _contradiction(self, dim: str, expected: str, got: str) -> ConversionError:
        name = self._bound_by.get(dim)
        return ConversionError(where=place(name) if name else "", expected=f"{dim} to be {expected}", got=got)

    def _mismatch(self, wanted: Wanted, got: str, shape: tuple[int, ...], hint: str = "") -> ConversionError:
        return mismatch(wanted.input, str(wanted.input.type), array_text(got, shape), hint)
