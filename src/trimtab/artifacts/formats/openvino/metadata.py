"""Write the signature document into the run-time information at the end of an IR file, and leave the rest as it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trimtab.artifacts.formats.openvino.xml import MAX_TOKEN_BYTES, Attributes, XmlParser
from trimtab.artifacts.formats.rewriting import rewrite
from trimtab.errors import ArtifactError
from trimtab.source.bytes import LocalFile

if TYPE_CHECKING:
    from trimtab.source.bytes import ByteSource


def write_document(path: str, document: bytes) -> None:
    """Make `document` the value of `module_info`, exactly once, and put the new file in the old one's place."""
    text = _QUOTED.sub(lambda found: _ENTITIES[found.group()], document.decode())
    element = f'<module_info value="{text}" />'
    if len(element.encode()) > MAX_TOKEN_BYTES:
        raise ArtifactError(
            where=path, expected=f"a document of at most {MAX_TOKEN_BYTES} bytes in XML", got=str(len(element))
        )
    with LocalFile(path) as source:
        places = _Places(source)
        size = source.size
    edits = [(old.start, old.end, b"") for old in places.old[1:]]
    if places.old:
        edits.append((places.old[0].start, places.old[0].end, element.encode()))
    elif places.runtime is None:
        edits.append((places.net.close, places.net.close, f"\t<rt_info>\n\t\t{element}\n\t</rt_info>\n".encode()))
    elif places.runtime.empty:
        edits.append((places.runtime.start, places.runtime.end, f"<rt_info>\n\t\t{element}\n\t</rt_info>".encode()))
    else:
        edits.append((places.runtime.close, places.runtime.close, f"\t{element}\n\t".encode()))
    parts: list[bytes | tuple[int, int]] = []
    at = 0
    for start, end, new in sorted(edits):
        parts += [(at, start), new]
        at = end
    rewrite(path, [*parts, (at, size)])


@dataclass
class _Element:
    """Where an element's start tag begins, its end tag begins (`close`), and it is over."""

    start: int
    close: int = -1
    end: int = -1

    @property
    def empty(self) -> bool:
        """Whether start and end are one tag."""
        return self.close == self.start


class _Places:
    """Where the elements lie that an edit is about.

    net: the root. runtime: its run-time information, if any. old: documents in it, as `module_info`.
    """

    def __init__(self, source: ByteSource) -> None:
        self.net = _Element(0)
        self.runtime: _Element | None = None
        self.old: list[_Element] = []
        self._source = source
        self._open: list[_Element | None] = []
        self._xml = XmlParser(source, self._start)
        self._xml.parser.EndElementHandler = self._closed
        self._xml.parse()

    def _start(self, depth: int, tag: str, attributes: Attributes) -> None:
        element = None
        if depth <= _DOCUMENT_DEPTH:
            at = self._xml.parser.CurrentByteIndex
            parent = self._open[-1] if self._open else None
            if depth == 1:
                element = self.net = _Element(at)
            elif depth == _RUNTIME_DEPTH and tag == "rt_info":
                if self.runtime is not None:
                    self._xml.refuse("one section of rt_info", "two")
                element = self.runtime = _Element(at)
            elif parent is not None and parent is self.runtime and tag in _TAGS and "value" in attributes:
                element = _Element(at)
                self.old.append(element)
        self._open.append(element)

    def _closed(self, tag: str) -> None:
        element = self._open.pop()
        self._xml.closed(tag)
        if element is None:
            return
        at = self._xml.parser.CurrentByteIndex
        closing = f"</{tag}".encode()
        if self._source.read(at, min(len(closing), self._source.size - at)) == closing:
            element.close = at
            element.end = at + self._source.read(at, min(_LONGEST_END, self._source.size - at)).index(b">") + 1
        else:  # expat is behind a tag that is start and end in one
            element.close, element.end = element.start, at


_RUNTIME_DEPTH, _DOCUMENT_DEPTH = 2, 3
_TAGS = ("module_info", "module_info.json")
_LONGEST_END = 4096
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
_QUOTED = re.compile(r'[&<>"\n\r\t]')
