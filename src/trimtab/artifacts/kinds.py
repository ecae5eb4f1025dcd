"""The built-in formats, as data: which module reads each, and the first bytes that speak for it.

A module is imported only where the first bytes do not rule it out, so that reading one format costs nothing for the
others. A new format is a module in `trimtab.artifacts.formats` and a line here.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD_BYTES = 64
"""How much of a file the signs need."""

_TEXT = None
_SPACE = b" \t\r\n"


class Sign(NamedTuple):
    """Bytes at an offset; with None for it, at the first character of a text after white space."""

    offset: int | None
    magic: bytes


class Kind(NamedTuple):
    """A built-in format.

    module: its name in `trimtab.artifacts.formats`. signs: any of them makes the format a candidate; without signs it
    is one for every file. folder: None where an artifact of this format is never a folder; otherwise names, any of
    which in a folder makes the format a candidate, or none, and then it is one for every folder.
    """

    module: str
    signs: tuple[Sign, ...] = ()
    folder: tuple[str, ...] | None = None

    def fits_folder(self, path: str) -> bool:
        """Whether a folder may be of this format."""
        if self.folder is None:
            return False
        return not self.folder or any(os.path.lexists(os.path.join(path, each)) for each in self.folder)


_ZIP = (Sign(0, b"PK\x03\x04"),)
_JSON = (Sign(_TEXT, b"{"),)

KINDS = (
    Kind("pt2", _ZIP),
    Kind("torchscript", _ZIP),
    Kind("keras", _ZIP),
    Kind("skops", _ZIP),
    Kind("tflite", (Sign(4, b"TFL3"),)),
    Kind("executorch", (Sign(4, b"ET"),)),
    Kind("catboost", (Sign(0, b"CBM1"), *_JSON)),
    Kind("xgboost", _JSON),
    Kind("lightgbm", (Sign(0, b"tree\n"), Sign(0, b"tree\r\n"))),
    Kind("openvino", (Sign(_TEXT, b"<"), Sign(0, b"\xef\xbb\xbf<"))),
    Kind("document", _JSON),
    Kind("gguf", (Sign(0, b"GGUF"),)),
    Kind("safetensors", (Sign(8, b"{"),)),
    Kind("hdf5", (Sign(0, b"\x89HDF\r\n\x1a\n"),)),
    Kind("ort", (Sign(4, b"ORTM"),)),
    Kind("pickled", (*_ZIP, *(Sign(0, bytes((0x80, protocol))) for protocol in range(2, 6)))),
    Kind("onnx"),
    Kind("coreml", (Sign(0, b"\x08"),), folder=()),
    Kind("savedmodel", folder=("saved_model.pb", "saved_model.pbtxt", "saved_model.cpb")),
    Kind("triton", folder=()),
    Kind("mlflow", folder=("MLmodel",)),
)
"""In the order in which they are asked; of a folder, those that know it by a name first."""


def kinds_of(head: bytes) -> Iterator[Kind]:
    """The formats that a file may be of which begins with `head`, in the order in which they are asked."""
    text = head.lstrip(_SPACE)
    for kind, places in _SIGNS:
        for offset, magics in places:
            if text.startswith(magics) if offset is None else head.startswith(magics, offset):
                yield kind
                break


def _by_place(signs: tuple[Sign, ...]) -> tuple[tuple[int | None, tuple[bytes, ...]], ...]:
    """The magic bytes at each offset: to ask for all of them at once is what makes thousands of files quick."""
    places: dict[int | None, list[bytes]] = {}
    for sign in signs or (Sign(0, b""),):
        places.setdefault(sign.offset, []).append(sign.magic)
    return tuple((offset, tuple(magics)) for offset, magics in places.items())


_SIGNS = tuple((kind, _by_place(kind.signs)) for kind in KINDS)
