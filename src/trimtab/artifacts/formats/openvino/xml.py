"""Parse XML in steps, without document types: no entity is defined, no other file is named, nothing expands.

expat, told so, is safe on files of any origin; what remains to be bounded is how much there is, and how deep.
"""

from __future__ import annotations

import pyexpat
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from trimtab.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Callable

    from trimtab.source.bytes import ByteSource

MAX_BYTES = 64 << 20
MAX_ELEMENTS = 500_000
"""Some forty thousand layers: the graph of a large language model has a fifth of that."""

MAX_DEPTH = 200
MAX_TOKEN_BYTES = 8 << 20
"""One tag with its attributes, a signature document among them."""

_STEP = 64 << 10

Attributes = dict[str, str]


def root_element(head: bytes) -> tuple[str, Attributes]:
    """The tag and attributes of the first element in the beginning of a file, or an empty tag where none is found."""
    found: list[tuple[str, Attributes]] = []

    def stop(tag: str, attributes: Attributes) -> NoReturn:
        found.append((tag, attributes))
        raise _FoundError

    def stop_at_doctype(*_: object) -> NoReturn:
        raise _FoundError  # before any of its entities can be used

    parser = pyexpat.ParserCreate("utf-8")
    parser.StartElementHandler = stop
    parser.StartDoctypeDeclHandler = stop_at_doctype
    with suppress(_FoundError, pyexpat.ExpatError):
        parser.Parse(head, False)
    return found[0] if found else ("", {})


class _FoundError(Exception):
    """Ends a parse that has seen enough."""


class XmlParser:
    """A parser that calls `start(depth, tag, attributes)`, the root at depth 1, for each element of a source.

    parser: expat's own, for handlers of other kinds.
    """

    def __init__(self, source: ByteSource, start: Callable[[int, str, Attributes], None]) -> None:
        self.source = source
        self.parser = pyexpat.ParserCreate("utf-8")
        self._depth = 0
        self._elements = 0
        self._start = start
        self.parser.StartElementHandler = self._opened
        self.parser.EndElementHandler = self.closed
        self.parser.StartDoctypeDeclHandler = self._refuse_doctype
        self.parser.XmlDeclHandler = self._check_encoding

    def parse(self) -> None:
        """Parse all of it. ArtifactError where it is malformed, or more than any model is."""
        source, parser = self.source, self.parser
        if source.size > MAX_BYTES:
            raise ArtifactError(where=source.name, expected=f"at most {MAX_BYTES} bytes of XML", got=str(source.size))
        at = 0
        try:
            while at < source.size:
                # A tag that is not complete yet is scanned anew with each step, so the steps grow with it.
                pending = at - max(parser.CurrentByteIndex, 0)
                if pending > MAX_TOKEN_BYTES:
                    self.refuse(f"tags of at most {MAX_TOKEN_BYTES} bytes", "a longer one")
                data = source.read(at, min(max(_STEP, pending), source.size - at))
                at += len(data)
                parser.Parse(data, False)
            parser.Parse(b"", True)
        except pyexpat.ExpatError as failure:
            self.refuse("well-formed XML in UTF-8", str(failure))

    def refuse(self, expected: str, got: str) -> NoReturn:
        """Raise the error for what stands here."""
        place = f"{self.source.name} at line {self.parser.CurrentLineNumber}"
        raise ArtifactError(where=place, expected=expected, got=got)

    def _opened(self, tag: str, attributes: Attributes) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > MAX_DEPTH:
            self.refuse(f"elements nested at most {MAX_DEPTH} deep", "deeper nesting")
        if self._elements > MAX_ELEMENTS:
            self.refuse(f"at most {MAX_ELEMENTS} elements", "more")
        self._start(self._depth, tag, attributes)

    def closed(self, tag: str) -> None:
        """Called at the end of each element."""
        del tag
        self._depth -= 1

    def _refuse_doctype(self, *_: object) -> NoReturn:
        self.refuse("XML without a document type", "a DOCTYPE, which can make a small file expand without end")

    def _check_encoding(self, version: str, encoding: str | None, standalone: int) -> None:
        del version, standalone
        if encoding is not None and encoding.lower().replace("-", "") not in ("utf8", "usascii", "ascii"):
            self.refuse("XML in UTF-8", encoding)
