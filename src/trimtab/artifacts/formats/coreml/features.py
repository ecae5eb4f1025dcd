"""Turn a CoreML feature's description into an input or an output.

FeatureTypes.proto and Model.proto of coremltools. An array states one shape and, where others fit too, the list of them
or a range for each dimension; both become bounds here, and a list is spelled out in a note besides.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from trimtab.errors import ArtifactError
from trimtab.signature.dtypes import DType, dtype_of
from trimtab.signature.model import Input, Output, Presence
from trimtab.signature.types import Literal, Mapping, Scalar, Sequence, Tensor

if TYPE_CHECKING:
    from trimtab.artifacts.dimensions import BoundedDims
    from trimtab.artifacts.formats.coreml.message import Message
    from trimtab.signature.types import Shape, Type

# FeatureDescription
_NAME, _SHORT_DESCRIPTION, _TYPE = 1, 2, 3
# FeatureType
_INT64, _DOUBLE, _STRING, _IMAGE, _ARRAY, _DICTIONARY, _SEQUENCE, _STATE = range(1, 9)
_OPTIONAL = 1000
# ArrayFeatureType
_SHAPE, _DATA_TYPE, _ENUMERATED, _RANGES = 1, 2, 21, 31
_INT_DEFAULT, _FLOAT_DEFAULT, _DOUBLE_DEFAULT = 41, 51, 61
# ImageFeatureType
_WIDTH, _HEIGHT, _COLORS, _SIZES, _SIZE_RANGE = 1, 2, 3, 21, 31
_COLOR_SPACES = {
    10: (1, DType.UINT8, "grayscale"),
    20: (3, DType.UINT8, "RGB"),
    30: (3, DType.UINT8, "BGR"),
    40: (1, DType.FLOAT16, "grayscale"),
}
_MAX_RANK = 64
_MAX_SHAPES = 4096


class Features:
    """Reads the features of one function. notes: what the signature's types cannot say of them."""

    def __init__(self, where: str, dimensions: BoundedDims, notes: list[str]) -> None:
        self._where = where
        self._dimensions = dimensions
        self._notes = notes

    def input(self, feature: Message) -> Input:
        """An input of a model or of a function in it."""
        name, kind = feature.text(_NAME), feature.message(_TYPE)
        type_, doc = self._type(kind, name)
        default = self._default(kind) if kind.number(_OPTIONAL) else None
        presence = Presence.REQUIRED
        if kind.number(_OPTIONAL):
            presence = Presence.OPTIONAL if default is None else Presence.DEFAULT
        return Input(name=name, type=type_, presence=presence, default=default, doc=_joined(feature, doc))

    def output(self, feature: Message) -> Output:
        """An output, likewise."""
        name = feature.text(_NAME)
        type_, doc = self._type(feature.message(_TYPE), name)
        return Output(name=name, type=type_, doc=_joined(feature, doc))

    def _type(self, kind: Message, name: str) -> tuple[Type, str]:
        """The type, and what is to be said besides."""
        member = kind.last_of((_INT64, _DOUBLE, _STRING, _IMAGE, _ARRAY, _DICTIONARY, _SEQUENCE, _STATE))
        match member:
            case 1 | 2 | 3:
                return Scalar(_SCALARS[member]), ""
            case 4:
                return self._image(kind.message(_IMAGE), name)
            case 5:
                return self._array(kind.message(_ARRAY), name), ""
            case 6:
                key = DType.INT64 if kind.message(_DICTIONARY).last_of((1, 2)) == 1 else DType.STRING
                return Mapping(key, Scalar(DType.FLOAT64)), ""
            case 7:
                return self._sequence(kind.message(_SEQUENCE))
            case 8:
                return self._array(kind.message(_STATE).message(1), name), "state"
        raise ArtifactError(
            where=f"{self._where}: {name[:80]!r}", expected="a feature type of CoreML", got="none that is known"
        )

    def _array(self, array: Message, name: str) -> Tensor:
        code = array.number(_DATA_TYPE)
        dtype = dtype_of("coreml", code)
        if dtype is None and code:
            raise ArtifactError(where=f"{self._where}: {name[:80]!r}", expected="an array's data type", got=str(code))
        return Tensor(dtype, self._shape(array, name))

    def _shape(self, array: Message, name: str) -> Shape | None:
        stated = array.whole_numbers(_SHAPE, _MAX_RANK)
        flexible = array.last_of((_ENUMERATED, _RANGES))
        if flexible == _RANGES:
            ranges = [(it.number(1), it.number(2)) for it in array.message(_RANGES).messages(1)]
            return self._bounded(ranges) if ranges else None
        if flexible == _ENUMERATED:
            shapes = [it.whole_numbers(1, _MAX_RANK) for it in array.message(_ENUMERATED).messages(1)]
            return self._one_of([stated, *shapes] if stated not in shapes else shapes, name)
        return tuple(size if size >= 0 else None for size in stated) or None

    def _one_of(self, shapes: list[list[int]], name: str) -> Shape | None:
        if len(shapes) > _MAX_SHAPES:
            raise ArtifactError(
                where=f"{self._where}: {name[:80]!r}", expected=f"at most {_MAX_SHAPES} shapes", got="more"
            )
        shown = " or ".join(map(str, shapes[:_SHOWN])) + (" or …" if len(shapes) > _SHOWN else "")
        self._notes.append(f"{name[:80]!r} is of one of {len(shapes)} shapes: {shown}")
        if len(set(map(len, shapes))) > 1:
            return None
        return self._bounded([(min(sizes), max(sizes)) for sizes in zip(*shapes, strict=True)])

    def _bounded(self, ranges: list[tuple[int, int]]) -> Shape:
        """Sizes with bounds; an upper bound below zero is none."""
        if len(ranges) > _MAX_RANK:
            raise ArtifactError(where=self._where, expected=f"at most {_MAX_RANK} dimensions", got=str(len(ranges)))
        return tuple(self._dimensions.dim(low, high if high >= 0 else None) for low, high in ranges)

    def _image(self, image: Message, name: str) -> tuple[Tensor, str]:
        colors = image.number(_COLORS)
        if colors not in _COLOR_SPACES:
            raise ArtifactError(where=f"{self._where}: {name[:80]!r}", expected="a color space", got=str(colors))
        channels, dtype, color = _COLOR_SPACES[colors]
        sizes = image.message(_SIZES)
        bounds = image.message(_SIZE_RANGE)
        height: tuple[int, int] = (image.number(_HEIGHT),) * 2
        width: tuple[int, int] = (image.number(_WIDTH),) * 2
        flexible = image.last_of((_SIZES, _SIZE_RANGE))
        if flexible == _SIZE_RANGE:
            (width, height) = ((it.number(1), it.number(2)) for it in (bounds.message(1), bounds.message(2)))
        elif flexible == _SIZES:
            shapes = [[it.number(2), it.number(1), channels] for it in sizes.messages(1)]
            default = [height[0], width[0], channels]
            return Tensor(
                dtype, self._one_of(shapes if default in shapes else [default, *shapes], name)
            ), f"{color} image"
        return Tensor(dtype, self._bounded([height, width, (channels, channels)])), f"{color} image"

    def _sequence(self, sequence: Message) -> tuple[Sequence, str]:
        element = DType.INT64 if sequence.last_of((1, 3)) == 1 else DType.STRING
        bounds = sequence.message(101)
        low, high = bounds.number(1), bounds.number(2)
        doc = f"{low} to {high if high >= 0 else 'any number of'} elements" if 101 in sequence else ""
        return Sequence(Scalar(element)), doc

    def _default(self, kind: Message) -> Literal | None:
        """The value of every element when the input is absent."""
        array = kind.message(_ARRAY)
        match array.last_of((_INT_DEFAULT, _FLOAT_DEFAULT, _DOUBLE_DEFAULT)):
            case 41:
                return Literal.from_python(array.number(_INT_DEFAULT))
            case 51:
                return Literal.from_python(struct.unpack("<f", array.fixed(_FLOAT_DEFAULT).ljust(4, b"\0")[:4])[0])
            case 61:
                return Literal.from_python(struct.unpack("<d", array.fixed(_DOUBLE_DEFAULT).ljust(8, b"\0")[:8])[0])
        return None


_SCALARS = {_INT64: DType.INT64, _DOUBLE: DType.FLOAT64, _STRING: DType.STRING}
_SHOWN = 8


def _joined(feature: Message, doc: str) -> str:
    return "; ".join(filter(None, (feature.text(_SHORT_DESCRIPTION), doc)))
