"""The parts of a LightGBM model file that are not trees: lines before them, and lines behind them.

Layout: GBDT::SaveModelToString in LightGBM's src/boosting/gbdt_model_text.cpp, versions v2 to v4 of the text. The
Python package adds a last line with the categories of pandas columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from trimtab.artifacts.limits import MAX_VALUES, check_count, check_json
from trimtab.errors import ArtifactError
from trimtab.signature import strict_json

if TYPE_CHECKING:
    from trimtab.source.bytes import ByteSource

USAGE_BELOW = 8 << 20
"""In files up to this size the trees are searched for the features that they split on."""

MAX_HEADER_BYTES = 64 << 20
MAX_FOOTER_BYTES = 16 << 20
_FIRST_WINDOW = 64 << 10
_MAX_LINES = 10_000

_HEADER_ENDS = (b"\ntree_sizes=", b"\nTree=", b"\nend of trees")
"""What the line behind the header may begin with."""

_PANDAS = b"pandas_categorical:"


class Header(NamedTuple):
    """The lines before the trees.

    values: by key; a line without a value has an empty one. lines: where each line begins and ends (with its line end).
    end: where the first line begins that is no part of it.
    """

    values: dict[str, bytes]
    lines: dict[str, tuple[int, int]]
    end: int


def read_header(source: ByteSource) -> Header:
    """The header. ArtifactError where it is cut short, damaged, or says a thing twice."""
    known = source.memo.get(_MEMO)
    if isinstance(known, Header):
        return known
    data, end = _header_bytes(source)
    check_count(data.count(b"\n", 0, end), _MAX_LINES, "lines", f"{source.name}: header")
    values: dict[str, bytes] = {}
    lines: dict[str, tuple[int, int]] = {}
    start = 0
    for line in data[: end - 1].split(b"\n"):
        if line.endswith(b"\r"):
            raise ArtifactError(
                where=f"{source.name} at offset {start}",
                expected="lines that end in LF",
                got="CR LF",
                hint="LightGBM finds its trees by offsets, which these line ends moved. Copy the file as binary.",
            )
        stop = start + len(line) + 1
        key, _, value = line.partition(b"=")
        if key:
            text = key.decode("utf-8", "replace")
            if text in values:
                raise ArtifactError(where=f"{source.name}: {text[:80]}", expected="the line once", got="twice")
            values[text] = value
            lines[text] = (start, stop)
        start = stop
    header = Header(values, lines, end)
    source.memo[_MEMO] = header
    return header


_MEMO = "lightgbm: header"


def _header_bytes(source: ByteSource) -> tuple[bytes, int]:
    length = min(_FIRST_WINDOW, source.size)
    while True:
        data = source.read(0, length)
        ends = [at + 1 for mark in _HEADER_ENDS if (at := data.find(mark)) >= 0]
        if ends:
            return data, min(ends)
        if length in (source.size, MAX_HEADER_BYTES):
            raise ArtifactError(
                where=source.name,
                expected=f"trees, or their sizes, within the first {MAX_HEADER_BYTES} bytes of a LightGBM model",
                got="none",
                hint="Is the file complete? Compare its size with the original.",
            )
        length = min(length * 4, source.size, MAX_HEADER_BYTES)


class Footer(NamedTuple):
    """The lines behind the trees.

    parameters: those of the training, by name, as text. pandas_categorical: for each category column of the data frame
    that the model was trained on, in order, its categories by code; None where that is not known.
    """

    parameters: dict[str, str]
    pandas_categorical: list[list[Any]] | None


def read_footer(source: ByteSource, header: Header) -> Footer:
    """The footer, as much of it as there is. ArtifactError where it is damaged, or longer than 16 MiB."""
    data = _footer_bytes(source, header)
    parameters: dict[str, str] = {}
    start = data.rfind(b"\nparameters:\n")
    stop = data.find(b"\nend of parameters", start)
    if 0 <= start < stop:
        check_count(data.count(b"\n", start, stop), _MAX_LINES, "lines", f"{source.name}: parameters")
        for line in data[start:stop].splitlines():
            key, _, value = line.strip(b"[]").partition(b":")
            parameters[key.decode("utf-8", "replace")] = value.strip().decode("utf-8", "replace")
    return Footer(parameters, _pandas_categorical(source, data))


def _footer_bytes(source: ByteSource, header: Header) -> bytes:
    """The end of the file, with all of the footer in it."""
    rest = source.size - header.end
    length = min(_FIRST_WINDOW, rest)
    while True:
        data = source.read(source.size - length, length)
        if length == rest or b"\nparameters:\n" in data or b"\nend of trees" in data:
            return data
        if length == MAX_FOOTER_BYTES:
            raise ArtifactError(
                where=source.name, expected=f"the end of the trees in the last {length} bytes", got="none"
            )
        length = min(length * 8, rest, MAX_FOOTER_BYTES)


def _pandas_categorical(source: ByteSource, footer: bytes) -> list[list[Any]] | None:
    """The last line, or the one before it, if it is the one that LightGBM's Python package reads."""
    line = next((line for line in footer.rstrip().rsplit(b"\n", 2)[:0:-1] if line.startswith(_PANDAS)), None)
    if line is None:
        return None
    where = f"{source.name}: pandas_categorical"
    text = line.removeprefix(_PANDAS)
    check_json(text, where)
    value = strict_json.parse(text, where=where, error=ArtifactError)
    if value is not None and not (isinstance(value, list) and all(isinstance(each, list) for each in value)):
        raise ArtifactError(where=where, expected="null, or a list of lists", got=text[:80].decode("utf-8", "replace"))
    return value


def split_features(source: ByteSource, header: Header) -> frozenset[int] | None:
    """The indices of the features that trees split on, or that linear models in their leaves use.

    None where the file is too large to be read for it, or is not understood.
    """
    if source.size > USAGE_BELOW:
        return None
    trees = b"\n" + source.read(header.end, source.size - header.end)
    end = trees.find(b"\nend of trees")
    if end < 0 or trees.count(b"\nTree=", 0, end) != trees.count(b"\nsplit_feature=", 0, end):
        return None
    used: set[bytes] = set()
    for key in (b"\nsplit_feature=", b"\nleaf_features="):
        at = trees.find(key, 0, end)
        while at >= 0:
            start = at + len(key)
            used.update(trees[start : trees.find(b"\n", start)].split())
            at = trees.find(key, start, end)
    check_count(len(used), MAX_VALUES, "features", f"{source.name}: trees")
    if not all(each.isdigit() and len(each) < 12 for each in used):
        return None
    return frozenset(map(int, used))
